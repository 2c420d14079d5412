"""The training wrapper: a backbone with the identity classifier that only training needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from omnireid.core.errors import ConfigError
from omnireid.models.network import Network
from omnireid.models.state_dict import CLASSIFIER_PREFIX, check_state_dict, without_classifier


class ClassifierOutput(NamedTuple):
    """embeddings (N, D) and logits (N, num_classes)."""

    embeddings: Tensor
    logits: Tensor


class IdentityClassifier(nn.Module):
    """Classifies the training identities from the backbone's embeddings.

    Args:
        backbone: gives the embeddings.
        num_classes: identities in the training split.
    """

    def __init__(self, backbone: Network, num_classes: int) -> None:
        super().__init__()
        if num_classes < 1:
            raise ConfigError(f"num_classes: at least 1, got {num_classes}")
        self.backbone = backbone
        self.classifier = nn.Linear(backbone.config.embedding_size, num_classes)
        self.initialise_classifier()

    def initialise_classifier(self, generator: torch.Generator | None = None) -> None:
        """Draw fresh classifier weights, N(0, 0.01); the backbone is left alone."""
        nn.init.normal_(self.classifier.weight, 0.0, 0.01, generator=generator)
        nn.init.zeros_(self.classifier.bias)

    def forward(self, images: Tensor) -> ClassifierOutput:
        embeddings = self.backbone(images)
        return ClassifierOutput(embeddings, self.classifier(embeddings))

    def published_state_dict(self) -> dict[str, Tensor]:
        """The state dict as torchreid's checkpoints hold it: the backbone's keys and `classifier.*`."""
        classifier = {CLASSIFIER_PREFIX + key: value for key, value in self.classifier.state_dict().items()}
        return {**self.backbone.state_dict(), **classifier}

    def load_published_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take what `published_state_dict` gave, strictly.

        Raises:
            WeightsError: keys or shapes differ; names them.
        """
        check_state_dict(self.published_state_dict(), state, source="the state dict")
        self.backbone.load_state_dict(without_classifier(state))
        self.classifier.load_state_dict(
            {
                key.removeprefix(CLASSIFIER_PREFIX): value
                for key, value in state.items()
                if key.startswith(CLASSIFIER_PREFIX)
            }
        )

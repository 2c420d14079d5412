"""The training wrapper: a backbone with the identity classifier that only training needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from omnireid.core.errors import ConfigError
from omnireid.models.network import Network
from omnireid.models.state_dict import check_state_dict


class ClassifierOutput(NamedTuple):
    """What a batch gives.

    Attributes:
        embeddings: (N, D): what distances are learned in, before the neck where the network has one.
        logits: (N, num_classes).
        necked: (N, D): what the classifier takes and who searches gets; `embeddings` without a neck.
        peer: the same of the network that learns beside; None without one.
    """

    embeddings: Tensor
    logits: Tensor
    necked: Tensor
    peer: ClassifierOutput | None = None


class ClassScores(Network):
    """A network and its classifier as one network, whose embeddings are the classifier's logits.

    Args:
        network: what was trained; both share their weights.
    """

    def __init__(self, network: IdentityClassifier) -> None:
        super().__init__()
        self.config = network.backbone.config
        self.backbone = network.backbone
        self.classifier = network.classifier

    @property
    def head(self) -> nn.Module:
        return nn.Sequential(self.backbone.head, self.classifier)

    def feature_maps(self, images: Tensor) -> Tensor:
        return self.backbone.feature_maps(images)

    def pool(self, feature_maps: Tensor) -> Tensor:
        return self.backbone.pool(feature_maps)

    def stages(self) -> dict[str, nn.Module]:
        return {**self.backbone.stages(), "classifier": self.classifier}


class IdentityClassifier(nn.Module):
    """Classifies the training identities from the backbone's embeddings.

    Args:
        backbone: gives the embeddings.
        num_classes: identities in the training split.

    Attributes:
        losses: losses with weights or a state of their own, by name: they train and are saved with it.
        peer: a second network that learns beside it, on the same pictures; None without one.
    """

    peer: IdentityClassifier | None

    def __init__(self, backbone: Network, num_classes: int) -> None:
        super().__init__()
        if num_classes < 1:
            raise ConfigError(f"num_classes: at least 1, got {num_classes}")
        self.backbone = backbone
        self.classifier = nn.Linear(
            backbone.config.embedding_size, num_classes, bias=not backbone.config.neck
        )
        self.losses = nn.ModuleDict()
        self.peer = None
        self.initialise_classifier()

    def initialise_classifier(self, generator: torch.Generator | None = None) -> None:
        """Draw fresh classifier weights, N(0, 0.01); the backbone is left alone."""
        nn.init.normal_(self.classifier.weight, 0.0, 0.01, generator=generator)
        if self.classifier.bias is not None:
            nn.init.zeros_(self.classifier.bias)

    def forward(self, images: Tensor) -> ClassifierOutput:
        head, neck = self.backbone.head_and_neck()
        embeddings = head(self.backbone.pool(self.backbone.feature_maps(images)))
        necked = neck(embeddings)
        peer = None if self.peer is None else self.peer(images)
        return ClassifierOutput(embeddings, self.classifier(necked), necked, peer)

    def published_state_dict(self) -> dict[str, Tensor]:
        """The state dict as torchreid's checkpoints hold it: the backbone's keys and `classifier.*`."""
        return {**self.backbone.state_dict(), **self.classifier.state_dict(prefix="classifier.")}

    def load_published_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take what `published_state_dict` gave, strictly.

        Raises:
            WeightsError: keys or shapes differ; names them.
        """
        own = self.published_state_dict()
        check_state_dict(own, state, source="the state dict")
        with torch.no_grad():
            for key, value in own.items():
                value.copy_(state[key])

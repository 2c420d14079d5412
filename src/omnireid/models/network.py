"""What every network is to training, export and the backends of torch."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from omnireid.models.neck import generalised_mean
from omnireid.models.network_config import NetworkConfig


class Network(nn.Module):
    """(N, 3, H, W) normalised RGB → (N, D) embeddings, in training and in evaluation alike.

    A network of a family sets `config` and has `feature_maps` and `stages`; `head`, where something stands
    behind the global pool; and `head_and_neck`, where the head ends in a BNNeck. Embeddings are not
    L2-normalised.
    """

    config: NetworkConfig

    @property
    def head(self) -> nn.Module:
        """(N, C) pooled feature maps → (N, D) embeddings."""
        return nn.Identity()

    def head_and_neck(self) -> tuple[nn.Module, nn.Module]:
        """The head in two: up to the vectors (N, D) that distances are learned in, and the neck behind them.

        Without a neck (`neck.py`) the second is the identity.
        """
        return self.head, nn.Identity()

    def feature_maps(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) → (N, C, h, w): what the global pool takes."""
        raise NotImplementedError

    def stages(self) -> dict[str, nn.Module]:
        """The parts that have weights, each once, in order."""
        raise NotImplementedError

    def initialise(self, generator: torch.Generator | None = None) -> None:
        """Draw fresh weights: convolutions Kaiming-normal (fan-out), linear N(0, 0.01), norms 1 and 0.

        Args:
            generator: where the weights are drawn from; torch's own generator when None.
        """
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(
                    module.weight, mode="fan_out", nonlinearity="relu", generator=generator
                )
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, 0.0, 0.01, generator=generator)
                nn.init.zeros_(module.bias)

    def pool(self, feature_maps: Tensor) -> Tensor:
        """(N, C, h, w) → (N, C): the mean, or the generalised mean that the configuration asks for."""
        return generalised_mean(feature_maps, self.config.pooling_power)

    def forward(self, images: Tensor) -> Tensor:
        return cast(Tensor, self.head(self.pool(self.feature_maps(images))))

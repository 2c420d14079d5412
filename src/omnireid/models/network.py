"""What every network is to training, export and the backends of torch."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from omnireid.models.network_config import NetworkConfig


class Network(nn.Module):
    """(N, 3, H, W) normalised RGB → (N, D) embeddings, in training and in evaluation alike.

    A network of a family sets `config` and has `feature_maps` and `stages`; and `head`, where something
    stands behind the global average pool. Embeddings are not L2-normalised.
    """

    config: NetworkConfig

    @property
    def head(self) -> nn.Module:
        """(N, C) means over the feature maps → (N, D) embeddings."""
        return nn.Identity()

    def feature_maps(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) → (N, C, h, w): what the global average pool takes."""
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

    def forward(self, images: Tensor) -> Tensor:
        return cast(Tensor, self.head(self.feature_maps(images).mean(dim=(2, 3))))

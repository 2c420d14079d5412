"""A folded OSNet in plain torch operations, channels last: what runs on a GPU where Triton is missing.

Also the yardstick for the kernels: what folding and the memory layout alone bring, and what `torch.compile`
makes of it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from omnireid.core.card import InputSpec
from omnireid.inference.fused.fold import FoldedOSNet
from omnireid.inference.fused.module import FusedOSNet


class PlainOSNet(nn.Module):
    """(N, H, W, 3) uint8 RGB → (N, D) float32 embeddings, not normalised.

    Args:
        spec: the input spec whose normalisation comes first.
        dtype: type of weights and activations.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, network: FoldedOSNet, spec: InputSpec, *, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        scale, shift = spec.scale_shift()
        self.register_buffer("scale", torch.from_numpy(scale))
        self.register_buffer("shift", torch.from_numpy(shift))
        self.dtype = dtype
        self.network = FusedOSNet(network, batch_streams=False, dtype=dtype)
        # mypy does not know this form of `to`.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def feature_maps(self, crops: Tensor) -> Tensor:
        """(N, H, W, 3) uint8 RGB → (N, C, h, w), what the global average pool takes."""
        # Permuting alone makes the crops channels last.
        x = (crops.float() * self.scale + self.shift).to(self.dtype).permute(0, 3, 1, 2)
        return self.network.feature_maps(x)

    def forward(self, crops: Tensor) -> Tensor:
        return self.network.embedding(self.feature_maps(crops)).float()

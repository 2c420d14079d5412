"""How an OSNet block joins its parallel streams: the unified aggregation gate and its ablations.

Every fusion takes the T streams of a block, each (N, C, H, W), and returns one tensor.
Source: Zhou et al., ICCV 2019, section 3.2 and Table 5.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from omnireid.models.osnet_config import Fusion

GATE_REDUCTION = 16


class AggregationGate(nn.Module):
    """Unified aggregation gate: Σₜ G(xₜ) ⊙ xₜ with one G shared by all streams (equation 3).

    G is global average pooling, 1×1 to C/16, ReLU, 1×1 back, sigmoid: a weight for each channel, or with
    `num_weights=1` one for the whole stream.
    """

    def __init__(self, channels: int, num_weights: int) -> None:
        super().__init__()
        hidden = max(1, channels // GATE_REDUCTION)
        self.fc1 = nn.Conv2d(channels, hidden, kernel_size=1)
        self.fc2 = nn.Conv2d(hidden, num_weights, kernel_size=1)

    def weights(self, stream: Tensor) -> Tensor:
        """(N, C, H, W) → (N, num_weights, 1, 1) in (0, 1)."""
        pooled = stream.mean(dim=(2, 3), keepdim=True)
        return torch.sigmoid(self.fc2(torch.relu(self.fc1(pooled))))

    def forward(self, streams: list[Tensor]) -> Tensor:
        return _weighted_sum(streams, [self.weights(stream) for stream in streams])


class SeparateGates(nn.ModuleList):
    """Ablation 6: an aggregation gate of its own for every stream."""

    def __init__(self, channels: int, num_streams: int) -> None:
        super().__init__(AggregationGate(channels, channels) for _ in range(num_streams))

    def forward(self, streams: list[Tensor]) -> Tensor:
        gates = cast("list[AggregationGate]", list(self))
        return _weighted_sum(
            streams, [gate.weights(stream) for gate, stream in zip(gates, streams, strict=True)]
        )


class FixedGates(nn.Module):
    """Ablation 8: a learned weight per stream and channel that does not depend on the input.

    The paper does not say how the weights are bounded; here a sigmoid does it, as in the aggregation gate,
    starting at ½.
    """

    def __init__(self, channels: int, num_streams: int) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(num_streams, channels, 1, 1))

    def forward(self, streams: list[Tensor]) -> Tensor:
        return _weighted_sum(streams, list(torch.sigmoid(self.logits)))


class Addition(nn.Module):
    """Ablation 5: the plain sum."""

    def forward(self, streams: list[Tensor]) -> Tensor:
        total = streams[0]
        for stream in streams[1:]:
            total = total + stream
        return total


class Concatenation(nn.Module):
    """Ablation 4: T·C channels; the 1×1 that restores the block's width takes them all."""

    def forward(self, streams: list[Tensor]) -> Tensor:
        return torch.cat(streams, dim=1)


def make_fusion(fusion: Fusion, channels: int, num_streams: int) -> nn.Module:
    """The module that joins `num_streams` streams of `channels` channels."""
    if fusion == "unified_gate":
        return AggregationGate(channels, num_weights=channels)
    if fusion == "scalar_gate":
        return AggregationGate(channels, num_weights=1)
    if fusion == "separate_gates":
        return SeparateGates(channels, num_streams)
    if fusion == "fixed_gates":
        return FixedGates(channels, num_streams)
    if fusion == "addition":
        return Addition()
    return Concatenation()


def _weighted_sum(streams: list[Tensor], weights: list[Tensor]) -> Tensor:
    total = streams[0] * weights[0]
    for stream, weight in zip(streams[1:], weights[1:], strict=True):
        total = torch.addcmul(total, stream, weight)
    return total

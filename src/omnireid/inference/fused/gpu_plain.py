"""A folded OSNet in plain torch operations, channels last: what runs on a GPU where Triton is missing.

Also the yardstick for the kernels: what folding and the memory layout alone bring, and what `torch.compile`
makes of it.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from omnireid.core.card import InputSpec
from omnireid.inference.fused.fold import (
    NORM_EPSILON,
    Block,
    Convolution,
    FoldedOSNet,
    InstanceNorm,
    Lite,
    Weights,
)


class PlainOSNet(nn.Module):
    """(N, H, W, 3) uint8 RGB → (N, D) float32 embeddings, not normalised.

    Args:
        spec: whose normalisation comes first.
        dtype: of weights and activations.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, network: FoldedOSNet, spec: InputSpec, *, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        scale, shift = spec.scale_shift()
        self.register_buffer("scale", torch.from_numpy(scale))
        self.register_buffer("shift", torch.from_numpy(shift))
        self.dtype = dtype
        self.stem = _conv(network.stem, dtype, stride=2)
        self.stem_norm = _norm(network.stem_norm, dtype)
        self.stages = nn.ModuleList(
            nn.Sequential(*(_Block(block, dtype) for block in stage)) for stage in network.stages
        )
        self.transitions = nn.ModuleList(_conv(convolution, dtype) for convolution in network.transitions)
        self.head = _conv(network.head, dtype)
        self.embedding = _conv(network.embedding, dtype)
        # mypy does not know this form of `to`.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.requires_grad_(False).eval()

    def feature_maps(self, crops: Tensor) -> Tensor:
        """(N, H, W, 3) uint8 RGB → (N, C, h, w), what the global average pool takes."""
        # Permuting alone makes the crops channels last.
        x = (crops.float() * self.scale + self.shift).to(self.dtype).permute(0, 3, 1, 2)
        x = F.relu(self.stem_norm(self.stem(x)))
        x = F.max_pool2d(x, 3, stride=2, padding=1)
        for index, stage in enumerate(self.stages):
            x = stage(x)
            if index < len(self.transitions):
                x = F.avg_pool2d(F.relu(self.transitions[index](x)), 2)
        return F.relu(self.head(x))

    def forward(self, crops: Tensor) -> Tensor:
        means = self.feature_maps(crops).mean((2, 3), keepdim=True)
        return F.relu(self.embedding(means)).flatten(1).float()


class _Block(nn.Module):
    def __init__(self, block: Block, dtype: torch.dtype) -> None:
        super().__init__()
        self.reduce = _conv(block.reduce, dtype)
        self.streams = nn.ModuleList(
            nn.Sequential(*(_lite(layer, dtype) for layer in stream)) for stream in block.streams
        )
        gate = block.gate
        self.gate = nn.Sequential(
            _conv(Convolution(gate.reduce[:, :, None, None], gate.reduce_bias), dtype),
            nn.ReLU(),
            _conv(Convolution(gate.restore[:, :, None, None], gate.restore_bias), dtype),
            nn.Sigmoid(),
        )
        self.restore = _conv(block.restore, dtype)
        self.shortcut = nn.Identity() if block.shortcut is None else _conv(block.shortcut, dtype)
        self.inside = _norm(block.inside, dtype)
        self.after = _norm(block.after, dtype)

    def forward(self, x: Tensor) -> Tensor:
        reduced = F.relu(self.reduce(x))
        streams = [stream(reduced) for stream in self.streams]
        gated = sum(stream * self.gate(stream.mean((2, 3), keepdim=True)) for stream in streams)
        return F.relu(self.after(self.inside(self.restore(gated)) + self.shortcut(x)))


def _lite(layer: Lite, dtype: torch.dtype) -> nn.Sequential:
    channels = len(layer.bias)
    pointwise = nn.Conv2d(channels, channels, 1, bias=False)
    depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
    pointwise.weight = _parameter(layer.pointwise[:, :, None, None], dtype)
    depthwise.weight = _parameter(layer.depthwise[:, None], dtype)
    depthwise.bias = _parameter(layer.bias, dtype)
    return nn.Sequential(pointwise, depthwise, nn.ReLU())


def _conv(convolution: Convolution, dtype: torch.dtype, *, stride: int = 1) -> nn.Conv2d:
    out_channels, in_channels, size, _ = convolution.weight.shape
    module = nn.Conv2d(in_channels, out_channels, size, stride=stride, padding=size // 2)
    module.weight = _parameter(convolution.weight, dtype)
    module.bias = _parameter(convolution.bias, dtype)
    return module


def _norm(norm: InstanceNorm | None, dtype: torch.dtype) -> nn.Module:
    if norm is None:
        return nn.Identity()
    module = nn.InstanceNorm2d(len(norm.weight), eps=NORM_EPSILON, affine=True)
    module.weight, module.bias = _parameter(norm.weight, dtype), _parameter(norm.bias, dtype)
    return module


def _parameter(values: Weights, dtype: torch.dtype) -> nn.Parameter:
    return nn.Parameter(torch.from_numpy(np.ascontiguousarray(values)).to(dtype))

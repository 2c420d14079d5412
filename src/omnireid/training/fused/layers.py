"""Weights, normalisations and maps of torch as the kernels take them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from omnireid.core.arrays import Float32
from omnireid.training.fused.kernels.rows import Map, Norm
from omnireid.training.fused.kernels.statistics import (
    batch_norm_backward,
    batch_norm_forward,
    instance_norm_backward,
    instance_norm_forward,
    pack,
)

_NOTHING = np.zeros(0, np.float32)
NO_MAP, NO_NORM = Map(_NOTHING, 0, 0), Norm(_NOTHING, 0, 0)


def padded(channels: int) -> int:
    """The next multiple of 16."""
    return -(-channels // 16) * 16


def flat(tensor: Tensor) -> Float32:
    """(N, C, H, W) in channels-last memory → its values as they lie there."""
    values: Float32 = tensor.detach().permute(0, 2, 3, 1).numpy().reshape(-1)
    return values


def channels_last(tensor: Tensor) -> Tensor:
    return tensor.detach().contiguous(memory_format=torch.channels_last)


def empty_map(pictures: int, channels: int, height: int, width: int) -> Tensor:
    return torch.empty((pictures, height, width, channels)).permute(0, 3, 1, 2)


def panel(weight: Tensor, *, transposed: bool = False) -> Float32:
    """1×1 weights (outputs, inputs, 1, 1) → tiles, channels padded; transposed, for the way back."""
    outputs, inputs = weight.shape[:2]
    values = weight.detach().reshape(outputs, inputs).contiguous().numpy().reshape(-1)
    strides = (1, inputs)
    if transposed:
        inputs, outputs, strides = outputs, inputs, (strides[1], strides[0])
    into = np.empty(padded(inputs) * padded(outputs), np.float32)
    pack(values, strides, inputs, outputs, into, padded(outputs))
    return into


class NormStep:
    """A batch or instance norm of one forward step: its statistics, and the way back.

    Attributes:
        values: (4, C), or for instance norm (N, 4, C), see `rows.Norm`.
        each: how far the pictures' rows lie apart.
    """

    def __init__(self, module: nn.Module, channels: int, into: Float32 | None = None) -> None:
        assert isinstance(module, nn.BatchNorm2d | nn.InstanceNorm2d)
        self.module = module
        self.channels = padded(channels)
        self._real = channels
        self.by_picture = isinstance(module, nn.InstanceNorm2d)
        self.each = 4 * self.channels if self.by_picture else 0
        self.values = into if into is not None else np.empty((4, self.channels), np.float32)

    def taken(self, values: Float32 | None = None) -> Norm:
        """As kernels take it; other values for the way back."""
        return Norm((self.values if values is None else values).reshape(-1), 0, self.each)

    def forward(self, sums: Float32, pixels: int) -> None:
        """From moments (N, 3, C); moves the running statistics."""
        module = self.module
        affine = np.zeros((2, self.channels), np.float32)
        affine[0, : self._real] = module.weight.detach().numpy()
        affine[1, : self._real] = module.bias.detach().numpy()
        if self.by_picture:
            self.values = np.empty((len(sums), 4, self.channels), np.float32)
            instance_norm_forward(sums, pixels, affine, module.eps, self.values)
            return
        assert module.running_mean is not None
        assert module.running_var is not None
        assert module.num_batches_tracked is not None
        running = module.running_mean.numpy(), module.running_var.numpy(), float(module.momentum or 0)
        batch_norm_forward(sums, pixels, affine, module.eps, self.values, running)
        module.num_batches_tracked.add_(1)

    def backward(
        self, sums: Float32, pixels: int, into: Float32 | None = None
    ) -> tuple[Float32, Tensor, Tensor]:
        """From sums (N, 2, C): what the kernels take on the way back, and the gradients of gain and bias."""
        slopes = np.empty_like(self.values) if into is None else into
        affine = np.empty((2, self.channels), np.float32)
        function: Any = instance_norm_backward if self.by_picture else batch_norm_backward
        function(sums, pixels, self.values, slopes, affine)
        gain, bias = torch.from_numpy(affine)[:, : self._real]
        return slopes, gain, bias


def pointwise_gradient(sums: Float32, weight: Tensor) -> Tensor:
    """(groups, inputs, outputs), padded → as the weights (outputs, inputs, 1, 1)."""
    outputs, inputs = weight.shape[:2]
    total = torch.from_numpy(sums.sum(axis=0))[:inputs, :outputs]
    return total.t().contiguous().reshape(weight.shape)

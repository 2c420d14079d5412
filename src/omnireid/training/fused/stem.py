"""Behind the stem's 7×7 and in the transitions: a step of autograd for each, in training mode."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from omnireid.models.osnet import ConvNorm
from omnireid.training.fused.kernels.backward import close_backward, pointwise_backward
from omnireid.training.fused.kernels.forward import close_forward, pointwise_forward
from omnireid.training.fused.kernels.rows import CHUNK, Map
from omnireid.training.fused.kernels.stem import map_moments, norm_backward, pool_backward, pool_forward
from omnireid.training.fused.layers import (
    NO_MAP,
    NO_NORM,
    NormStep,
    channels_last,
    empty_map,
    flat,
    panel,
    pointwise_gradient,
)
from omnireid.training.fused.workers import Workers, num_groups


class FusedPool(torch.autograd.Function):
    """(N, C, H, W) → normalisation, ReLU, 3×3 maximum with stride 2 → (N, C, H', W')."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, norm: torch.nn.Module, workers: Workers, *_: Tensor) -> Tensor:
        x = channels_last(x)
        pictures, channels, height, width = x.shape
        step = NormStep(norm, channels)
        source, shape = Map(flat(x), 0, channels), (pictures, height, width)
        sums = np.empty((pictures, 3, channels), np.float32)
        workers.run(map_moments, shape, source, sums.reshape(-1))
        step.forward(sums, height * width)
        out = empty_map(pictures, channels, (height + 1) // 2, (width + 1) // 2)
        workers.run(pool_forward, shape, source, step.taken(), Map(flat(out), 0, channels))
        ctx.step, ctx.workers = step, workers
        ctx.save_for_backward(x, out)
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, out = ctx.saved_tensors
        step, workers = ctx.step, ctx.workers
        pictures, channels, height, width = x.shape
        shape, source = (pictures, height, width), Map(flat(x), 0, channels)
        x_gradient = empty_map(*x.shape)
        target = flat(x_gradient)
        sums = np.empty((pictures, 2, channels), np.float32)
        incoming = Map(flat(channels_last(gradient)), 0, channels)
        workers.run(
            pool_backward,
            shape,
            incoming,
            Map(flat(out), 0, channels),
            source,
            step.taken(),
            target,
            sums.reshape(-1),
        )
        slopes, gain, bias = step.backward(sums, height * width)
        workers.run(norm_backward, shape, source, step.taken(slopes), target)
        return x_gradient, None, None, gain, bias


class FusedPointwise(torch.autograd.Function):
    """(N, C, H, W) → 1×1 convolution, batch norm, ReLU → (N, C', H, W)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, layer: ConvNorm, workers: Workers, *parameters: Tensor) -> Tensor:
        assert layer.bn is not None
        x = channels_last(x)
        pictures, inputs, height, width = x.shape
        outputs, shape = layer.conv.out_channels, (pictures, height, width)
        step = NormStep(layer.bn, outputs)
        sums = np.empty((pictures, 3, outputs), np.float32)
        before = empty_map(pictures, outputs, height, width)
        written = Map(flat(before), 0, outputs)
        workers.run(
            pointwise_forward,
            shape,
            Map(flat(x), 0, inputs),
            panel(layer.conv.weight),
            written,
            sums.reshape(-1),
        )
        step.forward(sums, height * width)
        out = empty_map(pictures, outputs, height, width)
        workers.run(close_forward, shape, written, step.taken(), NO_MAP, NO_NORM, Map(flat(out), 0, outputs))
        ctx.step, ctx.workers, ctx.written = step, workers, written
        ctx.save_for_backward(x, out, *parameters)
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, out, weight, *_ = ctx.saved_tensors
        step, workers, written = ctx.step, ctx.workers, ctx.written
        pictures, inputs, height, width = x.shape
        outputs, shape = len(weight), (pictures, height, width)
        masked = Map(flat(empty_map(pictures, outputs, height, width)), 0, outputs)
        sums = np.empty((pictures, 2, outputs), np.float32)
        incoming = Map(flat(channels_last(gradient)), 0, outputs)
        active = Map(flat(out), 0, outputs)
        workers.run(close_backward, shape, incoming, active, written, step.taken(), masked, sums.reshape(-1))
        slopes, gain, bias = step.backward(sums, height * width)
        weights = np.zeros((num_groups(pictures), inputs, outputs), np.float32)
        x_gradient = empty_map(*x.shape)
        workers.run(
            pointwise_backward,
            shape,
            masked,
            written,
            step.taken(slopes),
            Map(flat(x), 0, inputs),
            (panel(weight, transposed=True), weights.reshape(-1)),
            (flat(x_gradient), False),
            scratch=CHUNK * outputs,
        )
        return x_gradient, None, None, pointwise_gradient(weights, weight), gain, bias

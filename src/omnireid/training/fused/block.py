"""An omni-scale block as one step of autograd, in training mode."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from omnireid.core.arrays import Float32
from omnireid.models.fusion import AggregationGate
from omnireid.training.fused.kernels.backward import (
    StreamGradients,
    close_backward,
    lite_backward,
    pointwise_backward,
)
from omnireid.training.fused.kernels.forward import (
    Gate,
    Streams,
    close_forward,
    gate_forward,
    lite_forward,
    pointwise_forward,
)
from omnireid.training.fused.kernels.gate_backward import GateGradients, gate_backward
from omnireid.training.fused.kernels.rows import CHUNK, Map, Norm
from omnireid.training.fused.layers import (
    NO_NORM,
    NormStep,
    channels_last,
    empty_map,
    flat,
    padded,
    panel,
    pointwise_gradient,
)
from omnireid.training.fused.plan import BlockPlan
from omnireid.training.fused.workers import Workers, num_groups


class _Step:
    """What one forward leaves for its backward, besides the block's input and output."""

    def __init__(self, plan: BlockPlan, workers: Workers, x: Tensor) -> None:
        block = plan.block
        self.plan, self.block, self.workers = plan, block, workers
        self.pictures, self.inputs, self.height, self.width = x.shape
        self.shape = self.pictures, self.height, self.width
        self.pixels = self.height * self.width
        self.layers = plan.layers
        assert isinstance(block.gate, AggregationGate)
        self.weigher = block.gate
        mid = block.conv1.conv.out_channels
        self.channels, self.outputs = padded(mid), block.conv3.conv.out_channels
        count = 1 + len(self.layers)
        self.norm_values = np.empty((count, 4, self.channels), np.float32)
        norms = plan.norms()
        self.norms = [NormStep(norm, mid, into) for norm, into in zip(norms, self.norm_values, strict=False)]
        self.restored_norm = NormStep(norms[count], self.outputs)
        self.streams = Streams(
            torch.empty(count * self.pictures * self.pixels * self.channels).numpy(),
            self.norm_values.reshape(-1),
            np.concatenate([panel(layer.conv1.weight) for layer in self.layers]),
            self._taps(),
            self.channels,
        )

    def _taps(self, *, reverse: bool = False) -> Float32:
        """(layers, 9, C), flat."""
        taps = np.zeros((len(self.layers), 9, self.channels), np.float32)
        for values, layer in zip(taps, self.layers, strict=True):
            weight = layer.conv2.weight.detach().numpy()
            values[:: -1 if reverse else 1, : len(weight)] = weight.reshape(len(weight), 9).T
        return taps.reshape(-1)

    def maps(self, count: int, channels: int) -> Float32:
        return torch.empty(count * self.pictures * self.pixels * channels).numpy()

    def run(self, kernel: Any, *arguments: Any, scratch: int = 0) -> None:
        self.workers.run(kernel, self.shape, *arguments, scratch=scratch)

    def sums(self, rows: int, channels: int, count: int = 1) -> Float32:
        return np.empty((count, self.pictures, rows, channels), np.float32)

    def forward(self, x: Float32, out: Float32) -> None:
        block, channels, outputs = self.block, self.channels, self.outputs
        count = 1 + len(self.layers)
        source = Map(x, 0, self.inputs)
        sums = self.sums(3, channels, count)
        self.run(
            pointwise_forward,
            source,
            panel(block.conv1.conv.weight),
            Map(self.streams.maps, 0, channels),
            sums[0].reshape(-1),
        )
        self.norms[0].forward(sums[0], self.pixels)
        for jobs in self.plan.jobs_forward:
            self.run(
                lite_forward,
                self.streams,
                jobs,
                sums.reshape(-1),
                scratch=(2 * self.height + 4) * self.width * channels,
            )
            for _, layer in jobs:
                self.norms[layer].forward(sums[layer], self.pixels)
        self.gate = self._gate()
        self.restored = Map(self.maps(1, outputs), 0, outputs)
        sums = self.sums(3, outputs, 2)
        self.run(
            gate_forward,
            self.streams,
            self.gate,
            panel(block.conv3.conv.weight),
            self.restored,
            sums[0].reshape(-1),
            scratch=CHUNK * channels,
        )
        self.restored_norm.forward(sums[0], self.pixels)
        shortcut, shortcut_norm = source, NO_NORM
        if block.downsample is not None:
            shortcut = Map(self.maps(1, outputs), 0, outputs)
            self.run(
                pointwise_forward, source, panel(block.downsample.conv.weight), shortcut, sums[1].reshape(-1)
            )
            self.shortcut_norm = NormStep(self.plan.norms()[-1], outputs)
            self.shortcut_norm.forward(sums[1], self.pixels)
            shortcut_norm = self.shortcut_norm.taken()
            self.shortcut = shortcut
        norm = self.restored_norm.taken()
        self.run(close_forward, self.restored, norm, shortcut, shortcut_norm, Map(out, 0, outputs))

    def _gate(self) -> Gate:
        weights = [value.detach().numpy() for value in self.weigher.parameters()]
        hidden, mid = weights[0].shape[:2]
        squeeze = np.zeros((hidden, self.channels), np.float32)
        squeeze[:, :mid] = weights[0].reshape(hidden, mid)
        excite = np.zeros((self.channels, hidden), np.float32)
        excite[:mid] = weights[2].reshape(mid, hidden)
        excite_bias = np.zeros(self.channels, np.float32)
        excite_bias[:mid] = weights[3]
        streams = len(self.plan.last_layers)
        return Gate(
            squeeze,
            weights[1].copy(),
            excite,
            excite_bias,
            self.plan.last_layers,
            np.empty((self.pictures, streams, self.channels), np.float32),
            np.empty((self.pictures, streams, hidden), np.float32),
            np.empty((self.pictures, streams, self.channels), np.float32),
        )

    def backward(self, x: Float32, out: Float32, gradient: Float32, x_gradient: Float32) -> list[Tensor]:
        """Write the input's gradient; the parameters' in the order of the plan's."""
        block, channels, outputs, inputs = self.block, self.channels, self.outputs, self.inputs
        groups, count, streams = num_groups(self.pictures), len(self.layers), len(self.plan.last_layers)
        norm = self.restored_norm.taken()
        masked = Map(x_gradient if block.downsample is None else self.maps(1, outputs), 0, outputs)
        sums = self.sums(2, outputs, 2)
        self.run(
            close_backward,
            Map(gradient, 0, outputs),
            Map(out, 0, outputs),
            self.restored,
            norm,
            masked,
            sums[0].reshape(-1),
        )
        after: list[Tensor] = []
        if block.downsample is not None:
            norm = self.shortcut_norm.taken()
            self.run(
                close_backward, masked, Map(out, 0, outputs), self.shortcut, norm, masked, sums[1].reshape(-1)
            )
            slopes, gain, bias = self.shortcut_norm.backward(sums[1], self.pixels)
            weights = np.zeros((groups, inputs, outputs), np.float32)
            self.run(
                pointwise_backward,
                masked,
                self.shortcut,
                self.shortcut_norm.taken(slopes),
                Map(x, 0, inputs),
                (panel(block.downsample.conv.weight, transposed=True), weights.reshape(-1)),
                (x_gradient, False),
                scratch=CHUNK * outputs,
            )
            after = [pointwise_gradient(weights, block.downsample.conv.weight), gain, bias]
        slopes, restored_gain, restored_bias = self.restored_norm.backward(sums[0], self.pixels)
        gradients = StreamGradients(
            self.maps(streams + 2, channels),
            np.empty((1 + count) * 4 * channels, np.float32),
            np.concatenate([panel(layer.conv1.weight, transposed=True) for layer in self.layers]),
            self._taps(reverse=True),
            np.zeros(groups * count * channels * channels, np.float32),
            np.zeros(groups * count * 9 * channels, np.float32),
            self.sums(2, channels, 1 + count),
            np.empty((self.pictures, streams, 2, channels), np.float32),
        )
        gate = self.gate
        gate_gradients = GateGradients(
            *(np.zeros((groups, *values.shape), np.float32) for values in gate[:4])
        )
        weights = np.zeros((groups, channels, outputs), np.float32)
        restored = masked, self.restored, self.restored_norm.taken(slopes)
        self.run(
            gate_backward,
            restored,
            (panel(block.conv3.conv.weight, transposed=True), weights.reshape(-1)),
            self.streams,
            gate,
            gradients,
            gate_gradients,
            scratch=CHUNK * (outputs + channels) + 5 * streams * channels,
        )
        affine = self._streams_backward(gradients)
        conv1 = np.zeros((groups, inputs, channels), np.float32)
        shared = Map(gradients.maps, streams * self.pictures * self.pixels * channels, channels)
        self.run(
            pointwise_backward,
            shared,
            Map(self.streams.maps, 0, channels),
            Norm(gradients.norms, 0, 0),
            Map(x, 0, inputs),
            (panel(block.conv1.conv.weight, transposed=True), conv1.reshape(-1)),
            (x_gradient, True),
            scratch=CHUNK * channels,
        )
        return [
            pointwise_gradient(conv1, block.conv1.conv.weight),
            *affine[0],
            *self._layer_gradients(gradients, affine[1:]),
            *self._gate_gradients(gate_gradients),
            pointwise_gradient(weights, block.conv3.conv.weight),
            restored_gain,
            restored_bias,
            *after,
        ]

    def _layer_gradients(
        self, gradients: StreamGradients, affine: list[tuple[Tensor, Tensor]]
    ) -> list[Tensor]:
        """Of the Lite 3×3: both convolutions, gain and bias of each."""
        count, channels, mid = len(self.layers), self.channels, self.block.conv1.conv.out_channels
        pointwise = gradients.weights.reshape(-1, count, channels, channels).sum(axis=0)[:, :mid, :mid]
        taps = gradients.tap_weights.reshape(-1, count, 9, channels).sum(axis=0)[:, :, :mid]
        by_output = torch.from_numpy(pointwise).transpose(1, 2).contiguous()[..., None, None]
        by_channel = torch.from_numpy(taps).transpose(1, 2).reshape(count, mid, 1, 3, 3)
        layers = zip(by_output, by_channel, affine, strict=True)
        return [value for weight, tap, norm in layers for value in (weight, tap, *norm)]

    def _streams_backward(self, gradients: StreamGradients) -> list[tuple[Tensor, Tensor]]:
        """From the gate to the first 1×1's norm; the gradients of all norms' gains and biases."""
        slopes = gradients.norms.reshape(-1, 4, self.channels)
        affine: list[Any] = [None] * len(self.norms)

        def settle(layer: int) -> None:
            _, gain, bias = self.norms[layer].backward(gradients.sums[layer], self.pixels, slopes[layer])
            affine[layer] = gain, bias

        room = (4 * self.height + 8) * self.width * self.channels
        for jobs in self.plan.jobs_backward:
            for job in jobs:
                settle(int(job[2]))
            self.run(lite_backward, self.streams, gradients, jobs, scratch=room)
        settle(0)
        return affine

    def _gate_gradients(self, gradients: GateGradients) -> list[Tensor]:
        fc1, fc2 = self.weigher.fc1, self.weigher.fc2
        mid = fc1.in_channels
        squeeze, squeeze_bias, excite, excite_bias = (torch.from_numpy(v.sum(axis=0)) for v in gradients)
        return [
            squeeze[:, :mid].reshape(fc1.weight.shape),
            squeeze_bias,
            excite[:mid].reshape(fc2.weight.shape),
            excite_bias[:mid],
        ]


class FusedBlock(torch.autograd.Function):
    """(N, C, H, W) → (N, C', H, W), as `OSBlock` in training mode."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, plan: BlockPlan, workers: Workers, *parameters: Tensor) -> Tensor:
        x = channels_last(x)
        out = empty_map(len(x), plan.block.conv3.conv.out_channels, *x.shape[2:])
        ctx.step = _Step(plan, workers, x)
        ctx.step.forward(flat(x), flat(out))
        ctx.save_for_backward(x, out, *parameters)
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, out, *_ = ctx.saved_tensors
        x_gradient = empty_map(*x.shape)
        found = ctx.step.backward(flat(x), flat(out), flat(channels_last(gradient)), flat(x_gradient))
        return x_gradient, None, None, *found

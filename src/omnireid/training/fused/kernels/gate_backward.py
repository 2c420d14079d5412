"""From a block's last norm back through the gate: the gated sum's gradient, and how it enters each stream."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from omnireid.core.compiled import compiled
from omnireid.inference.native.vectors import (
    LANES,
    add,
    address,
    load,
    maximum,
    multiply_add,
    splat,
    store,
    subtract,
    where_positive,
)
from omnireid.training.fused.kernels.backward import StreamGradients
from omnireid.training.fused.kernels.forward import Gate, Streams, gated_sum
from omnireid.training.fused.kernels.rows import (
    CHUNK,
    Map,
    Norm,
    Task,
    backward_norm,
    outer,
    pictures_of,
    product,
)

Array = Any


class GateGradients(NamedTuple):
    """As the weights of `Gate`, for each group; added to."""

    squeeze: Array
    squeeze_bias: Array
    excite: Array
    excite_bias: Array


@compiled
def gate_backward(
    task: Task,
    restored: tuple[Map, Map, Norm],
    weights: tuple[Array, Array],
    streams: Streams,
    gate: Gate,
    gradients: StreamGradients,
    gate_gradients: GateGradients,
    scratch: Array,
) -> None:
    """Through the last norm, the 1×1 before it, the gated sum and the gate.

    Args:
        restored: gradient at the norm's result, output of the convolution, its norm.
        weights: the convolution's transposed panel, and (groups, C, outputs) gradients, added to.
        scratch: room for two chunks and for sums.
    """
    gradient, output, norm = restored
    panel, sums = weights
    size, channels, outputs = task.height * task.width, streams.channels, output.channels
    num_streams = len(gate.layers)
    total = (num_streams + 1) * task.pictures * size * channels  # where the gated sum's gradient begins
    inner = CHUNK * outputs
    moments = inner + CHUNK * channels
    for group in range(task.first, task.end):
        first, end = pictures_of(task, group)
        for picture in range(first, end):
            scratch[moments : moments + num_streams * 5 * channels] = 0
            for start in range(0, size, CHUNK):
                pixel, count = picture * size + start, min(CHUNK, size - start)
                here = Map(output.values, output.at + pixel * outputs, outputs)
                backward_norm(
                    gradient.values, gradient.at + pixel * outputs, here, norm, picture, count, scratch, 0
                )
                summed = scratch[inner:]
                gated_sum(task, streams, gate, (picture, start, count), summed)
                outer(
                    address(summed, 0),
                    address(scratch, 0),
                    address(sums, group * channels * outputs),
                    (count, channels, outputs),
                )
                at = total + pixel * channels
                product(
                    task.product,
                    address(scratch, 0),
                    address(panel, 0),
                    address(gradients.maps, at),
                    0,
                    (count, outputs, channels),
                )
                for stream in range(num_streams):
                    _gate_moments(
                        task,
                        streams,
                        gate.layers[stream],
                        (picture, start, count),
                        Map(gradients.maps, at, channels),
                        scratch,
                        moments + stream * 5 * channels,
                    )
            for stream in range(num_streams):
                _weigh_backward(
                    (group, picture, stream, size),
                    gate,
                    gate_gradients,
                    scratch[moments + stream * 5 * channels :],
                    gradients.entries[picture, stream],
                    gradients.sums[gate.layers[stream], picture],
                )


@compiled
def _gate_moments(
    task: Task,
    streams: Streams,
    layer: int,
    place: tuple[int, int, int],
    gradient: Map,
    sums: Array,
    sums_at: int,
) -> None:
    """Add to Σ g·1, Σ 1, Σ g·1·(x − mean), Σ 1·(x − mean) and Σ g·relu, where 1 is 1 where ReLU is active."""
    picture, start, count = place
    size, channels, zero = task.height * task.width, streams.channels, splat(np.float32(0))
    one = splat(np.float32(1))
    at = ((layer * task.pictures + picture) * size + start) * channels
    for channel in range(0, channels, LANES):
        row = layer * 4 * channels + channel
        scale, shift = load(streams.norms, row), load(streams.norms, row + channels)
        mean = load(streams.norms, row + 2 * channels)
        s0, s1, s2, s3, s4 = zero, zero, zero, zero, zero
        for pixel in range(count):
            value = load(streams.maps, at + pixel * channels + channel)
            slope = load(gradient.values, gradient.at + pixel * channels + channel)
            active = maximum(multiply_add(value, scale, shift), zero)
            centred = subtract(value, mean)
            masked = where_positive(active, slope)
            s0 = add(s0, masked)
            s1 = add(s1, where_positive(active, one))
            s2 = multiply_add(masked, centred, s2)
            s3 = add(s3, where_positive(active, centred))
            s4 = multiply_add(slope, active, s4)
        here = sums_at + channel
        store(sums, here, add(load(sums, here), s0))
        store(sums, here + channels, add(load(sums, here + channels), s1))
        store(sums, here + 2 * channels, add(load(sums, here + 2 * channels), s2))
        store(sums, here + 3 * channels, add(load(sums, here + 3 * channels), s3))
        store(sums, here + 4 * channels, add(load(sums, here + 4 * channels), s4))


@compiled
def _weigh_backward(
    place: tuple[int, int, int, int],
    gate: Gate,
    gradients: GateGradients,
    moments: Array,
    entry: Array,
    sums: Array,
) -> None:
    """Through a picture's gate of one stream; how the gradient enters the stream, and its norm's sums."""
    group, picture, stream, size = place
    channels, num_hidden = gate.gates.shape[2], gate.hidden.shape[2]
    weights, hidden = gate.gates[picture, stream], gate.hidden[picture, stream]
    pooled = gate.pooled[picture, stream]
    for channel in range(channels):
        entry[0, channel] = weights[channel]
        entry[1, channel] = 0
    for unit in range(num_hidden):
        slope = 0.0
        for channel in range(channels):
            logit = moments[4 * channels + channel] * weights[channel] * (np.float32(1) - weights[channel])
            if unit == 0:
                gradients.excite_bias[group, channel] += logit
            gradients.excite[group, channel, unit] += logit * hidden[unit]
            slope += np.float64(logit) * gate.excite[channel, unit]
        if hidden[unit] > 0:
            gradients.squeeze_bias[group, unit] += slope
            for channel in range(channels):
                gradients.squeeze[group, unit, channel] += slope * pooled[channel]
                entry[1, channel] += slope * gate.squeeze[unit, channel] / np.float32(size)
    for channel in range(channels):
        factor, summand = entry[0, channel], entry[1, channel]
        sums[0, channel] = factor * moments[channel] + summand * moments[channels + channel]
        sums[1, channel] = (
            factor * moments[2 * channels + channel] + summand * moments[3 * channels + channel]
        )

"""A block forward: kernels that write maps before their normalisation, and the moments for it."""

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
    multiply,
    multiply_add,
    splat,
    store,
)
from omnireid.training.fused.kernels.rows import (
    CHUNK,
    Map,
    Norm,
    Task,
    activate,
    add_moments,
    depthwise_row,
    pictures_of,
    product,
)

Array = Any


class Streams(NamedTuple):
    """The Lite 3×3 of a block.

    Attributes:
        maps: (1 + layers, N, H, W, C): the block's first 1×1, then each layer, before their norms.
        norms: (1 + layers, 4, C), see `Norm`.
        panels: (layers, C · C), the 1×1s as `product` takes them.
        taps: (layers, 9, C).
        channels: C.
    """

    maps: Array
    norms: Array
    panels: Array
    taps: Array
    channels: int


class Gate(NamedTuple):
    """The gate of a block, its weights (hidden, C), hidden, (C, hidden), C, and what it computed.

    Attributes:
        layers: of each stream the last map in `Streams.maps`.
        pooled, gates: (N, streams, C); hidden: (N, streams, hidden).
    """

    squeeze: Array
    squeeze_bias: Array
    excite: Array
    excite_bias: Array
    layers: Array
    pooled: Array
    hidden: Array
    gates: Array


@compiled
def pointwise_forward(task: Task, source: Map, panel: Array, target: Map, sums: Array) -> None:
    """1×1 convolution, and the moments (N, 3, C) of its result."""
    size = task.height * task.width
    inputs, outputs = source.channels, target.channels
    for group in range(task.first, task.end):
        first, end = pictures_of(task, group)
        for picture in range(first, end):
            for start in range(0, size, CHUNK):
                pixel = picture * size + start
                count = min(CHUNK, size - start)
                product(
                    task.product,
                    address(source.values, source.at + pixel * inputs),
                    address(panel, 0),
                    address(target.values, target.at + pixel * outputs),
                    0,
                    (count, inputs, outputs),
                )
                written = Map(target.values, target.at + pixel * outputs, outputs)
                add_moments(written, count, sums, picture * 3 * outputs, start == 0)


@compiled
def rows_at_once(task: Task) -> int:
    """Rows of a map that are worked on at a time: two, and at least 32 pixels."""
    return max(2, (32 + task.width - 1) // task.width)


@compiled
def lite_forward(task: Task, streams: Streams, jobs: Array, sums: Array, scratch: Array) -> None:
    """Lite 3×3 layers that do not depend on each other.

    Args:
        jobs: (layers, 2) the maps that they read and write.
        sums: (1 + layers, N, 3, C) moments, written.
        scratch: room for (2 · H + 4) rows.
    """
    height, width, channels = task.height, task.width, streams.channels
    line = width * channels
    size, rows = height * line, rows_at_once(task)
    middle = size + line  # a row of zeros above and below
    scratch[size : size + line] = 0
    scratch[middle + size : middle + size + line] = 0
    for group in range(task.first, task.end):
        first, end = pictures_of(task, group)
        for picture in range(first, end):
            for job in range(jobs.shape[0]):
                source, target = jobs[job, 0], jobs[job, 1]
                source_at = (source * task.pictures + picture) * size
                target_at = (target * task.pictures + picture) * size
                norm = Norm(streams.norms, source * 4 * channels, 0)
                sums_at = (target * task.pictures + picture) * 3 * channels
                done = 0
                for top in range(0, height, rows):
                    bottom = min(top + rows, height)
                    pixels = (bottom - top) * width
                    piece = Map(streams.maps, source_at + top * line, channels)
                    activate(piece, norm, 0, pixels, scratch, 0)
                    product(
                        task.product,
                        address(scratch, 0),
                        address(streams.panels, (target - 1) * channels * channels),
                        address(scratch, middle + top * line),
                        0,
                        (pixels, channels, channels),
                    )
                    ready = height if bottom == height else bottom - 1
                    for row in range(done, ready):
                        here = middle + row * line
                        depthwise_row(
                            (here - line, here, here + line),
                            scratch,
                            streams.taps,
                            (target - 1) * 9 * channels,
                            Map(streams.maps, target_at + row * line, channels),
                            width,
                        )
                    written = Map(streams.maps, target_at + done * line, channels)
                    add_moments(written, (ready - done) * width, sums, sums_at, done == 0)
                    done = ready


@compiled
def gate_forward(
    task: Task, streams: Streams, gate: Gate, panel: Array, target: Map, sums: Array, scratch: Array
) -> None:
    """The gate's weights, the sum of the gated streams, and the 1×1 that restores the block's width."""
    size, channels, outputs = task.height * task.width, streams.channels, target.channels
    for group in range(task.first, task.end):
        first, end = pictures_of(task, group)
        for picture in range(first, end):
            weigh(task, streams, gate, picture)
            for start in range(0, size, CHUNK):
                count = min(CHUNK, size - start)
                gated_sum(task, streams, gate, (picture, start, count), scratch)
                target_at = target.at + (picture * size + start) * outputs
                product(
                    task.product,
                    address(scratch, 0),
                    address(panel, 0),
                    address(target.values, target_at),
                    0,
                    (count, channels, outputs),
                )
                written = Map(target.values, target_at, outputs)
                add_moments(written, count, sums, picture * 3 * outputs, start == 0)


@compiled
def weigh(task: Task, streams: Streams, gate: Gate, picture: int) -> None:
    """The gate of one picture's streams: sigmoid(W₂ · relu(W₁ · mean + b₁) + b₂)."""
    size, channels, zero = task.height * task.width, streams.channels, splat(np.float32(0))
    share = splat(np.float32(1) / np.float32(size))
    hidden = gate.hidden.shape[2]
    for stream in range(len(gate.layers)):
        layer = gate.layers[stream]
        at = (layer * task.pictures + picture) * size * channels
        norm_at = layer * 4 * channels
        mean_at = (picture * len(gate.layers) + stream) * channels
        pooled, gates = gate.pooled.ravel(), gate.gates[picture, stream]
        for channel in range(0, channels, LANES):
            scale = load(streams.norms, norm_at + channel)
            shift = load(streams.norms, norm_at + channels + channel)
            total = zero
            for start in range(0, size, CHUNK):
                part = zero
                for pixel in range(start, min(start + CHUNK, size)):
                    value = load(streams.maps, at + pixel * channels + channel)
                    part = add(part, maximum(multiply_add(value, scale, shift), zero))
                total = add(total, part)
            store(pooled, mean_at + channel, multiply(total, share))
        for channel in range(channels):
            gates[channel] = gate.excite_bias[channel]
        for unit in range(hidden):
            value = gate.squeeze_bias[unit]
            for channel in range(channels):
                value += gate.squeeze[unit, channel] * gate.pooled[picture, stream, channel]
            value = max(value, np.float32(0))
            gate.hidden[picture, stream, unit] = value
            for channel in range(channels):
                gates[channel] += value * gate.excite[channel, unit]
        for channel in range(channels):
            gates[channel] = np.float32(1) / (np.float32(1) + np.exp(-gates[channel]))


@compiled
def gated_sum(task: Task, streams: Streams, gate: Gate, place: tuple[int, int, int], target: Array) -> None:
    """Σ gate · stream of some pixels: the picture, the first pixel and their number."""
    picture, start, count = place
    size, channels, zero = task.height * task.width, streams.channels, splat(np.float32(0))
    gates = gate.gates.ravel()
    for stream in range(len(gate.layers)):
        layer = gate.layers[stream]
        at = ((layer * task.pictures + picture) * size + start) * channels
        norm_at = layer * 4 * channels
        gate_at = (picture * len(gate.layers) + stream) * channels
        for channel in range(0, channels, LANES):
            scale = load(streams.norms, norm_at + channel)
            shift = load(streams.norms, norm_at + channels + channel)
            weight = load(gates, gate_at + channel)
            for pixel in range(count):
                here = pixel * channels + channel
                value = maximum(multiply_add(load(streams.maps, at + here), scale, shift), zero)
                value = multiply(value, weight)
                if stream > 0:
                    value = add(value, load(target, here))
                store(target, here, value)


@compiled
def close_forward(
    task: Task, source: Map, norm: Norm, shortcut: Map, shortcut_norm: Norm, target: Map
) -> None:
    """ReLU of a normalised map plus the shortcut, as it is or normalised; what has length 0 is left out."""
    size, channels, zero = task.height * task.width, target.channels, splat(np.float32(0))
    for group in range(task.first, task.end):
        first, end = pictures_of(task, group)
        for picture in range(first, end):
            norm_at = norm.at + picture * norm.each
            for pixel in range(picture * size, (picture + 1) * size):
                for channel in range(0, channels, LANES):
                    at = pixel * channels + channel
                    value = multiply_add(
                        load(source.values, source.at + at),
                        load(norm.values, norm_at + channel),
                        load(norm.values, norm_at + channels + channel),
                    )
                    if len(shortcut.values) > 0:
                        other = load(shortcut.values, shortcut.at + at)
                        if len(shortcut_norm.values) > 0:
                            other = multiply_add(
                                other,
                                load(shortcut_norm.values, channel),
                                load(shortcut_norm.values, channels + channel),
                            )
                        value = add(value, other)
                    store(target.values, target.at + at, maximum(value, zero))

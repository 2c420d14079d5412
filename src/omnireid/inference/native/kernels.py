"""The steps of OSNet on one picture, as compiled loops over channels-last activations.

Activations are flat arrays: float32, uint16 that holds bfloat16, or uint8: whole numbers of a channel's unit,
which constants and weights know of, and the steps do not. Among the latter, maps that no ReLU makes are
bfloat16, with both signs. Positions count elements. Channels come
in multiples of 16, the surplus ones zero. Sums are always made in float32. A step may be shared by several
threads: each is a part, works on its own pixels, streams or channels, and meets the others at a barrier
before the next step. What a step is about stands in its row of the program's table.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from omnireid.core.compiled import compiled, compiled_in_any_order, inlined
from omnireid.inference.native.products import Product, Source, Target, multiply_pixels
from omnireid.inference.native.program import (
    CONSTANT,
    EXTRA,
    GATE,
    HEIGHT,
    HIDDEN,
    INPUTS,
    OUTPUTS,
    PANEL,
    PANEL_SIZE,
    PRODUCT,
    RELU,
    ROWS,
    SHORTCUT,
    SHORTCUT_INPUTS,
    SOURCE,
    STREAM_SIZE,
    TARGET,
    WIDTH,
)
from omnireid.inference.native.vectors import (
    LANES,
    add,
    address,
    divide,
    load,
    load_bfloat16,
    maximum,
    multiply,
    multiply_add,
    splat,
    square_root,
    store,
    subtract,
)

Array = Any


class Pictures(NamedTuple):
    """What comes in and goes out.

    Attributes:
        crops: (N, H, W, 3) uint8, contiguous.
        features: (N, C) float32, written: the means over conv5.
        maps: (N, h · w, C) float32, written: conv5 itself; with N = 0 it is not wanted.
    """

    crops: Array
    features: Array
    maps: Array


class Network(NamedTuple):
    """What the steps read of a `Program`."""

    steps: Array
    depths: Array
    panels: Array
    constants: Array


class Memory(NamedTuple):
    """Where a thread works: arrays of a `_Workspace`, and the places in them of its own part."""

    activations: Array
    chunk_at: int
    streams_at: int
    room: Array
    room_at: int
    ring_at: int
    gates_at: int
    sums: Array


class Part(NamedTuple):
    """One of `parts` threads that work on the same picture."""

    number: int
    parts: int


@compiled
def share(count: int, unit: int, part: Part) -> tuple[int, int]:
    """First and end of what one part does of `count`, cut at multiples of `unit`."""
    units = (count + unit - 1) // unit
    first, end = units * part.number // part.parts, units * (part.number + 1) // part.parts
    return min(count, unit * first), min(count, unit * end)


@compiled
def _pixels(array: Array, at: int, channels: int) -> Source:
    """Pixels of `channels` channels that lie one after the other."""
    return Source(address(array, at), channels * array.itemsize, 1, 0, channels)


@compiled
def target_size(step: Array, activations: Array) -> int:
    """Bytes of an element of the map that a product makes."""
    return 2 if activations.itemsize == 1 and not step[RELU] else activations.itemsize


@compiled
def _load_raw(activations: Array, place: int, index: int) -> Any:
    """LANES values from one on of a map that no ReLU makes."""
    if activations.itemsize == 1:
        return load_bfloat16(address(activations, place) + 2 * index)
    return load(activations, place + index)


@compiled
def pointwise(
    step: Array, network: Network, memory: Memory, source_at: int, target_at: int, pixels: int
) -> None:
    """1×1 convolution of `pixels` pixels; EXTRA is where a map lies that is added to it, −1 for none."""
    activations, outputs = memory.activations, step[OUTPUTS]
    size = target_size(step, activations)
    residual = 0
    if step[EXTRA] >= 0:
        residual = address(activations, step[EXTRA] + target_at - step[TARGET])
    target = address(activations, step[TARGET]) + (target_at - step[TARGET]) * size
    bias = address(network.constants, step[CONSTANT])
    multiply_pixels(
        step[PRODUCT],
        Product(
            _pixels(activations, source_at, step[INPUTS] + step[SHORTCUT_INPUTS]),
            address(network.panels, step[PANEL]),
            outputs,
            Target(target, outputs * size, bias, residual, outputs * activations.itemsize, step[RELU]),
            pixels,
            address(memory.room, memory.room_at),
            0,
        ),
    )


@compiled_in_any_order
def lite(step: Array, network: Network, memory: Memory, stream: int, level: int, part: Part) -> None:
    """Lite 3×3 of a stream: 1×1, depthwise 3×3, bias, ReLU; of so many rows more as later levels need.

    Source and target may be the same. The 1×1's result is kept for 2 · ROWS rows only, in the room from
    `ring_at` on; before them lies a row of zeros. Nothing of the source is read again once its rows are in
    there, so the target may take its place. ROWS is at least 2, and at least 32 pixels.

    Args:
        level: the layer's place in its stream; of the last one the sums of rows are written, (height, C).
    """
    activations, room, constants = memory.activations, memory.room, network.constants
    height, width, channels, rows = step[HEIGHT], step[WIDTH], step[INPUTS], step[ROWS]
    more = network.depths[stream] - 1 - level
    layer = level
    for before in range(stream):
        layer += network.depths[before]
    first, end = share(height, 1, part)
    first, end = max(first - more, 0), min(end + more, height)
    target_at = memory.streams_at + stream * step[STREAM_SIZE]
    source_at = step[SOURCE] if level == 0 else target_at
    panel = step[PANEL] + layer * step[PANEL_SIZE]
    # Nine depthwise weights, then the bias, each for all channels.
    weights_at = step[CONSTANT] + layer * 10 * channels
    sums_at = stream * height * channels if more == 0 else -1
    line = width * channels
    ring_at = memory.ring_at
    zeros_at = ring_at - line
    ring_end = ring_at + 2 * rows * line
    start, stop = max(first - 1, 0), min(end + 1, height)
    done = first
    slot = ring_at
    above = ring_at if first > 0 else zeros_at
    here = ring_at + (first - start) * line
    for top in range(start, stop, rows):
        bottom = min(top + rows, stop)
        multiply_pixels(
            step[PRODUCT],
            Product(
                _pixels(activations, source_at + top * line, channels),
                address(network.panels, panel),
                channels,
                Target(address(room, slot), 4 * channels, 0, 0, 0, 0),
                (bottom - top) * width,
                address(room, memory.room_at),
                1,
            ),
        )
        slot = ring_at + rows * line if slot == ring_at else ring_at
        # The last row of a block waits for the one below it.
        ready = end if bottom == stop else bottom - 1
        for row in range(done, ready):
            after = here + line
            if after == ring_end:
                after = ring_at
            _depthwise_row(
                memory,
                (above, here, after if row + 1 < height else zeros_at),
                constants,
                weights_at,
                target_at + row * line,
                width,
                channels,
                sums_at + row * channels if sums_at >= 0 else -1,
            )
            above, here = here, after
        done = max(done, ready)


@inlined
def _depthwise_row(
    memory: Memory,
    lines: tuple[int, int, int],
    constants: Array,
    weights_at: int,
    target_at: int,
    width: int,
    channels: int,
    sums_at: int,
) -> None:
    """One row of outputs; `lines` are the places of the rows above, here and below in the room."""
    above, here, below = lines
    room, target, sums = memory.room, memory.activations, memory.sums
    zero = splat(np.float32(0))
    for channel in range(0, channels, LANES):
        at = weights_at + channel
        w00, w01, w02 = _three(constants, at, at + channels, at + 2 * channels)
        at += 3 * channels
        w10, w11, w12 = _three(constants, at, at + channels, at + 2 * channels)
        at += 3 * channels
        w20, w21, w22 = _three(constants, at, at + channels, at + 2 * channels)
        bias = load(constants, at + 3 * channels)
        left0, left1, left2 = zero, zero, zero
        middle0, middle1, middle2 = _three(room, above + channel, here + channel, below + channel)
        total = zero
        for column in range(width):
            step = (column + 1) * channels + channel
            right0, right1, right2 = zero, zero, zero
            if column + 1 < width:
                right0, right1, right2 = _three(room, above + step, here + step, below + step)
            value = multiply_add(w00, left0, bias)
            value = multiply_add(w01, middle0, value)
            value = multiply_add(w02, right0, value)
            value = multiply_add(w10, left1, value)
            value = multiply_add(w11, middle1, value)
            value = multiply_add(w12, right1, value)
            value = multiply_add(w20, left2, value)
            value = multiply_add(w21, middle2, value)
            value = maximum(multiply_add(w22, right2, value), zero)
            total = add(total, value)
            store(target, target_at + step - channels, value)
            left0, left1, left2 = middle0, middle1, middle2
            middle0, middle1, middle2 = right0, right1, right2
        if sums_at >= 0:
            store(sums, sums_at + channel, total)


@inlined
def _three(array: Array, first: int, second: int, third: int) -> Any:
    return load(array, first), load(array, second), load(array, third)


@compiled_in_any_order
def gates(step: Array, network: Network, memory: Memory) -> None:
    """The shared gate for all streams: sums of rows → weights (streams, channels) in the room.

    Rows are added in their order, whoever made them: (streams, height, channels). GATE is the place of
    (hidden, channels) weights, hidden biases, (hidden, channels) weights back, channels biases, then twice
    (streams, channels): units of the streams, and of the streams in those of the sum.
    """
    sums, room, constants = memory.sums, memory.room, network.constants
    height, channels, hidden, gate_at = step[HEIGHT], step[INPUTS], step[HIDDEN], step[GATE]
    streams = len(network.depths)
    back_at = gate_at + hidden * channels + hidden
    units_at = back_at + hidden * channels + channels
    shares_at = units_at + streams * channels
    share_of_mean = splat(np.float32(1) / np.float32(height * step[WIDTH]))
    for stream in range(streams):
        mine = memory.gates_at + stream * channels
        mean_at = memory.gates_at + streams * channels
        for channel in range(0, channels, LANES):
            total = splat(np.float32(0))
            for row in range(height):
                total = add(total, load(sums, (stream * height + row) * channels + channel))
            unit = load(constants, units_at + stream * channels + channel)
            store(room, mean_at + channel, multiply(multiply(total, share_of_mean), unit))
        for channel in range(channels):
            room[mine + channel] = constants[back_at + hidden * channels + channel]
        for unit in range(hidden):
            value = constants[gate_at + hidden * channels + unit]
            for channel in range(channels):
                value += constants[gate_at + unit * channels + channel] * room[mean_at + channel]
            if value > 0:
                for channel in range(channels):
                    room[mine + channel] += value * constants[back_at + unit * channels + channel]
        for channel in range(channels):
            share = constants[shares_at + stream * channels + channel]
            room[mine + channel] = share / (np.float32(1) + np.exp(-room[mine + channel]))


@compiled
def gated_sum(step: Array, memory: Memory, streams: int, first: int, end: int) -> None:
    """Σ gate · stream for the pixels from `first` to `end`, into the chunk, where the shortcut has room."""
    activations, room, gates_at = memory.activations, memory.room, memory.gates_at
    channels, stream_size = step[INPUTS], step[STREAM_SIZE]
    stride = channels + step[SHORTCUT_INPUTS]
    for pixel in range(first, end):
        for channel in range(0, channels, LANES):
            at = memory.streams_at + pixel * channels + channel
            value = multiply(load(activations, at), load(room, gates_at + channel))
            for stream in range(1, streams):
                gate = load(room, gates_at + stream * channels + channel)
                value = multiply_add(load(activations, at + stream * stream_size), gate, value)
            store(activations, memory.chunk_at + (pixel - first) * stride + channel, value)


@compiled
def copy_pixels(
    activations: Array, source_at: int, channels: int, pixels: int, target_at: int, target_stride: int
) -> None:
    """Copy pixels to where they lie further apart."""
    for pixel in range(pixels):
        for channel in range(channels):
            activations[target_at + pixel * target_stride + channel] = activations[
                source_at + pixel * channels + channel
            ]


@compiled
def max_pool_row(
    activations: Array, above: int, here: int, below: int, target_at: int, width: int, channels: int
) -> None:
    """One row of the 3×3, stride 2 maximum over values that are not negative; −1 for a row outside."""
    zero = splat(np.float32(0))
    for column in range((width + 1) // 2):
        for channel in range(0, channels, LANES):
            value = zero
            for row in (above, here, below):
                if row >= 0:
                    for x in range(max(2 * column - 1, 0), min(2 * column + 2, width)):
                        value = maximum(value, load(activations, row + x * channels + channel))
            store(activations, target_at + column * channels + channel, value)


@compiled
def mean_pool_row(
    activations: Array, above: int, below: int, target_at: int, width: int, channels: int
) -> None:
    """One row of the 2×2 mean; an odd last column is left out."""
    quarter = splat(np.float32(0.25))
    for column in range(width // 2):
        for channel in range(0, channels, LANES):
            at = 2 * column * channels + channel
            upper = add(load(activations, above + at), load(activations, above + at + channels))
            lower = add(load(activations, below + at), load(activations, below + at + channels))
            store(activations, target_at + column * channels + channel, multiply(add(upper, lower), quarter))


@compiled
def normalise_instance(step: Array, constants: Array, activations: Array, part: Part) -> None:
    """Instance norm of a part's channels, then what is added (EXTRA, or SHORTCUT if no ReLU made it), ReLU.

    Constants are rows of C: weights, biases, and what 1 of the added map stands for.
    """
    source_at, extra_at, shortcut_at, target_at = step[SOURCE], step[EXTRA], step[SHORTCUT], step[TARGET]
    norm_at, channels, pixels = step[CONSTANT], step[INPUTS], step[HEIGHT] * step[WIDTH]
    first, end = share(channels, 16, part)
    zero = splat(np.float32(0))
    weight = splat(np.float32(1) / np.float32(pixels))
    one = splat(np.float32(1))
    for channel in range(first, end, LANES):
        total = zero
        for pixel in range(pixels):
            total = add(total, _load_raw(activations, source_at, pixel * channels + channel))
        mean = multiply(total, weight)
        squares = zero
        for pixel in range(pixels):
            difference = subtract(_load_raw(activations, source_at, pixel * channels + channel), mean)
            squares = multiply_add(difference, difference, squares)
        variance = multiply_add(squares, weight, splat(np.float32(1e-5)))
        scale = multiply(load(constants, norm_at + channel), divide(one, square_root(variance)))
        shift = subtract(load(constants, norm_at + channels + channel), multiply(mean, scale))
        unit = load(constants, norm_at + 2 * channels + channel)
        for pixel in range(pixels):
            at = pixel * channels + channel
            value = multiply_add(_load_raw(activations, source_at, at), scale, shift)
            if extra_at >= 0:
                value = multiply_add(load(activations, extra_at + at), unit, value)
            elif shortcut_at >= 0:
                value = multiply_add(_load_raw(activations, shortcut_at, at), unit, value)
            store(activations, target_at + at, maximum(value, zero))


@compiled
def means(step: Array, constants: Array, activations: Array, features: Array, part: Part) -> None:
    """(C,) means over all pixels, of a part's channels, in units of 1."""
    source_at, channels, pixels = step[SOURCE], step[INPUTS], step[HEIGHT] * step[WIDTH]
    first, end = share(channels, 16, part)
    weight = splat(np.float32(1) / np.float32(pixels))
    for channel in range(first, end, LANES):
        total = splat(np.float32(0))
        for pixel in range(pixels):
            total = add(total, load(activations, source_at + pixel * channels + channel))
        unit = load(constants, step[CONSTANT] + channel)
        store(features, channel, multiply(multiply(total, weight), unit))

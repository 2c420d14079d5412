"""The steps of OSNet on one picture, as compiled loops over channels-last activations.

Activations are flat arrays: float32, or uint16 that holds bfloat16. Positions count elements. Channels come
in multiples of 16, the surplus ones zero. Sums are always made in float32. A step may be shared by several
threads: each is a `part` of `parts`, works on its own pixels, streams or channels, and meets the others at a
barrier before the next step.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from omnireid.core.compiled import compiled, compiled_in_any_order, inlined
from omnireid.inference.native.products import Source, Target, multiply_pixels
from omnireid.inference.native.vectors import (
    LANES,
    add,
    address,
    divide,
    load,
    maximum,
    multiply,
    multiply_add,
    splat,
    square_root,
    store,
    subtract,
)

Array = Any


@compiled
def _pixels(array: Array, at: int, channels: int) -> Source:
    """Pixels of `channels` channels that lie one after the other."""
    return Source(address(array, at), channels * array.itemsize, 1, 0, channels)


@compiled
def share(count: int, unit: int, part: int, parts: int) -> tuple[int, int]:
    """First and end of what one of `parts` does of `count`, cut at multiples of `unit`."""
    units = (count + unit - 1) // unit
    return min(count, unit * (units * part // parts)), min(count, unit * (units * (part + 1) // parts))


@compiled
def pointwise(
    function: int,
    source: Array,
    source_at: int,
    inputs: int,
    panels: Array,
    panel: int,
    constants: Array,
    bias_at: int,
    target: Array,
    target_at: int,
    outputs: int,
    pixels: int,
    residual_at: int,
    relu: int,
    room: Array,
    room_at: int,
) -> None:
    """1×1 convolution of `pixels` pixels; `residual_at` in the target's array, −1 for none."""
    size = target.itemsize
    multiply_pixels(
        function,
        _pixels(source, source_at, inputs),
        address(panels, panel),
        outputs,
        Target(
            address(target, target_at),
            outputs * size,
            address(constants, bias_at),
            address(target, residual_at) if residual_at >= 0 else 0,
            outputs * size,
            relu,
        ),
        pixels,
        address(room, room_at),
        0,
    )


@compiled_in_any_order
def lite(
    function: int,
    activations: Array,
    source_at: int,
    target_at: int,
    panels: Array,
    panel: int,
    constants: Array,
    weights_at: int,
    height: int,
    width: int,
    channels: int,
    first: int,
    end: int,
    rows: int,
    room: Array,
    room_at: int,
    ring_at: int,
    sums: Array,
    sums_at: int,
) -> None:
    """Lite 3×3 of the rows from `first` to `end`: 1×1, depthwise 3×3, bias, ReLU.

    Source and target may be the same. The 1×1's result is kept for 2 · rows rows only, in `room` from
    `ring_at` on; before them lies a row of zeros. Nothing of the source is read again once its rows are in
    there, so the target may take its place.

    Args:
        weights_at: nine depthwise weights, then the bias, each for all channels.
        rows: of one block of the 1×1; at least 2, and at least 32 pixels.
        sums_at: where the sums of each row go, (height, channels); −1 for nowhere.
    """
    line = width * channels
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
            function,
            _pixels(activations, source_at + top * line, channels),
            address(panels, panel),
            channels,
            Target(address(room, slot), 4 * channels, 0, 0, 0, 0),
            (bottom - top) * width,
            address(room, room_at),
            1,
        )
        slot = ring_at + rows * line if slot == ring_at else ring_at
        # The last row of a block waits for the one below it.
        ready = end if bottom == stop else bottom - 1
        for row in range(done, ready):
            after = here + line
            if after == ring_end:
                after = ring_at
            _depthwise_row(
                room,
                above,
                here,
                after if row + 1 < height else zeros_at,
                constants,
                weights_at,
                activations,
                target_at + row * line,
                width,
                channels,
                sums,
                sums_at + row * channels if sums_at >= 0 else -1,
            )
            above, here = here, after
        done = max(done, ready)


@inlined
def _depthwise_row(
    room: Array,
    above: int,
    here: int,
    below: int,
    constants: Array,
    weights_at: int,
    target: Array,
    target_at: int,
    width: int,
    channels: int,
    sums: Array,
    sums_at: int,
) -> None:
    zero = splat(np.float32(0))
    for channel in range(0, channels, LANES):
        at = weights_at + channel
        w00, w01, w02 = (
            load(constants, at),
            load(constants, at + channels),
            load(constants, at + 2 * channels),
        )
        at += 3 * channels
        w10, w11, w12 = (
            load(constants, at),
            load(constants, at + channels),
            load(constants, at + 2 * channels),
        )
        at += 3 * channels
        w20, w21, w22 = (
            load(constants, at),
            load(constants, at + channels),
            load(constants, at + 2 * channels),
        )
        bias = load(constants, at + 3 * channels)
        left0, left1, left2 = zero, zero, zero
        middle0, middle1, middle2 = (
            load(room, above + channel),
            load(room, here + channel),
            load(room, below + channel),
        )
        total = zero
        for column in range(width):
            step = (column + 1) * channels + channel
            right0, right1, right2 = zero, zero, zero
            if column + 1 < width:
                right0, right1, right2 = (
                    load(room, above + step),
                    load(room, here + step),
                    load(room, below + step),
                )
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


@compiled_in_any_order
def gates(
    sums: Array,
    constants: Array,
    gate_at: int,
    height: int,
    width: int,
    channels: int,
    hidden: int,
    streams: int,
    room: Array,
    room_at: int,
) -> None:
    """The shared gate for all streams: sums of rows → weights (streams, channels) in `room`.

    Args:
        sums: (streams, height, channels). Rows are added in their order, whoever made them.
        gate_at: (hidden, channels) weights, hidden biases, (hidden, channels) weights back, channels biases.
    """
    back_at = gate_at + hidden * channels + hidden
    share_of_mean = splat(np.float32(1) / np.float32(height * width))
    for stream in range(streams):
        mine = room_at + stream * channels
        mean_at = room_at + streams * channels
        for channel in range(0, channels, LANES):
            total = splat(np.float32(0))
            for row in range(height):
                total = add(total, load(sums, (stream * height + row) * channels + channel))
            store(room, mean_at + channel, multiply(total, share_of_mean))
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
            room[mine + channel] = np.float32(1) / (np.float32(1) + np.exp(-room[mine + channel]))


@compiled
def gated_sum(
    activations: Array,
    streams_at: int,
    stream_size: int,
    streams: int,
    first: int,
    end: int,
    channels: int,
    room: Array,
    gates_at: int,
    target_at: int,
    target_stride: int,
) -> None:
    """Σ gate · stream for the pixels from `first` to `end`."""
    for pixel in range(first, end):
        for channel in range(0, channels, LANES):
            at = streams_at + pixel * channels + channel
            value = multiply(load(activations, at), load(room, gates_at + channel))
            for stream in range(1, streams):
                gate = load(room, gates_at + stream * channels + channel)
                value = multiply_add(load(activations, at + stream * stream_size), gate, value)
            store(activations, target_at + (pixel - first) * target_stride + channel, value)


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
    source: Array, above: int, here: int, below: int, target: Array, target_at: int, width: int, channels: int
) -> None:
    """One row of the 3×3, stride 2 maximum over values that are not negative; −1 for a row outside."""
    zero = splat(np.float32(0))
    for column in range((width + 1) // 2):
        for channel in range(0, channels, LANES):
            value = zero
            for row in (above, here, below):
                if row >= 0:
                    for x in range(max(2 * column - 1, 0), min(2 * column + 2, width)):
                        value = maximum(value, load(source, row + x * channels + channel))
            store(target, target_at + column * channels + channel, value)


@compiled
def mean_pool_row(
    source: Array, above: int, below: int, target: Array, target_at: int, width: int, channels: int
) -> None:
    """One row of the 2×2 mean; an odd last column is left out."""
    quarter = splat(np.float32(0.25))
    for column in range(width // 2):
        for channel in range(0, channels, LANES):
            at = 2 * column * channels + channel
            upper = add(load(source, above + at), load(source, above + at + channels))
            lower = add(load(source, below + at), load(source, below + at + channels))
            store(target, target_at + column * channels + channel, multiply(add(upper, lower), quarter))


@compiled
def normalise_instance(
    activations: Array,
    source_at: int,
    shortcut_at: int,
    target_at: int,
    constants: Array,
    norm_at: int,
    pixels: int,
    channels: int,
    relu: int,
    first: int,
    end: int,
) -> None:
    """Instance norm of the channels from `first` to `end`, then the shortcut (−1 for none) and ReLU."""
    zero = splat(np.float32(0))
    share = splat(np.float32(1) / np.float32(pixels))
    one = splat(np.float32(1))
    for channel in range(first, end, LANES):
        total = zero
        for pixel in range(pixels):
            total = add(total, load(activations, source_at + pixel * channels + channel))
        mean = multiply(total, share)
        squares = zero
        for pixel in range(pixels):
            difference = subtract(load(activations, source_at + pixel * channels + channel), mean)
            squares = multiply_add(difference, difference, squares)
        variance = multiply_add(squares, share, splat(np.float32(1e-5)))
        scale = multiply(load(constants, norm_at + channel), divide(one, square_root(variance)))
        shift = subtract(load(constants, norm_at + channels + channel), multiply(mean, scale))
        for pixel in range(pixels):
            at = pixel * channels + channel
            value = multiply_add(load(activations, source_at + at), scale, shift)
            if shortcut_at >= 0:
                value = add(value, load(activations, shortcut_at + at))
            if relu:
                value = maximum(value, zero)
            store(activations, target_at + at, value)


@compiled
def means(
    activations: Array,
    source_at: int,
    pixels: int,
    channels: int,
    sums: Array,
    sums_at: int,
    first: int,
    end: int,
) -> None:
    """Each channel's mean over all pixels, for the channels from `first` to `end`."""
    share = splat(np.float32(1) / np.float32(pixels))
    for channel in range(first, end, LANES):
        total = splat(np.float32(0))
        for pixel in range(pixels):
            total = add(total, load(activations, source_at + pixel * channels + channel))
        store(sums, sums_at + channel, multiply(total, share))

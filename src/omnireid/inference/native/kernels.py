"""The steps of OSNet on one picture, as compiled loops over channels-last activations.

Activations are flat arrays: float32, or uint16 that holds bfloat16. Positions count elements. Channels come in
multiples of 16, the surplus ones zero. Sums are always made in float32. A step may be shared by several
threads: each is a `part` of `parts`, works on its own pixels, streams or channels, and meets the others at a
barrier before the next step.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import types
from numba.extending import overload

from omnireid.core.compiled import compiled, compiled_in_any_order
from omnireid.inference.native.vectors import (
    HAS_MATRIX_TILES,
    LANES,
    TILES,
    add,
    address,
    count_up,
    divide,
    load,
    load_bfloat16,
    load_float32,
    matrix_product,
    maximum,
    multiply,
    multiply_add,
    pause,
    read_shared,
    splat,
    square_root,
    store,
    store_bfloat16,
    store_float32,
    subtract,
    tile_product,
)

Array = Any

TILE_FLOATS = 32 * 64
"""Room for the sums of one tile, before they are finished."""

SPLIT_PIXELS = 96
"""Pixels that are split into two bfloat16 at a time."""

RAW, AS_FLOAT32, AS_BFLOAT16 = 0, 1, 2

# Tiles by their width in channels. Processors with short vectors have one width; programs name no other there.
_tile_16, _row_16 = tile_product(TILES[16], 16), tile_product(1, 16)
_dot_16 = tile_product(TILES[16], 16, bfloat16=True)
_PIXELS_16 = TILES[16]
if len(TILES) > 1:
    _tile_64, _row_64 = tile_product(TILES[64], 64), tile_product(1, 64)
    _tile_48, _row_48 = tile_product(TILES[48], 48), tile_product(1, 48)
    _tile_32, _row_32 = tile_product(TILES[32], 32), tile_product(1, 32)
    _dot_32 = tile_product(TILES[32], 32, bfloat16=True)
    _PIXELS_64, _PIXELS_48, _PIXELS_32 = TILES[64], TILES[48], TILES[32]
else:
    _tile_64 = _tile_48 = _tile_32 = _tile_16
    _row_64 = _row_48 = _row_32 = _row_16
    _dot_32 = _dot_16
    _PIXELS_64 = _PIXELS_48 = _PIXELS_32 = _PIXELS_16
_WIDE = len(TILES) > 1

_CACHED_WEIGHTS = 6144  # float32: half of a first cache of 48 KiB

_matrix_22, _matrix_21 = matrix_product(2, 2), matrix_product(2, 1)
_matrix_12, _matrix_11 = matrix_product(1, 2), matrix_product(1, 1)




class Source(NamedTuple):
    """The pixels a product reads: an address, strides in bytes, and `length` elements in each of `runs` runs.

    A 1×1 convolution has one run, all channels of a pixel; the 7×7 has seven, the rows of its window.
    """

    address: int
    stride: int
    runs: int
    run_stride: int
    length: int


class Target(NamedTuple):
    """Where a product goes and what happens on the way; addresses and strides in bytes, 0 for what is not."""

    address: int
    stride: int
    bias: int
    residual: int
    residual_stride: int
    relu: int


@compiled
def tile_width(channels: int) -> int:
    """Width of the next tile where so many channels are left."""
    if not _WIDE or channels < 32:
        return 16
    if channels in (48, 80):
        return 48
    return 64 if channels >= 64 else 32


@compiled
def product(source: Source, panels: int, channels: int, target: Target, pixels: int) -> None:
    """Rows of float32 times weights, tile by tile.

    Args:
        panels: address of the weights, for each tile [run · length][width].
        channels: of the target.
    """
    done = 0
    while done < channels:
        width = tile_width(channels - done)
        out = target.address + 4 * done
        bias = target.bias + 4 * done if target.bias else 0
        residual, residual_stride = target.residual, target.residual_stride
        if residual:
            residual += 4 * done
        # Weights that the first cache does not hold are taken in parts; the sums wait in the target.
        cut = source.length
        if source.runs == 1:
            parts = (source.length * width + _CACHED_WEIGHTS - 1) // _CACHED_WEIGHTS
            cut = (source.length + parts - 1) // parts
        start = 0
        while start < source.length:
            length = min(cut, source.length - start)
            last = start + length == source.length
            _columns(
                width,
                Source(source.address + 4 * start, source.stride, source.runs, source.run_stride, length),
                panels,
                Target(out, target.stride, bias, residual, residual_stride, target.relu if last else 0),
                pixels,
            )
            bias, residual, residual_stride = 0, out, target.stride
            panels += 4 * width * source.runs * length
            start += length
        done += width


@compiled
def _columns(width: int, source: Source, panel: int, target: Target, pixels: int) -> None:
    """One tile's width of a product."""
    height = _tile_height(width)
    # Partial sums must not be added twice: pixels that no whole tile takes go one by one.
    again = target.residual != target.address
    pixel = 0
    while pixel < pixels:
        whole = pixels - pixel >= height or (again and pixels >= height)
        # The last tile reaches back over pixels that are done already: the same sums once more.
        first = min(pixel, pixels - height) if whole else pixel
        _tile(
            width,
            whole,
            Source(
                source.address + first * source.stride,
                source.stride,
                source.runs,
                source.run_stride,
                source.length,
            ),
            panel,
            Target(
                target.address + first * target.stride,
                target.stride,
                target.bias,
                target.residual + first * target.residual_stride if target.residual else 0,
                target.residual_stride,
                target.relu,
            ),
        )
        pixel = first + (height if whole else 1)


@compiled
def _tile_height(width: int) -> int:
    if width == 64:
        return _PIXELS_64
    if width == 48:
        return _PIXELS_48
    return _PIXELS_32 if width == 32 else _PIXELS_16


@compiled
def _tile(width: int, whole: bool, source: Source, panel: int, target: Target) -> None:
    a, a_stride, runs, run_stride, length = source
    out, stride, bias, residual, residual_stride, relu = target
    if width == 64 and whole:
        _tile_64(a, a_stride, runs, run_stride, length, panel, out, stride, bias, residual, residual_stride, relu)
    elif width == 48 and whole:
        _tile_48(a, a_stride, runs, run_stride, length, panel, out, stride, bias, residual, residual_stride, relu)
    elif width == 32 and whole:
        _tile_32(a, a_stride, runs, run_stride, length, panel, out, stride, bias, residual, residual_stride, relu)
    elif whole:
        _tile_16(a, a_stride, runs, run_stride, length, panel, out, stride, bias, residual, residual_stride, relu)
    elif width == 64:
        _row_64(a, a_stride, runs, run_stride, length, panel, out, stride, bias, residual, residual_stride, relu)
    elif width == 48:
        _row_48(a, a_stride, runs, run_stride, length, panel, out, stride, bias, residual, residual_stride, relu)
    elif width == 32:
        _row_32(a, a_stride, runs, run_stride, length, panel, out, stride, bias, residual, residual_stride, relu)
    else:
        _row_16(a, a_stride, runs, run_stride, length, panel, out, stride, bias, residual, residual_stride, relu)


@compiled
def product_bfloat16(
    source: Source, panels: int, channels: int, target: Target, pixels: int, room: Array, room_at: int, finish: int
) -> None:
    """Rows of bfloat16 times weights.

    Args:
        panels: address of the weights: for each tile of AMX [run · step][column][16 pairs][16][2]; without
            AMX [run · pair][width][2].
        finish: RAW writes the float32 sums, without bias, residual and ReLU; at least 16 pixels are written.
            AS_FLOAT32 and AS_BFLOAT16 write whole results, residuals are of the same type.
        room: float32, TILE_FLOATS from `room_at` on, for the sums of one tile.
    """
    done = 0
    while done < channels:
        if HAS_MATRIX_TILES:
            width = 32 if channels - done >= 32 else 16
            height = 32
        else:
            width = 32 if _WIDE and channels - done >= 32 else 16
            height = _PIXELS_32 if width == 32 else _PIXELS_16
        pixel = 0
        while pixel < pixels:
            tall = height
            if HAS_MATRIX_TILES and pixels - pixel < 32:
                tall = 16
            first = max(min(pixel, pixels - tall), 0)
            a = source.address + first * source.stride
            if finish == RAW:
                out, stride = target.address + 4 * done + first * target.stride, target.stride
            else:
                out, stride = address(room, room_at), 4 * width
            _sums_bfloat16(width, tall, a, source, panels, out, stride)
            if finish == AS_BFLOAT16:
                _finish_bfloat16(room, room_at, width, min(tall, pixels - first), first, done, target)
            elif finish == AS_FLOAT32:
                _finish_float32(room, room_at, width, min(tall, pixels - first), first, done, target)
            pixel = first + tall
        if HAS_MATRIX_TILES:
            panels += source.runs * ((source.length + 31) // 32) * (width // 16) * 1024
        else:
            panels += source.runs * (source.length // 2) * width * 4
        done += width


@compiled
def product_split(
    source: Source, panels: int, channels: int, target: Target, pixels: int, room: Array, room_at: int, finish: int
) -> None:
    """Rows of float32 times weights, as three bfloat16 products: a · w ≈ a₁w₁ + a₂w₁ + a₁w₂.

    a₁ is a rounded to bfloat16, a₂ the rest, rounded too: together 16 bits of the significand, of 24. The sums
    are float32. Source: Henry, Tang and Heinecke, "Leveraging the bfloat16 artificial intelligence datatype for
    higher-precision computations", 2019.

    Args:
        panels: address of the weights, each run three times: w₁, w₁, w₂.
        room: float32 from `room_at` on: TILE_FLOATS, then room for the split pixels.
    """
    split = address(room, room_at + TILE_FLOATS)
    step = source.stride // 4
    for first in range(0, pixels, SPLIT_PIXELS):
        count = min(SPLIT_PIXELS, pixels - first)
        used = step * (count - 1) + source.length
        # What a tile reads beyond the last pixel belongs to this run as well.
        size = 2 * ((used + 63) // 32 * 32)
        for run in range(source.runs):
            start = source.address + first * source.stride + run * source.run_stride
            one = split + 3 * run * size
            for at in range(0, used, LANES):
                value = load_float32(start + 4 * at)
                store_bfloat16(one + 2 * at, value)
                store_bfloat16(one + 2 * size + 2 * at, value)
                store_bfloat16(one + size + 2 * at, subtract(value, load_bfloat16(one + 2 * at)))
        product_bfloat16(
            Source(split, 2 * step, 3 * source.runs, size, source.length),
            panels,
            channels,
            Target(
                target.address + first * target.stride,
                target.stride,
                target.bias,
                target.residual + first * target.residual_stride if target.residual else 0,
                target.residual_stride,
                target.relu,
            ),
            count,
            room,
            room_at,
            finish,
        )


@compiled
def _sums_bfloat16(width: int, height: int, a: int, source: Source, panel: int, out: int, stride: int) -> None:
    if HAS_MATRIX_TILES:
        steps = (source.length + 31) // 32
        if width == 32 and height == 32:
            _matrix_22(a, source.stride, source.runs, source.run_stride, steps, panel, out, stride)
        elif width == 32:
            _matrix_12(a, source.stride, source.runs, source.run_stride, steps, panel, out, stride)
        elif height == 32:
            _matrix_21(a, source.stride, source.runs, source.run_stride, steps, panel, out, stride)
        else:
            _matrix_11(a, source.stride, source.runs, source.run_stride, steps, panel, out, stride)
    else:
        pairs = source.length // 2
        if width == 32:
            _dot_32(a, source.stride, source.runs, source.run_stride, pairs, panel, out, stride, 0, 0, 0, 0)
        else:
            _dot_16(a, source.stride, source.runs, source.run_stride, pairs, panel, out, stride, 0, 0, 0, 0)


@compiled
def _finish_bfloat16(
    room: Array, room_at: int, width: int, pixels: int, first: int, channel: int, target: Target
) -> None:
    """Sums of one tile → bias, residual, ReLU → bfloat16."""
    zero = splat(np.float32(0))
    for column in range(0, width, LANES):
        bias = zero
        if target.bias:
            bias = load_float32(target.bias + 4 * (channel + column))
        for pixel in range(pixels):
            value = add(load(room, room_at + pixel * width + column), bias)
            here = 2 * (channel + column)
            if target.residual:
                before = target.residual + (first + pixel) * target.residual_stride + here
                value = add(value, load_bfloat16(before))
            if target.relu:
                value = maximum(value, zero)
            store_bfloat16(target.address + (first + pixel) * target.stride + here, value)


@compiled
def _finish_float32(
    room: Array, room_at: int, width: int, pixels: int, first: int, channel: int, target: Target
) -> None:
    """Sums of one tile → bias, residual, ReLU → float32."""
    zero = splat(np.float32(0))
    for column in range(0, width, LANES):
        bias = zero
        if target.bias:
            bias = load_float32(target.bias + 4 * (channel + column))
        for pixel in range(pixels):
            value = add(load(room, room_at + pixel * width + column), bias)
            here = 4 * (channel + column)
            if target.residual:
                before = target.residual + (first + pixel) * target.residual_stride + here
                value = add(value, load_float32(before))
            if target.relu:
                value = maximum(value, zero)
            store_float32(target.address + (first + pixel) * target.stride + here, value)


def convolve(
    source: Array,
    where: Source,
    panels: Array,
    panel: int,
    channels: int,
    target: Target,
    pixels: int,
    room: Array,
    at: int,
    raw: int,
) -> None:
    """A product by the types of activations and weights: both float32, both bfloat16, or float32 split.

    With `raw` its target is float32, without bias, residual and ReLU; else of the activations' type.
    """
    raise NotImplementedError


@overload(convolve)
def _convolve_of_types(  # type: ignore[no-untyped-def]
    source, where, panels, panel, channels, target, pixels, room, at, raw
):
    if panels.dtype == types.float32:
        return lambda source, where, panels, panel, channels, target, pixels, room, at, raw: product(
            where, address(panels, panel), channels, target, pixels
        )
    if source.dtype == types.float32:
        return lambda source, where, panels, panel, channels, target, pixels, room, at, raw: product_split(
            where, address(panels, panel), channels, target, pixels, room, at, RAW if raw else AS_FLOAT32
        )
    return lambda source, where, panels, panel, channels, target, pixels, room, at, raw: product_bfloat16(
        where, address(panels, panel), channels, target, pixels, room, at, RAW if raw else AS_BFLOAT16
    )


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
    convolve(
        source,
        _pixels(source, source_at, inputs),
        panels,
        panel,
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
        room,
        room_at,
        0,
    )


@compiled_in_any_order
def lite(
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
    rows: int,
    room: Array,
    room_at: int,
    ring_at: int,
    sums: Array,
    sums_at: int,
) -> None:
    """Lite 3×3: 1×1, depthwise 3×3, bias, ReLU. Source and target may be the same.

    The 1×1's result is kept for 2 · rows rows only, in `room` from `ring_at` on; before them lies a row of
    zeros. Nothing of the source is read again once its rows are in there, so the target may take its place.

    Args:
        weights_at: nine depthwise weights, then the bias, each for all channels.
        rows: of one block, a divisor of height.
        sums_at: where each channel's sum is added to; −1 for nowhere.
    """
    line = width * channels
    zeros_at = ring_at - line
    for block in range(height // rows):
        top = block * rows
        out = Target(address(room, ring_at + (block & 1) * rows * line), 4 * channels, 0, 0, 0, 0)
        source = _pixels(activations, source_at + top * line, channels)
        convolve(activations, source, panels, panel, channels, out, rows * width, room, room_at, 1)
        first = top - 1 if top > 0 else 0
        end = height if top + rows == height else top + rows - 1
        for row in range(first, end):
            above = ring_at + ((row - 1) % (2 * rows)) * line if row > 0 else zeros_at
            here = ring_at + (row % (2 * rows)) * line
            below = ring_at + ((row + 1) % (2 * rows)) * line if row + 1 < height else zeros_at
            _depthwise_row(
                room, above, here, below, constants, weights_at, activations, target_at + row * line, width, channels, sums, sums_at
            )


@compiled
def _depthwise_row(
    room: Array, above: int, here: int, below: int, constants: Array, weights_at: int, target: Array, target_at: int, width: int, channels: int, sums: Array, sums_at: int
) -> None:
    zero = splat(np.float32(0))
    for channel in range(0, channels, LANES):
        at = weights_at + channel
        w00, w01, w02 = load(constants, at), load(constants, at + channels), load(constants, at + 2 * channels)
        at += 3 * channels
        w10, w11, w12 = load(constants, at), load(constants, at + channels), load(constants, at + 2 * channels)
        at += 3 * channels
        w20, w21, w22 = load(constants, at), load(constants, at + channels), load(constants, at + 2 * channels)
        bias = load(constants, at + 3 * channels)
        left0, left1, left2 = zero, zero, zero
        middle0, middle1, middle2 = load(room, above + channel), load(room, here + channel), load(room, below + channel)
        total = zero
        for column in range(width):
            step = (column + 1) * channels + channel
            right0, right1, right2 = zero, zero, zero
            if column + 1 < width:
                right0, right1, right2 = load(room, above + step), load(room, here + step), load(room, below + step)
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
            store(sums, sums_at + channel, add(load(sums, sums_at + channel), total))


@compiled_in_any_order
def gates(
    sums: Array, sums_at: int, constants: Array, gate_at: int, pixels: int, channels: int, hidden: int, streams: int, room: Array, room_at: int
) -> None:
    """The shared gate for all streams: sums of streams × channels → weights in `room` from `room_at` on.

    Args:
        gate_at: (hidden, channels) weights, hidden biases, (hidden, channels) weights back, channels biases.
    """
    back_at = gate_at + hidden * channels + hidden
    for stream in range(streams):
        mine = room_at + stream * channels
        for channel in range(channels):
            room[mine + channel] = constants[back_at + hidden * channels + channel]
        for unit in range(hidden):
            value = np.float32(0)
            for channel in range(channels):
                value += constants[gate_at + unit * channels + channel] * sums[sums_at + stream * channels + channel]
            value = value / np.float32(pixels) + constants[gate_at + hidden * channels + unit]
            if value > 0:
                for channel in range(channels):
                    room[mine + channel] += value * constants[back_at + unit * channels + channel]
        for channel in range(channels):
            room[mine + channel] = np.float32(1) / (np.float32(1) + np.exp(-room[mine + channel]))


@compiled
def gated_sum(
    activations: Array, streams_at: int, stream_size: int, streams: int, first: int, end: int, channels: int, room: Array, gates_at: int, target_at: int, target_stride: int
) -> None:
    """Σ gate · stream for the pixels from `first` to `end`."""
    for channel in range(0, channels, LANES):
        for pixel in range(first, end):
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
            activations[target_at + pixel * target_stride + channel] = activations[source_at + pixel * channels + channel]


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
    activations: Array, source_at: int, shortcut_at: int, target_at: int, constants: Array, norm_at: int, pixels: int, channels: int, relu: int, first: int, end: int
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
    activations: Array, source_at: int, pixels: int, channels: int, sums: Array, sums_at: int, first: int, end: int
) -> None:
    """Each channel's mean over all pixels, for the channels from `first` to `end`."""
    share = splat(np.float32(1) / np.float32(pixels))
    for channel in range(first, end, LANES):
        total = splat(np.float32(0))
        for pixel in range(pixels):
            total = add(total, load(activations, source_at + pixel * channels + channel))
        store(sums, sums_at + channel, multiply(total, share))

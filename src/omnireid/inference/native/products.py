"""Matrix products of activations with weights: what a 1×1 convolution is, and the 7×7 too.

Three ways: float32, bfloat16, and float32 split into two bfloat16. Each is compiled once, as a function that
the steps call by its address: tiles in registers are large code, which would be compiled again with every
step otherwise.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numba import types

from omnireid.core.compiled import compiled, compiled_entry
from omnireid.inference.native.precision import Precision
from omnireid.inference.native.vectors import (
    HAS_MATRIX_TILES,
    LANES,
    TILES,
    add,
    call_address,
    load_bfloat16,
    load_float32,
    matrix_product,
    maximum,
    splat,
    store_bfloat16,
    store_float32,
    subtract,
    tile_product,
)

TILE_FLOATS = 32 * 64
"""Room for the sums of one tile, before they are finished."""

SPLIT_PIXELS = 96
"""Pixels that are split into two bfloat16 at a time."""

RAW, AS_FLOAT32, AS_BFLOAT16 = 0, 1, 2

# Tiles by their width in channels. Processors with short vectors have one width only.
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
        channels: channels of the target.
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
    height = tile_height(width)
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
def tile_height(width: int) -> int:
    """Pixels of a tile of that width in channels."""
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
        _tile_64(
            a, a_stride, runs, run_stride, length, panel, out, stride, bias, residual, residual_stride, relu
        )
    elif width == 48 and whole:
        _tile_48(
            a, a_stride, runs, run_stride, length, panel, out, stride, bias, residual, residual_stride, relu
        )
    elif width == 32 and whole:
        _tile_32(
            a, a_stride, runs, run_stride, length, panel, out, stride, bias, residual, residual_stride, relu
        )
    elif whole:
        _tile_16(
            a, a_stride, runs, run_stride, length, panel, out, stride, bias, residual, residual_stride, relu
        )
    elif width == 64:
        _row_64(
            a, a_stride, runs, run_stride, length, panel, out, stride, bias, residual, residual_stride, relu
        )
    elif width == 48:
        _row_48(
            a, a_stride, runs, run_stride, length, panel, out, stride, bias, residual, residual_stride, relu
        )
    elif width == 32:
        _row_32(
            a, a_stride, runs, run_stride, length, panel, out, stride, bias, residual, residual_stride, relu
        )
    else:
        _row_16(
            a, a_stride, runs, run_stride, length, panel, out, stride, bias, residual, residual_stride, relu
        )


@compiled
def product_bfloat16(
    source: Source,
    panels: int,
    channels: int,
    target: Target,
    pixels: int,
    room: int,
    finish: int,
) -> None:
    """Rows of bfloat16 times weights.

    Args:
        panels: address of the weights: for each tile of AMX [run · step][column][16 pairs][16][2]; without
            AMX [run · pair][width][2].
        finish: RAW writes the float32 sums, without bias, residual and ReLU; at least 16 pixels are written.
            AS_FLOAT32 and AS_BFLOAT16 write whole results, residuals are of the same type.
        room: address of TILE_FLOATS float32, for the sums of one tile.
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
                out, stride = room, 4 * width
            _sums_bfloat16(width, tall, a, source, panels, out, stride)
            if finish == AS_BFLOAT16:
                _finish_bfloat16(room, width, min(tall, pixels - first), first, done, target)
            elif finish == AS_FLOAT32:
                _finish_float32(room, width, min(tall, pixels - first), first, done, target)
            pixel = first + tall
        if HAS_MATRIX_TILES:
            panels += source.runs * ((source.length + 31) // 32) * (width // 16) * 1024
        else:
            panels += source.runs * (source.length // 2) * width * 4
        done += width


@compiled
def product_split(
    source: Source,
    panels: int,
    channels: int,
    target: Target,
    pixels: int,
    room: int,
    finish: int,
) -> None:
    """Rows of float32 times weights, as three bfloat16 products: a · w ≈ a₁w₁ + a₂w₁ + a₁w₂.

    a₁ is a rounded to bfloat16, a₂ the rest, rounded too: together 16 bits of the significand, of 24. The
    sums are float32. Source: Henry, Tang and Heinecke, "Leveraging the bfloat16 artificial intelligence
    datatype for higher-precision computations", 2019.

    Args:
        panels: address of the weights, each run three times: w₁, w₁, w₂.
        room: address of TILE_FLOATS float32, then room for the split pixels.
    """
    split = room + 4 * TILE_FLOATS
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
            finish,
        )


@compiled
def _sums_bfloat16(
    width: int, height: int, a: int, source: Source, panel: int, out: int, stride: int
) -> None:
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
def _finish_bfloat16(room: int, width: int, pixels: int, first: int, channel: int, target: Target) -> None:
    """Sums of one tile → bias, residual, ReLU → bfloat16."""
    zero = splat(np.float32(0))
    for column in range(0, width, LANES):
        bias = zero
        if target.bias:
            bias = load_float32(target.bias + 4 * (channel + column))
        for pixel in range(pixels):
            value = add(load_float32(room + 4 * (pixel * width + column)), bias)
            here = 2 * (channel + column)
            if target.residual:
                before = target.residual + (first + pixel) * target.residual_stride + here
                value = add(value, load_bfloat16(before))
            if target.relu:
                value = maximum(value, zero)
            store_bfloat16(target.address + (first + pixel) * target.stride + here, value)


@compiled
def _finish_float32(room: int, width: int, pixels: int, first: int, channel: int, target: Target) -> None:
    """Sums of one tile → bias, residual, ReLU → float32."""
    zero = splat(np.float32(0))
    for column in range(0, width, LANES):
        bias = zero
        if target.bias:
            bias = load_float32(target.bias + 4 * (channel + column))
        for pixel in range(pixels):
            value = add(load_float32(room + 4 * (pixel * width + column)), bias)
            here = 4 * (channel + column)
            if target.residual:
                before = target.residual + (first + pixel) * target.residual_stride + here
                value = add(value, load_float32(before))
            if target.relu:
                value = maximum(value, zero)
            store_float32(target.address + (first + pixel) * target.stride + here, value)


@compiled
def multiply_pixels(
    function: int,
    source: Source,
    panels: int,
    channels: int,
    target: Target,
    pixels: int,
    room: int,
    raw: int,
) -> None:
    """The product of a program's precision, by its address.

    Args:
        raw: 1 for a target of float32 without bias, residual and ReLU; else it is of the activations' type.
    """
    call_address(
        function,
        (
            source.address,
            source.stride,
            source.runs,
            source.run_stride,
            source.length,
            panels,
            channels,
            target.address,
            target.stride,
            target.bias,
            target.residual,
            target.residual_stride,
            target.relu,
            pixels,
            room,
            raw,
        ),
    )


def _float32(
    a: int,
    stride: int,
    runs: int,
    run_stride: int,
    length: int,
    panels: int,
    channels: int,
    out: int,
    out_stride: int,
    bias: int,
    residual: int,
    residual_stride: int,
    relu: int,
    pixels: int,
    room: int,
    raw: int,
) -> None:
    source = Source(a, stride, runs, run_stride, length)
    target = Target(out, out_stride, bias, residual, residual_stride, relu)
    product(source, panels, channels, target, pixels)


def _split(
    a: int,
    stride: int,
    runs: int,
    run_stride: int,
    length: int,
    panels: int,
    channels: int,
    out: int,
    out_stride: int,
    bias: int,
    residual: int,
    residual_stride: int,
    relu: int,
    pixels: int,
    room: int,
    raw: int,
) -> None:
    source = Source(a, stride, runs, run_stride, length)
    target = Target(out, out_stride, bias, residual, residual_stride, relu)
    product_split(source, panels, channels, target, pixels, room, RAW if raw else AS_FLOAT32)


def _bfloat16(
    a: int,
    stride: int,
    runs: int,
    run_stride: int,
    length: int,
    panels: int,
    channels: int,
    out: int,
    out_stride: int,
    bias: int,
    residual: int,
    residual_stride: int,
    relu: int,
    pixels: int,
    room: int,
    raw: int,
) -> None:
    source = Source(a, stride, runs, run_stride, length)
    target = Target(out, out_stride, bias, residual, residual_stride, relu)
    product_bfloat16(source, panels, channels, target, pixels, room, RAW if raw else AS_BFLOAT16)


@cache
def _entry(precision: Precision) -> Any:
    function = {"fp32": _float32, "bf16x3": _split, "bf16": _bfloat16}[precision]
    return compiled_entry(types.void(*[types.int64] * 16), function)


def product_address(precision: Precision) -> int:
    """Where the compiled product of a precision lies; it stays there while the process lives."""
    address: int = _entry(precision).address
    return address

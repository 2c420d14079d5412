"""Matrix products of activations with weights: what a 1×1 convolution is, and the 7×7 too.

Four ways: float32, bfloat16, float32 split into two bfloat16, and bytes. Each is compiled once, as a function
that the steps call by its address: tiles in registers are large code, which would be compiled again with
every step otherwise.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple, cast

import numpy as np
from numba import types

from omnireid.core.compiled import compiled, compiled_entry
from omnireid.inference.native.matrix_tiles import matrix_product
from omnireid.inference.native.precision import NativePrecision
from omnireid.inference.native.sharing import call_address
from omnireid.inference.native.vectors import (
    HAS_MATRIX_TILES,
    LANES,
    TILES,
    add,
    load_bfloat16,
    load_byte,
    load_float32,
    maximum,
    multiply_add,
    splat,
    store_bfloat16,
    store_byte,
    store_float32,
    subtract,
    tile_product,
)

TILE_FLOATS = 32 * 64
"""Room for the sums of one tile, before they are finished."""

SPLIT_PIXELS = 96
"""Pixels that are split into two bfloat16 at a time."""

_RAW, _AS_BFLOAT16, _AS_FLOAT32 = 0, 2, 4
"""What becomes of sums; the size of an element of the target, where they are finished."""

# Tiles by their width in channels. Processors with short vectors have one width only.
_tile_16, _row_16 = tile_product(TILES[16], 16), tile_product(1, 16)
_dot_16 = tile_product(TILES[16], 16, "bf16")
_bytes_16 = tile_product(TILES[16], 16, "int8")
_PIXELS_16 = TILES[16]
if len(TILES) > 1:
    _tile_64, _row_64 = tile_product(TILES[64], 64), tile_product(1, 64)
    _tile_48, _row_48 = tile_product(TILES[48], 48), tile_product(1, 48)
    _tile_32, _row_32 = tile_product(TILES[32], 32), tile_product(1, 32)
    _dot_32 = tile_product(TILES[32], 32, "bf16")
    _bytes_32 = tile_product(TILES[32], 32, "int8")
    _PIXELS_64, _PIXELS_48, _PIXELS_32 = TILES[64], TILES[48], TILES[32]
else:
    _tile_64 = _tile_48 = _tile_32 = _tile_16
    _row_64 = _row_48 = _row_32 = _row_16
    _dot_32, _bytes_32 = _dot_16, _bytes_16
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
    """Where a product goes and what happens on the way; addresses and strides in bytes, 0 for what is not.

    Of bytes, `bias` is three rows of float32: what a sum is multiplied by, the bias, and what the residual is
    multiplied by; without ReLU the target is bfloat16.
    """

    address: int
    stride: int
    bias: int
    residual: int
    residual_stride: int
    relu: int


class Product(NamedTuple):
    """One product of pixels with weights.

    Attributes:
        panels: address of the weights. Of float32, for each tile [run · length][width]; of bfloat16, for
            each tile of AMX [run · step][column][16 pairs][16][2], without AMX [run · pair][width][2]; of
            split float32 the same, each run three times: w₁, w₁, w₂; of bytes [run · four][width][4].
        channels: channels of the target.
        room: address of TILE_FLOATS float32, for the sums of one tile; then room for split pixels.
        raw: 1 for a target of float32 without bias, residual and ReLU, of at least 16 pixels; else it is of
            the activations' type, as residuals are.
    """

    source: Source
    panels: int
    channels: int
    target: Target
    pixels: int
    room: int
    raw: int


@compiled
def tile_width(channels: int) -> int:
    """Width of the next tile where so many channels are left."""
    if not _WIDE or channels < 32:
        return 16
    if channels in (48, 80):
        return 48
    return 64 if channels >= 64 else 32


@compiled
def tile_height(width: int) -> int:
    """Pixels of a tile of that width in channels."""
    if width == 64:
        return _PIXELS_64
    if width == 48:
        return _PIXELS_48
    return _PIXELS_32 if width == 32 else _PIXELS_16


@compiled
def _source_from(source: Source, pixel: int, length: int) -> Source:
    """The pixels from one on, of each run so much."""
    return Source(
        source.address + pixel * source.stride, source.stride, source.runs, source.run_stride, length
    )


@compiled
def _target_from(target: Target, pixel: int) -> Target:
    """The pixels from one on."""
    return Target(
        target.address + pixel * target.stride,
        target.stride,
        target.bias,
        target.residual + pixel * target.residual_stride if target.residual else 0,
        target.residual_stride,
        target.relu,
    )


def _multiply_float32(product: Product) -> None:
    """Rows of float32 times weights, tile by tile."""
    source, target, panels = product.source, product.target, product.panels
    done = 0
    while done < product.channels:
        width = tile_width(product.channels - done)
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
                product.pixels,
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
        pixel = first + (height if whole else 1)
        _tile(width, whole, _source_from(source, first, source.length), panel, _target_from(target, first))


@compiled
def _tile(width: int, whole: bool, source: Source, panel: int, target: Target) -> None:
    if width == 64 and whole:
        _tile_64(source, panel, target)
    elif width == 48 and whole:
        _tile_48(source, panel, target)
    elif width == 32 and whole:
        _tile_32(source, panel, target)
    elif whole:
        _tile_16(source, panel, target)
    elif width == 64:
        _row_64(source, panel, target)
    elif width == 48:
        _row_48(source, panel, target)
    elif width == 32:
        _row_32(source, panel, target)
    else:
        _row_16(source, panel, target)


def _multiply_bfloat16(product: Product) -> None:
    """Rows of bfloat16 times weights."""
    _tiles_bfloat16(product, _RAW if product.raw else _AS_BFLOAT16)


@compiled
def _tiles_bfloat16(product: Product, finish: int) -> None:
    """A product of bfloat16, tile by tile."""
    source, target, panels = product.source, product.target, product.panels
    room, channels, pixels = product.room, product.channels, product.pixels
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
            if finish == _RAW:
                sums = Target(target.address + 4 * done + first * target.stride, target.stride, 0, 0, 0, 0)
            else:
                sums = Target(room, 4 * width, 0, 0, 0, 0)
            _sums_bfloat16(width, tall, source, first, panels, sums)
            if finish != _RAW:
                _finish(room, width, min(tall, pixels - first), done, _target_from(target, first), finish)
            pixel = first + tall
        if HAS_MATRIX_TILES:
            panels += source.runs * ((source.length + 31) // 32) * (width // 16) * 1024
        else:
            panels += source.runs * (source.length // 2) * width * 4
        done += width


def _multiply_split(product: Product) -> None:
    """Rows of float32 times weights, as three bfloat16 products: a · w ≈ a₁w₁ + a₂w₁ + a₁w₂.

    a₁ is a rounded to bfloat16, a₂ the rest, rounded too: together 16 bits of the significand, of 24. The
    sums are float32. Source: Henry, Tang and Heinecke, "Leveraging the bfloat16 artificial intelligence
    datatype for higher-precision computations", 2019.
    """
    source = product.source
    split = product.room + 4 * TILE_FLOATS
    step = source.stride // 4
    for first in range(0, product.pixels, SPLIT_PIXELS):
        count = min(SPLIT_PIXELS, product.pixels - first)
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
        part = Product(
            Source(split, 2 * step, 3 * source.runs, size, source.length),
            product.panels,
            product.channels,
            _target_from(product.target, first),
            count,
            product.room,
            product.raw,
        )
        _tiles_bfloat16(part, _RAW if product.raw else _AS_FLOAT32)


@compiled
def _sums_bfloat16(width: int, height: int, source: Source, pixel: int, panel: int, sums: Target) -> None:
    """One tile's sums, of the pixels from one on."""
    if HAS_MATRIX_TILES:
        steps = _source_from(source, pixel, (source.length + 31) // 32)
        if width == 32 and height == 32:
            _matrix_22(steps, panel, sums)
        elif width == 32:
            _matrix_12(steps, panel, sums)
        elif height == 32:
            _matrix_21(steps, panel, sums)
        else:
            _matrix_11(steps, panel, sums)
    else:
        pairs = _source_from(source, pixel, source.length // 2)
        if width == 32:
            _dot_32(pairs, panel, sums)
        else:
            _dot_16(pairs, panel, sums)


@compiled
def _finish(room: int, width: int, pixels: int, channel: int, target: Target, size: int) -> None:
    """Sums of one tile → bias, residual, ReLU → elements of `size` bytes, from a channel of the target on."""
    zero = splat(np.float32(0))
    for column in range(0, width, LANES):
        bias = zero
        if target.bias:
            bias = load_float32(target.bias + 4 * (channel + column))
        here = size * (channel + column)
        for pixel in range(pixels):
            value = add(load_float32(room + 4 * (pixel * width + column)), bias)
            if target.residual:
                before = target.residual + pixel * target.residual_stride + here
                value = add(value, load_bfloat16(before) if size == _AS_BFLOAT16 else load_float32(before))
            if target.relu:
                value = maximum(value, zero)
            if size == _AS_BFLOAT16:
                store_bfloat16(target.address + pixel * target.stride + here, value)
            else:
                store_float32(target.address + pixel * target.stride + here, value)


def _multiply_bytes(product: Product) -> None:
    """Rows of unsigned bytes times weights of signed ones; sums are int32, and exact."""
    source, target, panels = product.source, product.target, product.panels
    channels, pixels = product.channels, product.pixels
    fours = source.length // 4
    done = 0
    while done < channels:
        width = 32 if channels - done >= 32 else 16
        height = _PIXELS_32 if width == 32 else _PIXELS_16
        pixel = 0
        while pixel < pixels:
            first = max(min(pixel, pixels - height), 0)
            if product.raw:
                sums = Target(target.address + 4 * done + first * target.stride, target.stride, 0, 0, 0, 0)
            else:
                sums = Target(product.room, 4 * width, 0, 0, 0, 0)
            if width == 32:
                _bytes_32(_source_from(source, first, fours), panels, sums)
            else:
                _bytes_16(_source_from(source, first, fours), panels, sums)
            if not product.raw:
                count = min(height, pixels - first)
                _finish_bytes(product.room, width, count, done, channels, _target_from(target, first))
            pixel = first + height
        panels += source.runs * fours * width * 4
        done += width


@compiled
def _finish_bytes(room: int, width: int, pixels: int, channel: int, channels: int, target: Target) -> None:
    """Sums of one tile → elements of the target, from one of its `channels` on."""
    zero = splat(np.float32(0))
    for column in range(0, width, LANES):
        here = channel + column
        factor, bias = load_float32(target.bias + 4 * here), load_float32(target.bias + 4 * (channels + here))
        share = load_float32(target.bias + 4 * (2 * channels + here))
        for pixel in range(pixels):
            value = multiply_add(load_float32(room + 4 * (pixel * width + column)), factor, bias)
            if target.residual:
                before = load_byte(target.residual + pixel * target.residual_stride + here)
                value = multiply_add(before, share, value)
            if target.relu:
                store_byte(target.address + pixel * target.stride + here, maximum(value, zero))
            else:
                store_bfloat16(target.address + pixel * target.stride + 2 * here, value)


@compiled
def multiply_pixels(function: int, product: Product) -> None:
    """A product by the way of the program's precision, which lies at an address."""
    call_address(function, product)


@cache
def _entry(precision: NativePrecision) -> Any:
    functions = {
        "fp32": _multiply_float32,
        "bf16x3": _multiply_split,
        "bf16": _multiply_bfloat16,
        "int8": _multiply_bytes,
    }
    number, kinds = types.int64, cast(Any, types)  # numba's types of tuples have none that checkers know
    source, target = kinds.NamedUniTuple(number, 5, Source), kinds.NamedUniTuple(number, 6, Target)
    product = kinds.NamedTuple((source, number, number, target, number, number, number), Product)
    return compiled_entry(types.void(product), functions[precision])


def product_address(precision: NativePrecision) -> int:
    """Where the compiled product of a precision lies; it stays there while the process lives."""
    address: int = _entry(precision).address
    return address

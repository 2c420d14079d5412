"""What the kernels of a training step are made of: loops over pixels of flat channels-last float32 arrays.

Positions count elements. Channels come in multiples of 16, the surplus ones zero.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from omnireid.core.compiled import compiled, inlined
from omnireid.inference.native.products import Product, Source, Target, multiply_pixels, tile_width
from omnireid.inference.native.vectors import (
    LANES,
    add,
    load,
    maximum,
    multiply,
    multiply_add,
    splat,
    store,
    subtract,
    tile_product,
    where_positive,
)

Array = Any

CHUNK = 96
"""Pixels that are worked on at a time, such that they stay in the first caches."""

_ROWS = {64: 4, 48: 8, 32: 8, 16: 16} if LANES == 16 else {16: 4}
_outer_16 = tile_product(_ROWS[16], 16, transposed=True)
_ROWS_16 = _ROWS[16]
if len(_ROWS) > 1:
    _outer_64 = tile_product(_ROWS[64], 64, transposed=True)
    _outer_48 = tile_product(_ROWS[48], 48, transposed=True)
    _outer_32 = tile_product(_ROWS[32], 32, transposed=True)
    _ROWS_64, _ROWS_48, _ROWS_32 = _ROWS[64], _ROWS[48], _ROWS[32]
else:
    _outer_64 = _outer_48 = _outer_32 = _outer_16
    _ROWS_64 = _ROWS_48 = _ROWS_32 = _ROWS_16


class Task(NamedTuple):
    """What every kernel is told.

    Attributes:
        product: where the float32 product of `native.products` lies.
        pictures, height, width: of the maps.
        groups: into how many groups the pictures are cut; each has sums of its own, so that these do not
            depend on the number of threads.
        first, end: the groups of this thread.
    """

    product: int
    pictures: int
    height: int
    width: int
    groups: int
    first: int
    end: int


class Map(NamedTuple):
    """Pixels of `channels` channels that lie one after the other in an array from `at` on."""

    values: Array
    at: int
    channels: int


class Norm(NamedTuple):
    """A normalisation with known statistics: four rows of channels, for each picture (`each` apart) or all.

    Forward the rows are scale, shift, mean, inverse deviation: x ↦ scale · x + shift. Backward they are a, m,
    k and mean: dx = a · (dy − m − k · (x − mean)).
    """

    values: Array
    at: int
    each: int


@compiled
def pictures_of(task: Task, group: int) -> tuple[int, int]:
    """First and end of a group's pictures."""
    return task.pictures * group // task.groups, task.pictures * (group + 1) // task.groups


@compiled
def product(
    function: int, source: int, panel: int, target: int, residual: int, sizes: tuple[int, int, int]
) -> None:
    """target = source · weights (+ residual) of dense pixels; addresses, and pixels, inputs and outputs."""
    pixels, inputs, outputs = sizes
    multiply_pixels(
        function,
        Product(
            Source(source, 4 * inputs, 1, 0, inputs),
            panel,
            outputs,
            Target(target, 4 * outputs, 0, residual, 4 * outputs, 0),
            pixels,
            0,
            1,
        ),
    )


@compiled
def outer(a: int, b: int, target: int, sizes: tuple[int, int, int]) -> None:
    """target += aᵀ · b for pixels of a and b: addresses, and pixels, channels of a and channels of b."""
    pixels, inputs, outputs = sizes
    done = 0
    while done < outputs:
        width = tile_width(outputs - done)
        rows = _ROWS_16
        if width == 64:
            rows = _ROWS_64
        elif width == 48:
            rows = _ROWS_48
        elif width == 32:
            rows = _ROWS_32
        for row in range(0, inputs, rows):
            out = target + 4 * (row * outputs + done)
            source = Source(a + 4 * row, 4 * inputs, 1, 4 * outputs, pixels)
            sums = Target(out, 4 * outputs, 0, out, 4 * outputs, 0)
            if width == 64:
                _outer_64(source, b + 4 * done, sums)
            elif width == 48:
                _outer_48(source, b + 4 * done, sums)
            elif width == 32:
                _outer_32(source, b + 4 * done, sums)
            else:
                _outer_16(source, b + 4 * done, sums)
        done += width


@compiled
def activate(source: Map, norm: Norm, picture: int, pixels: int, target: Array, target_at: int) -> None:
    """ReLU of a normalised map: pixels of one picture, from source.at on."""
    channels, values, zero = source.channels, source.values, splat(np.float32(0))
    norm_at = norm.at + picture * norm.each
    for pixel in range(pixels):
        for channel in range(0, channels, LANES):
            at = pixel * channels + channel
            scale, shift = (
                load(norm.values, norm_at + channel),
                load(norm.values, norm_at + channels + channel),
            )
            value = multiply_add(load(values, source.at + at), scale, shift)
            store(target, target_at + at, maximum(value, zero))


@compiled
def backward_norm(
    gradient: Array,
    at: int,
    source: Map,
    norm: Norm,
    picture: int,
    pixels: int,
    target: Array,
    target_at: int,
) -> None:
    """Through a normalisation: dx = a · (dy − m − k · (x − mean)); dy from `at` on, x from source.at on."""
    channels, values = source.channels, source.values
    norm_at = norm.at + picture * norm.each
    for pixel in range(pixels):
        for channel in range(0, channels, LANES):
            row = norm_at + channel
            here = pixel * channels + channel
            value = subtract(load(gradient, at + here), load(norm.values, row + channels))
            centred = subtract(load(values, source.at + here), load(norm.values, row + 3 * channels))
            value = subtract(value, multiply(centred, load(norm.values, row + 2 * channels)))
            store(target, target_at + here, multiply(value, load(norm.values, row)))


@compiled
def add_moments(source: Map, pixels: int, sums: Array, sums_at: int, first: bool) -> None:
    """Add pixels to a picture's moments: Σ (x − c), Σ (x − c)², and c, which is the first pixel."""
    channels, values, start = source.channels, source.values, source.at
    zero = splat(np.float32(0))
    for channel in range(0, channels, LANES):
        at = sums_at + channel
        if first:
            store(sums, at, zero)
            store(sums, at + channels, zero)
            store(sums, at + 2 * channels, load(values, start + channel))
        centre = load(sums, at + 2 * channels)
        sum0, sum1, square0, square1 = zero, zero, zero, zero
        here = start + channel
        for _ in range(pixels // 2):
            value0 = subtract(load(values, here), centre)
            value1 = subtract(load(values, here + channels), centre)
            sum0, sum1 = add(sum0, value0), add(sum1, value1)
            square0 = multiply_add(value0, value0, square0)
            square1 = multiply_add(value1, value1, square1)
            here += 2 * channels
        if pixels % 2:
            value0 = subtract(load(values, here), centre)
            sum0 = add(sum0, value0)
            square0 = multiply_add(value0, value0, square0)
        store(sums, at, add(load(sums, at), add(sum0, sum1)))
        store(sums, at + channels, add(load(sums, at + channels), add(square0, square1)))


@compiled
def depthwise_row(
    lines: tuple[int, int, int], source: Array, taps: Array, taps_at: int, target: Map, width: int
) -> None:
    """One row of a depthwise 3×3; `lines` are the places of the rows above, here and below."""
    above, here, below = lines
    channels, zero = target.channels, splat(np.float32(0))
    for channel in range(0, channels, LANES):
        at = taps_at + channel
        w00, w01, w02 = _three(taps, at, at + channels, at + 2 * channels)
        at += 3 * channels
        w10, w11, w12 = _three(taps, at, at + channels, at + 2 * channels)
        at += 3 * channels
        w20, w21, w22 = _three(taps, at, at + channels, at + 2 * channels)
        left0, left1, left2 = zero, zero, zero
        middle0, middle1, middle2 = _three(source, above + channel, here + channel, below + channel)
        for column in range(width):
            step = (column + 1) * channels + channel
            right0, right1, right2 = zero, zero, zero
            if column + 1 < width:
                right0, right1, right2 = _three(source, above + step, here + step, below + step)
            value = multiply_add(w01, middle0, multiply(w00, left0))
            value = multiply_add(w02, right0, value)
            value1 = multiply_add(w11, middle1, multiply(w10, left1))
            value1 = multiply_add(w12, right1, value1)
            value2 = multiply_add(w21, middle2, multiply(w20, left2))
            value2 = multiply_add(w22, right2, value2)
            store(target.values, target.at + step - channels, add(add(value, value1), value2))
            left0, left1, left2 = middle0, middle1, middle2
            middle0, middle1, middle2 = right0, right1, right2


@compiled
def add_taps_row(
    gradient: Map, lines: tuple[int, int, int], source: Array, sums: Array, sums_at: int, width: int
) -> None:
    """Add one row's gradient of the nine depthwise weights: Σ dy[x] · source[y ± 1, x ± 1]."""
    above, here, below = lines
    channels, zero = gradient.channels, splat(np.float32(0))
    for channel in range(0, channels, LANES):
        s00, s01, s02 = zero, zero, zero
        s10, s11, s12 = zero, zero, zero
        s20, s21, s22 = zero, zero, zero
        left0, left1, left2 = zero, zero, zero
        middle0, middle1, middle2 = _three(source, above + channel, here + channel, below + channel)
        for column in range(width):
            step = (column + 1) * channels + channel
            right0, right1, right2 = zero, zero, zero
            if column + 1 < width:
                right0, right1, right2 = _three(source, above + step, here + step, below + step)
            value = load(gradient.values, gradient.at + step - channels)
            s00, s01, s02 = (
                multiply_add(value, left0, s00),
                multiply_add(value, middle0, s01),
                multiply_add(value, right0, s02),
            )
            s10, s11, s12 = (
                multiply_add(value, left1, s10),
                multiply_add(value, middle1, s11),
                multiply_add(value, right1, s12),
            )
            s20, s21, s22 = (
                multiply_add(value, left2, s20),
                multiply_add(value, middle2, s21),
                multiply_add(value, right2, s22),
            )
            left0, left1, left2 = middle0, middle1, middle2
            middle0, middle1, middle2 = right0, right1, right2
        at = sums_at + channel
        _add_three(sums, at, channels, s00, s01, s02)
        _add_three(sums, at + 3 * channels, channels, s10, s11, s12)
        _add_three(sums, at + 6 * channels, channels, s20, s21, s22)


@compiled
def mask_and_sum(
    gradient: Map, active: Map, source: Map, norm: Norm, place: tuple[int, int], target: Map, sums: Map
) -> None:
    """Through ReLU: g = dy where it was active; and a picture's sums Σ g and Σ g · (x − mean).

    Args:
        active: what the ReLU gave.
        source: x, what was normalised before it.
        place: the picture, and the number of pixels.
        target: g; it may be the gradient's place.
        sums: two rows, added to.
    """
    picture, pixels = place
    channels, zero = gradient.channels, splat(np.float32(0))
    mean_at = norm.at + picture * norm.each + 2 * channels
    for channel in range(0, channels, LANES):
        total, product_total = zero, zero
        mean = load(norm.values, mean_at + channel)
        for pixel in range(pixels):
            here = pixel * channels + channel
            value = where_positive(
                load(active.values, active.at + here), load(gradient.values, gradient.at + here)
            )
            total = add(total, value)
            centred = subtract(load(source.values, source.at + here), mean)
            product_total = multiply_add(value, centred, product_total)
            store(target.values, target.at + here, value)
        at = sums.at + channel
        store(sums.values, at, add(load(sums.values, at), total))
        store(sums.values, at + channels, add(load(sums.values, at + channels), product_total))


@inlined
def _three(array: Array, first: int, second: int, third: int) -> Any:
    return load(array, first), load(array, second), load(array, third)


@inlined
def _add_three(sums: Array, at: int, stride: int, first: Any, second: Any, third: Any) -> None:
    store(sums, at, add(load(sums, at), first))
    store(sums, at + stride, add(load(sums, at + stride), second))
    store(sums, at + 2 * stride, add(load(sums, at + 2 * stride), third))

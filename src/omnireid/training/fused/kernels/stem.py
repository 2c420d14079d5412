"""Behind the stem's 7×7: normalisation, ReLU and the 3×3 maximum with stride 2."""

from __future__ import annotations

from typing import Any

import numpy as np

from omnireid.core.compiled import compiled
from omnireid.inference.native.vectors import (
    LANES,
    add,
    load,
    maximum,
    multiply_add,
    splat,
    store,
    subtract,
    where_equal,
    where_positive,
)
from omnireid.training.fused.kernels.rows import (
    CHUNK,
    Map,
    Norm,
    Task,
    add_moments,
    backward_norm,
    pictures_of,
)

Array = Any


@compiled
def map_moments(task: Task, source: Map, sums: Array) -> None:
    """The moments (N, 3, C) of a map."""
    size, channels = task.height * task.width, source.channels
    for group in range(task.first, task.end):
        first, end = pictures_of(task, group)
        for picture in range(first, end):
            for start in range(0, size, CHUNK):
                piece = Map(source.values, source.at + (picture * size + start) * channels, channels)
                add_moments(piece, min(CHUNK, size - start), sums, picture * 3 * channels, start == 0)


@compiled
def pool_forward(task: Task, source: Map, norm: Norm, target: Map) -> None:
    """The 3×3 maximum with stride 2 of ReLU of a normalised map."""
    height, width, channels = task.height, task.width, source.channels
    rows, columns = (height + 1) // 2, (width + 1) // 2
    for group in range(task.first, task.end):
        first, end = pictures_of(task, group)
        for picture in range(first, end):
            norm_at = norm.at + picture * norm.each
            picture_at = source.at + picture * height * width * channels
            target_at = target.at + picture * rows * columns * channels
            for channel in range(0, channels, LANES):
                scale = load(norm.values, norm_at + channel)
                shift = load(norm.values, norm_at + channels + channel)
                for row in range(rows):
                    for column in range(columns):
                        value = splat(np.float32(0))
                        for y in range(max(2 * row - 1, 0), min(2 * row + 2, height)):
                            for x in range(max(2 * column - 1, 0), min(2 * column + 2, width)):
                                here = load(source.values, picture_at + (y * width + x) * channels + channel)
                                value = maximum(multiply_add(here, scale, shift), value)
                        store(target.values, target_at + (row * columns + column) * channels + channel, value)


@compiled
def pool_backward(
    task: Task, gradient: Map, pooled: Map, source: Map, norm: Norm, target: Array, sums: Array
) -> None:
    """Each gradient goes to the first pixel of its window that is the maximum; and its sums (N, 2, C)."""
    height, width, channels = task.height, task.width, source.channels
    rows, columns = (height + 1) // 2, (width + 1) // 2
    size = height * width * channels
    for group in range(task.first, task.end):
        first, end = pictures_of(task, group)
        for picture in range(first, end):
            norm_at = norm.at + picture * norm.each
            target[picture * size : (picture + 1) * size] = 0
            pooled_at = picture * rows * columns * channels
            for channel in range(0, channels, LANES):
                scale = load(norm.values, norm_at + channel)
                shift = load(norm.values, norm_at + channels + channel)
                mean = load(norm.values, norm_at + 2 * channels + channel)
                total, along = splat(np.float32(0)), splat(np.float32(0))
                for row in range(rows):
                    row_total, row_along = splat(np.float32(0)), splat(np.float32(0))
                    for column in range(columns):
                        at = pooled_at + (row * columns + column) * channels + channel
                        highest = load(pooled.values, pooled.at + at)
                        left = where_positive(highest, load(gradient.values, gradient.at + at))
                        row_total = add(row_total, left)
                        for y in range(max(2 * row - 1, 0), min(2 * row + 2, height)):
                            for x in range(max(2 * column - 1, 0), min(2 * column + 2, width)):
                                here = picture * size + (y * width + x) * channels + channel
                                value = load(source.values, source.at + here)
                                taken = where_equal(multiply_add(value, scale, shift), highest, left)
                                left = subtract(left, taken)
                                row_along = multiply_add(taken, subtract(value, mean), row_along)
                                store(target, here, add(load(target, here), taken))
                    total, along = add(total, row_total), add(along, row_along)
                store(sums, picture * 2 * channels + channel, total)
                store(sums, (picture * 2 + 1) * channels + channel, along)


@compiled
def norm_backward(task: Task, source: Map, norm: Norm, gradient: Array) -> None:
    """Through a normalisation, in place."""
    size, channels = task.height * task.width, source.channels
    for group in range(task.first, task.end):
        first, end = pictures_of(task, group)
        for picture in range(first, end):
            at = picture * size * channels
            piece = Map(source.values, source.at + at, channels)
            backward_norm(gradient, at, piece, norm, picture, size, gradient, at)

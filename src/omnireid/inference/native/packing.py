"""Weights in the order in which products read them, and numbers in other sizes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from omnireid.core.arrays import Float32, Float64
from omnireid.inference.native.products import tile_width
from omnireid.inference.native.vectors import CHANNELS, HAS_MATRIX_TILES, TILES


def to_bfloat16(values: npt.NDArray[Any]) -> npt.NDArray[np.uint16]:
    """Rounded to the nearest, ties to even; finite values."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def from_bfloat16(bits: npt.NDArray[np.uint16]) -> Float32:
    """The values that bfloat16 stand for."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


def padded(channels: int) -> int:
    """The next multiple of 16."""
    return -(-channels // CHANNELS) * CHANNELS


def pack_float32(weight: Float64) -> Float32:
    """(O, runs, length) → for each tile [runs · length][width]."""
    parts, done = [], 0
    while done < len(weight):
        width = tile_width(len(weight) - done)
        parts.append(weight[done : done + width].transpose(1, 2, 0).ravel())
        done += width
    return np.concatenate(parts).astype(np.float32)


def pack_bfloat16(weight: Float64, *, matrix_tiles: bool = HAS_MATRIX_TILES) -> npt.NDArray[np.uint16]:
    """(O, runs, length) → for each tile, as AMX reads it [runs][steps][columns][16 pairs][16][2]; without
    AMX [runs][pairs][width][2]."""
    count, runs, length = weight.shape
    parts, done = [], 0
    if matrix_tiles:
        length = -(-length // 32) * 32
        longer = np.zeros((count, runs, length))
        longer[:, :, : weight.shape[2]] = weight
        weight = longer
    widest = 32 if matrix_tiles or 32 in TILES else 16
    while done < count:
        width = widest if count - done >= widest else 16
        tile = weight[done : done + width]
        if matrix_tiles:
            tile = tile.reshape(width // 16, 16, runs, length // 32, 16, 2).transpose(2, 3, 0, 4, 1, 5)
        else:
            tile = tile.reshape(width, runs, length // 2, 2).transpose(1, 2, 0, 3)
        parts.append(tile.ravel())
        done += width
    return to_bfloat16(np.concatenate(parts))


def pack_bytes(weight: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
    """(O, runs, length) → for each tile [runs][fours][width][4]."""
    count, runs, length = weight.shape
    parts, done = [], 0
    while done < count:
        width = 32 if count - done >= 32 else 16
        tile = weight[done : done + width].reshape(width, runs, length // 4, 4)
        parts.append(tile.transpose(1, 2, 0, 3).ravel())
        done += width
    return np.concatenate(parts)


def split_weights(weight: Float64) -> Float64:
    """(O, runs, length) → (O, 3 · runs, length): of each run w₁, w₁ and w₂, see `products`."""
    large = from_bfloat16(to_bfloat16(weight))
    rest = weight - large
    return np.stack([large, large, rest], axis=2).reshape(len(weight), -1, weight.shape[2])

"""Frost: the picture and a frosty overlay, added.

The published overlays are five photographs, which are not in this repository. Ours are value noise with
their statistics: size, colour at each quantile of brightness, mean squared difference between pixels 1 to 128
apart; contrast and fineness were then adjusted until corrupted pictures agreed in mean, deviation and
gradient energy (docs/decisions/0005-corruptions.md). They have no needles and no fronds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from omnireid.core.arrays import Float64, Int64
from omnireid.core.compiled import compiled
from omnireid.core.images import Crop
from omnireid.robustness.extras import cv2

# Pixels between the nodes of each octave of noise.
_SPACINGS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
# Standard normal quantiles of the brightness at which the tones are given:
# 0.1, 1, 5, 15, 30, 50, 70, 85, 95, 99 and 99.9 %.
_QUANTILES = (-3.0902, -2.3263, -1.6449, -1.0364, -0.5244, 0.0, 0.5244, 1.0364, 1.6449, 2.3263, 3.0902)
# Overlays are used 1.1 times as large as the published files.
_ENLARGEMENT = 1.1


@dataclass(frozen=True)
class _Overlay:
    """Size of the published file; amplitude of each octave; the colour at each of the quantiles."""

    height: int
    width: int
    amplitudes: tuple[float, ...]
    tones: str


_OVERLAYS = (
    _Overlay(
        height=600,
        width=900,
        amplitudes=(0.218, 0.737, 0, 0, -0.36, -0.531, -0.342, -0.999, -0.773),
        tones="226f82 277588 2e7c8f 358498 3d8c9f 4a94a6 589dac 68a6b4 7db1bb 93bdc4 a4ccd3",
    ),
    _Overlay(
        height=315,
        width=560,
        amplitudes=(0.113, 0.653, 0.174, 0.534, 0, 0.309, 0.193, 0, 0.863),
        tones="69696d 8a8c92 a2a4ac b3b7c0 c0c5ce cbd0da d5dae4 dde3ec e6ebf4 f1f5f9 f8fcfc",
    ),
    _Overlay(
        height=315,
        width=560,
        amplitudes=(0.109, 0.630, 0.168, 0.729, 0, 0.422, 0.264, 0, 1.178),
        tones="69696d 8a8c92 a2a4ac b3b7c0 c0c5ce cbd0da d5dae4 dde3ec e6ebf4 f1f5f9 f8fcfc",
    ),
    _Overlay(
        height=350,
        width=527,
        amplitudes=(0.182, 0.870, 0.111, -0.23, -0.092, -0.071, 0, -0.218, -0.385),
        tones="29353b 46545d 5b6a73 6e7d89 7c8b97 8a99a5 97a6b3 a4b3c1 b7c6d5 d9e8f6 f4ffff",
    ),
    _Overlay(
        height=495,
        width=660,
        amplitudes=(0.187, 0.603, 0.388, 0.497, 0.502, 0.281, 0, 0.469, 0),
        tones="151f2a 1f2a35 2d3945 404c59 535e6b 697581 828d98 9ca6b0 c0c7cf e5eaef f9fbfc",
    ),
)


def frost(crop: Crop, rng: np.random.Generator, keep: float, cover: float) -> Crop:
    height, width, _ = crop.shape
    overlay = _enlarged(int(rng.integers(len(_OVERLAYS))), height, width)
    top = int(rng.integers(overlay.shape[0] - height))
    left = int(rng.integers(overlay.shape[1] - width))
    return _add(crop, overlay[top : top + height, left : left + width], float(keep), float(cover))


@compiled
def _add(crop: Crop, overlay: Crop, keep: float, cover: float) -> Crop:
    out = np.empty_like(crop)
    for y in range(crop.shape[0]):
        for x in range(crop.shape[1]):
            for c in range(crop.shape[2]):
                out[y, x, c] = np.uint8(min(keep * crop[y, x, c] + cover * overlay[y, x, c], 255.0))
    return out


def _enlarged(number: int, height: int, width: int) -> Crop:
    """Overlay, larger than a crop of that size."""
    overlay = _OVERLAYS[number]
    factor = max(height / overlay.height, width / overlay.width)
    if factor <= 1:
        return _texture(number)
    size = (
        math.ceil(overlay.width * factor * _ENLARGEMENT),
        math.ceil(overlay.height * factor * _ENLARGEMENT),
    )
    return np.asarray(cv2.resize(_texture(number), dsize=size, interpolation=cv2.INTER_CUBIC), np.uint8)


@lru_cache(maxsize=len(_OVERLAYS))
def _texture(number: int) -> Crop:
    overlay = _OVERLAYS[number]
    height, width = math.ceil(overlay.height * _ENLARGEMENT), math.ceil(overlay.width * _ENLARGEMENT)
    rng = np.random.Generator(np.random.PCG64(1000 + number))
    field = np.zeros((height, width))
    for spacing, amplitude in zip(_SPACINGS, overlay.amplitudes, strict=True):
        field += amplitude * _octave(rng, height, width, spacing)
    field -= field.mean()
    tones = np.array([list(bytes.fromhex(tone)) for tone in overlay.tones.split()], np.float64)
    return np.stack([np.rint(np.interp(field, _QUANTILES, tones[:, c])) for c in range(3)], -1).astype(
        np.uint8
    )


def _octave(rng: np.random.Generator, height: int, width: int, spacing: int) -> Float64:
    """(height, width) of normal numbers at the nodes of a grid, smoothly interpolated between them."""
    nodes = rng.standard_normal((height // spacing + 2, width // spacing + 2))
    row, down = _smooth_steps(height, spacing)
    nodes = nodes[row] * (1 - down[:, None]) + nodes[row + 1] * down[:, None]
    column, right = _smooth_steps(width, spacing)
    return nodes[:, column] * (1 - right) + nodes[:, column + 1] * right


def _smooth_steps(size: int, spacing: int) -> tuple[Int64, Float64]:
    """Node before each position, and the weight of the one after it (3t² − 2t³)."""
    positions = np.arange(size)
    part = (positions % spacing) / spacing
    return positions // spacing, part * part * (3 - 2 * part)

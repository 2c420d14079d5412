"""Blur: defocus, glass, motion, zoom and Gaussian."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from omnireid.core.arrays import Float32, UInt8
from omnireid.core.compiled import compiled
from omnireid.core.images import Crop
from omnireid.robustness.extras import cv2
from omnireid.robustness.filters import gaussian, smear, to_bytes, zoom


def defocus_blur(crop: Crop, rng: np.random.Generator, radius: float, smoothing: float) -> Crop:
    # OpenCV sums so large a kernel through its Fourier transform: only the same call has the same last bits.
    intensities = crop / 255.0
    kernel = _disk(int(radius), smoothing)
    channels = [cv2.filter2D(np.ascontiguousarray(intensities[..., c]), -1, kernel) for c in range(3)]
    return to_bytes(np.stack(channels, axis=-1))


@lru_cache(maxsize=8)
def _disk(radius: int, smoothing: float) -> Float32:
    """(2r + 1, 2r + 1) float32 disk with sum 1 and a smoothed edge; at least 17 × 17."""
    reach = max(radius, 8)
    side = np.arange(-reach, reach + 1)
    disk = (side[None, :] ** 2 + side[:, None] ** 2 <= radius**2).astype(np.float32)
    disk /= disk.sum()
    edge = 3 if radius <= 8 else 5
    return np.asarray(cv2.GaussianBlur(disk, ksize=(edge, edge), sigmaX=smoothing), np.float32)


def glass_blur(crop: Crop, rng: np.random.Generator, sigma: float, reach: float, rounds: float) -> Crop:
    height, width, _ = crop.shape
    blurred = (gaussian(crop / 255.0, sigma, sigma) * 255).astype(np.uint8)
    inner = (max(height - 2 * int(reach), 0), max(width - 2 * int(reach), 0))
    words = rng.integers(0, 1 << 32, size=(int(rounds), *inner), dtype=np.uint32)
    _scatter(blurred, words, int(reach))
    return to_bytes(gaussian(blurred / 255.0, sigma, sigma))


@compiled
def _scatter(image: UInt8, words: npt.NDArray[np.uint32], reach: int) -> None:
    """Give each pixel, from the last to the first, the colour of a random one near it, in place.

    The published code means to exchange the two; as its views alias, both end up with the neighbour's colour.
    """
    rounds, rows, columns = words.shape
    choices = 2 * reach
    for i in range(rounds):
        for row in range(rows):
            for column in range(columns):
                # One of the (2 · reach)² shifts of −reach … reach − 1.
                shift = np.int64(
                    (np.uint64(words[i, row, column]) * np.uint64(choices * choices)) >> np.uint64(32)
                )
                y, x = rows + reach - row, columns + reach - column
                from_y, from_x = y + shift // choices - reach, x + shift % choices - reach
                for c in range(3):
                    image[y, x, c] = image[from_y, from_x, c]


def motion_blur(crop: Crop, rng: np.random.Generator, radius: float, sigma: float) -> Crop:
    angle = rng.uniform(-45, 45)
    levels = smear(crop.astype(np.float64), int(radius), sigma, angle)
    return np.minimum(levels, 255).astype(np.uint8)


def zoom_blur(crop: Crop, rng: np.random.Generator, end: float, step: float) -> Crop:
    factors = np.arange(1, end, step)
    intensities = (crop / 255.0).astype(np.float32)
    source = intensities.astype(np.float64)
    total = np.zeros_like(intensities)
    for factor in factors:
        total += zoom(source, float(factor), crop=True).astype(np.float32)
    return to_bytes((intensities + total) / np.float32(len(factors) + 1))


def gaussian_blur(crop: Crop, rng: np.random.Generator, sigma: float) -> Crop:
    return to_bytes(gaussian(crop / 255.0, sigma, sigma))

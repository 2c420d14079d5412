"""Noise: every value changes independently of its neighbours.

So a corruption at a severity is a table of P(output level | input level), 256 × 256, and one 32-bit random
number a value draws from it (Walker's alias method). That is the published distribution, truncation to bytes
included, to 2⁻²⁴, and several times faster than drawing normal or Poisson numbers.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from omnireid.core.arrays import Float64, UInt8
from omnireid.core.compiled import compiled
from omnireid.core.images import Crop
from omnireid.robustness.extras import special

Table = npt.NDArray[np.uint32]
_LEVELS = np.arange(256.0)


def gaussian_noise(crop: Crop, rng: np.random.Generator, sigma: float) -> Crop:
    return _transmit(crop, rng, _gaussian_table(sigma))


def shot_noise(crop: Crop, rng: np.random.Generator, photons: float) -> Crop:
    return _transmit(crop, rng, _shot_table(photons))


def impulse_noise(crop: Crop, rng: np.random.Generator, share: float) -> Crop:
    return _transmit(crop, rng, _impulse_table(share))


def speckle_noise(crop: Crop, rng: np.random.Generator, sigma: float) -> Crop:
    return _transmit(crop, rng, _speckle_table(sigma))


@lru_cache(maxsize=8)
def _gaussian_table(sigma: float) -> Table:
    return _normal_table(np.full(256, sigma * 255.0))


@lru_cache(maxsize=8)
def _speckle_table(sigma: float) -> Table:
    return _normal_table(_LEVELS * sigma)


def _normal_table(deviations: Float64) -> Table:
    """Input v becomes N(v, deviation²), clipped to 0…255 and truncated."""
    # Without deviation (black under speckle) the quotient must say which side of v a level lies on.
    deviations = np.maximum(deviations, 1e-9)
    below = special.ndtr((_LEVELS[None, 1:] - _LEVELS[:, None]) / deviations[:, None])
    return _table(np.diff(below, axis=1, prepend=0.0, append=1.0))


@lru_cache(maxsize=8)
def _shot_table(photons: float) -> Table:
    """Input v becomes n / photons with n from Poisson(v / 255 · photons), clipped and truncated."""
    counts = np.arange(int(photons))
    below = special.pdtr(counts[None, :], (_LEVELS / 255.0 * photons)[:, None])
    outputs = (np.arange(int(photons) + 1) / photons * 255).astype(np.uint8)
    chances = np.zeros((256, 256))
    chances[:, outputs] = np.diff(below, axis=1, prepend=0.0, append=1.0)
    return _table(chances)


@lru_cache(maxsize=8)
def _impulse_table(share: float) -> Table:
    """Input v becomes 0 or 255, each with half the share."""
    chances = (1.0 - share) * np.eye(256)
    chances[:, [0, 255]] += share / 2
    return _table(chances)


def _table(chances: Float64) -> Table:
    """(256, 256) uint32 alias table of P(output | input): threshold in 24 bits, then the alias in 8."""
    return _alias_table(chances / chances.sum(axis=1, keepdims=True))


@compiled
def _alias_table(chances: Float64) -> Table:
    inputs, levels = chances.shape
    out = np.empty((inputs, levels), np.uint32)
    poor, rich = np.empty(levels, np.int64), np.empty(levels, np.int64)
    for row in range(inputs):
        rest = chances[row] * levels
        num_poor, num_rich = 0, 0
        for level in range(levels):
            # A level that is never made poor keeps itself as alias, whatever its threshold.
            out[row, level] = np.uint32(level)
            if rest[level] < 1.0:
                poor[num_poor] = level
                num_poor += 1
            else:
                rich[num_rich] = level
                num_rich += 1
        while num_poor > 0 and num_rich > 0:
            num_poor -= 1
            level, giver = poor[num_poor], rich[num_rich - 1]
            out[row, level] = np.uint32(int(rest[level] * 16777216.0) << 8 | giver)
            rest[giver] -= 1.0 - rest[level]
            if rest[giver] < 1.0:
                num_rich -= 1
                poor[num_poor] = giver
                num_poor += 1
    return out


def _transmit(crop: Crop, rng: np.random.Generator, table: Table) -> Crop:
    words = rng.integers(0, 1 << 32, size=crop.size, dtype=np.uint32)
    return _draw_levels(crop.ravel(), words, table).reshape(crop.shape)


@compiled
def _draw_levels(values: UInt8, words: Table, table: Table) -> UInt8:
    out = np.empty(values.size, np.uint8)
    for i in range(values.size):
        level = words[i] & np.uint32(255)
        entry = table[values[i], level]
        out[i] = level if words[i] >> np.uint32(8) < entry >> np.uint32(8) else entry & np.uint32(255)
    return out

"""Where the distances that a ranking is made of come from: a given matrix, or embeddings."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from omnireid.core.arrays import AnyFloat, Float64, Int64
from omnireid.core.errors import InputError
from omnireid.evaluation.options import DistanceName
from omnireid.evaluation.streaming import Comparison, QueryBlock, Tile

Distances = AnyFloat

NUM_BINS = 2048

# What a pair is ranked by, see `kernels.value_of`.
LEVEL, ROOT, BLEND, BLEND_SQUARE = 0, 1, 2, 3

_BLOCK_QUERIES = 4096
_SMALLEST, _LARGEST = 1e-30, 1e300


class DistanceSource:
    """Where distances come from. What a pair is ranked by is `kernels.value_of(kind, blend, level)`.

    Attributes:
        kind, blend, weight: see `kernels`.
        low, high: the levels between which bins are of equal width.
        moves: whether some pairs have a value that does not follow from their level.
    """

    given = False
    moves = False
    kind: int
    blend = 0.0
    weight: Float64
    low: float
    high: float

    def blocks(self) -> Iterator[QueryBlock]:
        raise NotImplementedError

    def tiles(self, block: QueryBlock) -> Iterator[Tile]:
        raise NotImplementedError

    def values(self, query: Int64, item: Int64) -> Float64:
        """What the pairs are ranked by, exact."""
        raise NotImplementedError

    def moved(self, block: QueryBlock) -> tuple[Int64, Int64, Float64]:
        """query, item, value of the pairs that do not follow from their level; ascending by (query, item)."""
        raise NotImplementedError

    def level_to_offset(self, block: QueryBlock) -> Float64:
        raise NotImplementedError

    def edges(self, histogram: Int64) -> Float64:
        """(len(histogram) + 1,) values between the bins of levels, the last for what is beyond the range."""
        raise NotImplementedError


class GivenDistances(DistanceSource):
    given = True

    def __init__(self, dist_QG: Distances) -> None:
        self.dist_QG = dist_QG
        self.kind = LEVEL
        self.weight = np.ones(len(dist_QG))
        low, high = _finite_range(dist_QG)
        self.low = max(low, -_LARGEST) if np.isfinite(low) else 0.0
        # Wide enough for bins that float32 can tell apart, and one bin more than the range needs, so that
        # its end is inside and only infinity is beyond.
        least = max(1e-6 * abs(self.low), _SMALLEST)
        width = max(min(high, _LARGEST) - self.low, least) if np.isfinite(high) else 1.0
        self.high = self.low + width * (1.0 + 1.0 / (NUM_BINS - 1))

    def blocks(self) -> Iterator[QueryBlock]:
        for first in range(0, len(self.dist_QG), _BLOCK_QUERIES):
            stop = min(first + _BLOCK_QUERIES, len(self.dist_QG))
            none = np.empty((stop - first, 0), np.float32)
            yield QueryBlock(first, stop, none, np.ones(stop - first), none, np.zeros(stop - first))

    def tiles(self, block: QueryBlock) -> Iterator[Tile]:
        num_items = self.dist_QG.shape[1]
        none = np.empty((0, 0), np.float32)
        half_g = np.empty(0, np.float32 if self.dist_QG.dtype == np.float16 else self.dist_QG.dtype)
        values = partial(self._checked, block.first)
        yield Tile(0, num_items, values, half_g, none, np.ones(0), np.zeros(len(block)))

    def _checked(self, first_query: int, first: int, stop: int) -> Distances:
        values = self.dist_QG[first_query + first : first_query + stop]
        nan = np.flatnonzero(np.isnan(values).any(axis=1))
        if nan.size:
            raise InputError(f"distances: row {first_query + first + int(nan[0])} holds NaN")
        if values.dtype == np.float16:
            values = values.astype(np.float32)
        return np.ascontiguousarray(values)

    def values(self, query: Int64, item: Int64) -> Float64:
        return self.dist_QG[query, item].astype(np.float64)

    def level_to_offset(self, block: QueryBlock) -> Float64:
        return np.ones(len(block))

    def edges(self, histogram: Int64) -> Float64:
        return np.append(np.linspace(self.low, self.high, NUM_BINS + 1), np.inf)


class EmbeddingDistances(DistanceSource):
    def __init__(self, comparison: Comparison, distance: DistanceName) -> None:
        self.comparison = comparison
        self.kind = ROOT if distance == "euclidean" else LEVEL
        self.weight = np.full(len(comparison.query), 0.5 if distance == "cosine" else 1.0)
        self._set_range()

    def _set_range(self) -> None:
        sample = self.comparison.sample_levels(self.weight)
        least, most = float(sample.min()), float(sample.max())
        # Not so narrow, where all of the sample coincide, that the width of a bin is lost in float32.
        reach = float(self.weight.max()) / self.comparison.factor**2
        self.low, self.high = 0.0, max(most + 0.25 * (most - least), 1e-9 * reach)
        self.beyond = 0.0

    def blocks(self) -> Iterator[QueryBlock]:
        return self.comparison.query_blocks()

    def tiles(self, block: QueryBlock) -> Iterator[Tile]:
        for tile in self.comparison.tiles(block):
            # The largest level there can be in this tile, for the end of the histogram.
            farthest = (
                block.half.max() + tile.half_g.max() + 2 * np.sqrt(block.half.max() * tile.half_g.max())
            )
            level = 2.02 * float(farthest) / self.comparison.factor**2 * float(self.weight.max())
            self.beyond = max(self.beyond, level)
            yield tile

    def values(self, query: Int64, item: Int64) -> Float64:
        levels = self.comparison.levels(query, item, self.weight)
        return values_of(self.kind, self.blend, levels)

    def level_to_offset(self, block: QueryBlock) -> Float64:
        return self.comparison.factor**2 / (2.0 * self.weight[block.first : block.stop])

    def edges(self, histogram: Int64) -> Float64:
        levels = np.append(np.linspace(self.low, self.high, NUM_BINS + 1), max(self.beyond, 2 * self.high))
        return values_of(self.kind, self.blend, levels)


def values_of(kind: int, blend: float, levels: Float64) -> Float64:
    """`kernels.value_of` for many levels: the same operations, so the same numbers."""
    if kind == LEVEL:
        return levels
    if kind == ROOT:
        return np.sqrt(levels)
    return (1.0 - blend) + blend * (levels if kind == BLEND else levels * levels)


def _finite_range(dist_QG: Distances) -> tuple[float, float]:
    """Smallest and largest distance that is not infinite, row by row to need no second matrix."""
    low, high = np.inf, -np.inf
    for dist_G in dist_QG:
        finite = dist_G[np.isfinite(dist_G)]
        low, high = min(low, finite.min(initial=np.inf)), max(high, finite.max(initial=-np.inf))
    return float(low), float(high)

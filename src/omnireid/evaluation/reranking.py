"""k-reciprocal re-ranking (Zhong et al., CVPR 2017) on neighbour lists: memory grows with N, not with N².

Two pictures of one person have neighbours in common. Each item p of query ∪ gallery is described by its
reciprocal neighbours, those that have p among their own, and re-ranked distances are

    d*(p, g) = (1 − λ) · Jaccard(p, g) + λ · d(p, g)

The paper leaves things open, its authors' code settles them in its way, and torchreid feeds that code
distances that are squared already. The three are named:

| | `paper` (default) | `authors-code` | `torchreid` |
|---|---|---|---|
| d: squared Euclidean (the paper's form, no learned metric) … | itself | itself | squared again |
| … divided by each item's largest, so that exp(−d) has a scale (the paper says nothing) | yes | yes | yes |
| N(p, k): nearest of query ∪ gallery, p itself the first | k | k + 1 | k + 1 |
| R(q, k/2) joins R(p, k) when their overlap is … of R(q, k/2) | ≥ 2/3 | > 2/3 | > 2/3 |
| weights exp(−d) of a description | as they are | sum to 1 | sum to 1 |

k/2 is rounded half to even. Local query expansion takes the mean description of the first k2 of N(p, k2),
p among them; k2 = 1 is none.

Only items that share a described neighbour have a Jaccard distance below 1. For all others d* follows
from d alone, so a gallery is ranked by `evaluate_embeddings` without a (Q, G) matrix.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from rich.console import Console

from omnireid.core.arrays import AnyFloat, Float32, Float64, Int32, Int64
from omnireid.core.errors import InputError, ShapeError
from omnireid.evaluation.neighbours import nearest_of
from omnireid.evaluation.options import DistanceName, Reranking
from omnireid.evaluation.sources import BLEND, BLEND_SQUARE, EmbeddingDistances, values_of
from omnireid.evaluation.streaming import Comparison, QueryBlock, Team

# Called with rows and items, (M,) each, for their squared distances as shares of the row's largest.
Levels = Callable[[Int64, Int64], Float64]

_ROWS_AT_ONCE = 8192
_ROUNDING = 1e-5


def reranked_distances(
    sq_dist_QG: AnyFloat,
    sq_dist_QQ: AnyFloat,
    sq_dist_GG: AnyFloat,
    reranking: Reranking | None = None,
    *,
    threads: int | None = None,
) -> Float64:
    """Re-rank from complete matrices of squared Euclidean distances; for what fits into memory.

    `evaluate_embeddings(..., reranking=...)` does the same from embeddings without any matrix.

    Args:
        sq_dist_QG, sq_dist_QQ, sq_dist_GG: (Q, G), (Q, Q) and (G, G) floats; the last two symmetric.
        reranking: the constants.
        threads: how many to use, all cores by default; the result does not depend on it.

    Returns:
        (Q, G) float64: d*.

    Raises:
        ShapeError: matrices that do not fit together.
        InputError: NaN, infinity or a negative distance, or fewer items than k1 or k2 ask for.
    """
    num_query, num_gallery = sq_dist_QG.shape
    sides = (("sq_dist_QQ", sq_dist_QQ, num_query), ("sq_dist_GG", sq_dist_GG, num_gallery))
    for name, matrix, side in sides:
        if matrix.shape != (side, side):
            raise ShapeError(name, expected=(side, side), actual=matrix.shape)
    reranking = reranking or Reranking()
    dist_NN = np.block([[sq_dist_QQ, sq_dist_QG], [sq_dist_QG.T, sq_dist_GG]]).astype(np.float64)
    count = len(dist_NN)
    reranking.check(count)
    if not np.isfinite(dist_NN).all():
        raise InputError("squared distances: NaN or infinity")
    largest = dist_NN.max(axis=1)
    if dist_NN.min() < -_ROUNDING * largest.max():
        raise InputError(f"squared distances: {dist_NN.min()} is negative")
    # ‖a‖² + ‖b‖² − 2 a·b of nearly equal rows may round below zero.
    np.maximum(dist_NN, 0.0, out=dist_NN)
    off_diagonal = dist_NN.copy()
    # An item is its own nearest, whatever duplicates there are.
    np.fill_diagonal(off_diagonal, -1.0)
    lists = np.argsort(off_diagonal, axis=1, kind="stable")[:, : reranking.list_length]
    with Team(threads) as team:

        def levels(row: Int64, item: Int64) -> Float64:
            return dist_NN[row, item] * _inverse(largest)[row]

        index = JaccardIndex.build(lists, levels, num_query, reranking, team)
        query, item, jaccard = index.below_one(0, num_query, team)
    level_QG = dist_NN[:num_query, num_query:] * _inverse(largest)[:num_query, None]
    final_QG = values_of(_kind(reranking), reranking.lambda_, level_QG)
    final_QG[query, item] = _final(reranking, jaccard, level_QG[query, item])
    return final_QG


class RerankedDistances(EmbeddingDistances):
    """Re-ranked distances of embeddings: most follow from the original ones, some are moved."""

    def __init__(
        self,
        comparison: Comparison,
        distance: DistanceName,
        reranking: Reranking,
        console: Console | None = None,
    ) -> None:
        self.comparison, self.reranking = comparison, reranking
        rows = np.concatenate([comparison.query, comparison.gallery])
        both = Comparison(rows, rows, distance, comparison.team)
        self.index, inverse = _index(both, len(comparison.query), reranking, console)
        self.moves = True
        self.kind, self.blend = _kind(reranking), reranking.lambda_
        self.weight = inverse[: len(comparison.query)]
        self._set_range()

    def moved(self, block: QueryBlock) -> tuple[Int64, Int64, Float64]:
        query, item, jaccard = self.index.below_one(block.first, block.stop, self.comparison.team)
        levels = self.comparison.levels(query, item, self.weight)
        return query, item, _final(self.reranking, jaccard, levels)


def jaccard_below_one(
    vectors: AnyFloat, reranking: Reranking, *, threads: int | None = None
) -> tuple[Int64, Int64, Float64]:
    """Jaccard distances between the items of one set, where they are below 1: what clusters are made of.

    Args:
        vectors: (N, D); compared by Euclidean distance.
        reranking: the constants; `lambda_` plays no part.

    Returns:
        row, item, jaccard: (M,) each, ascending by (row, item); an item and itself at 0 among them.

    Raises:
        InputError: fewer items than k1 or k2 ask for.
    """
    reranking.check(len(vectors))
    with Team(threads) as team:
        both = Comparison(vectors, vectors, "euclidean", team)
        index, _ = _index(both, 0, reranking, None)
        return index.below_one(0, len(vectors), team)


def _index(
    both: Comparison, num_query: int, reranking: Reranking, console: Console | None
) -> tuple[JaccardIndex, Float64]:
    """Descriptions of all items, and the inverse of each one's largest squared distance."""
    reranking.check(len(both.query))
    own = np.arange(len(both.query))
    wanted = reranking.list_length - 1
    # One neighbour is always looked for: it brings the largest distance with it.
    nearest = nearest_of(both, max(1, wanted), own=own, console=console)
    lists = np.concatenate([own[:, None], nearest.items[:, :wanted]], axis=1)
    inverse = _inverse(nearest.largest)

    def levels(row: Int64, item: Int64) -> Float64:
        return both.levels(row, item, inverse)

    return JaccardIndex.build(lists, levels, num_query, reranking, both.team), inverse


@dataclass(frozen=True, eq=False)
class SparseRows:
    """N sparse rows: those of row i are `items[start[i] : start[i + 1]]`, ascending, with their `weights`."""

    start: Int64
    items: Int32
    weights: Float32

    def __len__(self) -> int:
        return len(self.start) - 1


@dataclass(frozen=True, eq=False)
class JaccardIndex:
    """Descriptions of all items, and for each item the gallery rows whose description contains it.

    Attributes:
        described: (N) rows, queries first.
        totals: (N,) float64 sum of each row's weights.
        containing: (N) rows of gallery indices with the weight that each gives the item.
        num_query: where the gallery begins.
    """

    described: SparseRows
    totals: Float64
    containing: SparseRows
    num_query: int

    @classmethod
    def build(
        cls, lists: Int64, levels: Levels, num_query: int, reranking: Reranking, team: Team
    ) -> JaccardIndex:
        """Describe all items.

        Args:
            lists: (N, L) nearest items of each, itself first.
            levels: see `Levels`.
            num_query: how many of the N are queries.
        """
        short = lists.astype(np.int32)
        described = _encode(short, levels, reranking, team)
        if reranking.k2 > 1:
            described = _expand(described, short[:, : reranking.k2], team)
        totals = np.add.reduceat(described.weights, described.start[:-1], dtype=np.float64)
        return cls(described, totals, _invert(described, num_query), num_query)

    def below_one(self, first: int, stop: int, team: Team) -> tuple[Int64, Int64, Float64]:
        """Pairs of queries first … stop and gallery items whose Jaccard distance is below 1.

        Returns:
            query, item, jaccard: (M,) each, ascending by (query, item).
        """
        from omnireid.evaluation.reranking_kernels import shared_neighbours

        num_gallery = len(self.described) - self.num_query
        blocks = team.share(
            stop - first,
            _ROWS_AT_ONCE,
            shared_neighbours,
            first,
            self.num_query,
            num_gallery,
            self.described.start,
            self.described.items,
            self.described.weights,
            self.totals,
            self.containing.start,
            self.containing.items,
            self.containing.weights,
        )
        counts, items, jaccard = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
        return np.repeat(np.arange(first, stop), counts), items.astype(np.int64), jaccard


def _encode(lists: Int32, levels: Levels, reranking: Reranking, team: Team) -> SparseRows:
    """exp(−d) on the expanded reciprocal neighbours R*(p, k1) of each item."""
    from omnireid.evaluation.reranking_kernels import expanded_sets, reciprocal_sets

    count = len(lists)
    wide, half = reranking.neighbourhood, reranking.half_neighbourhood
    sets, sizes = np.empty((count, wide), np.int32), np.empty(count, np.int64)
    half_sets, half_sizes = np.empty((count, half), np.int32), np.empty(count, np.int64)
    team.share(count, wide * wide, reciprocal_sets, lists[:, :wide], sets, sizes)
    team.share(count, half * half, reciprocal_sets, lists[:, :half], half_sets, half_sizes)
    strict = reranking.variant != "paper"
    counts, items = np.empty(count, np.int64), []
    for first in range(0, count, _ROWS_AT_ONCE):
        stop = min(first + _ROWS_AT_ONCE, count)
        members = np.empty((stop - first, wide * (1 + half)), np.int32)
        arguments = (first, sets, sizes, half_sets, half_sizes, strict, members, counts)
        team.share(stop - first, wide * half, expanded_sets, *arguments)
        filled = np.arange(members.shape[1]) < counts[first:stop, None]
        items.append(members[filled])
    item = np.concatenate(items)
    row = np.repeat(np.arange(count), counts)
    weights = np.empty(len(item), np.float32)
    for first in range(0, len(item), 1 << 20):
        some = slice(first, first + (1 << 20))
        weights[some] = _weights(reranking, levels(row[some], item[some].astype(np.int64)))
    start = np.append(0, np.cumsum(counts))
    if strict:
        weights /= np.add.reduceat(weights, start[:-1], dtype=np.float64)[row]
    return SparseRows(start, item, weights)


def _expand(described: SparseRows, neighbours: Int32, team: Team) -> SparseRows:
    """Local query expansion: the mean description of each item's nearest."""
    from omnireid.evaluation.reranking_kernels import mean_rows

    count = len(described)
    arguments = (neighbours, described.start, described.items, described.weights)
    blocks = []
    for first in range(0, count, _ROWS_AT_ONCE):
        rows = min(_ROWS_AT_ONCE, count - first)
        blocks += team.share(rows, _ROWS_AT_ONCE, mean_rows, first, *arguments)
    counts, items, weights = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    return SparseRows(np.append(0, np.cumsum(counts)), items, weights)


def _invert(described: SparseRows, num_query: int) -> SparseRows:
    """For each item the gallery rows that contain it, ascending."""
    first = int(described.start[num_query])
    item = described.items[first:]
    order = np.argsort(item, kind="stable")
    row = np.repeat(
        np.arange(len(described) - num_query, dtype=np.int32), np.diff(described.start[num_query:])
    )
    start = np.append(0, np.cumsum(np.bincount(item, minlength=len(described))))
    return SparseRows(start, row[order], described.weights[first:][order])


def _inverse(largest: Float64) -> Float64:
    """1 / largest; 1 for an item that equals all others, whose distances are 0 anyway."""
    return 1.0 / np.where(largest > 0.0, largest, 1.0)


def _kind(reranking: Reranking) -> int:
    """How the original distance enters, as `sources` counts it."""
    return BLEND_SQUARE if reranking.variant == "torchreid" else BLEND


def _weights(reranking: Reranking, levels: Float64) -> Float64:
    """exp(−d) for squared Euclidean distances as shares of the largest."""
    return np.exp(-levels * levels if _kind(reranking) == BLEND_SQUARE else -levels)


def _final(reranking: Reranking, jaccard: Float64, levels: Float64) -> Float64:
    """d* from the Jaccard distance and squared Euclidean distances as shares of the largest."""
    original = levels * levels if _kind(reranking) == BLEND_SQUARE else levels
    return (1.0 - reranking.lambda_) * jaccard + reranking.lambda_ * original

"""The nearest items of every row, exact, without a distance matrix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.console import Console

from omnireid.core.arrays import Float64, Int64
from omnireid.core.errors import InputError
from omnireid.core.progress import progress_bar
from omnireid.evaluation.distance import Embeddings, check_distance
from omnireid.evaluation.options import Ranking
from omnireid.evaluation.streaming import Comparison, Team, Tile


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The k nearest items of each query.

    Attributes:
        items: (Q, k) int64 gallery rows, nearest first; equal distances by row.
        sq_dists: (Q, k) float64 squared distances (of rows divided by their norms under `cosine`).
        largest: (Q,) float64 squared distance to the farthest item.
    """

    items: Int64
    sq_dists: Float64
    largest: Float64


def nearest_rows(
    query: Embeddings,
    gallery: Embeddings,
    k: int,
    *,
    distance: str = Ranking.distance,
    console: Console | None = None,
    threads: int | None = None,
) -> Neighbours:
    """Find the k nearest gallery rows of every query row; labels play no part.

    Args:
        query, gallery: (Q, D) and (G, D) floats.
        k: between 1 and G.
        distance: one of `DISTANCES`; the Euclidean ones have the same neighbours.
        console: where to show progress.
        threads: how many to use, all cores by default; the result does not depend on it.

    Raises:
        InputError: k out of range, NaN, infinity or, under `cosine`, a zero row, named by row.
        ShapeError: not two matrices of the same width.
    """
    with Team(threads) as team:
        comparison = Comparison(query, gallery, check_distance(distance), team)
        if not 1 <= k <= len(comparison.gallery):
            raise InputError(f"k: must be between 1 and the {len(comparison.gallery)} gallery rows, got {k}")
        return nearest_of(comparison, k, own=None, console=console)


def nearest_of(comparison: Comparison, k: int, *, own: Int64 | None, console: Console | None) -> Neighbours:
    """`nearest_rows` of a comparison; `own` (Q,) names a gallery row that each query leaves out."""
    from omnireid.evaluation.kernels import closest_rows

    count = len(comparison.query)
    items, sq_dists = np.empty((count, k), np.int64), np.empty((count, k))
    largest = np.empty(count)
    with progress_bar(console, transient=True) as bar:
        task = bar.add_task("neighbours", total=count)
        for block in comparison.query_blocks():
            part = slice(block.first, block.stop)
            filled = np.zeros(len(block), np.int64)
            own_item = np.full(len(block), -1) if own is None else own[part]
            farthest = np.full(len(block), -np.inf, np.float32)
            farthest_item = np.zeros(len(block), np.int64)
            level_to_offset = np.full(len(block), comparison.factor**2 / 2.0)
            state = (own_item, sq_dists[part], items[part], filled, farthest, farthest_item)

            def rest(tile: Tile, state: tuple[Any, ...] = state) -> tuple[Any, ...]:
                return tile.first_item, *state

            comparison.share_tiles(block, closest_rows, level_to_offset, rest)
            ones = np.ones(count)
            largest[part] = comparison.levels(np.arange(block.first, block.stop), farthest_item, ones)
            bar.advance(task, len(block))
    return Neighbours(items, sq_dists, largest)

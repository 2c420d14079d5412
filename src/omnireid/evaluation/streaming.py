"""Pairs of queries and gallery items in tiles: the (Q, G) matrix never exists, and rankings are exact.

The *exact* squared distance of a pair is Σ (x − y)² by direct subtraction in float64 (`kernels.sq_dist`;
for `cosine` of the rows divided by their norms): a function of the two rows alone. A tile's float32 matrix
product gives an approximation whose error is bounded (`error_bound`); what the bound leaves open is computed
exactly. So the order of a gallery is that of the exact distances, whatever the blocks, the threads or the
matrix product.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from omnireid.core.arrays import Float32, Float64, Int64
from omnireid.core.errors import InputError, ShapeError
from omnireid.core.machine import available_cores
from omnireid.evaluation.blas import one_blas_thread
from omnireid.evaluation.distance import Embeddings
from omnireid.evaluation.options import DistanceName

TILE_QUERIES, TILE_ITEMS = 256, 8192
BLOCK_QUERIES = 4096

_SAMPLE = 512
_FEWEST_PAIRS_FOR_THREADS = 1 << 15
_UNIT_ROUNDOFF = 2.0**-24


class Team:
    """Threads that share rows. The result of a loop over rows does not depend on how many there are."""

    def __init__(self, threads: int | None = None) -> None:
        if threads is not None and threads < 1:
            raise InputError(f"threads: must be at least 1, got {threads}")
        self.threads = threads or available_cores()

    def __enter__(self) -> Team:
        self._stack = ExitStack()
        alone = self._stack.enter_context(one_blas_thread())
        self._pool = self._stack.enter_context(ThreadPoolExecutor(self.threads)) if self.threads > 1 else None
        # Products that bring their own threads are asked for one after the other.
        self._product_pool = self._pool if alone else None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def share(self, rows: int, pairs_per_row: int, loop: Callable[..., Any], *arguments: Any) -> list[Any]:
        """Call `loop(start, stop, *arguments)` on parts of 0 … rows and return what each gave, in order."""
        if rows < 2 or rows * pairs_per_row < _FEWEST_PAIRS_FOR_THREADS:
            return [loop(0, rows, *arguments)]
        return self._map(self._pool, rows, rows, loop, arguments)

    def share_tile(self, rows: int, loop: Callable[..., Any], *arguments: Any) -> list[Any]:
        """The same in parts of at most `TILE_QUERIES` rows, for loops that make a matrix product first."""
        return self._map(self._product_pool, rows, TILE_QUERIES, loop, arguments)

    def _map(
        self,
        pool: ThreadPoolExecutor | None,
        rows: int,
        most: int,
        loop: Callable[..., Any],
        arguments: tuple[Any, ...],
    ) -> list[Any]:
        if pool is None:
            return [loop(start, stop, *arguments) for start, stop in even_parts(rows, most)]
        # Two parts for each thread: one that is interrupted leaves work for the others.
        parts = even_parts(rows, min(most, -(-rows // (2 * self.threads))))
        return list(pool.map(lambda part: loop(*part, *arguments), parts))


def even_parts(length: int, most: int) -> list[tuple[int, int]]:
    """(start, stop) of as few parts of at most `most` as there can be, of about equal size."""
    cuts = np.linspace(0, length, -(-length // most) + 1).astype(int).tolist()
    return list(itertools.pairwise(cuts))


@dataclass(frozen=True, eq=False)
class Tile:
    """The pairs of a block's queries with some consecutive gallery items.

    Attributes:
        first_item, num_items: which items.
        values: called with first and last place of some queries in the block, at most `TILE_QUERIES`, for
            the (B, G) products of their centred rows with the items', or their given distances. They are
            good until the same thread asks again.
        half_g: (G,) half squared norms of the centred items; empty for given distances.
        g_rows, g_scale: the items' rows as they are, and what exact distances multiply them by.
        error: (B,) how far the offsets of this tile may be off, for each query of the block.
    """

    first_item: int
    num_items: int
    values: Callable[[int, int], npt.NDArray[Any]]
    half_g: npt.NDArray[Any]
    g_rows: npt.NDArray[Any]
    g_scale: Float64
    error: Float64


@dataclass(frozen=True, eq=False)
class QueryBlock:
    """Consecutive queries, ready to meet the gallery.

    Attributes:
        first, stop: the queries.
        rows, scale: their rows as they are, and what exact distances multiply them by.
        centred: (B, D) float32, what is multiplied; `half`: (B,) half squared norms of it.
    """

    first: int
    stop: int
    rows: npt.NDArray[Any]
    scale: Float64
    centred: Float32
    half: Float64

    def __len__(self) -> int:
        return self.stop - self.first


def error_bound(width: int, q_norms: Float64, g_norm: float) -> Float64:
    """How far a float32 offset ½‖y‖² − x·y may be from the exact ½‖x − y‖² − ½‖x‖², for any order of adding.

    With u = 2⁻²⁴, X = ‖x‖ and Y = ‖y‖ the errors are: rounding the centred coordinates, u (X + Y)²; the
    product of `width` terms in any order, with or without fused multiply-add, γ(width) X Y (Higham,
    Accuracy and Stability of Numerical Algorithms, §3.1); rounding ½Y², the subtraction and its result,
    u (Y² + X Y). Underflow and terms of order u² are in the rounded-up factors.
    """
    both = (q_norms + g_norm) ** 2
    return 1.02 * _UNIT_ROUNDOFF * ((width + 4) * q_norms * g_norm + 2.0 * both) + width * 2.0**-120


class Comparison:
    """Query rows and gallery rows in the coordinates in which they are compared.

    Both sides are centred on the mean of a sample of the gallery, because products of rows with a common
    offset cancel, and scaled by a power of two, so that float32 can neither overflow nor lose small numbers.

    Args:
        query, gallery: (Q, D) and (G, D) floats; memory-mapped files are read a tile at a time.
        distance: decides what the rows are scaled by before they are subtracted.
        team: the threads.

    Raises:
        ShapeError: not two matrices of the same width.
        InputError: NaN, infinity or, under `cosine`, a zero row, named by row.
    """

    def __init__(self, query: Embeddings, gallery: Embeddings, distance: DistanceName, team: Team) -> None:
        self.team = team
        self.query, self.gallery = _rows("query", query), _rows("gallery", gallery)
        if self.query.shape[1] != self.gallery.shape[1]:
            raise ShapeError("gallery", expected=("G", self.query.shape[1]), actual=self.gallery.shape)
        self.width = self.query.shape[1]
        self.q_scale = self._scale("query", self.query, distance)
        self.g_scale = self.q_scale if gallery is query else self._scale("gallery", self.gallery, distance)
        q_sample, g_sample = _stride(len(self.query)), _stride(len(self.gallery))
        sample = np.concatenate(
            [
                self.query[q_sample] * self.q_scale[q_sample, None],
                self.gallery[g_sample] * self.g_scale[g_sample, None],
            ],
            dtype=np.float64,
        )
        # Both sides subtract the same float32 numbers, so differences stay what they were.
        self.centre = sample[len(q_sample) :].mean(axis=0).astype(np.float32).astype(np.float64)
        reach = np.linalg.norm(sample - self.centre, axis=1).max(initial=0.0)
        self.factor = 2.0 ** -np.round(np.log2(reach)) if 0 < reach < np.inf else 1.0

        # Kept from tile to tile: fresh memory costs more than what is written into it.
        self._items = np.empty((min(TILE_ITEMS, len(self.gallery)), self.width), np.float32)
        self._room = threading.local()

    def _scale(self, name: str, rows: npt.NDArray[Any], distance: DistanceName) -> Float64:
        if distance != "cosine":
            return np.ones(len(rows))
        from omnireid.evaluation.kernels import inverse_norms

        out = np.empty(len(rows))
        self.team.share(len(rows), self.width, inverse_norms, rows, out)
        zero = np.flatnonzero(np.isinf(out))
        if zero.size:
            raise InputError(f"{name}: row {zero[0]} is all zero, which has no cosine")
        bad = np.flatnonzero(~(out > 0))
        if bad.size:
            raise InputError(f"{name}: row {bad[0]} holds NaN or infinity")
        return out

    def query_blocks(self) -> Iterator[QueryBlock]:
        """The queries in blocks of about equal size, few enough for the state of a block to be small."""
        for first, stop in even_parts(len(self.query), BLOCK_QUERIES):
            centred, half = self._centred("query", self.query, self.q_scale, first, stop)
            yield QueryBlock(first, stop, self.query[first:stop], self.q_scale[first:stop], centred, half)

    def tiles(self, block: QueryBlock) -> Iterator[Tile]:
        """Every pair of the block's queries and the gallery, gallery items in ascending order.

        A tile is good until the next one is made.
        """
        q_norms = np.sqrt(2.0 * block.half)
        for first_item, stop_item in even_parts(len(self.gallery), TILE_ITEMS):
            g_rows = self.gallery[first_item:stop_item]
            centred, half = self._centred(
                "gallery", self.gallery, self.g_scale, first_item, stop_item, self._items
            )
            error = error_bound(self.width, q_norms, float(np.sqrt(2.0 * half.max())))
            values = partial(self._products, block.centred, centred)
            half_32 = half.astype(np.float32)
            g_scale = self.g_scale[first_item:stop_item]
            yield Tile(first_item, len(half), values, half_32, g_rows, g_scale, error)

    def share_tiles(
        self,
        block: QueryBlock,
        loop: Callable[..., None],
        sq_dist_to_offset: float | Float64,
        rest: Callable[[Tile], tuple[Any, ...]],
    ) -> None:
        """Call one of the `kernels.closest_…` for every tile of a block, on the team's threads.

        Args:
            rest: gives what the loop takes after `error`.
        """
        for tile in self.tiles(block):
            arguments = (
                tile.half_g,
                block.rows,
                tile.g_rows,
                block.scale,
                tile.g_scale,
                block.half,
                sq_dist_to_offset,
                tile.error,
                *rest(tile),
            )

            def keep(start: int, stop: int, tile: Tile = tile, arguments: Any = arguments) -> None:
                loop(start, stop, tile.values(start, stop), *arguments)

            self.team.share_tile(len(block), keep)

    def _products(self, queries: Float32, items: Float32, first: int, stop: int) -> Float32:
        room = getattr(self._room, "products", None)
        if room is None:
            room = self._room.products = np.empty(TILE_QUERIES * TILE_ITEMS, np.float32)
        out: Float32 = room[: (stop - first) * len(items)].reshape(stop - first, len(items))
        return np.matmul(queries[first:stop], items.T, out=out)

    def levels(self, q_index: Int64, g_index: Int64, weight: Float64) -> Float64:
        """Exact squared distances of single pairs, each times `weight` of its query."""
        from omnireid.evaluation.kernels import pair_levels

        out = np.empty(len(q_index))
        arguments = (self.query, self.gallery, self.q_scale, self.g_scale, weight, q_index, g_index, out)
        self.team.share(len(out), self.width, pair_levels, *arguments)
        return out

    def sample_levels(self, weight: Float64) -> Float64:
        """Some levels from all over the two sets, for the range of a histogram."""
        q_index = _stride(len(self.query), 256)
        g_index = np.arange(len(q_index) * 8) * 2654435761 % len(self.gallery)
        return self.levels(np.repeat(q_index, 8), g_index, weight)

    def _centred(
        self,
        name: str,
        rows: npt.NDArray[Any],
        scale: Float64,
        first: int,
        stop: int,
        room: Float32 | None = None,
    ) -> tuple[Float32, Float64]:
        from omnireid.evaluation.kernels import centre_rows

        part, part_scale = rows[first:stop], scale[first:stop]
        centred = np.empty(part.shape, np.float32) if room is None else room[: len(part)]
        half = np.empty(len(part))
        arguments = (part, part_scale, self.centre, self.factor, centred, half)
        self.team.share(len(part), self.width, centre_rows, *arguments)
        # Beyond 2⁶⁰ times the sample's reach a square would overflow float32.
        bad = np.flatnonzero(~(half < 2.0**120))
        if bad.size:
            row = int(bad[0])
            if np.isfinite(part[row]).all():
                raise InputError(
                    f"{name}: row {first + row} is 10¹⁸ times as far from the others as those are apart"
                )
            raise InputError(f"{name}: row {first + row} holds NaN or infinity")
        return centred, half


def _rows(name: str, values: Embeddings) -> npt.NDArray[Any]:
    array = np.asarray(values)
    if array.ndim != 2:
        raise ShapeError(name, expected="(N, D)", actual=array.shape)
    if array.dtype not in (np.float32, np.float64):
        array = array.astype(np.float32)
    return np.ascontiguousarray(array)


def _stride(length: int, most: int = _SAMPLE) -> Int64:
    """At most `most` indices, evenly spread."""
    return np.unique(np.linspace(0, max(length - 1, 0), min(length, most)).astype(np.int64))

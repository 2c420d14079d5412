"""Two short codes of every embedding, in memory, by which nearly all rows are ruled out without reading them.

The signs of a rotated embedding (64 bytes at 512 dimensions) estimate its cosine with a query, without bias:
RaBitQ (Gao and Long, SIGMOD 2024). Eight bits for each dimension (512 bytes) give it up to an error that is
known for each row, so that a search over these alone finds exactly what one over all embeddings would. They
are in memory only: what is forgotten leaves no trace of them on disk.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from omnireid.core.arrays import Float32, Float64, Int32, Int64, UInt64
from omnireid.core.forking import ThreadPool
from omnireid.core.machine import available_cores

_SEED = 20260
# Of one float32 operation.
_ROUNDING = 2.0**-24
_LARGEST_LEVEL = 127
_LARGEST_QUERY = 16_383

Addresses = UInt64
"""Number of a fragment times 2^32, and the place of a row in it."""


Seen = tuple[Int32, Float64]
"""Cameras and times of rows, as in `Block`."""


@dataclass(frozen=True)
class Block:
    """Codes of some rows, in the order of their addresses once it is complete.

    Attributes:
        addresses: (N,), sorted.
        cameras: (N,) int32, a number for each.
        times: (N,) float64, Unix seconds; NaN where unknown.
        words: (W, N) signs of the centred and rotated embedding, 64 in a uint64.
        factors: (N,) float32, from the agreement of signs to the product with what was centred.
        levels: (N, D) int8; times `scales` they are the embedding of unit norm, up to `errors`.
        scales: (N,) float32.
        errors: (N,) float32, norm of the difference.
    """

    addresses: Addresses
    cameras: Int32
    times: Float64
    words: UInt64
    factors: Float32
    levels: npt.NDArray[np.int8]
    scales: Float32
    errors: Float32

    def __len__(self) -> int:
        return len(self.addresses)

    def only(self, kept_N: npt.NDArray[np.bool_ | np.int64]) -> Block:
        """A block of some of its rows, or of all in another order."""
        arrays = vars(self).items()
        kept = (array[:, kept_N] if name == "words" else array[kept_N] for name, array in arrays)
        return Block(*map(np.ascontiguousarray, kept))

    def in_order(self) -> Block:
        """A block of the same rows, by their addresses."""
        if (self.addresses[1:] > self.addresses[:-1]).all():
            return self
        return self.only(np.argsort(self.addresses))

    @staticmethod
    def joined(blocks: Sequence[Block]) -> Block:
        """One block of the rows of several."""
        arrays = {name: [vars(block)[name] for block in blocks] for name in vars(blocks[0])}
        whole = (np.concatenate(parts, axis=int(name == "words")) for name, parts in arrays.items())
        return Block(*whole).in_order()


@dataclass(frozen=True)
class Query:
    """A query in the forms that the codes are compared with.

    Attributes:
        planes: (4, W) bits of its rotation.
        base: product with the centre.
        step: step of the rotation's numbers.
        levels: (D,) int16.
        scale: scale of the levels.
        error: norm of what the levels leave out.
    """

    planes: UInt64
    base: float
    step: float
    levels: npt.NDArray[np.int16]
    scale: float
    error: float


class Coder:
    """Makes codes.

    Args:
        centre_D: float32, near the mean of the embeddings. The nearer, the better the estimates from signs.
    """

    def __init__(self, centre_D: Float32) -> None:
        from omnireid.gallery.lance import code_kernels

        # The Hadamard matrix has a power of two of rows; a word has 64 signs.
        self.dim = len(centre_D)
        self.size = max(64 * code_kernels.WORDS, 1 << (len(centre_D) - 1).bit_length())
        self._centre_D = centre_D
        flips_P = np.random.default_rng(_SEED).choice(np.array([-1, 1], np.float32), self.size)
        self._flips_P: Float32 = flips_P

    def empty(self, rows: int) -> Block:
        """A block for that many rows, to be filled."""
        return Block(
            np.empty(rows, np.uint64),
            np.empty(rows, np.int32),
            np.empty(rows),
            np.empty((self.size // 64, rows), np.uint64),
            np.empty(rows, np.float32),
            np.empty((rows, self.dim), np.int8),
            np.empty(rows, np.float32),
            np.empty(rows, np.float32),
        )

    def fill(
        self,
        block: Block,
        first: int,
        addresses_N: Addresses,
        seen: Seen,
        embeddings_ND: npt.NDArray[np.generic],
    ) -> None:
        """Write codes of rows, which need not be of unit norm, into a block from its row `first` on."""
        from omnireid.gallery.lance import code_kernels

        vectors_ND = np.ascontiguousarray(embeddings_ND, np.float32)
        filled = slice(first, first + len(addresses_N))
        block.addresses[filled], (block.cameras[filled], block.times[filled]) = addresses_N, seen

        def encode(part: slice) -> None:
            rows = slice(first + part.start, first + part.stop)
            code_kernels.encode(
                vectors_ND[part],
                self._centre_D,
                self._flips_P,
                block.words[:, rows],
                block.factors[rows],
                block.levels[rows],
                block.scales[rows],
                block.errors[rows],
            )

        in_parallel(encode, _parts(len(addresses_N)))

    def query(self, query_D: Float32) -> Query:
        """A query of unit norm, of which it is known what its short forms leave out."""
        from omnireid.gallery.lance import code_kernels

        dim = self.dim
        columns_P1 = np.zeros((self.size, 1), np.float32)
        columns_P1[:dim, 0] = query_D * self._flips_P[:dim]
        code_kernels.rotate(columns_P1)
        largest = max(float(np.abs(columns_P1).max()), 1e-30)
        most = 2**code_kernels.PLANES - 1
        numbers_P = np.rint((columns_P1[:, 0] / largest + 1) * (most / 2)).astype(np.uint8)
        bits_4P = numbers_P >> np.arange(code_kernels.PLANES, dtype=np.uint8)[:, None] & 1
        planes_4W = np.packbits(bits_4P, axis=1, bitorder="little").view("<u8").astype(np.uint64)
        # Sums of int32 hold: at most `_LARGEST_LEVEL` times this, D times.
        top = min(_LARGEST_QUERY, (2**31 - 1) // (_LARGEST_LEVEL * dim))
        scale = max(float(np.abs(query_D).max()), 1e-30) / top
        levels_D = np.rint(query_D / scale).astype(np.int16)
        left_D = query_D.astype(np.float64) - levels_D * scale
        return Query(
            planes=planes_4W,
            base=float(query_D @ self._centre_D),
            # In each plane a bit stands for half its value, up or down.
            step=2 * largest / most / (2 * self.size),
            levels=levels_D,
            scale=scale,
            error=float(np.linalg.norm(left_D)),
        )


def estimates(blocks: Sequence[Block], query: Query) -> Float32:
    """(N,) cosines with all rows, from signs."""
    from omnireid.gallery.lance import code_kernels

    def score(block: Block, scores_N: Float32) -> None:
        code_kernels.bit_scores(block.words, block.factors, query.planes, query.base, query.step, scores_N)

    return _scored(blocks, score)


def cosines(blocks: Sequence[Block], query: Query) -> Float32:
    """(N,) cosines with all rows, from levels."""
    from omnireid.gallery.lance import code_kernels

    def score(block: Block, scores_N: Float32) -> None:
        code_kernels.level_scores(block.levels, block.scales, query.levels, query.scale, scores_N)

    return _scored(blocks, score)


def cosines_of(blocks: Sequence[Block], query: Query, picked: Sequence[Int64]) -> Float32:
    """(M,) cosines with some rows of each block, from levels."""
    from omnireid.gallery.lance import code_kernels

    scores_M = np.empty(sum(map(len, picked)), np.float32)

    def score(share: tuple[Block, Int64, Float32]) -> None:
        block, rows_M, part_M = share
        code_kernels.level_scores_of(rows_M, block.levels, block.scales, query.levels, query.scale, part_M)

    in_parallel(score, list(zip(blocks, picked, _shares(scores_M, picked), strict=True)))
    return scores_M


def most_wrong(errors_N: Float32, query: Query) -> Float32:
    """(N,) how far a cosine from levels may be from the one of the embedding."""
    # |q·x − q'·x'| ≤ |q| |x − x'| + |q − q'| |x'|, and |x'| ≤ 1 + |x − x'|.
    # Norms are sums of D float32 terms, in any order.
    rounding = 2 * len(query.levels) * _ROUNDING
    bound: Float32 = errors_N * np.float32(1 + query.error) + np.float32(query.error + rounding)
    return bound


def in_parallel(task: Callable[[Any], None], parts: Sequence[Any]) -> None:
    """Run a task for all parts, by the threads that all searches share."""
    shares = min(available_cores(), len(parts))

    def run(share: int) -> None:
        for part in parts[share::shares]:
            task(part)

    # The caller has nothing else to do.
    others = [_threads().submit(run, share) for share in range(1, shares)]
    if parts:
        run(0)
    for other in others:
        other.result()


def _scored(blocks: Sequence[Block], score: Callable[[Block, Float32], None]) -> Float32:
    scores_N = np.empty(sum(map(len, blocks)), np.float32)
    in_parallel(lambda share: score(*share), list(zip(blocks, _shares(scores_N, blocks), strict=True)))
    return scores_N


def _shares(scores_N: Float32, parts: Sequence[Any]) -> Iterator[Float32]:
    start = 0
    for part in parts:
        yield scores_N[start : start + len(part)]
        start += len(part)


def _parts(rows: int) -> list[slice]:
    size = 4096
    return [slice(start, min(rows, start + size)) for start in range(0, rows, size)]


@functools.cache
def _threads() -> ThreadPool:
    return ThreadPool(available_cores(), "omnireid-codes")

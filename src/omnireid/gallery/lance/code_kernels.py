"""Compiled loops over the codes of embeddings. Import it inside functions: numba takes half a second.

W words of 64 bits hold the signs of P ≥ D numbers, P a power of two.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba.extending import intrinsic

from omnireid.core.compiled import compiled, compiled_in_any_order

Array = Any

PLANES = 4
"""Bits of each number of a rotated query."""

WORDS = 4
"""W is a multiple of this."""

_operation: Callable[[Any], Any] = intrinsic

_TINY = np.float32(1e-30)
# Rows that are encoded together, each in a lane of its own, and rows whose bits are counted together.
_LANES = 16
_TILE = 2048


@_operation
def _ones(_context: Any, word: Any) -> Any:
    """Bits of a word that are set."""

    def generate(_: Any, builder: Any, __: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return word(word), generate


@compiled_in_any_order
def rotate(columns_PL: Array) -> None:
    """Multiply each column by the Hadamard matrix, in place: its norm grows by the root of P."""
    size, lanes = columns_PL.shape
    half = 1
    while half < size:
        for start in range(0, size, 2 * half):
            for row in range(start, start + half):
                for lane in range(lanes):
                    above, below = columns_PL[row, lane], columns_PL[row + half, lane]
                    columns_PL[row, lane] = above + below
                    columns_PL[row + half, lane] = above - below
        half *= 2


@compiled_in_any_order
def encode(
    embeddings_ND: Array,
    centre_D: Array,
    flips_P: Array,
    words_WN: Array,
    factors_N: Array,
    levels_ND: Array,
    scales_N: Array,
    errors_N: Array,
) -> None:
    """Fill in the codes of some rows of float32; see `codes.Block`."""
    rows, dim = embeddings_ND.shape
    size = len(flips_P)
    unit_D = np.empty(dim, np.float32)
    columns_PL = np.empty((size, _LANES), np.float32)
    for first in range(0, rows, _LANES):
        lanes = min(_LANES, rows - first)
        columns_PL[:] = 0
        for lane in range(lanes):
            row = first + lane
            squares, largest = np.float32(0), np.float32(0)
            for d in range(dim):
                squares += embeddings_ND[row, d] * embeddings_ND[row, d]
            inverse = np.float32(1) / max(np.sqrt(squares), _TINY)
            for d in range(dim):
                unit_D[d] = embeddings_ND[row, d] * inverse
                largest = max(largest, abs(unit_D[d]))
            scale = largest / np.float32(127)
            inverse = np.float32(1) / max(scale, _TINY)
            left, offset = np.float32(0), np.float32(0)
            for d in range(dim):
                level = np.rint(unit_D[d] * inverse)
                levels_ND[row, d] = np.int8(level)
                left += (unit_D[d] - level * scale) ** 2
                centred = unit_D[d] - centre_D[d]
                offset += centred * centred
                columns_PL[d, lane] = centred * flips_P[d]
            scales_N[row] = scale
            errors_N[row] = np.sqrt(left)
            factors_N[row] = offset
        rotate(columns_PL)
        for lane in range(lanes):
            total = np.float32(0)
            for p in range(size):
                total += abs(columns_PL[p, lane])
            factors_N[first + lane] *= np.float32(size) / max(total, _TINY)
        for word in range(size // 64):
            for lane in range(lanes):
                bits = np.uint64(0)
                for bit in range(64):
                    bits |= np.uint64(columns_PL[64 * word + bit, lane] > 0) << np.uint64(bit)
                words_WN[word, first + lane] = bits


@compiled
def bit_scores(
    words_WN: Array, factors_N: Array, planes_4W: Array, base: float, step: float, scores_N: Array
) -> None:
    """Estimate products with a query from signs.

    Args:
        planes_4W: bits of the rotated query, in which p stands for 2^p less half of all.
        base: product of the query with the centre.
        step: step of the rotated query, divided by 2 P.
    """
    words, rows = words_WN.shape
    counts_T = np.empty(_TILE, np.int64)
    for first in range(0, rows, _TILE):
        size = min(_TILE, rows - first)
        counts_T[:] = 0
        # Four words at a time: their counts are summed before they are weighed and stored.
        for word in range(0, words, WORDS):
            a_T, b_T = words_WN[word, first : first + size], words_WN[word + 1, first : first + size]
            c_T, d_T = words_WN[word + 2, first : first + size], words_WN[word + 3, first : first + size]
            a_4, b_4 = planes_4W[:, word], planes_4W[:, word + 1]
            c_4, d_4 = planes_4W[:, word + 2], planes_4W[:, word + 3]
            for n in range(size):
                a, b, c, d = a_T[n], b_T[n], c_T[n], d_T[n]
                ones = _ones(a ^ a_4[0]) + _ones(b ^ b_4[0]) + _ones(c ^ c_4[0]) + _ones(d ^ d_4[0])
                twos = _ones(a ^ a_4[1]) + _ones(b ^ b_4[1]) + _ones(c ^ c_4[1]) + _ones(d ^ d_4[1])
                fours = _ones(a ^ a_4[2]) + _ones(b ^ b_4[2]) + _ones(c ^ c_4[2]) + _ones(d ^ d_4[2])
                eights = _ones(a ^ a_4[3]) + _ones(b ^ b_4[3]) + _ones(c ^ c_4[3]) + _ones(d ^ d_4[3])
                counts_T[n] += np.int64(ones + 2 * twos + 4 * fours + 8 * eights)
        for n in range(size):
            agreement = np.float32(15 * 64 * words - 2 * counts_T[n])
            scores_N[first + n] = np.float32(base) + factors_N[first + n] * np.float32(step) * agreement


@compiled
def level_scores(levels_ND: Array, scales_N: Array, query_D: Array, step: float, scores_N: Array) -> None:
    """Products with a query of int16 in steps of `step`, without rounding but the last."""
    rows, dim = levels_ND.shape
    for n in range(rows):
        total = np.int32(0)
        for d in range(dim):
            total = np.int32(total + np.int32(levels_ND[n, d]) * np.int32(query_D[d]))
        scores_N[n] = np.float32(total) * scales_N[n] * np.float32(step)


@compiled
def level_scores_of(
    rows_M: Array, levels_ND: Array, scales_N: Array, query_D: Array, step: float, scores_M: Array
) -> None:
    """As `level_scores`, of some rows."""
    dim = levels_ND.shape[1]
    for m in range(len(rows_M)):
        n = rows_M[m]
        total = np.int32(0)
        for d in range(dim):
            total = np.int32(total + np.int32(levels_ND[n, d]) * np.int32(query_D[d]))
        scores_M[m] = np.float32(total) * scales_N[n] * np.float32(step)

"""Distances between embeddings: smaller is closer, each under its right name.

| name | formula | range |
|---|---|---|
| `euclidean` | sqrt(Σ (a − b)²) | 0 … ∞ |
| `sq_euclidean` | Σ (a − b)² | 0 … ∞ |
| `cosine` | 1 − a·b / (‖a‖ ‖b‖) | 0 … 2 |

Euclidean and squared Euclidean order a gallery the same way; their values, and every threshold on
them, differ.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import numpy as np

from omnireid.core.arrays import AnyFloat, Float64
from omnireid.core.errors import InputError, ShapeError, UnknownNameError
from omnireid.evaluation.options import DISTANCES, DistanceName, Ranking

Embeddings = AnyFloat

_BLOCK_BYTES = 64 << 20
# Below this share of ‖a‖² + ‖b‖² the expanded formula has lost half of its sixteen digits.
_CANCELLATION = 1e-8
_DIRECT_ELEMENTS = 1 << 22


def check_distance(name: str) -> DistanceName:
    """`name` itself, if it is one of `DISTANCES`.

    Raises:
        UnknownNameError: it is not.
    """
    if name not in DISTANCES:
        raise UnknownNameError("distance", name, DISTANCES)
    return cast(DistanceName, name)


def distance_matrix(query: Embeddings, gallery: Embeddings, distance: str = Ranking.distance) -> Float64:
    """All distances at once; `distance_blocks` gives the same without holding the whole matrix.

    Args:
        query: (Q, D) floats.
        gallery: (G, D) floats.
        distance: one of `DISTANCES`.

    Returns:
        (Q, G) float64, never negative; exactly 0 for equal rows.

    Raises:
        ShapeError: not two matrices of the same width.
        InputError: NaN or infinity, or a zero vector under `cosine`, named by row.
    """
    out = np.empty((len(query), len(gallery)))
    for start, block in distance_blocks(query, gallery, distance):
        out[start : start + len(block)] = block
    return out


def distance_blocks(
    query: Embeddings, gallery: Embeddings, distance: str = Ranking.distance, *, rows: int | None = None
) -> Iterator[tuple[int, Float64]]:
    """Distances in blocks of consecutive queries, so that the (Q, G) matrix never exists.

    Computed in float64 around the gallery's mean, and by direct subtraction where the two rows
    nearly agree: ‖a‖² + ‖b‖² − 2 a·b alone cancels for embeddings with a common offset, and its
    rounding errors can be negative.

    Args:
        query: (Q, D) floats.
        gallery: (G, D) floats.
        distance: one of `DISTANCES`.
        rows: queries in a block; by default as many as fit 64 MiB.

    Yields:
        (index of the first query, (B, G) float64). Each block is the caller's own.

    Raises:
        As `distance_matrix`, before the first block.
    """
    name = check_distance(distance)
    query_QD, gallery_GD = _points("query", query, name), _points("gallery", gallery, name)
    if query_QD.shape[1] != gallery_GD.shape[1]:
        raise ShapeError("gallery", expected=("G", query_QD.shape[1]), actual=gallery_GD.shape)
    return _blocks(query_QD, gallery_GD, name, rows or max(1, _BLOCK_BYTES // (8 * max(1, len(gallery)))))


def _points(name: str, values: Embeddings, distance: DistanceName) -> Float64:
    """(N, D) float64 points between which squared Euclidean distance carries the answer."""
    array = np.asarray(values)
    if array.ndim != 2:
        raise ShapeError(name, expected="(N, D)", actual=array.shape)
    points = array.astype(np.float64)
    bad = np.flatnonzero(~np.isfinite(points).all(axis=1))
    if bad.size:
        raise InputError(f"{name}: row {bad[0]} holds NaN or infinity")
    if distance == "cosine":
        norms = np.linalg.norm(points, axis=1, keepdims=True)
        zero = np.flatnonzero(norms[:, 0] == 0)
        if zero.size:
            raise InputError(f"{name}: row {zero[0]} is all zero, which has no cosine")
        points /= norms
    return points


def _blocks(
    query_QD: Float64, gallery_GD: Float64, distance: DistanceName, rows: int
) -> Iterator[tuple[int, Float64]]:
    if len(gallery_GD):
        centre_D = gallery_GD.mean(axis=0)
        gallery_GD -= centre_D
        query_QD -= centre_D
    sq_norms_G = np.einsum("gd,gd->g", gallery_GD, gallery_GD)
    for start in range(0, len(query_QD), rows):
        sq_dist_BG = _sq_euclidean(query_QD[start : start + rows], gallery_GD, sq_norms_G)
        if distance == "euclidean":
            np.sqrt(sq_dist_BG, out=sq_dist_BG)
        elif distance == "cosine":
            # ‖a − b‖² = 2 − 2 a·b for unit vectors.
            sq_dist_BG *= 0.5
            np.minimum(sq_dist_BG, 2.0, out=sq_dist_BG)
        yield start, sq_dist_BG


def _sq_euclidean(query_BD: Float64, gallery_GD: Float64, sq_norms_G: Float64) -> Float64:
    sq_norms_B = np.einsum("bd,bd->b", query_BD, query_BD)
    sq_dist_BG = query_BD @ gallery_GD.T
    sq_dist_BG *= -2.0
    sq_dist_BG += sq_norms_B[:, None]
    sq_dist_BG += sq_norms_G
    floor_BG = sq_norms_B[:, None] * _CANCELLATION + sq_norms_G * _CANCELLATION
    near_b, near_g = np.nonzero(sq_dist_BG <= floor_BG)
    chunk = max(1, _DIRECT_ELEMENTS // max(1, query_BD.shape[1]))
    for start in range(0, len(near_b), chunk):
        b, g = near_b[start : start + chunk], near_g[start : start + chunk]
        difference = query_BD[b] - gallery_GD[g]
        sq_dist_BG[b, g] = np.einsum("nd,nd->n", difference, difference)
    return sq_dist_BG

"""Centring and whitening of embeddings, fitted once and frozen, against a compressed range of scores.

Networks that were not trained for the site they look at often give every pair a high cosine, because all
embeddings share a direction. Centring takes the mean out; ZCA whitening also evens out the variance of all
directions, so that one that merely tells light from dark does not outweigh the rest:

    y = (x − mean) · Σ^(−1/2), then L2-normalised

where x is L2-normalised and Σ the covariance, shrunk towards a multiple of the identity.
The shrinkage is the oracle-approximating one (OAS), with the number of *people* as the number of samples,
because pictures of one person are not independent. Every person weighs the same.

Measured, it is a remedy for networks with a compressed range alone: it costs a well-trained network accuracy,
and a mean fitted to few cameras does not carry over to others (docs/guides/deciding/whitening.md). Nothing
uses it unasked.

Source: Chen, Wiesel, Eldar and Hero, IEEE Transactions on Signal Processing 58 (2010).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from omnireid.core.arrays import Float32, Float64, Int64
from omnireid.core.display import short_repr
from omnireid.core.errors import InputError, ShapeError, UnknownNameError
from omnireid.core.vectors import unit_rows

WhiteningKind = Literal["centre", "zca"]


@dataclass(frozen=True, eq=False)
class Whitening:
    """A fixed affine map of embeddings.

    Attributes:
        mean: (D,) float32, of L2-normalised embeddings.
        matrix: (D, D) float32, or None for centring alone.
        shrinkage: share of the isotropic covariance that was mixed in; 0 for centring alone.
        num_people: how many people it was fitted on.
    """

    mean: Float32
    matrix: Float32 | None
    shrinkage: float
    num_people: int

    __repr__ = short_repr

    def __post_init__(self) -> None:
        dim = len(self.mean)
        if self.mean.shape != (dim,):
            raise ShapeError("mean", expected="(D,)", actual=self.mean.shape)
        if self.matrix is not None and self.matrix.shape != (dim, dim):
            raise ShapeError("matrix", expected=(dim, dim), actual=self.matrix.shape)
        parts = (self.mean,) if self.matrix is None else (self.mean, self.matrix)
        if not all(np.isfinite(part).all() for part in parts):
            raise InputError("whitening: NaN or infinity in its numbers")

    @property
    def kind(self) -> WhiteningKind:
        return "centre" if self.matrix is None else "zca"

    def apply(self, embeddings: Float32) -> Float32:
        """(N, D) float32 → (N, D) float32 of unit L2 norm.

        Raises:
            ShapeError: embeddings of another size.
            InputError: a row of zeros, or one equal to the mean, which has no direction.
        """
        if embeddings.ndim != 2 or embeddings.shape[1] != len(self.mean):
            raise ShapeError("embeddings", expected=("N", len(self.mean)), actual=embeddings.shape)
        moved = unit_rows(embeddings) - self.mean
        return unit_rows(moved if self.matrix is None else moved @ self.matrix)


def fit_whitening(embeddings: Float32, people: Int64, kind: str = "zca") -> Whitening:
    """Fit on pictures of known or tracked people.

    Args:
        embeddings: (N, D) float32.
        people: (N,) int64; whom each picture shows. A calibration must use other people, or it takes the
            independence that was fitted into these for that of everybody.
        kind: "centre" or "zca".

    Raises:
        InputError: fewer than two people, or a row of zeros.
        ShapeError: lengths that differ.
        UnknownNameError: another kind.
    """
    if kind not in get_args(WhiteningKind):
        raise UnknownNameError("whitening", kind, get_args(WhiteningKind))
    if people.shape != (len(embeddings),):
        raise ShapeError("people", expected=(len(embeddings),), actual=people.shape)
    _, index, counts = np.unique(people, return_inverse=True, return_counts=True)
    num_people = len(counts)
    if num_people < 2:
        raise InputError(f"whitening: expected pictures of at least two people, got {num_people}")
    weights = 1 / (num_people * counts[index])
    points = unit_rows(embeddings).astype(np.float64)
    mean = weights @ points
    if kind == "centre":
        return Whitening(mean.astype(np.float32), None, 0.0, num_people)
    points -= mean
    covariance = (points * weights[:, None]).T @ points
    shrinkage = _oas(covariance, num_people)
    dim = len(mean)
    isotropic = shrinkage * np.trace(covariance) / dim
    covariance *= 1 - shrinkage
    covariance[np.diag_indices(dim)] += isotropic
    values, vectors = np.linalg.eigh(covariance)
    # Rounding may leave a direction without variance slightly negative.
    values = np.maximum(values, 1e-12 * values[-1])
    matrix = (vectors / np.sqrt(values)) @ vectors.T
    return Whitening(mean.astype(np.float32), matrix.astype(np.float32), shrinkage, num_people)


def unit_cosines(rows_ND: Float32, vector_D: Float32) -> Float64:
    """(N,) float64 cosines of rows and a vector, all of unit norm up to rounding; never beyond −1 and 1."""
    return np.clip(rows_ND.astype(np.float64) @ vector_D.astype(np.float64), -1.0, 1.0)


def _oas(covariance: Float64, num_samples: int) -> float:
    dim, trace = len(covariance), float(np.trace(covariance))
    sq_trace = float((covariance * covariance).sum())
    numerator = (1 - 2 / dim) * sq_trace + trace * trace
    denominator = (num_samples + 1 - 2 / dim) * (sq_trace - trace * trace / dim)
    return 1.0 if denominator <= 0 else min(1.0, numerator / denominator)

"""Distances against the formula in exact rational and extended arithmetic."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from omnireid.core.errors import InputError, ShapeError, UnknownNameError
from omnireid.evaluation.distance import distance_blocks, distance_matrix
from omnireid.evaluation.options import DISTANCES

floats = st.floats(-100, 100, width=32)


def exact_sq_dist(query: np.ndarray, gallery: np.ndarray) -> np.ndarray:
    """Squared Euclidean in rational numbers, rounded once at the end."""
    rows = [[[Fraction(float(x)) for x in row] for row in matrix] for matrix in (query, gallery)]
    return np.array(
        [[float(sum((x - y) ** 2 for x, y in zip(a, b, strict=True))) for b in rows[1]] for a in rows[0]]
    )


@settings(max_examples=50, deadline=None)
@given(hnp.arrays(np.float32, (3, 4), elements=floats), hnp.arrays(np.float32, (5, 4), elements=floats))
def test_squared_euclidean_is_exact_to_rounding(query: np.ndarray, gallery: np.ndarray) -> None:
    scale = max(float(np.abs(query).max()), float(np.abs(gallery).max()), 1e-30)
    sq_dist = distance_matrix(query, gallery, "sq_euclidean")
    np.testing.assert_allclose(sq_dist, exact_sq_dist(query, gallery), rtol=1e-6, atol=1e-24 * scale**2)
    assert (sq_dist >= 0).all()


@pytest.mark.parametrize("offset", [0.0, 30.0, 1e4])
def test_a_common_offset_does_not_cancel(offset: float) -> None:
    rng = np.random.default_rng(0)
    query = (offset + 0.1 * rng.standard_normal((6, 16))).astype(np.float32)
    gallery = np.concatenate([query[:3], (offset + 0.1 * rng.standard_normal((20, 16))).astype(np.float32)])
    expected = exact_sq_dist(query, gallery)
    np.testing.assert_allclose(distance_matrix(query, gallery, "sq_euclidean"), expected, rtol=1e-9)
    np.testing.assert_allclose(distance_matrix(query, gallery), np.sqrt(expected), rtol=1e-9)
    assert (np.diag(distance_matrix(query, gallery)[:3, :3]) == 0).all()


def test_nearly_equal_rows_keep_their_distance() -> None:
    rng = np.random.default_rng(1)
    gallery = rng.standard_normal((50, 64))
    query = gallery[:4] + 1e-7 * rng.standard_normal((4, 64))
    dist = distance_matrix(query, gallery)
    np.testing.assert_allclose(np.diag(dist[:, :4]), np.linalg.norm(query - gallery[:4], axis=1), rtol=1e-6)


def test_cosine_is_one_minus_cosine_similarity() -> None:
    query = np.array([[1.0, 0.0], [3.0, 4.0]])
    gallery = np.array([[2.0, 0.0], [0.0, 5.0], [-7.0, 0.0]])
    np.testing.assert_allclose(
        distance_matrix(query, gallery, "cosine"), [[0, 1, 2], [0.4, 0.2, 1.6]], atol=1e-15
    )
    many = np.random.default_rng(0).standard_normal((40, 5)).astype(np.float32)
    dist = distance_matrix(many, np.concatenate([many, -many]), "cosine")
    assert ((dist >= 0) & (dist <= 2)).all()
    assert (np.diag(dist[:, :40]) == 0).all()


@pytest.mark.parametrize("distance", DISTANCES)
def test_blocks_are_the_matrix_in_order(distance: str) -> None:
    rng = np.random.default_rng(0)
    query, gallery = rng.standard_normal((10, 6)), rng.standard_normal((13, 6))
    whole = distance_matrix(query, gallery, distance)
    blocks = list(distance_blocks(query, gallery, distance, rows=4))
    assert [(start, len(block)) for start, block in blocks] == [(0, 4), (4, 4), (8, 2)]
    np.testing.assert_allclose(np.concatenate([block for _, block in blocks]), whole, rtol=1e-12)


def test_inputs_are_left_as_they_were() -> None:
    query, gallery = np.ones((2, 3)), np.full((4, 3), 2.0)
    distance_matrix(query, gallery, "cosine")
    distance_matrix(query, gallery)
    assert (query == 1).all()
    assert (gallery == 2).all()


def test_bad_input_is_refused_before_the_first_block() -> None:
    rng = np.random.default_rng(0)
    good = rng.standard_normal((3, 4))
    with pytest.raises(UnknownNameError, match="sq_euclidean"):
        distance_blocks(good, good, "squared")
    with pytest.raises(ShapeError, match="gallery"):
        distance_blocks(good, good[:, :3])
    with pytest.raises(ShapeError, match="query"):
        distance_blocks(good[0], good)
    bad = good.copy()
    bad[1, 2] = np.nan
    with pytest.raises(InputError, match="gallery: row 1 holds NaN"):
        distance_blocks(good, bad)
    bad[1] = 0
    with pytest.raises(InputError, match="row 1 is all zero"):
        distance_blocks(bad, good, "cosine")
    assert distance_matrix(good[:0], good).shape == (0, 3)
    assert distance_matrix(good, good[:0]).shape == (3, 0)

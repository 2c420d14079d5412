"""Activation maps by hand and by invariants."""

from __future__ import annotations

import numpy as np
import pytest

from omnireid.core.errors import InputError, ShapeError
from omnireid.report.activation import activation_map, overlay


def test_absolute_values_are_summed_and_scaled_to_unit_norm() -> None:
    # Channel sums of |x|: 3 and 4, so the norm is 5.
    features = np.array([[[1.0, -1.0]], [[-2.0, 3.0]]], np.float32)
    np.testing.assert_allclose(activation_map(features), [[0.6, 0.8]], rtol=1e-6)


def test_a_batch_is_treated_map_by_map() -> None:
    features = np.random.default_rng(0).standard_normal((3, 7, 4, 2)).astype(np.float32)
    maps = activation_map(features)
    assert (maps.shape, maps.dtype) == ((3, 4, 2), np.float32)
    for one, expected in zip(features, maps, strict=True):
        np.testing.assert_array_equal(activation_map(one), expected)
    np.testing.assert_allclose(np.linalg.norm(maps.reshape(3, -1), axis=1), 1, rtol=1e-6)


def test_no_response_stays_zero() -> None:
    assert (activation_map(np.zeros((4, 3, 2))) == 0).all()


def test_overlay_is_reddest_where_the_response_is_strongest() -> None:
    crop = np.full((64, 32, 3), 128, np.uint8)
    response = np.zeros((16, 8), np.float32)
    response[3, 6] = 1.0
    over = overlay(crop, response)
    assert (over.shape, over.dtype) == (crop.shape, np.uint8)
    redness = over[:, :, 0].astype(int) - over[:, :, 2]
    y, x = np.unravel_index(redness.argmax(), redness.shape)
    assert (y // 4, x // 4) == (3, 6)
    assert over[60, 2, 2] > over[60, 2, 0] or redness[60, 2] < 0


def test_half_of_the_overlay_is_the_crop() -> None:
    crop = np.random.default_rng(0).integers(0, 256, (20, 10, 3), np.uint8)
    response = np.random.default_rng(1).random((5, 3))
    over, alone = (overlay(below, response).astype(int) for below in (crop, np.zeros_like(crop)))
    assert np.abs(over - alone - crop / 2).max() <= 1
    assert overlay(crop, np.ones((5, 3))).shape == crop.shape


def test_bad_input_is_refused() -> None:
    with pytest.raises(ShapeError, match="feature_maps"):
        activation_map(np.zeros((3, 2)))
    with pytest.raises(InputError, match="NaN"):
        activation_map(np.full((1, 2, 2), np.nan))
    with pytest.raises(ShapeError, match="crop"):
        overlay(np.zeros((4, 4), np.uint8), np.zeros((2, 2)))
    with pytest.raises(ShapeError, match="activation"):
        overlay(np.zeros((4, 4, 3), np.uint8), np.zeros(4))

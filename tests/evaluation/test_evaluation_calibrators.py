"""Score → probability: isotonic against a naive fit, logistic against a plain optimum, and invariants."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from omnireid.core.errors import InputError
from omnireid.evaluation.calibrators import (
    IsotonicMap,
    LogisticMap,
    at_prior,
    expected_calibration_error,
    fit_isotonic,
    fit_logistic,
    log_loss,
    pool_adjacent_violators,
    reliability,
)

UNITS = {"num_people": 50, "num_couples": 400}


def naive_isotonic(x, y, w):
    """max over starts of min over ends of the weighted mean between: the definition, in cubic time."""
    points = sorted(set(x))
    total = [sum(b * c for a, b, c in zip(x, y, w, strict=True) if a == p) for p in points]
    weight = [sum(c for a, c in zip(x, w, strict=True) if a == p) for p in points]
    n = len(points)
    return [
        max(min(sum(total[s : e + 1]) / sum(weight[s : e + 1]) for e in range(i, n)) for s in range(i + 1))
        for i in range(n)
    ]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 12), st.sampled_from([0.0, 0.3, 1.0]), st.floats(0.1, 5)),
        min_size=1,
        max_size=25,
    )
)
def test_pooling_is_the_isotonic_regression(rows) -> None:
    x, y, w = (np.array(column, np.float64) for column in zip(*rows, strict=True))
    points, fitted = pool_adjacent_violators(x, y, w)
    assert points.tolist() == sorted(set(x))
    np.testing.assert_allclose(fitted, naive_isotonic(x, y, w), atol=1e-12)


def test_pooling_agrees_with_scipy_on_many_points() -> None:
    optimize = pytest.importorskip("scipy.optimize")
    rng = np.random.default_rng(0)
    x, y, w = np.sort(rng.random(5000)), (rng.random(5000) < 0.4).astype(float), rng.random(5000) + 0.1
    expected = optimize.isotonic_regression(y, weights=w).x
    np.testing.assert_allclose(pool_adjacent_violators(x, y, w)[1], expected, atol=1e-12)


def drawn(seed: int, num: int = 4000, gap: float = 2.0):
    rng = np.random.default_rng(seed)
    same = rng.random(num) < 0.3
    return rng.standard_normal(num) + gap * same, same


def test_logistic_finds_the_bayes_posterior_of_two_normal_distributions() -> None:
    """N(0, 1) against N(2, 1) at equal priors: log-odds 2·s − 2."""
    scores, same = drawn(1, 200_000)
    found = fit_logistic(scores, same, num_people=10**9, num_couples=10**9)
    assert found.slope == pytest.approx(2, rel=0.02)
    assert found.offset == pytest.approx(-2, rel=0.02)


def test_logistic_is_at_the_minimum_of_its_loss() -> None:
    scores, same = drawn(2, 500)
    found = fit_logistic(scores, same, **UNITS)
    target = np.where(same, 51 / 52, 1 / 402)
    weight = np.where(same, 0.5 / same.sum(), 0.5 / (~same).sum())

    def loss(slope: float, offset: float) -> float:
        p = 1 / (1 + np.exp(-(slope * scores + offset)))
        return float(-(weight * (target * np.log(p) + (1 - target) * np.log(1 - p))).sum())

    best = loss(found.slope, found.offset)
    for step in (-1e-3, 1e-3):
        assert loss(found.slope + step, found.offset) > best
        assert loss(found.slope, found.offset + step) > best


def test_separated_scores_leave_room_for_doubt() -> None:
    scores, same = np.array([0.1, 0.2, 0.8, 0.9]), np.array([False, False, True, True])
    for fit in (fit_logistic, fit_isotonic):
        p = fit(scores, same, num_people=9, num_couples=99).probability([-1.0, 0.15, 0.85, 1.0])
        assert (np.diff(p) >= 0).all()
        assert 0 < p[0] < 0.15
        assert 0.85 < p[-1] < 1
    isotonic = fit_isotonic(scores, same, num_people=9, num_couples=99)
    assert isotonic.probability(-1.0) == pytest.approx(1 / 10)
    assert isotonic.probability(1.0) == pytest.approx(1 - 1 / 100)


def test_a_thousand_times_more_pairs_of_two_people_change_nothing() -> None:
    scores, same = drawn(3, 3000)
    repeated = np.concatenate([scores, *[scores[~same]] * 9]), np.concatenate([same, *[same[~same]] * 9])
    for fit in (fit_logistic, fit_isotonic):
        np.testing.assert_allclose(
            fit(*repeated, **UNITS).probability([0.0, 1.0, 2.0]),
            fit(scores, same, **UNITS).probability([0.0, 1.0, 2.0]),
            atol=1e-6,
        )


def test_both_are_calibrated_on_new_data_and_log_loss_sees_who_is_not() -> None:
    scores, same = drawn(4, 40_000)
    new_scores, new_same = drawn(5, 40_000)
    for fit in (fit_logistic, fit_isotonic):
        p = fit(scores, same, **UNITS).probability(new_scores)
        assert expected_calibration_error(reliability(p, new_same)) < 0.02
        assert log_loss(p, new_same) < log_loss(np.clip(p**3, 1e-9, 1), new_same)
    assert log_loss(np.full(len(same), 0.5), same) == pytest.approx(math.log(2))


def test_reliability_worked_by_hand() -> None:
    """One bin of 0.2 with one of two alike, one of 0.9 with all alike; kinds weigh the same."""
    p, same = np.array([0.2, 0.2, 0.9, 0.9]), np.array([True, False, True, True])
    bins = reliability(p, same, num_bins=2)
    assert bins[0].weight == pytest.approx(1 / 6 + 1 / 2)
    assert bins[0].observed == pytest.approx((1 / 6) / (4 / 6))
    assert bins[1].observed == 1
    expected = 4 / 6 * abs(0.2 - 0.25) + 2 / 6 * abs(0.9 - 1)
    assert expected_calibration_error(bins) == pytest.approx(expected)
    empty = reliability(np.array([1.0, 1.0]), np.array([True, False]))
    assert empty[0].predicted is None
    assert empty[-1].weight == 1


def test_prior_by_bayes_rule() -> None:
    assert at_prior(0.9, 0.5) == pytest.approx(0.9)
    assert at_prior(0.9, 0.1) == pytest.approx(0.09 / (0.09 + 0.09))
    with pytest.raises(InputError, match="prior"):
        at_prior(0.9, 1.0)


def test_what_cannot_be_calibrated_is_refused() -> None:
    scores, same = drawn(6)
    with pytest.raises(InputError, match="do not score higher"):
        fit_logistic(-scores, same, **UNITS)
    for fit in (fit_logistic, fit_isotonic):
        with pytest.raises(InputError, match="pairs of one person and pairs of two"):
            fit(scores, np.ones_like(same), **UNITS)
    for bad in (((0.0, 0.0), (0.1, 0.2)), ((0.0, 1.0), (0.2, 0.1)), ((0.0,), (0.1, 0.2)), ((), ()),
                ((0.0, 1.0), (0.0, 0.5))):  # fmt: skip
        with pytest.raises(ValidationError):
            IsotonicMap(scores=bad[0], probabilities=bad[1])
    assert LogisticMap(slope=5, offset=-1e4).probability(0.0) == 0
    assert LogisticMap(slope=5, offset=1e4).probability(0.0) == 1

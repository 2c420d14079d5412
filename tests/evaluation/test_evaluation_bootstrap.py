"""Resampling against exact enumeration, known distributions and invariants."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from omnireid import rank_metrics
from omnireid.core.errors import InputError, ShapeError
from omnireid.evaluation.bootstrap import bootstrap_mean, compare_paired, metric_intervals


def test_intervals_of_few_identities_follow_their_enumeration() -> None:
    values, pids = np.array([0.0, 0.1, 0.5, 0.9, 1.0, 0.7]), np.array([1, 1, 2, 3, 3, 3])
    means = []
    for drawn in itertools.product((1, 2, 3), repeat=3):
        taken = np.concatenate([values[pids == pid] for pid in drawn])
        means.append(taken.mean())
    found = bootstrap_mean(values, pids, level=0.8, samples=20_000)
    assert found.value == pytest.approx(values.mean())
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(means, [0.1, 0.9])), abs=0.02)


def test_queries_of_one_person_count_as_one_draw() -> None:
    rng = np.random.default_rng(0)
    people = rng.random(40)
    pids = np.repeat(np.arange(40), 25)
    width = np.subtract(*[getattr(bootstrap_mean(people[pids], pids), side) for side in ("high", "low")])
    # A thousand queries, but forty independent values: ± 1.96 · 0.29 / √40.
    assert width == pytest.approx(2 * 1.96 * people.std() / np.sqrt(40), rel=0.1)
    alone = bootstrap_mean(people[pids], np.arange(1000))
    assert alone.high - alone.low < width / 3


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    rng = np.random.default_rng(1)
    covered = 0
    for trial in range(200):
        pids = np.repeat(np.arange(60), 3)
        values = np.repeat(rng.random(60), 3) * 0.5 + 0.5 * rng.random(180)
        found = bootstrap_mean(values, pids, level=0.9, samples=400, seed=trial)
        covered += found.low <= 0.5 <= found.high
    # Binomial: 180 ± 4.2; the percentile interval is a little narrow.
    assert 160 <= covered <= 195


def test_queries_that_are_not_valid_are_left_out() -> None:
    values, pids = np.array([0.2, np.nan, 0.8, np.nan]), np.array([1, 1, 2, 3])
    found = bootstrap_mean(values, pids)
    assert (found.value, found.low, found.high) == (0.5, 0.2, 0.8)


def test_p_values_follow_the_enumeration_of_all_swaps() -> None:
    rng = np.random.default_rng(2)
    pids = np.array([1, 1, 2, 3, 3, 4, 5, 6, 7, 7, 8])
    a = rng.random(11)
    b = a + 0.15 + 0.3 * rng.standard_normal(11)
    sums = np.array([(b - a)[pids == pid].sum() for pid in range(1, 9)])
    swaps = np.array(list(itertools.product((-1, 1), repeat=8))) @ sums
    expected = (np.abs(swaps) >= abs(sums.sum()) - 1e-12).mean()
    found = compare_paired(a, b, pids, samples=20_000)
    assert found.p_value == pytest.approx(expected, abs=0.015)
    assert found.difference.value == pytest.approx((b - a).mean())
    assert (found.num_queries, found.num_identities) == (11, 8)
    mirrored = compare_paired(b, a, pids, samples=20_000)
    assert mirrored.difference.value == -found.difference.value
    assert mirrored.p_value == pytest.approx(found.p_value, abs=0.02)


def test_equal_models_are_never_told_apart_and_different_ones_are() -> None:
    rng = np.random.default_rng(3)
    pids = np.repeat(np.arange(100), 4)
    a = rng.random(400)
    same = compare_paired(a, a, pids)
    assert (same.p_value, same.difference.low, same.difference.high) == (1.0, 0.0, 0.0)
    better = compare_paired(a, a + 0.1 + 0.1 * rng.standard_normal(400), pids)
    assert better.p_value < 0.001
    assert better.difference.low > 0.08


def test_p_values_of_no_difference_are_uniform() -> None:
    rng = np.random.default_rng(4)
    pids = np.repeat(np.arange(30), 2)
    values = [
        compare_paired(rng.random(60), rng.random(60), pids, samples=200, seed=trial).p_value
        for trial in range(300)
    ]
    # 300 draws: a standard error of 0.029 at one half, of 0.017 at one tenth.
    assert np.mean(np.array(values) < 0.5) == pytest.approx(0.5, abs=0.1)
    assert np.mean(np.array(values) < 0.1) == pytest.approx(0.1, abs=0.06)


def test_results_bring_their_intervals() -> None:
    rng = np.random.default_rng(5)
    pids, g_pids = rng.integers(0, 20, 200), rng.integers(0, 20, 300)
    dist = rng.random((200, 300)) - 0.03 * (pids[:, None] == g_pids)
    result = rank_metrics(dist, pids, g_pids, np.zeros(200, int), np.ones(300, int))
    found = metric_intervals(result, pids, seed=3)
    assert found.num_identities == 20
    assert found.mAP is not None
    assert found.mINP is not None
    for interval, value in (
        (found.rank1, result.rank(1)),
        (found.mAP, result.mAP),
        (found.mINP, result.mINP),
    ):
        assert interval.value == pytest.approx(value)
        assert interval.low < interval.value < interval.high
    assert found == metric_intervals(result, pids, seed=3)
    assert found != metric_intervals(result, pids, seed=4)


def test_bad_input_is_refused() -> None:
    values, pids = np.array([0.1, 0.2]), np.array([1, 2])
    with pytest.raises(ShapeError, match="pids"):
        bootstrap_mean(values, pids[:1])
    with pytest.raises(InputError, match="at least two"):
        bootstrap_mean(values, np.array([1, 1]))
    with pytest.raises(InputError, match="level"):
        bootstrap_mean(values, pids, level=95)
    with pytest.raises(InputError, match="samples"):
        bootstrap_mean(values, pids, samples=0)
    with pytest.raises(InputError, match="query 1 is valid for one of the two results only"):
        compare_paired(values, np.array([0.1, np.nan]), pids)
    with pytest.raises(ShapeError, match="values_b"):
        compare_paired(values, values[:1], pids)

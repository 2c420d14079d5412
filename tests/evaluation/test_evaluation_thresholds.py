"""Pairs and thresholds against naive counting, and intervals against people who were not asked."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.error_rates import error_rate
from omnireid.core.errors import InputError, ShapeError
from omnireid.core.options import Protocol
from omnireid.evaluation.calibration_pairs import (
    CalibrationPairs,
    labelled_pairs,
    pair_scores,
    tracklet_pairs,
)
from omnireid.evaluation.thresholds import error_thresholds, wilson_interval


def all_pairs(num_people: int, per_person: int = 2, per_couple: int = 1) -> CalibrationPairs:
    """Pairs whose rows do not matter."""
    same = np.repeat(np.stack([np.arange(num_people)] * 2, 1), per_person, axis=0)
    couples = np.repeat(np.stack(np.triu_indices(num_people, 1), 1), per_couple, axis=0)
    people = np.concatenate([same, couples])
    return CalibrationPairs(np.zeros_like(people), people)


@settings(max_examples=100, deadline=None)
@given(
    st.integers(4, 9), st.integers(0, 2**32 - 1), st.sampled_from([0.1, 0.2, 0.25, 0.5, 0.9]), st.booleans()
)
def test_thresholds_are_the_least_strict_that_keep_the_rate(num_people, seed, rate, tied) -> None:
    pairs, rng = all_pairs(num_people), np.random.default_rng(seed)
    scores = rng.integers(0, 6, len(pairs)) / 4 if tied else rng.random(len(pairs))
    one, two = scores[pairs.same], scores[~pairs.same]
    (alarm,) = error_thresholds("false-alarm", scores, pairs, [rate], resamples=5)
    if rate * len(two) < 1:
        assert alarm.threshold is None
    else:
        allowed = [t for t in {*scores, 9.0} if (two >= t).mean() <= rate + 1e-9]
        assert (two >= alarm.threshold).mean() == pytest.approx(max((two >= t).mean() for t in allowed))
        assert alarm.observed == pytest.approx((two >= alarm.threshold).mean())
        assert alarm.other_rate == pytest.approx((one < alarm.threshold).mean())
    (miss,) = error_thresholds("miss", scores, pairs, [rate], resamples=5)
    if rate * num_people < 1:
        assert miss.threshold is None
    else:
        allowed = [t for t in {*scores, -9.0} if (one < t).mean() <= rate + 1e-9]
        assert miss.threshold in scores
        assert miss.observed == pytest.approx(max((one < t).mean() for t in allowed))
        assert miss.other_rate == pytest.approx((two >= miss.threshold).mean())


def test_a_rate_below_one_couple_is_not_measured() -> None:
    pairs = all_pairs(15, per_couple=50)
    scores = np.random.default_rng(0).random(len(pairs))
    found = error_thresholds("false-alarm", scores, pairs, (0.1, 0.01, 0.009))
    assert [one.is_measurable for one in found] == [True, True, False]  # 105 couples, whatever the pairs
    assert found[2].num_units == 105
    assert found[2].rate_interval is None
    (miss,) = error_thresholds("miss", scores, pairs, [0.05])
    assert (miss.threshold, miss.num_units) == (None, 15)


def test_a_rate_never_seen_still_has_an_upper_end() -> None:
    pairs = all_pairs(30)
    scores = np.where(pairs.same, 0.9, 0.1)
    observed, (low, high) = error_rate("false-alarm", scores, pairs, 0.5)
    assert (observed, low) == (0, 0)
    assert 3 / 435 < high < 4 / 435 * 1.1  # rule of three, a little more by Wilson
    with pytest.raises(InputError, match="no pairs"):
        error_rate("miss", scores, pairs.select(~pairs.same), 0.5)


def test_wilson_interval_of_a_known_case() -> None:
    """10 of 100: 0.0552 to 0.1744 (Wilson's own formula, as tables give it)."""
    assert wilson_interval(0.1, 100) == pytest.approx((0.0552, 0.1744), abs=1e-4)
    assert wilson_interval(0.0, 10)[0] == 0
    assert wilson_interval(1.0, 10)[1] == pytest.approx(1)


def look_alikes(rng: np.random.Generator, num_people: int) -> tuple[np.ndarray, CalibrationPairs]:
    """People differ in how alike they are to everybody: pairs that share one err together."""
    pairs = all_pairs(num_people, per_person=4, per_couple=2)
    common = rng.standard_normal(num_people)
    scores = common[pairs.people].sum(1) + rng.standard_normal(len(pairs))
    return scores + 6 * pairs.same, pairs


def test_the_interval_holds_the_true_rate_of_people_who_were_not_asked() -> None:
    """Scores of two people are N(0, 3) here, so the rate at any threshold is known."""
    held_bootstrap, held_naive, rounds = 0, 0, 120
    for seed in range(rounds):
        scores, pairs = look_alikes(np.random.default_rng(seed), 40)
        (found,) = error_thresholds("false-alarm", scores, pairs, [0.05], resamples=100, seed=seed)
        true = 0.5 * math.erfc(found.threshold / math.sqrt(3) / math.sqrt(2))
        held_bootstrap += found.rate_interval[0] <= true <= found.rate_interval[1]
        low, high = wilson_interval(found.observed, int((~pairs.same).sum()))
        held_naive += low <= true <= high
    assert held_bootstrap / rounds > 0.9
    assert held_naive / rounds < 0.7, "an interval over pairs claims to know too much"


def test_the_same_seed_gives_the_same_thresholds() -> None:
    scores, pairs = look_alikes(np.random.default_rng(1), 30)
    one, again, other = (
        error_thresholds("false-alarm", scores, pairs, [0.05], resamples=50, seed=seed) for seed in (1, 1, 2)
    )
    assert one == again
    assert one[0].threshold == other[0].threshold
    assert one != other


@pytest.mark.parametrize("rate", [0.0, 1.0, -0.1, float("nan")])
def test_a_rate_out_of_range_is_refused(rate: float) -> None:
    with pytest.raises(InputError, match="between 0 and 1"):
        error_thresholds("miss", np.zeros(len(all_pairs(3))), all_pairs(3), [rate])


PIDS = np.array([-1, 5, 5, 5, 7, 7, 9])
CAMIDS = np.array([0, 0, 0, 1, 1, 2, 0])


def test_labelled_pairs_follow_the_protocol_and_weigh_people_equally() -> None:
    pairs = labelled_pairs(PIDS, CAMIDS)
    a, b = pairs.rows.T
    same = pairs.same
    assert (PIDS[a] == PIDS[b]).tolist() == same.tolist()
    assert (CAMIDS[a] != CAMIDS[b])[same].all(), "one camera is junk"
    assert -1 not in PIDS[pairs.rows]
    assert len(set(np.bincount(pairs.people[same, 0]).tolist())) == 1
    couples, counts = np.unique(pairs.people[~same], axis=0, return_counts=True)
    assert couples.tolist() == [[0, 1], [0, 2], [1, 2]]
    assert len(set(counts.tolist())) == 1
    assert (pairs.num_people, pairs.num_couples) == (2, 3)
    cameras_ignored = labelled_pairs(PIDS, CAMIDS, protocol=Protocol.NO_CAMERA)
    drawn = {tuple(row) for row in cameras_ignored.rows[cameras_ignored.same].tolist()}
    assert drawn == {(1, 2), (1, 3), (2, 3), (4, 5)}


def test_many_people_give_no_more_pairs_than_asked() -> None:
    pids = np.repeat(np.arange(200), 3)
    for most in (1_000, 30_000):
        pairs = labelled_pairs(pids, np.tile([0, 1, 2], 200), max_pairs=most, seed=3)
        assert 0.6 * most < (~pairs.same).sum() <= most
        assert (pids[pairs.rows] == pairs.people).all()


def test_tracklets_give_far_frames_and_only_couples_seen_together() -> None:
    tracklets = np.array([0, 0, 0, 0, 1, 1, 2, -1])
    times = np.array([0.0, 1.0, 2.0, 8.0, 0.0, 1.0, 5.0, 0.0])
    pairs = tracklet_pairs(tracklets, times, np.array([[0, 1], [1, 3]]))
    same = {tuple(row) for row in pairs.rows[pairs.same].tolist()}
    assert same == {(0, 3), (1, 3), (2, 3), (4, 5)}, "at least half of the duration apart"
    assert {tuple(row) for row in pairs.people[~pairs.same].tolist()} == {(0, 1)}
    with pytest.raises(InputError, match="same time in one camera"):
        tracklet_pairs(tracklets, times, np.zeros((0, 2), np.int64))
    with pytest.raises(InputError, match="two frames"):
        tracklet_pairs(np.arange(3), times[:3], np.array([[0, 1]]))
    with pytest.raises(ShapeError):
        tracklet_pairs(tracklets, times[:3], np.array([[0, 1]]))


def test_pairs_that_cannot_be_drawn_are_explained() -> None:
    with pytest.raises(InputError, match="no-camera protocol"):
        labelled_pairs(PIDS, np.zeros_like(CAMIDS))
    with pytest.raises(InputError, match="one person only"):
        labelled_pairs(np.array([1, 1]), np.array([0, 1]))
    with pytest.raises(InputError, match="row 3 has no camera"):
        labelled_pairs(PIDS, np.where(np.arange(7) == 3, -1, CAMIDS))
    with pytest.raises(ShapeError):
        labelled_pairs(PIDS, CAMIDS[:3])
    with pytest.raises(ShapeError):
        CalibrationPairs(np.zeros((3, 2), np.int64), np.zeros((3, 3), np.int64))


def test_scores_are_cosines() -> None:
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((7, 5)).astype(np.float32)
    pairs = labelled_pairs(PIDS, CAMIDS)
    a, b = (rows[column].astype(np.float64) for column in pairs.rows.T)
    expected = [x @ y / np.sqrt((x @ x) * (y @ y)) for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(pair_scores(rows, pairs), expected, atol=1e-12)
    rows[5] = 0
    with pytest.raises(InputError, match="row 5 is all zero"):
        pair_scores(rows, pairs)

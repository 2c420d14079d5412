"""The certainty of searches: probabilities against Bayes' rule, fits against made-up people."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omnireid.core.arrays import Bool, Float64
from omnireid.core.errors import InputError
from omnireid.evaluation.calibrators import expected_calibration_error, reliability
from omnireid.evaluation.search_fitting import (
    Sightings,
    answers,
    draw_scores,
    fit_searches,
    labelled_sightings,
    simulate,
    tracklet_sightings,
)
from omnireid.evaluation.searches import SearchFit, SearchModel, SearchSize

DIM = 24
RATES = (0.2, 0.05, 1e-6)


def model(**changes: float) -> SearchModel:
    """One whose evidence is a log-likelihood ratio of independent comparisons, unless changed."""
    values = {
        "pictures": 1, "slope": 20.0, "curvature": 0.0, "reference": 0.6, "weight": 1.0, "growth": 0.0,
        "neutral": 0.0, "stranger_mean": 0.3, "stranger_spread": 0.1, "stranger_shift": 0.05, **changes,
    }  # fmt: skip
    return SearchModel(fits=(SearchFit.model_validate(values),), num_people=100, miss_rate=0.05)


def people(seed: int, count: int, each: int = 6) -> Sightings:
    """Pictures of people by three cameras; some people are alike in everybody's eyes."""
    rng = np.random.default_rng(seed)
    pids = np.repeat(np.arange(count), each)
    points = rng.standard_normal((count, DIM))
    points[:, 0] += 1.5
    rows = points[pids] + 0.8 * rng.standard_normal((len(pids), DIM))
    return labelled_sightings(rows.astype(np.float32), pids, np.tile(np.arange(each) % 3, count))


@pytest.fixture(scope="module")
def fitted() -> SearchModel:
    return fit_searches(people(1, 150), false_alarm_rates=RATES, miss_rate=0.1)


SCORES = st.lists(st.floats(-1, 1), min_size=1, max_size=30)


@given(SCORES, st.integers(0, 5_000), st.floats(1e-6, 1 - 1e-6), st.floats(1, 40))
@settings(max_examples=200, deadline=None)
def test_probabilities_add_up_to_one(scores: list[float], more: int, prior: float, pictures: float) -> None:
    bent = model(curvature=0.8, weight=0.7, growth=-0.1, neutral=0.4)
    found = bent.posterior(scores, len(scores) + more, prior=prior, pictures=pictures)
    parts = [*found.people.tolist(), found.nobody, found.others]
    assert all(0 <= part <= 1 for part in parts)
    assert sum(parts) == pytest.approx(1, abs=1e-9)
    assert (found.others > 0) == (more > 0)
    # Who looks more alike is never less likely.
    order = np.argsort(scores)
    assert (np.diff(found.people[order]) >= 0).all()


def test_independent_comparisons_follow_bayes_rule() -> None:
    scores, prior = np.array([0.82, 0.7, 0.3, 0.1]), 0.3
    ratios = np.exp(20 * (scores - 0.6))
    likelihoods = np.array([1 - prior, *(prior / 4 * ratios)])
    found = model().posterior(scores, 4, prior=prior)
    np.testing.assert_allclose([found.nobody, *found.people], likelihoods / likelihoods.sum())


def test_what_else_is_known_of_people_follows_bayes_rule() -> None:
    found = model().posterior(np.array([0.82, 0.7, 0.3]), 9, prior=0.3)
    ratios = np.array([-2.0, 3.0, 0.0])
    more = found.given(ratios)
    likelihoods = np.array([found.nobody, found.others, *(found.people * np.exp(ratios))])
    np.testing.assert_allclose([more.nobody, more.others, *more.people], likelihoods / likelihoods.sum())
    assert found.given(np.full(3, -1e9)).people.max() < 1e-9


@given(SCORES, st.floats(0.01, 0.99))
@settings(max_examples=50, deadline=None)
def test_the_prior_moves_the_odds_of_nobody_and_nothing_else(scores: list[float], prior: float) -> None:
    bent = model(curvature=0.8, weight=0.7, growth=-0.1, neutral=0.4)
    even, moved = (bent.posterior(scores, len(scores), prior=one) for one in (0.5, prior))
    odds = [(1 - one.nobody) / one.nobody for one in (even, moved)]
    assert odds[1] == pytest.approx(odds[0] * prior / (1 - prior), rel=1e-6)
    for one in (even, moved):
        np.testing.assert_allclose(one.people / one.people.sum(), even.people / even.people.sum(), rtol=1e-9)


def test_people_who_were_not_seen_are_accounted_for() -> None:
    """Of 2,000 strangers only the best forty are given: about the same answer as with all of them."""
    rng, bent = np.random.default_rng(0), model(curvature=0.5)
    whole, parts = [], []
    for _ in range(40):
        scores = np.sort(np.append(rng.normal(0.3 + rng.normal(0, 0.05), 0.1, 1_999), 0.72))[::-1]
        whole.append(bent.posterior(scores, 2_000))
        parts.append(bent.posterior(scores[:40], 2_000, unseen_below=float(scores[40])))
    for name in ("nobody", "people"):
        exact, given_forty = (
            np.array([np.max(getattr(one, name)) for one in some]) for some in (whole, parts)
        )
        np.testing.assert_allclose(given_forty, exact, atol=0.05)
    others = [one.people[40:].sum() for one in whole]
    np.testing.assert_allclose([one.others for one in parts], others, atol=0.05)


def test_what_a_search_is_worth_is_measured_at_sizes_and_read_between_them() -> None:
    def size(people: int, weight: float | None, neutral: float | None) -> SearchSize:
        return SearchSize(
            people=people, rates=(), nobody_from=0.5, missed=0.0, weight=weight, neutral=neutral
        )

    fit = model(weight=0.9, growth=-0.5, neutral=0.3).fits[0]
    assert fit.worth(30) == (0.9, 0.3)
    assert fit.worth(120) == pytest.approx((0.45, 0.3))
    measured = fit.model_copy(update={"sizes": (size(10, 0.8, 0.0), size(1_000, 0.2, 1.0))})
    assert measured.worth(2) == pytest.approx((0.8, 0.0))
    # Half-way in the logarithm: the geometric mean.
    assert measured.worth(100) == pytest.approx((0.4, 0.5))
    assert measured.worth(4_000) == pytest.approx((0.1, 1.0))
    # A file from before sizes were measured holds none.
    older = fit.model_copy(update={"sizes": (size(10, None, None),)})
    assert older.worth(120) == pytest.approx((0.45, 0.3))


def test_an_empty_search_finds_nobody() -> None:
    found = model().posterior([], 0)
    assert (len(found.people), found.nobody, found.others) == (0, 1.0, 0.0)
    with pytest.raises(InputError, match="prior"):
        model().posterior([0.5], 1, prior=1.0)


def test_a_fit_is_right_about_other_people_at_every_size(fitted: SearchModel) -> None:
    rng = np.random.default_rng(7)
    draws = list(draw_scores(people(2, 400), 2, seed=3))
    for size in (10, 100, 300):
        known, unknown = (answers(fitted, simulate(draws, size, one, rng), 2) for one in (True, False))
        best = np.concatenate([known.best, unknown.best])
        is_right = np.concatenate([known.is_right, unknown.is_right])
        assert _error(best, is_right) < 0.06
        nobody = np.concatenate([known.nobody, unknown.nobody])
        is_nobody = np.repeat([False, True], [len(known.nobody), len(unknown.nobody)])
        assert _error(nobody, is_nobody) < 0.08
        rate = fitted.rate(size, 2, 0.05)
        assert rate is not None
        # More people than were known when calibrating: the threshold errs on the safe side.
        low = rate.low if size <= fitted.num_people else 0.0
        assert low / 2 <= (unknown.best >= rate.threshold).mean() <= rate.high


def _error(probabilities: Float64, is_true: Bool) -> float:
    """The expected calibration error, searches with and without a match being equally many."""
    place = np.minimum((probabilities * 15).astype(int), 14)
    gaps = [
        (place == bin).mean() * abs(probabilities[place == bin].mean() - is_true[place == bin].mean())
        for bin in np.unique(place)
    ]
    return float(sum(gaps))


def test_thresholds_keep_what_was_wanted(fitted: SearchModel) -> None:
    assert fitted.measured_rates == (0.2, 0.05)  # a millionth cannot be seen in 150 people
    assert [fit.pictures for fit in fitted.fits] == [1, 2, 3, 4]
    for fit in fitted.fits:
        assert [size.people for size in fit.sizes] == sorted({size.people for size in fit.sizes})
        for size in fit.sizes:
            assert size.missed <= 0.1
            assert size.nobody_from >= 0.5
            for rate in size.rates:
                assert rate.rate <= rate.wanted
                assert rate.low <= rate.rate <= rate.high
                assert rate.threshold >= 0.5
            assert size.rates[0].identified >= size.rates[1].identified
    assert fitted.rate(40, 1, 0.01) is None
    assert SearchModel.model_validate_json(fitted.model_dump_json()) == fitted


def test_too_few_people_are_an_error() -> None:
    with pytest.raises(InputError, match="at least 20"):
        fit_searches(people(0, 12), false_alarm_rates=RATES, miss_rate=0.1)


def test_tracklets_are_strangers_only_where_they_were_seen_together() -> None:
    rng = np.random.default_rng(0)
    tracklets = np.repeat(np.arange(60), 4)
    points = rng.standard_normal((60, DIM))[tracklets] + 0.5 * rng.standard_normal((240, DIM))
    times = np.tile(np.arange(4.0), 60)
    # Two halls of thirty; nobody knows who of the one is whom of the other.
    halls = [np.arange(30), np.arange(30, 60)]
    couples = np.concatenate([np.stack(np.triu_indices(30, 1), 1) + hall[0] for hall in halls])
    sightings = tracklet_sightings(points.astype(np.float32), tracklets, times, couples)
    draw = next(draw_scores(sightings, 1, seed=0))
    assert np.isfinite(draw[:30, :30]).all()
    assert np.isnan(draw[:30, 30:]).all()
    found = fit_searches(sightings, false_alarm_rates=(0.1,), miss_rate=0.1)
    assert found.fits[0].sizes[-1].people <= 29


def test_reliability_and_this_file_agree() -> None:
    """The same error as `calibrators` where both kinds are equally many."""
    rng = np.random.default_rng(0)
    is_true = np.arange(2_000) % 2 == 0
    probabilities = np.clip(0.5 + 0.2 * (2 * is_true - 1) + 0.2 * rng.standard_normal(2_000), 0.001, 0.999)
    expected = expected_calibration_error(reliability(probabilities, is_true))
    assert _error(probabilities, is_true) == pytest.approx(expected)

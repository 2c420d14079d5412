"""Fits the certainty of a search on simulated searches through people with labels.

Every person in turn is looked for with one of their pictures, in galleries of other people who were drawn
at random, with and without themselves. What is fitted maximises the likelihood of what was true, searches
with and without a right answer weighing the same. People, not searches, are the units of every interval: all
searches for one person err together.

Sources: Platt 1999 (targets moved off 0 and 1); Grother, Ngan and Hanaoka, NISTIR 8271 (FPIR, searches for
strangers); Wilson, JASA 22 (1927).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from omnireid.core.arrays import Bool, Float32, Float64, Int64
from omnireid.core.errors import InputError
from omnireid.core.options import Protocol
from omnireid.core.seeds import numpy_generator
from omnireid.core.types import JUNK_PID
from omnireid.core.vectors import unit_rows
from omnireid.evaluation.searches import (
    LEAST_CERTAIN,
    SearchFit,
    SearchModel,
    SearchRate,
    SearchSize,
)
from omnireid.evaluation.thresholds import clustered_interval

SIZES = (5, 10, 25, 50, 100, 250, 500, 1000)
PICTURES = (1, 2, 3, 4, 6, 8, 12, 16)
LEAST_PEOPLE = 20

_MOST_SEARCHES = 1_200
_MOST_FITTED = 256
_LEAST_SEARCHES = 15
_MOST_DRAWS = 8
_WORTH_SPREAD, _OFFSET_SPREAD = 0.3, 0.5
"""By how much log w, and the log-odds of somebody, may differ at one size from the whole fit."""


@dataclass(frozen=True, eq=False)
class Sightings:
    """Pictures of people, and which of them may be compared.

    Attributes:
        embeddings: (N, D) float32.
        people: (N,) int64; −1 leaves a picture out.
        matches: (row, rows) → which of the rows are a fair match for that one's person: of another camera,
            another time.
        strangers: (P, P) bool, for people in ascending order: who is known to be somebody else. All are, when
            None.
    """

    embeddings: Float32
    people: Int64
    matches: Callable[[int, Int64], Bool]
    strangers: Bool | None = None


def labelled_sightings(
    embeddings: Float32, pids: Int64, camids: Int64, protocol: Protocol = Protocol.MARKET1501
) -> Sightings:
    """Of labelled pictures: a match is of another camera, as in the closed-set protocol.

    Args:
        embeddings: (N, D) float32.
        pids, camids: (N,) int64.
    """

    def of_another_camera(row: int, rows: Int64) -> Bool:
        return np.asarray(camids[rows] != camids[row])

    def of_another_picture(row: int, rows: Int64) -> Bool:
        return np.asarray(rows != row)

    return Sightings(
        embeddings, pids, of_another_camera if Protocol(protocol).uses_cameras else of_another_picture
    )


def tracklet_sightings(embeddings: Float32, tracklets: Int64, times: Float64, couples: Int64) -> Sightings:
    """Of unlabelled tracklets: a match is half of the tracklet apart; strangers were seen together.

    Args:
        embeddings: (N, D) float32.
        tracklets: (N,) int64.
        times: (N,) float64.
        couples: (C, 2) int64; numbers of tracklets that show different people.
    """
    numbers, places = np.unique(tracklets, return_inverse=True)
    half = np.array([np.ptp(times[places == index]) / 2 for index in range(len(numbers))])
    strangers = np.zeros((len(numbers), len(numbers)), np.bool_)
    known = couples[np.isin(couples, numbers).all(axis=1)]
    first, second = np.searchsorted(numbers, known).T
    strangers[first, second] = strangers[second, first] = True

    def of_another_time(row: int, rows: Int64) -> Bool:
        gap = np.abs(times[rows] - times[row])
        return np.asarray((gap >= half[places[row]]) & (gap > 0))

    kept = np.flatnonzero(numbers != JUNK_PID)
    return Sightings(embeddings, tracklets, of_another_time, strangers[np.ix_(kept, kept)])


class Searches(NamedTuple):
    """Simulated searches through equally many people.

    Attributes:
        scores: (S, N) float64; of the right person first, where there is one.
        has_match: whether there is.
        people: (S,) int64; who was looked for.
    """

    scores: Float64
    has_match: bool
    people: Int64


def fit_searches(
    sightings: Sightings,
    *,
    false_alarm_rates: Sequence[float],
    miss_rate: float,
    seed: int = 0,
) -> SearchModel:
    """Fit the certainty of searches, and measure its thresholds at several sizes.

    Args:
        false_alarm_rates: wanted shares of searches for strangers that end in "same".
        miss_rate: wanted share of searches for people of the gallery that end in "new".
        seed: seed of all draws.

    Raises:
        InputError: too few people who were seen twice, or known to be different.
    """
    fits: list[SearchFit] = []
    num_people, least = 0, LEAST_PEOPLE
    for pictures in PICTURES:
        draws = list(draw_scores(sightings, pictures, seed))
        if not draws or len(draws[0]) < least:
            num_people = num_people or (len(draws[0]) if draws else 0)
            break
        if not fits:
            num_people = len(draws[0])
            # What is measured of people with one picture is measured of people with more, or they are left.
            least = max(
                [least, *(math.ceil(1 / rate) for rate in false_alarm_rates if rate * num_people >= 1)]
            )
        before = fits[-1] if fits else None
        fits.append(_fit(draws, pictures, false_alarm_rates, miss_rate, seed, before))
    if not fits:
        raise InputError(
            f"calibration of searches: {num_people} people who were seen twice are too few, of at least "
            f"{LEAST_PEOPLE}"
        )
    return SearchModel(fits=tuple(fits), num_people=num_people, miss_rate=miss_rate)


def draw_scores(sightings: Sightings, pictures: int, seed: int) -> Iterator[Float64]:
    """(P, P) best scores of person i's picture among so many pictures of person j; NaN where unknown.

    Only people who have so many pictures that match take part, several times with other pictures.
    """
    people = np.unique(sightings.people[sightings.people != JUNK_PID])
    rows_of = [np.flatnonzero(sightings.people == person) for person in people]
    rng = numpy_generator(seed, "searches", pictures)
    unit = unit_rows(sightings.embeddings)
    num_draws = min(_MOST_DRAWS, max(1, _MOST_SEARCHES // max(len(people), 1)))
    for _ in range(num_draws):
        kept, queries, galleries = [], [], []
        for index, rows in enumerate(rows_of):
            for query in rng.permutation(rows).tolist():
                matches = rng.permutation(rows[sightings.matches(query, rows)])
                if len(matches) >= pictures:
                    kept.append(index)
                    queries.append(query)
                    galleries.append(matches[:pictures])
                    break
        if not kept:
            return
        scores = unit[queries] @ unit[np.concatenate(galleries)].T
        best = scores.reshape(len(kept), len(kept), pictures).max(axis=2).astype(np.float64)
        if sightings.strangers is not None:
            known = sightings.strangers[np.ix_(kept, kept)] | np.eye(len(kept), dtype=np.bool_)
            best[~known] = np.nan
        yield best


def _fit(
    draws: Sequence[Float64],
    pictures: int,
    rates: Sequence[float],
    miss_rate: float,
    seed: int,
    before: SearchFit | None,
) -> SearchFit:
    rng = numpy_generator(seed, "galleries", pictures)
    known = [np.isfinite(draw).sum(axis=1) - 1 for draw in draws]
    most = int(np.sort(known[0])[-min(_LEAST_SEARCHES, len(known[0]))])
    sizes = [size for size in SIZES if size < most] + [most]
    searches = {
        size: [simulate(draws, size, has_match, rng) for has_match in (True, False)] for size in sizes
    }
    fit = _maximum_likelihood([side for pair in searches.values() for side in pair], draws, pictures, before)
    worths = [_worth(fit, *searches[size]) for size in sizes]
    fit = fit.model_copy(update={"sizes": tuple(worths)})
    model = SearchModel(fits=(fit,), num_people=len(draws[0]), miss_rate=miss_rate)
    measured = [_measured(model, worth, *searches[worth.people], rates=rates, seed=seed) for worth in worths]
    return fit.model_copy(update={"sizes": tuple(measured)})


def simulate(
    draws: Sequence[Float64], num_people: int, has_match: bool, rng: np.random.Generator
) -> Searches:
    """Search for everybody in galleries of so many people, who are drawn at random.

    Args:
        draws: (P, P) scores each; row i is a search for person i, NaN where it is unknown who j is.
        has_match: whether person i is among them.
    """
    scores, people = [], []
    for draw in draws:
        for person, row in enumerate(draw):
            others = np.flatnonzero(np.isfinite(row))
            others = others[others != person]
            wanted = num_people - 1 if has_match else num_people
            if len(others) < wanted:
                continue
            chosen = rng.choice(others, wanted, replace=False)
            scores.append(row[np.append(person, chosen)] if has_match else row[chosen])
            people.append(person)
    return Searches(np.array(scores).reshape(len(people), num_people), has_match, np.array(people, np.int64))


def _maximum_likelihood(
    searches: Sequence[Searches], draws: Sequence[Float64], pictures: int, before: SearchFit | None
) -> SearchFit:
    """`before`: the fit for fewer pictures, not far from this one."""
    from scipy.optimize import minimize

    mates = np.concatenate([draw.diagonal() for draw in draws])
    strangers = [np.where(np.eye(len(draw), dtype=bool), np.nan, draw) for draw in draws]
    means = np.concatenate([np.nanmean(rows, axis=1) for rows in strangers])
    spread = max(float(np.mean([np.nanstd(rows, axis=1).mean() for rows in strangers])), 1e-6)
    reference = float(np.median(mates) + np.mean(means)) / 2
    thinned = [
        Searches(search.scores[:_MOST_FITTED], search.has_match, search.people[:_MOST_FITTED])
        for search in searches
    ]
    softened = 1 / (len(draws[0]) + 2)

    def fit_of(values: Float64) -> SearchFit:
        slope, curvature, weight = np.exp(np.clip(values[:3], -12, 9))
        return SearchFit.model_construct(
            pictures=pictures, slope=slope, curvature=curvature, reference=reference, weight=weight,
            growth=values[3], neutral=values[4], stranger_mean=float(means.mean()), stranger_spread=spread,
            stranger_shift=float(means.std()), sizes=(),
        )  # fmt: skip

    def loss(values: Float64) -> float:
        fit = fit_of(values)
        return float(np.mean([_cross_entropy(fit, part, softened) for part in thinned]))

    start = np.array([np.log(2 / spread), np.log(1.0), np.log(0.8), 0.0, 0.0])
    if before is not None:
        logs = np.log([before.slope, max(before.curvature, 1e-3), before.weight])
        start = np.array([*logs, before.growth, before.neutral])
    optimum = minimize(loss, start, method="BFGS", options={"gtol": 1e-4, "maxiter": 100}).x
    return SearchFit.model_validate(fit_of(optimum).model_dump())


def _cross_entropy(fit: SearchFit, searches: Searches, softened: float) -> float:
    """Mean of −log P(what was true), with a little of everything else: perfect scores have a finite fit."""
    evidence = fit.evidence(searches.scores)
    top = evidence.max(axis=1)
    total = top + np.log(np.exp(evidence - top[:, None]).sum(axis=1))
    num_people = searches.scores.shape[1]
    weight, neutral = fit.worth(num_people)
    logit = weight * (total - np.log(num_people) - neutral)
    is_true = logit if searches.has_match else -logit
    loss = (1 - softened) * np.logaddexp(0, -is_true) + softened * np.logaddexp(0, is_true)
    if searches.has_match:
        log_p = np.maximum(evidence - total[:, None], -50)
        loss = loss - (1 - softened) * log_p[:, 0] - softened * log_p.mean(axis=1)
    return float(loss.mean())


class Answers(NamedTuple):
    """What searches end in, at a prior of one half: (S,) each."""

    best: Float64
    is_right: Bool
    nobody: Float64


def answers(model: SearchModel, searches: Searches, pictures: float) -> Answers:
    """The probability of the best person, whether it is the right one, and the probability of nobody."""
    best, is_right, nobody = [], [], []
    for scores in searches.scores:
        posterior = model.posterior(scores, len(scores), pictures=pictures)
        index = int(posterior.people.argmax())
        best.append(posterior.people[index])
        is_right.append(searches.has_match and index == 0)
        nobody.append(posterior.nobody)
    return Answers(np.array(best), np.array(is_right, np.bool_), np.array(nobody))


def _worth(fit: SearchFit, mates: Searches, strangers: Searches) -> SearchSize:
    """What a search through so many is worth: a logistic regression on its evidence.

    Held to the whole fit by a normal prior, so that few people move it little: its unit is a person.
    """
    from scipy.optimize import minimize

    num_people = mates.scores.shape[1]
    weight, neutral = fit.worth(num_people)
    signs, evidence, shares = [], [], []
    for searches, which in ((mates, 1.0), (strangers, -1.0)):
        sums = fit.evidence(searches.scores)
        top = sums.max(axis=1)
        evidence.append(top + np.log(np.exp(sums - top[:, None]).mean(axis=1)) - neutral)
        signs.append(np.full(len(evidence[-1]), which))
        shares.append(np.full(len(evidence[-1]), len(np.unique(searches.people)) / len(evidence[-1])))
    sign, means, share = map(np.concatenate, (signs, evidence, shares))

    def loss(values: Float64) -> float:
        logit = weight * np.exp(values[0]) * means + values[1]
        spent = (values[0] / _WORTH_SPREAD) ** 2 + (values[1] / _OFFSET_SPREAD) ** 2
        return float((share * np.logaddexp(0, -sign * logit)).sum() + spent / 2)

    change, offset = minimize(loss, np.zeros(2), method="BFGS", options={"gtol": 1e-4}).x
    weight *= float(np.exp(change))
    neutral -= float(offset) / weight
    return SearchSize(
        people=num_people, rates=(), nobody_from=1.0, missed=0.0, weight=weight, neutral=neutral
    )


def _measured(
    model: SearchModel,
    worth: SearchSize,
    mates: Searches,
    strangers: Searches,
    *,
    rates: Sequence[float],
    seed: int,
) -> SearchSize:
    pictures = model.fits[0].pictures
    known, unknown = answers(model, mates, pictures), answers(model, strangers, pictures)
    measured = []
    for wanted in rates:
        if wanted * len(np.unique(strangers.people)) < 1 - 1e-9:
            continue
        threshold = max(LEAST_CERTAIN, _least_above(unknown.best, wanted))
        is_alarm = unknown.best >= threshold
        low, high = clustered_interval(is_alarm, strangers.people, seed=seed)
        measured.append(
            SearchRate(
                wanted=wanted,
                threshold=threshold,
                rate=float(is_alarm.mean()),
                low=low,
                high=high,
                identified=float((known.is_right & (known.best >= threshold)).mean()),
            )
        )
    nobody_from = max(LEAST_CERTAIN, _least_above(known.nobody, model.miss_rate))
    missed = float((known.nobody >= nobody_from).mean())
    return worth.model_copy(update={"rates": tuple(measured), "nobody_from": nobody_from, "missed": missed})


def _least_above(values: Float64, share: float) -> float:
    """The least threshold that at most this share of the values reaches."""
    falling = np.sort(values)[::-1]
    allowed = int(share * len(falling) * (1 + 1e-9))
    return float(np.nextafter(falling[min(allowed, len(falling) - 1)], np.inf))

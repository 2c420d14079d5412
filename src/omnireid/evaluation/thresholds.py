"""Thresholds on a similarity score for a wanted error rate, each with what the data can say about it.

- A *false alarm* is a pair of two people that is taken for one: its rate over pairs (also FMR, false match
  rate) falls as the threshold rises.
- A *miss* is a pair of one person that is not recognised: its rate (FNMR) rises with the threshold.

Pairs that share a person err together, so their number says nothing about how sure a rate is. Intervals are
the wider, at each end, of two:

- bootstrap over people: people are drawn with replacement, a pair counts as often as the product of how often
  its two people were drawn (one of a person's own pairs: how often the person was). The interval is
  ± 1.96 standard deviations of the log-odds of the rate; percentiles of the rate itself held the truth less
  often (benchmarks/calibration.py). Sees that some people are taken for many others, but cannot see what
  never happened.
- Wilson's score interval of a binomial proportion, with people (misses) or couples of people (false alarms)
  as the trials. Right for rare events, too narrow where people differ.

Where 1 ÷ rate exceeds the number of couples, or of people, the first error would already be too many; then
the rate is not measurable, and there is no threshold rather than an extrapolated one.

Sources: Bolle, Ratha and Pankanti, CVIU 93 (2004) (pairs that share a person); Owen, Annals of Applied
Statistics 1 (2007) (two-way bootstrap, mildly conservative); Wilson, JASA 22 (1927).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from omnireid.core.arrays import Bool, Float64, Int64
from omnireid.core.closed import ClosedModel
from omnireid.core.errors import InputError
from omnireid.core.seeds import numpy_generator
from omnireid.evaluation.calibration_pairs import CalibrationPairs

ErrorKind = Literal["false-alarm", "miss"]

CONFIDENCE = 0.95
NUM_RESAMPLES = 500

_TAILS = ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2)
_Z = 1.959963984540054  # two-sided 95 % of the normal distribution


class ErrorThreshold(ClosedModel):
    """A threshold for a wanted rate of one kind of error.

    Attributes:
        error: what is counted.
        wanted: the rate that was asked for.
        threshold: a pair is taken for one person from this score on; null where the rate is not measurable.
        observed: rate at the threshold on the pairs it was chosen on: at most what was wanted.
        rate_interval: 95 % interval of the rate at this threshold for other people.
        threshold_interval: 95 % interval of the threshold, by bootstrap alone.
        other_rate: the other error's rate at this threshold.
        num_units: couples of people behind a false-alarm rate, people behind a miss rate.
    """

    error: ErrorKind
    wanted: float
    threshold: float | None
    observed: float | None = None
    rate_interval: tuple[float, float] | None = None
    threshold_interval: tuple[float, float] | None = None
    other_rate: float | None = None
    num_units: int

    @property
    def is_measurable(self) -> bool:
        return self.threshold is not None


def error_thresholds(
    error: ErrorKind,
    scores: Float64,
    pairs: CalibrationPairs,
    rates: Sequence[float],
    *,
    seed: int = 0,
    resamples: int = NUM_RESAMPLES,
) -> tuple[ErrorThreshold, ...]:
    """For each rate the least strict threshold that keeps it on these pairs.

    "false-alarm": the lowest threshold at which at most this share of different-person pairs scores as high.
    "miss": the highest threshold below which at most this share of same-person pairs lies.

    Args:
        error: what is counted.
        scores: (P,) float64 similarity of each pair.
        rates: wanted rates.
        seed, resamples: seed and number of the bootstrap.

    Raises:
        InputError: a rate that is not between 0 and 1, or one kind of pairs is missing.
    """
    for rate in rates:
        if not 0 < rate < 1:
            raise InputError(f"{error} rate: expected between 0 and 1, got {rate}")
    same = pairs.same
    if not same.any() or same.all():
        raise InputError("a threshold needs pairs of one person and pairs of two people")
    # Worst first: the highest scores of two people, the lowest of one. A sign makes both the same task.
    sign = 1.0 if error == "miss" else -1.0
    chosen = np.flatnonzero(same == (error == "miss"))
    chosen = chosen[np.argsort(sign * scores[chosen], kind="stable")]
    keys, other = sign * scores[chosen], scores[same != (error == "miss")]
    people = _People(pairs.select(chosen), error)
    measurable = [rate for rate in rates if rate * people.num_units >= 1 - 1e-9]
    firsts = [_first_kept(keys, np.full(len(keys), 1 / len(keys)), rate) for rate in measurable]
    drawn_rates: list[list[float]] = [[] for _ in measurable]
    drawn_thresholds: list[list[float]] = [[] for _ in measurable]
    for weights in people.resampled(seed, resamples):
        for index, rate in enumerate(measurable):
            drawn_rates[index].append(float(weights[: firsts[index]].sum()))
            drawn_thresholds[index].append(_threshold_at(keys, _first_kept(keys, weights, rate), sign))
    thresholds = {}
    for index, rate in enumerate(measurable):
        threshold, observed = _threshold_at(keys, firsts[index], sign), firsts[index] / len(keys)
        is_other_error = other < threshold if error == "false-alarm" else other >= threshold
        low, high = np.quantile(drawn_thresholds[index], _TAILS)
        thresholds[rate] = ErrorThreshold(
            error=error,
            wanted=rate,
            threshold=threshold,
            observed=observed,
            rate_interval=people.interval(observed, drawn_rates[index]),
            threshold_interval=(float(low), float(high)),
            other_rate=float(is_other_error.mean()),
            num_units=people.num_units,
        )
    return tuple(
        thresholds.get(rate)
        or ErrorThreshold(error=error, wanted=rate, threshold=None, num_units=people.num_units)
        for rate in rates
    )


def wilson_interval(rate: float, trials: int) -> tuple[float, float]:
    """95 % interval of a binomial proportion of which `rate` was observed in `trials`."""
    spread = _Z * math.sqrt(rate * (1 - rate) / trials + (_Z / (2 * trials)) ** 2)
    middle, scale = rate + _Z * _Z / (2 * trials), 1 + _Z * _Z / trials
    return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)


class _People:
    """The people behind pairs of one kind, and draws of them."""

    def __init__(self, pairs: CalibrationPairs, error: ErrorKind) -> None:
        self.is_miss = error == "miss"
        people, places = np.unique(pairs.people, return_inverse=True)
        self.num_people = len(people)
        places = places.reshape(-1, 2)
        # Weights are worked out once a unit (a person, or a couple), not once a pair.
        units, self.unit_of_pair = np.unique(
            places[:, 0] * self.num_people + places[:, 1], return_inverse=True
        )
        self.first, self.second = np.divmod(units, self.num_people)
        self.num_units = len(units)
        self.pairs_of_unit = np.bincount(self.unit_of_pair)

    def resampled(self, seed: int, resamples: int) -> Iterator[Float64]:
        """Weights of the pairs for each draw of people, (P,) float64 with sum 1."""
        rng, num_drawn = numpy_generator(seed, "bootstrap", str(self.is_miss)), 0
        while num_drawn < resamples:
            times = np.bincount(
                rng.integers(self.num_people, size=self.num_people), minlength=self.num_people
            )
            of_unit = times[self.first] if self.is_miss else times[self.first] * times[self.second]
            total = int(of_unit @ self.pairs_of_unit)
            if total:  # a draw can hold no couple at all, where few couples are known
                num_drawn += 1
                yield (of_unit / total)[self.unit_of_pair]

    def interval(self, observed: float, drawn: Sequence[float]) -> tuple[float, float]:
        """The wider of bootstrap and Wilson's interval at each end."""
        return _wider_interval(observed, drawn, self.num_units)


def clustered_interval(errs: Bool, people: Int64, *, seed: int = 0) -> tuple[float, float]:
    """95 % interval of a share of which people, not single trials, are the units.

    The wider, at each end, of a bootstrap that draws people and of Wilson's interval with people as trials.

    Args:
        errs: (N,) bool; what became of each trial.
        people: (N,) int64; whose it was.
    """
    _, places = np.unique(people, return_inverse=True)
    trials, errors = np.bincount(places), np.bincount(places, errs)
    rng = numpy_generator(seed, "clusters")
    times = rng.multinomial(len(trials), np.full(len(trials), 1 / len(trials)), size=NUM_RESAMPLES)
    drawn = (times @ errors) / (times @ trials)
    return _wider_interval(float(errs.mean()), drawn, len(trials))


def _wider_interval(observed: float, drawn: npt.ArrayLike, num_units: int) -> tuple[float, float]:
    low, high = wilson_interval(observed, num_units)
    if 0 < observed < 1:
        # A draw without any error has no log-odds: half a unit stands for none.
        least = min(0.5 / num_units, observed, 1 - observed)
        odds = np.clip(drawn, least, 1 - least)
        reach = _Z * float(np.std(np.log(odds / (1 - odds))))
        middle = math.log(observed / (1 - observed))
        low, high = min(low, _from_log_odds(middle - reach)), max(high, _from_log_odds(middle + reach))
    return low, high


def _from_log_odds(log_odds: float) -> float:
    return 1 / (1 + math.exp(-log_odds))


def _first_kept(keys: Float64, weights: Float64, rate: float) -> int:
    """How many of the worst pairs may err at this rate; equal scores err together or not at all."""
    beyond = int(np.searchsorted(np.cumsum(weights), rate * (1 + 1e-9), side="right"))
    return int(np.searchsorted(keys, keys[min(beyond, len(keys) - 1)], side="left"))


def _threshold_at(keys: Float64, first: int, sign: float) -> float:
    """The threshold at which the pair at `first` is the worst that does not err."""
    score = sign * float(keys[first])
    # Two people with exactly this score must not be taken for one.
    return score if sign > 0 else float(np.nextafter(score, np.inf))

"""Who is it, or is it nobody here? The certainty of a search through N people.

A search compares one picture with everybody. Its answers exclude each other: one of the N people, or nobody
of them, and their probabilities add up to 1. With s_i the best score among the pictures of person i:

    evidence        e_i = slope · (u + curvature · u²),  u = s_i − reference, level left of the vertex
    who, if anybody P(i | somebody) = exp(e_i) / Σ_j exp(e_j)
    anybody at all  logit P(somebody) = logit prior + w · (log (Σ_j exp(e_j) / N) − neutral)
    what a search is worth: w and neutral are measured at a few N, and interpolated over log N; beyond the
                    last one w = weight there · (N / last)^growth, which does not rise

If the N comparisons were independent, w were 1, neutral 0 and e the log-likelihood ratio of a score, this
would be Bayes' rule with a prior of prior / N for each person and 1 − prior for nobody. They are not
independent: who looks like one stranger looks like many. w is how much a search is worth of what independent
comparisons would be. It and `neutral` are measured at a few N and interpolated over log N between them;
`growth` carries w beyond. All of it is fitted on simulated searches (`search_fitting`).

Decision page: docs/decisions/0019-certainty-of-a-search.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
from pydantic import Field

from omnireid.core.arrays import Float64
from omnireid.core.closed import ClosedModel
from omnireid.core.errors import InputError

PRIOR = 0.5
"""That the person is in the gallery at all, before the picture is looked at."""
USUAL_RATE = 0.01
"""Share of searches for strangers that may end in "same", unless another is asked for."""
LEAST_CERTAIN = 0.5
"""Nobody is called the same person, or new, below this probability."""

_MOST_SAID = 30.0
"""Of a log-likelihood ratio: its exponential stays a number."""

_USUAL_PEOPLE = 30
_UNSEEN_STEPS = 128
_UNSEEN_SPREADS = 8.0


class SearchRate(ClosedModel):
    """A threshold for a wanted rate of searches for strangers that end in "same".

    Attributes:
        wanted: the rate that was asked for (FPIR in NIST's terms).
        threshold: a person is called the same from this probability on; never below one half.
        rate: share of simulated searches for strangers at this threshold: at most what was wanted.
        low, high: 95 % interval of that rate for other people.
        identified: share of searches for people of the gallery that end in "same", of the right person
            (DIR at this FPIR).
    """

    wanted: float
    threshold: float
    rate: float
    low: float
    high: float
    identified: float


class SearchSize(ClosedModel):
    """What was measured of searches through so many people.

    Attributes:
        people: N.
        rates: those in the order in which they were asked for, without those that the data cannot show.
        nobody_from: "new" is said from this probability of nobody on, at a prior of one half.
        missed: share of searches for people of the gallery that end in "new" then.
        weight, neutral: what a search through so many is worth; of the whole fit where a file has none.
    """

    people: int
    rates: tuple[SearchRate, ...]
    nobody_from: float
    missed: float
    weight: float | None = Field(default=None, gt=0)
    neutral: float | None = None


class SearchFit(ClosedModel):
    """Searches through people with so many pictures each; names as in the module's formulas.

    Attributes:
        pictures: number of pictures of each person in the gallery, about.
        stranger_mean, stranger_spread: mean and spread of the scores of strangers within one search.
        stranger_shift: deviation of a search's mean over searches.
        sizes: smallest first.
    """

    pictures: int
    slope: float = Field(gt=0)
    curvature: float = Field(ge=0)
    reference: float
    weight: float = Field(gt=0)
    growth: float
    neutral: float
    stranger_mean: float
    stranger_spread: float = Field(gt=0)
    stranger_shift: float
    sizes: tuple[SearchSize, ...] = ()

    def evidence(self, scores: Float64) -> Float64:
        """e of each score, of the shape of `scores`; rises with the score, level left of the vertex."""
        u = scores - self.reference
        if self.curvature:
            u = np.maximum(u, -0.5 / self.curvature)
        bent: Float64 = self.slope * (u + self.curvature * u * u)
        return bent

    def worth(self, num_people: float) -> tuple[float, float]:
        """What a search through so many is worth: w and neutral."""
        measured = [
            (math.log(size.people), size.weight, size.neutral)
            for size in self.sizes
            if size.weight is not None and size.neutral is not None
        ]
        if not measured:
            return float(self.weight * (num_people / _USUAL_PEOPLE) ** self.growth), self.neutral
        counts, weights, neutrals = (np.array(column) for column in zip(*measured, strict=True))
        count = math.log(num_people)
        weight = float(np.exp(np.interp(count, counts, np.log(weights))))
        beyond = max(count - float(counts[-1]), 0.0)
        return weight * math.exp(min(self.growth, 0.0) * beyond), float(np.interp(count, counts, neutrals))

    def unseen(self, below: float, num_seen: int, num_people: int) -> float:
        """log Σ exp(e) of people whose scores are only known to lie below one.

        Scores of strangers in this search are taken as normal with the usual spread, around the mean at which
        so many of so many lie above `below`.

        Args:
            below: the least score that was seen.
            num_seen: people above it, the best included.
            num_people: all.
        """
        count = num_people - num_seen
        if count <= 0:
            return -math.inf
        normal = NormalDist(0, self.stranger_spread)
        # The best may be the right one, and tells nothing of strangers.
        share = max(num_seen - 1, 0.5) / num_people
        reach = 3 * self.stranger_shift
        mean = below - normal.inv_cdf(1 - min(share, 0.5))
        mean = min(max(mean, self.stranger_mean - reach), self.stranger_mean + reach)
        scores = np.linspace(min(mean, below) - _UNSEEN_SPREADS * self.stranger_spread, below, _UNSEEN_STEPS)
        log_density = -0.5 * ((scores - mean) / self.stranger_spread) ** 2
        top = float(log_density.max())
        density = np.exp(log_density - top)
        values = self.evidence(scores) + log_density - top
        high = float(values.max())
        return math.log(count) + high + math.log(float(np.exp(values - high).sum() / density.sum()))

    def size(self, num_people: float) -> SearchSize | None:
        """What was measured nearest to so many people, in the logarithm."""
        if not self.sizes:
            return None
        return min(self.sizes, key=lambda size: abs(math.log(size.people / max(num_people, 1))))


@dataclass(frozen=True)
class Posterior:
    """Probabilities of one search; they add up to 1.

    Attributes:
        people: (M,) float64, in the order of the scores.
        nobody: the probability that the person is not among those who were searched through.
        others: the probability of everybody whose score was not given.
    """

    people: Float64
    nobody: float
    others: float

    def given(self, ratios: Float64) -> Posterior:
        """These probabilities by Bayes' rule, once more is known of the people than how they look.

        Args:
            ratios: (M,) log-likelihood ratios of "this person" against "anybody else", independent of looks.
        """
        if not ratios.any():
            return self
        bounded = np.clip(ratios, -_MOST_SAID, _MOST_SAID)
        people = self.people * np.exp(bounded)
        total = float(people.sum()) + self.nobody + self.others
        return Posterior(people / total, self.nobody / total, self.others / total)


class SearchModel(ClosedModel):
    """The certainty of searches with one model's scores.

    Attributes:
        fits: the fits for galleries with more and more pictures of each person.
        num_people: how many people it was fitted on; searches through more are extrapolated.
        miss_rate: wanted share of searches for people of the gallery that end in "new".
    """

    fits: tuple[SearchFit, ...] = Field(min_length=1)
    num_people: int
    miss_rate: float

    def fit(self, pictures: float) -> SearchFit:
        """The fit for so many pictures of each person."""
        wanted = math.log(max(pictures, 1.0))
        return min(self.fits, key=lambda fit: abs(math.log(fit.pictures) - wanted))

    def posterior(
        self,
        scores: npt.ArrayLike,
        num_people: int,
        *,
        prior: float = PRIOR,
        pictures: float = 1.0,
        unseen_below: float | None = None,
        ruled_out: npt.ArrayLike = (),
    ) -> Posterior:
        """Probabilities of people, of nobody, and of everybody else.

        Args:
            scores: (M,) the best score of each of M people.
            num_people: N, M at least, who were searched through.
            prior: the probability that the person is among them, before the picture is looked at.
            pictures: number of pictures of each person, on average.
            unseen_below: the scores of the other N − M lie below this one; by default the least given.
            ruled_out: scores of pictures of somebody who is known to be none of them.

        Raises:
            InputError: a prior that is not between 0 and 1.
        """
        if not 0 < prior < 1:
            raise InputError(f"prior: must lie between 0 and 1, got {prior}")
        scores = np.asarray(scores, np.float64)
        if not len(scores):
            return Posterior(np.zeros(0), 1.0, 0.0)
        fit, num_people = self.fit(pictures), max(num_people, len(scores))
        evidence, elsewhere = fit.evidence(scores), fit.evidence(np.asarray(ruled_out, np.float64))
        rest = -math.inf
        if num_people > len(scores):
            below = float(scores.min()) if unseen_below is None else unseen_below
            rest = fit.unseen(below, len(scores), num_people)
        top = max(float(evidence.max()), rest, float(elsewhere.max(initial=-math.inf)))
        shares, other = np.exp(evidence - top), math.exp(rest - top)
        out = float(np.exp(elsewhere - top).sum())
        total = float(shares.sum()) + other + out
        mean = top + math.log(total / num_people)
        weight, neutral = fit.worth(num_people)
        logit = math.log(prior / (1 - prior)) + weight * (mean - neutral)
        somebody = 1 / (1 + math.exp(-logit)) if logit > -700 else 0.0
        nobody = 1 / (1 + math.exp(logit)) if logit < 700 else 0.0
        return Posterior(somebody * shares / total, nobody + somebody * out / total, somebody * other / total)

    def rate(self, num_people: int, pictures: float, wanted: float) -> SearchRate | None:
        """The threshold for a wanted rate at so many people; None where it could not be measured."""
        size = self.fit(pictures).size(num_people)
        for rate in () if size is None else size.rates:
            if math.isclose(rate.wanted, wanted, rel_tol=1e-9):
                return rate
        return None

    @property
    def measured_rates(self) -> tuple[float, ...]:
        """Wanted rates that could be measured at every size, in every fit; strictest last."""
        every = [{rate.wanted for rate in size.rates} for fit in self.fits for size in fit.sizes]
        return tuple(sorted(set.intersection(*every), reverse=True)) if every else ()

    @property
    def usual_rate(self) -> float | None:
        """What is wanted unless another is asked for: 1 %, or the strictest above it that was measured."""
        rates = self.measured_rates
        return min((rate for rate in rates if rate >= USUAL_RATE), default=max(rates, default=None))

"""From a similarity score to the probability that two pictures show the same person.

Probabilities are for a prior of one half: as if same-person and different-person pairs were equally frequent.
They never are; `at_prior` moves a probability to the share of same-person pairs that is really expected.
Both kinds of pairs weigh the same in every fit and figure here, whatever their numbers.

Sources: Platt, Probabilistic Outputs for Support Vector Machines, 1999 (logistic, with its smoothed targets);
Zadrozny and Elkan, KDD 2002 (isotonic); Ayer et al. 1955 (pool adjacent violators); Naeini et al., AAAI 2015
and Guo et al., ICML 2017 (expected calibration error).
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from omnireid.core.arrays import Bool, Float64
from omnireid.core.closed import ClosedModel
from omnireid.core.errors import InputError

NUM_BINS = 15

_MOST_STEPS = 100


class LogisticMap(ClosedModel):
    """p = 1 / (1 + exp(−(slope · score + offset)))."""

    kind: Literal["logistic"] = "logistic"
    slope: float
    offset: float

    def probability(self, scores: npt.ArrayLike) -> Float64:
        """At a prior of one half; the shape of `scores`, float64."""
        return _sigmoid(self.slope * np.asarray(scores, np.float64) + self.offset)


class IsotonicMap(ClosedModel):
    """Straight lines between the knots, level beyond the first and the last."""

    kind: Literal["isotonic"] = "isotonic"
    scores: tuple[float, ...]
    probabilities: tuple[float, ...]

    @model_validator(mode="after")
    def _is_monotone(self) -> IsotonicMap:
        x, y = np.array(self.scores), np.array(self.probabilities)
        if len(x) != len(y) or not len(x):
            raise ValueError("scores and probabilities must be equally many, at least one")
        if not ((np.diff(x) > 0).all() and (np.diff(y) >= 0).all() and 0 < y[0] <= y[-1] < 1):
            raise ValueError("scores must rise, and probabilities not fall, between 0 and 1")
        return self

    def probability(self, scores: npt.ArrayLike) -> Float64:
        """At a prior of one half; the shape of `scores`, float64."""
        return np.interp(np.asarray(scores, np.float64), self.scores, self.probabilities)


ScoreMap = Annotated[LogisticMap | IsotonicMap, Field(discriminator="kind")]


class ReliabilityBin(ClosedModel):
    """Pairs whose predicted probability falls between two edges.

    Attributes:
        low, high: edges; the last bin includes 1.
        predicted: mean predicted probability, null for an empty bin.
        observed: share of same-person pairs when both kinds weigh the same, null for an empty bin.
        weight: share of all pairs when both kinds weigh the same; sums to 1 over the bins.
    """

    low: float
    high: float
    predicted: float | None
    observed: float | None
    weight: float


def fit_logistic(scores: Float64, same: Bool, *, num_people: int, num_couples: int) -> LogisticMap:
    """Platt scaling: maximum likelihood with targets moved off 0 and 1 by one pseudo-count.

    Args:
        scores: (P,) float64.
        same: (P,) bool.
        num_people, num_couples: independent units behind the same-person and different-person pairs, which
            set the targets (n + 1) / (n + 2) and 1 / (n + 2): separated scores have a finite slope.

    Raises:
        InputError: one kind of pairs is missing, or same-person pairs do not score higher.
    """
    weights = _balanced(same)
    target = np.where(same, (num_people + 1) / (num_people + 2), 1 / (num_couples + 2))
    centre, scale = float(np.mean(scores)), float(np.std(scores)) or 1.0
    x = (scores - centre) / scale
    slope, offset = 0.0, 0.0
    loss = _cross_entropy(slope * x + offset, target, weights)
    for _ in range(_MOST_STEPS):
        p = _sigmoid(slope * x + offset)
        residual, curvature = weights * (p - target), weights * p * (1 - p)
        gradient = np.array([residual @ x, residual.sum()])
        cross = curvature @ x
        hessian = np.array([[curvature @ (x * x), cross], [cross, curvature.sum()]]) + 1e-12 * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        if not np.abs(step).max() > 1e-9:
            break
        # Newton may overshoot where nearly all pairs are certain: halve until the loss falls.
        for factor in 0.5 ** np.arange(30):
            tried = slope - factor * step[0], offset - factor * step[1]
            tried_loss = _cross_entropy(tried[0] * x + tried[1], target, weights)
            if tried_loss <= loss:
                break
        else:
            break
        (slope, offset), loss = tried, tried_loss
    if slope <= 0:
        raise InputError(
            "calibration: pairs of one person do not score higher than pairs of two; the model cannot tell "
            "these people apart, or the labels are wrong"
        )
    return LogisticMap(slope=slope / scale, offset=offset - slope * centre / scale)


def fit_isotonic(scores: Float64, same: Bool, *, num_people: int, num_couples: int) -> IsotonicMap:
    """The non-decreasing step function of least squared error, drawn through its steps' ends.

    Args:
        scores, same, num_people, num_couples: as for `fit_logistic`. No probability is below
            1 / (num_people + 1) or above 1 − 1 / (num_couples + 1): what would be left if one more person
            had scored below everybody, or one more couple above.

    Raises:
        InputError: one kind of pairs is missing.
    """
    x, means = pool_adjacent_violators(scores, same.astype(np.float64), _balanced(same))
    means = np.clip(means, 1 / (num_people + 1), 1 - 1 / (num_couples + 1))
    # Only the ends of a level stretch are needed to draw it.
    inner = np.flatnonzero((means[1:-1] == means[:-2]) & (means[1:-1] == means[2:])) + 1
    return IsotonicMap(
        scores=tuple(np.delete(x, inner).tolist()), probabilities=tuple(np.delete(means, inner).tolist())
    )


def pool_adjacent_violators(x: Float64, y: Float64, weights: Float64) -> tuple[Float64, Float64]:
    """Isotonic regression.

    Args:
        x, y, weights: (N,) float64; weights above 0. Equal x are one point with their weighted mean.

    Returns:
        The distinct x, ascending, and for each the fitted value: of all non-decreasing functions of x the one
        with the least Σ weights · (y − value)².
    """
    points, index = np.unique(x, return_inverse=True)
    weight = np.bincount(index, weights)
    total = np.bincount(index, weights * y)
    starts = np.arange(len(points))
    while True:
        mean = total / weight
        # A block joins the one before it where it lies lower; whole falling runs are joined at once.
        rises = np.append(True, mean[1:] > mean[:-1])
        if rises.all():
            break
        kept = np.flatnonzero(rises)
        total, weight = np.add.reduceat(total, kept), np.add.reduceat(weight, kept)
        starts = starts[kept]
    return points, np.repeat(mean, np.diff(np.append(starts, len(points))))


def log_loss(probabilities: Float64, same: Bool) -> float:
    """Mean of −log(probability of what is true), both kinds weighing the same; 0.693 for a coin."""
    likelihood = np.where(same, probabilities, 1 - probabilities)
    return float(-(_balanced(same) @ np.log(np.maximum(likelihood, 1e-300))))


def reliability(probabilities: Float64, same: Bool, num_bins: int = NUM_BINS) -> tuple[ReliabilityBin, ...]:
    """Predicted beside observed, in bins of equal width between 0 and 1."""
    weights = _balanced(same)
    edges = np.linspace(0, 1, num_bins + 1)
    index = np.minimum((probabilities * num_bins).astype(np.int64), num_bins - 1)
    weight = np.bincount(index, weights, num_bins)
    predicted = np.bincount(index, weights * probabilities, num_bins)
    observed = np.bincount(index, weights * same, num_bins)
    return tuple(
        ReliabilityBin(
            low=edges[bin],
            high=edges[bin + 1],
            predicted=predicted[bin] / weight[bin] if weight[bin] else None,
            observed=observed[bin] / weight[bin] if weight[bin] else None,
            weight=weight[bin],
        )
        for bin in range(num_bins)
    )


def expected_calibration_error(bins: tuple[ReliabilityBin, ...]) -> float:
    """Mean of |predicted − observed| over the bins, by their weight."""
    return sum(
        bin_.weight * abs(bin_.predicted - bin_.observed)
        for bin_ in bins
        if bin_.predicted is not None and bin_.observed is not None
    )


def at_prior(probabilities: npt.ArrayLike, prior: float) -> Float64:
    """Probabilities for another share of same-person pairs than one half (Bayes' rule).

    Args:
        probabilities: those at a prior of one half.
        prior: the share of pairs that are expected to be of one person.

    Raises:
        InputError: a prior that is not between 0 and 1.
    """
    if not 0 < prior < 1:
        raise InputError(f"prior: expected between 0 and 1, got {prior}")
    p = np.asarray(probabilities, np.float64)
    moved: Float64 = prior * p / (prior * p + (1 - prior) * (1 - p))
    return moved


def _balanced(same: Bool) -> Float64:
    """(P,) weights that sum to one half for each kind."""
    num_same = int(np.count_nonzero(same))
    if not 0 < num_same < len(same):
        raise InputError("calibration needs pairs of one person and pairs of two people")
    return np.where(same, 0.5 / num_same, 0.5 / (len(same) - num_same))


def _sigmoid(z: Float64) -> Float64:
    return np.exp(-np.logaddexp(0.0, -z))


def _cross_entropy(z: Float64, target: Float64, weights: Float64) -> float:
    return float(weights @ (np.logaddexp(0.0, z) - target * z))

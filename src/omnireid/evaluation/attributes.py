"""How well attributes of people are told: mean accuracy of each, and what is right of each picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from omnireid.core.arrays import Bool, Float64
from omnireid.core.display import short_repr
from omnireid.core.errors import InputError, ShapeError
from omnireid.core.record import MetricsRecord


@dataclass(frozen=True, eq=False)
class AttributeScores:
    """What was said of N pictures beside what is true.

    Attributes:
        said, true: (N, A) bool.

    Raises:
        ShapeError: not two matrices of one shape.
        InputError: no picture.

    Source: the label-based mean accuracy and the example-based measures of Li et al., "A Richly Annotated
    Dataset for Pedestrian Attribute Recognition" (RAP, 2016), as PA-100K is scored (Liu et al., ICCV 2017).
    """

    said: Bool
    true: Bool

    __repr__ = short_repr

    def __post_init__(self) -> None:
        if self.true.ndim != 2 or self.said.shape != self.true.shape:
            raise ShapeError("said", expected=self.true.shape, actual=self.said.shape)
        if not self.true.size:
            raise InputError("attributes: no picture to score")

    @property
    def shares(self) -> Float64:
        """(A,) share of the pictures that have each attribute."""
        return np.asarray(self.true.mean(axis=0))

    @property
    def accuracies(self) -> Float64:
        """(A,) mean of the shares that are right of the pictures with and without each attribute.

        NaN for an attribute that all pictures have, or none.
        """
        right, with_it = self.said == self.true, self.true
        count, total = with_it.sum(axis=0), len(with_it)
        with np.errstate(invalid="ignore", divide="ignore"):
            found = (right & with_it).sum(axis=0) / count
            spared = (right & ~with_it).sum(axis=0) / (total - count)
        return np.asarray((found + spared) / 2)

    def record(self) -> MetricsRecord:
        """The metrics of `ATTRIBUTE_METRICS`."""
        return MetricsRecord(**{name: value(self) for name, (_, value) in ATTRIBUTE_METRICS.items()})


def _mean_accuracy(scores: AttributeScores) -> float | None:
    accuracies = scores.accuracies
    known = accuracies[~np.isnan(accuracies)]
    return float(known.mean()) if known.size else None


def _share_of(total: Callable[[AttributeScores], Bool]) -> Callable[[AttributeScores], float]:
    """Mean over pictures of what is said and true, of a total; 0 where the total is empty."""

    def mean(scores: AttributeScores) -> float:
        both = (scores.said & scores.true).sum(axis=1)
        return float((both / np.maximum(total(scores).sum(axis=1), 1)).mean())

    return mean


_ACCURACY = _share_of(lambda scores: scores.said | scores.true)
_PRECISION = _share_of(lambda scores: scores.said)
_RECALL = _share_of(lambda scores: scores.true)


def _f1(scores: AttributeScores) -> float:
    precision, recall = _PRECISION(scores), _RECALL(scores)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


ATTRIBUTE_METRICS: dict[str, tuple[str, Callable[[AttributeScores], float | None]]] = {
    "mA": ("mA", _mean_accuracy),
    "accuracy": ("accuracy", _ACCURACY),
    "precision": ("precision", _PRECISION),
    "recall": ("recall", _RECALL),
    "f1": ("F1", _f1),
}
"""Key in `result.json`, label and value, in the order of tables. F1 is of the mean precision and recall."""

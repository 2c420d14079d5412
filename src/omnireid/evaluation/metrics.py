"""The metrics of a ranking: one table that records, tables, reports, intervals and breakdowns are made from.

A new metric is a function and its line in `METRICS`. Files written without it still open.
"""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from omnireid.core.arrays import Float64
from omnireid.core.options import Protocol
from omnireid.core.record import MetricsRecord
from omnireid.evaluation.attributes import ATTRIBUTE_METRICS
from omnireid.evaluation.result import RetrievalResult


class QueryScores(typing.Protocol):
    """(Q,) float64 scores of each query, NaN where it is not valid: a ranking, or a `queries.csv`."""

    @property
    def ap(self) -> Float64: ...
    @property
    def inp(self) -> Float64: ...
    @property
    def first_match_rank(self) -> Float64: ...


@dataclass(frozen=True)
class Metric:
    """A fraction between 0 and 1 that a ranking is judged by.

    Attributes:
        label: What tables and reports call it.
        value: The metric of a ranking; None where its protocol does not define it.
        of_queries: (Q,) float64, what the metric is the mean of, NaN for queries that are not valid:
            intervals, breakdowns and comparisons are made from it. None where it is no such mean.
        higher_is_better: Which end is the good one.
        in_tables: Whether it is shown where several results stand side by side.
    """

    label: str
    value: Callable[[RetrievalResult], float | None]
    of_queries: Callable[[QueryScores], Float64] | None = None
    higher_is_better: bool = True
    in_tables: bool = True


def _rank(k: int) -> Callable[[RetrievalResult], float]:
    return lambda ranking: ranking.rank(k)


def _is_first(scores: QueryScores) -> Float64:
    first = scores.first_match_rank
    return np.where(np.isnan(first), np.nan, (first == 1).astype(np.float64))


METRICS: dict[str, Metric] = {
    "rank1": Metric("rank-1", _rank(1), _is_first),
    "rank5": Metric("rank-5", _rank(5)),
    "rank10": Metric("rank-10", _rank(10)),
    "rank20": Metric("rank-20", _rank(20), in_tables=False),
    "mAP": Metric("mAP", lambda ranking: ranking.mAP, lambda scores: scores.ap),
    "mINP": Metric("mINP", lambda ranking: ranking.mINP, lambda scores: scores.inp),
}
"""Key in `result.json` and in Python, and the metric, in the order of tables."""


def metrics_record(ranking: RetrievalResult) -> MetricsRecord:
    """The metrics of a ranking with a max_rank of at least 20.

    Raises:
        InputError: max_rank is lower.
    """
    return MetricsRecord(**{name: metric.value(ranking) for name, metric in METRICS.items()})


def labels_of(protocols: Iterable[str], *, in_tables: bool = False) -> dict[str, str]:
    """What the metrics of records of these protocols are called, by key."""
    of_attributes = {name: label for name, (label, _) in ATTRIBUTE_METRICS.items()}
    known: dict[str, str] = {}
    for protocol in sorted(set(protocols)) or [""]:
        known |= of_attributes if protocol == Protocol.ATTRIBUTES.value else labels(in_tables=in_tables)
    return known


def labels(*, in_tables: bool = False, of_queries: bool = False) -> dict[str, str]:
    """What the metrics are called, by key.

    Args:
        in_tables: Only those shown where several results stand side by side.
        of_queries: Only means over queries.
    """
    return {
        name: metric.label
        for name, metric in METRICS.items()
        if metric.in_tables >= in_tables and (metric.of_queries is not None) >= of_queries
    }

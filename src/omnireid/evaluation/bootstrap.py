"""How sure a number is: intervals and comparisons by resampling identities.

Queries of one person succeed and fail together, so the identity is what is drawn, with all its queries
(cluster bootstrap). Drawing queries instead makes intervals that are too narrow.

Sources: percentile bootstrap (Efron and Tibshirani 1993), randomisation test of paired search results
(Smucker, Allan and Carterette, CIKM 2007), p-values that are never 0 (Phipson and Smyth 2010).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from omnireid.core.arrays import Float64, Int64
from omnireid.core.closed import ClosedModel
from omnireid.core.errors import InputError, ShapeError
from omnireid.core.record import Interval, MetricIntervals
from omnireid.core.seeds import numpy_generator
from omnireid.evaluation.metrics import METRICS
from omnireid.evaluation.result import RetrievalResult

_CELLS_AT_ONCE = 1 << 21


class PairedComparison(ClosedModel):
    """Is B better than A on the same queries?

    Attributes:
        difference: mean of B less mean of A, with its interval.
        p_value: how often chance alone makes a difference at least as large, either way: swapping A and B
            for randomly chosen identities.
        num_queries, num_identities: what was compared.
        samples, seed: number and seed of the resampling.
    """

    difference: Interval
    p_value: float
    num_queries: int
    num_identities: int
    samples: int
    seed: int


def metric_intervals(
    result: RetrievalResult, pids: npt.ArrayLike, *, level: float = 0.95, samples: int = 2000, seed: int = 0
) -> MetricIntervals:
    """Intervals, over identities, of the metrics that are means over queries.

    Under single-gallery-shot mAP and mINP are None, and `rank1` is the share of queries that all ten draws
    agree on.

    Args:
        result: an evaluation.
        pids: (Q,) integers, the queries' identities.
        level: share of resampled means inside the interval.
        samples: resampled means.
        seed: seed of the resampling.

    Raises:
        ShapeError: not one pid for each query.
        InputError: level or samples out of range, or fewer than two identities.
    """
    intervals = {
        name: None
        if metric.value(result) is None
        else bootstrap_mean(metric.of_queries(result), pids, level=level, samples=samples, seed=seed)
        for name, metric in METRICS.items()
        if metric.of_queries is not None
    }
    return MetricIntervals(
        **intervals,
        num_identities=len(np.unique(np.asarray(pids)[result.valid])),
        samples=samples,
        seed=seed,
    )


def bootstrap_mean(
    values: npt.ArrayLike, pids: npt.ArrayLike, *, level: float = 0.95, samples: int = 2000, seed: int = 0
) -> Interval:
    """Percentile interval of a mean over queries when identities are drawn with replacement.

    Args:
        values: (Q,) floats, NaN for queries that are not valid.
        pids: (Q,) integers.
        level, samples, seed: as for `metric_intervals`.

    Raises:
        As `metric_intervals`.
    """
    _check(level, samples)
    sums, counts = _by_identity(np.asarray(values, np.float64), np.asarray(pids))
    means = np.concatenate(
        [drawn @ sums / (drawn @ counts) for drawn in _draws(len(sums), samples, seed)],
    )
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(value=float(sums.sum() / counts.sum()), low=float(low), high=float(high), level=level)


def compare_paired(
    values_a: npt.ArrayLike,
    values_b: npt.ArrayLike,
    pids: npt.ArrayLike,
    *,
    level: float = 0.95,
    samples: int = 10_000,
    seed: int = 0,
) -> PairedComparison:
    """Compare two models by one number per query, for example `RetrievalResult.ap`.

    Args:
        values_a, values_b: (Q,) floats of the same queries in the same order, NaN where not valid.
        pids: (Q,) integers.
        level: level of the difference's interval.
        samples: resampled differences, for the interval and for the p-value each.
        seed: seed of both.

    Raises:
        ShapeError: lengths that differ.
        InputError: a query that is valid for one model only: then they were not scored by one protocol.
    """
    _check(level, samples)
    a, b = np.asarray(values_a, np.float64), np.asarray(values_b, np.float64)
    if a.shape != b.shape:
        raise ShapeError("values_b", expected=a.shape, actual=b.shape)
    one_only = np.flatnonzero(np.isnan(a) != np.isnan(b))
    if one_only.size:
        raise InputError(
            f"query {int(one_only[0])} is valid for one of the two results only: compare results of the same "
            "queries, gallery and protocol"
        )
    difference = bootstrap_mean(b - a, pids, level=level, samples=samples, seed=seed)
    sums, counts = _by_identity(b - a, np.asarray(pids))
    generator = numpy_generator(seed, "paired-comparison")
    observed = abs(sums.sum())
    # Sums that are equal on paper may differ in their last bits.
    least = observed - 1e-12 * np.abs(sums).sum()
    as_large = 0
    for rows in _parts(len(sums), samples):
        signs = generator.integers(0, 2, (rows, len(sums)), dtype=np.int8) * 2.0 - 1.0
        as_large += int((np.abs(signs @ sums) >= least).sum())
    return PairedComparison(
        difference=difference,
        p_value=(1 + as_large) / (1 + samples),
        num_queries=int(counts.sum()),
        num_identities=len(sums),
        samples=samples,
        seed=seed,
    )


def _by_identity(values: Float64, pids: Int64) -> tuple[Float64, Float64]:
    """Sum and number of the valid values of each identity."""
    if pids.shape != values.shape:
        raise ShapeError("pids", expected=values.shape, actual=pids.shape)
    valid = ~np.isnan(values)
    _, identity = np.unique(pids[valid], return_inverse=True)
    counts = np.bincount(identity).astype(np.float64)
    if len(counts) < 2:
        raise InputError(f"{len(counts)} identities have a valid query: resampling needs at least two")
    return np.bincount(identity, weights=values[valid]).astype(np.float64), counts


def _draws(identities: int, samples: int, seed: int) -> Iterator[Float64]:
    """(rows, identities) how often each identity was drawn; `samples` rows in all."""
    generator = numpy_generator(seed, "bootstrap")
    for rows in _parts(identities, samples):
        drawn = generator.integers(0, identities, (rows, identities))
        drawn += np.arange(rows)[:, None] * identities
        yield (
            np.bincount(drawn.ravel(), minlength=rows * identities)
            .reshape(rows, identities)
            .astype(np.float64)
        )


def _parts(identities: int, samples: int) -> list[int]:
    """Rows to do at once, few enough to be small."""
    most = max(1, _CELLS_AT_ONCE // identities)
    return [min(most, samples - done) for done in range(0, samples, most)]


def _check(level: float, samples: int) -> None:
    if not 0.0 < level < 1.0:
        raise InputError(f"level: must lie between 0 and 1, got {level}")
    if samples < 1:
        raise InputError(f"samples: must be at least 1, got {samples}")

"""Results side by side, and whether one model is better than another on the same queries."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from omnireid.core.display import html_table, short_repr
from omnireid.core.errors import InputError
from omnireid.core.record import ByMetric, MeansRecord, ResultRecord
from omnireid.evaluation.bootstrap import PairedComparison, compare_paired
from omnireid.evaluation.metrics import METRICS
from omnireid.experiment.queries import QUERIES, QueryScores, read_queries
from omnireid.experiment.several import SEEDS, SPLITS
from omnireid.report.paper import PaperRow


@dataclass(frozen=True)
class Result:
    """One evaluation as it lies on disk.

    Attributes:
        name: what to call it in tables.
        queries: None where `queries.csv` does not lie beside the record.
    """

    name: str
    record: ResultRecord
    queries: QueryScores | None

    __repr__ = short_repr


class Versus(ByMetric):
    """A result against the first one, by metric; None where queries or metric are missing."""

    name: str
    __pydantic_extra__: dict[str, PairedComparison | None]

    __repr__ = __str__ = short_repr

    def _repr_html_(self) -> str:
        rows = [
            (
                METRICS[metric].label,
                f"{100 * paired.difference.value:+.2f}",
                f"{100 * paired.difference.low:+.2f} to {100 * paired.difference.high:+.2f}",
                f"{paired.p_value:.4f}",
            )
            for metric, paired in self.by_metric().items()
            if paired is not None
        ]
        return html_table(
            ("metric", "difference", "interval", "p"), rows, f"{self.name} against the first, points"
        )


def load_result(path: str | os.PathLike[str]) -> Result:
    """Read a record, or the one in a folder that `omnireid evaluate` wrote.

    Raises:
        InputError: missing, or not a result record.
    """
    given = Path(path)
    file = given / "result.json" if given.is_dir() else given
    record = ResultRecord.load(file)
    beside = file.parent / QUERIES
    name = f"{record.model.name} ({file.parent.name})" if file.parent.name else record.model.name
    return Result(name, record, read_queries(beside) if beside.is_file() else None)


def load_row(path: str | os.PathLike[str], name: str | None = None) -> PaperRow:
    """Read a record for a table: as `load_result`, or the means of several seeds or random splits.

    Args:
        path: a result, its folder, `seeds.json` or `splits.json`, or a folder with one of these.
        name: name of the row; by default what `load_result` calls it.

    Raises:
        InputError: nothing of the kind.
    """
    given = Path(path)
    if given.is_dir() and not (given / "result.json").is_file():
        means = [given / file for file in (SEEDS, SPLITS) if (given / file).is_file()]
        given = means[0] if means else given
    if given.name in (SEEDS, SPLITS):
        summary = MeansRecord.load(given)
        return PaperRow(name or f"{summary.model} ({given.parent.name})", summary)
    result = load_result(given)
    return PaperRow(name or result.name, result.record)


def differences(records: Sequence[ResultRecord | MeansRecord]) -> list[str]:
    """What keeps records from being compared: everything of dataset and protocol that is not the same.

    Returns:
        One line for each, with the values in the order of the records; empty where they compare.
    """
    facts = [_facts(record) for record in records]
    return [
        f"{name}: {', '.join(str(fact[name]) for fact in facts)}"
        for name in facts[0]
        if len({fact[name] for fact in facts}) > 1
    ]


def _facts(record: ResultRecord | MeansRecord) -> dict[str, Any]:
    protocol = {} if record.protocol is None else record.protocol.model_dump()
    if isinstance(record, MeansRecord):
        split = ", ".join(partition.sha256 for partition in record.partitions)
        return {"dataset": record.dataset, "split": split, **protocol}
    split = "" if record.dataset.partition is None else record.dataset.partition.sha256
    return {"dataset": record.dataset.name, "split": split, **protocol}


def check_alike(records: Sequence[ResultRecord | MeansRecord]) -> None:
    """Refuse records that do not compare.

    Raises:
        InputError: says in what they differ.
    """
    different = differences(records)
    if different:
        raise InputError(
            "these results were not measured alike and do not compare:\n  "
            + "\n  ".join(different)
            + "\nEvaluate them alike, or pass any_protocol=True (--any-protocol) to set them side by side"
        )


@dataclass(frozen=True)
class Comparison:
    """Results side by side.

    Attributes:
        results: As they lie on disk.
        against_first: Each but the first, compared with it query by query.
        differences: In what they were not measured alike; see `differences`.
    """

    results: tuple[Result, ...]
    against_first: tuple[Versus, ...]
    differences: tuple[str, ...]

    __repr__ = short_repr


def compare(
    results: Sequence[Result | str | os.PathLike[str]], *, any_protocol: bool = False, seed: int = 0
) -> Comparison:
    """Say whether each result is better than the first, query by query: difference, interval, p-value.

    Args:
        results: At least two: records (result.json), folders that `evaluate` wrote, or what `load_result`
            read.
        any_protocol: Go on although datasets or protocols differ; pairs are then made of the queries that
            both have.
        seed: Seed of the resampling of identities.

    Raises:
        InputError: As `load_result`; fewer than two, different protocols, or queries that do not pair.
    """
    if len(results) < 2:
        raise InputError("compare: give at least two results")
    loaded = [result if isinstance(result, Result) else load_result(result) for result in results]
    records = [result.record for result in loaded]
    if not any_protocol:
        check_alike(records)
    against_first = [_versus(loaded[0], other, seed, any_protocol) for other in loaded[1:]]
    return Comparison(tuple(loaded), tuple(against_first), tuple(differences(records)))


def _versus(base: Result, other: Result, seed: int, any_protocol: bool) -> Versus:
    metrics = {name: metric.of_queries for name, metric in METRICS.items() if metric.of_queries is not None}
    nothing = dict.fromkeys(metrics)
    if base.queries is None or other.queries is None:
        return Versus(name=other.name, **nothing)
    a, b = base.queries, other.queries
    shared, rows_a, rows_b = np.intersect1d(a.paths, b.paths, return_indices=True)
    if not any_protocol and not len(shared) == len(a.paths) == len(b.paths):
        raise InputError(
            f"{base.name} and {other.name} have {len(shared):,} queries in common, of {len(a.paths):,} and "
            f"{len(b.paths):,}: pictures were skipped, or the data changed"
        )
    if any_protocol:
        both = ~np.isnan(a.first_match_rank[rows_a]) & ~np.isnan(b.first_match_rank[rows_b])
        rows_a, rows_b = rows_a[both], rows_b[both]
        if len(np.unique(a.pids[rows_a])) < 2:
            return Versus(name=other.name, **nothing)
    pids = a.pids[rows_a]
    differences = {}
    for name, of_queries in metrics.items():
        values_a, values_b = of_queries(a)[rows_a], of_queries(b)[rows_b]
        is_defined = not (np.isnan(values_a).all() or np.isnan(values_b).all())
        differences[name] = compare_paired(values_a, values_b, pids, seed=seed) if is_defined else None
    return Versus(name=other.name, **differences)

"""Several datasets, random splits or seeds on one page: a row for each, with a link to its own report."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from omnireid.core.errors import InputError
from omnireid.core.record import Interval, MeansRecord, ResultRecord
from omnireid.evaluation.metrics import labels_of
from omnireid.report.template import render_page, write_page
from omnireid.report.wording import (
    dataset_titles,
    mean_precision_interval,
    percent,
    protocol_sentence,
    protocol_terms,
    repetitions,
    spread,
)


def write_overview(
    path: str | os.PathLike[str],
    results: Sequence[tuple[ResultRecord, str | os.PathLike[str]]],
    summaries: Sequence[MeansRecord] = (),
) -> None:
    """Write one self-contained HTML page with the numbers of each dataset, atomically.

    There is no mean over datasets: they differ in size and difficulty. Random splits and seeds have theirs.

    Args:
        path: the page.
        results: each record with the file of its report, which the page links to by relative path.
        summaries: means over random splits or seeds, from `summarise`.

    Raises:
        InputError: no result.
        StorageError: the file cannot be written.
    """
    if not results:
        raise InputError("results: expected at least one to write an overview of")
    folder = Path(path).absolute().parent
    records = [record for record, _ in results]
    labels = labels_of(record.protocol.name for record in records)
    intervals = [mean_precision_interval(record) for record in records]
    page = {
        "title": f"{_listed(record.model.name for record in records)} on "
        f"{_listed(record.dataset.name for record in records)}",
        "environment": records[-1].environment,
        "labels": [*labels.values()],
        "level": next((f"{100 * interval.level:g} %" for interval in intervals if interval is not None), ""),
        "rows": [
            _row(record, title, interval, Path(os.path.relpath(Path(report).absolute(), folder)), labels)
            for (record, report), title, interval in zip(
                results, dataset_titles(records), intervals, strict=True
            )
        ],
        "sentences": [protocol_sentence(record) for record in records],
        "means": [
            (
                f"{summary.dataset}, {repetitions(summary)}",
                [spread(summary.metrics[name]) if name in summary.metrics else "–" for name in labels],
                protocol_terms(summary.protocol),
            )
            for summary in summaries
            if summary.protocol is not None
        ],
    }
    write_page(path, render_page("overview.html.j2", page))


def _row(
    record: ResultRecord, title: str, interval: Interval | None, report: Path, labels: Iterable[str]
) -> dict[str, Any]:
    protocol = record.protocol
    return {
        "name": title,
        "report": quote(report.as_posix().encode("utf-8", "surrogateescape")),
        "sizes": [f"{protocol.num_valid_queries:,}", f"{protocol.num_gallery:,}"],
        "metrics": [percent(record.metrics.get(name)) for name in labels],
        "interval": "–" if interval is None else f"{percent(interval.low)} to {percent(interval.high)}",
    }


def _listed(names: Any) -> str:
    return ", ".join(dict.fromkeys(names))

"""Result records side by side, for the terminal and for documents. Percentages."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from omnireid.core.errors import InputError
from omnireid.core.record import MeansRecord, ResultRecord
from omnireid.evaluation.metrics import labels_of
from omnireid.report.wording import (
    bare_table,
    dataset_title,
    dataset_titles,
    percent,
    protocol_terms,
    repetitions,
    spread,
    valid_queries,
)


def table_rows(
    records: Sequence[ResultRecord], *, names: Sequence[str] | None = None
) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Header and rows: model, dataset, the metrics of tables in percent, protocol.

    Args:
        records: one row each, in this order.
        names: what to call the rows, instead of the models' names.

    Raises:
        InputError: names and records differ in number.
    """
    if names is not None and len(names) != len(records):
        raise InputError(f"names: expected {len(records)}, one for each record, got {len(names)}")
    # Names of the rows tell two datasets of one name apart already.
    titles = dataset_titles(records) if names is None else [dataset_title(each.dataset) for each in records]
    shown = labels_of((record.protocol.name for record in records), in_tables=True)
    rows = []
    for index, record in enumerate(records):
        values = (percent(record.metrics.get(metric)) for metric in shown)
        name = record.model.name if names is None else names[index]
        rows.append((name, titles[index], *values, protocol_terms(record.protocol)))
    return ("model", "dataset", *shown.values(), "protocol"), rows


def rich_table(records: Sequence[ResultRecord], *, names: Sequence[str] | None = None) -> Table:
    """For `rich.console.Console.print`. Protocols stand below the table, with a letter where they differ."""
    header, rows = table_rows(records, names=names)
    protocols = list(dict.fromkeys(row[-1] for row in rows))
    if len(protocols) == 1:
        header, rows = header[:-1], [row[:-1] for row in rows]
        caption = f"percent; {protocols[0]}; {valid_queries(records)}"
    else:
        letter = {protocol: _letter(index) for index, protocol in enumerate(protocols)}
        rows = [(*row[:-1], letter[row[-1]]) for row in rows]
        shown = (f"{letter[protocol]}: {protocol}" for protocol in protocols)
        caption = "\n".join(["percent", *shown, valid_queries(records)])
    return bare_table(header, rows, words=("model", "dataset", "protocol"), caption=caption)


def _letter(index: int) -> str:
    return chr(ord("a") + index) if index < 26 else str(index + 1)


def rich_means(summary: MeansRecord) -> Table:
    """Mean ± deviation over the random splits of a dataset, or over seeds."""
    if summary.protocol is None:
        return _rich_training_means(summary)
    origins = " / ".join(dict.fromkeys(partition.origin for partition in summary.partitions))
    named = labels_of([summary.protocol.name]).items()
    shown = {label: summary.metrics[name] for name, label in named if name in summary.metrics}
    return bare_table(
        shown,
        [map(spread, shown.values())],
        title=_title(summary) + (f" ({origins})" if origins else ""),
        caption=f"percent; {protocol_terms(summary.protocol)}",
    )


def _rich_training_means(summary: MeansRecord) -> Table:
    """What training measured: a row for each metric, as the history has it (fractions, not percent)."""
    rows = [
        (name, f"{values.mean:.4f}" + ("" if values.deviation is None else f" ± {values.deviation:.4f}"))
        for name, values in summary.metrics.items()
    ]
    caption = "as in history.jsonl, last measured"
    header = ("metric", "mean ± deviation")
    return bare_table(header, rows, words=("metric",), title=_title(summary), caption=caption)


def _title(summary: MeansRecord) -> str:
    return f"{summary.dataset}: mean ± deviation of {repetitions(summary)}"

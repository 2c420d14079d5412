"""Several results as a plot, and paired comparisons as a table."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from omnireid.core.errors import InputError, MissingExtraError
from omnireid.core.files import atomic_write
from omnireid.core.record import ResultRecord
from omnireid.evaluation.bootstrap import PairedComparison
from omnireid.report.wording import bare_table, dataset_title, mean_precision_interval, protocol_terms

PLOT_SUFFIXES = (".png", ".svg", ".pdf")
# Okabe and Ito's colours, which people who see fewer colours tell apart too.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")


def rich_versus(base: str, rows: Sequence[tuple[str, str, PairedComparison | None]]) -> Table:
    """Differences to the first result with interval and p-value.

    Args:
        base: name of the first result.
        rows: (name, metric, comparison); None where it could not be made.
    """
    shown = []
    for name, metric, comparison in rows:
        values = ("–", "–", "–")
        if comparison is not None:
            difference = comparison.difference
            values = (
                f"{100 * difference.value:+.2f}",
                f"{100 * difference.low:+.2f} to {100 * difference.high:+.2f}",
                f"{comparison.p_value:.4f}",
            )
        shown.append((name, metric, *values))
    return bare_table(
        ("result", "metric", "difference", "95 % interval", "p"),
        shown,
        words=("result", "metric"),
        title=f"against {base}, on the same queries",
        caption="points; interval and p-value by resampling identities: how often chance alone differs as "
        "much",
    )


def plot_results(path: str | os.PathLike[str], records: Sequence[ResultRecord], names: Sequence[str]) -> None:
    """CMC curves, and mAP with its interval where the record has one, as PNG, SVG or PDF.

    Raises:
        InputError: another kind of file.
        MissingExtraError: the extra "report" is not installed.
        StorageError: the file cannot be written.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in PLOT_SUFFIXES:
        raise InputError(f"{path}: a plot is one of {', '.join(PLOT_SUFFIXES)}")
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("a plot", "report") from error

    figure = Figure(figsize=(9.6, 3.2 + 0.22 * len(records)), layout="constrained")
    cmc, bars = figure.subplots(1, 2, width_ratios=(3, 2))
    for index, (record, name) in enumerate(zip(records, names, strict=True)):
        colour = _COLOURS[index % len(_COLOURS)]
        style = ("-", "--", ":")[index // len(_COLOURS) % 3]
        ranks = range(1, len(record.cmc) + 1)
        cmc.plot(ranks, [100 * share for share in record.cmc], style, color=colour, label=name)
        value = record.metrics.get("mAP")
        if value is None:
            continue
        interval = mean_precision_interval(record)
        errors = None
        if interval is not None:
            errors = [[100 * (value - interval.low)], [100 * (interval.high - value)]]
        bars.barh(index, 100 * value, color=colour, xerr=errors, ecolor="#444444", capsize=3)
    cmc.set(xlabel="rank k", ylabel="% of valid queries with a match", title=_title(records))
    cmc.grid(alpha=0.3)
    cmc.legend(fontsize=8)
    bars.set(xlabel="mAP, % (bar: 95 % interval)", yticks=range(len(names)), ylim=(len(names) - 0.4, -0.6))
    bars.set_yticklabels(names, fontsize=8)
    with atomic_write(path) as stream:
        figure.savefig(stream, format=suffix[1:], dpi=150)


def _title(records: Sequence[ResultRecord]) -> str:
    titles = {f"{dataset_title(record.dataset)}: {protocol_terms(record.protocol)}" for record in records}
    return titles.pop() if len(titles) == 1 else "different protocols"

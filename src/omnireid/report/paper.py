"""Results as tables for a paper: Markdown, LaTeX (booktabs) and CSV.

Markdown and LaTeX print percent with one decimal, as the field's tables do, the best of a column in bold:
best among rows of one dataset and one protocol, and shared where the printed numbers are the same. CSV holds
fractions in full precision, with every field of the protocol.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from omnireid.core.display import short_repr
from omnireid.core.errors import InputError
from omnireid.core.files import csv_text
from omnireid.core.record import MeansRecord, ProtocolRecord, ResultRecord, SpreadRecord
from omnireid.evaluation.metrics import METRICS, labels
from omnireid.report.options import TABLE_FORMATS, TableFormat
from omnireid.report.wording import dataset_title, mean_precision_interval, protocol_terms, repetitions

_PROTOCOL_FIELDS = tuple(ProtocolRecord.model_fields)
_MARKDOWN = str.maketrans({character: f"\\{character}" for character in "\\|*`<["})
# Between letters it means nothing to Markdown.
_EMPHASIS = re.compile(r"(?<![^\W_])_|_(?![^\W_])")
_LATEX = str.maketrans(
    {
        **{character: f"\\{character}" for character in "&%$#_{}"},
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        '"': "''",
        "–": "--",
        "±": r"$\pm$",
        "−": "$-$",
        "×": r"$\times$",
        "λ": r"$\lambda$",
    }
)


@dataclass(frozen=True)
class PaperRow:
    """One row: a result, or the mean of several seeds or random splits.

    Attributes:
        name: name of the row.
        record: where the numbers are from.
    """

    name: str
    record: ResultRecord | MeansRecord

    __repr__ = short_repr

    @property
    def dataset(self) -> str:
        """Name of the dataset, and its split where it has several; of a mean, over what it is."""
        if isinstance(self.record, MeansRecord):
            return f"{self.record.dataset}, {repetitions(self.record)}"
        return dataset_title(self.record.dataset)

    @property
    def protocol(self) -> ProtocolRecord:
        """How it was measured."""
        assert self.record.protocol is not None
        return self.record.protocol

    @property
    def kind(self) -> tuple[str, str]:
        """Dataset and protocol: rows of one kind compare."""
        name = self.record.dataset if isinstance(self.record, MeansRecord) else self.record.dataset.name
        return name, protocol_terms(self.protocol)

    def metric(self, field: str) -> SpreadRecord | None:
        """A metric with its values; None where the protocol does not define it."""
        if isinstance(self.record, MeansRecord):
            return self.record.metrics.get(field)
        value = self.record.metrics.get(field)
        return None if value is None else SpreadRecord.of([value])


def paper_table(rows: Sequence[PaperRow], table_format: TableFormat) -> str:
    """The rows as text that ends with a newline.

    Raises:
        InputError: no row, another format, or a mean of trainings, which were not evaluated.
    """
    if table_format not in TABLE_FORMATS:
        raise InputError(f"format: expected one of {', '.join(TABLE_FORMATS)}, got {table_format!r}")
    if not rows:
        raise InputError("rows: expected at least one")
    for row in rows:
        if row.record.protocol is None:
            raise InputError(f"{row.name}: holds what training measured, not an evaluation")
    write = {"md": _markdown, "latex": _latex, "csv": _csv}[table_format]
    return write(rows)


def _markdown(rows: Sequence[PaperRow]) -> str:
    header, cells, numbers = _cells(rows, _markdown_text, lambda text: f"**{text}**", "–", "±")
    rule = ["---:" if column in numbers else "---" for column in range(len(header))]
    lines = ["| " + " | ".join(line) + " |" for line in (header, rule, *cells)]
    return "\n".join([*lines, "", _markdown_text(_caption(rows))]) + "\n"


def _latex(rows: Sequence[PaperRow]) -> str:
    header, cells, numbers = _cells(rows, _latex_text, lambda text: rf"\textbf{{{text}}}", "--", r"$\pm$")
    columns = "".join("r" if column in numbers else "l" for column in range(len(header)))
    lines = [
        r"% \usepackage{booktabs}",
        r"\begin{table}",
        r"  \centering",
        rf"  \caption{{{_latex_text(_caption(rows))}}}",
        rf"  \begin{{tabular}}{{{columns}}}",
        r"    \toprule",
        rf"    {' & '.join(header)} \\",
        r"    \midrule",
        *(rf"    {' & '.join(line)} \\" for line in cells),
        r"    \bottomrule",
        r"  \end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _csv(rows: Sequence[PaperRow]) -> str:
    fields = [*METRICS]
    columns = ["name", "dataset", "model", *fields, *(f"{field}_deviation" for field in fields)]
    columns += ["repetitions", "seeds", "splits", "mAP_low", "mAP_high"]
    columns += [f"protocol_{field}" for field in _PROTOCOL_FIELDS]
    columns += ["model_sha256", "omnireid", "commit"]
    cells = []
    for row in rows:
        record, metrics = row.record, [row.metric(field) for field in fields]
        if isinstance(record, MeansRecord):
            model, dataset, sha256 = record.model, record.dataset, None
        else:
            model, dataset, sha256 = record.model.name, record.dataset.name, record.model.sha256
        cells.append(
            [row.name, dataset, model]
            + [None if metric is None else metric.mean for metric in metrics]
            + [None if metric is None else metric.deviation for metric in metrics]
            + [
                max(len(metric.values) for metric in metrics if metric is not None),
                _seeds(record),
                _splits(record),
            ]
            + _interval(record)
            + [getattr(row.protocol, field) for field in _PROTOCOL_FIELDS]
            + [sha256 or "", record.environment.omnireid, record.environment.commit or ""]
        )
    return csv_text(columns, cells)


def _cells(
    rows: Sequence[PaperRow],
    escape: Callable[[str], str],
    bold: Callable[[str], str],
    missing: str,
    plus_minus: str,
) -> tuple[list[str], list[list[str]], set[int]]:
    """Header, rows, and which columns hold numbers. What no row has, or all have alike, is left out."""
    names = labels(in_tables=True)
    shown = [(field, label) for field, label in names.items() if any(row.metric(field) for row in rows)]
    protocols = list(dict.fromkeys(row.kind[1] for row in rows))
    header = [
        "result",
        "dataset",
        *(label for _, label in shown),
        *(["protocol"] if len(protocols) > 1 else []),
    ]
    best = {
        (row.kind, field): _best(field, [other.metric(field) for other in rows if other.kind == row.kind])
        for row in rows
        for field, _ in shown
    }
    alone = {kind for kind in (row.kind for row in rows) if [row.kind for row in rows].count(kind) == 1}
    lines = []
    for row in rows:
        line = [escape(row.name), escape(row.dataset)]
        for field, _ in shown:
            metric = row.metric(field)
            if metric is None:
                line.append(missing)
                continue
            number = f"{100 * metric.mean:.1f}"
            if row.kind not in alone and _printed(metric) == best[row.kind, field]:
                number = bold(number)
            if metric.deviation is not None:
                number = f"{number} {plus_minus} {100 * metric.deviation:.1f}"
            line.append(number)
        if len(protocols) > 1:
            line.append(escape(row.kind[1]))
        lines.append(line)
    return [escape(title) for title in header], lines, set(range(2, 2 + len(shown)))


def _printed(metric: SpreadRecord) -> float:
    """As it will be read, so that what looks the same is the same."""
    return round(100 * metric.mean, 1)


def _best(field: str, values: Sequence[SpreadRecord | None]) -> float | None:
    printed = [_printed(value) for value in values if value is not None]
    return (max if METRICS[field].higher_is_better else min)(printed, default=None)


def _caption(rows: Sequence[PaperRow]) -> str:
    protocols = list(dict.fromkeys(row.kind[1] for row in rows))
    kinds = {row.kind for row in rows}
    parts = ["Percent"]
    if len(protocols) == 1:
        parts.append(protocols[0])
    if len(rows) > 1:
        parts.append("best in bold" + (" for each dataset and protocol" if len(kinds) > 1 else ""))
    over = {
        "seeds" if row.record.seeds else "random splits"
        for row in rows
        if isinstance(row.record, MeansRecord)
    }
    if over:
        parts.append(f"± is the standard deviation over {' or '.join(sorted(over))}")
    return "; ".join(parts) + "."


def _seeds(record: ResultRecord | MeansRecord) -> str:
    return " ".join(map(str, record.seeds)) if isinstance(record, MeansRecord) else str(record.seed)


def _splits(record: ResultRecord | MeansRecord) -> str:
    if isinstance(record, MeansRecord):
        return " ".join(str(partition.index) for partition in record.partitions)
    return "" if record.dataset.partition is None else str(record.dataset.partition.index)


def _interval(record: ResultRecord | MeansRecord) -> list[str]:
    """Bounds of mAP, where they were measured."""
    interval = None if isinstance(record, MeansRecord) else mean_precision_interval(record)
    return ["", ""] if interval is None else [repr(interval.low), repr(interval.high)]


def _markdown_text(text: str) -> str:
    return " ".join(_EMPHASIS.sub(r"\\_", text.translate(_MARKDOWN)).split())


def _latex_text(text: str) -> str:
    return " ".join(text.translate(_LATEX).split())

"""Attributes of people as one HTML file: how well each is told."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from omnireid.core.files import csv_text
from omnireid.core.record import ResultRecord
from omnireid.evaluation.attributes import ATTRIBUTE_METRICS, AttributeScores
from omnireid.report.page import short_commit, training_section
from omnireid.report.template import render_page, write_page
from omnireid.report.wording import percent, protocol_sentence

COLUMNS = ("attribute", "mean_accuracy", "share", "share_said")

Row = tuple[str, float | None, float, float]


def attribute_rows(names: Sequence[str], scores: AttributeScores) -> list[Row]:
    """Name, mean accuracy, share of the pictures that have it and of which it is said; the hardest first.

    Args:
        names: A names.
    """
    accuracies = [None if np.isnan(value) else float(value) for value in scores.accuracies]
    said = scores.said.mean(axis=0).tolist()
    rows = list(zip(names, accuracies, scores.shares.tolist(), said, strict=True))
    return sorted(rows, key=lambda row: 2.0 if row[1] is None else row[1])


def attribute_table(rows: Sequence[Row]) -> str:
    """All of them as CSV in full precision; a cell of what is not defined is empty."""
    return csv_text(COLUMNS, rows)


def write_attribute_report(path: str | os.PathLike[str], record: ResultRecord, rows: Sequence[Row]) -> None:
    """Write the report as one self-contained HTML file, atomically.

    Args:
        rows: of `attribute_rows`.

    Raises:
        StorageError: the file cannot be written.
    """
    page = {
        "title": f"{record.model.name} on {record.dataset.name}",
        "record": record,
        "environment": record.environment,
        "commit": short_commit(record.environment.commit),
        "sentence": protocol_sentence(record),
        "metrics": [
            (label, percent(record.metrics.get(name))) for name, (label, _) in ATTRIBUTE_METRICS.items()
        ],
        "rows": [(name, *map(percent, values)) for name, *values in rows],
        "training": None if record.training is None else training_section(record.training),
        "unreadable": {},
    }
    write_page(path, render_page("attributes.html.j2", page))

"""The corruption benchmark as tables: four conditions, a heat map per corruption, published rows."""

from __future__ import annotations

from typing import Any

from rich.console import Group
from rich.style import Style
from rich.table import Table
from rich.text import Text

from omnireid.core.record import CorruptionCell, RobustnessRecord
from omnireid.evaluation.metrics import labels
from omnireid.report.wording import bare_table, percent, spread
from omnireid.robustness.published import PUBLISHED
from omnireid.robustness.suite import CATEGORIES, SEVERITIES

# Those that the benchmarks publish, in their order.
PUBLISHED_METRICS = ("mINP", "mAP", "rank1")
CONDITIONS = {
    "clean": "clean",
    "both": "query and gallery corrupted",
    "query": "query corrupted",
    "gallery": "gallery corrupted",
}
# Ends of the heat map in a terminal: nothing is left, everything is kept.
_LOST, _KEPT = (130, 30, 45), (25, 115, 70)


def robustness_sentence(record: RobustnessRecord) -> str:
    """What the figures depend on besides the protocol of the clean evaluation."""
    rounds = f"mean ± deviation of {record.rounds} rounds" if record.rounds > 1 else "one round"
    return f"{record.benchmark}: 20 corruptions, 5 severities, drawn with seed {record.seed}; {rounds}"


def condition_rows(record: RobustnessRecord) -> list[tuple[str, ...]]:
    """Four rows: condition, mINP, mAP, rank-1."""
    return [
        (label, *(spread(record.conditions[name].get(metric)) for metric in PUBLISHED_METRICS))
        for name, label in CONDITIONS.items()
    ]


def heat_rows(record: RobustnessRecord, metric: str) -> list[dict[str, Any]]:
    """One row per corruption: category, name, and per severity the value and the share of clean left."""
    clean = record.conditions["clean"].get(metric).mean
    by_name: dict[str, list[CorruptionCell]] = {}
    for cell in record.cells:
        by_name.setdefault(cell.corruption, []).append(cell)
    rows = []
    for name, cells in by_name.items():
        values = [cell.get(metric) for cell in sorted(cells, key=lambda cell: cell.severity)]
        values.append(sum(values) / len(values))
        kept = [min(1.0, value / clean) if clean else 0.0 for value in values]
        rows.append(
            {
                "category": CATEGORIES[name],
                "name": name,
                "cells": [
                    {"value": percent(value), "kept": round(share, 3)}
                    for value, share in zip(values, kept, strict=True)
                ],
            }
        )
    return rows


def published_rows(benchmark: str) -> list[tuple[str, ...]]:
    """Method, then mINP, mAP and rank-1 clean, then corrupted."""
    return [
        (row.method, *(f"{100 * value:.2f}" for scores in (row.clean, row.corrupted) for value in scores))
        for row in PUBLISHED[benchmark]
    ]


def comparable(record: RobustnessRecord) -> bool:
    """Whether there are published rows of the same benchmark."""
    return record.benchmark in PUBLISHED


def rich_robustness(record: RobustnessRecord) -> Group:
    """For `rich.console.Console.print`: the four conditions and, where measured, the heat map of mAP."""
    conditions = bare_table(
        ("condition", *(labels()[metric] for metric in PUBLISHED_METRICS)),
        condition_rows(record),
        words=("condition",),
        caption=f"percent; {robustness_sentence(record)}",
    )
    return Group(conditions, *([_rich_heat_map(record)] if record.cells else []))


def _rich_heat_map(record: RobustnessRecord) -> Table:
    table = Table(
        title=Text("mAP by corruption and severity (query corrupted, gallery clean)"),
        title_justify="left",
        caption=Text("percent; colour: share of the clean mAP that is left"),
        caption_justify="left",
        box=None,
        padding=(0, 1, 0, 0),
    )
    for label in ("", "corruption"):
        table.add_column(label, no_wrap=True)
    for label in (*map(str, SEVERITIES), "mean"):
        table.add_column(label, justify="right", no_wrap=True)
    category = ""
    for row in heat_rows(record, "mAP"):
        shown = row["category"] if row["category"] != category else ""
        category = row["category"]
        cells = (Text(f" {cell['value']:>5} ", style=_shade(cell["kept"])) for cell in row["cells"])
        table.add_row(shown, row["name"], *cells)
    return table


def _shade(kept: float) -> Style:
    red, green, blue = (round(lost + (full - lost) * kept) for lost, full in zip(_LOST, _KEPT, strict=True))
    return Style(color="white", bgcolor=f"rgb({red},{green},{blue})")

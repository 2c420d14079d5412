"""What stands behind the headline, as rows and figures: intervals, cameras, crop heights, open set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup
from rich.table import Table
from rich.text import Text

from omnireid.core.cameras import camera_name
from omnireid.core.record import AnalysisRecord, GroupScore, Interval, OpenSetRecord
from omnireid.evaluation.metrics import labels
from omnireid.report.figures import Series, rate_chart
from omnireid.report.wording import percent, spread


def interval_text(interval: Interval | None) -> str:
    """ "91.5 (88.9 to 93.9)", in percent; an en dash where there is none."""
    if interval is None:
        return "–"
    return f"{percent(interval.value)} ({percent(interval.low)} to {percent(interval.high)})"


def interval_rows(record: AnalysisRecord) -> list[tuple[str, str]]:
    """Metric and its interval."""
    if record.intervals is None:
        return []
    names = labels(of_queries=True)
    return [(label, interval_text(record.intervals.get(metric))) for metric, label in names.items()]


def group_rows(groups: tuple[GroupScore, ...]) -> list[tuple[str, ...]]:
    """Group, valid queries, and the metrics that are means over queries."""
    return [
        (
            group.group,
            f"{group.num_valid_queries:,}",
            *(percent(group.get(metric)) for metric in labels(of_queries=True)),
        )
        for group in groups
    ]


def camera_matrix(
    record: AnalysisRecord, metric: str, names: Mapping[int, str] | None = None
) -> dict[str, Any] | None:
    """Query cameras as rows, gallery cameras as columns; None where there are fewer than two pairs.

    Args:
        names: names of cameras that have one.
    """
    pairs = {(pair.q_camid, pair.g_camid): pair.score for pair in record.camera_pairs}
    if len(pairs) < 2:
        return None
    cameras = sorted({camid for pair in pairs for camid in pair})
    rows = []
    for q_camid in cameras:
        cells = []
        for g_camid in cameras:
            score = pairs.get((q_camid, g_camid))
            value = None if score is None else score.get(metric)
            cells.append({"value": percent(value), "kept": 0.0 if value is None else round(value, 3)})
        rows.append({"camera": camera_name(q_camid, names) or "?", "cells": cells})
    return {"cameras": [camera_name(camid, names) or "?" for camid in cameras], "rows": rows}


def open_set_rows(record: OpenSetRecord) -> list[tuple[str, str, str]]:
    """FPIR, DIR and threshold on the distance; "not measurable" where searches are too few."""
    rows = []
    for point in record.points:
        if point.tpir is None or point.threshold is None:
            needed = f"not measurable: needs {1 / point.fpir:,.0f} searches for nobody"
            rows.append((f"{100 * point.fpir:g} %", needed, "–"))
        else:
            rows.append((f"{100 * point.fpir:g} %", spread(point.tpir), f"{point.threshold.mean:.4g}"))
    return rows


def open_set_sentence(record: OpenSetRecord) -> str:
    """How the curve was made."""
    searches = (
        f"on average {record.mate_searches:,.0f} searches for somebody on it and "
        f"{record.non_mate_searches:,.0f} for somebody who is not"
    )
    return (
        f"Watch list of {100 * record.known_share:g} % of the identities, drawn {len(record.eer.values)} "
        f"times (seed {record.seed}): {searches}; {record.distance} distance, "
        f"{'L2-normalised' if record.normalised else 'not normalised'}. "
        f"Equal error rate {spread(record.eer)} %."
    )


def open_set_charts(record: OpenSetRecord) -> tuple[Markup, Markup]:
    """ROC (DIR over FPIR) and DET (FNIR over FPIR)."""
    roc = Series("DIR", record.curve)
    det = Series("FNIR", [(fpir, 1 - tpir) for fpir, tpir in record.curve])
    return (
        rate_chart([roc], title="ROC: DIR over FPIR", x_label="FPIR, %", y_label="DIR, %"),
        rate_chart([det], title="DET: FNIR over FPIR", x_label="FPIR, %", y_label="FNIR, %"),
    )


def rich_analysis(record: AnalysisRecord) -> Table:
    """For the terminal: intervals and open-set operating points, or why there are none."""
    table = Table(box=None, pad_edge=False, caption_justify="left")
    for label in ("what", "value"):
        table.add_column(label, no_wrap=label == "value", overflow="fold")
    if record.intervals is not None:
        level = f"{100 * record.intervals.level:g} % interval"
        for label, text in interval_rows(record):
            table.add_row(
                Text(f"{label}, {level} over {record.intervals.num_identities:,} people"), Text(text)
            )
    if record.open_set is not None:
        for fpir, tpir, threshold in open_set_rows(record.open_set):
            shown = tpir if threshold == "–" else f"{tpir} (threshold {threshold})"
            table.add_row(Text(f"open set: DIR at FPIR {fpir}"), Text(shown))
        table.add_row(Text("open set: equal error rate"), Text(spread(record.open_set.eer)))
    for reason in record.omitted:
        what, _, why = reason.partition(": ")
        if what in ("intervals", "open set"):
            table.add_row(Text(what), Text(f"not measured: {why.removeprefix('open-set metrics: ')}"))
    table.caption = Text("percent")
    return table

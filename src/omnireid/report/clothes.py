"""What clothes are worth to a model, as a table and a sentence."""

from __future__ import annotations

from rich.console import Group
from rich.table import Table
from rich.text import Text

from omnireid.core.record import Interval
from omnireid.evaluation.clothes import ClothesRecord

_SEARCHES = {
    "ordinary": "the same clothes",
    "changed": "the person changed clothes",
    "uniform": "the same clothes, and somebody else wears them too",
}


def clothes_sentence(record: ClothesRecord) -> str:
    """The one figure, with its interval and what it is of."""
    share = record.clothes_share
    return (
        f"{_percent(share)} of what makes a person's pictures more alike than strangers' is clothes "
        f"({record.num_groups} groups of two rendered people, {record.num_pictures:,} pictures by "
        f"{record.num_cameras} cameras)"
    )


def rich_clothes(record: ClothesRecord) -> Group:
    """The three searches as a table, and the figure below it."""
    table = Table(box=None, pad_edge=False)
    for name in ("searched for by", "rank-1", "mAP", "AUC"):
        table.add_column(name, justify="left" if name == "searched for by" else "right")
    for kind, label in _SEARCHES.items():
        search = record.searches[kind]  # type: ignore[index]  # the names of the record
        table.add_row(label, *(_percent(value) for value in (search.rank1, search.mAP, search.auc)))
    return Group(table, Text(clothes_sentence(record)))


def _percent(interval: Interval) -> str:
    return f"{100 * interval.value:.1f} % ({100 * interval.low:.1f} to {100 * interval.high:.1f})"

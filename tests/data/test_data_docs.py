"""The documentation names every dataset, and its figures are those of the cards."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from omnireid.data.datasets import dataset_card, list_datasets

DOCS = Path(__file__).resolve().parents[2] / "docs"
BENCHMARKS = [name for name in list_datasets() if dataset_card(name).counts]


def test_every_dataset_is_documented() -> None:
    text = (DOCS / "datasets.md").read_text() + (DOCS / "data.md").read_text()
    assert [name for name in list_datasets() if f"`{name}`" not in text] == []
    assert len(BENCHMARKS) == 29


ROWS = {
    name: row
    for row in (DOCS / "datasets.md").read_text().splitlines()
    if row.startswith("|") and "the same" not in row
    for name in re.findall(r"`([a-z0-9-]+)`", row.split("|")[1])
}


@pytest.mark.parametrize("name", [name for name in BENCHMARKS if name in ROWS])
def test_figures_of_a_benchmark_are_those_of_its_card(name: str) -> None:
    figures = {int(figure.replace(",", "")) for figure in re.findall(r"[0-9][0-9,]*", ROWS[name])}
    for split in ("query", "gallery"):
        counts = dataset_card(name).counts.get(split)
        if counts is not None:
            stated = [counts.pids, counts.tracklets or counts.images]
            assert {number for number in stated if number is not None} <= figures


def test_the_tables_were_found() -> None:
    assert len(ROWS) >= 20

"""The pages about responsible use: their numbers are those that were measured, their commands exist."""

from __future__ import annotations

import json
import re

import typer

from documentation import DOCS, page
from omnireid.cli.app import app

PAGES = "".join(
    page(f"explanation/{name}.md") for name in ("responsible-use", "law", "erasure", "errors", "watching")
)


def test_the_table_of_bad_crops_is_the_measured_one() -> None:
    measured = json.loads((DOCS.parent / "benchmarks" / "results" / "crop_quality.json").read_text())[
        "queries"
    ]
    for query, row in measured.items():
        cells = [f"{100 * row[name]:.1f} %" for name in ("rank1", "misses", "false_alarms")]
        assert f"| {query} | {' | '.join(cells)} |" in PAGES


def test_their_commands_exist() -> None:
    gallery = typer.main.get_command(app).commands["gallery"]  # type: ignore[attr-defined]
    named = re.findall(r"omnireid gallery ([a-z]+)", PAGES)
    assert {"forget", "forgotten", "retention", "audit"} <= set(named) <= set(gallery.commands)

"""docs/responsible-use.md: its numbers are those that were measured, its links and commands exist."""

from __future__ import annotations

import json
import re
from pathlib import Path

import typer

from omnireid.cli.app import app

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "responsible-use.md").read_text()


def test_the_table_of_bad_crops_is_the_measured_one() -> None:
    measured = json.loads((ROOT / "benchmarks" / "results" / "crop_quality.json").read_text())["queries"]
    for query, row in measured.items():
        cells = [f"{100 * row[name]:.1f} %" for name in ("rank1", "misses", "false_alarms")]
        assert f"| {query} | {' | '.join(cells)} |" in PAGE


def test_links_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)", PAGE)
    assert links
    for link in links:
        assert (ROOT / "docs" / link).is_file(), link


def test_its_commands_exist() -> None:
    gallery = typer.main.get_command(app).commands["gallery"]  # type: ignore[attr-defined]
    named = re.findall(r"omnireid gallery ([a-z]+)", PAGE)
    assert {"forget", "forgotten", "retention", "audit"} <= set(named) <= set(gallery.commands)

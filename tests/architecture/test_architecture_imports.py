"""The import directions of the design: each part imports only parts above it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import omnireid

# From top to bottom, as the design's table of parts. A part may import those before it.
PARTS = (
    "core",
    "models",
    "data",
    "synthetic",
    "losses",
    "evaluation",
    "inference",
    "robustness",
    "report",
    "training",
    "gallery",
    "experiment",
    "video",
    "server",
    "cli",
)
SOURCE = Path(omnireid.__file__).parent
MODULES = sorted(SOURCE.rglob("*.py"))


def imported_parts(source: str) -> set[str]:
    """Parts of omnireid that a module imports, at its top or inside functions."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module == "omnireid":
            names.update(f"omnireid.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide which part is meant"
            names.add(node.module or "")
    return {name.split(".")[1] for name in names if name.startswith("omnireid.")} & set(PARTS)


def violations(part: str, source: str) -> set[str]:
    if part == "__init__.py":  # the front door, which imports nothing before it is asked
        return imported_parts(source) & {"cli"}
    if part not in PARTS:  # `python -m omnireid`
        return imported_parts(source) - {"cli"}
    allowed = set(PARTS[: PARTS.index(part) + 1]) - ({"server"} if part != "cli" else set())
    return imported_parts(source) - allowed - {part}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_part_imports_only_parts_above_it(path: Path) -> None:
    part = path.relative_to(SOURCE).parts[0]
    assert violations(part, path.read_text()) == set()


def test_the_check_sees_what_it_should() -> None:
    assert violations("core", "from omnireid.models import osnet") == {"models"}
    assert violations("data", "def f():\n    import omnireid.training.loop") == {"training"}
    assert violations("gallery", "from omnireid import cli") == {"cli"}
    assert violations("training", "from omnireid.core.types import Sample") == set()


def test_every_folder_is_a_known_part_and_there_is_no_utils() -> None:
    folders = {path.name for path in SOURCE.iterdir() if path.is_dir()} - {
        "__pycache__",
        "recipes",
        "weights",
    }
    assert folders <= set(PARTS)

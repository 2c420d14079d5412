"""The pages of docs/, their code blocks, and running them."""

from __future__ import annotations

import doctest
import re
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parents[1] / "docs"


def page(name: str) -> str:
    """The text of a page, by its path below docs/."""
    return (DOCS / name).read_text(encoding="utf-8")


def blocks(*names: str, language: str = "python") -> list[str]:
    """Code blocks of pages, in the order of reading."""
    text = "\n".join(page(name) for name in names)
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def run_examples(*names: str, known: dict[str, Any] | None = None, at_least: int, options: int = 0) -> None:
    """Run the `>>>` examples of pages that go on from each other, in one namespace.

    Args:
        known: Names that the pages take as given.
        at_least: How many examples there must be, so that a page that lost its own is noticed.
        options: Of doctest.
    """
    examples = doctest.DocTestParser().get_doctest("\n".join(blocks(*names)), known or {}, names[0], None, 0)
    assert len(examples.examples) >= at_least
    said: list[str] = []
    runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.REPORT_ONLY_FIRST_FAILURE | options)
    assert runner.run(examples, out=said.append).failed == 0, "".join(said)

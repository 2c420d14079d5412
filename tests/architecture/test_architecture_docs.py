"""Every page of the documentation has a place and is read in one sitting; links from outside hold.

Links and anchors within the pages are checked by `make docs`, which is strict.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from documentation import DOCS

ROOT = DOCS.parent
PAGES = sorted(str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md"))
MAX_WORDS = 1_500
ENTRANCES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "benchmarks/README.md")


def _places(nav: list[Any]) -> list[str]:
    places: list[str] = []
    for entry in nav:
        parts = entry.values() if isinstance(entry, dict) else [entry]
        for part in parts:
            places += _places(part) if isinstance(part, list) else [part]
    return places


def test_every_page_has_one_place() -> None:
    places = _places(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"])
    assert len(places) == len(set(places))
    # Decisions take their place by themselves.
    placed = [name for name in PAGES if not re.match(r"decisions/\d", name)]
    assert sorted(set(placed) - set(places)) == []


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_read_in_one_sitting(name: str) -> None:
    text = re.sub(r"^```.*?^```", "", (DOCS / name).read_text(), flags=re.MULTILINE | re.DOTALL)
    words = [word for line in text.splitlines() if not line.startswith("|") for word in line.split()]
    assert len(words) <= MAX_WORDS


@pytest.mark.parametrize("name", ENTRANCES)
def test_links_from_outside_lead_somewhere(name: str) -> None:
    path = ROOT / name
    text = path.read_text()
    links = re.findall(r"\]\(([^)#\s]+)", text) + re.findall(r'src="([^"]+)"', text)
    missing = [link for link in links if not link.startswith("http") and not (path.parent / link).exists()]
    assert missing == []


def test_pages_that_code_names_exist() -> None:
    named = {
        (source, page)
        for folder in ("src", "benchmarks", "tests", ".ci")
        for source in (ROOT / folder).rglob("*.*")
        if source.suffix in {".py", ".js", ".html", ".sh"}
        for page in re.findall(r"docs/[a-z0-9/_-]+\.md", source.read_text(encoding="utf-8"))
    }
    assert named
    assert [(source.name, page) for source, page in sorted(named) if not (ROOT / page).exists()] == []

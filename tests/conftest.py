"""Fixtures that many tests share. Those that need material beside the repository skip without it."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from command_line import Run, runner
from toy_people import write_toy_people

# The command line's console takes its width once, from whichever test comes first in its process.
os.environ["COLUMNS"] = "200"

SHARED = Path(__file__).resolve().parents[2] / "shared"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that have slow tests, then the largest: what comes last ends soon."""
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    tests = Counter(item.path for item in items)
    items.sort(key=lambda item: (-slow[item.path], -tests[item.path]))


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    if not SHARED.is_dir():
        pytest.skip("the folder 'shared' beside the repository is absent")
    return SHARED


@pytest.fixture(scope="session")
def golden_dir(shared_dir: Path) -> Path:
    folder = shared_dir / "golden"
    if not folder.is_dir():
        pytest.skip("shared/golden is absent: outputs of the reference implementation cannot be compared")
    return folder


@pytest.fixture(scope="session")
def real_dir(shared_dir: Path) -> Path:
    folder = shared_dir / "real"
    if not folder.is_dir():
        pytest.skip("shared/real is absent: real photographs and published weights cannot be checked")
    return folder


@pytest.fixture(scope="session")
def toy_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six people to train on, three to test on. Shared by tests: read only."""
    return write_toy_people(tmp_path_factory.mktemp("toy") / "people")


@pytest.fixture
def omnireid(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(monkeypatch, capsys)

"""The release's steps that need no registry; the command itself compares two builds byte by byte."""

from __future__ import annotations

import importlib.util
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
FILES = ("src/omnireid/__init__.py", "CITATION.cff", "deploy/kubernetes.yaml", "CHANGELOG.md")


def load(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def tool() -> Any:
    return load("release")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    changelog = tmp_path / "CHANGELOG.md"
    changelog.write_text(changelog.read_text().replace("[Unreleased]\n", "[Unreleased]\n\n- News.\n", 1))
    return tmp_path


def test_a_version_is_written_wherever_one_stands(tool: Any, tree: Path) -> None:
    assert {str(path.relative_to(tree)) for path in tool.stamp(tree, "9.8.7", "2031-02-03")} == set(FILES)
    for name in FILES:
        assert "9.8.7" in (tree / name).read_text(), name
    changelog = (tree / "CHANGELOG.md").read_text()
    assert "## [Unreleased]\n\n## [9.8.7] - 2031-02-03\n\n- News." in changelog
    # Nothing is new now.
    with pytest.raises(tool.ReleaseError, match="nothing stands under"):
        tool.stamp(tree, "9.8.8", "2031-02-04")


def test_what_is_no_version_is_refused_and_changes_nothing(tool: Any, tree: Path) -> None:
    with pytest.raises(tool.ReleaseError, match="expected a version like"):
        tool.stamp(tree, "v9", "2031-02-03")
    assert "v9" not in (tree / "CITATION.cff").read_text()


def test_builds_that_differ_are_named(tool: Any, tmp_path: Path) -> None:
    for folder, content in (("one", b"x"), ("other", b"y")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "same").write_bytes(b"same")
        (tmp_path / folder / "a.whl").write_bytes(content)
    (tmp_path / "other" / "more").touch()
    assert tool.differing(tmp_path / "one", tmp_path / "other") == ["a.whl", "more"]
    assert tool.differing(tmp_path / "one", tmp_path / "one") == []


def test_a_python_counts_that_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trial = load("try_archives")
    (tmp_path / "python3.11").symlink_to(sys.executable)
    # As pyenv leaves them.
    shim = tmp_path / "python3.12"
    shim.write_text("#!/bin/sh\nexit 127\n")
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert trial.found_pythons() == {"3.11": str(tmp_path / "python3.11")}
    with pytest.raises(trial.TrialError, match="no such word"):
        trial._do(sys.executable, "-c", "raise SystemExit('no such word')", cwd=tmp_path)


def test_the_pythons_tried_are_those_that_the_package_is_for() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    named = tuple(map(int, re.findall(r"Programming Language :: Python :: 3\.(\d+)", text)))
    assert named == load("try_archives").MINORS
    assert f'requires-python = ">=3.{named[0]},<3.{named[-1] + 1}"' in text

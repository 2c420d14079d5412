"""The release's steps that need no registry; the command itself compares two builds byte by byte."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
FILES = ("src/omnireid/__init__.py", "CITATION.cff", "deploy/kubernetes.yaml", "CHANGELOG.md")


@pytest.fixture(scope="module")
def tool() -> Any:
    spec = importlib.util.spec_from_file_location("release", ROOT / "tools" / "release.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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

"""The page on parts of one's own package: installed as it is written there, and used as it says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from documentation import DOCS
from installed_package import install_package
from toy_people import write_toy_people

pytest.importorskip("torch")

PAGE = (DOCS / "guides" / "extending" / "package.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[tuple[str, str]]:
    """(title, content) of each block of a language."""
    return re.findall(rf'^```{language}(?: title="([^"]*)")?\n(.*?)^```', PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.slow
def test_the_page_s_package_trains_exports_and_evaluates(tmp_path: Path) -> None:
    ((_, toml),) = blocks("toml")
    groups = re.findall(r'\[project\.entry-points\."([\w.]+)"\]\n(.*?)(?=\n\[|\Z)', toml, re.DOTALL)
    entry_points = {
        group: dict(re.findall(r'^([\w-]+) = "([\w.:]+)"$', entries, re.MULTILINE))
        for group, entries in groups
    }
    assert len(entry_points) == 5
    modules = {"my_parts/__init__.py": "", **dict(blocks("python"))}
    site = install_package(tmp_path / "site", "my_parts", modules, entry_points)

    people = write_toy_people(tmp_path / "market")
    names = {"bounding_box_train": "train", "query": "query", "bounding_box_test": "gallery"}
    for folder, split in names.items():
        for picture in (people / folder).iterdir():
            person, camera, number = re.fullmatch(r"(\d+)_c(\d)s1_(\d+)_00\.jpg", picture.name).groups()  # type: ignore[union-attr]
            target = tmp_path / "crops" / split / f"{int(person)}_{camera}_{number}.jpg"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(picture, target)
    ((_, recipe),) = blocks("yaml")
    (tmp_path / "my_recipe.yaml").write_text(recipe)

    (*_, (_, commands)) = blocks("bash")
    paths = os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    for command in commands.splitlines():
        words = [sys.executable, "-m", *command.split()]
        done = subprocess.run(
            words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600
        )
        assert done.returncode == 0, done.stderr
    assert "rank-1" in done.stdout.lower() or "mAP" in done.stdout
    assert '"pull_apart"' in (tmp_path / "run" / "history.jsonl").read_text()

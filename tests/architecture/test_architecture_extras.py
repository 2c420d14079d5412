"""The base install embeds without what `gallery` and `serve` bring; all else says which extra it needs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from omnireid.core.extras import EXTRAS

PROJECT = Path(__file__).parents[2] / "pyproject.toml"

RUN = """
import io, sys
from contextlib import redirect_stderr

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocked())
from omnireid.cli.app import main

def run(*arguments):
    sys.argv = ["omnireid", *arguments]
    try:
        main()
    except SystemExit as ended:
        return ended.code or 0

pictures = sys.argv[1]
assert run("embed", pictures, "--out", "crops.npz") == 0
assert run("embed", pictures, "--out", "crops.parquet") == 2
assert run("gallery", "enrol", pictures, "--gallery", "people") == 2
assert run("serve", "--gallery", "people") == 2
import omnireid
embeddings = omnireid.read_embeddings("crops.npz")
for use in ("Gallery", "read_embeddings('a.parquet')"):
    try:
        eval(f"omnireid.{use}")
    except omnireid.OmniReIDError as error:
        print(error, file=sys.stderr)
print(len(embeddings), *embeddings.vectors.shape)
"""


def test_a_folder_is_embedded_and_all_else_says_what_to_install(tmp_path: Path, toy_root: Path) -> None:
    code = f"BLOCKED = {sorted(EXTRAS)!r}\n{RUN}"
    (tmp_path / "a.parquet").touch()
    command = [sys.executable, "-c", code, str(toy_root / "query")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    count, *shape = map(int, done.stdout.splitlines()[-1].split())
    assert shape == [count, 512]
    assert count == len(list((toy_root / "query").glob("*.jpg")))
    assert "Traceback" not in done.stderr
    # Parquet, a gallery and the service, on the command line and from Python.
    said = re.findall(r"pip install 'omnireid\[(\w+)\]'", done.stderr)
    assert said == ["gallery", "gallery", "serve", "gallery", "gallery"]


def test_every_package_of_both_extras_is_known_by_what_is_imported() -> None:
    if sys.version_info < (3, 11):
        pytest.skip("tomllib is of Python 3.11")
    import tomllib

    extras = tomllib.loads(PROJECT.read_text())["project"]["optional-dependencies"]
    for extra in ("gallery", "serve"):
        names = {re.split(r"[>=;<]", line)[0].replace("-", "_") for line in extras[extra]}
        names -= {"omnireid[gallery]"}
        assert {EXTRAS.get(name) for name in names} == {extra}

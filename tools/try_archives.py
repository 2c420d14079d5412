"""Install a wheel and a source archive with every supported Python that is found, and use them.

    .venv/bin/python tools/try_archives.py dist/*.whl dist/*.tar.gz

Of each Python (`python3.10`, … on the path): the wheel, as `omnireid[serve]` with the versions of
constraints.txt, goes into an empty environment. There rendered pictures are embedded by the weights that
ship and enrolled, and one is searched for. Then the source archive takes the wheel's place, and must give
the same embeddings to the last bit; those of two Pythons, whose libraries differ, to four digits.

Says at the end which Pythons were not found. Needs a package registry.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

ROOT = Path(__file__).resolve().parents[1]
MINORS = (10, 11, 12, 13)
_FEW = (
    "--train-pids",
    "0",
    "--test-pids",
    "5",
    "--cameras",
    "2",
    "--crops",
    "2",
    "--distractors",
    "0",
    "--junk",
    "0",
)
# Another build of ONNX Runtime or LLVM adds up in another order.
_DIGITS = 1e-4


class TrialError(Exception):
    """What an archive cannot do."""


def found_pythons(minors: Sequence[int] = MINORS) -> dict[str, str]:
    """Those on the path that start: "3.12" → "/usr/bin/python3.12"."""
    pythons = {}
    for minor in minors:
        path = shutil.which(f"python3.{minor}")
        # pyenv leaves programs that only say how to choose a version.
        if path and subprocess.run([path, "-c", "import ensurepip"], capture_output=True).returncode == 0:
            pythons[f"3.{minor}"] = path
    return pythons


def _do(*command: str | Path, cwd: Path) -> str:
    # Neither this checkout's package nor its environment.
    environment = {
        name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")
    }
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise TrialError(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


def _use(python: Path, crops: Path, scratch: Path) -> npt.NDArray[np.float32]:
    """Embed, enrol and search; the embeddings."""
    omnireid = (python, "-m", "omnireid")
    _do(*omnireid, "--help", cwd=scratch)
    _do(*omnireid, "embed", crops / "query", "--out", "query.npz", cwd=scratch)
    gallery = ("--gallery", "gallery")
    enrolled = ("--data", "market-layout", "--root", crops, "--with-identities")
    _do(*omnireid, "gallery", "enrol", *enrolled, *gallery, cwd=scratch)
    picture = min((crops / "query").glob("*.jpg"))
    answer = json.loads(_do(*omnireid, "gallery", "search", picture, *gallery, "--json", cwd=scratch))
    shutil.rmtree(scratch / "gallery")
    first, expected = answer["groups"][0]["identity"], f"pid-{int(picture.name[:4])}"
    if first != expected:
        raise TrialError(f"{picture.name}: the search says {first}, not {expected}")
    vectors: npt.NDArray[np.float32] = np.load(scratch / "query.npz")["embeddings"]
    return vectors


def try_on(base: str, wheel: Path, source: Path, crops: Path, scratch: Path) -> npt.NDArray[np.float32]:
    """Install both archives in turn with one Python, and use them.

    Args:
        base: A Python.
        crops: A dataset, in the layout of Market-1501.
        scratch: An empty folder.

    Returns:
        (N, D) what the wheel makes of the queries.

    Raises:
        TrialError: Something failed, or the two differ.
    """
    _do(base, "-m", "venv", "environment", cwd=scratch)
    python = scratch / "environment" / "bin" / "python"
    pip = (python, "-m", "pip", "install", "--quiet", "--no-compile", "--disable-pip-version-check")
    _do(*pip, "--constraint", ROOT / "constraints.txt", f"{wheel}[serve]", cwd=scratch)
    _do(python, "-m", "pip", "check", cwd=scratch)
    vectors = _use(python, crops, scratch)
    _do(*pip, "--no-deps", "--force-reinstall", source, cwd=scratch)
    if not np.array_equal(_use(python, crops, scratch), vectors):
        raise TrialError(f"{source.name}: gives other embeddings than {wheel.name}")
    return vectors


def try_all(wheel: Path, source: Path) -> None:
    """Try both archives with each Python that is found, and say what was tried.

    Raises:
        TrialError: Something failed, or no Python was found.
    """
    pythons = found_pythons()
    if not pythons:
        raise TrialError(f"none of python3.{MINORS[0]} to python3.{MINORS[-1]} is on the path")
    with tempfile.TemporaryDirectory() as name:
        crops, first = Path(name) / "crops", None
        _do(sys.executable, "-m", "omnireid", "synth", "--out", crops, *_FEW, cwd=ROOT)
        for version, python in pythons.items():
            scratch = Path(name) / version
            scratch.mkdir()
            vectors = try_on(python, wheel, source, crops, scratch)
            first = vectors if first is None else first
            if (difference := float(np.abs(vectors - first).max())) > _DIGITS:
                raise TrialError(
                    f"Python {version}: embeddings differ by {difference:.2g} from {next(iter(pythons))}'s"
                )
            print(f"Python {version}: both archives install, embed, enrol and search", flush=True)
            shutil.rmtree(scratch)
    for minor in MINORS:
        if f"3.{minor}" not in pythons:
            print(f"Python 3.{minor}: not found (python3.{minor} on the path), not tried")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("wheel", type=Path)
    parser.add_argument("source", type=Path)
    given = parser.parse_args()
    try:
        try_all(given.wheel.resolve(), given.source.resolve())
    except TrialError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()

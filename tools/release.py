"""Make a release in one command: stamped, committed, built twice, compared, installed, listed.

    make release VERSION=0.3.0

1. The working tree must be clean. Where the version is not written yet, it is written (package, CITATION.cff,
   deploy/, CHANGELOG.md, whose unreleased part must say something) and committed.
2. Wheel and source archive are built twice, from two copies of the commit in different folders, with
   SOURCE_DATE_EPOCH of the commit. Every byte must be the same.
3. Both are installed with each supported Python that is found, and used (tools/try_archives.py).
4. The wheel is installed as `omnireid[serve]` into an empty environment with the versions of constraints.txt,
   and asked for its version. dist/ gets both archives, an SBOM of that environment (CycloneDX), and the
   hashes of all.

It tags and uploads nothing; what to do next is printed. Needs a package registry.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SBOM_TOOL = "cyclonedx-bom>=7,<8"
_UNRELEASED = "## [Unreleased]\n"


class ReleaseError(Exception):
    """Why there is no release."""


def stamp(root: Path, version: str, day: str) -> list[Path]:
    """Write a version wherever one stands; the files that changed.

    Raises:
        ReleaseError: the changelog says nothing of it, or a file has no version to replace.
    """
    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        raise ReleaseError(f"{version}: expected a version like 0.3.0")
    changelog = (root / "CHANGELOG.md").read_text()
    _, _, after = changelog.partition(_UNRELEASED)
    if not after.partition("\n## [")[0].strip():
        raise ReleaseError("CHANGELOG.md: nothing stands under [Unreleased]; say what is new")
    changes = {
        "src/omnireid/__init__.py": (r'^__version__ = ".+"$', f'__version__ = "{version}"'),
        "CITATION.cff": (r"^version: .+$", f"version: {version}"),
        "deploy/kubernetes.yaml": (r"image: omnireid:\S+", f"image: omnireid:{version}"),
        "CHANGELOG.md": (re.escape(_UNRELEASED), f"{_UNRELEASED}\n## [{version}] - {day}\n"),
    }
    for name, (pattern, text) in changes.items():
        new, count = re.subn(pattern, text, (root / name).read_text(), flags=re.MULTILINE)
        if not count:
            raise ReleaseError(f"{name}: has no version to replace")
        (root / name).write_text(new)
    return [root / name for name in changes]


def differing(one: Path, other: Path) -> list[str]:
    """Names of files that are not in both folders with the same bytes."""
    hashes = [{path.name: _sha256(path) for path in folder.iterdir()} for folder in (one, other)]
    return sorted({name for name, _ in hashes[0].items() ^ hashes[1].items()})


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _git(*words: str) -> str:
    return subprocess.run(
        ["git", *words], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.strip()


def _build(scratch: Path) -> Path:
    """Archives of the last commit, from a copy in a folder of its own."""
    tree, out = scratch / "tree", scratch / "dist"
    tree.mkdir(parents=True)
    archive = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, check=True, capture_output=True).stdout
    subprocess.run(["tar", "-x", "-C", tree], input=archive, check=True)
    environment = {**os.environ, "SOURCE_DATE_EPOCH": _git("log", "-1", "--format=%ct")}
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", out, tree]
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    return out


def _install(folder: Path, *what: str) -> Path:
    """An environment with these packages; its Python."""
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *what], check=True)
    return python


def release(version: str) -> None:
    if _git("status", "--porcelain"):
        raise ReleaseError("the working tree has changes; commit them first")
    if f'"{version}"' not in (ROOT / "src/omnireid/__init__.py").read_text():
        day = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
        changed = stamp(ROOT, version, day)
        _git("commit", "-qm", f"Release {version}", "--", *map(str, changed))
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        first, second = (_build(scratch / folder) for folder in ("a", "another/b"))
        if different := differing(first, second):
            raise ReleaseError(f"two builds of one commit differ: {', '.join(different)}")
        (wheel,), (source,) = first.glob("*.whl"), first.glob("*.tar.gz")
        tried = [sys.executable, ROOT / "tools" / "try_archives.py", wheel, source]
        if subprocess.run(tried).returncode:
            raise ReleaseError("an archive does not work with a Python that it is for; see above")
        constraints = ["--constraint", str(ROOT / "constraints.txt")]
        python = _install(scratch / "clean", *constraints, f"{wheel}[serve]")
        told = subprocess.run(
            [python, "-m", "omnireid", "--version"], check=True, capture_output=True, text=True
        )
        if told.stdout.strip() != f"omnireid {version}":
            raise ReleaseError(f"the installed wheel says {told.stdout.strip()!r}")
        tool = _install(scratch / "tool", SBOM_TOOL)
        sbom = first / f"omnireid-{version}.cdx.json"
        asked = ["environment", "--output-reproducible", "--output-format", "JSON", "-o", sbom, python]
        subprocess.run([tool, "-m", "cyclonedx_py", *asked], check=True)
        # Where it lay while it was built says nothing to anybody, and is another folder each time.
        sbom.write_text(sbom.read_text().replace(wheel.as_uri(), wheel.name))
        dist = ROOT / "dist"
        shutil.rmtree(dist, ignore_errors=True)
        shutil.copytree(first, dist)
    files = sorted(dist.iterdir())
    (dist / "SHA256SUMS").write_text("".join(f"{_sha256(path)}  {path.name}\n" for path in files))
    print((dist / "SHA256SUMS").read_text(), end="")
    print(f"next: make docs; git tag v{version}; push; upload dist/*.whl and dist/*.tar.gz")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("version")
    try:
        release(parser.parse_args().version)
    except ReleaseError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()

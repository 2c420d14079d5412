"""Reading folders by name: sorted, without opening or measuring a single file."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path, PurePath

from omnireid.core.errors import DatasetError
from omnireid.core.images import IMAGE_SUFFIXES
from omnireid.core.types import JUNK_PID, Sample, SkippedFile

# Operating systems put these beside pictures; nobody means them as data. Names that start with a
# dot belong here too, among them the "._0002_c1….jpg" twins that macOS leaves in archives.
_SYSTEM_FILES = frozenset({"thumbs.db", "desktop.ini"})

# "0002_c1s1_000451_03.jpg", "-1_c1…", "0002_c15_…". Matched from the start of the file's own name:
# a search through the whole path takes "run-7_c3/…" in a parent folder for pid −7, camera 3.
MARKET_NAME = re.compile(r"(-?[0-9]+)_c([0-9]+)(?![0-9])")

WRONG_NAME = "the name is not <pid>_c<camera>…"
JUNK = "junk (pid −1)"
NO_PICTURE = "not a picture (suffix)"


def scan(folder: Path) -> list[os.DirEntry[str]]:
    """Entries of `folder` by name, without hidden and system files.

    Raises:
        DatasetError: the folder cannot be read.
    """
    try:
        with os.scandir(folder) as found:
            entries = [entry for entry in found if not _is_system_file(entry.name)]
    except OSError as error:
        raise DatasetError(f"{folder}: cannot be read ({error.strerror or error})") from error
    return sorted(entries, key=lambda entry: entry.name)


def _is_system_file(name: str) -> bool:
    return name.startswith(".") or name.lower() in _SYSTEM_FILES


def is_picture_name(name: str) -> bool:
    return PurePath(name).suffix.lower() in IMAGE_SUFFIXES


def find_root(root: Path, candidates: tuple[str, ...], markers: tuple[str, ...]) -> Path | None:
    """The first of `root`/candidate that holds one of the folders `markers`."""
    for candidate in candidates:
        folder = root / candidate
        if any((folder / marker).is_dir() for marker in markers):
            return folder
    return None


def read_market_folder(
    folder: Path,
    *,
    refuse: Callable[[int, int], str | None] = lambda pid, camera: None,
) -> tuple[list[Sample], list[SkippedFile]]:
    """Read a flat folder of `<pid>_c<camera>…` pictures; camera numbers are kept as written.

    Args:
        folder: may be missing, which reads as empty.
        refuse: called with (pid, camera); a text is the reason to leave the file out.

    Returns:
        Samples and skipped files, both in name order. Pid −1 is skipped as junk. A folder that is
        named like a picture stays a sample: opening it fails, and the user's choice for bad
        pictures decides.
    """
    samples: list[Sample] = []
    skipped: list[SkippedFile] = []
    if not folder.is_dir():
        return samples, skipped
    for entry in scan(folder):
        match = MARKET_NAME.match(entry.name)
        if not is_picture_name(entry.name):
            skipped.append(SkippedFile(entry.path, NO_PICTURE))
        elif match is None:
            skipped.append(SkippedFile(entry.path, WRONG_NAME))
        elif (pid := int(match[1])) == JUNK_PID:
            skipped.append(SkippedFile(entry.path, JUNK))
        elif reason := refuse(pid, int(match[2])):
            skipped.append(SkippedFile(entry.path, reason))
        else:
            samples.append(Sample(entry.path, pid, int(match[2])))
    return samples, skipped

"""Reading folders by name: sorted, without opening or measuring a single file."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from omnireid.core.errors import DatasetError
from omnireid.core.images import IMAGE_SUFFIXES
from omnireid.core.types import JUNK_PID, Dataset, Sample, SkippedFile
from omnireid.data.archives import archive_hint, extract_archives
from omnireid.data.datasets.card import MAX_NAMED_REASONS, SPLITS, DatasetCard, ReadOptions

# Operating systems put these beside pictures; nobody means them as data. Names that start with a
# dot belong here too, among them the "._0002_c1….jpg" twins that macOS leaves in archives.
_SYSTEM_FILES = frozenset({"thumbs.db", "desktop.ini"})

# "0002_c1s1_000451_03.jpg", "-1_c1…", "0002_c15_…". Matched from the start of the file's own name:
# a search through the whole path takes "run-7_c3/…" in a parent folder for pid −7, camera 3.
MARKET_NAME = re.compile(r"(-?[0-9]+)_c([0-9]+)(?![0-9])")

WRONG_NAME = "the name is not <pid>_c<camera>…"
NEGATIVE = "the pid is negative, but not −1 (junk)"
JUNK = "junk (pid −1)"
NO_PICTURE = "not a picture (suffix)"


def scan(folder: Path) -> list[os.DirEntry[str]]:
    """Entries of `folder` by name, without hidden and system files.

    Raises:
        DatasetError: the folder cannot be read.
    """
    try:
        with os.scandir(folder) as listing:
            entries = [entry for entry in listing if not is_system_file(entry.name)]
    except OSError as error:
        raise DatasetError(f"{folder}: cannot be read ({error.strerror or error})") from error
    return sorted(entries, key=lambda entry: entry.name)


def is_system_file(name: str) -> bool:
    return name.startswith(".") or name.lower() in _SYSTEM_FILES


def is_picture_name(name: str) -> bool:
    # Not PurePath(name).suffix: that takes two seconds for a million names, this 0.3.
    stem, _, suffix = name.rpartition(".")
    return bool(stem) and f".{suffix.lower()}" in IMAGE_SUFFIXES


def not_taken(skipped: Sequence[SkippedFile]) -> list[str]:
    """What was left out, a line for each of the most frequent reasons; junk is no such thing."""
    others = [file for file in skipped if file.reason != JUNK]
    example = {file.reason: file.path for file in reversed(others)}
    counted = Counter(file.reason for file in others).most_common()
    lines = []
    for reason, number in counted[:MAX_NAMED_REASONS]:
        what = "1 file was" if number == 1 else f"{number:,} files were"
        lines.append(f"{what} not taken, e.g. {example[reason]}: {reason}")
    if rest := counted[MAX_NAMED_REASONS:]:
        number = sum(number for _, number in rest)
        lines.append(f"{number:,} more files were not taken, for {len(rest):,} other reasons")
    return lines


def locate(root: Path, card: DatasetCard, options: ReadOptions) -> Path:
    """The folder of a dataset: the first of the card's places under `root` that holds all its markers.

    With `options.extract`, archives found in `root` are unpacked there first where no place fits.

    Raises:
        DatasetError: says what is missing where, which archive lies there unpacked, and where to ask for
            the data.
    """
    folder = _first_place(root, card)
    hint = ""
    if folder is None and options.extract:
        unpacked = extract_archives(root, card, console=options.console)
        hint = f" Unpacked: {', '.join(map(str, unpacked)) or 'nothing, no archive was found'}."
        folder = _first_place(root, card)
    if folder is not None:
        return folder
    nearest = max((root / place for place in card.places), key=lambda path: _num_present(path, card))
    missing = [marker for marker in card.markers if not (nearest / marker).exists()]
    raise DatasetError(
        f"{nearest if nearest.exists() else root}: not {card.title} (missing: {', '.join(missing)})."
        f"{hint or archive_hint(root, card)} Expected:\n{card.layout}\n"
        f"The data can be asked for at {card.source}"
    )


def _first_place(root: Path, card: DatasetCard) -> Path | None:
    places = (root / folder for folder in card.places)
    return next((folder for folder in places if _num_present(folder, card) == len(card.markers)), None)


def _num_present(folder: Path, card: DatasetCard) -> int:
    return sum((folder / marker).exists() for marker in card.markers)


def read_folder(
    folder: Path, parse: Callable[[str], tuple[int, int] | str]
) -> tuple[list[Sample], list[SkippedFile]]:
    """Read a flat folder of pictures.

    Args:
        folder: may be missing, which reads as empty.
        parse: a function from a file name to (pid, camid), or to the reason why it is not taken.

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
        parsed = parse(entry.name) if is_picture_name(entry.name) else NO_PICTURE
        if isinstance(parsed, str):
            skipped.append(SkippedFile(entry.path, parsed))
        elif parsed[0] == JUNK_PID:
            skipped.append(SkippedFile(entry.path, JUNK))
        else:
            samples.append(Sample(entry.path, *parsed))
    return samples, skipped


def read_splits(
    root: Path,
    options: ReadOptions,
    card: DatasetCard,
    folders: Mapping[str, str],
    parse: Callable[[str], tuple[int, int] | str],
) -> Dataset:
    """Read a dataset that has a flat folder for each split.

    Args:
        folders: the folder of each split; one that has none is empty.
        parse: as `read_folder`.

    Raises:
        DatasetError: a folder is missing; names it and the layout.
    """
    folder = locate(root, card, options)
    parts = {split: read_folder(folder / name, parse) for split, name in folders.items()}
    skipped = (file for _, files in parts.values() for file in files)
    samples = [parts[split][0] if split in parts else () for split in SPLITS]
    return card.dataset(folder, options, samples, skipped=skipped)


def outside(what: str, number: int, least: int, most: int) -> str:
    """Why a file is not taken whose name holds this number; empty where the number can be."""
    return "" if least <= number <= most else f"{what} {number} is outside {least}–{most}"


def parse_market_name(name: str) -> tuple[int, int] | str:
    """(pid, camera as written) of "0002_c1s1_000451_03.jpg", or why it is none."""
    match = MARKET_NAME.match(name)
    if not match:
        return WRONG_NAME
    pid = int(match[1])
    return (pid, int(match[2])) if pid >= JUNK_PID else NEGATIVE

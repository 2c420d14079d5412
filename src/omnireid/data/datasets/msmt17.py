"""MSMT17 (Wei et al., CVPR 2018): 4,101 people, 15 cameras, 126,441 pictures, named in four list files.

Two versions are in use: V1, and V2, whose faces are blurred. Three portions are trained on. Each
combination has a name of its own ("msmt17-v2-trainval"), so that a record says what was read. A name
without a version reads the one that is there, and asks where both are.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

from omnireid.core.errors import DatasetError
from omnireid.core.types import Dataset, Sample, SkippedFile
from omnireid.data.datasets.card import TOTAL, DatasetCard, Reader, ReadOptions, SplitCounts
from omnireid.data.datasets.folders import NO_PICTURE, is_picture_name, locate, scan

NUM_CAMERAS = 15

TRAIN_LISTS = ("train", "val")
TEST_LISTS = ("query", "gallery")
LISTS = TRAIN_LISTS + TEST_LISTS
NAMED_NOWHERE = "named in none of the four lists"

# "0000/0000_000_01_0303morning_0015_0.jpg 0": the third field of the file name is the camera.
_LINE = re.compile(
    r"(?P<path>[^/\s]+/[^/_\s]+_[^/_\s]+_(?P<camera>[0-9]+)(?![0-9])[^/\s]*)\s+(?P<pid>[0-9]{1,9})"
)
_EXAMPLES_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Version:
    """Where one version keeps its pictures."""

    name: str
    title: str
    root: str
    train: str
    test: str
    archive: str

    @property
    def places(self) -> tuple[str, ...]:
        return (f"msmt17/{self.root}", self.root, "msmt17", "")


@dataclass(frozen=True, slots=True)
class Portion:
    """Which lists are trained on."""

    suffix: str
    title: str
    train_lists: tuple[str, ...]
    train_counts: SplitCounts


V1 = Version("v1", "V1", "MSMT17_V1", "train", "test", "MSMT17_V1.tar.gz")
V2 = Version("v2", "V2, blurred faces", "MSMT17_V2", "mask_train_v2", "mask_test_v2", "MSMT17_V2.zip")
VERSIONS = (V1, V2)

TRAIN = Portion("", "trained on 30,248", ("train",), SplitCounts(images=30_248, pids=1_041))
TRAINVAL = Portion("-trainval", "trained on 32,621", ("train", "val"), SplitCounts(images=32_621, pids=1_041))
EVERYTHING = Portion(
    "-all", "all 126,441 to train on", LISTS, SplitCounts(images=126_441, pids=4_101, cameras=NUM_CAMERAS)
)
PORTIONS = (TRAIN, TRAINVAL, EVERYTHING)

_LIST_FILES = tuple(f"list_{name}.txt" for name in LISTS)
_TEST_COUNTS = {
    "query": SplitCounts(images=11_659, pids=3_060),
    "gallery": SplitCounts(images=82_161, pids=3_060),
}


def _card(portion: Portion, version: Version | None) -> DatasetCard:
    """The card of a portion of one version; None for whichever version is there."""
    versions = VERSIONS if version is None else (version,)
    folders = " or\n".join(
        f"[msmt17/][{each.root}/]{{{each.train},{each.test}}}/<person>/*.jpg" for each in versions
    )
    return DatasetCard(
        name=f"msmt17{f'-{version.name}' if version else ''}{portion.suffix}",
        title=(
            f"MSMT17 ({version.title if version else 'V1 or V2'}): 4,101 people, 15 cameras, {portion.title}"
        ),
        layout=(
            f"{folders}\nand beside them {', '.join(_LIST_FILES)}, each with lines\n"
            "0000/0000_000_01_0303morning_0015_0.jpg 0: path and pid; the third field is the camera 1–15."
        ),
        places=tuple(dict.fromkeys(place for each in versions for place in each.places)),
        markers=(*((version.train, version.test) if version else ()), *_LIST_FILES),
        archives=tuple(each.archive for each in versions),
        counts={
            "train": portion.train_counts,
            **(_TEST_COUNTS if portion is not EVERYTHING else {}),
            TOTAL: SplitCounts(images=126_441, cameras=NUM_CAMERAS),
        },
        notes=(
            "Published numbers train on 30,248 pictures (list_train, as in the OSNet paper's table) or on\n"
            "32,621 (with list_val, as torchreid's docstring says and the corruption benchmark MSMT17-C\n"
            "does): msmt17 and msmt17-trainval. msmt17-all is one training split of everybody, for\n"
            "cross-domain tables; it has nothing to test on.\n"
            "V1 shows faces, V2 blurs them, and results differ: MSMT17-C is V2. Where both lie, torchreid\n"
            "reads V1 without a word; msmt17 asks which, and msmt17-v1… and msmt17-v2… say it.\n"
            "The lists number people from 0 in train and again from 0 in test: equal pids there are\n"
            "different people. msmt17-all numbers those of the test after those of the training."
        ),
        licence="Release agreement with Peking University, to be signed; research only.",
        ethics=(
            "Real people filmed on a campus over several days, without being asked one by one; V1 shows\n"
            "their faces. Prefer V2, publish no pictures, do not train products on it."
        ),
        citation=(
            "Wei et al., Person Transfer GAN to Bridge Domain Gap for Person Re-Identification,\nCVPR 2018."
        ),
        source="http://www.pkuvmc.com/publications/msmt17.html",
    )


CARDS = {(portion, version): _card(portion, version) for portion in PORTIONS for version in (None, *VERSIONS)}


class Entry(NamedTuple):
    """One line of a list; the path is relative to the version's train or test folder."""

    line: int
    path: str
    pid: int
    camid: int


def read(root: Path, options: ReadOptions, *, portion: Portion, version: Version | None) -> Dataset:
    """Read the four lists and hold them against one listing of the pictures.

    Args:
        portion: what is trained on. Pictures of `list_val` that it leaves out are `unused`.
        version: None reads the one that is there.

    Returns:
        The dataset, under the name that states its version; every split sorted by path.

    Raises:
        DatasetError: a folder or list is missing, both versions are there and none was asked for, a line
            cannot be read (says which), or a picture is named twice or is not there.
    """
    folder = locate(root, CARDS[portion, version], options)
    if version is None:
        version = _version_there(root, folder, portion)
        folder = locate(root, CARDS[portion, version], options)
    lists = {name: _read_list(folder / f"list_{name}.txt") for name in LISTS}
    skipped = [
        file
        for pictures, names in ((version.train, TRAIN_LISTS), (version.test, TEST_LISTS))
        for file in _compare(folder / pictures, {name: lists[name] for name in names})
    ]
    # Both halves number their people from 0; in one training split the test's follow.
    first_test_pid = 1 + max((entry.pid for name in TRAIN_LISTS for entry in lists[name]), default=-1)
    samples: dict[str, list[Sample]] = {}
    for name, entries in lists.items():
        pictures = folder / (version.train if name in TRAIN_LISTS else version.test)
        shift = first_test_pid if name in TEST_LISTS and portion is EVERYTHING else 0
        samples[name] = [
            Sample(f"{pictures}/{entry.path}", entry.pid + shift, entry.camid) for entry in entries
        ]
    train = [sample for name in portion.train_lists for sample in samples.pop(name)]
    return CARDS[portion, version].dataset(
        folder,
        options,
        (_sorted(train), _sorted(samples.get("query", [])), _sorted(samples.get("gallery", []))),
        skipped=skipped,
        unused=tuple(_sorted(samples.get("val", []))),
    )


def _sorted(samples: list[Sample]) -> list[Sample]:
    return sorted(samples, key=lambda sample: sample.path)


def _version_there(root: Path, folder: Path, portion: Portion) -> Version:
    there = [
        version
        for version in VERSIONS
        if any((root / place / version.train).is_dir() for place in CARDS[portion, version].places)
    ]
    if len(there) == 1:
        return there[0]
    names = " or ".join(CARDS[portion, version].name for version in VERSIONS)
    if there:
        raise DatasetError(
            f"{root}: MSMT17 is there as V1 and as V2, and results on them differ; ask for {names}"
        )
    raise DatasetError(
        f"{folder}: the lists are there, but neither {V1.train}/ and {V1.test}/ (V1) nor "
        f"{V2.train}/ and {V2.test}/ (V2); unpack the archive again"
    )


def _read_list(path: Path) -> list[Entry]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeError) as error:
        raise DatasetError(f"{path}: cannot be read ({error}); unpack the archive again") from error
    entries = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        match = _LINE.fullmatch(line.strip())
        if not match or not 1 <= int(match["camera"]) <= NUM_CAMERAS:
            raise DatasetError(
                f"{path}: line {number} is {line[:100]!r}, expected path and pid as in "
                f"'0000/0000_000_01_0303morning_0015_0.jpg 0' (third field: camera 1–{NUM_CAMERAS}); "
                "unpack the archive again"
            )
        entries.append(Entry(number, match["path"], int(match["pid"]), int(match["camera"]) - 1))
    return entries


def _compare(pictures: Path, lists: dict[str, list[Entry]]) -> list[SkippedFile]:
    """Hold lists against their folder, listed once; returns what none of them names.

    Raises:
        DatasetError: a picture is named twice or is not there.
    """
    present, skipped = _list_pictures(pictures)
    named: dict[str, str] = {}
    absent = []
    for name, entries in lists.items():
        for entry in entries:
            where = f"list_{name}.txt, line {entry.line}"
            if entry.path in named:
                raise DatasetError(
                    f"{pictures}: {entry.path} is named twice: {named[entry.path]}, and {where}"
                )
            named[entry.path] = where
            if entry.path not in present:
                absent.append(f"{entry.path} ({where})")
    if absent:
        examples = "; ".join(absent[:_EXAMPLES_SHOWN]) + ("; …" if len(absent) > _EXAMPLES_SHOWN else "")
        raise DatasetError(
            f"{pictures}: {len(absent):,} of the {len(named):,} pictures that the lists name are not there: "
            f"{examples}. Unpack the archive again, or take these lines out and pass check_counts=False "
            "(--no-check-counts)"
        )
    skipped += [SkippedFile(str(pictures / path), NAMED_NOWHERE) for path in sorted(present - named.keys())]
    return skipped


def _list_pictures(pictures: Path) -> tuple[set[str], list[SkippedFile]]:
    """Paths `<folder>/<file>` of the pictures, and what else lies there."""
    present, skipped = set(), []
    for person in scan(pictures):
        for entry in scan(Path(person.path)) if person.is_dir() else [person]:
            if is_picture_name(entry.name):
                present.add(entry.path[len(str(pictures)) + 1 :].replace(os.sep, "/"))
            else:
                skipped.append(SkippedFile(entry.path, NO_PICTURE))
    return present, skipped


READERS = tuple(
    Reader(card, partial(read, portion=portion, version=version))
    for (portion, version), card in CARDS.items()
)

"""One folder per person, with or without train/query/gallery folders above them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from omnireid.core.errors import DatasetError
from omnireid.core.types import JUNK_PID, Dataset, Protocol, Sample, SkippedFile, Split
from omnireid.data.datasets.card import DatasetCard, Reader, ReadOptions
from omnireid.data.datasets.folders import JUNK, NO_PICTURE, is_picture_name, scan

SPLITS = ("train", "query", "gallery")
UNKNOWN_CAMERA = -1

# "c3", "cam3", "c3s1", "cam_3" as a word of its own inside a file name.
_CAMERA_WORD = re.compile(r"(?:^|[_\-. ])c(?:am(?:era)?)?_?([0-9]+)(?=s[0-9]|[_\-. ]|$)", re.IGNORECASE)
_NUMBER = re.compile(r"-?[0-9]+")

CARD = DatasetCard(
    name="folder-per-person",
    title="one folder per person",
    layout=(
        "[train/|query/|gallery/]<person>/[<camera>/]*.jpg\n"
        "Pid: the folder's number where every person folder is named by a different number,\n"
        "else its place in alphabetical order over all splits, from 1.\n"
        "Camera: the sub-folder, else a word like c3 or cam3 in the file name; data without either\n"
        "is scored by the no-camera protocol.\n"
        "Without train/query/gallery folders every picture is query and gallery: each looks for the others."
    ),
    licence="that of the data",
)


class _Picture(NamedTuple):
    split: str
    person: str
    camera: str | None
    path: str


def read(root: Path, options: ReadOptions) -> Dataset:
    """Read one folder per person.

    Without cameras the dataset's protocol is `Protocol.NO_CAMERA`, which the dataset says; the own
    picture of a query is then all that is hidden from it.

    Raises:
        DatasetError: no person folders, some pictures with a camera and some without (ask for
            `Protocol.NO_CAMERA` to ignore cameras), or a protocol with cameras asked for data without.
    """
    named_splits = [name for name in SPLITS if (root / name).is_dir()]
    skipped: list[SkippedFile] = []
    pictures: list[_Picture] = []
    for split in named_splits or [""]:
        pictures += _read_split(root / split, split, skipped)
    if named_splits:
        skipped += [
            SkippedFile(entry.path, "beside the split folders")
            for entry in scan(root)
            if entry.name not in named_splits
        ]
    if not pictures:
        raise DatasetError(f"{root}: no person folder with a picture. Expected:\n{CARD.layout}")

    pids = _pids({picture.person for picture in pictures})
    camids, default_protocol = _camids(root, pictures, options.protocol)
    samples: dict[str, list[Sample]] = {name: [] for name in SPLITS}
    for picture in pictures:
        pid = pids[picture.person]
        if pid == JUNK_PID:
            skipped.append(SkippedFile(picture.path, JUNK))
            continue
        sample = Sample(picture.path, pid, camids[picture.camera])
        for name in [picture.split] if picture.split else ["query", "gallery"]:
            samples[name].append(sample)
    return Dataset(
        name=CARD.name,
        root=str(root),
        train=Split("train", tuple(samples["train"])),
        query=Split("query", tuple(samples["query"])),
        gallery=Split("gallery", tuple(samples["gallery"])),
        protocol=options.protocol or default_protocol,
        skipped=tuple(skipped),
    )


def _read_split(folder: Path, split: str, skipped: list[SkippedFile]) -> Iterator[_Picture]:
    for person in scan(folder):
        if not person.is_dir():
            skipped.append(SkippedFile(person.path, "not in a person folder"))
            continue
        for entry in scan(Path(person.path)):
            # A folder that is named like a picture stays a picture, which then fails to open.
            if is_picture_name(entry.name):
                word = _CAMERA_WORD.search(entry.name)
                yield _Picture(split, person.name, f"c{int(word[1])}" if word else None, entry.path)
            elif entry.is_dir():
                for inner in scan(Path(entry.path)):
                    if is_picture_name(inner.name):
                        yield _Picture(split, person.name, entry.name, inner.path)
                    else:
                        skipped.append(SkippedFile(inner.path, NO_PICTURE))
            else:
                skipped.append(SkippedFile(entry.path, NO_PICTURE))


def _pids(persons: set[str]) -> dict[str, int]:
    ordered = sorted(persons)
    numbers = [int(person) for person in ordered if _NUMBER.fullmatch(person)]
    # "7" and "007" are two folders, so two people: then the numbers cannot be the pids.
    if len(set(numbers)) == len(ordered) and min(numbers) >= JUNK_PID:
        return {person: int(person) for person in ordered}
    return {person: place for place, person in enumerate(ordered, start=1)}


def _camids(
    root: Path, pictures: list[_Picture], protocol: Protocol | None
) -> tuple[dict[str | None, int], Protocol]:
    with_camera = [picture for picture in pictures if picture.camera is not None]
    without = [picture for picture in pictures if picture.camera is None]
    if not with_camera:
        if protocol not in (None, Protocol.NO_CAMERA):
            raise DatasetError(
                f"{root}: no picture has a camera (a sub-folder per camera, or c<N> in the file name), so "
                f"the protocol {protocol.value!r} cannot be applied; use {Protocol.NO_CAMERA.value!r}"
            )
        return {None: UNKNOWN_CAMERA}, Protocol.NO_CAMERA
    if without and protocol is not Protocol.NO_CAMERA:
        raise DatasetError(
            f"{root}: {len(with_camera):,} pictures have a camera (e.g. {with_camera[0].path}) and "
            f"{len(without):,} have none (e.g. {without[0].path}). Name the camera in all of them, or ask "
            f"for the protocol {Protocol.NO_CAMERA.value!r}, which ignores cameras"
        )
    names = sorted({picture.camera for picture in with_camera if picture.camera is not None}, key=_natural)
    camids: dict[str | None, int] = {name: camid for camid, name in enumerate(names)}
    camids[None] = UNKNOWN_CAMERA
    return camids, CARD.protocol


def _natural(name: str) -> tuple[list[tuple[int, str]], str]:
    """Sort key by which c10 follows c9."""
    parts = re.findall(r"[0-9]+|[^0-9]+", name)
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts], name


READERS = (Reader(CARD, read),)

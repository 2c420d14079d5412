"""Folders of one camera that hold a folder of frames for each person: i-LIDS-VID and PRID 2011."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from omnireid.core.errors import DatasetError
from omnireid.core.types import Sample, SkippedFile
from omnireid.data.datasets.folders import NO_PICTURE, is_picture_name, scan

# "person001" (i-LIDS-VID), "person_0001" (PRID 2011).
_PERSON_NAME = re.compile(r"person_?([0-9]{1,9})")

_NAMES_SHOWN = 3


@dataclass(frozen=True, slots=True)
class CameraFolder:
    """Frames of each person folder in name order, by the folder's name, and what was not taken."""

    path: Path
    camid: int
    frames: Mapping[str, tuple[str, ...]]
    skipped: tuple[SkippedFile, ...]


def read_camera(path: Path, camid: int) -> CameraFolder:
    """List one camera's person folders. Frames are numbered with leading zeros, so names give their order.

    Raises:
        DatasetError: a folder cannot be read.
    """
    frames: dict[str, tuple[str, ...]] = {}
    skipped: list[SkippedFile] = []
    for person in scan(path):
        if not person.is_dir() or not _PERSON_NAME.fullmatch(person.name):
            skipped.append(SkippedFile(person.path, "not a person's folder (person<number>)"))
            continue
        files = scan(Path(person.path))
        skipped += [SkippedFile(file.path, NO_PICTURE) for file in files if not is_picture_name(file.name)]
        frames[person.name] = tuple(file.path for file in files if is_picture_name(file.name))
    return CameraFolder(path, camid, frames, tuple(skipped))


def tracklets(
    cameras: Sequence[CameraFolder], persons: Iterable[str], *, stated_in: str
) -> tuple[Sample, ...]:
    """The tracklet of each person in each camera, cameras one after the other, persons in name order.

    Args:
        persons: folder names; the number in the name is the pid.
        stated_in: what names these persons, for the error.

    Raises:
        DatasetError: a person has no folder in a camera, or an empty one.
    """
    persons = sorted(persons)
    for camera in cameras:
        absent = [person for person in persons if not camera.frames.get(person)]
        if absent:
            more = f" and {len(absent) - _NAMES_SHOWN} more" if len(absent) > _NAMES_SHOWN else ""
            raise DatasetError(
                f"{camera.path}: no frames of {', '.join(absent[:_NAMES_SHOWN])}{more}, but {stated_in} "
                "names them; unpack the archive again"
            )
    return tuple(
        Sample(camera.frames[person][0], person_pid(person), camera.camid, frames=camera.frames[person])
        for camera in cameras
        for person in persons
    )


def person_pid(folder: str) -> int:
    """1 of "person001" or "person_0001"."""
    match = _PERSON_NAME.fullmatch(folder)
    assert match is not None
    return int(match[1])

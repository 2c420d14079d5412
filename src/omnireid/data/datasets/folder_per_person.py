"""One folder per person, with or without folders for cameras and for splits."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from omnireid.core.errors import DatasetError
from omnireid.core.options import Protocol
from omnireid.core.types import JUNK_PID, Dataset, Sample, SkippedFile
from omnireid.data.datasets.card import SPLITS, DatasetCard, Reader, ReadOptions
from omnireid.data.datasets.folders import JUNK, NO_PICTURE, is_picture_name, scan
from omnireid.data.datasets.labels import (
    CAMERA_WORD,
    camera_of,
    label,
    names_of,
    number_cameras,
    number_people,
)

UNKNOWN_CAMERA = -1

# What the folders of a split are called, in any case. Nobody is called by the first ones; the others are
# splits beside one of those, or where no folder is anything else.
_SURE_SPLITS = {
    "train": "train",
    "bounding_box_train": "train",
    "query": "query",
    "test_query": "query",
    "test_probe": "query",
    "gallery": "gallery",
    "bounding_box_test": "gallery",
    "test_gallery": "gallery",
}
_OTHER_SPLITS = {"training": "train", "probe": "query", "test": "test", "val": "val", "validation": "val"}
_ALL_SPLITS = _SURE_SPLITS | _OTHER_SPLITS

# "c3", "cam3", "c3s1", "cam_3" as a word of its own inside a file name.
_NUMBER_IN_NAME = re.compile(r"(?:^|[_\-. ])c(?:am(?:era)?)?_?([0-9]+)(?=s[0-9]|[_\-. ]|$)", re.IGNORECASE)
_WORD_IN_NAME = re.compile(rf"(?:^|[-_. ]){CAMERA_WORD}", re.IGNORECASE)
_CAMERA_NAME = re.compile(CAMERA_WORD, re.IGNORECASE)

_NAMES_SHOWN = 4

CARD = DatasetCard(
    name="folder-per-person",
    title="one folder per person",
    layout=(
        "[train/|query/|gallery/]<person>/[<camera>/]*.jpg\n"
        "Pid: the folder's number where every person folder is named by a different number (−1 is junk),\n"
        "else its place in alphabetical order over all splits, from 1.\n"
        "Camera: the sub-folder, else a word like c3 or cam3 in the file name, or like cA or cam-entrance\n"
        "where all have one and none a number; data without either is scored by the no-camera protocol.\n"
        "Folders on top that are all named like cameras (cam1, cA, cam-entrance) hold people: cam1/0001/….\n"
        "Splits in any case; test/, or else val/, alone is query and gallery, as is a tree without split\n"
        "folders: each picture looks for the others."
    ),
    licence="that of the data",
)


class _Picture(NamedTuple):
    splits: tuple[str, ...]
    person: str
    folder: str | None  # the sub-folder
    camera: str | None  # the sub-folder, or a word with a number in the file name
    path: str


def read(root: Path, options: ReadOptions) -> Dataset:
    """Read one folder per person.

    Without cameras the dataset's protocol is `Protocol.NO_CAMERA`, which the dataset says; the own
    picture of a query is then all that is hidden from it.

    Raises:
        DatasetError: no person folders, folders of splits that contradict each other, some pictures with a
            camera and some without (ask for `Protocol.NO_CAMERA` to ignore cameras), or a protocol with
            cameras asked for data without.
    """
    skipped: list[SkippedFile] = []
    pictures = [
        picture
        for folder, splits in _split_folders(root, skipped)
        for picture in _read_split(folder, splits, skipped)
    ]
    if not pictures:
        raise DatasetError(f"{root}: no person folder with a picture. Expected:\n{CARD.layout}")
    pictures, remarks = _oriented(root, pictures)
    pids = _pids(sorted({picture.person for picture in pictures}))
    cameras, default_protocol = _cameras(root, pictures, options.protocol)
    camids = number_cameras(camera for camera in cameras if camera is not None)
    samples: dict[str, list[Sample]] = {name: [] for name in SPLITS}
    for picture, camera in zip(pictures, cameras, strict=True):
        pid = pids[picture.person]
        if pid == JUNK_PID:
            skipped.append(SkippedFile(picture.path, JUNK))
            continue
        sample = Sample(picture.path, pid, UNKNOWN_CAMERA if camera is None else camids[camera])
        for name in picture.splits:
            samples[name].append(sample)
    return CARD.dataset(
        root,
        replace(options, protocol=options.protocol or default_protocol),
        (samples["train"], samples["query"], samples["gallery"]),
        skipped=skipped,
        remarks=remarks,
        pid_names={pid: person for person, pid in pids.items() if pid != JUNK_PID},
        camera_names=names_of(camids),
    )


def _split_folders(root: Path, skipped: list[SkippedFile]) -> list[tuple[Path, tuple[str, ...]]]:
    """The folders that hold people, each with the splits its pictures belong to."""
    folders = [entry.name for entry in scan(root) if entry.is_dir()]
    named = {name: _ALL_SPLITS[name.lower()] for name in folders if name.lower() in _ALL_SPLITS}
    if not any(name.lower() in _SURE_SPLITS for name in named) and len(named) < len(folders):
        named = {}
    if not named:
        return [(root, ("query", "gallery"))]
    places: dict[str, Path] = {}
    for name, split in named.items():
        inner = {entry.name: _ALL_SPLITS.get(entry.name.lower()) for entry in scan(root / name)}
        if split == "test" and set(inner.values()) == {"query", "gallery"}:
            splits = {root / name / deeper: str(inner_split) for deeper, inner_split in inner.items()}
        else:
            splits = {root / name: split}
        for folder, wanted in splits.items():
            if wanted in places:
                raise DatasetError(f"{places[wanted]} and {folder}: both are the {wanted} split; keep one")
            places[wanted] = folder
    tested = places.keys() & {"query", "gallery"}
    if "test" in places and len(tested) == 1:
        raise DatasetError(
            f"{places['test']}: beside {' and '.join(tested)} it may be the other one of query and gallery, "
            "or both; rename it to query or gallery, or move it away"
        )
    found_splits: list[tuple[Path, tuple[str, ...]]] = [
        (places[split], (split,)) for split in SPLITS if split in places
    ]
    both = places.get("test") or places.get("val")
    if not tested and both is not None:
        found_splits.append((both, ("query", "gallery")))
    used = {folder.relative_to(root).parts[0] for folder, _ in found_splits}
    skipped += [
        SkippedFile(entry.path, "beside the split folders") for entry in scan(root) if entry.name not in used
    ]
    return found_splits


def _read_split(folder: Path, splits: tuple[str, ...], skipped: list[SkippedFile]) -> Iterator[_Picture]:
    for person in scan(folder):
        if not person.is_dir():
            skipped.append(SkippedFile(person.path, "not in a person folder"))
            continue
        for entry in scan(Path(person.path)):
            # A folder that is named like a picture stays a picture, which then fails to open.
            if is_picture_name(entry.name):
                word = _NUMBER_IN_NAME.search(entry.name)
                camera = f"c{int(word[1])}" if word else None
                yield _Picture(splits, person.name, None, camera, entry.path)
            elif entry.is_dir():
                camera = unicodedata.normalize("NFC", entry.name)
                for inner in scan(Path(entry.path)):
                    if is_picture_name(inner.name):
                        yield _Picture(splits, person.name, camera, camera, inner.path)
                    else:
                        reason = "in a folder too deep" if inner.is_dir() else NO_PICTURE
                        skipped.append(SkippedFile(inner.path, reason))
            else:
                skipped.append(SkippedFile(entry.path, NO_PICTURE))


def _upside_down(picture: _Picture) -> _Picture:
    """The picture with its sub-folder as the person, and the folder above as the camera."""
    assert picture.folder is not None
    camera = unicodedata.normalize("NFC", picture.person)
    return picture._replace(person=picture.folder, folder=camera, camera=camera)


def _oriented(root: Path, pictures: list[_Picture]) -> tuple[list[_Picture], tuple[str, ...]]:
    """The pictures with people and cameras the right way round, and what to say of it.

    Raises:
        DatasetError: folders of splits inside of person folders.
    """
    folders = sorted({picture.person for picture in pictures if label(picture.person) != JUNK_PID})
    inner = sorted({picture.folder for picture in pictures if picture.folder is not None})
    if inner and all(name.lower() in _ALL_SPLITS for name in inner):
        raise DatasetError(
            f"{root}: {_some(inner)} lie inside of {_some(folders)}, where cameras were expected. Give the "
            f"folder that holds them as root, or put splits on top of people. Expected:\n{CARD.layout}"
        )
    like_cameras = [name for name in folders if _CAMERA_NAME.fullmatch(name)]
    inner_are_cameras = all(_CAMERA_NAME.fullmatch(name) for name in inner)
    counts = f"{len(folders):,} people ({_some(folders)})"
    if like_cameras:
        is_clear = len(like_cameras) == len(folders) and all(picture.folder for picture in pictures)
        if is_clear and not inner_are_cameras:
            remark = (
                f"read as <camera>/<person>: {len(inner):,} people ({_some(inner)}), {len(folders):,} "
                f"cameras ({_some(folders)}), because the folders on top are named like cameras"
            )
            return [_upside_down(picture) for picture in pictures], (remark,)
        return pictures, (
            f"read as {counts}, some in folders named like cameras ({_some(like_cameras)}). Folders on top "
            "are cameras where all are named like them and all pictures lie in folders inside of them",
        )
    if len(inner) >= max(1, len(folders)) and not inner_are_cameras:
        return pictures, (
            f"read as <person>/<camera>: {counts}, {len(inner):,} cameras ({_some(inner)}). If the folders "
            f"on top are cameras and people lie inside of them, name them like cameras: cam-{folders[0]}, …",
        )
    like_splits = [name for name in folders if name.lower() in _ALL_SPLITS]
    if like_splits:
        return pictures, (f"read as {counts}, some in folders named like splits ({_some(like_splits)})",)
    return pictures, ()


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMES_SHOWN]) + (", …" if len(names) > _NAMES_SHOWN else "")


def _pids(persons: Sequence[str]) -> dict[str, int]:
    labels = {person: label(person) for person in persons}
    numbers = [number for number in labels.values() if isinstance(number, int) and number != JUNK_PID]
    if len(set(numbers)) < len(numbers):
        # "7" and "007" are two folders, so two people: then the numbers cannot be the pids.
        labels = {person: JUNK_PID if known == JUNK_PID else person for person, known in labels.items()}
    pids = number_people(labels.values())
    return {person: pids[known] for person, known in labels.items()}


def _cameras(
    root: Path, pictures: list[_Picture], protocol: Protocol | None
) -> tuple[list[str | None], Protocol]:
    """The camera's name of each picture, and how to score them."""
    cameras = [picture.camera for picture in pictures]
    if not any(cameras):
        # Letters are weaker than numbers: only where every name has a word of a camera.
        words = [_WORD_IN_NAME.search(Path(picture.path).name) for picture in pictures[:1]]
        if all(words):
            words = [_WORD_IN_NAME.search(Path(picture.path).name) for picture in pictures]
        if all(words):
            cameras = [str(camera_of(word)) for word in words if word]
    with_camera = [picture for picture, camera in zip(pictures, cameras, strict=True) if camera]
    without = [picture for picture, camera in zip(pictures, cameras, strict=True) if not camera]
    if not with_camera:
        if protocol not in (None, Protocol.NO_CAMERA):
            raise DatasetError(
                f"{root}: no picture has a camera (a sub-folder per camera, or c<N> in the file name), so "
                f"the protocol {protocol.value!r} cannot be applied; use {Protocol.NO_CAMERA.value!r}"
            )
        return cameras, Protocol.NO_CAMERA
    if without and protocol is not Protocol.NO_CAMERA:
        raise DatasetError(
            f"{root}: {len(with_camera):,} pictures have a camera (e.g. {with_camera[0].path}) and "
            f"{len(without):,} have none (e.g. {without[0].path}). Name the camera in all of them, or ask "
            f"for the protocol {Protocol.NO_CAMERA.value!r}, which ignores cameras"
        )
    return cameras, CARD.protocol


READERS = (Reader(CARD, read),)

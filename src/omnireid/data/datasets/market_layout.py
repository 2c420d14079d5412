"""Anybody's data in the folders of Market-1501, the form that most tools of the field write."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from omnireid.core.errors import DatasetError
from omnireid.core.types import JUNK_PID, Dataset, Sample, SkippedFile
from omnireid.data.datasets.card import SPLITS, DatasetCard, Reader, ReadOptions
from omnireid.data.datasets.folders import (
    WRONG_NAME,
    is_picture_name,
    parse_market_name,
    read_folder,
    scan,
)
from omnireid.data.datasets.labels import (
    CAMERA_WORD,
    LARGEST,
    Label,
    camera_of,
    label,
    names_of,
    number_cameras,
    number_people,
)

FOLDERS = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}

CARD = DatasetCard(
    name="market-layout",
    title="any data in the folder layout of Market-1501",
    layout=(
        "{bounding_box_train,query,bounding_box_test}/<pid>_c<camera>….jpg\n"
        "Any number of people and cameras; a folder may be missing (its split is then empty).\n"
        "Pid −1 is junk, skipped and counted. Cameras count from 1, or from 0 where a c0 occurs.\n"
        "Where no name has two numbers: <person>_<camera>…, any name and a camera such as c1, cA, cam2 or\n"
        "cam-entrance. People with names are counted from 1 in their order, cameras with names from 0."
    ),
    licence="that of the data",
)

# "anna_c1_007.jpg", "0001_cA.jpg", "p-7_cam-entrance_3.jpg".
_NAMED = re.compile(rf"(.+?)_{CAMERA_WORD}", re.IGNORECASE)

_Parts = dict[str, tuple[list[Sample], list[SkippedFile]]]
_Parse = Callable[[str], tuple[Label, Label] | str]


def read(root: Path, options: ReadOptions) -> Dataset:
    """Read the three folders of `root`, as far as they are there.

    Raises:
        DatasetError: none of the folders exists, or none holds a picture that could be taken.
    """
    present = [name for name in FOLDERS.values() if (root / name).is_dir()]
    if not present:
        raise DatasetError(
            f"{root}: none of the folders {', '.join(FOLDERS.values())}. Expected:\n{CARD.layout}"
        )
    pid_names: dict[int, str] = {}
    camera_names: dict[int, str] = {}
    parts: _Parts = {split: read_folder(root / name, _parse) for split, name in FOLDERS.items()}
    numbers = [max(sample.pid, sample.camid) for samples, _ in parts.values() for sample in samples]
    if not numbers or max(numbers) >= LARGEST:
        parts, pid_names, camera_names = _read_labels(root, parse_market_name if numbers else _parse_named)
    cameras = {sample.camid for samples, _ in parts.values() for sample in samples}
    skipped = tuple(file for _, files in parts.values() for file in files)
    if not cameras:
        example = f", e.g. {skipped[0].path}: {skipped[0].reason}" if skipped else ""
        raise DatasetError(
            f"{root}: no picture taken, {len(skipped):,} files skipped{example}. Expected:\n{CARD.layout}"
        )
    if min(cameras) < 0:  # a c0: these cameras count from 0
        parts = {
            name: ([replace(sample, camid=sample.camid + 1) for sample in samples], files)
            for name, (samples, files) in parts.items()
        }
    return CARD.dataset(
        root,
        options,
        [parts[split][0] for split in SPLITS],
        skipped=skipped,
        pid_names=pid_names,
        camera_names=camera_names,
    )


def _read_labels(root: Path, parse: _Parse) -> tuple[_Parts, dict[int, str], dict[int, str]]:
    """The three folders where people or cameras have names, or numbers too large, to be counted."""
    names = (
        entry.name
        for folder in FOLDERS.values()
        if (root / folder).is_dir()
        for entry in scan(root / folder)
        if is_picture_name(entry.name)
    )
    labels = [parsed for parsed in map(parse, names) if not isinstance(parsed, str)]
    pids = number_people(person for person, _ in labels)
    camids = number_cameras(camera for person, camera in labels if person != JUNK_PID)

    def numbered(name: str) -> tuple[int, int] | str:
        parsed = parse(name)
        return parsed if isinstance(parsed, str) else (pids[parsed[0]], camids.get(parsed[1], 0) - 1)

    parts = {split: read_folder(root / name, numbered) for split, name in FOLDERS.items()}
    return parts, names_of(pids), names_of(camids)


def _parse(name: str) -> tuple[int, int] | str:
    parsed = parse_market_name(name)
    return parsed if isinstance(parsed, str) else (parsed[0], parsed[1] - 1)


def _parse_named(name: str) -> tuple[Label, Label] | str:
    match = _NAMED.match(name)
    return (label(match[1]), camera_of(match)) if match else WRONG_NAME


READERS = (Reader(CARD, read),)

"""PRID 2011, multi-shot (Hirzer et al., SCIA 2011): tracklets of 178 people in two outdoor cameras."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from omnireid.core.errors import DatasetError
from omnireid.core.types import Dataset
from omnireid.data.datasets.card import DatasetCard, Reader, ReadOptions, SplitCounts
from omnireid.data.datasets.folders import locate
from omnireid.data.datasets.partitions import DRAWN, drawn_order
from omnireid.data.datasets.sequences import CameraFolder, person_pid, read_camera, tracklets

CAMERAS = ("prid_2011/multi_shot/cam_a", "prid_2011/multi_shot/cam_b")
SPLITS = "splits_prid2011.json"
# Folders above this number are in both cameras too, but show other people in each.
NUM_SHARED_PIDS = 200
LEAST_FRAMES = 27

CARD = DatasetCard(
    name="prid2011",
    title="PRID 2011 multi-shot: 178 people, 356 tracklets, 2 cameras, 10 splits",
    layout=(
        "[prid2011/]prid_2011/multi_shot/{cam_a,cam_b}/person_0001/*.png\n"
        "[prid2011/]splits_prid2011.json, which torchreid hands out: ten times\n"
        '{"train": ["person_0004", …], "test": ["person_0001", …]}\n'
        "One folder is one tracklet. Queries are the tracklets of cam_a, the gallery those of cam_b."
    ),
    places=("prid2011", ""),
    markers=CAMERAS,
    archives=("prid_2011.zip",),
    counts={
        "train": SplitCounts(pids=89, cameras=2, tracklets=178),
        "query": SplitCounts(pids=89, cameras=1, tracklets=89),
        "gallery": SplitCounts(pids=89, cameras=1, tracklets=89),
    },
    num_splits=10,
    is_video=True,
    notes=(
        f"Folders up to {NUM_SHARED_PIDS} show the same person in both cameras, those above do not.\n"
        "torchreid's docstring counts these people; the field uses the 178 with long tracklets. Papers say\n"
        f"more than 21 frames; {LEAST_FRAMES} or more in both cameras is what leaves 178 by another\n"
        "implementation's count (21 or more: 183). Other folders are not used.\n"
        f"Without {SPLITS} the splits are drawn here, by the rule that the record names: they are not the\n"
        "published ones. Where to get the file: torchreid's page on datasets, section PRID2011.\n"
        "i-LIDS-VID comes with a train_test_splits_prid.mat; it is not read.\n"
        "torchreid numbers the people of each half from 0; pids here are the numbers of the folders. It\n"
        "lists frames in the order of the disk; here they are in the order of time."
    ),
    licence="Research only; the authors' terms come with the data.",
    ethics=(
        "Real people filmed in public streets, without being asked one by one. Use it for research on the\n"
        "method, do not publish faces, do not train products on it."
    ),
    citation=(
        "Hirzer et al., Person Re-Identification by Descriptive and Discriminative Classification, SCIA 2011."
    ),
    source="https://www.tugraz.at/institute/icg/research/team-bischof/lrs/downloads/PRID11/",
)


def read(root: Path, options: ReadOptions) -> Dataset:
    """Read one of ten splits: torchreid's where its file lies there, else one drawn here.

    Raises:
        DatasetError: a camera's folder is missing, the split file is damaged or names people who are not
            there, or nobody has tracklets long enough to draw from.
    """
    folder = locate(root, CARD, options)
    cameras = [read_camera(folder / name, camid) for camid, name in enumerate(CAMERAS)]
    path = folder / SPLITS
    if path.is_file():
        train, test = _published(path, options.split_id)
        origin = SPLITS
    else:
        train, test, origin = _drawn(cameras, options.split_id)
    query, gallery = cameras
    return CARD.dataset(
        folder,
        options,
        (
            tracklets(cameras, train, stated_in=origin),
            tracklets([query], test, stated_in=origin),
            tracklets([gallery], test, stated_in=origin),
        ),
        skipped=(file for camera in cameras for file in camera.skipped),
        origin=origin,
    )


def _published(path: Path, split_id: int) -> tuple[list[str], list[str]]:
    """Folder names of the people to train on and to test."""
    try:
        splits = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path}: cannot be read as JSON ({error}); fetch it again") from error
    if not isinstance(splits, list) or len(splits) != CARD.num_splits:
        content = f"{len(splits)} entries" if isinstance(splits, list) else type(splits).__name__
        raise DatasetError(
            f"{path}: expected a list of {CARD.num_splits} splits, found {content}; fetch it again"
        )
    train, test = (_names(path, splits[split_id], split_id, part) for part in ("train", "test"))
    if both := sorted(set(train) & set(test)):
        raise DatasetError(f"{path}: split {split_id} both trains on and tests {both[0]}; fetch it again")
    return train, test


def _names(path: Path, split: Any, split_id: int, part: str) -> list[str]:
    names = split.get(part) if isinstance(split, dict) else None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise DatasetError(f"{path}: split {split_id} has no list of folder names {part!r}; fetch it again")
    return names


def _drawn(cameras: list[CameraFolder], split_id: int) -> tuple[list[str], list[str], str]:
    """As `_published`, and where the split comes from."""
    first, other = (
        {person for person, frames in camera.frames.items() if len(frames) >= LEAST_FRAMES}
        for camera in cameras
    )
    shared = {person for person in first & other if person_pid(person) <= NUM_SHARED_PIDS}
    persons = drawn_order(shared, dataset=CARD.name, partition=split_id)
    if len(persons) < 2:
        raise DatasetError(
            f"{cameras[0].path.parent}: {len(persons)} persons with at least {LEAST_FRAMES} frames in both "
            f"cameras, so that no split can be drawn; unpack the archive again, or add {SPLITS}"
        )
    half = len(persons) // 2
    origin = f"{DRAWN}, of {len(persons)} persons with at least {LEAST_FRAMES} frames in both cameras"
    return persons[half:], persons[:half], origin


READERS = (Reader(CARD, read),)

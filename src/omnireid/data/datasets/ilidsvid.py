"""i-LIDS-VID (Wang et al., ECCV 2014): 300 people in an airport hall, a tracklet in each of two cameras."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from omnireid.core.arrays import Int64
from omnireid.core.errors import DatasetError
from omnireid.core.types import Dataset
from omnireid.data.datasets.card import DatasetCard, Reader, ReadOptions, SplitCounts
from omnireid.data.datasets.folders import locate
from omnireid.data.datasets.matlab import read_integers
from omnireid.data.datasets.sequences import CameraFolder, read_camera, tracklets

CAMERAS = ("i-LIDS-VID/sequences/cam1", "i-LIDS-VID/sequences/cam2")
SPLITS = "train-test people splits/train_test_splits_ilidsvid.mat"
SPLITS_VARIABLE = "ls_set"

CARD = DatasetCard(
    name="ilidsvid",
    title="i-LIDS-VID: 300 people, 600 tracklets, 2 cameras, 10 splits",
    layout=(
        "[ilids-vid/]i-LIDS-VID/sequences/{cam1,cam2}/person001/*.png\n"
        "[ilids-vid/]train-test people splits/train_test_splits_ilidsvid.mat\n"
        "One folder is one tracklet. The split file has a row for each of ten splits: the places of all\n"
        "300 persons in name order, counted from 1; the first 150 are tested, the others trained on.\n"
        "Queries are the tracklets of cam1, the gallery those of cam2."
    ),
    places=("ilids-vid", "iLIDS-VID", ""),
    markers=(*CAMERAS, SPLITS),
    archives=("iLIDS-VID.tar",),
    counts={
        "train": SplitCounts(pids=150, cameras=2, tracklets=300),
        "query": SplitCounts(pids=150, cameras=1, tracklets=150),
        "gallery": SplitCounts(pids=150, cameras=1, tracklets=150),
    },
    num_splits=10,
    is_video=True,
    notes=(
        "torchreid numbers the people of each half from 0; pids here are the numbers of the folders.\n"
        "It lists frames in the order of the disk, so frames taken evenly may be others there; here they\n"
        "are in the order of time.\n"
        "Results are means over the ten splits."
    ),
    licence="Research only; the terms of the i-LIDS footage (UK Home Office) apply.",
    ethics=(
        "Real people filmed by airport surveillance, without being asked one by one. Use it for research\n"
        "on the method, do not publish faces, do not train products on it."
    ),
    citation="Wang et al., Person Re-Identification by Video Ranking, ECCV 2014.",
    source="https://xiatian-zhu.github.io/downloads_qmul_iLIDS-VID_ReID_dataset.html",
)


def read(root: Path, options: ReadOptions) -> Dataset:
    """Read one of the ten splits.

    Raises:
        DatasetError: a folder or the split file is missing, the cameras show different people, or the split
            file is damaged or does not fit the folders.
        MissingExtraError: SciPy is not installed.
    """
    folder = locate(root, CARD, options)
    cameras = [read_camera(folder / name, camid) for camid, name in enumerate(CAMERAS)]
    persons = _persons(cameras)
    order = _splits(folder / SPLITS, len(persons))[options.split_id]
    test, train = ([persons[index - 1] for index in part] for part in np.split(order, [len(persons) // 2]))
    query, gallery = cameras
    return CARD.dataset(
        folder,
        options,
        (
            tracklets(cameras, train, stated_in=SPLITS),
            tracklets([query], test, stated_in=SPLITS),
            tracklets([gallery], test, stated_in=SPLITS),
        ),
        skipped=(file for camera in cameras for file in camera.skipped),
        origin=Path(SPLITS).name,
    )


def _persons(cameras: list[CameraFolder]) -> list[str]:
    """Folder names in order: what the split file counts."""
    first, other = (set(camera.frames) for camera in cameras)
    if first != other:
        only = sorted(first ^ other)
        raise DatasetError(
            f"{cameras[0].path.parent}: {only[0]} is in one camera only ({len(only)} such folders), but "
            "everybody is seen by both; unpack the archive again"
        )
    return sorted(first)


def _splits(path: Path, num_persons: int) -> Int64:
    """(10, num_persons) int64, each row a permutation of 1…num_persons."""
    order = read_integers(path, SPLITS_VARIABLE)
    expected = (CARD.num_splits, num_persons)
    if order.shape != expected:
        raise DatasetError(
            f"{path}: {SPLITS_VARIABLE} has the shape {order.shape}, but {CARD.num_splits} splits of the "
            f"{num_persons} person folders make {expected}; is a folder missing?"
        )
    everybody = np.arange(1, num_persons + 1)
    for index, row in enumerate(order):
        if not np.array_equal(np.sort(row), everybody):
            raise DatasetError(f"{path}: split {index} does not name each of 1 to {num_persons} once")
    return order


READERS = (Reader(CARD, read),)

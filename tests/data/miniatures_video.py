"""Miniatures of the video benchmarks, in the layout of their archives, with tiny pictures.

The constants say what each holds, so that a test can work out by itself what a reader should find.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from data.miniatures_small import write_picture

Track = tuple[int, int, int]  # pid, camera from 1, frames

MARS_TRAIN: tuple[Track, ...] = ((1, 1, 3), (1, 1, 2), (1, 4, 5), (3, 2, 1), (3, 6, 4), (11, 5, 2))
MARS_TEST: tuple[Track, ...] = (
    (-1, 1, 2),
    (-1, 3, 1),
    (0, 2, 3),
    (0, 5, 2),
    (0, 5, 1),
    (2, 1, 4),
    (2, 1, 2),
    (2, 3, 3),
    (2, 6, 2),
    (4, 2, 2),
    (4, 5, 3),
    (6, 3, 2),
    (6, 3, 1),
    (8, 4, 2),
)
MARS_QUERIES = (6, 8, 11, 12, 14)  # rows of MARS_TEST, from 1: pid 6 has no other camera, pid 8 no gallery

ILIDSVID_PIDS = (1, 2, 3, 8, 11, 119, 200, 271, 300, 317, 318, 319)
ILIDSVID_SPLITS = np.stack([np.random.default_rng(k).permutation(12) + 1 for k in range(10)])

PRID2011_BOTH = tuple(range(1, 9))
PRID2011_ONLY_B = (201, 749)
PRID2011_SPLITS = tuple(
    {
        "test": [f"person_{(k + j) % 7 + 1:04d}" for j in range(3)],
        "train": [f"person_{(k + j) % 7 + 1:04d}" for j in range(3, 6)],
    }
    for k in range(10)
)

# Split → (pid, tracklet folder, camera from 1, numbers of the frames).
DUKE_VIDEO = {
    "train": ((1, "0001", 6, (1, 2, 3)), (1, "0002", 2, (2, 3)), (7, "0001", 8, (1,))),
    "query": ((2, "0001", 1, (1, 2)), (5, "0003", 3, (1, 2, 10))),
    "gallery": (
        (2, "0002", 4, (1, 2)),
        (2, "0003", 1, (1,)),
        (5, "0001", 7, (1, 2)),
        (7139, "0001", 4, (1, 2)),
        (7140, "2193", 2, (1, 2, 3)),
    ),
}


def build_mars(root: Path) -> None:
    folder = root / "mars"
    write_mars_info(folder, MARS_TRAIN, MARS_TEST, MARS_QUERIES)
    for part, tracks in (("train", MARS_TRAIN), ("test", MARS_TEST)):
        for name in mars_names(tracks):
            write_picture(folder / f"bbox_{part}" / name[:4] / name)


def mars_names(tracks: Sequence[Track]) -> list[str]:
    """The lines of a list of names: every frame of every track, one after the other."""
    names = []
    seen: dict[tuple[int, int], int] = {}
    for pid, camera, num_frames in tracks:
        seen[pid, camera] = tracklet = seen.get((pid, camera), 0) + 1
        person = "00-1" if pid == -1 else f"{pid:04d}"
        names += [f"{person}C{camera}T{tracklet:04d}F{frame:03d}.jpg" for frame in range(1, num_frames + 1)]
    return names


def write_mars_info(
    folder: Path, train: Sequence[Track], test: Sequence[Track], queries: Sequence[int]
) -> None:
    from scipy.io import savemat

    info = folder / "info"
    info.mkdir(parents=True, exist_ok=True)
    for part, tracks in (("train", train), ("test", test)):
        (info / f"{part}_name.txt").write_text("".join(f"{name}\n" for name in mars_names(tracks)))
        last = np.cumsum([num_frames for *_, num_frames in tracks])
        table = [
            (end - num_frames + 1, end, pid, camera)
            for end, (pid, camera, num_frames) in zip(last, tracks, strict=True)
        ]
        savemat(info / f"tracks_{part}_info.mat", {f"track_{part}_info": np.array(table, np.float64)})
    savemat(info / "query_IDX.mat", {"query_IDX": np.array([queries], np.float64)})


def ilidsvid_frames(pid: int, camera: int) -> int:
    return 1 + (pid + 2 * camera) % 4


def build_ilidsvid(root: Path) -> None:
    folder = root / "ilids-vid"
    for camera in (1, 2):
        for pid in ILIDSVID_PIDS:
            for frame in range(ilidsvid_frames(pid, camera)):
                name = f"cam{camera}_person{pid:03d}_{95 + 5 * frame:05d}.png"
                write_picture(
                    folder / "i-LIDS-VID" / "sequences" / f"cam{camera}" / f"person{pid:03d}" / name
                )
    write_ilidsvid_splits(folder, ILIDSVID_SPLITS)


def write_ilidsvid_splits(folder: Path, splits: np.ndarray) -> None:
    from scipy.io import savemat

    path = folder / "train-test people splits" / "train_test_splits_ilidsvid.mat"
    path.parent.mkdir(exist_ok=True)
    savemat(path, {"ls_set": splits.astype(np.float64)})


def prid2011_frames(pid: int, camera: str) -> int:
    return 1 + (pid + len(camera)) % 3


def build_prid2011(root: Path) -> None:
    folder = root / "prid2011"
    for camera, pids in (("cam_a", PRID2011_BOTH), ("cam_b", PRID2011_BOTH + PRID2011_ONLY_B)):
        for pid in pids:
            person = folder / "prid_2011" / "multi_shot" / camera / f"person_{pid:04d}"
            for frame in range(prid2011_frames(pid, camera)):
                write_picture(person / f"{frame + 1:04d}.png")
    (folder / "splits_prid2011.json").write_text(json.dumps(PRID2011_SPLITS))


def duke_frame(pid: int, camera: int, frame: int) -> str:
    """Person 5 in the names of the first release, the others in those of the second."""
    later = f"{pid:04d}_C{camera}_F{frame:04d}_X{30800 + 12 * frame}.jpg"
    return later.replace("_", "") if pid == 5 else later


def build_dukemtmcvidreid(root: Path) -> None:
    folder = root / "dukemtmc-vidreid" / "DukeMTMC-VideoReID"
    for split, tracklets in DUKE_VIDEO.items():
        for pid, tracklet, camera, frames in tracklets:
            for frame in frames:
                write_picture(folder / split / f"{pid:04d}" / tracklet / duke_frame(pid, camera, frame))

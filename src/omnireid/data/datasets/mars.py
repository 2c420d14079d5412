"""MARS (Zheng et al., ECCV 2016): 1,259 people, six cameras, 1.19 million frames in 20,478 tracklets."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np

from omnireid.core.arrays import Int64
from omnireid.core.errors import DatasetError
from omnireid.core.types import JUNK_PID, Dataset, Sample, SkippedFile
from omnireid.data.datasets.card import DatasetCard, Reader, ReadOptions, SplitCounts
from omnireid.data.datasets.folders import JUNK, locate, scan
from omnireid.data.datasets.matlab import read_integers

TRAIN, TEST = "bbox_train", "bbox_test"
TRAIN_NAMES, TEST_NAMES = "info/train_name.txt", "info/test_name.txt"
TRAIN_TRACKS, TEST_TRACKS = "info/tracks_train_info.mat", "info/tracks_test_info.mat"
QUERIES = "info/query_IDX.mat"

# "0065C1T0002F0016.jpg": pid, camera, tracklet, frame. Junk is written "00-1".
_FRAME_NAME = re.compile(r"(?:[0-9]{4}|00-1)C[1-6]T[0-9]+F[0-9]+\.jpg")

NUM_CAMERAS = 6

CARD = DatasetCard(
    name="mars",
    title="MARS: 1,259 people, 20,478 tracklets, 6 cameras",
    layout=(
        "[mars/]{bbox_train,bbox_test}/<pid>/0065C1T0002F0016.jpg: pid, camera 1–6, tracklet, frame\n"
        "[mars/]info/{train_name.txt,test_name.txt,tracks_train_info.mat,tracks_test_info.mat,\n"
        "query_IDX.mat}, from https://github.com/liangzheng06/MARS-evaluation\n"
        "A track is a row of first and last line (of the list of names, from 1), pid and camera.\n"
        "Pid −1 (folder 00-1) is junk, skipped and counted; pid 0 a distractor, kept in the gallery."
    ),
    places=("mars", "MARS", ""),
    markers=(TRAIN, TEST, TRAIN_NAMES, TEST_NAMES, TRAIN_TRACKS, TEST_TRACKS, QUERIES),
    archives=("bbox_train.zip", "bbox_test.zip"),
    # Counted in the benchmark's own tables.
    counts={
        "train": SplitCounts(images=509_914, pids=625, cameras=6, tracklets=8_298),
        "query": SplitCounts(images=114_493, pids=626, cameras=6, tracklets=1_980),
        "gallery": SplitCounts(images=543_216, pids=621, cameras=6, tracklets=9_330),  # with the distractor 0
    },
    is_video=True,
    distractor_pids=frozenset({0}),
    notes=(
        "870 junk tracklets are skipped, 3,248 of distractors stay in the gallery. 14 people among the\n"
        "queries are not in the gallery, and 140 queries have no match in another camera: they enter no\n"
        "mean.\n"
        "1,980 queries by the benchmark's file; a paper on re-ranking writes 2,009. The usual 1,261 people\n"
        "count the labels 0 and −1 too: there are 625 to train on and 634 to test.\n"
        "The benchmark's own Matlab code takes the trapezoid for AP, so its mAP differs slightly from ours."
    ),
    licence="Research only; the authors' terms come with the data.",
    ethics=(
        "Real people filmed in public on a campus, without being asked one by one. Use it for research\n"
        "on the method, do not publish faces, do not train products on it."
    ),
    citation="Zheng et al., MARS: A Video Benchmark for Large-Scale Person Re-identification, ECCV 2016.",
    source="http://www.liangzheng.com.cn/Project/project_mars.html",
)


def read(root: Path, options: ReadOptions) -> Dataset:
    """Read the tracklets that the tables in `info/` name.

    Frames are taken from the lists of names; that each file is there is for `validate` to find out.

    Raises:
        DatasetError: a folder or table is missing or damaged, a track does not fit the list of names, or the
            frames of a track show another person or camera than it states.
        MissingExtraError: SciPy is not installed.
    """
    folder = locate(root, CARD, options)
    train = _read_part(folder, TRAIN, TRAIN_NAMES, TRAIN_TRACKS, "track_train_info")
    test = _read_part(folder, TEST, TEST_NAMES, TEST_TRACKS, "track_test_info")
    queries = _query_rows(folder / QUERIES, len(test))
    query = [sample for row, sample in enumerate(test) if row in queries]
    gallery = [sample for row, sample in enumerate(test) if row not in queries]
    return CARD.dataset(
        folder,
        options,
        [(sample for sample in part if sample.pid != JUNK_PID) for part in (train, query, gallery)],
        skipped=(
            SkippedFile(tracklet.path, JUNK) for tracklet in (*train, *test) if tracklet.pid == JUNK_PID
        ),
    )


def _read_part(folder: Path, pictures: str, names_file: str, tracks_file: str, variable: str) -> list[Sample]:
    """A sample for each row of a table of tracks, junk among them."""
    names = _read_names(folder / names_file)
    tracks = _read_tracks(folder / tracks_file, variable, len(names), names_file)
    samples = []
    for row, (first, last, pid, camera) in enumerate(tracks.tolist()):
        shown = names[first - 1 : last]
        person = "00-1" if pid == JUNK_PID else f"{pid:04d}"
        start = f"{person}C{camera}"
        other = next((name for name in shown if not name.startswith(start)), None)
        if other is not None:
            raise DatasetError(
                f"{folder / tracks_file}: row {row + 1} says pid {pid}, camera {camera}, but its frame "
                f"{other} ({names_file}, lines {first} to {last}) shows another; the two files do not belong "
                "together, fetch both again"
            )
        frames = tuple(f"{folder}{os.sep}{pictures}{os.sep}{person}{os.sep}{name}" for name in shown)
        samples.append(Sample(frames[0], pid, camera - 1, frames=frames))
    _check_folders(
        folder / pictures, {Path(sample.path).parent.name for sample in samples if sample.pid != JUNK_PID}
    )
    return samples


def _read_names(path: Path) -> list[str]:
    try:
        names = [line.strip() for line in path.read_text(encoding="utf-8").rstrip().splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path}: cannot be read ({error}); fetch it again") from error
    for line, name in enumerate(names, 1):
        if not _FRAME_NAME.fullmatch(name):
            raise DatasetError(
                f"{path}: line {line}: expected a name like 0065C1T0002F0016.jpg, got {name[:80]!r}; "
                "fetch the file again"
            )
    return names


def _read_tracks(path: Path, variable: str, num_names: int, names_file: str) -> Int64:
    """(T, 4) int64: first line, last line (from 1), pid, camera (from 1)."""
    tracks = read_integers(path, variable)
    if tracks.ndim != 2 or tracks.shape[1] != 4:
        raise DatasetError(
            f"{path}: {variable} has the shape {tracks.shape}, expected (tracks, 4); fetch it again"
        )
    first, last, pid, camera = tracks.T
    is_good = (first >= 1) & (last >= first) & (last <= num_names) & (pid >= JUNK_PID)
    is_good &= (camera >= 1) & (camera <= NUM_CAMERAS)
    if not is_good.all():
        row = int(np.flatnonzero(~is_good)[0])
        raise DatasetError(
            f"{path}: row {row + 1} ({', '.join(map(str, tracks[row]))}) is no track: first and last line in "
            f"{names_file}, which has {num_names:,}, then pid and camera 1–{NUM_CAMERAS}. "
            "The two files do not belong together, fetch both again"
        )
    return tracks


def _query_rows(path: Path, num_tracks: int) -> frozenset[int]:
    """Rows of the test tracks that are queries, counted from 0."""
    numbers = read_integers(path, "query_IDX").ravel()
    outside = numbers[(numbers < 1) | (numbers > num_tracks)]
    if outside.size:
        raise DatasetError(
            f"{path}: query {outside[0]} is none of the {num_tracks:,} tracks in {TEST_TRACKS}; "
            "fetch both again"
        )
    return frozenset((numbers - 1).tolist())


def _check_folders(folder: Path, wanted: set[str]) -> None:
    missing = sorted(wanted - {entry.name for entry in scan(folder)})
    if missing:
        raise DatasetError(
            f"{folder}: {len(missing):,} of {len(wanted):,} persons' folders are missing, the first "
            f"{missing[0]}; unpack {folder.name}.zip again"
        )


READERS = (Reader(CARD, read),)

"""DukeMTMC-VideoReID (Wu et al., CVPR 2018): tracklets of 1,812 people from eight cameras. Withdrawn."""

from __future__ import annotations

import re
from pathlib import Path

from omnireid.core.errors import DatasetError
from omnireid.core.types import Dataset, Sample, SkippedFile
from omnireid.data.datasets.card import SPLITS, DatasetCard, Reader, ReadOptions, SplitCounts
from omnireid.data.datasets.folders import NO_PICTURE, is_picture_name, locate, scan

# "0001_C6_F0099_X30823.jpg", and in the first release "0001C6F0099X30823.jpg": pid, camera, place in the
# tracklet, frame of the film.
_PERSON = re.compile(r"[0-9]{1,9}")
_FRAME_NAME = re.compile(r"([0-9]+)_?C([1-8])_?F([0-9]+)_?X[0-9]+\.jpg", re.IGNORECASE)

CARD = DatasetCard(
    name="dukemtmcvidreid",
    title="DukeMTMC-VideoReID: 1,404 people and 408 distractors, 5,534 tracklets, 8 cameras (withdrawn)",
    layout=(
        "[dukemtmc-vidreid/][DukeMTMC-VideoReID/]{train,query,gallery}/<pid>/<tracklet>/*.jpg\n"
        "0001_C6_F0099_X30823.jpg, or as first published 0001C6F0099X30823.jpg: pid, camera 1–8, place in\n"
        "the tracklet, frame of the film."
    ),
    places=("dukemtmc-vidreid/DukeMTMC-VideoReID", "DukeMTMC-VideoReID", "dukemtmc-vidreid", ""),
    markers=SPLITS,
    archives=("DukeMTMC-VideoReID.zip",),
    counts={
        "train": SplitCounts(pids=702, tracklets=2_196),
        "query": SplitCounts(pids=702, tracklets=702),
        "gallery": SplitCounts(pids=1_110, tracklets=2_636),  # 702 people and 408 distractors
    },
    is_video=True,
    notes=(
        "The 408 distractors have pids of their own, which no query has.\n"
        "The authors' page counts 2,636 test tracklets and their answers call that query and gallery\n"
        "together; the folders, as others print them, hold 2,636 in the gallery and 702 in query.\n"
        "torchreid looks for the frames F0001 to F<number of files>, so a tracklet that starts at F0002\n"
        "loses its last frame there; here every frame is read, in the order of F."
    ),
    licence="Withdrawn by its authors in June 2019; no licence is given any more.",
    ethics=(
        "Students filmed on a campus without their consent, which is why the university took the data back.\n"
        "Do not pass it on; cite results on it only where a comparison with older work cannot do without."
    ),
    citation=(
        "Ristani et al., Performance Measures and a Data Set for Multi-Target, Multi-Camera Tracking, "
        "ECCVW 2016; Wu et al., Exploit the Unknown Gradually: One-Shot Video-Based Person Re-Identification "
        "by Stepwise Learning, CVPR 2018."
    ),
    source="https://github.com/Yu-Wu/DukeMTMC-VideoReID",
)


def read(root: Path, options: ReadOptions) -> Dataset:
    """Read the three folders.

    Raises:
        DatasetError: a folder is missing, or a tracklet shows two cameras or another person than its folder.
    """
    folder = locate(root, CARD, options)
    skipped: list[SkippedFile] = []
    splits = [_read_split(folder / name, skipped) for name in SPLITS]
    return CARD.dataset(folder, options, splits, skipped=skipped)


def _read_split(folder: Path, skipped: list[SkippedFile]) -> list[Sample]:
    samples: list[Sample] = []
    for person in scan(folder):
        if not person.is_dir() or not _PERSON.fullmatch(person.name):
            skipped.append(SkippedFile(person.path, "not a person's folder (a number)"))
            continue
        for tracklet in scan(Path(person.path)):
            if not tracklet.is_dir():
                skipped.append(SkippedFile(tracklet.path, "not a tracklet's folder"))
                continue
            sample = _read_tracklet(Path(tracklet.path), int(person.name), skipped)
            if sample is not None:
                samples.append(sample)
    return samples


def _read_tracklet(folder: Path, pid: int, skipped: list[SkippedFile]) -> Sample | None:
    frames: list[tuple[int, str]] = []
    shown: dict[tuple[int, int], str] = {}
    for file in scan(folder):
        match = _FRAME_NAME.fullmatch(file.name)
        if match is not None:
            frames.append((int(match[3]), file.path))
            shown[int(match[1]), int(match[2])] = file.name
        elif is_picture_name(file.name):
            reason = "the name is not <pid>_C<camera 1–8>_F<frame>_X<frame>.jpg"
            skipped.append(SkippedFile(file.path, reason))
        else:
            skipped.append(SkippedFile(file.path, NO_PICTURE))
    if not frames:
        skipped.append(SkippedFile(str(folder), "no frame in this folder"))
        return None
    if len(shown) > 1 or next(iter(shown))[0] != pid:
        raise DatasetError(
            f"{folder}: a tracklet shows person {pid} in one camera, but it holds "
            f"{', '.join(shown.values())}; unpack the archive again"
        )
    frames.sort()
    (_, camera), *_ = shown
    paths = tuple(path for _, path in frames)
    return Sample(paths[0], pid, camera - 1, frames=paths)


READERS = (Reader(CARD, read),)

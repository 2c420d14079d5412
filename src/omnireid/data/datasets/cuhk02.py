"""CUHK02 (Li and Wang, CVPR 2013): 1,816 people in five pairs of cameras, each pair with its own people.

One fixed partition: the pairs P1 to P4 train (1,577 people), P5 tests (239 people): its first camera is
searched in its second.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

from omnireid.core.types import Dataset, Sample, SkippedFile
from omnireid.data.datasets.card import TOTAL, DatasetCard, Reader, ReadOptions, SplitCounts
from omnireid.data.datasets.folders import locate, read_folder

PAIRS = ("P1", "P2", "P3", "P4", "P5")
CAMERAS = ("cam1", "cam2")
PER_PAIR = 10_000

CARD = DatasetCard(
    name="cuhk02",
    title="CUHK02: 1,816 people, 5 pairs of cameras",
    layout=(
        "[cuhk02/][Dataset/]P{1,2,3,4,5}/{cam1,cam2}/*.png\n"
        "001_1.png: number of the person within the pair, then anything.\n"
        "Each pair numbers its people from the start, so person 17 of P3 becomes pid 30017.\n"
        "Cameras 0 and 1 are those of P1, … 8 and 9 those of P5."
    ),
    places=("cuhk02/Dataset", "Dataset", "cuhk02", ""),
    markers=PAIRS,
    counts={
        "train": SplitCounts(pids=1_577, cameras=8),  # 971 + 306 + 107 + 193
        "query": SplitCounts(pids=239, cameras=1),
        "gallery": SplitCounts(pids=239, cameras=1),
        TOTAL: SplitCounts(pids=1_816, cameras=10),
    },
    notes=(
        "P1 to P5 hold 971, 306, 107, 193 and 239 people. P5 alone tests; to train on all 1,816 people,\n"
        "let query and gallery join the training split (combineall).\n"
        "CUHK01 and CUHK02 share people: do not train on one and test on the other."
    ),
    licence="None known to us. Treat it as research only and ask the authors.",
    ethics=(
        "Real people filmed on a campus, without being asked one by one. Not withdrawn as far as we know.\n"
        "Use it for research on the method, do not publish faces, do not train products on it."
    ),
    citation=(
        "Li and Wang, Locally Aligned Feature Transforms across Views, IEEE Conference on Computer Vision "
        "and Pattern Recognition (CVPR), 2013."
    ),
    source="http://www.ee.cuhk.edu.hk/~xgwang/CUHK_identification.html",
)

_NAME = re.compile(r"0*([0-9]{1,4})_.*\.png", re.IGNORECASE)


def read(root: Path, options: ReadOptions) -> Dataset:
    """Read the five pairs.

    Raises:
        DatasetError: the folder of a pair is missing; names it and the layout.
    """
    folder = locate(root, CARD, options)
    cameras: list[list[Sample]] = []
    skipped: list[SkippedFile] = []
    for number, pair in enumerate(PAIRS, start=1):
        for camera in CAMERAS:
            parse = partial(_parse, number, len(cameras))
            samples, not_taken = read_folder(folder / pair / camera, parse)
            cameras.append(samples)
            skipped += not_taken
    *train, query, gallery = cameras
    return CARD.dataset(
        folder,
        options,
        ((sample for samples in train for sample in samples), query, gallery),
        skipped=skipped,
    )


def _parse(pair: int, camid: int, name: str) -> tuple[int, int] | str:
    match = _NAME.fullmatch(name)
    return (pair * PER_PAIR + int(match[1]), camid) if match else "the name is not <person>_….png"


READERS = (Reader(CARD, read),)

"""VIPeR (Gray et al., PETS 2007): 632 people, two views, one picture of everybody in each.

Partitions: ten times, half of the people are drawn to train on (both pictures), and the other half is
scored in both directions: an even `split_id` searches view A in view B, an odd one view B in view A. One
model serves both directions of a draw, because they share their training people.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

from omnireid.core.types import Dataset
from omnireid.data.datasets.card import TOTAL, DatasetCard, Reader, ReadOptions, SplitCounts
from omnireid.data.datasets.folders import locate, read_folder
from omnireid.data.datasets.partitions import DRAWN, draw_two_views

VIEWS = ("cam_a", "cam_b")

CARD = DatasetCard(
    name="viper",
    title="VIPeR: 632 people, 2 views, one picture in each",
    layout=(
        "[viper/][VIPeR/]{cam_a,cam_b}/*.bmp\n"
        "000_45.bmp: pid, then the viewing angle in degrees. Pid 000 is a person like any other.\n"
        "Camera 0 is cam_a, camera 1 is cam_b."
    ),
    places=("viper/VIPeR", "VIPeR", "viper", ""),
    markers=VIEWS,
    archives=("VIPeR.v1.0.zip",),
    counts={
        "train": SplitCounts(images=632, pids=316, cameras=2),
        "query": SplitCounts(images=316, pids=316, cameras=1),
        "gallery": SplitCounts(images=316, pids=316, cameras=1),
        TOTAL: SplitCounts(images=1_264, pids=632, cameras=2),
    },
    num_splits=20,
    notes=(
        "10 draws in two directions each: split 2k searches view A in view B, split 2k + 1 the reverse.\n"
        "The OSNet paper's table counts 632 query and 632 gallery pictures, both views of the 316 test\n"
        "people; each direction scores 316 against 316. The draws behind published numbers were never\n"
        "stored in one place, so compare the mean over all 20 splits."
    ),
    licence="None is stated with the archive. Treat it as research only and ask the authors.",
    ethics=(
        "Real people photographed on a campus, without being asked one by one. Not withdrawn as far as we\n"
        "know. Use it for research on the method, do not publish faces, do not train products on it."
    ),
    citation=(
        "Gray, Brennan and Tao, Evaluating Appearance Models for Recognition, Reacquisition, and Tracking, "
        "IEEE International Workshop on Performance Evaluation for Tracking and Surveillance (PETS), 2007."
    ),
    source="https://vision.soe.ucsc.edu/node/178",
)

_NAME = re.compile(r"([0-9]{3})_[0-9]+\.bmp", re.IGNORECASE)


def read(root: Path, options: ReadOptions) -> Dataset:
    """Read one direction of one draw. A person's two pictures share the number in their names.

    Raises:
        DatasetError: one of the two folders is missing; names it and the layout.
    """
    folder = locate(root, CARD, options)
    views = [read_folder(folder / name, partial(_parse, camid)) for camid, name in enumerate(VIEWS)]
    samples = [sample for taken, _ in views for sample in taken]
    train, query, gallery = draw_two_views(samples, dataset=CARD.name, split_id=options.split_id)
    return CARD.dataset(
        folder,
        options,
        (train, query, gallery),
        skipped=(file for _, skipped in views for file in skipped),
        origin=DRAWN,
    )


def _parse(camid: int, name: str) -> tuple[int, int] | str:
    match = _NAME.fullmatch(name)
    return (int(match[1]), camid) if match else "the name is not <pid>_<angle>.bmp"


READERS = (Reader(CARD, read),)

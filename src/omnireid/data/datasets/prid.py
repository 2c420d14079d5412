"""PRID, the single-shot half of PRID 2011 (Hirzer et al., SCIA 2011): two cameras over a street.

Camera A sees 385 people, camera B 749; 200 people, numbers 1 to 200, are seen by both.

Partitions: ten times, 100 of those 200 are drawn to train on, with both pictures. The other 100 are searched
by their picture of camera A in camera B, among its 549 people who are never searched for (201 to 749). The
185 people whom camera A alone sees are in no split; their numbers do not mean those of camera B.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

from omnireid.core.types import Dataset
from omnireid.data.datasets.card import TOTAL, DatasetCard, Reader, ReadOptions, SplitCounts
from omnireid.data.datasets.folders import locate, outside, read_folder
from omnireid.data.datasets.partitions import DRAWN, drawn_order

VIEWS = ("cam_a", "cam_b")
NUM_PIDS = {"cam_a": 385, "cam_b": 749}
NUM_IN_BOTH = 200

CARD = DatasetCard(
    name="prid",
    title="PRID, single shot: 200 people in 2 cameras, 549 distractors",
    layout=(
        "[prid2011/][prid_2011/][single_shot/]{cam_a,cam_b}/*.png\n"
        "person_0001.png: pid; 1–200 are in both folders.\n"
        "201–749 of cam_b are distractors (kept in the gallery); those above 200 of cam_a are other people,\n"
        "whom the protocol has no place for. Camera 0 is cam_a, camera 1 is cam_b."
    ),
    places=("prid2011/prid_2011/single_shot", "prid_2011/single_shot", "single_shot", ""),
    markers=VIEWS,
    archives=("prid_2011.zip",),
    counts={
        "train": SplitCounts(images=200, pids=100, cameras=2),
        "query": SplitCounts(images=100, pids=100, cameras=1),
        "gallery": SplitCounts(images=649, pids=649, cameras=1),
        TOTAL: SplitCounts(images=1_134, cameras=2),
    },
    num_splits=10,
    distractor_pids=frozenset(range(NUM_IN_BOTH + 1, NUM_PIDS["cam_b"] + 1)),
    notes=(
        "The draws behind published numbers were never stored in one place, so compare the mean over all\n"
        "10 splits. The archive's other half, multi_shot, is the video benchmark PRID2011."
    ),
    licence="None known to us. Treat it as research only and ask the authors.",
    ethics=(
        "Real people filmed from above a street, without being asked. Not withdrawn as far as we know. Use\n"
        "it for research on the method, do not publish faces, do not train products on it."
    ),
    citation=(
        "Hirzer, Beleznai, Roth and Bischof, Person Re-identification by Descriptive and Discriminative "
        "Classification, Scandinavian Conference on Image Analysis (SCIA), 2011."
    ),
    source="https://www.tugraz.at/institute/icg/research/team-bischof/lrs/downloads/PRID11/",
)

_NAME = re.compile(r"person_([0-9]{4})\.png", re.IGNORECASE)


def read(root: Path, options: ReadOptions) -> Dataset:
    """Read one draw; the people whom camera A alone sees are `unused`.

    Raises:
        DatasetError: one of the two folders is missing; names it and the layout.
    """
    folder = locate(root, CARD, options)
    (view_a, skipped_a), (view_b, skipped_b) = (
        read_folder(folder / name, partial(_parse, NUM_PIDS[name], camid)) for camid, name in enumerate(VIEWS)
    )
    in_both = {sample.pid for sample in (*view_a, *view_b) if sample.pid <= NUM_IN_BOTH}
    pids = drawn_order(in_both, dataset=CARD.name, partition=options.split_id)
    in_training = set(pids[: len(pids) // 2])
    in_test = in_both - in_training
    return CARD.dataset(
        folder,
        options,
        (
            (sample for sample in (*view_a, *view_b) if sample.pid in in_training),
            (sample for sample in view_a if sample.pid in in_test),
            (sample for sample in view_b if sample.pid not in in_training),
        ),
        skipped=(*skipped_a, *skipped_b),
        unused=tuple(sample for sample in view_a if sample.pid not in in_both),
        origin=DRAWN,
    )


def _parse(num_pids: int, camid: int, name: str) -> tuple[int, int] | str:
    match = _NAME.fullmatch(name)
    if match is None:
        return "the name is not person_<four digits of pid>.png"
    pid = int(match[1])
    return outside("pid", pid, 1, num_pids) or (pid, camid)


READERS = (Reader(CARD, read),)

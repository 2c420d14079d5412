"""CUHK01 (Li et al., ACCV 2012): 971 people, two views, two pictures of everybody in each.

Partitions: ten times, half of the people (485 of 971) are drawn to train on, and the others are scored in
both directions: an even `split_id` searches view A (pictures 1 and 2) in view B (3 and 4), an odd one the
reverse. All pictures of a view are used, so that every query has two matches.
"""

from __future__ import annotations

import re
from pathlib import Path

from omnireid.core.types import Dataset
from omnireid.data.datasets.card import TOTAL, DatasetCard, Reader, ReadOptions, SplitCounts
from omnireid.data.datasets.folders import locate, outside, read_folder
from omnireid.data.datasets.partitions import DRAWN, draw_two_views

FOLDER = "campus"
NUM_PIDS = 971
NUM_PICTURES = 4

CARD = DatasetCard(
    name="cuhk01",
    title="CUHK01: 971 people, 2 views, two pictures in each",
    layout=(
        "[cuhk01/]campus/*.png\n"
        "0001003.png: four digits of pid (1–971), three of the picture (1–4).\n"
        "Pictures 1 and 2 are view A (camera 0), pictures 3 and 4 view B (camera 1)."
    ),
    places=("cuhk01", "CUHK01", ""),
    markers=(FOLDER,),
    archives=("CUHK01.zip",),
    # 3,884 pictures of 971 people, at most four each by their names, are exactly four of everybody: hence
    # the sizes of the splits.
    counts={
        "train": SplitCounts(images=1_940, pids=485, cameras=2),
        "query": SplitCounts(images=972, pids=486, cameras=1),
        "gallery": SplitCounts(images=972, pids=486, cameras=1),
        TOTAL: SplitCounts(images=3_884, pids=971, cameras=2),
    },
    num_splits=20,
    notes=(
        "10 draws in two directions each: split 2k searches view A in view B, split 2k + 1 the reverse.\n"
        "torchreid's text says 4 cameras, its code and this reader take 2 views. Some papers train on 871\n"
        "people and test on 100, or keep one gallery picture of each: not comparable with this protocol.\n"
        "CUHK01 and CUHK02 share people: do not train on one and test on the other."
    ),
    licence="None known to us. Treat it as research only and ask the authors.",
    ethics=(
        "Real people filmed on a campus, without being asked one by one. Not withdrawn as far as we know.\n"
        "Use it for research on the method, do not publish faces, do not train products on it."
    ),
    citation=(
        "Li, Zhao and Wang, Human Reidentification with Transferred Metric Learning, "
        "Asian Conference on Computer Vision (ACCV), 2012."
    ),
    source="http://www.ee.cuhk.edu.hk/~xgwang/CUHK_identification.html",
)

_NAME = re.compile(r"([0-9]{4})([0-9]{3})\.png", re.IGNORECASE)


def read(root: Path, options: ReadOptions) -> Dataset:
    """Read one direction of one draw.

    Raises:
        DatasetError: the folder `campus` is missing; says which archive lies there instead.
    """
    folder = locate(root, CARD, options)
    samples, skipped = read_folder(folder / FOLDER, _parse)
    train, query, gallery = draw_two_views(samples, dataset=CARD.name, split_id=options.split_id)
    return CARD.dataset(folder, options, (train, query, gallery), skipped=skipped, origin=DRAWN)


def _parse(name: str) -> tuple[int, int] | str:
    match = _NAME.fullmatch(name)
    if match is None:
        return "the name is not <four digits of pid><three of the picture>.png"
    pid, picture = int(match[1]), int(match[2])
    wrong = outside("pid", pid, 1, NUM_PIDS) or outside("picture", picture, 1, NUM_PICTURES)
    return wrong or (pid, (picture - 1) // 2)


READERS = (Reader(CARD, read),)

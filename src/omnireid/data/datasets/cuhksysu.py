"""CUHK-SYSU (Xiao et al., 2016) as crops: 11,934 people, 34,574 pictures, for training only.

The benchmark itself is one of person search: whole scenes, in which people have to be found first. The
crops know no cameras, so nothing can be scored with them; every picture gets camera 0.
"""

from __future__ import annotations

import re
from pathlib import Path

from omnireid.core.types import Dataset
from omnireid.data.datasets.card import DatasetCard, Reader, ReadOptions, SplitCounts
from omnireid.data.datasets.folders import locate, read_folder

FOLDER = "cropped_images"

CARD = DatasetCard(
    name="cuhksysu",
    title="CUHK-SYSU crops: 11,934 people, training only",
    layout=(
        "[cuhksysu/]cropped_images/*.jpg\n"
        "p11422_s16929_1.jpg: p<pid>_s<scene>_<number>.\n"
        "There are no cameras (all pictures get camera 0), and no query and gallery."
    ),
    places=("cuhksysu", ""),
    markers=(FOLDER,),
    counts={"train": SplitCounts(images=34_574, pids=11_934)},
    notes=(
        "For training only. The authors hand out whole scenes for person search; the crops in this layout\n"
        "were made from them for re-identification and are what torchreid's documentation links to."
    ),
    licence="None known to us. Treat it as research only and ask the authors.",
    ethics=(
        "Real people from street snapshots and films, without being asked one by one. Not withdrawn as far\n"
        "as we know. Use it for research on the method, do not publish faces, do not train products on it."
    ),
    citation=(
        "Xiao, Li, Wang, Lin and Wang, End-to-End Deep Learning for Person Search, arXiv 1604.01850, 2016; "
        "Joint Detection and Identification Feature Learning for Person Search, IEEE Conference on Computer "
        "Vision and Pattern Recognition (CVPR), 2017."
    ),
    source="http://www.ee.cuhk.edu.hk/~xgwang/PS/dataset.html",
)

_NAME = re.compile(r"p([0-9]{1,9})_s[0-9]+_[0-9]+\.jpg", re.IGNORECASE)


def read(root: Path, options: ReadOptions) -> Dataset:
    """Read the crops as one training split; query and gallery are empty.

    Raises:
        DatasetError: the folder `cropped_images` is missing.
    """
    folder = locate(root, CARD, options)
    samples, skipped = read_folder(folder / FOLDER, _parse)
    return CARD.dataset(folder, options, (samples, (), ()), skipped=skipped)


def _parse(name: str) -> tuple[int, int] | str:
    match = _NAME.fullmatch(name)
    return (int(match[1]), 0) if match else "the name is not p<pid>_s<scene>_<number>.jpg"


READERS = (Reader(CARD, read),)

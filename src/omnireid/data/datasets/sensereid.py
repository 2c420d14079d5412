"""SenseReID (Zhao et al., CVPR 2017): 522 people searched among 1,717, for test only."""

from __future__ import annotations

import re
from pathlib import Path

from omnireid.core.types import Dataset
from omnireid.data.datasets.card import DatasetCard, Reader, ReadOptions, SplitCounts
from omnireid.data.datasets.folders import read_splits

FOLDERS = {"query": "test_probe", "gallery": "test_gallery"}

CARD = DatasetCard(
    name="sensereid",
    title="SenseReID: 522 people searched among 1,717, test only",
    layout=(
        "[sensereid/][SenseReID/]{test_probe,test_gallery}/*.jpg\n"
        "00042_1.jpg: pid, then camera, which is taken as it is written.\n"
        "There is no training split."
    ),
    places=("sensereid/SenseReID", "SenseReID", "sensereid", ""),
    markers=tuple(FOLDERS.values()),
    counts={
        "query": SplitCounts(images=1_040, pids=522),
        "gallery": SplitCounts(images=3_388, pids=1_717),
    },
    notes="For test only. torchreid puts the test pictures into its training split; here it is empty.",
    licence="None known to us. Treat it as research only and ask the authors.",
    ethics=(
        "Real people filmed by surveillance cameras, without being asked one by one. Not withdrawn as far\n"
        "as we know. Use it for research on the method, do not publish faces, do not train products on it."
    ),
    citation=(
        "Zhao, Tian, Sun, Shao, Yan, Yi, Wang and Tang, Spindle Net: Person Re-identification with Human "
        "Body Region Guided Feature Decomposition and Fusion, IEEE Conference on Computer Vision and "
        "Pattern Recognition (CVPR), 2017."
    ),
    source="https://drive.google.com/file/d/0B56OfSrVI8hubVJLTzkwV2VaOWM/view",
)

_NAME = re.compile(r"([0-9]{1,9})_([0-9]{1,9})\.jpg", re.IGNORECASE)


def read(root: Path, options: ReadOptions) -> Dataset:
    """Read query and gallery; the training split is empty.

    Raises:
        DatasetError: one of the two folders is missing; names it and the layout.
    """
    return read_splits(root, options, CARD, FOLDERS, _parse)


def _parse(name: str) -> tuple[int, int] | str:
    match = _NAME.fullmatch(name)
    return (int(match[1]), int(match[2])) if match else "the name is not <pid>_<camera>.jpg"


READERS = (Reader(CARD, read),)

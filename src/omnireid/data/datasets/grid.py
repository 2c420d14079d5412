"""QMUL underGround Re-IDentification, GRID (Loy et al., CVPR 2009): 250 people in two views, 775 strangers.

Partitions: the ten that the benchmark gives in features_and_partitions.mat. `trainIdxAll` holds one struct
for each; its field `personIdx` lists the 125 people to train on. The other 125 are searched by their probe
among their gallery pictures and the 775 strangers (pid 0), which are in the gallery of every partition.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import numpy as np

from omnireid.core.errors import DatasetError
from omnireid.core.types import DISTRACTOR_PID, Dataset
from omnireid.data.datasets.card import TOTAL, DatasetCard, Reader, ReadOptions, SplitCounts
from omnireid.data.datasets.folders import locate, outside, read_folder
from omnireid.data.datasets.matlab import read_mat

PARTITIONS = "features_and_partitions.mat"
NUM_PIDS = 250
NUM_CAMERAS = 8

CARD = DatasetCard(
    name="grid",
    title="GRID: 250 people in 8 underground cameras, and 775 strangers",
    layout=(
        "[grid/][underground_reid/]{probe,gallery}/*.jpeg\n"
        "[grid/][underground_reid/]features_and_partitions.mat: the ten partitions\n"
        "0001_1_25004_107_32_106_221.jpeg: pid (1–250), then camera (1–8).\n"
        "Pid 0 is a distractor (in the gallery alone, and kept there)."
    ),
    places=("grid/underground_reid", "underground_reid", "grid", ""),
    markers=("probe", "gallery", PARTITIONS),
    archives=("underground_reid.zip",),
    counts={
        "train": SplitCounts(images=250, pids=125),
        "query": SplitCounts(images=125, pids=125),
        "gallery": SplitCounts(images=900, pids=126),  # 125 and the distractor 0
        TOTAL: SplitCounts(images=1_275, pids=251, cameras=8),
    },
    num_splits=10,
    distractor_pids=frozenset({DISTRACTOR_PID}),
    notes=(
        "The partitions are the benchmark's own. The OSNet paper's '900 IDs' in the gallery are 900\n"
        "pictures: 125 of the people searched for and 775 of strangers, who share pid 0 here."
    ),
    licence="None is stated with the archive, which asks to be cited. Treat it as research only.",
    ethics=(
        "Real people filmed by surveillance cameras of an underground station, without being asked. Not\n"
        "withdrawn as far as we know. Use it for research on the method, do not publish faces, do not\n"
        "train products on it."
    ),
    citation=(
        "Loy, Xiang and Gong, Multi-Camera Activity Correlation Analysis, IEEE Conference on Computer "
        "Vision and Pattern Recognition (CVPR), 2009. The archive asks for: Liu, Gong, Loy and Lin, Person "
        "Re-identification: What Features Are Important?, ECCV Workshops, 2012."
    ),
    source="http://personal.ie.cuhk.edu.hk/~ccloy/downloads_qmul_underground_reid.html",
)

_NAME = re.compile(r"([0-9]{4})_([0-9]+)_.*\.jpe?g", re.IGNORECASE)


def read(root: Path, options: ReadOptions) -> Dataset:
    """Read one of the ten partitions.

    Raises:
        DatasetError: a folder or the file of the partitions is missing, or the file is damaged or in
            another form; says what was found.
        MissingExtraError: SciPy, which reads that file, is not installed.
    """
    folder = locate(root, CARD, options)
    to_train = _training_pids(folder / PARTITIONS, options.split_id)
    probe, probe_skipped = read_folder(folder / "probe", partial(_parse, 1))
    gallery, gallery_skipped = read_folder(folder / "gallery", partial(_parse, DISTRACTOR_PID))
    return CARD.dataset(
        folder,
        options,
        (
            (sample for sample in (*probe, *gallery) if sample.pid in to_train),
            (sample for sample in probe if sample.pid not in to_train),
            (sample for sample in gallery if sample.pid not in to_train),
        ),
        skipped=(*probe_skipped, *gallery_skipped),
        origin=PARTITIONS,
    )


def _training_pids(path: Path, split_id: int) -> frozenset[int]:
    """The people of one cell of `trainIdxAll`, a (1, 10) cell array of structs."""
    cells = read_mat(path, "trainIdxAll").reshape(-1)
    if len(cells) != CARD.num_splits:
        raise DatasetError(
            f"{path}: 'trainIdxAll' has {len(cells)} cells, expected {CARD.num_splits} partitions; "
            "take the file as the benchmark hands it out"
        )
    fields = getattr(getattr(cells[split_id], "dtype", None), "names", None) or ()
    if "personIdx" not in fields:
        raise DatasetError(
            f"{path}: cell {split_id + 1} of 'trainIdxAll' has no field 'personIdx' "
            f"(found: {', '.join(fields) or 'no struct'}); take the file as the benchmark hands it out"
        )
    pids = np.asarray(cells[split_id]["personIdx"].reshape(-1)[0]).reshape(-1)
    is_whole = np.issubdtype(pids.dtype, np.number) and np.all(pids == np.round(pids))
    if not (is_whole and pids.size and pids.min() >= 1 and pids.max() <= NUM_PIDS):
        raise DatasetError(
            f"{path}: cell {split_id + 1} of 'trainIdxAll' does not list people 1–{NUM_PIDS} in 'personIdx' "
            f"(found: {pids[:5].tolist()} …); take the file as the benchmark hands it out"
        )
    return frozenset(pids.astype(int).tolist())


def _parse(lowest_pid: int, name: str) -> tuple[int, int] | str:
    match = _NAME.fullmatch(name)
    if match is None:
        return "the name is not <pid>_<camera>_….jpeg"
    pid, camera = int(match[1]), int(match[2])
    wrong = outside("pid", pid, lowest_pid, NUM_PIDS) or outside("camera", camera, 1, NUM_CAMERAS)
    return wrong or (pid, camera - 1)


READERS = (Reader(CARD, read),)

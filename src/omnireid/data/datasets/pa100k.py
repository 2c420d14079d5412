"""PA-100K (Liu et al., ICCV 2017): 100,000 pictures of people, each with 26 attributes that are there or not.

Nobody is searched for: the samples have attributes, the gallery is empty, and the protocol is
`Protocol.ATTRIBUTES`. A picture's number in its name is its pid: who it shows is not known.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from omnireid.core.errors import DatasetError
from omnireid.core.options import Protocol
from omnireid.core.types import Dataset, Sample
from omnireid.data.datasets.card import DatasetCard, Reader, ReadOptions, SplitCounts
from omnireid.data.datasets.folders import locate
from omnireid.data.datasets.matlab import read_mat

ANNOTATION = "annotation.mat"
# The reference implementation's folder, and that of the published archive.
PICTURES = ("data", "release_data")

CARD = DatasetCard(
    name="pa100k",
    title="PA-100K: 100,000 pictures of people with 26 attributes",
    layout=(
        "[pa100k/|PA-100K/]annotation.mat: names and labels of train, val and test\n"
        "[pa100k/|PA-100K/]data/*.jpg, or release_data/*.jpg, or release_data/release_data/*.jpg\n"
        "000001.jpg: the number of the picture, which is the pid; who it shows is not known."
    ),
    places=("pa100k", "PA-100K", ""),
    markers=(ANNOTATION,),
    archives=("PA-100K.zip",),
    protocol=Protocol.ATTRIBUTES,
    counts={"train": SplitCounts(images=80_000), "query": SplitCounts(images=10_000)},
    notes=(
        "Trained on the 80,000 pictures of train, scored on the 10,000 of test, by the share of each\n"
        "attribute that is told right (mA) and by picture. The 10,000 of val are not read: choose by them,\n"
        "in a manifest of your own, if you choose anything."
    ),
    licence="CC BY 4.0, as its authors' repository says; look again before you rely on it.",
    ethics=(
        "Real people filmed by 598 outdoor cameras, without being asked. The attributes hold gender and age\n"
        "as somebody guessed them: a network that tells them treats people by looks. Use it for research on\n"
        "the method, and decide nothing about anybody by it."
    ),
    citation=(
        "Liu et al., HydraPlus-Net: Attentive Deep Features for Pedestrian Analysis, IEEE International "
        "Conference on Computer Vision (ICCV), 2017."
    ),
    source="https://github.com/xh-liu/HydraPlus-Net",
)

_NAME = re.compile(r"([0-9]{1,9})\.jpe?g", re.IGNORECASE)


def read(root: Path, options: ReadOptions) -> Dataset:
    """Read train and test.

    Raises:
        DatasetError: the annotations or the folder of the pictures are missing, or the annotations are
            damaged or in another form; says what was found.
        MissingExtraError: SciPy, which reads that file, is not installed.
    """
    folder = locate(root, CARD, options)
    annotation = folder / ANNOTATION
    attributes = tuple(_texts(annotation, "attributes"))
    pictures = _pictures(folder)
    train, test = (
        [
            Sample(str(pictures / name), pid, 0, attributes=row)
            for name, pid, row in _rows(annotation, split, len(attributes))
        ]
        for split in ("train", "test")
    )
    return CARD.dataset(folder, options, (train, test, ()), attributes=attributes)


def _pictures(folder: Path) -> Path:
    for name in PICTURES:
        # The published archive packs its folder into one of the same name.
        for place in (folder / name / name, folder / name):
            if place.is_dir():
                return place
    raise DatasetError(f"{folder}: no folder {' or '.join(PICTURES)} with pictures. Expected:\n{CARD.layout}")


def _rows(annotation: Path, split: str, count: int) -> list[tuple[str, int, tuple[int, ...]]]:
    """Name, number and attributes of each picture of a split."""
    names, variable = _texts(annotation, f"{split}_images_name"), f"{split}_label"
    labels = read_mat(annotation, variable)
    if labels.shape != (len(names), count) or not np.isin(labels, (0, 1)).all():
        raise DatasetError(
            f"{annotation}: {variable} has shape {labels.shape} and values {np.unique(labels)[:5].tolist()} "
            f"…, expected {(len(names), count)} of 0 and 1; take the file as the benchmark hands it out"
        )
    rows = []
    for name, row in zip(names, labels.astype(int).tolist(), strict=True):
        match = _NAME.fullmatch(name)
        if match is None:
            raise DatasetError(
                f"{annotation}: {split}_images_name holds {name!r}, expected 000001.jpg and so on"
            )
        rows.append((name, int(match[1]), tuple(row)))
    return rows


def _texts(annotation: Path, variable: str) -> list[str]:
    """The texts of an (N, 1) cell array."""
    cells: npt.NDArray[Any] = read_mat(annotation, variable).reshape(-1)
    texts = [cell.reshape(-1)[0] if isinstance(cell, np.ndarray) and cell.size else cell for cell in cells]
    if not texts or not all(isinstance(text, str) for text in texts):
        raise DatasetError(
            f"{annotation}: {variable} is no list of texts; take the file as the benchmark hands it out"
        )
    return [str(text) for text in texts]


READERS = (Reader(CARD, read),)

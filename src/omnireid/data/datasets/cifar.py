"""CIFAR's binary version: rows of labels and pixels, written out as folders of classes.

A row of CIFAR-10 is a label, one of CIFAR-100 a coarse and a fine label, each a byte; then 3 × 32 × 32 bytes,
red first. The names of the classes lie beside, in order. (The "python version" holds pickles: never read.)
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from rich.console import Console

from omnireid.core.arrays import UInt8
from omnireid.core.errors import DatasetError, StorageError
from omnireid.core.files import write_failure
from omnireid.core.progress import progress_bar
from omnireid.data.datasets.card import DatasetCard

PICTURES = "pictures"
"""Folder of the written pictures, where the dataset's own folder is there already."""

_PIXELS = 3 * 32 * 32
_NAME = re.compile(r"\w+")


class _Version(NamedTuple):
    """A binary version: the file of its classes' names, bytes of labels before the pixels, files by split."""

    names: str
    num_labels: int
    files: dict[str, tuple[str, ...]]


# By the folder in the archive.
_VERSIONS = {
    "cifar-10-batches-bin": _Version(
        "batches.meta.txt",
        1,
        {"train": tuple(f"data_batch_{number}.bin" for number in range(1, 6)), "test": ("test_batch.bin",)},
    ),
    "cifar-100-binary": _Version("fine_label_names.txt", 2, {"train": ("train.bin",), "test": ("test.bin",)}),
}


def find_binary(root: Path, card: DatasetCard) -> Path | None:
    """The unpacked folder of a card's binary version, in one of its places."""
    (name,) = (name for name in _VERSIONS if name in card.layout)
    places = (root / place / name for place in card.places)
    return next((folder for folder in places if folder.is_dir()), None)


def write_pictures(binary: Path, folder: Path, *, console: Console | None = None) -> None:
    """Write `folder`/{train,test}/<class>/<number>.png; the folder appears whole.

    Raises:
        DatasetError: a file is missing, or holds something else than whole rows.
        StorageError: the disk is full or the folder cannot be written; nothing is left.
    """
    version = _VERSIONS[binary.name]
    num_labels = version.num_labels
    names = _read(binary / version.names).decode("utf-8", "replace").split()
    # They become folders.
    if len(set(names)) < len(names) or not all(map(_NAME.fullmatch, names)):
        raise DatasetError(f"{binary / version.names}: no list of classes; unpack it again")
    rows = {
        split: np.concatenate([_rows(binary / file, num_labels, len(names)) for file in files])
        for split, files in version.files.items()
    }
    part = folder.with_name(f".{folder.name}.part")
    try:
        shutil.rmtree(part, ignore_errors=True)
        with progress_bar(console) as bar:
            task = bar.add_task("writing pictures", total=sum(map(len, rows.values())))
            for split, values in rows.items():
                for name in names:
                    (part / split / name).mkdir(parents=True)
                for number, row in enumerate(values):
                    pixels = row[num_labels:].reshape(3, 32, 32).transpose(1, 2, 0)
                    where = part / split / names[row[num_labels - 1]] / f"{number:05d}.png"
                    Image.fromarray(np.ascontiguousarray(pixels)).save(where)
                    bar.advance(task)
        part.rename(folder)
    except OSError as error:
        shutil.rmtree(part, ignore_errors=True)
        raise StorageError(f"cannot write {folder}: {write_failure(error)}") from error


def _rows(path: Path, num_labels: int, num_classes: int) -> UInt8:
    """(N, num_labels + 3072) uint8."""
    content, size = np.frombuffer(_read(path), np.uint8), num_labels + _PIXELS
    if not len(content) or len(content) % size:
        raise DatasetError(f"{path}: {len(content):,} bytes are no whole rows of {size:,}; unpack it again")
    rows = content.reshape(-1, size)
    if (highest := int(rows[:, num_labels - 1].max())) >= num_classes:
        raise DatasetError(
            f"{path}: a label {highest}, where there are {num_classes} classes; unpack it again"
        )
    return rows


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror}); unpack the archive again") from error

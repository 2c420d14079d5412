"""What cuhk-03.mat holds: pictures, written out once, and the twenty test sets of the classic protocol.

A MATLAB file of version 7.3 is HDF5 with all axes reversed. `detected` and `labeled` are 5×1 cells, one for
each pair of cameras; each of these holds persons × 10 cells: five pictures of the first view, then five of
the second, (H, W, 3) uint8, or empty. `testsets` is a 20×1 cell of 100×2 numbers, pair and person from 1.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image
from rich.console import Console

from omnireid.core.arrays import UInt8
from omnireid.core.errors import DatasetError, ImageError, MissingExtraError, OmniReIDError, StorageError
from omnireid.core.files import atomic_write, write_text
from omnireid.core.images import decode
from omnireid.core.progress import progress_bar
from omnireid.data.datasets.folders import is_picture_name, scan

PICTURES_PER_VIEW = 5
MARKER = ".extracted.json"


class Person(NamedTuple):
    """Pair of cameras and person of that pair, both from 1."""

    pair: int
    number: int


def picture_names(mat_path: Path, kind: str) -> list[str]:
    """Names that the pictures of `kind` ("detected" or "labeled") are written out under, in order.

    Raises:
        DatasetError: damaged, not HDF5, or without that variable.
        MissingExtraError: h5py is not installed.
    """
    with _opened(mat_path) as mat:
        return [name for name, _ in _pictures(mat, kind)]


def tested_people(mat_path: Path, index: int, count: int) -> set[Person]:
    """The people that one of the `count` classic splits tests on.

    Raises:
        DatasetError: damaged, not HDF5, without test sets or with another number of them.
        MissingExtraError: h5py is not installed.
    """
    with _opened(mat_path) as mat:
        references = _variable(mat, "testsets").ravel()
        if len(references) != count:
            raise DatasetError(
                f"{mat_path}: {len(references)} test sets in 'testsets', expected {count}; "
                "take the file as the benchmark hands it out"
            )
        pairs_and_numbers = mat[references[index]][()].T
        return {Person(int(pair), int(number)) for pair, number in pairs_and_numbers}


def is_extracted(folder: Path) -> bool:
    """Whether `extract_pictures` finished here, and as many pictures are still there."""
    try:
        count = json.loads((folder / MARKER).read_bytes())["pictures"]
    except (OSError, ValueError, LookupError, TypeError):
        return False
    return bool(count == sum(is_picture_name(entry.name) for entry in scan(folder)))


def extract_pictures(mat_path: Path, kind: str, folder: Path, *, console: Console | None = None) -> None:
    """Write the pictures of `kind` as PNG files into `folder`, and a marker once all are there.

    Nothing is done where they are. A picture that is there already is kept if it shows what the .mat
    holds; a damaged one is written anew.
    Every file appears whole, so after kill -9 the next call goes on; several processes may do it at once.

    Raises:
        DatasetError: the .mat is damaged, or a file of that name shows something else.
        StorageError: the disk is full or the folder cannot be written. What was written stays, without
            the marker.
        MissingExtraError: h5py is not installed.
    """
    if is_extracted(folder):
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MARKER).unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(f"cannot write into {folder}: {error.strerror or error}") from error
    present = {entry.name for entry in scan(folder)}
    with _opened(mat_path) as mat, progress_bar(console) as bar:
        names = [name for name, _ in _pictures(mat, kind)]
        task = bar.add_task(f"extracting {kind} pictures", total=len(names))
        for name, cell in _pictures(mat, kind):
            pixels = _pixels(cell)
            if name not in present or not _shows(folder / name, pixels, mat_path):
                with _unless_finished(folder), atomic_write(folder / name, durable=False) as stream:
                    Image.fromarray(pixels).save(stream, "PNG")
            bar.advance(task)
    if hasattr(os, "sync"):
        # One flush for all pictures, before the marker says that they are there.
        os.sync()
    with _unless_finished(folder):
        write_text(folder / MARKER, json.dumps({"source": mat_path.name, "pictures": len(names)}) + "\n")
    # What killed processes left. A process that is still at work finds the marker, see below.
    for unfinished in folder.glob(".*.tmp"):
        unfinished.unlink(missing_ok=True)


def _shows(path: Path, pixels: UInt8, mat_path: Path) -> bool:
    try:
        picture = decode(path)
    except ImageError:
        return False
    if not np.array_equal(picture, pixels):
        raise DatasetError(
            f"{path}: shows another picture than {mat_path} holds under that name; "
            "move the folder away and extract again"
        )
    return True


@contextmanager
def _unless_finished(folder: Path) -> Iterator[None]:
    """Pass over a failed write where another process finished, and cleared the file in the making away."""
    try:
        yield
    except StorageError:
        if not (folder / MARKER).exists():
            raise


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        import h5py
    except ImportError as error:
        raise MissingExtraError(f"reading {path.name}", "datasets") from error
    try:
        with h5py.File(path, "r") as mat:
            yield mat
    except OmniReIDError:
        raise
    except Exception as error:  # h5py raises many types on damaged files.
        raise DatasetError(
            f"{path}: damaged, or not the HDF5 file (MATLAB 7.3) that the benchmark hands out "
            f"({error or type(error).__name__}); unpack or copy it again"
        ) from error


def _variable(mat: Any, name: str) -> npt.NDArray[Any]:
    if name not in mat:
        known = ", ".join(known for known in mat if not known.startswith("#"))
        raise DatasetError(
            f"{mat.filename}: no variable {name!r} (found: {known or 'none'}); "
            "take the file as the benchmark hands it out"
        )
    values: npt.NDArray[Any] = mat[name][()]
    return values


def _pictures(mat: Any, kind: str) -> Iterator[tuple[str, Any]]:
    """Name and HDF5 dataset of each picture that is there, in name order."""
    for pair, reference in enumerate(_variable(mat, kind).ravel(), start=1):
        for person, cells in enumerate(mat[reference][()].T, start=1):
            for number, cell_reference in enumerate(cells, start=1):
                cell = mat[cell_reference]
                # An empty cell is stored as its size: a vector of zeros.
                if cell.ndim == 3:
                    view = 1 if number <= PICTURES_PER_VIEW else 2
                    yield f"{pair}_{person:03d}_{view}_{number:02d}.png", cell


def _pixels(cell: Any) -> UInt8:
    """(H, W, 3) uint8 RGB."""
    if cell.dtype != np.uint8 or cell.shape[0] != 3:
        raise DatasetError(
            f"{cell.file.filename}: a picture ({cell.name}) is {cell.dtype} of shape {cell.shape[::-1]}, "
            "expected uint8 (H, W, 3); take the file as the benchmark hands it out"
        )
    pixels: UInt8 = np.ascontiguousarray(cell[()].T)
    return pixels

"""Where the pictures to embed come from: a folder, a pattern, one file, or a manifest."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from omnireid.core.errors import InputError
from omnireid.core.images import IMAGE_SUFFIXES
from omnireid.core.options import Protocol
from omnireid.core.types import Sample, SkippedFile
from omnireid.data.datasets import read_dataset
from omnireid.data.datasets.folders import NO_PICTURE, is_picture_name, is_system_file, not_taken

MANIFEST_SUFFIXES = (".csv", ".parquet")


Files = str | os.PathLike[str]
"""A folder, a pattern, a picture or a manifest."""


def collect_samples(source: Files | Sequence[Files], *, console: Console | None = None) -> list[Sample]:
    """List the pictures that `source` names.

    Args:
        source: a folder (searched with its subfolders), a pattern (`crops/**/*.jpg`), one picture, a
            manifest (`.csv`, `.parquet`: train, query, gallery, without junk, each in its order), or several.
        console: where to say what was not taken.

    Returns:
        Samples, in path order except those of a manifest; pid and camid are −1 (unknown) except from a
        manifest. Folders and patterns give files with a picture's suffix, without hidden ones.

    Raises:
        InputError: nothing there, or no picture in it.
        DatasetError: a manifest that cannot be read.
    """
    if not isinstance(source, (str, os.PathLike)):
        return [sample for part in source for sample in collect_samples(part, console=console)]
    path = Path(source)
    if path.is_dir():
        names = _walk(path)
    elif path.is_file():
        if path.suffix.lower() in MANIFEST_SUFFIXES:
            return _read_manifest(path, console)
        return [Sample(str(path), pid=-1, camid=-1)]
    elif glob.has_magic(str(path)):
        # Path.glob knows no pattern that starts at the root.
        names = sorted(glob.glob(str(path), recursive=True))  # noqa: PTH207
    else:
        raise InputError(f"{path}: no such folder, picture or manifest")
    files = [name for name in names if not is_system_file(Path(name).name) and Path(name).is_file()]
    pictures = [name for name in files if is_picture_name(name)]
    if not pictures:
        raise InputError(f"{path}: no picture found; known suffixes: {', '.join(sorted(IMAGE_SUFFIXES))}")
    if console is not None:
        others = [SkippedFile(name, NO_PICTURE) for name in files if not is_picture_name(name)]
        for line in not_taken(others):
            console.print(line, style="yellow", markup=False)
    return [Sample(name, pid=-1, camid=-1) for name in pictures]


def _read_manifest(path: Path, console: Console | None) -> list[Sample]:
    # Embedding asks nothing of cameras: a manifest without that column will do.
    dataset = read_dataset("manifest", path, protocol=Protocol.NO_CAMERA, console=console)
    samples = [sample for split in dataset.splits for sample in split]
    if not samples:
        raise InputError(f"{path}: no picture to embed, its rows are all junk (pid −1)")
    return samples


def _walk(folder: Path) -> list[str]:
    paths = []
    # os.walk does not follow links to folders, so a link to a parent cannot loop.
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        paths += [str(Path(parent, name)) for name in names]
    return sorted(paths)

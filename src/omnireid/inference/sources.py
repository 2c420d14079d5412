"""Where the pictures to embed come from: a folder, a pattern, one file, or a manifest."""

from __future__ import annotations

import glob
import os
from pathlib import Path

from omnireid.core.errors import InputError
from omnireid.core.images import IMAGE_SUFFIXES
from omnireid.core.types import Protocol, Sample

MANIFEST_SUFFIXES = (".csv", ".parquet")


def collect_samples(source: str | os.PathLike[str]) -> list[Sample]:
    """List the pictures that `source` names.

    Args:
        source: a folder (searched with its subfolders), a pattern (`crops/**/*.jpg`), one picture, or a
            manifest (`.csv`, `.parquet`: train, query, gallery, without junk, each in its order).

    Returns:
        Samples, in path order except those of a manifest; pid and camid are −1 (unknown) except from a
        manifest. Folders and patterns give files with a picture's suffix, without hidden ones.

    Raises:
        InputError: nothing there, or no picture in it.
        DatasetError: a manifest that cannot be read.
    """
    path = Path(source)
    if path.is_dir():
        found = _walk(path)
    elif path.is_file():
        if path.suffix.lower() in MANIFEST_SUFFIXES:
            return _read_manifest(path)
        found = [str(path)]
    elif glob.has_magic(str(path)):
        # Path.glob knows no pattern that starts at the root.
        matches = glob.glob(str(path), recursive=True)  # noqa: PTH207
        found = sorted(name for name in matches if _is_picture(name))
    else:
        raise InputError(f"{path}: no such folder, picture or manifest")
    if not found:
        raise InputError(f"{path}: no picture found; known suffixes: {', '.join(sorted(IMAGE_SUFFIXES))}")
    return [Sample(name, pid=-1, camid=-1) for name in found]


def _read_manifest(path: Path) -> list[Sample]:
    from omnireid.data.datasets import read_dataset

    # Embedding asks nothing of cameras: a manifest without that column will do.
    dataset = read_dataset("manifest", path, protocol=Protocol.NO_CAMERA)
    samples = [sample for split in dataset.splits for sample in split]
    if not samples:
        raise InputError(f"{path}: no picture to embed, its rows are all junk (pid −1)")
    return samples


def _walk(folder: Path) -> list[str]:
    found = []
    # os.walk does not follow links to folders, so a link to a parent cannot loop.
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [str(Path(parent, name)) for name in names if _is_picture(Path(parent, name))]
    return sorted(found)


def _is_picture(path: str | Path) -> bool:
    path = Path(path)
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".") and path.is_file()

"""Where the pictures to embed come from: a folder or an address, a pattern, a picture, or a table."""

from __future__ import annotations

import glob
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from omnireid.core.errors import InputError
from omnireid.core.extras import saying_the_extra
from omnireid.core.images import IMAGE_SUFFIXES
from omnireid.core.options import Protocol
from omnireid.core.remote import is_remote, list_files
from omnireid.core.types import Sample, SkippedFile
from omnireid.data.datasets import read_dataset
from omnireid.data.datasets.folders import NO_PICTURE, is_picture_name, is_system_file, not_taken

MANIFEST_SUFFIXES = (".csv", ".parquet")
LANCE = ".lance"
_LISTED = ("path", "pid", "camid", "time")


Files = str | os.PathLike[str]
"""A folder, an address (s3://…), a pattern, a picture, a manifest or a table with a column `path`."""


def collect_samples(source: Files | Sequence[Files], *, console: Console | None = None) -> list[Sample]:
    """List the pictures that `source` names.

    Args:
        source: a folder (searched with its subfolders), a pattern (`crops/**/*.jpg`), one picture, a
            manifest (`.csv`, `.parquet`: train, query, gallery, without junk, each in its order), or several.
            Pictures may lie on object storage (`core.remote`). A Parquet file without a column `split` and a
            LanceDB table (`db/NAME.lance`) list pictures: `path`, and perhaps `pid`, `camid`, `time`.
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
    if path.suffix == LANCE:
        address = str(source).rstrip("/")
        return _listed(_read_lance(address), address)
    if is_remote(source):
        names = list_files(str(source))
    elif path.is_dir():
        names = _walk(path)
    elif path.is_file():
        if path.suffix.lower() in MANIFEST_SUFFIXES:
            table = _read_list(path)
            return _read_manifest(path, console) if table is None else _listed(table, str(path))
        return [Sample(str(path), pid=-1, camid=-1)]
    elif glob.has_magic(str(path)):
        # Path.glob knows no pattern that starts at the root.
        names = sorted(glob.glob(str(path), recursive=True))  # noqa: PTH207
    else:
        raise InputError(f"{path}: no such folder, picture or manifest")
    files = [name for name in names if not is_system_file(Path(name).name)]
    if not is_remote(source):
        files = [name for name in files if Path(name).is_file()]
    pictures = [name for name in files if is_picture_name(name)]
    if not pictures:
        raise InputError(f"{source}: no picture found; known suffixes: {', '.join(sorted(IMAGE_SUFFIXES))}")
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


def _read_list(path: Path) -> Any:
    """A Parquet file that only lists pictures; None where it is a manifest, with splits."""
    if path.suffix.lower() != ".parquet":
        return None
    with saying_the_extra():
        import pyarrow as pa
        import pyarrow.parquet as pq

    try:
        columns = pq.read_schema(path).names
        if "path" not in columns or "split" in map(str.lower, columns):
            return None
        return pq.read_table(path, columns=[name for name in _LISTED if name in columns])
    except (OSError, pa.ArrowException):
        return None  # the reader of manifests says what is wrong


def _read_lance(address: str) -> Any:
    with saying_the_extra():
        import lancedb

    folder, _, name = address.rpartition("/")
    if not is_remote(address) and not Path(address).is_dir():
        raise InputError(f"{address}: no such LanceDB table")  # LanceDB would make its folder
    try:
        table = lancedb.connect(folder or ".").open_table(name.removesuffix(LANCE))
        columns = [name for name in _LISTED if name in table.schema.names]
        return table.search().select(columns).limit(table.count_rows()).to_arrow()
    except (OSError, ValueError, RuntimeError) as error:
        raise InputError(f"{address}: not a LanceDB table with a column 'path' ({error})") from error


def _listed(table: Any, source: str) -> list[Sample]:
    """Samples of a table of pictures."""
    if "path" not in table.column_names or table.num_rows == 0:
        raise InputError(f"{source}: no row with a column 'path'")
    folder = os.path.dirname(source)  # noqa: PTH120 (of an address, too)
    none = [None] * table.num_rows
    columns = [table.column(name).to_pylist() if name in table.column_names else none for name in _LISTED]
    samples = []
    for number, cells in enumerate(zip(*columns, strict=True), start=1):
        try:
            samples.append(_sample(folder, *cells))
        except (TypeError, ValueError) as error:
            given = ", ".join(f"{name} {cell!r}" for name, cell in zip(_LISTED, cells, strict=True))
            raise InputError(
                f"{source}, row {number}: {given}; expected a text, whole numbers from −1 on (names are read "
                "from manifests only) and a number"
            ) from error
    return samples


def _sample(folder: str, path: Any, pid: Any, camid: Any, time: Any) -> Sample:
    # As a manifest's, relative to the table.
    place = path if is_remote(path) else os.path.join(folder, path)  # noqa: PTH118
    is_unknown = time is None or math.isnan(time)
    return Sample(place, _label(pid), _label(camid), None if is_unknown else float(time))


def _label(cell: Any) -> int:
    label = -1 if cell is None else int(cell)
    if label < -1 or (cell is not None and label != cell):
        raise ValueError
    return label


def _walk(folder: Path) -> list[str]:
    paths = []
    # os.walk does not follow links to folders, so a link to a parent cannot loop.
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        paths += [str(Path(parent, name)) for name in names]
    return sorted(paths)

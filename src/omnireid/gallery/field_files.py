"""What is known of pictures, as a table on disk: the fields of an item by the picture's path."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from omnireid.core.errors import InputError
from omnireid.gallery.files import SeenFile
from omnireid.gallery.items import FIELDS, Box, Kind, check_item

PATH = "path"

Fields = dict[str, Any]


def read_field_file(path: str | os.PathLike[str], moment: Callable[[str], float]) -> dict[str, Fields]:
    """Read a CSV table: a column "path", and any fields of `Item` that whoever enrols says.

    An empty cell says nothing. A box is four numbers, with spaces between them. Paths are relative to the
    table.

    Args:
        moment: A time as people write it → Unix seconds.

    Returns:
        The fields of each picture by its absolute path.

    Raises:
        InputError: It cannot be read, has another column, or a cell that does not fit; names the line.
    """
    readers: dict[Kind, Callable[[str], Any]] = {
        "name": str,
        "text": str,
        "seconds": moment,
        "share": float,
        "box": lambda text: Box(*map(float, text.split())),
    }
    known = {field.name: readers[field.kind] for field in FIELDS if field.is_given and field.kind in readers}
    rows: dict[str, dict[str, Any]] = {}
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as stream:
            table = csv.DictReader(stream)
            for name in table.fieldnames or ():
                if name not in known and name != PATH:
                    raise InputError(f"{path}: no field {name!r}; expected {PATH}, {', '.join(known)}")
            if PATH not in (table.fieldnames or ()):
                raise InputError(f"{path}: expected a column {PATH!r}")
            for row in table:
                picture = str((Path(path).parent / (row.pop(PATH) or "")).resolve())
                rows[picture] = _read(row, known, f"{path}: line {table.line_num}")
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error
    return rows


def _read(row: Mapping[str, str | None], known: Mapping[str, Callable[[str], Any]], where: str) -> Fields:
    fields: Fields = {}
    for name, cell in row.items():
        if name is None:
            raise InputError(f"{where}: more cells than columns")
        if cell:
            try:
                fields[name] = known[name](cell)
            except (ValueError, TypeError) as error:
                raise InputError(f"{where}: {name}: {cell!r} does not fit") from error
    return fields


def with_fields(files: Sequence[SeenFile], known: Mapping[str, Mapping[str, Any]]) -> list[SeenFile]:
    """Files with what a table says of them in place of what was known before.

    Raises:
        InputError: The table names a picture that is not among the files, or says what no item may be.
    """
    paths = [str(Path(file.path).resolve()) for file in files]
    for path in sorted(known.keys() - set(paths)):
        raise InputError(f"{path}: not among the pictures that are enrolled")
    described = [
        file._replace(item=replace(file.item, **known.get(path, {})))
        for path, file in zip(paths, files, strict=True)
    ]
    for file in described:
        try:
            check_item(file.item)
        except InputError as error:
            raise InputError(f"{file.path}: {error}") from error
    return described

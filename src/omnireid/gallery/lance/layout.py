"""Which files the newest version of a table in a local folder consists of, read from its manifest.

LanceDB merges small files only by writing again all of up to a million rows, and removes old files only after
that. A table that is written item by item needs both often, for a few files at a time (`upkeep.tidy`).

Source: protos/table.proto of the Lance format, whose flags say what a reader has to know. What is read is
held against what LanceDB says of the table: nothing is done to a table of a form that is not understood.
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from omnireid.core.protobuf import NotProtobufError, fields
from omnireid.gallery.lance.failures import reading

VERSIONS, TRANSACTIONS = "_versions", "_transactions"
DATA, DELETIONS, INDEXES = "data", "_deletions", "_indices"

_FOOTER = struct.Struct("<QHH4s")
_SIZE = struct.Struct("<I")
_MAGIC = b"LANC"
# Manifests are named by this less the version, so that the newest is the first of a listing.
_LAST_VERSION = 2**64 - 1
_NAME_DIGITS = 20
# Of features: there are files of deleted rows; format 2 of files; a configuration of the table.
_KNOWN_FLAGS = 1 | 4 | 8
_DELETION_SUFFIXES = {0: "arrow", 1: "bin"}


class Fragment(NamedTuple):
    """Rows that were written together.

    Attributes:
        number: its number in the table; grows with every commit.
        files: paths in the folder of the table.
        rows: visible ones.
        deleted: rows that are hidden, and still in the files.
    """

    number: int
    files: tuple[str, ...]
    rows: int
    deleted: int


class Layout(NamedTuple):
    """One version of a table.

    Attributes:
        version: its number.
        fragments: sorted by number.
        indexes: names of their folders.
    """

    version: int
    fragments: tuple[Fragment, ...]
    indexes: frozenset[str]


def layout_of(table: Any, folder: Path) -> Layout | None:
    """The newest version of a table; None where it cannot be understood.

    Args:
        table: the LanceDB table. No write may be under way.
        folder: folder of the table.
    """

    def read() -> Layout | None:
        try:
            newest = _newest(folder)
        except (ValueError, LookupError, struct.error, NotProtobufError):
            return None
        is_known = (
            newest.version == table.version
            and sum(fragment.rows for fragment in newest.fragments) == table.count_rows()
            and all((folder / file).is_file() for fragment in newest.fragments for file in fragment.files)
            # An index has one folder, or several where rows were taken in later.
            and len(newest.indexes) >= len(table.list_indices())
            and all((folder / INDEXES / name).is_dir() for name in newest.indexes)
        )
        return newest if is_known else None

    return reading("cannot read the gallery", read)


def manifests(folder: Path) -> dict[int, Path]:
    """Manifest files of a table by version.

    Raises:
        ValueError: they are named otherwise.
    """
    paths = list((folder / VERSIONS).glob("*.manifest"))
    if any(len(path.stem) != _NAME_DIGITS for path in paths):
        raise ValueError(f"{folder}: manifests named by {paths[0].name!r}")
    return {_LAST_VERSION - int(path.stem): path for path in paths}


def _newest(folder: Path) -> Layout:
    paths = manifests(folder)
    content = paths[max(paths)].read_bytes()
    position, _, _, magic = _FOOTER.unpack(content[-_FOOTER.size :])
    if magic != _MAGIC:
        raise ValueError(f"{folder}: a manifest that ends in {magic!r}")
    manifest = _message(content, position)
    version, fragments, indexes = 0, [], frozenset[str]()
    for field, value, start, end in fields(manifest, 0, len(manifest)):
        if field == 2:
            fragments.append(_fragment(manifest[start:end]))
        elif field == 3:
            version = value
        elif field == 6:
            indexes = frozenset(_indexes(_message(content, value)))
        elif field in (9, 10) and value & ~_KNOWN_FLAGS:
            raise ValueError(f"{folder}: a table with features {value:#x}")
    return Layout(version, tuple(sorted(fragments)), indexes)


def _fragment(message: bytes) -> Fragment:
    number, files, rows, deletion = 0, [], 0, dict[int, int]()
    for field, value, start, end in fields(message, 0, len(message)):
        if field == 1:
            number = value
        elif field == 2:
            files.append(f"{DATA}/{_only(message[start:end], 1).decode()}")
        elif field == 3:
            deletion = {part: figure for part, figure, _, _ in fields(message, start, end)}
        elif field == 4:
            rows = value
    if deletion:
        suffix = _DELETION_SUFFIXES[deletion.get(1, 0)]
        files.append(f"{DELETIONS}/{number}-{deletion.get(2, 0)}-{deletion.get(3, 0)}.{suffix}")
    hidden = deletion.get(4, 0)
    return Fragment(number, tuple(files), rows - hidden, hidden)


def _indexes(section: bytes) -> Iterator[str]:
    for field, _, start, end in fields(section, 0, len(section)):
        if field == 1:
            yield str(uuid.UUID(bytes=_only(_only(section[start:end], 1), 1)))


def _only(message: bytes, wanted: int) -> bytes:
    """The content of a field that is there once."""
    return {field: message[start:end] for field, _, start, end in fields(message, 0, len(message))}[wanted]


def _message(content: bytes, position: int) -> bytes:
    (size,) = _SIZE.unpack_from(content, position)
    first = position + _SIZE.size
    return content[first : first + size]

"""The audit log: files that are only ever appended to, or rows of a table where there are no files."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from itertools import groupby, islice
from pathlib import Path
from typing import Any, BinaryIO

from omnireid.gallery.lance.failures import storing

Entries = Sequence[Mapping[str, Any]]

_DIGIT = "[0-9]"
# Places of a month: more than the bytes of its file. Those of six centuries stay below 2^53.
_MONTH = 1 << 40
_BLOCK = 1 << 16


def append(folder: Path, entries: Entries) -> None:
    """Write entries as JSON lines, one file a month (UTC), on disk before this returns.

    Entries of one month go out in one write, so that those of two processes do not mix.
    """
    with storing(f"cannot write the audit log in {folder}"):
        folder.mkdir(exist_ok=True)
        for month, of_month in groupby(entries, _month):
            path = folder / f"{month}.jsonl"
            content = "".join(f"{json.dumps(entry, ensure_ascii=False)}\n" for entry in of_month).encode()
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                _append_whole(descriptor, content)
            finally:
                os.close(descriptor)


def entries(folder: Path) -> Iterator[dict[str, Any]]:
    """Entries, the oldest month first, as they were appended.

    A last line that a power loss has cut is left out; so is one that is just being written.
    """
    return (entry for _, entry in _after(folder, None))


def page(folder: Path, known: int | None, limit: int, *, latest: bool) -> list[tuple[int, dict[str, Any]]]:
    """As `GalleryStore.audit_page`. A place is the month, and where in its file the line begins."""
    return list(islice((_before if latest else _after)(folder, known), limit))


def _after(folder: Path, known: int | None) -> Iterator[tuple[int, dict[str, Any]]]:
    for path in _files(folder):
        first, begin = _first_place(path), 0
        if known is not None and known >= first:
            begin = known - first
            if begin >= _MONTH:
                continue
        with storing(f"cannot read the audit log {path}"), path.open("rb") as lines:
            position = first + lines.seek(begin)
            for line in lines:
                if position != known and (entry := _parsed(line)) is not None:
                    yield position, entry
                position += len(line)


def _before(folder: Path, known: int | None) -> Iterator[tuple[int, dict[str, Any]]]:
    for path in reversed(_files(folder)):
        first = _first_place(path)
        with storing(f"cannot read the audit log {path}"), path.open("rb") as lines:
            size = lines.seek(0, os.SEEK_END)
            end = size if known is None else min(size, known - first)
            for begin, line in _lines_before(lines, end):
                if (entry := _parsed(line)) is not None:
                    yield first + begin, entry


def _lines_before(file: BinaryIO, end: int) -> Iterator[tuple[int, bytes]]:
    """Lines before a byte of a file, the last first, each with where it begins."""
    # Of the line whose beginning is still to be read.
    rest, newline = b"", b""
    while end > 0:
        begin = max(0, end - _BLOCK)
        file.seek(begin)
        first, *lines = (file.read(end - begin) + rest).split(b"\n")
        position = end + len(rest)
        for line in reversed(lines):
            position -= len(line)
            yield position, line + newline
            newline, position = b"\n", position - 1
        rest, end = first, begin
    yield 0, rest + newline


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"{_DIGIT * 4}-{_DIGIT * 2}.jsonl"))


def _first_place(path: Path) -> int:
    year, month = map(int, path.stem.split("-"))
    return (12 * (year - 1970) + month - 1) * _MONTH


def _append_whole(descriptor: int, content: bytes) -> None:
    size = os.fstat(descriptor).st_size
    # A line that was cut stays as it is: what follows begins a line of its own.
    if size and os.pread(descriptor, 1, size - 1) != b"\n":
        content = b"\n" + content
    try:
        written = os.write(descriptor, content)
        while written < len(content):
            written += os.write(descriptor, content[written:])
        os.fsync(descriptor)
    except OSError:
        os.ftruncate(descriptor, size)
        raise


def _parsed(line: bytes) -> dict[str, Any] | None:
    """The entry of a line; None where it has no end (yet), or is none."""
    if not line.endswith(b"\n"):
        return None
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None


def _month(entry: Mapping[str, Any]) -> str:
    return datetime.fromtimestamp(entry["time"], timezone.utc).strftime("%Y-%m")

"""The audit log: files that are only ever appended to, or rows of a table where there are no files."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from itertools import groupby
from pathlib import Path
from typing import Any

from omnireid.gallery.lance.failures import storing

Entries = Sequence[Mapping[str, Any]]


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
    for path in sorted(folder.glob("*.jsonl")):
        with storing(f"cannot read the audit log {path}"), path.open("rb") as lines:
            for line in lines:
                if line.endswith(b"\n") and (entry := _parsed(line)) is not None:
                    yield entry


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
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None


def _month(entry: Mapping[str, Any]) -> str:
    return datetime.fromtimestamp(entry["time"], timezone.utc).strftime("%Y-%m")

"""Files in a local folder that only older versions of a table need: removed as often as others come."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from omnireid.gallery.lance import layout
from omnireid.gallery.lance.failures import storing
from omnireid.gallery.lance.layout import Layout

# What stays for readers of older versions: the newest files, up to so many bytes beside one of what is
# needed, but always `_LEAST_BYTES`. A reader who takes longer reads on in a newer version.
_MOST_FILES = 1024
_SHARE = 0.5
_LEAST_BYTES = 4 << 20
# Manifests are read when a reader begins.
_MOST_VERSIONS = 32
_WHAT = "cannot remove old files"


def old_files(folder: Path, newest: Layout) -> list[str]:
    """Files that can be removed: the newest version of a table does not need them, and no later one will.

    They include what was left by writes that never ended, so no write may be under way, and no index in the
    making, when they are listed. They may be removed later.
    """
    last = newest.version - _MOST_VERSIONS
    with storing(_WHAT):
        old = [str(path) for version, path in layout.manifests(folder).items() if version <= last]
        # Named by the version before the one that it made.
        logs = (folder / layout.TRANSACTIONS).glob("*.txn")
        old.extend(str(path) for path in logs if int(path.name.split("-")[0]) < last)
        needed = {str(folder / file) for fragment in newest.fragments for file in fragment.files}
        unneeded, bytes_needed = [], 0
        for entry in _entries(folder):
            status = entry.stat()
            if entry.path in needed or Path(entry.path).parent.name in newest.indexes:
                bytes_needed += status.st_size
            else:
                unneeded.append((status.st_mtime_ns, status.st_size, entry.path))
    room = max(_LEAST_BYTES, _SHARE * bytes_needed)
    for index, (_, size, path) in enumerate(sorted(unneeded, reverse=True)):
        room -= size
        if room < 0 or index >= _MOST_FILES:
            old.append(path)
    return old


def remove(files: list[str]) -> None:
    """Remove files, also where another process has just done so."""
    with storing(_WHAT):
        for file in files:
            Path(file).unlink(missing_ok=True)


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Files of rows, of deleted rows, and of indexes."""
    indexes = (folder / layout.INDEXES).glob("*")
    for part in (folder / layout.DATA, folder / layout.DELETIONS, *indexes):
        if part.is_dir():
            with os.scandir(part) as entries:
                yield from entries

"""Taking off the disk what is not visible any more.

LanceDB marks deleted rows and keeps their bytes until it rewrites the fragment that holds them, which it does
where more than a tenth of the fragment is deleted. Rewriting also takes them out of the indexes. So, to have
every such fragment rewritten, another tenth of its rows is first moved out of it.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

from omnireid.gallery.lance.failures import committing, reading

_WHAT = "cannot remove deleted rows from disk"
_MERGE = "cannot merge small files"
# Of the visible rows. With one deleted row beside them it is more than a tenth of the fragment; of fewer rows
# than this share has, the deleted one is more than a tenth by itself.
_MOVED = 8
# A reader of an older version that takes longer reads on in a newer one.
_READERS_STAY = timedelta(minutes=10)


def rewrite(table: Any, folder: Path | None) -> None:
    """Rewrite the fragments in which rows have been deleted or replaced, and merge small ones.

    Args:
        folder: folder of the table; None in object storage, where it cannot be told which have deleted rows,
            so all are rewritten.
    """
    affected = None if folder is None else _with_deletions(folder)
    addresses = row_addresses(table)
    for number, rows in fragments(addresses).items():
        if rows > _MOVED and (affected is None or number in affected):
            first = np.searchsorted(addresses, number << 32)
            last = addresses[first + rows // _MOVED]
            # Into a fragment of their own.
            _write_again(_WHAT, table, f"_rowaddr >= {number << 32} AND _rowaddr <= {last}")
    committing(_WHAT, table.optimize)


def merge_files(table: Any) -> None:
    """Merge small fragments, and remove versions that nobody reads any more."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="optimize", category=UserWarning)
        committing(_MERGE, lambda: table.optimize(cleanup_older_than=_READERS_STAY))


def remove_old_versions(table: Any) -> None:
    """Remove all files that the newest version does not need. No other write may be under way."""
    # The newest version tells which rows its own commit deleted, in words. Where there was nothing to rewrite
    # since, that is what was purged; so there is one more commit, which deletes a row that cannot be.
    committing(_WHAT, lambda: table.delete("id = ''"))
    with warnings.catch_warnings():
        # It warns of readers of older versions. Ours read again.
        warnings.filterwarnings("ignore", message="optimize", category=UserWarning)
        committing(_WHAT, lambda: table.optimize(cleanup_older_than=timedelta(0), delete_unverified=True))


def merge_fragments(table: Any, numbers: Iterable[int]) -> int:
    """Write the rows of some fragments again, as one fragment, in one commit; the version that it made."""
    inside = [f"(_rowaddr >= {number << 32} AND _rowaddr < {number + 1 << 32})" for number in numbers]
    return _write_again(_MERGE, table, " OR ".join(inside))


def visible_fragments(table: Any) -> dict[int, int]:
    """Fragments that have visible rows, and how many."""
    return fragments(row_addresses(table))


def fragments(addresses: np.ndarray) -> dict[int, int]:
    """Numbers of fragments, and how many rows each has, from the addresses of rows."""
    numbers, counts = np.unique(addresses >> 32, return_counts=True)
    return dict(zip(numbers.tolist(), counts.tolist(), strict=True))


def _write_again(what: str, table: Any, where: str) -> int:
    done = committing(what, lambda: table.update(where=where, values_sql={"id": "id"}))
    return int(done.version)


def row_addresses(table: Any) -> np.ndarray:
    """Sorted addresses of all visible rows: number of the fragment times 2^32, and place in it."""
    rows = reading(_WHAT, lambda: table.search().select(["_rowaddr"]).to_arrow())
    return np.sort(rows["_rowaddr"].to_numpy())


def _with_deletions(folder: Path) -> set[int] | None:
    """Numbers of fragments that have a file of deleted rows; None where a name is not understood."""
    try:
        return {int(path.name.split("-")[0]) for path in (folder / "_deletions").glob("*")}
    except ValueError:
        return None

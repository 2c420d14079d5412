"""What keeps a collection in order while it is written and searched: its files, its index, purging it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from omnireid.gallery.items import EVERYTHING
from omnireid.gallery.lance import indexing, purging
from omnireid.gallery.lance.collection import Collection
from omnireid.gallery.lance.failures import reading
from omnireid.gallery.lance.indexing import Tuning
from omnireid.gallery.lance.layout import Fragment, layout_of
from omnireid.gallery.lance.old_files import old_files

# So many small fragments are worth being merged, index or not.
_FRAGMENTS = 16
# So many fragments, and one more for so many rows, are merged without being asked.
_MOST_FRAGMENTS = 64
_ROWS_EACH = 2000
# Fragments of fewer rows than this, and of a sixteenth or more of them, are of one size; so many of one size
# become one of the next, with all that are smaller. A row is written again once for each size.
_SIZES = (16, 256, 4096, 65_536)
_MOST_OF_A_SIZE = 16
# New rows go into the index when they are more than one in so many: all of them are looked at in each search.
_INDEXED_EACH = 16


def build_index(collection: Collection) -> Tuning | None:
    """Take new rows into the index, or build it where there is none; None where none pays."""
    table, rows = collection.table, collection.count(EVERYTHING)
    if collection.info.precision == "int8" or rows < indexing.FEWEST_ROWS:
        if table.stats()["fragment_stats"]["num_small_fragments"] > _FRAGMENTS:
            purging.merge_files(table)
        return collection.tuning
    purging.merge_files(table)
    if collection.tuning is not None and not indexing.is_outgrown(table, collection.tuning, rows):
        return collection.tuning
    return indexing.build(table, rows)


def tidy(collection: Collection, folder: Path | None, index: Mapping[str, Any]) -> list[str] | None:
    """Merge the smallest files. Takes little time, whatever the size of the collection.

    No other write may be under way, and no index in the making.

    Args:
        folder: folder of the table; None in object storage.
        index: record of the index: "fragments" that it may cover, and "files", its own.

    Returns:
        Old files, to be removed when others may write again; None where nothing can be done so: in object
        storage, and where it is unknown what the index covers. Rows that it covers stay where they are, for
        LanceDB cleans an index of what is forgotten by fragments (`purge`).
    """
    layout = None if folder is None else layout_of(collection.table, folder)
    if folder is None or layout is None or layout.indexes != set(index.get("files", ())):
        return None
    covered = set(index.get("fragments", ()))
    crowd = crowded([fragment for fragment in layout.fragments if fragment.number not in covered])
    if crowd:
        collection.merge(fragment.number for fragment in crowd)
        layout = layout_of(collection.table, folder)
    return None if layout is None else old_files(folder, layout)


def crowded(fragments: Sequence[Fragment]) -> list[Fragment]:
    """Those that are to become one: of the largest size of which there are too many, and all smaller ones."""
    for size in reversed(_SIZES):
        small = [fragment for fragment in fragments if fragment.rows < size]
        if sum(fragment.rows >= size // _MOST_OF_A_SIZE for fragment in small) >= _MOST_OF_A_SIZE:
            return small
    # Most of whose rows are hidden.
    return [fragment for fragment in fragments if fragment.deleted > fragment.rows > 0]


def is_outside_index(collection: Collection) -> bool:
    """Whether there is an index, and many rows are not in it yet."""
    if collection.tuning is None:
        return False
    state = collection.index_state()
    return state.unindexed * _INDEXED_EACH > state.indexed


def is_scattered(collection: Collection) -> bool:
    """Whether writes have left so many files that reading all of them takes long.

    The more rows there are, the more files may be: merging writes them all again.
    """
    stats = reading("cannot read the gallery", collection.table.stats)
    return bool(stats["fragment_stats"]["num_fragments"] > _MOST_FRAGMENTS + stats["num_rows"] // _ROWS_EACH)


def merge_files(collection: Collection) -> Tuning | None:
    """Merge the files of many writes, and take new rows into the index where there is one."""
    if collection.tuning is not None:
        return build_index(collection)
    purging.merge_files(collection.table)
    return None


def purge(collection: Collection, folder: Path | None, indexed: Iterable[int] | None) -> bool:
    """Rewrite what holds hidden rows and remove all older files.

    Args:
        folder: folder of the table, None in object storage.
        indexed: numbers of the fragments that the index was last known to cover.

    Returns:
        Whether the index is gone: LanceDB cleans an index as it rewrites fragments, so one that covers a
        fragment without visible rows cannot be cleaned and is dropped.
    """
    table = collection.table
    is_stale = indexed is not None and not set(indexed) <= set(purging.visible_fragments(table))
    if is_stale:
        indexing.drop(table)
    purging.rewrite(table, folder)
    purging.remove_old_versions(table)
    return is_stale

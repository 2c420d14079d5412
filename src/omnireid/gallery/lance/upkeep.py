"""Building the index of a collection and purging it: what takes long, and goes on while it is searched."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from omnireid.gallery.items import EVERYTHING
from omnireid.gallery.lance import indexing, purging
from omnireid.gallery.lance.collection import Collection
from omnireid.gallery.lance.failures import reading
from omnireid.gallery.lance.indexing import Tuning

# So many small fragments are worth being merged, index or not.
_FRAGMENTS = 16
# So many fragments, and one more for so many rows, are merged without being asked.
_MOST_FRAGMENTS = 64
_ROWS_EACH = 2000


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
        folder: of the table, None in object storage.
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

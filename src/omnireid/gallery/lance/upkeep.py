"""Building the index of a collection and purging it: what takes long, and goes on while it is searched."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from omnireid.gallery.items import EVERYTHING
from omnireid.gallery.lance import indexing, purging
from omnireid.gallery.lance.collection import Collection
from omnireid.gallery.lance.failures import committing
from omnireid.gallery.lance.indexing import Tuning

# So many small fragments are worth being merged, index or not.
_FRAGMENTS = 16


def build_index(collection: Collection) -> Tuning | None:
    """Take new rows into the index, or build it where there is none; None where none pays."""
    table, rows = collection.table, collection.count(EVERYTHING)
    small = table.stats()["fragment_stats"]["num_small_fragments"]
    if collection.info.precision == "int8" or rows < indexing.FEWEST_ROWS:
        if small > _FRAGMENTS:
            committing("cannot merge small files", table.optimize)
        return collection.tuning
    committing("cannot merge small files", table.optimize)
    if collection.tuning is not None and not indexing.is_outgrown(table, collection.tuning, rows):
        return collection.tuning
    return indexing.build(table, rows)


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

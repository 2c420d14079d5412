"""The contract that every gallery store keeps, so that one machine and a cluster are used alike.

A store knows rows, not people: which identity was merged into which, calibration, retention and what the
audit means are the gallery's. Rows travel as Arrow tables with the columns of `item_schema`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import pyarrow as pa

from omnireid.core.arrays import Bool, Float32
from omnireid.gallery.items import EVERYTHING, FIELDS, SHOWN, Filter, Kind
from omnireid.gallery.options import StoredPrecision

ARROW: dict[Kind, pa.DataType] = {
    "name": pa.string(),
    "text": pa.string(),
    "seconds": pa.float64(),
    "share": pa.float32(),
    "box": pa.list_(pa.float32(), 4),
    "attributes": pa.string(),
    "flag": pa.bool_(),
    "picture": pa.binary(),
}
"""How the kinds of fields stand in a table; attributes as a JSON object."""

TAGS = pa.field("tags", pa.list_(pa.string()), nullable=False)
"""The attributes once more, for filters (`items.tags`)."""

COLUMNS = (*SHOWN, TAGS.name)
"""Columns of an item without its picture, which is large, and its embedding."""


def item_schema(dim: int, embedding: pa.DataType | None = None) -> pa.Schema:
    """Columns of the tables that go into a store and come out of it, embeddings always as float32.

    They follow from the fields of `Item` and are met by name; their order says nothing.

    Args:
        dim: D.
        embedding: Another type of the D numbers, as a store keeps them.
    """
    fields = [
        pa.field(field.name, ARROW[field.kind], nullable=field.absent is None)
        for field in FIELDS
        if field.is_stored
    ]
    vector = pa.field("embedding", pa.list_(embedding or pa.float32(), dim), nullable=False)
    return pa.schema([*fields, TAGS, vector])


@dataclass(frozen=True, slots=True)
class CollectionInfo:
    """A collection of items whose embeddings are of one model.

    Attributes:
        name: lower-case letters, digits and underscores.
        dim: D of its embeddings.
        precision: how they are stored.
    """

    name: str
    dim: int
    precision: StoredPrecision


@dataclass(frozen=True, slots=True)
class IndexState:
    """Where the approximate index of a collection stands.

    Attributes:
        status: "none" (searches are exact), "building" or "ready".
        indexed, unindexed: items in the index, and items that a search looks at one by one.
    """

    status: Literal["none", "building", "ready"]
    indexed: int
    unindexed: int


class GalleryStore(Protocol):
    """Durable rows with vector search. Several threads may share one store.

    What returned is durable: it is there after kill -9. What did not return is there whole or not at all.
    Readers never see half of a write. A full disk raises `StorageError` and loses nothing.

    Attributes:
        uri: where it is kept.
        read_only: why nothing can be written there, known when it was opened; None where it can. Then reads
            and searches work, and all that writes, `lock` too, raises `NotWritableError`.
    """

    uri: str
    read_only: str | None

    def collections(self) -> dict[str, CollectionInfo]:
        """By name. A collection whose creation was interrupted is not listed."""

    def create_collection(self, info: CollectionInfo) -> None:
        """Make an empty collection; nothing happens where an equal one is there.

        Raises:
            InputError: another one of this name, or a precision that the store does not have.
        """

    def drop_collection(self, name: str) -> None:
        """Delete a collection and its files; nothing happens where there is none."""

    def add(self, collection: str, rows: pa.Table) -> Bool:
        """Add those rows whose id is not there yet, in one commit.

        Args:
            rows: a table as `item_schema`; embeddings of unit norm.

        Returns:
            (N,) bool: which rows are new. Of equal ids within `rows` the first is.

        Raises:
            StorageError: they could not be written; none is there.
        """

    def search(
        self,
        collection: str,
        query: Float32,
        *,
        k: int,
        where: Filter = EVERYTHING,
        exact: bool = False,
        columns: Sequence[str] = COLUMNS,
    ) -> pa.Table:
        """The k items with the largest cosine similarity, best first.

        Args:
            query: (D,) float32 of unit norm.
            exact: compare with every item that meets `where`, index or not.
            columns: columns of the items; "thumbnail" and "embedding" only where asked for.

        Returns:
            At most k rows of `columns` and "score" (float32), computed from the stored embeddings and
            not from codes of an index. Ties by id.
        """

    def get(self, collection: str, ids: Sequence[str], *, columns: Sequence[str] = COLUMNS) -> pa.Table:
        """Items by id, in the order asked for; those that are not there are left out."""

    def scan(
        self,
        collection: str,
        *,
        where: Filter = EVERYTHING,
        columns: Sequence[str] = COLUMNS,
        batch_size: int = 4096,
    ) -> Iterator[pa.Table]:
        """Every item that meets `where`, a batch at a time, in any order, each once."""

    def count(self, collection: str, where: Filter = EVERYTHING) -> int:
        """Items that meet `where`."""

    def set_identity(self, collection: str, ids: Sequence[str], identity: str | None) -> int:
        """Give items an identity, or take it away, in one commit; how many were there."""

    def delete(self, collection: str, where: Filter) -> int:
        """Make items invisible in one commit; how many. Their bytes go with `purge`.

        Raises:
            InputError: the empty filter; `drop_collection` is meant for that.
        """

    def purge(self, collection: str) -> None:
        """Remove from disk what is not visible any more: rows, old versions, entries of indexes.

        Interrupted, it is run again. Reads go on meanwhile; writes may wait.
        """

    def build_index(self, collection: str) -> None:
        """Build the approximate index, or take new items into it. Reads and writes go on meanwhile.

        Interrupted, the collection is as before. Few items need none; then nothing happens.
        """

    def warm(self, collection: str) -> None:
        """Take into memory what makes searches quick, and keep it up; returns when that is done.

        What a store finds does not depend on it. One that keeps nothing in memory does nothing.
        """

    def index_state(self, collection: str) -> IndexState:
        """Of the approximate index."""

    def put_records(self, kind: str, records: Mapping[str, Mapping[str, Any]]) -> None:
        """Write small JSON objects by id, all of them in one commit; those of the same id are replaced."""

    def delete_records(self, kind: str, ids: Sequence[str]) -> None:
        """Delete records, so that they are gone from disk after `purge_records`."""

    def records(self, kind: str) -> dict[str, dict[str, Any]]:
        """All records of a kind, by id."""

    def purge_records(self) -> None:
        """Remove old versions of records from disk."""

    def append_audit(self, entries: Sequence[Mapping[str, Any]]) -> None:
        """Add entries (JSON objects with a "time" in Unix seconds) at the end of the audit log, durably.

        Does not wait for `lock`: searches write entries, and long writes hold it.
        """

    def audit(self) -> Iterator[dict[str, Any]]:
        """Entries of the audit log, the oldest first."""

    def audit_page(self, known: int | None, limit: int, *, latest: bool) -> list[tuple[int, dict[str, Any]]]:
        """Some entries with their places in the log: what lies before or behind them is not read.

        A place is at least 0 and below 2^53, and grows along the log, with gaps. It stays.

        Args:
            known: the place of an entry; those behind it are given, the first of all when None.
            limit: how many at most.
            latest: turn the log round: the last entry comes first, and behind an entry are those before it.
        """

    def lock(self) -> AbstractContextManager[None]:
        """Keep other writers out, of other processes too where the store can; may be taken again inside.

        For what must read, decide and write. Single writes need none.
        """

    def disk_bytes(self) -> int | None:
        """What the store takes on disk; None where it cannot know."""

    def close(self) -> None:
        """Wait for writes that run, and let go of files and connections."""

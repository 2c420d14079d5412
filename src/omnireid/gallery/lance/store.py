"""The store on LanceDB: a table for each collection and one for the records, in one folder or prefix."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pyarrow as pa

from omnireid.core.arrays import Bool, Float32
from omnireid.core.errors import InputError, OmniReIDError
from omnireid.gallery.encoding import stored_schema
from omnireid.gallery.items import EVERYTHING, Filter
from omnireid.gallery.lance import auditing, old_files, purging, upkeep
from omnireid.gallery.lance.collection import Collection
from omnireid.gallery.lance.connection import Connection
from omnireid.gallery.lance.failures import check_there
from omnireid.gallery.lance.indexing import Tuning
from omnireid.gallery.lance.layout import layout_of
from omnireid.gallery.lance.lease import RETRIES, Lease, open_objects
from omnireid.gallery.lance.locking import FolderLock, why_read_only
from omnireid.gallery.options import STORED_PRECISIONS
from omnireid.gallery.store import COLUMNS, CollectionInfo, IndexState

_COLLECTIONS = "store-collection"
_INDEXES = "store-index"
# After so long it is looked whether another process has dropped a collection or built its index.
_FRESH_S = 10.0
# Writes between two looks at how many files there are.
_LOOK_EACH = 16
_BUCKETS = ("s3://", "gs://", "az://")

_log = logging.getLogger("omnireid.gallery")


class LanceStore:
    """A gallery in a local folder or in object storage; keeps the contract of `GalleryStore`.

    Writers of all processes wait for one another: in a local folder for a lock of its file system, in object
    storage for a `Lease`.
    """

    def __init__(self, uri: str, storage_options: Mapping[str, str] | None = None) -> None:
        self._folder = local_folder(uri)
        self.uri = uri
        options = dict(storage_options or {})
        if uri.lower().startswith(_BUCKETS):
            options = {**RETRIES, **options}
            objects = open_objects(uri, options)
            # Before anything is written there: it says what the storage cannot do.
            self._lock: FolderLock | Lease = Lease(objects, ".lock", uri)
            # Held by who builds indexes and who removes files, which would take those of one in the making.
            self._upkeep: FolderLock | Lease = Lease(objects, ".upkeep.lock", uri)
            self.read_only = self._lock.read_only
            self._connection = Connection(uri, None, options)
        else:
            self._connection = Connection(uri, self._folder, options)
            lock = None if self._folder is None else self._folder / ".lock"
            self.read_only = None if lock is None else why_read_only(lock)
            self._lock = FolderLock(lock)
            self._upkeep = FolderLock(None if self._folder is None else self._folder / ".upkeep.lock")
        is_older = self._connection.is_older or self._connection.lacks_columns(self._tables())
        # One that can only be read stays as it is: what it lacks is filled in as it is read.
        if is_older and self.read_only is None:
            with self._lock.held():
                self._connection.bring_forward(self._tables())
        # Of its own: a search writes to the audit, and must not wait for a long write of items.
        self._audit_lock = FolderLock(None if self._folder is None else self._folder / ".audit.lock")
        self._open: dict[str, tuple[Collection, float]] = {}
        self._building: set[str] = set()
        self._keeps_codes = False
        self._writes = 0
        self._merging: dict[str, threading.Thread] = {}

    def collections(self) -> dict[str, CollectionInfo]:
        return {
            name: CollectionInfo(name, record["dim"], record["precision"])
            for name, record in self._connection.records(_COLLECTIONS).items()
        }

    def create_collection(self, info: CollectionInfo) -> None:
        if info.precision not in STORED_PRECISIONS:
            raise InputError(
                f"precision: expected one of {', '.join(STORED_PRECISIONS)}, got {info.precision!r}"
            )
        with self.lock():
            present = self.collections().get(info.name)
            if present == info:
                return
            if present is not None:
                raise InputError(f"collection {info.name!r} is there already, as {present}")
            table = self._connection.create_table(info.name, stored_schema(info.dim, info.precision))
            record = {"dim": info.dim, "precision": info.precision, "table": table}
            self._connection.put_records(_COLLECTIONS, {info.name: record})

    def drop_collection(self, name: str) -> None:
        """Delete a collection; first it vanishes, then its files."""
        with self.lock():
            self._connection.delete_records(_COLLECTIONS, [name])
            self._connection.delete_records(_INDEXES, [name])
            self._open.pop(name, None)
            self._connection.drop_tables(name, self._tables())

    def add(self, collection: str, rows: pa.Table) -> Bool:
        with self.lock():
            is_new = self._collection(collection).add(rows)
        self._written(collection)
        return is_new

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
        return self._collection(collection).search(query, k, where, exact, columns)

    def get(self, collection: str, ids: Sequence[str], *, columns: Sequence[str] = COLUMNS) -> pa.Table:
        return self._collection(collection).get(ids, columns)

    def scan(
        self,
        collection: str,
        *,
        where: Filter = EVERYTHING,
        columns: Sequence[str] = COLUMNS,
        batch_size: int = 4096,
    ) -> Iterator[pa.Table]:
        return self._collection(collection).scan(where, columns, batch_size)

    def count(self, collection: str, where: Filter = EVERYTHING) -> int:
        return self._collection(collection).count(where)

    def set_identity(self, collection: str, ids: Sequence[str], identity: str | None) -> int:
        with self.lock():
            count = self._collection(collection).set_identity(ids, identity)
        self._written(collection)
        return count

    def delete(self, collection: str, where: Filter) -> int:
        with self.lock():
            return self._collection(collection).delete(where)

    def purge(self, collection: str) -> None:
        with self.lock(), self._upkeep.held():
            opened = self._collection(collection)
            indexed = self._connection.records(_INDEXES).get(collection, {}).get("fragments")
            if upkeep.purge(opened, self._table_folder(opened), indexed):
                self._connection.delete_records(_INDEXES, [collection])
                opened.tuning = None
            self._record_index(opened)
        if opened.resident is not None:
            opened.keep_codes()

    def build_index(self, collection: str) -> None:
        """Build the approximate index, or take new items into it; merge the files of many small writes."""
        opened = self._collection(collection)
        self._building.add(collection)
        try:
            with self._upkeep.held():
                opened.tuning = upkeep.build_index(opened)
        finally:
            self._building.discard(collection)
        self._record_index(opened)
        self._tidy(collection)

    def warm(self, collection: str) -> None:
        """Keep codes of all embeddings in memory, here and of every collection that is searched later."""
        self._keeps_codes = True
        self._collection(collection).keep_codes()

    def index_state(self, collection: str) -> IndexState:
        """Of the approximate index; "building" where this process builds it."""
        state = self._collection(collection).index_state()
        return replace(state, status="building") if collection in self._building else state

    def put_records(self, kind: str, records: Mapping[str, Mapping[str, Any]]) -> None:
        with self.lock():
            self._connection.put_records(kind, records)

    def delete_records(self, kind: str, ids: Sequence[str]) -> None:
        with self.lock():
            self._connection.delete_records(kind, ids)

    def records(self, kind: str) -> dict[str, dict[str, Any]]:
        return self._connection.records(kind)

    def purge_records(self) -> None:
        """Remove old versions of records from disk, and what an interrupted drop has left."""
        with self.lock():
            self._connection.drop_tables("", self._tables())
            purging.rewrite(self._connection.record_table, None)
            purging.remove_old_versions(self._connection.record_table)

    def append_audit(self, entries: Sequence[Mapping[str, Any]]) -> None:
        if not entries:
            return
        if self._folder is None:
            self._connection.append_audit(entries)
            return
        with self._audit_lock.held():
            auditing.append(self._folder / "audit", entries)

    def audit(self) -> Iterator[dict[str, Any]]:
        check_there(self._folder)
        return self._connection.audit() if self._folder is None else auditing.entries(self._folder / "audit")

    def audit_page(self, known: int | None, limit: int, *, latest: bool) -> list[tuple[int, dict[str, Any]]]:
        check_there(self._folder)
        if self._folder is None:
            return self._connection.audit_page(known, limit, latest=latest)
        return auditing.page(self._folder / "audit", known, limit, latest=latest)

    def lock(self) -> AbstractContextManager[None]:
        return self._lock.held()

    def disk_bytes(self) -> int | None:
        """Bytes of all files below the folder; None for object storage."""
        if self._folder is None:
            return None
        return sum(_size(Path(root) / name) for root, _, names in os.walk(self._folder) for name in names)

    def close(self) -> None:
        """Wait for files that are being merged, and let go of the tables."""
        for thread in list(self._merging.values()):
            thread.join()
        self._open.clear()

    def _written(self, collection: str) -> None:
        """Now and then merge the files of many writes, beside what goes on."""
        self._writes += 1
        if self._writes % _LOOK_EACH == 1 and collection not in self._merging:
            thread = threading.Thread(target=self._keep_in_order, args=(collection,), name="omnireid-merge")
            self._merging[collection] = thread
            thread.start()

    def _keep_in_order(self, collection: str) -> None:
        try:
            is_tidy = self._tidy(collection)
            opened = self._collection(collection)
            if upkeep.is_outside_index(opened) if is_tidy else upkeep.is_scattered(opened):
                with self._upkeep.held():
                    opened.tuning = upkeep.merge_files(opened)
                self._record_index(opened)
                self._tidy(collection)
        except OmniReIDError as error:  # Whoever wrote has been answered; a later write tries again.
            _log.warning("%s: the files of many writes were not merged: %s", self.uri, error)
        finally:
            del self._merging[collection]

    def _tidy(self, collection: str) -> bool:
        """Merge small files and remove old ones, where `upkeep.tidy` can."""
        with self.lock(), self._upkeep.tried() as is_free:
            if not is_free:  # Whoever makes an index does this at its end.
                return True
            opened = self._collection(collection)
            index = self._connection.records(_INDEXES).get(collection, {})
            old = upkeep.tidy(opened, self._table_folder(opened), index)
        old_files.remove(old or [])
        return old is not None

    def _collection(self, name: str) -> Collection:
        collection, opened = self._open.get(name, (None, 0.0))
        if collection is not None and time.monotonic() - opened < _FRESH_S and self._is_there(collection):
            return collection
        record = self._connection.records(_COLLECTIONS).get(name)
        if record is None:
            raise InputError(f"no collection {name!r} in the gallery {self.uri}")
        index = self._connection.records(_INDEXES).get(name)
        if collection is None or collection.table.name != record["table"]:
            info = CollectionInfo(name, record["dim"], record["precision"])
            collection = Collection(
                self._connection.table(record["table"]), info, keeps_codes=self._keeps_codes
            )
        collection.tuning = None if index is None else Tuning(**index["tuning"])
        self._open[name] = collection, time.monotonic()
        return collection

    def _tables(self) -> set[str]:
        return {str(record["table"]) for record in self._connection.records(_COLLECTIONS).values()}

    def _record_index(self, collection: Collection) -> None:
        """Write down how the index is searched, which fragments it covers, and which files it has."""
        # Not for who holds the lock of the upkeep alone: whoever purges takes this one first.
        with self.lock():
            if collection.tuning is not None:
                folder = self._table_folder(collection)
                layout = None if folder is None else layout_of(collection.table, folder)
                record = {
                    "tuning": collection.tuning._asdict(),
                    "fragments": sorted(purging.visible_fragments(collection.table)),
                    "files": sorted(() if layout is None else layout.indexes),
                }
                self._connection.put_records(_INDEXES, {collection.info.name: record})

    def _is_there(self, collection: Collection) -> bool:
        folder = self._table_folder(collection)
        return folder is None or folder.is_dir()

    def _table_folder(self, collection: Collection) -> Path | None:
        return None if self._folder is None else self._folder / f"{collection.table.name}.lance"


def local_folder(uri: str) -> Path | None:
    """The folder that a URI means; None where it means object storage."""
    parts = urlsplit(uri)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    return None if "://" in uri else Path(uri)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0

"""A gallery store of plain dictionaries and NumPy: what the real ones are compared with."""

from __future__ import annotations

import copy
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import pyarrow as pa

from omnireid.core.arrays import Bool, Float32
from omnireid.core.errors import InputError
from omnireid.gallery.errors import NotWritableError
from omnireid.gallery.items import EVERYTHING, Filter, tags
from omnireid.gallery.options import STORED_PRECISIONS, StoredPrecision
from omnireid.gallery.store import COLUMNS, CollectionInfo, IndexState, item_schema


class StoppedError(BaseException):
    """Stands for kill -9: nothing catches it by accident."""


class MemoryStore:
    """Keeps the contract of `GalleryStore` while the object lives; `close` lets go of nothing.

    Attributes:
        writes_left: the write after so many raises `StoppedError` and does nothing; None for no limit.
        num_writes: done so far.
    """

    def __init__(self, uri: str = "memory://") -> None:
        self.uri = uri
        self.read_only: str | None = None
        self.writes_left: int | None = None
        self.num_writes = 0
        self._lock = threading.RLock()
        self._audit_lock = threading.Lock()
        self._infos: dict[str, CollectionInfo] = {}
        self._rows: dict[str, dict[str, dict[str, Any]]] = {}
        self._records: dict[str, dict[str, str]] = {}
        self._audit: list[str] = []

    def _write(self) -> None:
        if self.read_only is not None:
            raise NotWritableError(self.uri, self.read_only)
        if self.writes_left is not None:
            if self.writes_left == 0:
                raise StoppedError
            self.writes_left -= 1
        self.num_writes += 1

    def collections(self) -> dict[str, CollectionInfo]:
        with self._lock:
            return dict(self._infos)

    def create_collection(self, info: CollectionInfo) -> None:
        if info.precision not in STORED_PRECISIONS:
            raise InputError(f"precision: expected one of {STORED_PRECISIONS}, got {info.precision!r}")
        with self._lock:
            there = self._infos.get(info.name)
            if there == info:
                return
            if there is not None:
                raise InputError(f"collection {info.name}: there is {there} already")
            self._write()
            self._infos[info.name] = info
            self._rows[info.name] = {}

    def drop_collection(self, name: str) -> None:
        with self._lock:
            if name in self._infos:
                self._write()
                del self._infos[name], self._rows[name]

    def add(self, collection: str, rows: pa.Table) -> Bool:
        info = self._infos[collection]
        rows = rows.cast(item_schema(info.dim))
        with self._lock:
            self._write()
            there, is_new = self._rows[collection], np.zeros(rows.num_rows, np.bool_)
            for place, row in enumerate(rows.to_pylist()):
                if row["id"] not in there:
                    row["embedding"] = stored(np.array(row["embedding"], np.float32), info.precision)
                    there[row["id"]] = row
                    is_new[place] = True
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
        with self._lock:
            rows = [row for row in self._rows[collection].values() if meets(row, where)]
        scores = {row["id"]: np.float32(_cosine(row["embedding"], query)) for row in rows}
        rows.sort(key=lambda row: (-scores[row["id"]], row["id"]))
        table = self._table(collection, rows[:k], columns)
        found = [scores[row["id"]] for row in rows[:k]]
        return table.append_column(
            pa.field("score", pa.float32(), nullable=False), pa.array(found, pa.float32())
        )

    def get(self, collection: str, ids: Sequence[str], *, columns: Sequence[str] = COLUMNS) -> pa.Table:
        with self._lock:
            there = self._rows[collection]
            return self._table(collection, [there[one] for one in ids if one in there], columns)

    def scan(
        self,
        collection: str,
        *,
        where: Filter = EVERYTHING,
        columns: Sequence[str] = COLUMNS,
        batch_size: int = 4096,
    ) -> Iterator[pa.Table]:
        with self._lock:
            rows = [row for row in self._rows[collection].values() if meets(row, where)]
        for start in range(0, len(rows), batch_size):
            yield self._table(collection, rows[start : start + batch_size], columns)

    def count(self, collection: str, where: Filter = EVERYTHING) -> int:
        with self._lock:
            return sum(meets(row, where) for row in self._rows[collection].values())

    def set_identity(self, collection: str, ids: Sequence[str], identity: str | None) -> int:
        with self._lock:
            self._write()
            there = self._rows[collection]
            known = {one for one in ids if one in there}
            for one in known:
                there[one] = {**there[one], "identity": identity}
            return len(known)

    def delete(self, collection: str, where: Filter) -> int:
        if where.is_empty:
            raise InputError("delete: expected a condition; drop the collection to delete everything")
        with self._lock:
            self._write()
            there = self._rows[collection]
            gone = [one for one, row in there.items() if meets(row, where)]
            for one in gone:
                del there[one]
            return len(gone)

    def purge(self, collection: str) -> None:
        self._write()

    def build_index(self, collection: str) -> None:
        self._write()

    def warm(self, collection: str) -> None:
        pass

    def index_state(self, collection: str) -> IndexState:
        return IndexState("none", 0, len(self._rows[collection]))

    def put_records(self, kind: str, records: Mapping[str, Mapping[str, Any]]) -> None:
        with self._lock:
            self._write()
            there = self._records.setdefault(kind, {})
            there.update({one: json.dumps(record, allow_nan=False) for one, record in records.items()})

    def delete_records(self, kind: str, ids: Sequence[str]) -> None:
        with self._lock:
            self._write()
            for one in ids:
                self._records.get(kind, {}).pop(one, None)

    def records(self, kind: str) -> dict[str, dict[str, Any]]:
        with self._lock:
            return {one: json.loads(record) for one, record in self._records.get(kind, {}).items()}

    def purge_records(self) -> None:
        self._write()

    def append_audit(self, entries: Sequence[Mapping[str, Any]]) -> None:
        with self._audit_lock:
            self._write()
            self._audit.extend(json.dumps(entry, allow_nan=False) for entry in entries)

    def audit_page(self, known: int | None, limit: int, *, latest: bool) -> list[tuple[int, dict[str, Any]]]:
        places = list(enumerate(self.audit()))
        if latest:
            return places[:known][::-1][:limit]
        return places[0 if known is None else known + 1 :][:limit]

    def audit(self) -> Iterator[dict[str, Any]]:
        with self._audit_lock:
            entries = list(self._audit)
        return (json.loads(entry) for entry in entries)

    def lock(self) -> AbstractContextManager[Any]:
        if self.read_only is not None:
            raise NotWritableError(self.uri, self.read_only)
        return self._lock

    def disk_bytes(self) -> int | None:
        return None

    def close(self) -> None:
        pass

    def _table(self, collection: str, rows: list[dict[str, Any]], columns: Sequence[str]) -> pa.Table:
        wanted = item_schema(self._infos[collection].dim)
        schema = pa.schema([wanted.field(name) for name in columns])
        chosen = [{name: copy.copy(row[name]) for name in columns} for row in rows]
        return pa.Table.from_pylist(chosen, schema=schema)


def meets(row: Mapping[str, Any], where: Filter) -> bool:
    """Whether a row meets a filter, one condition after the other."""
    for name, wanted in (
        ("id", where.ids),
        ("camera", where.cameras),
        ("identity", where.identities),
        ("tracklet", where.tracklets),
    ):
        if wanted is not None and row[name] not in wanted:
            return False
    time = row["time"]
    if where.since is not None and (time is None or time < where.since):
        return False
    if where.until is not None and (time is None or time >= where.until):
        return False
    if where.has_identity is not None and (row["identity"] is not None) != where.has_identity:
        return False
    if not set(tags(where.attributes)) <= set(row["tags"]):
        return False
    if where.enrolled_since is not None and row["enrolled"] < where.enrolled_since:
        return False
    return where.enrolled_before is None or row["enrolled"] < where.enrolled_before


def stored(embedding: Float32, precision: StoredPrecision) -> Float32:
    """What is left of an embedding after it was stored."""
    if precision == "float16":
        return embedding.astype(np.float16).astype(np.float32)
    if precision == "int8":
        scale = np.abs(embedding).max() / 127
        return np.rint(embedding / scale).astype(np.float32) * np.float32(scale)
    return embedding


def _cosine(a: Float32, b: Float32) -> float:
    one, two = a.astype(np.float64), b.astype(np.float64)
    return float(one @ two / np.sqrt((one @ one) * (two @ two)))

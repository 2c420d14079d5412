"""The gallery store on Milvus. docs/guides/gallery/milvus.md says what a cluster does with each operation."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

import numpy as np
import pyarrow as pa

from omnireid.core.arrays import Bool, Float32
from omnireid.core.errors import InputError, StorageError
from omnireid.gallery.encoding import scores
from omnireid.gallery.items import EVERYTHING, Filter
from omnireid.gallery.milvus import rows as milvus_rows
from omnireid.gallery.milvus.connection import Address, Connection
from omnireid.gallery.milvus.filters import expression, is_one_of
from omnireid.gallery.milvus.records import RecordStore
from omnireid.gallery.milvus.tables import BACKGROUND_S, MAX_ROWS, MESSAGE_BYTES, Row, Table, Tables
from omnireid.gallery.store import COLUMNS, CollectionInfo, IndexState, item_schema
from omnireid.gallery.texts import askable

_SLACK = 32
"""More candidates than asked for, so that rounding in the server does not decide who is among the k."""


class MilvusStore(RecordStore):
    """`GalleryStore` in a Milvus server or cluster of version 2.5 or later.

    Milvus has no transactions, so this is weaker than the contract:
    - `add` and `set_identity` of more than 16 MiB are several requests, each whole and durable by itself.
      After an error the first of them may have been carried out; asking again completes the rest.
    - `lock` keeps out other threads of this store, not other processes. Let one process at a time change
      identities, forget and move; any number may enrol and search.
    - `purge` returns when Milvus has written its segments anew. A cluster deletes the old files later.
    """

    def __init__(self, uri: str, storage_options: Mapping[str, str] | None = None) -> None:
        """Connect, and make the gallery where there is none.

        Args:
            uri: as `Address.parse`, and its `storage_options`.

        Raises:
            InputError: the URI or an option is not one of Milvus's.
            MissingExtraError: pymilvus is not installed.
            StorageError: no Milvus answers there, or it refuses the token.
        """
        address = Address.parse(uri, storage_options)
        self.uri = address.uri
        self.read_only: str | None = None
        self._index = address.index
        self._prefix = f"{address.name}__c__"
        self._infos: dict[str, CollectionInfo] = {}
        self._connection = Connection(address)
        super().__init__(Tables(self._connection), address.name, is_lite=self._connection.is_lite())
        self._bring_forward()

    def collections(self) -> dict[str, CollectionInfo]:
        aliases = sorted(alias for alias in self._tables.aliases() if alias.startswith(self._prefix))
        infos = [
            milvus_rows.collection_info(alias[len(self._prefix) :], self._tables.describe(alias))
            for alias in aliases
        ]
        self._infos = {info.name: info for info in infos}
        return dict(self._infos)

    def create_collection(self, info: CollectionInfo) -> None:
        if self._is_lite and info.precision != "float32":
            raise InputError(f"{self.uri}: milvus-lite has no {info.precision} vectors; use float32")
        with self._writing:
            there = self.collections().get(info.name)
            if there not in (None, info):
                raise InputError(f"{self.uri}: already has a collection {info.name!r}: {there}")
            if there is None:
                self._tables.create(self._table(info))

    def drop_collection(self, name: str) -> None:
        with self._writing:
            self._infos.pop(name, None)
            self._tables.drop(self._prefix + name)

    def add(self, collection: str, rows: pa.Table) -> Bool:
        with self._writing:
            ids = rows["id"].to_pylist()
            known = set(self.get(collection, ids, columns=("id",))["id"].to_pylist())
            is_new = np.zeros(len(ids), bool)
            for index, own in enumerate(ids):
                is_new[index] = own not in known
                known.add(own)
            self._write(collection, rows.filter(pa.array(is_new)))
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
        """As the contract. With an index, `exact` reads every embedding that meets `where` over the network.

        Raises:
            InputError: k is above 16,384.
        """
        if k > MAX_ROWS:
            raise InputError(f"k: Milvus gives at most {MAX_ROWS:,} candidates, got {k:,}")
        info = self._info(collection)
        condition = expression(where)
        # Pictures come for the best only, by a second request.
        fields = sorted({"id", "embedding", *columns} - {"thumbnail"})
        best: list[tuple[float, Row]] = []
        if condition is not None and k > 0:
            find = self._compare_all if exact and self._has_index(info) else self._nearest
            best = find(info, query, k, condition, fields)
        if "thumbnail" in columns:
            best = self._with_thumbnails(info, best)
        table = milvus_rows.from_milvus([row for _, row in best], columns, info)
        return table.append_column("score", pa.array([score for score, _ in best], pa.float32()))

    def get(self, collection: str, ids: Sequence[str], *, columns: Sequence[str] = COLUMNS) -> pa.Table:
        info = self._info(collection)
        rows = self._by_id(info, ids, sorted({"id", *columns}))
        return milvus_rows.from_milvus([rows[own] for own in ids if own in rows], columns, info)

    def scan(
        self,
        collection: str,
        *,
        where: Filter = EVERYTHING,
        columns: Sequence[str] = COLUMNS,
        batch_size: int = 4096,
    ) -> Iterator[pa.Table]:
        info = self._info(collection)
        condition = expression(where)
        if condition is None:
            return
        size = min(batch_size, _page_rows(columns, info))
        for page in self._tables.pages(self._prefix + collection, condition, columns, size):
            yield milvus_rows.from_milvus(page, columns, info)

    def count(self, collection: str, where: Filter = EVERYTHING) -> int:
        condition = expression(where)
        if condition is None:
            return 0
        (row,) = self._tables.query(self._prefix + collection, condition, ["count(*)"])
        return int(row["count(*)"])

    def set_identity(self, collection: str, ids: Sequence[str], identity: str | None) -> int:
        info = self._info(collection)
        columns = item_schema(info.dim).names
        changed = 0
        with self._writing:
            # Whole rows: servers before 2.6.2 cannot write one field of a row.
            for part in _parts(list(dict.fromkeys(ids)), _page_rows(columns, info)):
                rows = self.get(collection, part, columns=columns)
                column = pa.array([identity] * rows.num_rows, pa.string())
                rows = rows.set_column(columns.index("identity"), rows.schema.field("identity"), column)
                self._write(collection, rows)
                changed += rows.num_rows
        return changed

    def delete(self, collection: str, where: Filter) -> int:
        if where.is_empty:
            raise InputError("delete: the empty filter means every item; drop_collection is meant for that")
        condition = expression(where)
        with self._writing:
            # Counted by us: Milvus counts ids that are not there as well.
            count = self.count(collection, where)
            if condition and count:
                self._tables.delete(self._prefix + collection, condition)
        return count

    def purge(self, collection: str) -> None:
        """As the contract; writes wait meanwhile.

        Raises:
            StorageError: a cluster has not ended within ten minutes; it goes on, and may be asked again.
        """
        with self._writing:
            self._tables.purge(self._table(self._info(collection)), is_lite=self._is_lite)

    def build_index(self, collection: str) -> None:
        """Have Milvus index what was added, which it does by itself sooner or later, and wait for it.

        Raises:
            StorageError: it has not ended within ten minutes; it goes on.
        """
        if not self._has_index(self._info(collection)):
            return
        self._tables.flush(self._prefix + collection)
        until = time.monotonic() + BACKGROUND_S
        while self.index_state(collection).status == "building":
            if time.monotonic() > until:
                raise StorageError(f"{self.uri}: Milvus is still building the index; look at its state later")
            time.sleep(0.5)

    def warm(self, collection: str) -> None:
        """Nothing: Milvus keeps in memory what it searches."""

    def index_state(self, collection: str) -> IndexState:
        count = self.count(collection)
        if not count or not self._has_index(self._info(collection)):
            return IndexState("none", 0, count)
        index = self._tables.index(self._prefix + collection, "embedding")
        indexed = min(count, int(index["indexed_rows"]))
        is_building = int(index.get("pending_index_rows", 0)) > 0
        return IndexState("building" if is_building else "ready", indexed, count - indexed)

    @contextmanager
    def lock(self) -> Iterator[None]:
        with self._writing:
            yield

    def disk_bytes(self) -> int | None:
        return None

    def close(self) -> None:
        with self._writing:
            self._connection.close()

    def _bring_forward(self) -> None:
        """Give collections of an earlier version the fields that they lack."""
        for name, info in self.collections().items():
            if missing := milvus_rows.missing_fields(self._tables.describe(self._prefix + name)):
                with self._writing:
                    self._tables.add_fields(
                        self._table(info),
                        {field.name: milvus_rows.field_type(field) for field in missing},
                        partial(milvus_rows.with_fields, missing=missing),
                    )

    def _info(self, collection: str) -> CollectionInfo:
        info = self._infos.get(collection) or self.collections().get(collection)
        if info is None:
            raise StorageError(f"{self.uri}: has no collection {collection!r}")
        return info

    def _table(self, info: CollectionInfo) -> Table:
        # A graph for a handful of rows would only make milvus-lite slower.
        index = self._index or ("FLAT" if self._is_lite else "HNSW")
        return Table(
            self._prefix + info.name,
            lambda client: milvus_rows.collection_schema(client, info),
            "embedding",
            index,
        )

    def _has_index(self, info: CollectionInfo) -> bool:
        """Whether searches may miss something. FLAT compares with every item."""
        return str(self._tables.index(self._prefix + info.name, "embedding")["index_type"]) != "FLAT"

    def _write(self, collection: str, rows: pa.Table) -> None:
        info = self._info(collection)
        # The bytes in memory, and a third more for a thumbnail as text.
        size = max(1, int(MESSAGE_BYTES * max(1, rows.num_rows) / (1 + 1.4 * rows.nbytes)))
        for start in range(0, rows.num_rows, size):
            part = milvus_rows.to_milvus(rows.slice(start, size), info.precision)
            # `insert` would leave two rows of one id where two processes add it at once.
            self._tables.upsert(self._prefix + collection, part)

    def _by_id(self, info: CollectionInfo, ids: Iterable[str], fields: Sequence[str]) -> dict[str, Row]:
        alias = self._prefix + info.name
        row_of: dict[str, Row] = {}
        for part in _parts(askable(set(ids)), _page_rows(fields, info)):
            row_of |= {row["id"]: row for row in self._tables.query(alias, is_one_of("id", part), fields)}
        return row_of

    def _nearest(
        self, info: CollectionInfo, query: Float32, k: int, condition: str, fields: Sequence[str]
    ) -> list[tuple[float, Row]]:
        """The best that the index finds. While the k-th ties with the last, others may come before it."""
        alias = self._prefix + info.name
        limit = min(MAX_ROWS, k + _SLACK)
        vector = milvus_rows.query_vector(query, info.precision)
        while True:
            hits = self._tables.search(alias, vector, condition, fields, limit)
            best = _ranked(hits, query, info)
            if len(hits) < limit or limit == MAX_ROWS or best[k - 1][0] > best[-1][0]:
                return best[:k]
            limit = min(MAX_ROWS, 4 * limit)

    def _compare_all(
        self, info: CollectionInfo, query: Float32, k: int, condition: str, fields: Sequence[str]
    ) -> list[tuple[float, Row]]:
        """The best of all, compared here: Milvus's indexes have no exact search."""
        best: list[Row] = []
        for page in self._tables.pages(self._prefix + info.name, condition, fields, _page_rows(fields, info)):
            best = [row for _, row in _ranked([*best, *page], query, info)[:k]]
        return _ranked(best, query, info)

    def _with_thumbnails(
        self, info: CollectionInfo, best: list[tuple[float, Row]]
    ) -> list[tuple[float, Row]]:
        row_of = self._by_id(info, [row["id"] for _, row in best], ["id", "thumbnail"])
        # One that was deleted between the two requests is left out.
        return [(score, {**row, **row_of[row["id"]]}) for score, row in best if row["id"] in row_of]


def _ranked(rows: Sequence[Row], query: Float32, info: CollectionInfo) -> list[tuple[float, Row]]:
    """Rows with their scores, best first and ties by id."""
    own = scores(milvus_rows.stored_embeddings(rows, info), query).tolist()
    return sorted(zip(own, rows, strict=True), key=lambda pair: (-pair[0], pair[1]["id"]))


def _page_rows(columns: Sequence[str], info: CollectionInfo) -> int:
    return max(1, min(MAX_ROWS, MESSAGE_BYTES // milvus_rows.row_bytes(columns, info.dim)))


def _parts(ids: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    return (ids[start : start + size] for start in range(0, len(ids), size))

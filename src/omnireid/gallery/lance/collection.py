"""One collection: its rows, written, searched, indexed and purged."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from omnireid.core.arrays import Bool, Float32
from omnireid.core.errors import InputError
from omnireid.gallery.encoding import decode, encode, matrix, scores
from omnireid.gallery.items import EVERYTHING, Filter
from omnireid.gallery.lance import indexing, purging
from omnireid.gallery.lance.failures import READS, committing, is_gone, reading, storing
from omnireid.gallery.lance.filters import condition, quoted
from omnireid.gallery.lance.indexing import Tuning
from omnireid.gallery.lance.known_ids import KnownIds, prefixes
from omnireid.gallery.lance.resident import Resident
from omnireid.gallery.rows import completed
from omnireid.gallery.store import CollectionInfo, IndexState, item_schema

# How far a distance of LanceDB may be from the one of the stored embedding, computed exactly.
_ERROR = {"float32": 1e-5, "float16": 2e-3}
_MOST_CANDIDATES = 65_536
# A process that has asked for no more ids than this has not read all of them yet.
_FEW_IDS = 64
# Up to so many items that meet a filter are compared one by one.
_FEW_BESIDE_INDEX = 5_000
_FEW = 50_000
_BATCH = 4096
# How far a float32 product may be from the exact one.
_PRODUCT_ERROR = 1e-5
_READ = "cannot read the gallery"
_WRITE = "cannot write to the gallery"


class Collection:
    """Rows of a LanceDB table, with the operations of the contract. Writers are kept apart by the caller.

    Attributes:
        table: the LanceDB table.
        info: name, dimension, precision.
        tuning: how the index is searched; None without one.
        resident: codes in memory; None where they are not wanted.
    """

    def __init__(self, table: Any, info: CollectionInfo, *, keeps_codes: bool = False) -> None:
        self.table = table
        self.info = info
        self.tuning: Tuning | None = None
        self.resident = Resident(table, info.dim) if keeps_codes else None
        self._schema = item_schema(info.dim)
        self._lacking: frozenset[str] | None = None
        self._known = KnownIds()
        self._asked = 0

    def add(self, rows: pa.Table) -> Bool:
        ids = rows["id"].combine_chunks()
        is_new = np.zeros(len(ids), dtype=bool)
        is_new[np.unique(ids.to_numpy(zero_copy_only=False), return_index=True)[1]] = True
        version = reading(_READ, lambda: self.table.version)
        self._asked += len(ids)
        is_known = self._asked > _FEW_IDS
        hashes = prefixes(ids)
        if is_known:
            self._read_new_ids(version)
        asked = is_new & self._known.may_hold(hashes) if is_known else is_new
        if asked.any():
            present = pc.is_in(ids, value_set=self._present(ids.filter(pa.array(asked))))
            is_new &= ~present.to_numpy(zero_copy_only=False)
        if is_new.any():
            new = encode(rows if is_new.all() else rows.filter(pa.array(is_new)), self.info.precision)
            added = committing(_WRITE, lambda: self.table.add(new))
            if is_known:
                self._known.add(hashes[is_new])
                self._known_until(version, added.version)
        return is_new

    def get(self, ids: Sequence[str], columns: Sequence[str]) -> pa.Table:
        rows = self._rows(Filter(ids=frozenset(ids)), list(dict.fromkeys(["id", *columns])))
        row_of = {name: row for row, name in enumerate(rows["id"].to_pylist())}
        order = [row_of[name] for name in ids if name in row_of]
        return self._completed(rows.take(pa.array(order, pa.int64())), columns)

    def scan(self, where: Filter, columns: Sequence[str], batch_size: int) -> Iterator[pa.Table]:
        """Batches of rows, in no order; begun again where files have gone, without those that were given."""
        given: list[pa.ChunkedArray] = []
        left = READS
        while True:
            try:
                for rows in self._unseen(where, columns, batch_size, given):
                    if rows.num_rows:
                        given.append(rows["id"])
                        # Whoever takes long over each batch comes to the end, whatever is written meanwhile.
                        left = READS
                        yield self._completed(decode(rows), columns)
                return
            except Exception as error:
                left -= 1
                if not (left and is_gone(error)):
                    with storing(_READ):
                        raise

    def count(self, where: Filter) -> int:
        return reading(_READ, lambda: int(self.table.count_rows(condition(where))))

    def set_identity(self, ids: Sequence[str], identity: str | None) -> int:
        if not ids:
            return 0
        value = "CAST(NULL AS STRING)" if identity is None else quoted(identity)
        where = condition(Filter(ids=frozenset(ids)))
        version = self.table.version
        done = committing(_WRITE, lambda: self.table.update(where=where, values_sql={"identity": value}))
        self._known_until(version, done.version)
        return int(done.rows_updated)

    def merge(self, fragments: Iterable[int]) -> None:
        """Write the rows of fragments, by their numbers, into one."""
        version = self.table.version
        self._known_until(version, purging.merge_fragments(self.table, fragments))

    def delete(self, where: Filter) -> int:
        predicate = condition(where)
        if predicate is None:
            raise InputError("delete: the empty filter means every item; drop the collection instead")
        return int(committing(_WRITE, lambda: self.table.delete(predicate)).num_deleted_rows)

    def search(self, query: Float32, k: int, where: Filter, exact: bool, columns: Sequence[str]) -> pa.Table:
        wanted = self._stored(["id", "embedding", *columns])
        tuning = None if exact else self.tuning
        nearest = None
        if self.resident is not None:
            nearest = self.resident.nearest(query, k, where, tuning is not None, wanted)
        if nearest is not None:
            result = _scored(nearest, query)
        elif self._is_scanned(where, has_index=tuning is not None):
            result = self._scanned(query, k, where, wanted)
        elif tuning is None:
            result = self._compared(query, k, where, wanted)
        else:
            result = _scored(indexing.nearest(self.table, query, k, tuning, condition(where), wanted), query)
        order = pc.sort_indices(result, sort_keys=[("score", "descending"), ("id", "ascending")])
        best = decode(result.take(order[:k]))
        return self._completed(best, columns).append_column("score", best["score"])

    def keep_codes(self) -> None:
        """Keep codes of all rows in memory from now on, if there is room; and of no others."""
        if self.resident is None:
            self.resident = Resident(self.table, self.info.dim)
        self.resident.load()

    def index_state(self) -> IndexState:
        """Where the index stands, but for one that is being built."""
        rows = self.count(EVERYTHING)
        if self.tuning is None:
            return IndexState("none", 0, rows)
        stats = reading(_READ, lambda: self.table.index_stats(indexing.INDEX))
        indexed = min(rows, 0 if stats is None else stats.num_indexed_rows)
        return IndexState("ready", indexed, rows - indexed)

    def _is_scanned(self, where: Filter, *, has_index: bool) -> bool:
        """Whether the rows that meet `where` are compared here: LanceDB compares with all rows first."""
        if self.info.precision == "int8":  # which it stores and cannot compare
            return True
        return not where.is_empty and self.count(where) <= (_FEW_BESIDE_INDEX if has_index else _FEW)

    def _compared(self, query: Float32, k: int, where: Filter, columns: list[str]) -> pa.Table:
        """Every row that may be among the best k, by LanceDB's comparison with all rows."""
        fetched = k + 16
        while True:
            nearest = indexing.nearest(self.table, query, fetched, None, condition(where), columns)
            rows = _scored(nearest, query)
            if rows.num_rows < fetched or fetched >= _MOST_CANDIDATES:
                return rows
            farthest = float(pc.max(nearest["_distance"]).as_py())
            kth = float(np.partition(rows["score"].to_numpy(), -k)[-k])
            # A row that was not fetched is no nearer than the farthest that was, but for the error.
            if 1 - farthest + _ERROR[self.info.precision] < kth:
                return rows
            fetched *= 4

    def _scanned(self, query: Float32, k: int, where: Filter, columns: list[str]) -> pa.Table:
        """Every row that may be among the best k, by our own comparison with those that meet `where`."""

        def read() -> list[str]:
            best = _Best(k)
            for batch in self._query(where, ["id", "embedding"]).to_batches(_BATCH):
                embeddings_ND = matrix(pa.chunked_array([batch["embedding"]])).astype(np.float32, copy=False)
                norms = np.sqrt(np.einsum("nd,nd->n", embeddings_ND, embeddings_ND))
                best.offer(embeddings_ND @ query / norms, batch["id"])
            return best.ids()

        ids = frozenset(reading("cannot search the gallery", read))
        return _scored(self._rows(Filter(ids=ids), columns, decoded=False), query)

    def _rows(self, where: Filter, columns: Sequence[str], *, decoded: bool = True) -> pa.Table:
        rows = reading(_READ, lambda: self._query(where, columns).to_arrow())
        return decode(rows) if decoded else rows

    def _query(self, where: Filter, columns: Sequence[str]) -> Any:
        query = self.table.search().select(self._stored(columns))
        predicate = condition(where)
        return query if predicate is None else query.where(predicate)

    def _unseen(
        self, where: Filter, columns: Sequence[str], batch_size: int, given: list[pa.ChunkedArray]
    ) -> Iterator[pa.Table]:
        seen = pa.chunked_array([chunk for ids in given for chunk in ids.chunks], pa.string())
        query = self._query(where, list(dict.fromkeys(["id", *columns])))
        for batch in query.to_batches(batch_size):
            rows = pa.Table.from_batches([batch])
            yield rows.filter(pc.invert(pc.is_in(rows["id"], value_set=seen))) if len(seen) else rows

    def _stored(self, columns: Sequence[str]) -> list[str]:
        """What is read for some columns: those that the table has, and what tells of one that it lacks."""
        if self._lacking is None:
            there = reading(_READ, lambda: self.table.schema).names
            self._lacking = frozenset(self._schema.names) - frozenset(there)
        telling = ["thumbnail"] if "has_thumbnail" in self._lacking.intersection(columns) else []
        return [name for name in dict.fromkeys([*columns, *telling]) if name not in self._lacking]

    def _completed(self, rows: pa.Table, columns: Sequence[str]) -> pa.Table:
        """These columns, with absent values where the table lacks one: it is old, and can only be read."""
        if not self._lacking:
            return rows.select(list(columns))
        return completed(rows, pa.schema([self._schema.field(name) for name in columns]))

    def _read_new_ids(self, version: int) -> None:
        """Take in ids that other processes have added until this version."""
        if self._known.version == version:
            return
        # Fragments of what is added have higher numbers than all that were there. Those with lower ones that
        # come later hold rows of other fragments.
        where = f"_rowaddr >= {self._known.fragments << 32}"
        query = self.table.search().select(["id", "_rowaddr"]).where(where)
        rows = reading(_READ, query.to_arrow)
        self._known.follow(version, rows["id"].chunks, rows["_rowaddr"].to_numpy())

    def _known_until(self, before: int, version: int) -> None:
        """Note that a commit of our own has added no ids that are not known."""
        if self._known.version == before and version == before + 1:
            self._known.version = version

    def _present(self, ids: pa.Array) -> pa.Array:
        """Which of these ids are there."""
        return self._rows(Filter(ids=frozenset(ids.to_pylist())), ["id"])["id"].combine_chunks()


def _scored(rows: pa.Table, query: Float32) -> pa.Table:
    return rows.append_column("score", pa.array(scores(matrix(rows["embedding"]), query)))


class _Best:
    """Ids of all rows that may be among the k with the best scores, ties and rounding included."""

    def __init__(self, k: int) -> None:
        self._k = k
        self._scores = np.empty(0, np.float32)
        self._ids = pa.array([], pa.string())

    def offer(self, scores_N: Float32, ids: pa.Array) -> None:
        """Keep those rows that may be among the best so far."""
        kept = np.flatnonzero(scores_N >= self._least())
        self._scores = np.concatenate([self._scores, scores_N[kept]])
        self._ids = pa.concat_arrays([self._ids, ids.take(pa.array(kept))])
        if len(self._scores) > 2 * self._k:
            best = np.flatnonzero(self._scores >= self._least())
            self._scores, self._ids = self._scores[best], self._ids.take(pa.array(best))

    def ids(self) -> list[str]:
        """Of the best so far."""
        return list(self._ids.filter(pa.array(self._scores >= self._least())).to_pylist())

    def _least(self) -> float:
        if len(self._scores) < self._k:
            return -np.inf
        return float(np.partition(self._scores, -self._k)[-self._k]) - 2 * _PRODUCT_ERROR

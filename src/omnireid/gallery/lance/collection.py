"""One collection: its rows, written and searched."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from omnireid.core.errors import InputError
from omnireid.gallery.items import Filter
from omnireid.gallery.lance.encoding import decode, encode, matrix, scores
from omnireid.gallery.lance.failures import reading, storing
from omnireid.gallery.lance.filters import condition, quoted
from omnireid.gallery.lance.purging import purge
from omnireid.gallery.store import CollectionInfo, Float32

# How far a distance of LanceDB may be from the one of the stored embedding, computed exactly.
_ERROR = {"float32": 1e-5, "float16": 2e-3}
_MOST_CANDIDATES = 65_536


class Collection:
    """Rows of a LanceDB table. Writers are kept apart by the caller."""

    def __init__(self, table: Any, info: CollectionInfo) -> None:
        self.table = table
        self.info = info

    def add(self, rows: pa.Table) -> npt.NDArray[np.bool_]:
        """Add rows whose ids are new."""
        ids = rows["id"].combine_chunks()
        is_new = np.zeros(len(ids), dtype=bool)
        is_new[np.unique(ids.to_numpy(zero_copy_only=False), return_index=True)[1]] = True
        known = pc.is_in(ids, value_set=self._present(ids))
        is_new &= ~known.to_numpy(zero_copy_only=False)
        new = rows.filter(pa.array(is_new))
        if new.num_rows:
            with storing("cannot write to the gallery"):
                self.table.add(encode(new, self.info.precision))
        return is_new

    def get(self, ids: Sequence[str], columns: Sequence[str]) -> pa.Table:
        """Rows by id, in the order of `ids`."""
        wanted = list(dict.fromkeys(ids))
        rows = self._rows(Filter(ids=frozenset(wanted)), ["id", *(c for c in columns if c != "id")])
        place = {name: row for row, name in enumerate(rows["id"].to_pylist())}
        order = [place[name] for name in ids if name in place]
        return rows.take(pa.array(order, pa.int64())).select(list(columns))

    def scan(
        self, where: Filter, columns: Sequence[str], batch_size: int, limit: int | None
    ) -> Iterator[pa.Table]:
        """Batches of rows, in no order."""
        query = self._query(where, columns)
        if limit is not None:
            query = query.limit(limit)
        for batch in query.to_batches(batch_size):
            if batch.num_rows:
                yield decode(pa.Table.from_batches([batch]))

    def count(self, where: Filter) -> int:
        """Rows that meet `where`."""
        return reading("cannot read the gallery", lambda: int(self.table.count_rows(condition(where))))

    def set_identity(self, ids: Sequence[str], identity: str | None) -> int:
        """Rewrite the identity of rows."""
        if not ids:
            return 0
        value = "CAST(NULL AS STRING)" if identity is None else quoted(identity)
        with storing("cannot write to the gallery"):
            done = self.table.update(
                where=condition(Filter(ids=frozenset(ids))), values_sql={"identity": value}
            )
        return int(done.rows_updated)

    def delete(self, where: Filter) -> int:
        """Hide rows."""
        predicate = condition(where)
        if predicate is None:
            raise InputError("delete: the empty filter means every item; drop the collection instead")
        with storing("cannot write to the gallery"):
            return int(self.table.delete(predicate).num_deleted_rows)

    def purge(self) -> None:
        """Remove hidden rows from disk."""
        purge(self.table)

    def search(self, query: Float32, k: int, where: Filter, exact: bool, columns: Sequence[str]) -> pa.Table:
        """The k rows with the largest cosine to `query`."""
        if self.info.precision == "int8":
            found = self._scanned(query, k, where, columns)
        else:
            found = self._compared(query, k, where, columns)
        order = pc.sort_indices(found, sort_keys=[("score", "descending"), ("id", "ascending")])
        return found.take(order[:k]).select([*columns, "score"])

    def _compared(self, query: Float32, k: int, where: Filter, columns: Sequence[str]) -> pa.Table:
        """Every row that may be among the best k, by LanceDB's comparison with all rows, and its score."""
        wanted = list(dict.fromkeys([*columns, "id", "embedding"]))
        error = _ERROR[self.info.precision]
        fetched = k + 16
        while True:
            found = self._nearest(query, fetched, where, wanted)
            found = found.append_column("score", pa.array(scores(matrix(found["embedding"]), query)))
            if found.num_rows < fetched or fetched >= _MOST_CANDIDATES:
                break
            farthest = float(pc.max(found["_distance"]).as_py())
            kth = float(np.partition(found["score"].to_numpy(), -k)[-k])
            # A row that was not fetched is farther than all that were, but for the error of the distance.
            if 1 - farthest + error < kth:
                break
            fetched *= 4
        return decode(found.drop_columns("_distance"))

    def _nearest(self, query: Float32, k: int, where: Filter, columns: Sequence[str]) -> pa.Table:
        def read() -> pa.Table:
            search = self.table.search(query, vector_column_name="embedding", query_type="vector")
            search = search.distance_type("cosine").bypass_vector_index().limit(k)
            if (predicate := condition(where)) is not None:
                search = search.where(predicate, prefilter=True)
            return search.select([*columns, "_distance"]).to_arrow()

        return reading("cannot search the gallery", read)

    def _scanned(self, query: Float32, k: int, where: Filter, columns: Sequence[str]) -> pa.Table:
        """As `_compared`, for embeddings that LanceDB cannot compare."""

        def read() -> pa.Table:
            best = pa.table({"id": pa.array([], pa.string()), "score": pa.array([], pa.float32())})
            for batch in self._query(where, ["id", "embedding"]).to_batches(8192):
                rows = pa.table(
                    {
                        "id": batch["id"],
                        "score": scores(matrix(pa.chunked_array([batch["embedding"]])), query),
                    }
                )
                both = pa.concat_tables([best, rows])
                order = pc.sort_indices(both, sort_keys=[("score", "descending"), ("id", "ascending")])
                best = both.take(order[:k])
            return best

        best = reading("cannot search the gallery", read)
        rows = self.get(best["id"].to_pylist(), list(dict.fromkeys([*columns, "id"])))
        found = dict(zip(best["id"].to_pylist(), best["score"].to_pylist(), strict=True))
        return rows.append_column("score", pa.array([found[i] for i in rows["id"].to_pylist()], pa.float32()))

    def _rows(self, where: Filter, columns: Sequence[str]) -> pa.Table:
        return decode(reading("cannot read the gallery", lambda: self._query(where, columns).to_arrow()))

    def _query(self, where: Filter, columns: Sequence[str]) -> Any:
        query = self.table.search().select(list(columns))
        predicate = condition(where)
        return query if predicate is None else query.where(predicate)

    def _present(self, ids: pa.Array) -> pa.Array:
        """Which of these ids are there."""
        return self._rows(Filter(ids=frozenset(ids.to_pylist())), ["id"])["id"].combine_chunks()

"""The records and the audit log of a gallery in Milvus."""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from omnireid.gallery.milvus import documents
from omnireid.gallery.milvus.documents import Document
from omnireid.gallery.milvus.filters import is_one_of
from omnireid.gallery.milvus.tables import Table, Tables

_PAGE = 1000
_ENTRY = "entry"
_SECOND = 1_000_000


class RecordStore:
    """The half of `GalleryStore` that keeps small JSON objects by kind and id, and entries as they came."""

    def __init__(self, tables: Tables, name: str, *, is_lite: bool) -> None:
        self._tables, self._is_lite = tables, is_lite
        self._writing = threading.RLock()
        # Its vector means nothing, so neither does its index.
        self._records = Table(f"{name}__records", documents.schema, "vector", "FLAT")
        self._log = Table(f"{name}__audit", documents.schema, "vector", "FLAT")
        self._last_entry = 0
        there = tables.aliases()
        for table in (self._records, self._log):
            if table.alias not in there:
                tables.create(table)

    def put_records(self, kind: str, records: Mapping[str, Mapping[str, Any]]) -> None:
        if not records:
            return
        new = documents.to_rows([Document(kind, name, value) for name, value in records.items()])
        written = {row["id"] for row in new}
        longer = f"{documents.named(kind, list(records))} and part > 0"
        with self._writing:
            stale = {row["id"] for row in self._tables.query(self._records.alias, longer, ["id"])}
            self._tables.upsert(self._records.alias, new)
            if left := stale - written:
                self._tables.delete(self._records.alias, is_one_of("id", left))

    def delete_records(self, kind: str, ids: Sequence[str]) -> None:
        if ids:
            with self._writing:
                self._tables.delete(self._records.alias, documents.named(kind, ids))

    def records(self, kind: str) -> dict[str, dict[str, Any]]:
        rows = self._rows(self._records, documents.of_kind(kind))
        return {row.name: dict(row.value) for row in documents.from_rows(rows)}

    def purge_records(self) -> None:
        with self._writing:
            self._tables.purge(self._records, is_lite=self._is_lite)

    def append_audit(self, entries: Sequence[Mapping[str, Any]]) -> None:
        """As the contract. Entries of several processes are ordered by their clocks."""
        if not entries:
            return
        with self._writing:
            # Numbered by the clock, and never below what is there, should the clock have been set back.
            first = max(_now(), (self._last_entry or self._newest_entry()) + 1)
            named = [Document(_ENTRY, f"{first + index:020d}", entry) for index, entry in enumerate(entries)]
            self._tables.upsert(self._log.alias, documents.to_rows(named, in_order=True))
            self._last_entry = first + len(entries) - 1

    def audit(self) -> Iterator[dict[str, Any]]:
        for entry in documents.from_rows(self._rows(self._log, "")):
            yield dict(entry.value)

    def audit_page(self, known: int | None, limit: int, *, latest: bool) -> list[tuple[int, dict[str, Any]]]:
        """As the contract. The place of an entry is its number."""
        if latest:
            end = max(_now(), self._newest_entry()) + 1 if known is None else known
            rows = self._rows(self._log, _between(self._begin(end, limit), end))
        else:
            first = 0 if known is None else known + 1
            rows = self._rows(self._log, f'id >= "{first:020d}"', limit)
        records = ((int(row.name), dict(row.value)) for row in documents.from_rows(rows))
        return list(deque(records, limit))[::-1] if latest else list(itertools.islice(records, limit))

    def _begin(self, end: int, limit: int) -> int:
        """A number with `limit` entries or some more from it to `end`, or with all of them.

        Milvus gives rows in the order of their ids only, so the end of the log is found by counting.
        """
        enough, few, count = end, end, 0
        while count < limit and enough > 0:
            few, enough = enough, max(0, end - 16 * max(end - enough, _SECOND))
            count = self._count(enough, end)
        while count > max(_PAGE, 4 * limit) and few - enough > 1:
            middle = (enough + few) // 2
            if (there := self._count(middle, end)) < limit:
                few = middle
            else:
                enough, count = middle, there
        return enough

    def _count(self, begin: int, end: int) -> int:
        condition = f"{_between(begin, end)} and part == 0"
        (row,) = self._tables.query(self._log.alias, condition, ["count(*)"])
        return int(row["count(*)"])

    def _newest_entry(self) -> int:
        ahead = self._rows(self._log, f'id > "{_now():020d}"')
        return max((int(row["name"]) for row in ahead), default=0)

    def _rows(self, table: Table, condition: str, size: int = _PAGE) -> Iterator[dict[str, Any]]:
        return itertools.chain.from_iterable(
            self._tables.pages(table.alias, condition, documents.FIELDS, min(size, _PAGE))
        )


def _now() -> int:
    """Microseconds, which every reader of JSON keeps whole."""
    return time.time_ns() // 1000


def _between(begin: int, end: int) -> str:
    return f'id >= "{begin:020d}" and id < "{end:020d}"'

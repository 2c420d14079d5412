"""Pages of the audit log in Milvus: how much is read for one; which entries, the contract's tests say."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from omnireid.gallery.milvus.documents import Document, to_rows
from omnireid.gallery.milvus.records import RecordStore


class Log:
    """Stands for the server's table; counts requests and rows."""

    def __init__(self, numbers: Sequence[int]) -> None:
        entries = [Document("entry", f"{number:020d}", {"n": number}) for number in numbers]
        self.rows = to_rows(entries, in_order=True)
        self.ids = [row["id"] for row in self.rows]
        self.num_requests = self.num_rows = 0

    def _found(self, condition: str) -> list[dict[str, Any]]:
        bounds = dict(re.findall(r'id (>=|<|>) "(\d+)"', condition))
        begin = bisect_left(self.ids, bounds.get(">=", bounds.get(">", "")))
        end = bisect_left(self.ids, bounds["<"]) if "<" in bounds else len(self.ids)
        self.num_requests += 1
        return self.rows[begin:end]

    def aliases(self) -> set[str]:
        return {"g__records", "g__audit"}

    def query(self, alias: str, condition: str, fields: Sequence[str]) -> list[dict[str, int]]:
        assert fields == ["count(*)"]
        return [{"count(*)": len(self._found(condition))}]

    def pages(self, alias: str, condition: str, fields: Sequence[str], size: int) -> Iterator[Any]:
        rows = self._found(condition)
        for start in range(0, len(rows), size):
            self.num_rows += len(rows[start : start + size])
            yield rows[start : start + size]


def burst(start: float, count: int, seconds: float) -> np.ndarray:
    return (1e6 * (start + np.linspace(0, seconds, count))).astype(np.int64)


@pytest.mark.parametrize("limit", [1, 100])
def test_a_page_reads_little_more_than_it_gives(limit: int) -> None:
    """Busy seconds, a quiet night, a quiet year."""
    parts = [
        burst(1.6e9, 5000, 3),
        burst(1.7e9, 20_000, 8),
        burst(1.7e9 + 40_000, 150, 2e4),
        [1_800_000_000_000_000],
    ]
    numbers = np.concatenate(parts).tolist()
    log = Log(numbers)
    records = RecordStore(log, "g", is_lite=True)  # type: ignore[arg-type]
    for known in (None, numbers[-1], numbers[-80], numbers[-152], numbers[5100], numbers[5000], numbers[30]):
        for latest in (True, False):
            log.num_requests = log.num_rows = 0
            found = [place for place, _ in records.audit_page(known, limit, latest=latest)]
            end = len(numbers) if known is None else numbers.index(known)
            first = 0 if known is None else end + 1
            assert found == (numbers[:end][::-1][:limit] if latest else numbers[first : first + limit])
            assert log.num_rows <= 1000
            assert log.num_requests < 40

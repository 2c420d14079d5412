"""The store where there is no folder: LanceDB's memory stands for object storage."""

from __future__ import annotations

import numpy as np
import pytest

from gallery.lance_rows import DIM, item_table, unit_rows
from omnireid.gallery.items import Filter
from omnireid.gallery.lance import indexing
from omnireid.gallery.lance.store import LanceStore
from omnireid.gallery.store import CollectionInfo


@pytest.fixture
def store() -> LanceStore:
    store = LanceStore("memory://gallery")
    store.create_collection(CollectionInfo("c", DIM, "float32"))
    return store


def test_rows_are_written_searched_and_purged(store: LanceStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexing, "FEWEST_ROWS", 100)
    rows = item_table(400)
    assert store.add("c", rows).all()
    assert not store.add("c", rows).any()
    store.build_index("c")
    best = store.search("c", unit_rows(400, 0)[9], k=1)
    assert best["id"].to_pylist() == [rows["id"][9].as_py()]
    assert best["score"].to_numpy()[0] == np.float32(1)
    assert store.delete("c", Filter(until=50.0)) == 50
    store.purge("c")
    assert sum(one.num_rows for one in store.scan("c")) == store.count("c") == 350
    assert store.disk_bytes() is None


def test_records_and_the_audit_are_tables(store: LanceStore) -> None:
    store.put_records("k", {"a": {"n": 1}, "b": {"n": 2}})
    store.delete_records("k", ["a"])
    store.purge_records()
    assert store.records("k") == {"b": {"n": 2}}
    assert list(store.audit()) == []
    store.append_audit([{"time": 1.0, "n": 1}, {"time": 1.0, "n": 2}])
    store.append_audit([{"time": 0.5, "n": 3}])
    store.purge_records()
    assert [entry["n"] for entry in store.audit()] == [1, 2, 3]


def test_a_dropped_collection_is_gone(store: LanceStore) -> None:
    store.add("c", item_table(3))
    store.drop_collection("c")
    assert store.collections() == {}
    store.create_collection(CollectionInfo("c", DIM, "float32"))
    assert store.count("c") == 0


def test_pages_of_the_audit_from_both_ends(store: LanceStore) -> None:
    assert store.audit_page(None, 5, latest=False) == store.audit_page(None, 5, latest=True) == []
    for number in range(11):
        store.append_audit([{"time": 1.0, "n": 2 * number}, {"time": 1.0, "n": 2 * number + 1}])
    for limit in (1, 5, 22, 30):
        for latest in (False, True):
            found: list[int] = []
            known = None
            while page := store.audit_page(known, limit, latest=latest):
                known = page[-1][0]
                found += [entry["n"] for _, entry in page]
                assert len(found) <= 22
            assert found == (list(range(22))[::-1] if latest else list(range(22)))
    assert store.audit_page(10**30, 5, latest=False) == []

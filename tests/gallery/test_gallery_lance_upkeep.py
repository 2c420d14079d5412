"""Many small writes: their files are merged by themselves, and nothing is lost by it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gallery.lance_rows import DIM, item_table
from omnireid.core.errors import StorageError
from omnireid.gallery.items import Filter
from omnireid.gallery.lance import connection, indexing, purging, store, upkeep
from omnireid.gallery.lance.store import LanceStore
from omnireid.gallery.store import CollectionInfo


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LanceStore]:
    monkeypatch.setattr(store, "_LOOK_EACH", 4)
    monkeypatch.setattr(upkeep, "_MOST_FRAGMENTS", 8)
    monkeypatch.setattr(connection, "_MERGED_EACH", 8)
    made = LanceStore(str(tmp_path / "gallery"))
    made.create_collection(CollectionInfo("c", DIM, "float32"))
    yield made
    made.close()


def settled(opened: LanceStore) -> Any:
    """Statistics of the table when no thread merges."""
    for thread in list(opened._merging.values()):
        thread.join()
    return opened._collection("c").table.stats()["fragment_stats"]


def test_single_items_do_not_stay_in_files_of_their_own(opened: LanceStore) -> None:
    rows = item_table(60)
    for row in range(60):
        opened.add("c", rows.slice(row, 1))
        if row % 10 == 9:
            opened.set_identity("c", [rows["id"][row].as_py()], "somebody")
            opened.delete("c", Filter(ids=frozenset([rows["id"][row - 1].as_py()])))
    assert settled(opened)["num_fragments"] <= 20
    left = {row.as_py() for batch in opened.scan("c") for row in batch["id"]}
    assert left == set(rows["id"].to_pylist()) - {rows["id"][row].as_py() for row in range(8, 60, 10)}
    assert opened.count("c", Filter(identities=frozenset({"somebody"}))) == 6


def test_versions_that_nobody_reads_are_removed(opened: LanceStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(purging, "_READERS_STAY", timedelta(0))
    rows = item_table(40)
    for row in range(40):
        opened.add("c", rows.slice(row, 1))
        opened.put_records("kind", {f"{row % 3}": {"row": row}})
    settled(opened)
    folder = Path(opened.uri)
    for table in (folder / "records.lance", *folder.glob("c-*.lance")):
        assert len(list((table / "_versions").iterdir())) < 25
        assert len(list((table / "data").iterdir())) < 25
    assert opened.records("kind") == {"0": {"row": 39}, "1": {"row": 37}, "2": {"row": 38}}


def test_an_index_stays_and_takes_them_in(opened: LanceStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexing, "FEWEST_ROWS", 300)
    opened.add("c", item_table(400))
    opened.build_index("c")
    for seed in range(1, 20):
        opened.add("c", item_table(2, seed=seed))
    settled(opened)
    state = opened.index_state("c")
    assert state.status == "ready"
    assert state.indexed > 400
    assert state.indexed + state.unindexed == 400 + 19 * 2


def test_no_index_is_built_that_nobody_asked_for(opened: LanceStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexing, "FEWEST_ROWS", 300)
    opened.add("c", item_table(400))
    for seed in range(1, 20):
        opened.add("c", item_table(2, seed=seed))
    assert settled(opened)["num_fragments"] < 19
    assert opened.index_state("c").status == "none"


def test_a_failure_concerns_no_writer(
    opened: LanceStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(_: object) -> None:
        raise StorageError("the disk is full")

    monkeypatch.setattr(upkeep, "merge_files", fails)
    with caplog.at_level(logging.WARNING):
        for seed in range(20):
            assert opened.add("c", item_table(1, seed=seed)).all()
        assert settled(opened)["num_fragments"] == 20
    assert "not merged: the disk is full" in caplog.text


def test_records_of_short_processes_are_merged_and_a_failure_concerns_none(
    opened: LanceStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(_: object) -> None:
        raise StorageError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(connection, "merge_files", fails)
        for number in range(12):
            LanceStore(opened.uri).put_records("kind", {str(number): {}})
    assert "not merged: the disk is full" in caplog.text
    for number in range(12, 24):
        LanceStore(opened.uri).put_records("kind", {str(number): {}})
    files = opened._connection.record_table.stats()["fragment_stats"]["num_fragments"]
    assert files < 12
    assert set(opened.records("kind")) == {str(number) for number in range(24)}


def test_closing_waits_for_it(opened: LanceStore, monkeypatch: pytest.MonkeyPatch) -> None:
    within, go_on, merged = threading.Event(), threading.Event(), []

    def slow(one: Any) -> None:
        within.set()
        assert go_on.wait(20)
        merged.append(purging.merge_files(one.table))

    monkeypatch.setattr(upkeep, "merge_files", slow)
    for seed in range(12):
        opened.add("c", item_table(1, seed=seed))
        if within.is_set():
            break
    assert within.wait(20)
    # Writes go on meanwhile.
    assert opened.add("c", item_table(1, seed=99)).all()
    threading.Timer(0.05, go_on.set).start()
    opened.close()
    assert merged == [None]

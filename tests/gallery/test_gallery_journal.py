"""Work of several writes: whatever write was the last before a crash, opening the gallery finishes it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from gallery.lifecycle import stopped_after_each_write
from gallery.memory_store import MemoryStore
from omnireid.core.errors import StorageError
from omnireid.gallery.journal import KIND, Task, carry_out, finish_interrupted

TASKS = [Task("note", {"id": str(number)}) for number in range(3)]
STEPS = {"note": lambda store, what: store.put_records("noted", {what["id"]: {}})}


def test_a_crash_after_any_write_leaves_nothing_or_all_of_it_once_it_was_finished() -> None:
    outcomes = []
    for store in stopped_after_each_write(MemoryStore, lambda store: carry_out(store, TASKS, STEPS)):
        finish_interrupted(store, STEPS)
        assert store.records(KIND) == {}
        outcomes.append(sorted(store.records("noted")))
    # One write records the tasks; from then on all of them are done.
    assert outcomes[0] == []
    assert len(outcomes) == 1 + len(TASKS) + 4
    assert all(outcome == ["0", "1", "2"] for outcome in outcomes[1:])


def test_tasks_are_done_in_their_order_and_those_of_a_crash_first() -> None:
    done: list[str] = []
    steps = {"note": lambda store, what: done.append(what["id"])}
    store = MemoryStore()
    many = [Task("note", {"id": str(number)}) for number in range(12)]

    def broken(store: object, what: object) -> None:
        raise StorageError("disk full")

    with pytest.raises(StorageError, match="disk full"):
        carry_out(store, many, {"note": broken})
    carry_out(store, [Task("note", {"id": "after"})], steps)
    assert done == [*map(str, range(12)), "after"]


def test_a_finished_journal_leaves_no_trace_in_old_versions() -> None:
    class Versioned(MemoryStore):
        """Old versions of records stay until they are purged."""

        def __init__(self) -> None:
            super().__init__()
            self.versions: list[str] = []

        def put_records(self, kind: str, records: Mapping[str, Mapping[str, Any]]) -> None:
            super().put_records(kind, records)
            self.versions.append(json.dumps(self.records(kind)))

        def purge_records(self) -> None:
            super().purge_records()
            self.versions = [json.dumps(self.records(kind)) for kind in self._records]

    tasks = [Task("note", {"id": "secret"}), Task("unnote", {"id": "secret"})]
    steps = {**STEPS, "unnote": lambda store, what: store.delete_records("noted", [what["id"]])}
    stores = list(stopped_after_each_write(Versioned, lambda store: carry_out(store, tasks, steps)))
    for store in stores[:-1]:
        finish_interrupted(store, steps)
    for store in stores:
        assert isinstance(store, Versioned)
        assert "secret" not in repr(store.versions)


def test_nothing_to_do_writes_nothing() -> None:
    store = MemoryStore()
    carry_out(store, [], STEPS)
    assert finish_interrupted(store, STEPS) == 0
    assert store.num_writes == 0


def test_a_task_of_a_later_version_is_named_and_kept() -> None:
    store = MemoryStore()
    store.put_records(KIND, {"1": Task("from-tomorrow", {})._asdict()})
    with pytest.raises(StorageError, match=r"'from-tomorrow'.*newer"):
        finish_interrupted(store, STEPS)
    assert list(store.records(KIND)) == ["1"]

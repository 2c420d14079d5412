"""The audit: everything is in it before the answer is given, nobody's name is, and gaps are found."""

from __future__ import annotations

import copy
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gallery.memory_store import MemoryStore, StoppedError
from gallery.people import MODEL, Clock, calibration, crowd, items_of, memory_gallery, vectors
from omnireid import Filter, Gallery, Item
from omnireid.core.errors import StorageError
from omnireid.gallery.audit import MAX_SUBJECTS, AuditLog
from omnireid.gallery.opening import open_store


def test_everything_that_is_done_is_written_down() -> None:
    gallery = memory_gallery(actor="nightly job", calibration=calibration())
    rows, pids = crowd(0, 4, 3)
    ids = gallery.acting_as("camera 7").enrol(items_of(pids), rows, model=MODEL).ids
    where = Filter(identities=frozenset({"p1"}), since=0.0)
    gallery.acting_as("Eve").search(rows[0], model=MODEL, k=2, where=where, false_alarm_rate=0.1, prior=0.01)
    gallery.search_tracklet(rows[:2], model=MODEL, k=1)
    gallery.name_identity("p1", "Secret Name")
    merge = gallery.merge("p0", ["p1"])
    gallery.undo(merge.id)
    gallery.split(ids[:2], "Second Secret")
    gallery.assign(ids[:1], "p2")
    gallery.set_retention(60.0, {"cam0": 30.0})
    gallery.forget(items=ids[3:4])
    gallery.run_retention()
    entries = gallery.audit()
    assert [(one.action, one.count) for one in entries] == [
        ("enrol", 12),
        ("search", 2),
        ("search", 1),
        ("name", 1),
        ("merge", 1),
        ("undo", 1),
        ("split", 3),
        ("assign", 1),
        ("set-retention", 1),
        ("forget", 1),
        ("retention", 11),
    ]
    assert [one.actor for one in entries[:3]] == ["camera 7", "Eve", "nightly job"]
    assert {one.time for one in entries} == {1000.0}
    assert [one.seq for one in entries] == list(range(11))
    search = entries[1].detail
    assert search["where"] == ["since", "identities"]
    assert (search["k"], search["false_alarm_rate"], search["prior"]) == (2, 0.1, 0.01)
    assert search["decision"] in ("same", "new", "unsure")
    assert entries[2].detail["frames"] == 2
    # Who has an id finds it; nothing else gives it away.
    for name, place in ((ids[0], 0), ("p1", 3), ("p0", 4), ("p1", 4), (ids[3], 9)):
        assert gallery.log.subject(name) in entries[place].subjects
    written = json.dumps(list(gallery.store.audit()))
    for secret in ("Secret", "p0", "p1", "p2", *ids):
        assert f'"{secret}' not in written
        assert f"{secret} " not in written
    assert gallery.verify_audit().problems == ()


def test_the_same_id_has_another_hash_in_another_gallery() -> None:
    one, two = memory_gallery(), memory_gallery()
    assert one.log.subject("p1") == memory_gallery(one.store).log.subject("p1")  # type: ignore[arg-type]
    assert one.log.subject("p1") != two.log.subject("p1")


def test_an_entry_hashes_so_many_ids_and_counts_all() -> None:
    gallery = memory_gallery()
    count = MAX_SUBJECTS + 5
    gallery.enrol([Item(key=str(n)) for n in range(count)], vectors(0, count), model=MODEL)
    (entry,) = gallery.audit()
    assert (entry.count, len(entry.subjects)) == (count, MAX_SUBJECTS)


def logs(store: MemoryStore, *names: str) -> list[AuditLog]:
    """Writers whose entries alternate: a b c a b c a b c."""
    writers = {name: AuditLog(store, Clock()) for name in names}
    for number in range(3):
        for name, log in writers.items():
            log.write("search", actor=name, count=number, detail={"k": number})
    return list(writers.values())


def test_a_whole_log_is_in_order() -> None:
    store = MemoryStore()
    writers = logs(store, "a", "b")
    found = writers[0].verify()
    assert (found.entries, found.problems, found.open_chains) == (6, (), 2)
    for one in writers:
        one.close()
    assert AuditLog(store, Clock()).verify().open_chains == 0


@pytest.mark.parametrize("is_closed", [True, False])
def test_whatever_is_changed_or_removed_is_found(is_closed: bool) -> None:
    store = MemoryStore()
    writers = logs(store, "a", "b", "c")
    for one in writers if is_closed else []:
        one.close()
    whole = list(store._audit)
    reader = AuditLog(store, Clock())
    assert reader.verify().problems == ()

    def problems(entries: list[str]) -> tuple[str, ...]:
        store._audit = entries
        return reader.verify().problems

    for place in range(9):
        for field, value in (
            ("actor", "x"),
            ("count", 7),
            ("time", 0.0),
            ("detail", {}),
            ("n", 1),
            ("action", ""),
        ):
            changed = copy.copy(whole)
            changed[place] = json.dumps({**json.loads(whole[place]), field: value})
            if changed[place] != json.dumps(json.loads(whole[place])):
                assert f"entry {place}: was changed" in problems(changed), (place, field)
        removed = problems(whole[:place] + whole[place + 1 :])
        # The end of a chain that is still open may be missing; nobody can tell.
        assert bool(removed) == (is_closed or place < 6), place
    assert problems([*whole[:2], whole[5], *whole[3:5], whole[2], *whole[6:]]), "exchanged"
    assert problems([*whole, whole[0]]), "repeated"
    forged = json.dumps({**json.loads(whole[-1]), "count": 99})
    assert problems([*whole, forged]), "added"
    of_b = [one for one in whole if json.loads(one)["actor"] == "b"]
    assert problems([one for one in whole if one not in of_b]), "a writer's entries are all gone"


def test_threads_share_a_chain_and_wait_together() -> None:
    class Slow(MemoryStore):
        batches: list[int]

        def append_audit(self, entries) -> None:
            self.batches.append(len(entries))
            time.sleep(0.01)
            super().append_audit(entries)

    store = Slow()
    store.batches = []
    log = AuditLog(store, Clock())
    together = threading.Barrier(8)

    def search(number: int) -> None:
        together.wait()
        for _ in range(5):
            log.write("search", actor="a", count=number)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(search, range(8)))
    found = log.verify()
    assert (found.entries, found.problems) == (40, ())
    assert sum(store.batches) == 40
    assert len(store.batches) < 30, "entries that wait at the same time are one write"


@pytest.mark.parametrize("begun", ["nothing", "key", "chain"])
def test_who_holds_the_lock_and_who_writes_first_do_not_wait_for_each_other(begun: str) -> None:
    store = MemoryStore()
    log = AuditLog(store, Clock())
    if begun == "key":
        log.subject("x")
    elif begun == "chain":
        log.write("search", actor="a", count=0)
    has_lock, is_searching = threading.Event(), threading.Event()
    append = store.append_audit

    def told(entries) -> None:
        is_searching.set()
        append(entries)

    store.append_audit = told

    def enrol() -> None:
        with store.lock():
            has_lock.set()
            is_searching.wait(0.2)
            log.write("enrol", actor="a", count=1)

    def search() -> None:
        assert has_lock.wait(5)
        log.write("search", actor="a", count=2, subjects=["x"])

    # Not in a pool, which would wait for them for ever.
    threads = [threading.Thread(target=one, daemon=True) for one in (enrol, search)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(5)
    assert not any(one.is_alive() for one in threads)
    assert log.verify().problems == ()


def test_a_chain_that_was_killed_before_it_was_known_is_no_problem() -> None:
    for writes in range(3):
        store = MemoryStore()
        log = AuditLog(store, Clock())
        store.writes_left = writes
        with pytest.raises(StoppedError):
            log.write("search", actor="a", count=1)
        store.writes_left = None
        assert AuditLog(store, Clock()).verify().problems == ()


def test_what_could_not_be_written_is_told_and_breaks_no_chain() -> None:
    store = MemoryStore()
    log = AuditLog(store, Clock())
    log.write("search", actor="a", count=0)
    append = store.append_audit

    def full(entries) -> None:
        raise StorageError("the disk is full")

    store.append_audit = full
    with pytest.raises(StorageError, match="full"):
        log.write("search", actor="a", count=1)
    store.append_audit = append
    log.write("search", actor="a", count=2)
    log.close()
    assert [one.count for one in log.find(limit=9).entries] == [0, 2]
    assert log.verify().problems == ()


def test_an_operation_is_not_begun_that_cannot_be_written_down() -> None:
    store = MemoryStore()
    gallery = memory_gallery(store)
    ids = gallery.enrol(
        [Item(key="a", identity="p"), Item(key="b", identity="q")], vectors(0, 2), model=MODEL
    ).ids

    def stopped(entries) -> None:
        raise StoppedError

    store.append_audit = stopped
    for change in (
        lambda: gallery.name_identity("p", "Ann"),
        lambda: gallery.merge("p", ["q"]),
        lambda: gallery.split(ids),
        lambda: gallery.assign(ids, None),
        lambda: gallery.forget("p"),
        lambda: gallery.enrol([Item(key="c")], vectors(1, 1), model=MODEL),
        lambda: gallery.search(vectors(1, 1)[0], model=MODEL),
    ):
        with pytest.raises(StoppedError):
            change()
    assert gallery.operations() == []
    assert [gallery.item(one).identity for one in ids] == ["p", "q"]
    assert gallery.state().items == 2


def test_the_log_is_read_a_page_at_a_time() -> None:
    gallery = memory_gallery()
    for number in range(7):
        gallery.tell("search", count=number)
    first = gallery.audit(limit=3)
    assert [one.count for one in first] == [0, 1, 2]
    assert [one.count for one in gallery.audit(after=first[-1].seq, limit=3)] == [3, 4, 5]
    assert [one.count for one in gallery.audit(after=5)] == [6]
    assert gallery.audit(after=6) == []
    last = gallery.audit(limit=3, latest=True)
    assert [one.count for one in last] == [6, 5, 4]
    assert [one.seq for one in gallery.audit(after=last[-1].seq, limit=9, latest=True)] == [3, 2, 1, 0]


def test_a_clock_that_is_set_back_over_the_end_of_a_month_breaks_no_chain(tmp_path: Path) -> None:
    store, clock = open_store(str(tmp_path / "gallery")), Clock()
    log = AuditLog(store, clock)
    for now in (86_400.0 * 30.5, 86_400.0 * 31.5, 86_400.0 * 30.75):
        clock.now = now
        log.write("search", actor="a", count=1)
    assert [one.time / 86_400 for one in log.find(limit=9).entries] == [30.5, 31.5, 31.5]
    assert log.verify().problems == ()
    store.close()


def test_a_local_gallery_keeps_its_log_over_openings(tmp_path: Path) -> None:
    uri = str(tmp_path / "gallery")
    for number in range(3):
        with Gallery.open(uri, actor=f"opening {number}") as gallery:
            gallery.enrol([Item(key=str(number))], vectors(number, 1), model=MODEL)
            gallery.search(vectors(0, 1)[0], model=MODEL)
    with Gallery.open(uri) as gallery:
        assert [one.actor for one in gallery.audit()] == [f"opening {n // 2}" for n in range(6)]
        found = gallery.verify_audit()
        assert (found.entries, found.problems, found.open_chains) == (6, (), 0)
        (file,) = (tmp_path / "gallery" / "audit").iterdir()
        lines = file.read_text().splitlines(keepends=True)
        for kept in (lines[:2] + lines[3:], lines[:-1]):
            file.write_text("".join(kept))
            assert len(gallery.verify_audit().problems) == 1

"""The watch list: who is told of what; nothing is missed or told twice; it goes with the people."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gallery.lifecycle import stopped_after_each_write
from gallery.memory_store import MemoryStore
from gallery.people import DIM, MODEL, Clock, calibration, items_of, memory_gallery
from omnireid import Filter, Gallery, Item
from omnireid.core.errors import InputError
from omnireid.evaluation.calibration import Calibration
from omnireid.gallery import watching
from omnireid.gallery.backup import Backup, Snapshot, write_backup
from omnireid.gallery.errors import ConflictError, NotInGalleryError, NotWritableError
from omnireid.gallery.forgetting import TOMBSTONES
from omnireid.gallery.restoring import restore
from omnireid.gallery.retention import DAY_S
from omnireid.gallery.watch_records import KINDS
from omnireid.gallery.watching import Follower, WatchList

EACH = 6
PIDS = np.repeat(np.arange(12), EACH).tolist()
# Nobody looks like anybody else: what is called the same is.
EMBEDDINGS = np.eye(DIM)[PIDS] + 0.03 * np.random.default_rng(5).standard_normal((len(PIDS), DIM))
OLD = [n for n in range(len(PIDS)) if n % EACH < 3]
SOON = 10_000.0


@cache
def make_calibration() -> Calibration:
    return calibration(noise=0.5)


def site(store: MemoryStore | None = None, **options: Any) -> tuple[Gallery, WatchList, Follower]:
    """Twelve people with three pictures each, enrolled at 1,000 s; three more of each are to come."""
    gallery = memory_gallery(store, calibration=make_calibration(), **options)
    gallery.enrol(items_of([PIDS[n] for n in OLD]), EMBEDDINGS[OLD], model=MODEL)
    pass_time(gallery, 10)
    watch_list = WatchList(gallery)
    return gallery, watch_list, Follower(watch_list, gallery)


def pass_time(gallery: Gallery, seconds: float) -> None:
    assert isinstance(gallery.clock, Clock)
    gallery.clock.now += seconds


def come(gallery: Gallery, pid: int, index: int = 3, **fields: Any) -> str:
    """Somebody comes by; nobody says who it is."""
    item = Item(camera="door", time=gallery.clock(), **fields)
    row = EMBEDDINGS[None, pid * EACH + index]
    return gallery.enrol([item], row, model=MODEL).ids[0]


def test_who_is_watched_raises_an_alert_and_nobody_else_does() -> None:
    gallery, watch_list, follower = site()
    come(gallery, 2)
    pass_time(gallery, 1)
    entry = watch_list.add("p2", reason="lost child", ends=SOON)
    assert follower.step() == []  # what was there before is no news
    seen = [come(gallery, pid, 3) for pid in range(7)]
    pass_time(gallery, 1)
    named = come(gallery, 7, 4, identity="p2")  # somebody said so, whoever it looks like
    pass_time(gallery, 1)
    written = follower.step()
    assert [(one.item, one.why, one.seq) for one in written] == [
        (seen[2], "looks", 1), (named, "enrolled", 2),
    ]  # fmt: skip
    alert = written[0]
    assert (alert.entry, alert.identity, alert.camera, alert.time) == (entry.id, "p2", "door", 1011.0)
    assert gallery.item(alert.compared or "").identity == "p2"
    assert gallery.item(written[1].compared or "").identity == "p2"
    assert written[1].compared != named
    found = gallery.search(EMBEDDINGS[2 * EACH + 3], model=MODEL, where=Filter(identities=frozenset({"p2"})))
    assert alert.probability == found.candidates[0].probability
    assert follower.step() == []
    assert watch_list.alerts(after=1)[0].item == named
    # A second server, and this one after kill -9, look at the last minutes again.
    assert Follower(WatchList(gallery), gallery).step() == []
    # Assigned by an operator meanwhile: still the same picture.
    gallery.assign([seen[5]], "p2")
    assert [one.item for one in Follower(WatchList(gallery), gallery).step()] == [seen[5]]


def test_who_is_merged_while_they_are_searched_for_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    gallery, watch_list, follower = site()
    watch_list.add("p2", reason="lost child", ends=SOON)
    seen, search = come(gallery, 2), Gallery.search

    def merged_first(*given: Any, **options: Any) -> Any:
        monkeypatch.undo()
        gallery.merge("p9", ["p2"])
        return search(*given, **options)

    monkeypatch.setattr(Gallery, "search", merged_first)
    assert [alert.item for alert in follower.step()] == [seen]
    (alert,) = watch_list.alerts(fresh=True)
    assert alert.identity == "p9"
    assert gallery.item(alert.compared or "").identity == "p9"


def test_pictures_of_a_tracklet_are_one_alert_and_late_ones_are_not_missed() -> None:
    gallery, watch_list, follower = site()
    watch_list.add("p4", reason="lost child", ends=SOON)
    for index in (3, 4, 5):
        come(gallery, 4, index, tracklet="t1")
    assert len(follower.step()) == 1
    pass_time(gallery, 500)
    come(gallery, 8)
    follower.step()
    # Written by a machine whose clock is slow, after later ones were looked at.
    pass_time(gallery, -400)
    late = come(gallery, 4, 5)
    pass_time(gallery, 400)
    assert [one.item for one in follower.step()] == [late]
    # The clock was wrong for a while, and is set right.
    pass_time(gallery, 5_000)
    come(gallery, 8, 4)
    follower.step()
    pass_time(gallery, -4_000)
    again = come(gallery, 4, 4)
    assert [one.item for one in Follower(watch_list, gallery).step()] == [again]


def test_an_entry_needs_a_person_a_reason_and_an_end() -> None:
    gallery, watch_list, _ = site()
    now = gallery.clock()
    for reason, ends, message in (
        ("", SOON, "reason"),
        ("lost", now, "ends"),
        ("lost", now + 93 * DAY_S, "92 days"),
        ("x" * 600, SOON, "reason"),
    ):
        with pytest.raises(InputError, match=message):
            watch_list.add("p1", reason=reason, ends=ends)
    with pytest.raises(NotInGalleryError):
        watch_list.add("nobody", reason="lost", ends=SOON)
    entry = watch_list.acting_as("desk").add("p1", reason="lost", ends=SOON)
    with pytest.raises(ConflictError):
        watch_list.add("p1", reason="again", ends=SOON)
    gallery.merge("p3", ["p1"])
    assert [one.identity for one in watch_list.entries(fresh=True)] == ["p3"]
    watch_list.end(entry.id)
    said = [(one.action, one.actor) for one in gallery.audit(limit=3, latest=True)]
    assert said == [("unwatch", "local"), ("merge", "local"), ("watch", "desk")]
    assert "lost" not in str(gallery.audit(limit=100))
    with pytest.raises(NotInGalleryError):
        watch_list.end(entry.id)


def test_a_gallery_that_can_only_be_read_says_so() -> None:
    store = MemoryStore()
    site(store)
    store.read_only = "on purpose"
    gallery = memory_gallery(store)
    with pytest.raises(NotWritableError, match="on purpose"):
        WatchList(gallery).add("p1", reason="lost", ends=SOON)


def test_answers_are_counted_and_outlive_the_entry() -> None:
    gallery, watch_list, follower = site()
    entry = watch_list.add("p2", reason="lost child", ends=SOON)
    for index in (3, 4, 5):
        come(gallery, 2, index)
    first, second, third = follower.step()
    watch_list.acting_as("desk").answer(first.id, "right")
    watch_list.answer(second.id, "right")
    watch_list.answer(second.id, "wrong")
    watch_list.answer(third.id, "seen")
    assert watch_list.judged() == (1, 1)
    assert [(one.answer, one.answered_by) for one in watch_list.alerts(fresh=True)] == [
        ("right", "desk"), ("wrong", "local"), ("seen", "local"),
    ]  # fmt: skip
    assert watch_list.alerts(answers=["new"]) == []
    pass_time(gallery, SOON)
    assert watch_list.entries()[0].has_ended
    assert follower.step() == []
    assert watch_list.delete_ended() == 1
    assert (watch_list.alerts(), watch_list.entries(), watch_list.judged()) == ([], [], (1, 1))
    assert watch_list.last_number() == 3
    with pytest.raises(NotInGalleryError):
        watch_list.answer(first.id, "right")
    assert entry.id not in str(gallery.store.records("watch"))


def kept_of(store: MemoryStore, *words: str) -> list[str]:
    """Which of these ids or words the records of the watch list hold."""
    records = str([store.records(kind) for kind in KINDS])
    return [word for word in words if word in records]


def test_forgetting_takes_entries_and_alerts_along() -> None:
    store = MemoryStore()
    gallery, watch_list, follower = site(store)
    watch_list.add("p2", reason="why-p2", ends=SOON)
    watch_list.add("p6", reason="why-p6", ends=SOON)
    seen = [come(gallery, pid) for pid in (2, 6)]
    extra = come(gallery, 6, 4)
    alerts = {one.item: one for one in follower.step()}
    # The picture that was seen: its alert goes, the entry stays.
    gallery.forget(items=[extra])
    assert kept_of(store, *seen, extra, "why-p6") == [*seen, "why-p6"]
    # The picture that it was compared with: the alert does not name it any more.
    compared = alerts[seen[1]].compared
    assert compared is not None
    gallery.forget(items=[compared])
    assert kept_of(store, compared, seen[1]) == [seen[1]]
    # The person, by an id that was merged into it.
    gallery.merge("p9", ["p2"])
    gallery.forget("p9")
    assert kept_of(store, "why-p2", seen[0], "why-p6", seen[1]) == ["why-p6", seen[1]]
    # Retention.
    gallery.set_retention(100)
    pass_time(gallery, 200)
    gallery.run_retention()
    assert kept_of(store, "why-p6", seen[1]) == []


def test_what_is_forgotten_while_it_is_compared_is_not_written() -> None:
    gallery, watch_list, follower = site()
    watch_list.add("p2", reason="lost child", ends=SOON)
    come(gallery, 2)
    put = watch_list.put

    def forget_first(*alerts: Any) -> Any:
        gallery.forget("p2")
        return put(*alerts)

    watch_list.put = forget_first  # type: ignore[method-assign]
    assert follower.step() == []
    assert kept_of(gallery.store, "p2") == []  # type: ignore[arg-type]


def test_backups_carry_the_list_and_bring_nobody_back(tmp_path: Path) -> None:
    gallery, watch_list, follower = site()
    for pid in (2, 6):
        watch_list.add(f"p{pid}", reason=f"why-p{pid}", ends=SOON)
    seen = [come(gallery, 2)]
    pass_time(gallery, 1)
    seen.append(come(gallery, 6))
    follower.step()
    write_backup(Snapshot(gallery.store), tmp_path / "backup", clock=gallery.clock)
    pass_time(gallery, 5)
    gallery.forget("p2")
    target = MemoryStore()
    target.put_records(TOMBSTONES, gallery.store.records(TOMBSTONES))
    restore(Backup(tmp_path / "backup"), target, clock=gallery.clock)
    again = memory_gallery(target, calibration=gallery.calibration)
    restored = WatchList(again)
    assert [one.reason for one in restored.entries()] == ["why-p6"]
    assert [(one.item, one.seq) for one in restored.alerts()] == [(seen[1], 2)]
    assert restored.last_number() == 2
    assert kept_of(target, "why-p2", "'p2'") == []
    assert Follower(restored, again).step() == []


def test_what_to_expect_is_traffic_times_the_stated_rate() -> None:
    gallery, watch_list, _ = site()
    assert watch_list.expectation().false_alarms_per_day == 0
    pass_time(gallery, 6 * DAY_S)
    rng = np.random.default_rng(3)
    gallery.enrol([Item(key=f"{n}") for n in range(84)], rng.standard_normal((84, DIM)), model=MODEL)
    pass_time(gallery, 2 * DAY_S)
    expected = watch_list.expectation(["p1"])
    stated = gallery.search(EMBEDDINGS[0], model=MODEL, where=Filter(identities=frozenset({"p1"})))
    assert (expected.people, expected.days, expected.pictures_per_day) == (1, 7, 12)
    assert stated.measured is not None
    assert 0 < stated.measured.rate <= stated.false_alarm_rate
    assert expected.false_alarms_per_day == pytest.approx(12 * stated.measured.rate)
    gallery.calibration = None
    unknown = WatchList(gallery).expectation(["p1"])
    assert unknown.false_alarms_per_day is None
    assert "calibrat" in unknown.note


def test_alerts_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    gallery, watch_list, follower = site()
    monkeypatch.setattr(watching, "MAX_ALERTS", 2)
    watch_list.add("p2", reason="lost child", ends=SOON)
    first = come(gallery, 2, 3)
    follower.step()
    watch_list.answer(watch_list.alerts()[0].id, "right")
    come(gallery, 2, 4)
    come(gallery, 2, 5)
    follower.step()
    assert [one.seq for one in watch_list.alerts()] == [2, 3]
    assert kept_of(gallery.store, first) == []  # type: ignore[arg-type]
    assert watch_list.num_dropped() == 0
    assert watch_list.judged() == (1, 0)


def test_whatever_write_a_kill_comes_before_nothing_is_missed_or_doubled() -> None:
    entries, seen = [], []

    def make() -> MemoryStore:
        store = MemoryStore()
        gallery, watch_list, _ = site(store)
        entries[:] = [watch_list.add(f"p{pid}", reason="lost child", ends=SOON).id for pid in (2, 6)]
        seen[:] = [come(gallery, 6, 3, identity="p6"), *(come(gallery, pid, 4) for pid in (1, 2, 6))]
        return store

    def opened(store: MemoryStore) -> tuple[WatchList, Follower]:
        gallery = memory_gallery(store, calibration=make_calibration())
        pass_time(gallery, 20)
        watch_list = WatchList(gallery)
        return watch_list, Follower(watch_list, gallery)

    expected = {(0, "p6"), (2, "p2"), (3, "p6")}
    for store in stopped_after_each_write(make, lambda store: opened(store)[1].step()):
        watch_list, follower = opened(store)
        follower.step()
        alerts = watch_list.alerts(fresh=True)
        assert {(seen.index(one.item), one.identity) for one in alerts} == expected
        assert [one.seq for one in alerts] == [1, 2, 3]
        assert watch_list.last_number() == 3

    def with_alerts() -> MemoryStore:
        store = make()
        opened(store)[1].step()
        return store

    # Ended: once it is begun it is done, or all of it is still there.
    for store in stopped_after_each_write(with_alerts, lambda store: opened(store)[0].end(entries[0])):
        watch_list, _ = opened(store)
        left = {one.id for one in watch_list.entries()}
        assert {one.entry for one in watch_list.alerts()} == left
        assert left in ({*entries}, {entries[1]})
    assert left == {entries[1]}

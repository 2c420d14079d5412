"""Names, merges, splits and undo: cases worked by hand, a model of plain sets, and crashes at every write."""

from __future__ import annotations

import itertools
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gallery.memory_store import MemoryStore, StoppedError
from gallery.people import MODEL, memory_gallery, vectors
from omnireid import Gallery, Item
from omnireid.core.errors import InputError
from omnireid.gallery.errors import ConflictError, NotInGalleryError
from omnireid.gallery.identities import IDENTITIES, MAX_OPERATIONS, OPERATIONS, People, forget_people
from omnireid.gallery.records import RememberedRecords

IDS = ("a", "b", "c", "d")
# One item of everybody stays where it is, so that nobody is lost.
MOVED = (0, 2, 4, 6, 8, 9)


def filled(store: MemoryStore | None = None) -> tuple[Gallery, tuple[str, ...]]:
    """Two items of each of a, b, c and d, in this order, and two of nobody."""
    gallery = memory_gallery(store)
    items = [Item(key=f"{n}", identity=one) for n, one in enumerate(["a", "a", "b", "b", "c", "c", "d", "d"])]
    items += [Item(key="8"), Item(key="9")]
    return gallery, gallery.enrol(items, vectors(0, 10), model=MODEL).ids


def shown(gallery: Gallery, ids: tuple[str, ...]) -> str:
    """The identity of every item, "-" for none."""
    return "".join(gallery.item(one).identity or "-" for one in ids)


def test_names_come_and_go() -> None:
    gallery, _ = filled()
    first = gallery.name_identity("a", "Ann")
    second = gallery.name_identity("a", "Anna")
    assert (first.summary, second.summary) == ("named a “Ann”", "renamed “Ann” to “Anna”")
    assert gallery.identity("a").name == "Anna"
    assert gallery.search(vectors(0, 1)[0], model=MODEL, k=1).candidates[0].name == "Anna"
    with pytest.raises(ConflictError, match=f"undo {second.id} \\(name\\) first"):
        gallery.undo(first.id)
    assert gallery.undo(second.id).undone
    assert gallery.identity("a").name == "Ann"
    gallery.undo(first.id)
    assert gallery.identity("a").name is None
    gone = gallery.name_identity("a", None)
    assert "took the name" in gone.summary
    for name in ("", "  ", "a\nb", "x" * 513):
        with pytest.raises(InputError, match="name"):
            gallery.name_identity("a", name)
    with pytest.raises(NotInGalleryError, match="identity 'z'"):
        gallery.name_identity("z", "Zoe")


def test_merges_are_seen_everywhere_and_undone_exactly() -> None:
    gallery, ids = filled()
    gallery.name_identity("b", "Bob")
    one = gallery.merge("a", ["b", "c"])
    assert shown(gallery, ids) == "aaaaaadd--"
    assert gallery.identity("c") == gallery.identity("a")
    assert gallery.identity("a").merged == ("b", "c")
    assert gallery.identity("a").items == 6
    # a has no name of its own.
    assert gallery.identity("a").name == "Bob"
    assert [person.id for person in gallery.identities()] == ["a", "d"]
    assert one.summary == "merged 2 people into Bob"
    two = gallery.merge("d", ["a"])
    assert shown(gallery, ids) == "dddddddd--"
    # The first still makes sense without the second, and the second without the first.
    gallery.undo(one.id)
    assert shown(gallery, ids) == "ddbbccdd--"
    gallery.undo(two.id)
    assert shown(gallery, ids) == "aabbccdd--"
    assert gallery.identity("a").name is None
    with pytest.raises(ConflictError, match="undone already"):
        gallery.undo(two.id)
    with pytest.raises(NotInGalleryError, match="operation"):
        gallery.undo("nothing")


def test_who_was_merged_into_an_alias_stays_with_it() -> None:
    gallery, ids = filled()
    one = gallery.merge("a", ["b"])
    gallery.merge("b", ["c"])
    assert shown(gallery, ids) == "aaaaaadd--"
    gallery.undo(one.id)
    assert shown(gallery, ids) == "aabbbbdd--"


def test_a_merge_that_others_were_reached_through_is_undone_after_them() -> None:
    gallery, ids = filled()
    one = gallery.merge("b", ["a"])
    two = gallery.merge("c", ["a"])  # a is part of b, so that all of b goes to c
    assert shown(gallery, ids) == "ccccccdd--"
    with pytest.raises(ConflictError, match=f"undo {two.id}"):
        gallery.undo(one.id)
    assert [(op.can_undo, bool(op.blocked_by)) for op in gallery.operations()] == [
        (True, False),
        (False, True),
    ]
    gallery.undo(two.id)
    gallery.undo(one.id)
    assert shown(gallery, ids) == "aabbccdd--"


def test_nobody_is_merged_into_themselves() -> None:
    gallery, _ = filled()
    gallery.merge("a", ["b"])
    gallery.merge("c", ["a"])
    for into, others in (("a", ["a"]), ("a", ["b"]), ("b", ["c"]), ("c", ["b", "a"]), ("a", [])):
        with pytest.raises(InputError, match="expected others than"):
            gallery.merge(into, others)
    with pytest.raises(NotInGalleryError):
        gallery.merge("a", ["z"])


def test_splits_and_assignments_move_items_and_back() -> None:
    gallery, ids = filled()
    split = gallery.split([ids[0], ids[8]], "Eve")
    new = split.identity
    assert new is not None
    assert gallery.identity(new)[1:3] == ("Eve", 2)
    assigned = gallery.assign([ids[8], ids[9]], "b")
    assert [gallery.item(one).identity for one in (ids[0], ids[8], ids[9])] == [new, "b", "b"]
    taken = gallery.assign([ids[2]], None)
    assert gallery.item(ids[2]).identity is None
    assert [op.summary for op in gallery.operations()] == [
        "took one picture from their person",
        "assigned 2 pictures to b",
        "split 2 pictures off as Eve",
    ]
    with pytest.raises(ConflictError, match=f"undo {assigned.id}"):
        gallery.undo(split.id)
    for one in (assigned, split, taken):
        gallery.undo(one.id)
    assert shown(gallery, ids) == "aabbccdd--"
    assert new not in {person.id for person in gallery.identities()}
    # An identity of the caller's own, as a service gives out when somebody is new.
    gallery.assign([ids[9]], "brand new")
    assert gallery.identity("brand new").items == 1


def test_items_that_are_not_there_are_named() -> None:
    gallery, ids = filled()
    for change in (gallery.split, lambda items: gallery.assign(items, "a")):
        with pytest.raises(NotInGalleryError, match="item 'nothing'"):
            change([ids[0], "nothing"])
        with pytest.raises(InputError, match="items: expected 1 to 10,000, got 0"):
            change([])
    assert gallery.operations() == []
    with pytest.raises(InputError, match="identity"):
        gallery.assign([ids[0]], "")


def test_only_the_latest_operations_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("omnireid.gallery.identities.MAX_OPERATIONS", 3)
    gallery, _ = filled()
    made = [gallery.name_identity("a", f"name {n}") for n in range(5)]
    assert [op.id for op in gallery.operations()] == [op.id for op in reversed(made[2:])]
    assert len(gallery.operations(limit=2)) == 2
    assert MAX_OPERATIONS >= 100
    for one in reversed(made[2:]):
        gallery.undo(one.id)
    assert gallery.identity("a").name == "name 1"


def test_another_process_sees_what_was_done() -> None:
    store = MemoryStore()
    here, ids = filled(store)
    there = memory_gallery(store)
    assert shown(there, ids) == "aabbccdd--"
    here.merge("a", ["b"])
    # What is written is checked against what is there now, not against what is remembered.
    with pytest.raises(InputError, match="expected others"):
        there.merge("b", ["a"])
    there._people.forget()
    assert shown(there, ids) == "aaaaccdd--"


def test_forgetting_takes_what_undo_would_bring_back() -> None:
    store = MemoryStore()
    gallery, ids = filled(store)
    gallery.name_identity("a", "Ann")
    gallery.name_identity("d", "Dan")
    gallery.merge("a", ["b"])
    gallery.undo(gallery.merge("a", ["c"]).id)
    gallery.assign([ids[4], ids[6]], "b")  # of c, and of d
    gallery.assign([ids[5]], "b")  # of c, and later of d
    gallery.assign([ids[7]], "b")
    gallery.assign([ids[5]], "d")
    gallery.assign([ids[7]], "d")
    gallery.assign([ids[8]], "d")
    forget_people(store, {"a", "b"}, {ids[0], ids[1], ids[2], ids[3], ids[4], ids[6]})
    left = str(store.records(OPERATIONS)) + str(store.records(IDENTITIES))
    assert "Ann" not in left
    assert not any(repr(one) in left for one in ("a", "b", ids[0], ids[4], ids[6]))
    # What is left would bring back nobody: where ids[5] and ids[7] were before "d" is not said any more.
    assert [op.summary for op in gallery.operations()] == ["assigned one picture to Dan", "named d “Dan”"]
    gallery.undo(gallery.operations()[0].id)
    assert shown(gallery, ids)[5::2] == "dd-"
    assert gallery.people().name("d") == "Dan"
    assert gallery.people().root("b") == "b"


CHANGES = {
    "name": lambda gallery, ids: gallery.name_identity("a", "Ann"),
    "merge": lambda gallery, ids: gallery.merge("a", ["b", "d"]),
    "split": lambda gallery, ids: gallery.split([ids[0], ids[2], ids[8]], "Eve"),
    "assign": lambda gallery, ids: gallery.assign([ids[0], ids[2], ids[8]], "c"),
}


def state(gallery: Gallery, ids: tuple[str, ...]) -> list:
    """What a user sees, new ids left aside."""
    new = {one: "new" for one in (gallery.item(one).identity for one in ids) if one and len(one) > 1}
    return [
        [new.get(gallery.item(one).identity or "-", gallery.item(one).identity) for one in ids],
        sorted(gallery.people().named.values()),
        [(op.kind, op.undone) for op in gallery.operations()],
    ]


@pytest.mark.parametrize("kind", CHANGES)
def test_stopped_at_any_write_a_change_is_done_or_not_begun(kind: str) -> None:
    finished, ids = filled()
    before = state(finished, ids)
    finished.audit()
    change = CHANGES[kind](finished, ids)
    after = state(finished, ids)
    finished.undo(change.id)
    undone = state(finished, ids)
    assert undone[:2] == before[:2] != after[:2]
    seen = set()
    for writes in itertools.count():
        store = MemoryStore()
        gallery, ids = filled(store)
        store.writes_left = writes
        try:
            CHANGES[kind](gallery, ids)
        except StoppedError:
            store.writes_left = None
            found = state(memory_gallery(store), ids)
            assert found in (before, after)
            seen.add(found == after)
        else:
            break
    assert seen == {False, True}
    seen = set()
    for writes in itertools.count():
        store = MemoryStore()
        gallery, ids = filled(store)
        change = CHANGES[kind](gallery, ids)
        store.writes_left = writes
        try:
            gallery.undo(change.id)
        except StoppedError:
            store.writes_left = None
            # The next operation finishes it too, without opening the gallery again.
            if writes % 2:
                gallery.name_identity("c", None)
                gallery.undo(gallery.operations()[0].id)
                found = state(gallery, ids)
                found[2] = found[2][1:]
            else:
                found = state(memory_gallery(store), ids)
            assert found in (after, undone)
            seen.add(found == undone)
        else:
            break
    assert seen == {False, True}


class OperatorsAtWork(RuleBasedStateMachine):
    """Any sequence of operations and undos, with crashes, against sets and dictionaries.

    The model: identities are nodes, every merge that is not undone joins its nodes; an item shows what the
    last operation on it that is not undone says, a name likewise.
    """

    @initialize()
    def start(self) -> None:
        self.store = MemoryStore()
        self.gallery, self.items = filled(self.store)
        self.labels = dict(zip(self.items, [*"aabbccdd", None, None], strict=True))
        self.done: list[dict] = []
        self.known = set(IDS)

    def groups(self) -> dict[str, frozenset[str]]:
        found = {one: frozenset({one}) for one in self.known}
        for edge in (edge for op in self.done if not op["undone"] for edge in op.get("edges", ())):
            together = found[edge[0]] | found[edge[1]]
            found.update(dict.fromkeys(together, together))
        return found

    def attempt(self, change, made) -> None:
        """Do it; now and then the process is killed at one of the writes."""
        if self.crash_after is not None:
            self.store.writes_left = self.crash_after
        num_known = len(self.gallery.operations())
        try:
            operation = change()
        except StoppedError:
            self.store.writes_left = None
            self.gallery = memory_gallery(self.store)
            if len(self.gallery.operations()) == num_known:
                return
            operation = self.gallery.operations()[0]
        finally:
            self.store.writes_left, self.crash_after = None, None
        self.done.append({"id": operation.id, "undone": False, **made(operation)})

    crash_after: int | None = None

    @rule(writes=st.integers(0, 5))
    def next_one_crashes(self, writes: int) -> None:
        self.crash_after = writes

    @rule(into=st.sampled_from(IDS), others=st.lists(st.sampled_from(IDS), min_size=1, max_size=3))
    def merge(self, into: str, others: list[str]) -> None:
        groups = self.groups()
        if all(one in groups[into] for one in others):
            with pytest.raises(InputError, match="expected others"):
                self.gallery.merge(into, others)
            return
        root = self.gallery.people().root(into)
        self.attempt(
            lambda: self.gallery.merge(into, others), lambda _: {"edges": [(into, one) for one in others]}
        )
        if self.groups() != groups:
            assert self.gallery.identity(others[0]).id == root

    @rule(
        places=st.sets(st.sampled_from(MOVED), min_size=1, max_size=4), identity=st.sampled_from([*IDS, None])
    )
    def assign(self, places: set[int], identity: str | None) -> None:
        items = [self.items[n] for n in places]
        self.attempt(
            lambda: self.gallery.assign(items, identity), lambda _: {"items": dict.fromkeys(items, identity)}
        )

    @rule(places=st.sets(st.sampled_from(MOVED), min_size=1, max_size=4))
    def split(self, places: set[int]) -> None:
        items = [self.items[n] for n in places]

        def made(operation) -> dict:
            self.known.add(operation.identity)
            return {"items": dict.fromkeys(items, operation.identity), "names": {operation.identity: "new"}}

        self.attempt(lambda: self.gallery.split(items, "new"), made)

    @rule(identity=st.sampled_from(IDS), name=st.sampled_from(["Ann", "Bob", None]))
    def name(self, identity: str, name: str | None) -> None:
        root = self.gallery.people().root(identity)
        self.attempt(lambda: self.gallery.name_identity(identity, name), lambda _: {"names": {root: name}})

    @precondition(lambda self: self.done)
    @rule(data=st.data())
    def undo(self, data) -> None:
        place = data.draw(st.integers(0, len(self.done) - 1))
        made = self.done[place]
        listed = {op.id: op for op in self.gallery.operations(1000)}[made["id"]]
        if not listed.can_undo:
            assert made["undone"] or any(not later["undone"] for later in self.done[place + 1 :])
            with pytest.raises(ConflictError):
                self.gallery.undo(made["id"])
            return
        self.gallery.undo(made["id"])
        made["undone"] = True

    @precondition(lambda self: self.done and not self.done[-1]["undone"])
    @rule()
    def the_last_can_be_undone(self) -> None:
        assert self.gallery.operations(1)[0].can_undo

    @rule()
    def open_again(self) -> None:
        self.gallery = memory_gallery(self.store)

    @invariant()
    def shows_what_the_model_says(self) -> None:
        labels, names = dict(self.labels), {}
        for made in self.done:
            if not made["undone"]:
                labels.update(made.get("items", {}))
                names.update(made.get("names", {}))
        groups, people = self.groups(), self.gallery.people()
        for one, group in groups.items():
            assert people.root(one) in group
            assert people.aliases(one) == group
            own = names.get(people.root(one))
            assert people.name(one) == (own or next((names[x] for x in sorted(group) if names.get(x)), None))
        for item, label in labels.items():
            assert self.gallery.item(item).identity == (label and people.root(label))


TestOperatorsAtWork = OperatorsAtWork.TestCase
TestOperatorsAtWork.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)


def test_chains_of_merges_are_followed_to_their_end() -> None:
    chain = {f"n{n}": {"name": None, "merged_into": f"n{n + 1}", "created": 0.0} for n in range(500)}
    people = People(chain)
    assert people.root("n0") == "n500"
    assert len(people.aliases("n250")) == 501


def test_a_slow_reader_hides_nothing_and_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore()
    store.put_records("kind", {"a": {"n": 1}})
    remembered = RememberedRecords(store, "kind", lambda records: records["a"]["n"])
    assert remembered.read() == 1
    has_read, may_return, read = threading.Event(), threading.Event(), store.records

    def slow(kind: str) -> dict:
        found = read(kind)
        has_read.set()
        assert may_return.wait(5)
        return found

    monkeypatch.setattr("omnireid.gallery.records.MAX_AGE_S", 0.0)
    store.records = slow  # type: ignore[method-assign]
    with ThreadPoolExecutor(1) as threads:
        reading = threads.submit(remembered.read)
        assert has_read.wait(5)
        assert remembered.read() == 1, "the old value, without waiting"
        store.put_records("kind", {"a": {"n": 2}})
        remembered.replace(2)
        may_return.set()
        assert reading.result(5) == 1
    monkeypatch.setattr("omnireid.gallery.records.MAX_AGE_S", 60.0)
    assert remembered.read() == 2
    store.put_records("kind", {"a": {"n": 3}})
    assert (remembered.read(), remembered.read(fresh=True), remembered.read()) == (2, 3, 3)
    remembered.forget()
    assert remembered.read() == 3


WORKER = """
import sys
from omnireid import Filter, Gallery
with Gallery.open(sys.argv[1]) as gallery:
    ids = sorted(item.id for item in gallery.items(Filter(has_identity=False), limit=1000))
    print("ready", flush=True)
    for number, name in enumerate(ids):
        gallery.undo(gallery.merge("a", ["b"]).id)
        print(name, gallery.split([name], f"name {number}").identity, flush=True)
"""


def test_killed_at_any_moment_what_was_acknowledged_is_there(tmp_path: Path) -> None:
    uri = str(tmp_path / "gallery")
    with Gallery.open(uri) as gallery:
        items = [Item(key=str(n)) for n in range(200)]
        gallery.enrol(items, vectors(0, 200), model=MODEL)
        gallery.enrol([Item(identity="a"), Item(identity="b")], vectors(1, 2), model=MODEL)
    split: dict[str, str] = {}
    for num_lines, delay_s in ((1, 0.05), (2, 0.0)):
        worker = subprocess.Popen([sys.executable, "-c", WORKER, uri], stdout=subprocess.PIPE, text=True)
        assert worker.stdout is not None
        lines = [worker.stdout.readline() for _ in range(num_lines + 1)][1:]
        time.sleep(delay_s)
        worker.kill()
        lines += worker.communicate()[0].splitlines(keepends=True)
        # A line that was cut was not acknowledged.
        split.update(line.split() for line in lines if line.endswith("\n"))
        with Gallery.open(uri) as gallery:
            shown = {item.id: item.identity for item in gallery.items(limit=1000)}
            assert {name: shown[name] for name in split} == split
            done = gallery.operations(limit=1000)
            assert {one.identity for one in done if one.kind == "split"} >= set(split.values())
            # One more may have been on its way: it is done as a whole or not at all.
            named = {person.id for person in gallery.identities(text="name", limit=1000)}
            assert named == {one for one in shown.values() if one not in ("a", "b", None)}
            assert gallery.verify_audit().problems == ()
            for one in done:
                if one.kind == "merge" and one.can_undo:
                    gallery.undo(one.id)
    assert len(split) >= 3

"""Random histories of a gallery against plain dictionaries: nothing acknowledged is lost, nobody comes back.

Whatever is done to a gallery, its copies answer as it does. An old backup that is restored with the list of
who was forgotten holds what the model says: what was there then, without whom was forgotten since.
"""

from __future__ import annotations

import copy
import hashlib
import itertools
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gallery.lifecycle import DIM
from gallery.memory_store import MemoryStore, StoppedError
from gallery.people import Clock
from gallery.test_gallery_moving import SPEC, picture
from omnireid import Gallery, Item, ModelRef
from omnireid.core.images import load_crop
from omnireid.gallery.backup import Backup, Snapshot, write_backup
from omnireid.gallery.forgetting import Tombstones
from omnireid.gallery.items import Filter, item_id
from omnireid.gallery.opening import open_store
from omnireid.gallery.restoring import read_tombstones, restore, write_tombstones

KEYS = tuple(f"crop{number}" for number in range(6))
IDENTITIES = ("p1", "p2", "p3")
CAMERAS = ("door", "hall")
START = 1_000_000.0
FOREVER = float("inf")
WRITES = st.none() | st.integers(0, 20)
"""After which a process is killed."""


@dataclass
class Row:
    """An item as it was enrolled, with the identity that it has now."""

    identity: str | None
    camera: str
    time: float | None
    enrolled: float
    number: int


@dataclass
class Forgetting:
    """What was forgotten at once: no item of these that is older comes back."""

    items: set[str]
    identities: set[str]
    time: float

    def takes(self, key: str, row: Row) -> bool:
        return row.enrolled <= self.time and (key in self.items or row.identity in self.identities)


@dataclass
class Model:
    """What a gallery must answer.

    Attributes:
        rows: by key.
        names: by identity, as somebody gave them.
        parents: by identity, the one that it was merged into.
        begun: by identity, when it got a name or was merged first.
        forgotten: by number, what this gallery knows to have been forgotten.
    """

    rows: dict[str, Row] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    parents: dict[str, str] = field(default_factory=dict)
    begun: dict[str, float] = field(default_factory=dict)
    forgotten: dict[int, Forgetting] = field(default_factory=dict)
    retention: dict[str, float | None] = field(default_factory=dict)

    def root(self, identity: str) -> str:
        while identity in self.parents:
            identity = self.parents[identity]
        return identity

    def family(self, identity: str) -> set[str]:
        everybody = {*self.parents, *self.parents.values(), identity}
        return {one for one in everybody if self.root(one) == self.root(identity)}

    def identities(self) -> set[str]:
        return {row.identity for row in self.rows.values() if row.identity is not None}

    def known(self) -> set[str]:
        """Who can be asked for."""
        return self.identities() | set(self.begun) | set(self.parents.values())

    def drop(self, keys: Iterable[str]) -> None:
        """Items go, and with the last one of somebody all of the names."""
        gone = [self.rows.pop(key) for key in list(keys)]
        left = self.identities()
        families = [self.family(row.identity) for row in gone if row.identity is not None]
        for family in families:
            if not family & left:
                self.drop_names(family)

    def drop_names(self, identities: Iterable[str]) -> None:
        for one in identities:
            for of in (self.names, self.parents, self.begun):
                of.pop(one, None)
        for one in [one for one, parent in self.parents.items() if parent in identities]:
            del self.parents[one]

    def expired(self, now: float) -> list[str]:
        def seconds(camera: str) -> float:
            found = self.retention.get(camera, self.retention.get("", None))
            return FOREVER if found is None else found

        seen = {key: row.enrolled if row.time is None else row.time for key, row in self.rows.items()}
        return [key for key, row in self.rows.items() if seen[key] < now - seconds(row.camera)]

    def restored(self, forgotten: dict[int, Forgetting], now: float) -> Model:
        """What a backup of this must bring, where all of this was forgotten."""
        target = copy.deepcopy(self)
        target.forgotten |= forgotten
        unknown = [one for number, one in forgotten.items() if number not in self.forgotten]
        taken = [key for key, row in self.rows.items() if any(one.takes(key, row) for one in unknown)]
        begun = {
            into: min(self.begun[one] for one in self.parents if self.parents[one] == into)
            for into in self.parents.values()
        }
        older = [
            who
            for who, when in {**begun, **self.begun}.items()
            if any(who in one.identities and when <= one.time for one in unknown)
        ]
        gone = {*taken, *self.expired(now)}
        rows = [target.rows.pop(key) for key in gone]
        target.drop_names(older)
        target.rows |= {f"gone {number}": row for number, row in enumerate(rows)}
        target.drop([f"gone {number}" for number in range(len(rows))])
        return target

    def answers(self) -> tuple[Any, Any]:
        """Items by id, and people with name, items and aliases."""
        items = {
            item_id(key): (
                None if row.identity is None else self.root(row.identity),
                row.camera,
                row.time,
                row.enrolled,
                row.number,
            )
            for key, row in self.rows.items()
        }
        shown = [self.root(row.identity) for row in self.rows.values() if row.identity is not None]
        named = {self.root(one) for one in self.names}
        people = {
            one: (self.name(one), shown.count(one), tuple(sorted(self.family(one) - {one})))
            for one in {*shown, *named}
        }
        return items, people

    def name(self, root: str) -> str | None:
        family = (root, *sorted(self.family(root)))
        return next((self.names[one] for one in family if one in self.names), None)


def answers(gallery: Gallery) -> tuple[Any, Any]:
    items = {
        one.id: (one.identity, one.camera, one.time, one.enrolled, one.attributes["n"])
        for one in gallery.items(limit=1000)
    }
    people = {one.id: (one.name, one.items, one.merged) for one in gallery.identities(limit=1000)}
    return items, people


@contextmanager
def killed_after(store: Any, writes: int | None) -> Iterator[None]:
    """A store in memory raises `StoppedError` after so many writes."""
    store.writes_left = writes
    try:
        yield
    finally:
        store.writes_left = None


class Embedder:
    """Gives the colours of a crop's rows, in an order that follows from the model."""

    dim = DIM

    def __init__(self, number: int) -> None:
        self.sha256 = hashlib.sha256(bytes([number % 256, number // 256])).hexdigest()
        self.card = SimpleNamespace(name=f"model {number}", input=SPEC)
        self.ref = ModelRef(self.card.name, self.sha256, DIM)
        self._order = np.random.default_rng(number).permutation(24)[:DIM]

    def embed(self, crops: Any) -> np.ndarray:
        rows = [crop.mean(axis=1).reshape(-1)[self._order] for crop in crops]
        return np.stack(rows).astype(np.float32) - np.float32(100)


class History:
    """One gallery goes on, also as a copy or as what was restored of it; backups of it stay.

    Args:
        draw: of hypothesis.
        new_store: makes an empty store in a folder.
    """

    def __init__(
        self, draw: Callable[[st.SearchStrategy[Any]], Any], new_store: Callable[[Path], Any]
    ) -> None:
        self.draw = draw
        self.folder = tempfile.TemporaryDirectory()
        self.numbers = itertools.count()
        self.clock = Clock(START)
        self.model = Model()
        self.embedder = Embedder(0)
        self._new_store = new_store
        self.gallery = self.opened(self.new_store())
        self.backups: list[tuple[Path, Model, Embedder]] = []
        self.lists: list[tuple[Tombstones | None, dict[int, Forgetting]]] = [(None, {})]
        self.forgettings: list[Forgetting] = []
        # The last operation, and what was before, while it can be taken back.
        self.undo: tuple[str, Model] | None = None

    def close(self) -> None:
        self.gallery.close()
        self.folder.cleanup()

    def path(self, name: str) -> Path:
        return Path(self.folder.name) / f"{name}{next(self.numbers)}"

    def new_store(self) -> Any:
        return self._new_store(self.path("gallery"))

    def opened(self, store: Any) -> Gallery:
        return Gallery(store, clock=self.clock)

    def one_of(self, values: Iterable[Any]) -> Any:
        return self.draw(st.sampled_from(list(values)))

    def some_of(self, values: Iterable[str], most: int = 3) -> list[str]:
        return self.draw(st.lists(st.sampled_from(list(values)), min_size=1, max_size=most, unique=True))

    def go_on_with(self, store: Any, model: Model) -> None:
        self.gallery.close()
        self.gallery, self.model, self.undo = self.opened(store), model, None

    def check(self) -> None:
        # A forgetting that was killed is finished by the next write.
        if not self.gallery.store.records("operation-journal"):
            assert answers(self.gallery) == self.model.answers()

    # What may happen

    def time_passes_or_is_set_back(self) -> None:
        self.clock.now += self.one_of((1.0, 10.0, -25.0))

    def enrol(self) -> None:
        self.add(self.some_of(KEYS), self.one_of((*IDENTITIES, None)), self.one_of((None, 0.0, 15.0)))

    def come_back(self) -> None:
        """With the same picture, the same identity, or both."""
        if self.forgettings:
            forgotten = self.one_of(self.forgettings)
            identity = self.one_of(sorted(forgotten.identities) or IDENTITIES)
            self.add([self.one_of((*sorted(forgotten.items), *KEYS))], identity, None)

    def add(self, keys: list[str], identity: str | None, age: float | None) -> None:
        number, camera = next(self.numbers), self.one_of(CAMERAS)
        time = None if age is None else self.clock.now - age
        pictures = [picture(f"{key} {number}") for key in keys]
        items = [
            Item(
                camera=camera,
                time=time,
                identity=identity,
                attributes={"n": number},
                thumbnail=crop,
                key=key,
            )
            for key, crop in zip(keys, pictures, strict=True)
        ]
        embeddings = self.embedder.embed([load_crop(one, SPEC) for one in pictures])
        done = self.gallery.enrol(items, embeddings, model=self.embedder.ref)
        assert done.is_new.tolist() == [key not in self.model.rows for key in keys]
        for key in keys:
            self.model.rows.setdefault(key, Row(identity, camera, time, self.clock.now, number))

    def assign(self) -> None:
        if self.model.rows:
            keys, identity = self.some_of(self.model.rows), self.one_of((None, *IDENTITIES))
            self.operate(lambda: self.gallery.assign([item_id(key) for key in keys], identity))
            for key in keys:
                self.model.rows[key].identity = identity

    def name(self) -> None:
        if known := sorted(self.model.known()):
            identity, name = self.one_of(known), self.one_of(("Ann", "Bob", None))
            self.operate(lambda: self.gallery.name_identity(identity, name))
            root = self.model.root(identity)
            self.model.begun.setdefault(root, self.clock.now)
            self.model.names.pop(root, None)
            if name is not None:
                self.model.names[root] = name

    def merge(self) -> None:
        known = sorted(self.model.known())
        if len({self.model.root(one) for one in known}) > 1:
            into, other = self.one_of(known), self.one_of(known)
            if self.model.root(into) != self.model.root(other):
                self.operate(lambda: self.gallery.merge(into, [other]))
                root = self.model.root(other)
                self.model.begun.setdefault(root, self.clock.now)
                self.model.parents[root] = into

    def operate(self, act: Callable[[], Any]) -> None:
        before = copy.deepcopy(self.model)
        self.undo = act().id, before

    def take_back(self) -> None:
        if self.undo is not None:
            operation, before = self.undo
            self.gallery.undo(operation)
            self.model.names, self.model.parents = before.names, before.parents
            for key, row in before.rows.items():
                self.model.rows[key].identity = row.identity
            self.undo = None

    def forget_somebody(self) -> None:
        if known := sorted(self.model.known()):
            identity = self.one_of(known)
            family = self.model.family(identity)
            items = {key for key, row in self.model.rows.items() if row.identity in family}
            self.forget(items, family, lambda gallery: gallery.forget(identity))

    def forget_items(self) -> None:
        if self.model.rows:
            keys = self.some_of(self.model.rows, 2)
            asked = [item_id(key) for key in keys]
            self.forget(set(keys), set(), lambda gallery: gallery.forget(items=asked))

    def forget(self, items: set[str], identities: set[str], act: Callable[[Gallery], Any]) -> None:
        """By another process, which may be killed; this one goes on with what it has open."""
        store = self.gallery.store
        other = self.opened(store)
        try:
            with killed_after(store, self.draw(WRITES)):
                act(other)
            other.log.close()
        except StoppedError:
            if not store.records("operation-journal"):
                return
        self.undo = None
        times = [self.clock.now, *(self.model.rows[key].enrolled for key in items)]
        self.forgettings.append(Forgetting(items, identities, max(times)))
        self.model.forgotten[next(self.numbers)] = self.forgettings[-1]
        self.model.drop_names(identities)
        self.model.drop(items)

    def keep_for(self) -> None:
        self.model.retention[self.one_of(("", *CAMERAS))] = self.one_of((None, 12.0))
        cameras = {name: kept for name, kept in self.model.retention.items() if name}
        self.gallery.set_retention(self.model.retention.get(""), cameras)

    def run_retention(self) -> None:
        expired = self.model.expired(self.clock.now)
        assert self.gallery.run_retention() == len(expired)
        self.model.drop(expired)
        self.undo = None if expired else self.undo

    def back_up(self) -> None:
        folder = self.path("backup")
        write_backup(Snapshot(self.gallery.store), folder, clock=self.clock)
        self.backups.append((folder, copy.deepcopy(self.model), self.embedder))

    def list_forgotten(self) -> None:
        path = self.path("forgotten")
        write_tombstones(self.gallery.store, path)
        self.lists.append((read_tombstones(path), copy.deepcopy(self.model.forgotten)))

    def restore(self) -> None:
        self.list_forgotten()
        if self.backups:
            self.restore_with(*self.one_of(self.lists[1:]), goes_on=self.draw(st.booleans()))

    def restore_without_list(self) -> None:
        """And go on: now there are two galleries of one origin, of which one knows nothing of the other."""
        if self.backups:
            self.restore_with(*self.lists[0], goes_on=True)

    def restore_with(
        self, forgotten: Tombstones | None, listed: dict[int, Forgetting], *, goes_on: bool
    ) -> None:
        folder, before, embedder = self.one_of(self.backups)
        expected, store = before.restored(listed, self.clock.now), self.new_store()
        try:
            with killed_after(store, self.draw(WRITES)):
                restore(Backup(folder), store, tombstones=forgotten, clock=self.clock)
        except StoppedError:
            restore(Backup(folder), store, tombstones=forgotten, clock=self.clock)
        target = self.opened(store)
        assert answers(target) == expected.answers()
        if goes_on:
            self.go_on_with(store, expected)
            self.embedder = embedder

    def copy(self) -> None:
        self.run_retention()
        store = self.new_store()
        done = restore(Snapshot(self.gallery.store), store, clock=self.clock)
        target = self.opened(store)
        assert (done.items, done.forgotten, done.expired) == (len(self.model.rows), 0, 0)
        assert answers(target) == answers(self.gallery) == self.model.answers()
        for where in (Filter(), Filter(identities=frozenset({"p1"})), Filter(cameras=frozenset({"door"}))):
            first, second = (
                one.search(np.ones(DIM), model=self.embedder.ref, where=where, group=True)
                for one in (self.gallery, target)
            )
            assert (first.candidates, first.groups) == (second.candidates, second.groups)
        if self.draw(st.booleans()):
            self.go_on_with(store, self.model)

    def move(self) -> None:
        if self.model.rows:
            self.embedder = Embedder(next(self.numbers))
            assert not [step for step in self.gallery.move_to(self.embedder) if step.left_behind]  # type: ignore[arg-type]
            self.undo = None

    def open_again(self) -> None:
        store = self.gallery.store
        self.gallery.log.close()
        self.gallery = self.opened(store)


STEPS = (
    *("enrol", "come_back", "copy", "back_up", "restore", "forget_somebody") * 2,
    *("time_passes_or_is_set_back", "forget_items", "assign", "name", "merge", "take_back"),
    *("keep_for", "run_retention", "move", "open_again", "restore_without_list"),
)
BEGINNINGS = (
    ("enrol", "back_up"),
    # Who is forgotten may be merged with somebody else in an older backup.
    ("enrol", "enrol", "name", "merge", "back_up", "take_back", "forget_somebody", "restore"),
    # Somebody forgotten here comes back in another gallery of the same origin.
    ("enrol", "back_up", "forget_somebody", "list_forgotten", "restore_without_list",
     "time_passes_or_is_set_back", "come_back", "name", "back_up", "restore"),
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("new_store", "examples"),
    [(lambda folder: MemoryStore(), 50), (lambda folder: open_store(str(folder)), 3)],
    ids=["memory", "lancedb"],
)
def test_copies_and_backups_answer_as_the_gallery_does(
    new_store: Callable[[Path], Any], examples: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("omnireid.gallery.moving.MAX_AGE_S", 0.0)

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def check(data: st.DataObject) -> None:
        history = History(data.draw, new_store)
        later = st.lists(st.sampled_from(STEPS), min_size=10, max_size=30)
        for step in (*data.draw(st.sampled_from(BEGINNINGS)), *data.draw(later)):
            getattr(history, step)()
            history.check()
        history.close()

    check()

"""What was ruled out goes with whom it is about, travels in backups, and ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from gallery.memory_store import MemoryStore
from gallery.people import MODEL, OTHER, Clock, vectors
from omnireid import Gallery, Item
from omnireid.gallery.backup import Backup
from omnireid.gallery.errors import ModelMismatchError
from omnireid.gallery.rejections import LONGEST_S, MOST, REJECTIONS
from omnireid.gallery.restoring import restore


def filled() -> tuple[Gallery, list[str]]:
    gallery = Gallery(MemoryStore(), clock=Clock())
    items = [Item(identity=name, time=0.0, key=name) for name in ("ada", "bo", "cy")]
    return gallery, list(gallery.enrol(items, vectors(0, 3), model=MODEL).ids)


def kept(gallery: Gallery) -> list[tuple[str, str | None]]:
    records = gallery.store.records(REJECTIONS).values()
    return sorted((one["identity"], one["item"]) for one in records)


def test_a_rejection_goes_with_the_person_and_with_the_item_that_it_was() -> None:
    gallery, (ada, bo, cy) = filled()
    gallery.reject("ada", vectors(1, 1)[0], model=MODEL)
    gallery.reject("bo", vectors(2, 3), model=MODEL, item=cy)
    gallery.merge("cy", ["ada"])
    gallery.reject("ada", vectors(3, 1)[0], model=MODEL, item=bo)
    assert len(kept(gallery)) == 3
    gallery.forget(items=[bo])
    assert kept(gallery) == [("ada", None)]  # who was bo is gone, and so is bo's picture
    gallery.forget(identity="cy")
    assert kept(gallery) == []
    assert ada


def test_it_ends_with_the_pictures_or_after_a_year() -> None:
    gallery, _ = filled()
    gallery.reject("ada", vectors(1, 1)[0], model=MODEL)
    gallery.clock.now += LONGEST_S - 1
    gallery.run_retention()
    assert kept(gallery) == [("ada", None)]
    gallery.clock.now += 2
    gallery.run_retention()
    assert kept(gallery) == []
    gallery.reject("ada", vectors(1, 1)[0], model=MODEL)
    gallery.set_retention(2 * LONGEST_S)
    gallery.clock.now += LONGEST_S + 1
    gallery.run_retention()
    assert kept(gallery) == []


def test_it_is_of_one_model_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    gallery, _ = filled()
    with pytest.raises(ModelMismatchError):
        gallery.reject("ada", vectors(1, 1)[0], model=OTHER)
    monkeypatch.setattr("omnireid.gallery.rejections.MOST", 3)
    names = []
    for turn in range(5):
        gallery.clock.now += 1
        names.append(gallery.reject("ada", vectors(turn, 1)[0], model=MODEL))
    assert sorted(gallery.store.records(REJECTIONS)) == sorted(names[-3:])
    assert MOST > 3


def test_it_is_in_backups_without_those_who_were_forgotten_since(tmp_path: Path) -> None:
    gallery, _ = filled()
    gallery.reject("ada", vectors(1, 1)[0], model=MODEL)
    gallery.reject("bo", vectors(2, 1)[0], model=MODEL)
    gallery.backup(tmp_path / "backup")
    again = MemoryStore()
    restore(Backup(tmp_path / "backup"), again)
    assert kept(Gallery(again)) == [("ada", None), ("bo", None)]
    gallery.clock.now += 1
    gallery.forget(identity="bo")
    with_tombstones = MemoryStore()
    for name, record in gallery.store.records("tombstone").items():
        with_tombstones.put_records("tombstone", {name: record})
    restore(Backup(tmp_path / "backup"), with_tombstones)
    assert kept(Gallery(with_tombstones)) == [("ada", None)]

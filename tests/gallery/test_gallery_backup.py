"""Backup, restore and copy: the same gallery again, whole or not at all, without those who were forgotten."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gallery.lifecycle import DIM, held, ids_in, noise, stopped_after_each_write
from gallery.memory_store import MemoryStore
from gallery.people import Clock
from omnireid import Gallery, Item, ModelRef
from omnireid.core.errors import InputError, StorageError
from omnireid.gallery.audit import CHAINS
from omnireid.gallery.backup import Backup, Snapshot, write_backup
from omnireid.gallery.generations import Generations
from omnireid.gallery.identities import IDENTITIES, OPERATIONS
from omnireid.gallery.items import item_id
from omnireid.gallery.journal import check_whole
from omnireid.gallery.opening import open_store
from omnireid.gallery.options import StoredPrecision
from omnireid.gallery.restoring import read_tombstones, restore, write_tombstones
from omnireid.gallery.store import COLUMNS

MODEL = ModelRef("toy", "a" * 64, DIM)
COLLECTION = f"items_{'a' * 16}"
NOW = 1_000.0


def crop(number: int, **fields: Any) -> Item:
    return Item(
        key=f"crop{number}",
        identity=f"p{number}",
        thumbnail=noise(f"crop{number}"),
        camera="door" if number % 2 else "hall",
        time=100.0 * number,
        **fields,
    )


def gallery_of(store: MemoryStore, count: int = 5, clock: Callable[[], float] = lambda: NOW) -> Gallery:
    """Ann is p1 and p2. Operations: a name, a merge, an assignment."""
    gallery = Gallery(store, clock=clock)
    embeddings = np.random.default_rng(1).standard_normal((count, DIM))
    items = [crop(number, attributes={"bag": True}, box=(1, 2, 3, 4)) for number in range(count)]
    gallery.enrol(items, embeddings, model=MODEL)
    gallery.name_identity("p1", "Ann Alpha")
    gallery.merge("p1", ["p2"])
    gallery.assign([item_id("crop3")], "p4")
    return gallery


def everything(store: Any) -> dict[str, Any]:
    """Items, records that people see, and the audit."""
    live = Generations(store).live()
    columns = pa.schema([]) if live is None else None
    rows: list[Any] = []
    if columns is None:
        assert live is not None
        tables = store.scan(live.collection, columns=(*COLUMNS, "thumbnail", "embedding"))
        rows = sorted((row for table in tables for row in table.to_pylist()), key=lambda row: row["id"])
    kinds = (IDENTITIES, OPERATIONS, CHAINS, "settings")
    return {"rows": rows, "audit": list(store.audit()), **{kind: store.records(kind) for kind in kinds}}


def backup_of(store: MemoryStore, folder: Path) -> Backup:
    write_backup(Snapshot(store), folder, clock=lambda: NOW)
    return Backup(folder)


def restored(backup: Backup, **options: Any) -> MemoryStore:
    target = MemoryStore()
    restore(backup, target, clock=lambda: NOW, **options)
    return target


def test_a_backup_brings_everything_back(tmp_path: Path) -> None:
    source = gallery_of(MemoryStore()).store
    backup = backup_of(source, tmp_path / "backup")
    target = restored(backup)
    assert everything(target) == everything(source)
    gallery = Gallery(target, clock=lambda: NOW)
    assert gallery.verify_audit().problems == ()
    assert gallery.identity("p2").name == "Ann Alpha"
    gallery.undo(max(target.records(OPERATIONS)))
    assert gallery.item(item_id("crop3")).identity == "p3"


def test_its_files_are_plain_parquet_with_the_hashes_of_the_manifest(tmp_path: Path) -> None:
    source = gallery_of(MemoryStore()).store
    backup_of(source, tmp_path)
    items = pq.read_table(tmp_path / "items.parquet").to_pylist()
    assert {row["id"]: row["thumbnail"] for row in items} == {
        item_id(f"crop{number}"): noise(f"crop{number}") for number in range(5)
    }
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["items"] == 5
    assert manifest["model"] == ["toy", "a" * 64, DIM]
    assert manifest["created"] == NOW
    assert sorted(manifest["files"]) == sorted(path.name for path in tmp_path.glob("*.parquet"))


def test_a_backup_of_version_1_is_read(tmp_path: Path) -> None:
    """Its items do not say whether they have a thumbnail."""
    gallery = gallery_of(MemoryStore())
    gallery.enrol([Item(key="plain")], np.ones((1, DIM)), model=MODEL)
    backup_of(gallery.store, tmp_path)
    rows = pq.read_table(tmp_path / "items.parquet")
    pq.write_table(rows.drop_columns(["has_thumbnail"]), tmp_path / "items.parquet")
    content = (tmp_path / "items.parquet").read_bytes()
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    manifest["version"] = 1
    manifest["files"]["items.parquet"] = {
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    target = restored(Backup(tmp_path))
    assert everything(target) == everything(gallery.store)
    assert [Gallery(target).item(item_id(key)).has_thumbnail for key in ("crop3", "plain")] == [True, False]


def test_an_empty_gallery_has_a_backup_too(tmp_path: Path) -> None:
    target = restored(backup_of(MemoryStore(), tmp_path / "backup"))
    assert Gallery(target).state().items == 0


def test_an_interrupted_or_damaged_backup_is_refused(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    backup_of(gallery_of(MemoryStore()).store, whole)

    def damaged(name: str) -> Path:
        return Path(shutil.copytree(whole, tmp_path / name))

    (damaged("interrupted") / "manifest.json").unlink()
    with pytest.raises(InputError, match="the backup was interrupted"):
        Backup(tmp_path / "interrupted")
    items = damaged("flipped") / "items.parquet"
    content = bytearray(items.read_bytes())
    content[len(content) // 2] ^= 1
    items.write_bytes(content)
    with pytest.raises(InputError, match=r"items.parquet: not what was written"):
        Backup(tmp_path / "flipped")
    (damaged("incomplete") / "audit.parquet").unlink()
    with pytest.raises(InputError, match=r"audit.parquet: missing"):
        Backup(tmp_path / "incomplete")
    manifest = damaged("later") / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"version": 3', '"version": 4'))
    with pytest.raises(InputError, match=r"version.*later version of omnireid"):
        Backup(tmp_path / "later")
    with pytest.raises(InputError, match="not a gallery's backup"):
        Backup(tmp_path)
    with pytest.raises(InputError, match="expected a new or an empty folder"):
        write_backup(Snapshot(MemoryStore()), whole)


class Interrupted(Snapshot):
    """Lets somebody in before the items are copied, or after."""

    def __init__(self, store: MemoryStore, meanwhile: Callable[[], object], *, at_end: bool = False) -> None:
        super().__init__(store)
        self._meanwhile, self._at_end = meanwhile, at_end

    def rows(self) -> Iterator[pa.Table]:
        if not self._at_end:
            self._meanwhile()
        yield from super().rows()
        if self._at_end:
            self._meanwhile()


def test_it_shows_the_moment_of_its_beginning_while_writers_go_on(tmp_path: Path) -> None:
    store = gallery_of(MemoryStore()).store
    before = everything(store)

    def meanwhile() -> None:
        gallery = Gallery(store, clock=lambda: NOW)
        gallery.enrol([crop(9)], np.ones((1, DIM)), model=MODEL)
        gallery.assign([item_id("crop4")], "p8")
        gallery.name_identity("p4", "Bob Beta")

    write_backup(Interrupted(store, meanwhile), tmp_path / "backup")
    target = everything(restored(Backup(tmp_path / "backup")))
    for what in ("rows", IDENTITIES, OPERATIONS):
        assert target[what] == before[what], what


@pytest.mark.parametrize("at_end", [False, True])
def test_who_is_forgotten_while_it_is_made_is_not_restored(tmp_path: Path, at_end: bool) -> None:
    gallery = gallery_of(MemoryStore())
    source = Interrupted(gallery.store, lambda: gallery.forget("p1"), at_end=at_end)
    write_backup(source, tmp_path / "backup")
    check_ann_is_gone(restored(Backup(tmp_path / "backup")))


@pytest.mark.parametrize("at_end", [False, True])
def test_who_is_forgotten_while_a_copy_is_made_is_not_in_the_copy(at_end: bool) -> None:
    gallery, target = gallery_of(MemoryStore()), MemoryStore()
    source = Interrupted(gallery.store, lambda: gallery.forget("p1"), at_end=at_end)
    assert restore(source, target, clock=lambda: NOW).items == 3
    check_ann_is_gone(target)


def test_a_forgotten_name_without_items_does_not_come_back_either(tmp_path: Path) -> None:
    gallery = gallery_of(MemoryStore())
    gallery.name_identity("p0", "Zoe Zeta")
    gallery.assign([item_id("crop0")], "p4")
    backup = backup_of(gallery.store, tmp_path / "backup")
    gallery.forget("p0")
    write_tombstones(gallery.store, tmp_path / "forgotten.json")
    target = restored(backup, tombstones=read_tombstones(tmp_path / "forgotten.json"))
    assert "Zoe" not in held(target, "audit-chain")
    assert len(everything(target)["rows"]) == 5


def check_ann_is_gone(target: MemoryStore) -> None:
    assert ids_in(target, COLLECTION) == {item_id(f"crop{number}") for number in (0, 3, 4)}
    text = held(target, "audit-chain", "tombstone")
    assert "Ann" not in text
    assert "'p1'" not in text
    assert '"p1"' not in text
    assert item_id("crop1") not in text


@pytest.mark.parametrize("key", ["another", "crop1"])
def test_who_comes_back_after_forgetting_is_in_every_backup_and_copy(tmp_path: Path, key: str) -> None:
    """With the same identity; with another picture, or the same one."""
    clock = Clock(NOW)
    gallery = gallery_of(MemoryStore(), clock=clock)
    old = backup_of(gallery.store, tmp_path / "old")
    clock.now += 10
    gallery.forget("p1")
    clock.now += 10
    gallery.enrol([Item(key=key, identity="p1", thumbnail=noise("new"))], np.ones((1, DIM)), model=MODEL)
    gallery.assign([item_id("crop0")], "p2")
    gallery.name_identity("p1", "Ann Again")
    write_tombstones(gallery.store, tmp_path / "forgotten.json")
    forgotten = read_tombstones(tmp_path / "forgotten.json")
    whole, copied = everything(gallery.store), MemoryStore()
    assert {row["identity"] for row in whole["rows"]} == {"p1", "p2", "p4"}
    assert restore(Snapshot(gallery.store), copied, clock=clock).forgotten == 0
    backup = backup_of(gallery.store, tmp_path / "new")
    for store in (copied, restored(backup), restored(backup, tombstones=forgotten)):
        assert everything(store) == whole
        assert Gallery(store, clock=clock).identity("p1").name == "Ann Again"
    # Again from a copy, and from what was restored with the list: nobody gets lost on a later way.
    assert everything(restored(backup_of(copied, tmp_path / "third"), tombstones=forgotten)) == whole
    check_ann_is_gone(restored(old, tombstones=forgotten))


def test_a_clock_that_was_set_back_loses_nobody_and_brings_nobody_back(tmp_path: Path) -> None:
    clock = Clock(NOW)
    gallery = gallery_of(MemoryStore(), clock=clock)
    backup = backup_of(gallery.store, tmp_path / "old")
    clock.now -= 500
    gallery.forget("p1")
    clock.now -= 400
    gallery.enrol([Item(key="again", identity="p1")], np.ones((1, DIM)), model=MODEL)
    write_tombstones(gallery.store, tmp_path / "forgotten.json")
    forgotten = read_tombstones(tmp_path / "forgotten.json")
    check_ann_is_gone(restored(backup, tombstones=forgotten))
    new = backup_of(gallery.store, tmp_path / "new")
    assert item_id("again") in ids_in(restored(new, tombstones=forgotten), COLLECTION)


def test_what_was_enrolled_after_a_forgetting_elsewhere_stays_with_a_name_given_since(tmp_path: Path) -> None:
    """Two galleries of one origin: one forgets somebody, who is enrolled in the other later."""
    clock = Clock(NOW)
    gallery = gallery_of(MemoryStore(), clock=clock)
    other = Gallery(restored(backup_of(gallery.store, tmp_path / "old")), clock=clock)
    clock.now += 10
    gallery.forget("p1")
    gallery.forget("p4")
    write_tombstones(gallery.store, tmp_path / "forgotten.json")
    clock.now += 10
    items = [Item(key="again", identity="p1"), Item(key="fourth", identity="p4")]
    other.enrol(items, np.ones((2, DIM)), model=MODEL)
    other.name_identity("p4", "Bob Beta")
    backup = backup_of(other.store, tmp_path / "new")
    target = restored(backup, tombstones=read_tombstones(tmp_path / "forgotten.json"))
    assert ids_in(target, COLLECTION) == {item_id(key) for key in ("crop0", "again", "fourth")}
    assert Gallery(target).identity("p4").name == "Bob Beta"
    assert "Ann" not in held(target, "audit-chain")


def test_who_was_merged_into_somebody_forgotten_is_shown_alone(tmp_path: Path) -> None:
    gallery = gallery_of(MemoryStore())
    backup = backup_of(gallery.store, tmp_path / "backup")
    gallery.undo(sorted(gallery.store.records(OPERATIONS))[1])
    gallery.forget("p1")
    write_tombstones(gallery.store, tmp_path / "forgotten.json")
    target = restored(backup, tombstones=read_tombstones(tmp_path / "forgotten.json"))
    assert [one.id for one in Gallery(target).identities()] == ["p0", "p2", "p4"]


def test_what_expires_and_is_enrolled_again_while_it_is_made_is_not_in_it(tmp_path: Path) -> None:
    """A backup shows its moment: neither the old item nor the new one under the old identity."""
    clock = Clock(NOW)
    gallery = gallery_of(MemoryStore(), clock=clock)

    def meanwhile() -> None:
        gallery.set_retention(NOW - 350)
        gallery.run_retention()
        clock.now += 10
        gallery.enrol([Item(key="crop0", camera="gate")], np.ones((1, DIM)), model=MODEL)

    write_backup(Interrupted(gallery.store, meanwhile), tmp_path / "backup")
    target = restored(Backup(tmp_path / "backup"))
    assert ids_in(target, COLLECTION) == {item_id("crop4")}


def test_who_is_forgotten_before_an_interrupted_copy_is_begun_again_is_not_in_it() -> None:
    def act(store: MemoryStore) -> None:
        restore(Snapshot(gallery_of(MemoryStore()).store), store, clock=lambda: NOW)

    forgotten = gallery_of(MemoryStore())
    forgotten.forget("p1")
    for store in stopped_after_each_write(MemoryStore, act):
        if store.records("restore"):
            restore(Snapshot(forgotten.store), store, clock=lambda: NOW)
            check_ann_is_gone(store)


def as_version_2(folder: Path) -> Backup:
    """As earlier versions wrote it: tombstones have no time, and nothing says when they came."""
    records = pq.read_table(folder / "records.parquet")
    contents = [json.loads(one) for one in records["record"].to_pylist()]
    for content in contents:
        if "hashes" in content:
            del content["time"]
    column = pa.array(map(json.dumps, contents), pa.string())
    pq.write_table(records.set_column(2, "record", column), folder / "records.parquet")
    content = (folder / "records.parquet").read_bytes()
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["late_tombstones"]
    manifest["version"] = 2
    manifest["files"]["records.parquet"] = {
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return Backup(folder)


@pytest.mark.parametrize("late", [False, True])
def test_a_backup_of_version_2_loses_nobody_unless_somebody_was_forgotten_meanwhile(
    tmp_path: Path, late: bool
) -> None:
    gallery = gallery_of(MemoryStore())
    gallery.forget("p1")
    gallery.enrol([Item(key="again", identity="p1")], np.ones((1, DIM)), model=MODEL)
    gallery.tell("backup", count=0)
    source = Interrupted(gallery.store, lambda: gallery.forget("p4") if late else None, at_end=True)
    write_backup(source, tmp_path / "backup")
    target = restored(as_version_2(tmp_path / "backup"))
    kept = {"crop0"} if late else {"crop0", "crop3", "crop4", "again"}
    assert ids_in(target, COLLECTION) == {item_id(key) for key in kept}


def test_a_gallery_and_a_list_of_an_earlier_version_keep_the_forgotten_away(tmp_path: Path) -> None:
    """Their tombstones have no time: whom they name is taken to have been enrolled before."""
    gallery = gallery_of(MemoryStore())
    backup = backup_of(gallery.store, tmp_path / "backup")
    gallery.forget("p1")
    records = gallery.store.records("tombstone").values()
    tombstones = [{name: record[name] for name in ("salt", "hashes")} for record in records]
    text = json.dumps({"format": "omnireid-gallery-forgotten", "tombstones": tombstones})
    (tmp_path / "forgotten.json").write_text(text)
    check_ann_is_gone(restored(backup, tombstones=read_tombstones(tmp_path / "forgotten.json")))
    target = MemoryStore()
    target.put_records("tombstone", {"old": tombstones[0]})
    restore(backup, target, clock=lambda: NOW)
    check_ann_is_gone(target)


def test_a_forgetting_that_a_crash_has_left_is_done_before_anybody_is_copied_or_enrolled() -> None:
    """Else the copy would hold who is forgotten, and whoever comes back would be deleted later."""

    open_before: list[Gallery] = []

    def make() -> MemoryStore:
        open_before.append(gallery_of(MemoryStore()))
        return open_before[-1].store

    num_left = 0
    for store in stopped_after_each_write(make, lambda store: Gallery(store).forget("p1")):
        if not store.records("operation-journal"):
            continue
        num_left += 1
        copied = MemoryStore()
        if num_left % 2:
            open_before[-1].enrol([Item(key="again", identity="p1")], np.ones((1, DIM)), model=MODEL)
            restore(Snapshot(store), copied, clock=lambda: NOW)
            kept = {item_id(key) for key in ("crop0", "crop3", "crop4", "again")}
            assert ids_in(copied, COLLECTION) == ids_in(Gallery(store).store, COLLECTION) == kept
        else:
            restore(Snapshot(store), copied, clock=lambda: NOW)
            check_ann_is_gone(copied)
    assert num_left > 5


def test_an_old_backup_does_not_bring_back_who_was_forgotten_since(tmp_path: Path) -> None:
    gallery = gallery_of(MemoryStore())
    backup = backup_of(gallery.store, tmp_path / "backup")
    gallery.forget("p1")
    assert write_tombstones(gallery.store, tmp_path / "forgotten.json") == 4
    target = MemoryStore()
    found = restore(
        backup, target, tombstones=read_tombstones(tmp_path / "forgotten.json"), clock=lambda: NOW
    )
    assert (found.items, found.forgotten, found.expired) == (3, 2, 0)
    check_ann_is_gone(target)
    assert "Ann" not in (tmp_path / "forgotten.json").read_text()
    # The gallery's own tombstones do it too, once the rest of its items is gone.
    gallery.forget(items=[item_id(f"crop{number}") for number in (0, 3, 4)])
    assert restore(backup, gallery.store, clock=lambda: NOW).items == 0


def test_an_identity_whose_items_were_forgotten_one_by_one_loses_its_name(tmp_path: Path) -> None:
    gallery = gallery_of(MemoryStore())
    backup = backup_of(gallery.store, tmp_path / "backup")
    gallery.forget(items=[item_id("crop1"), item_id("crop2")])
    write_tombstones(gallery.store, tmp_path / "forgotten.json")
    target = restored(backup, tombstones=read_tombstones(tmp_path / "forgotten.json"))
    check_ann_is_gone(target)


def test_what_has_expired_is_not_restored(tmp_path: Path) -> None:
    gallery = gallery_of(MemoryStore())
    gallery.set_retention(750, {"hall": None})
    backup = backup_of(gallery.store, tmp_path / "backup")
    target = MemoryStore()
    found = restore(backup, target, clock=lambda: NOW)
    # Of the door's crops 1 and 3 (at 100 and 300), the first is older than 250.
    assert (found.items, found.forgotten, found.expired) == (4, 0, 1)
    assert Gallery(target).retention() == gallery.retention()


def test_whatever_write_was_the_last_restoring_again_makes_it_whole(tmp_path: Path) -> None:
    gallery = gallery_of(MemoryStore())
    gallery.forget(items=[item_id("crop0")])
    backup = backup_of(gallery.store, tmp_path / "backup")
    whole = everything(restored(backup))
    assert len(whole["rows"]) == 4

    def act(store: MemoryStore) -> None:
        restore(backup, store, clock=lambda: NOW)

    for number, store in enumerate(stopped_after_each_write(MemoryStore, act)):
        if number == 0:
            assert everything(store) == everything(MemoryStore())
            act(store)
        elif store.records("restore"):
            with pytest.raises(StorageError, match="restore again"):
                check_whole(store)
            act(store)
        check_whole(store)
        assert everything(store) == whole


def test_a_gallery_in_use_is_not_overwritten(tmp_path: Path) -> None:
    gallery = gallery_of(MemoryStore())
    backup = backup_of(gallery.store, tmp_path / "backup")
    with pytest.raises(InputError, match="holds items; restore into an empty gallery"):
        restore(backup, gallery.store)
    assert len(everything(gallery.store)["rows"]) == 5


def test_a_target_with_an_audit_keeps_its_own(tmp_path: Path) -> None:
    backup = backup_of(gallery_of(MemoryStore()).store, tmp_path / "backup")
    target = gallery_of(MemoryStore(), 4)
    target.forget(items=[item_id(f"crop{number}") for number in range(4)])
    before = list(target.store.audit())
    assert not restore(backup, target.store, clock=lambda: NOW).has_audit
    assert list(target.store.audit()) == before
    assert target.verify_audit().problems == ()


@pytest.mark.parametrize("precision", ["float32", "float16", "int8"])
def test_from_store_to_store_without_a_folder_in_between(tmp_path: Path, precision: StoredPrecision) -> None:
    store = MemoryStore()
    gallery = Gallery(store, precision=precision, clock=lambda: NOW)
    embeddings = np.random.default_rng(1).standard_normal((300, DIM))
    gallery.enrol([crop(number) for number in range(300)], embeddings, model=MODEL)
    there = open_store(str(tmp_path / "lance"))
    restore(Snapshot(store), there)
    back = MemoryStore()
    restore(Snapshot(there), back)
    for one in (there, back):
        assert one.collections()[f"items_{'a' * 16}"].precision == precision
    first, second, third = (everything(one)["rows"] for one in (store, there, back))
    directions = [[np.array(row.pop("embedding")) for row in rows] for rows in (first, second, third)]
    assert first == second == third
    for other in directions[1:]:
        # Rounding once more changes nothing but the length of an embedding.
        for one, two in zip(directions[0], other, strict=True):
            assert one @ two / np.sqrt((one @ one) * (two @ two)) == pytest.approx(1, abs=1e-6)
    there.close()

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
from omnireid.core.errors import InputError, StorageError
from omnireid.gallery import Gallery, Item, ModelRef
from omnireid.gallery.audit import CHAINS
from omnireid.gallery.backup import Backup, Snapshot, write_backup
from omnireid.gallery.generations import Generations
from omnireid.gallery.identities import IDENTITIES, OPERATIONS
from omnireid.gallery.items import item_id
from omnireid.gallery.journal import check_whole
from omnireid.gallery.opening import open_store
from omnireid.gallery.restoring import read_tombstones, restore, write_tombstones
from omnireid.gallery.store import COLUMNS, Precision

MODEL = ModelRef("toy", "a" * 64, DIM)
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


def gallery_of(store: MemoryStore, count: int = 5) -> Gallery:
    """Ann is p1 and p2. Operations: a name, a merge, an assignment."""
    gallery = Gallery(store, clock=lambda: NOW)
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
    manifest.write_text(manifest.read_text().replace('"version": 2', '"version": 3'))
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
    assert ids_in(target, f"items_{'a' * 16}") == {item_id(f"crop{number}") for number in (0, 3, 4)}
    text = held(target, "audit-chain", "tombstone")
    assert "Ann" not in text
    assert "'p1'" not in text
    assert '"p1"' not in text
    assert item_id("crop1") not in text


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
def test_from_store_to_store_without_a_folder_in_between(tmp_path: Path, precision: Precision) -> None:
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

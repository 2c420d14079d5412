"""Galleries of format 1, whose items did not say whether they have a thumbnail; and LanceDB's own format."""

from __future__ import annotations

import struct
from pathlib import Path

import lancedb
import pyarrow as pa
import pytest

from gallery.lance_rows import DIM, item_table
from omnireid.core.errors import InputError
from omnireid.gallery.items import Filter
from omnireid.gallery.lance import connection
from omnireid.gallery.lance.store import LanceStore
from omnireid.gallery.milvus.rows import collection_info
from omnireid.gallery.store import COLUMNS, CollectionInfo

FORMAT = b"omnireid_gallery_format"


def some_pictured(count: int, seed: int = 0) -> pa.Table:
    """Every third item has no thumbnail."""
    rows = item_table(count, seed=seed)
    pictures = [None if row % 3 == 0 else one for row, one in enumerate(rows["thumbnail"].to_pylist())]
    marks = pa.array([row % 3 != 0 for row in range(count)])
    rows = rows.set_column(rows.column_names.index("thumbnail"), "thumbnail", pa.array(pictures, pa.binary()))
    place = rows.column_names.index("has_thumbnail")
    return rows.set_column(place, rows.schema.field(place).with_nullable(False), marks)


def format_1(folder: Path) -> list[dict[str, object]]:
    """A gallery as the first version left it, with two collections; its 29 items of the first, by id."""
    store = LanceStore(str(folder))
    for name in ("a", "b"):
        store.create_collection(CollectionInfo(name, DIM, "float32"))
        store.add(name, some_pictured(20))
        store.add(name, some_pictured(10, seed=1))
    rows = store.get("a", item_table(20)["id"].to_pylist() + item_table(10, seed=1)["id"].to_pylist()[1:])
    store.delete("a", Filter(ids=frozenset(item_table(1, seed=1)["id"].to_pylist())))
    store.put_records("k", {"one": {"n": 1}})
    database = lancedb.connect(folder)
    for path in folder.glob("[ab]-*.lance"):
        database.open_table(path.stem).drop_columns(["has_thumbnail"])
    records = database.open_table("records").to_arrow().replace_schema_metadata({FORMAT: b"1"})
    database.create_table("records", data=records, mode="overwrite")
    return rows.sort_by("id").to_pylist()


def found(store: LanceStore) -> list[dict[str, object]]:
    return pa.concat_tables(store.scan("a", columns=COLUMNS)).sort_by("id").to_pylist()


def written(folder: Path) -> bytes:
    return lancedb.connect(folder).open_table("records").schema.metadata[FORMAT]


def check(store: LanceStore, rows: list[dict[str, object]]) -> None:
    assert found(store) == rows
    assert store.records("k") == {"one": {"n": 1}}
    assert store.add("a", some_pictured(5, seed=2)).all()
    store.set_identity("a", [str(rows[0]["id"])], "p")
    store.purge("a")
    again = LanceStore(store.uri)
    pictures = pa.concat_tables(again.scan("a", columns=("has_thumbnail", "thumbnail"))).to_pylist()
    assert len(pictures) == 34
    assert all(one["has_thumbnail"] == (one["thumbnail"] is not None) for one in pictures)


def test_format_1_is_brought_forward_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = format_1(tmp_path)
    assert sum(bool(row["has_thumbnail"]) for row in rows) == 19
    assert written(tmp_path) == b"1"
    LanceStore(str(tmp_path))
    assert written(tmp_path) == b"2"
    monkeypatch.delattr(connection.Connection, "bring_forward")
    check(LanceStore(str(tmp_path)), rows)


def test_a_gallery_that_was_brought_forward_by_half_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = format_1(tmp_path)
    bring_forward = connection.Connection.bring_forward

    class StoppedError(BaseException):
        pass

    def first_only(self: connection.Connection, collections: set[str]) -> None:
        def names() -> object:
            yield sorted(collections)[0]
            raise StoppedError

        bring_forward(self, names())  # type: ignore[arg-type]

    with monkeypatch.context() as stopping:
        stopping.setattr(connection.Connection, "bring_forward", first_only)
        with pytest.raises(StoppedError):
            LanceStore(str(tmp_path))
    assert written(tmp_path) == b"1"
    check(LanceStore(str(tmp_path)), rows)


def test_another_process_may_have_brought_it_forward_meanwhile(tmp_path: Path) -> None:
    rows = format_1(tmp_path)
    slow = connection.Connection(str(tmp_path), tmp_path, None)
    assert slow.is_older
    store = LanceStore(str(tmp_path))
    slow.bring_forward(path.stem for path in tmp_path.glob("[ab]-*.lance"))
    check(store, rows)


def test_a_milvus_collection_of_an_earlier_version_is_refused_with_the_next_step() -> None:
    description = {"collection_name": "omnireid__c__a", "fields": [{"name": "id"}, {"name": "embedding"}]}
    with pytest.raises(InputError, match="made by an earlier version of omnireid; back the gallery up with"):
        collection_info("a", description)


def test_files_keep_the_version_that_gives_single_rows_quickly(tmp_path: Path) -> None:
    """The end of a file is its version, two numbers of two bytes, and LANC."""

    def versions() -> set[tuple[int, ...]]:
        ends = [path.read_bytes()[-8:] for path in tmp_path.glob("c-*.lance/data/*.lance")]
        assert all(end.endswith(b"LANC") for end in ends)
        return {struct.unpack("<HH", end[:4]) for end in ends}

    store = LanceStore(str(tmp_path))
    store.create_collection(CollectionInfo("c", DIM, "float32"))
    for seed in range(3):
        store.add("c", item_table(20, seed=seed))
    assert versions() == {(2, 1)}
    store.delete("c", Filter(ids=frozenset([item_table(1)["id"][0].as_py()])))
    store.purge("c")
    assert versions() == {(2, 1)}

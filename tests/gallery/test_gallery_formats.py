"""Galleries of earlier versions, whose items lack columns, of format 1 too; and LanceDB's own format."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path
from types import SimpleNamespace

import lancedb
import numpy as np
import pyarrow as pa
import pytest

from gallery.lance_rows import DIM, item_table
from gallery.milvus_server import MilvusServer
from omnireid.core.card import ModelRef
from omnireid.gallery.gallery import Gallery
from omnireid.gallery.items import Box, Filter, Item
from omnireid.gallery.lance import connection
from omnireid.gallery.lance import store as lance_store
from omnireid.gallery.lance.store import LanceStore
from omnireid.gallery.milvus import rows as milvus_rows
from omnireid.gallery.milvus.store import MilvusStore
from omnireid.gallery.milvus.tables import Table, Tables
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


OLDER = ("has_thumbnail", "end_time", "quality", "source", "box", "tracklet")
ABSENT = {"end_time": None, "quality": 1.0, "source": "", "box": None, "tracklet": None}


def older(folder: Path) -> list[dict[str, object]]:
    """A gallery of a version whose items lacked some columns; what its items are now, by id."""
    store = LanceStore(str(folder))
    store.create_collection(CollectionInfo("a", DIM, "float32"))
    store.add("a", some_pictured(20))
    rows = found(store)
    database = lancedb.connect(folder)
    for path in folder.glob("a-*.lance"):
        database.open_table(path.stem).drop_columns(list(OLDER))
    return [{**row, **ABSENT} for row in rows]


@pytest.mark.parametrize("is_writable", [True, False])
def test_a_gallery_that_was_written_before_opens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_writable: bool
) -> None:
    """Five made-up items of the version that knew no `end_time`, with tracklets, a name and four pictures."""
    with zipfile.ZipFile(Path(__file__).with_name("gallery_before_end_time.zip")) as before:
        before.extractall(tmp_path / "gallery")
    if not is_writable:
        monkeypatch.setattr(lance_store, "why_read_only", lambda lock: "a read-only disk")
    rows = np.random.default_rng(14).standard_normal((5, 8)).astype(np.float32)
    model = ModelRef("toy", "ab" * 32, 8)
    with Gallery.open(str(tmp_path / "gallery")) as gallery:
        items = sorted(gallery.items(), key=lambda item: item.time or 0.0)
        assert [
            (item.camera, item.time, item.identity, item.tracklet, item.source, item.attributes)
            for item in items
        ] == [
            (f"cam{n % 2}", 1.7e9 + 30 * n, f"p{n // 3}", f"t{n // 2}", f"film.mp4#{n}", {"bag": n % 2 == 0})
            for n in range(5)
        ]
        assert [(item.box, item.end_time) for item in items] == [(Box(n, 2, 30, 60), None) for n in range(5)]
        np.testing.assert_allclose(
            [item.quality for item in items], [0.5 + n / 10 for n in range(5)], rtol=1e-6
        )
        assert [item.has_thumbnail for item in items] == [True] * 4 + [False]
        found = gallery.search(rows[3], model=model)
        assert (found.candidates[0].item.id, found.groups[1].name) == (items[3].id, "Ada")
        assert gallery.search_tracklet(rows[:2], model=model).candidates[0].item.tracklet == "t0"
        assert gallery.timeline("p0").name == "Ada"
        if is_writable:
            new = Item(camera="cam0", time=1.8e9, end_time=1.8e9 + 5, identity="p1", key="new")
            (name,) = gallery.enrol([new], rows[:1] + 1, model=model).ids
            assert gallery.item(name).end_time == gallery.identity("p1").last_seen == 1.8e9 + 5
            assert gallery.forget("p0").items == 3


def test_columns_that_are_missing_are_added_with_their_absent_values(tmp_path: Path) -> None:
    rows = older(tmp_path)
    store = LanceStore(str(tmp_path))
    assert found(store) == rows
    query = np.ones(DIM, np.float32) / np.sqrt(np.float32(DIM))
    assert store.search("a", query, k=30)["quality"].to_pylist() == [1.0] * 20
    assert store.add("a", some_pictured(5, seed=2)).all()
    (table,) = tmp_path.glob("a-*.lance")
    assert set(COLUMNS) < set(lancedb.connect(tmp_path).open_table(table.stem).schema.names)


def test_where_nothing_can_be_written_absent_values_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = older(tmp_path)
    monkeypatch.setattr(lance_store, "why_read_only", lambda lock: "a read-only disk")
    store = LanceStore(str(tmp_path))
    assert found(store) == rows
    ids = [str(row["id"]) for row in rows]
    assert store.get("a", ids, columns=("tracklet", "id")).to_pylist() == [
        {"tracklet": None, "id": name} for name in ids
    ]
    query = np.ones(DIM, np.float32) / np.sqrt(np.float32(DIM))
    for _ in range(2):
        best = store.search("a", query, k=3, columns=("quality", "has_thumbnail", "thumbnail"))
        assert best.column_names == ["quality", "has_thumbnail", "thumbnail", "score"]
        assert best["has_thumbnail"].to_pylist() == [one is not None for one in best["thumbnail"].to_pylist()]
        store.warm("a")
    (table,) = tmp_path.glob("a-*.lance")
    assert not set(OLDER) & set(lancedb.connect(tmp_path).open_table(table.stem).schema.names)


def test_a_milvus_collection_of_an_earlier_version_is_brought_forward(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("milvus_lite")
    server = MilvusServer(tmp_path).start()
    try:
        with monkeypatch.context() as before:
            # An earlier version: it knew fewer fields.
            known = {name: field for name, field in milvus_rows._FIELDS.items() if name not in OLDER}
            before.setattr(milvus_rows, "_FIELDS", known)
            store = MilvusStore(f"{server.uri}/older")
            store.create_collection(CollectionInfo("a", DIM, "float32"))
            store.add("a", some_pictured(20).drop_columns(list(OLDER)))
            store.close()
        store = MilvusStore(f"{server.uri}/older")
        expected = some_pictured(20).sort_by("id").select(COLUMNS).to_pylist()
        rows = pa.concat_tables(store.scan("a", columns=COLUMNS)).sort_by("id").to_pylist()
        assert rows == [{**row, **ABSENT} for row in expected]
        assert store.add("a", some_pictured(5, seed=2)).all()
        store.close()
    finally:
        server.kill()


def test_a_server_adds_fields_that_may_be_null_without_copying() -> None:
    """As Milvus 2.6 does; milvus-lite cannot, and the test above sees the copy."""
    pytest.importorskip("pymilvus")
    added: list[tuple[str, str, dict[str, object]]] = []

    class Client:
        def add_collection_field(self, alias: str, name: str, **kind: object) -> None:
            added.append((alias, name, kind))

    connection = SimpleNamespace(
        address=SimpleNamespace(timeout_s=5.0), run=lambda doing, action: action(Client())
    )
    end_time = milvus_rows.field_type(milvus_rows._FIELDS["end_time"])
    table = Table("older__c__a", lambda client: None, "embedding", "HNSW")
    Tables(connection).add_fields(table, {"end_time": end_time}, dict)  # type: ignore[arg-type]
    kind = {"data_type": end_time["datatype"], "nullable": True, "timeout": 5.0}
    assert added == [("older__c__a", "end_time", kind)]


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

"""The approximate index of the LanceDB store, against plain NumPy over all embeddings."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from gallery.lance_rows import DIM, item_table, unit_rows
from omnireid.gallery.items import Filter
from omnireid.gallery.lance import indexing, upkeep
from omnireid.gallery.lance.store import LanceStore
from omnireid.gallery.options import StoredPrecision
from omnireid.gallery.store import CollectionInfo

COUNT = 3000


@pytest.fixture(autouse=True)
def early_index(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexing, "FEWEST_ROWS", 1000)


def filled(folder: Path, precision: StoredPrecision = "float32") -> LanceStore:
    store = LanceStore(str(folder))
    store.create_collection(CollectionInfo("c", DIM, precision))
    store.add("c", item_table(COUNT))
    return store


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_it_finds_what_comparing_all_finds(tmp_path: Path, precision: StoredPrecision) -> None:
    store = filled(tmp_path / "gallery", precision)
    store.build_index("c")
    assert store.index_state("c").status == "ready"
    store.add("c", item_table(40, seed=1))
    assert (store.index_state("c").indexed, store.index_state("c").unindexed) == (COUNT, 40)
    rows = np.concatenate([unit_rows(COUNT, 0), unit_rows(40, 1)])
    ids = np.array([*item_table(COUNT)["id"].to_pylist(), *item_table(40, seed=1)["id"].to_pylist()])
    hits = 0
    # Of the first kind, of those that are not in the index, and of neither.
    for query in (*rows[:10], *rows[-10:], *unit_rows(10, 2)):
        expected = ids[np.argsort(-(rows @ query))[:10]]
        found = store.search("c", query, k=10)
        hits += len(set(expected) & set(found["id"].to_pylist()))
        cosines = dict(zip(ids, rows.astype(np.float64) @ query, strict=True))
        scores = found["score"].to_numpy()
        assert np.abs(scores - [cosines[name] for name in found["id"].to_pylist()]).max() < 1e-3
        assert (np.diff(scores) <= 0).all()
    assert hits >= 0.97 * 300


def test_its_recall_was_measured(tmp_path: Path) -> None:
    store = filled(tmp_path / "gallery")
    store.build_index("c")
    tuning = store._collection("c").tuning
    assert tuning is not None
    assert tuning.partitions == round(COUNT**0.5)
    assert 0.99 <= tuning.recall <= 1
    # Another handle searches the same way.
    assert LanceStore(store.uri)._collection("c").tuning == tuning


def test_new_items_are_taken_in_and_growth_trains_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = filled(tmp_path / "gallery")
    store.build_index("c")
    store.add("c", item_table(500, seed=1))
    store.build_index("c")
    assert (store.index_state("c").indexed, store.index_state("c").unindexed) == (COUNT + 500, 0)
    assert store._collection("c").tuning.rows == COUNT  # type: ignore[union-attr]
    monkeypatch.setattr(indexing, "_GROWTH", 1.1)
    store.build_index("c")
    assert store._collection("c").tuning.rows == COUNT + 500  # type: ignore[union-attr]


def test_filters_hold_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = filled(tmp_path / "gallery")
    store.add("c", item_table(2000, seed=1))
    store.build_index("c")
    query = unit_rows(2000, 1)[4]
    for few in (10_000, 10):  # compared one by one, and through the index
        monkeypatch.setattr("omnireid.gallery.lance.collection._FEW_BESIDE_INDEX", few)
        found = store.search(
            "c", query, k=10, where=Filter(cameras=frozenset({"seed 0"})), columns=("camera",)
        )
        best = np.sort(unit_rows(COUNT, 0) @ query)[::-1][:10]
        assert found["camera"].to_pylist() == ["seed 0"] * 10
        assert found["score"].to_numpy()[0] == pytest.approx(best[0], abs=1e-6)


def test_int8_is_searched_without_one(tmp_path: Path) -> None:
    store = filled(tmp_path / "gallery", "int8")
    store.build_index("c")
    assert store.index_state("c").status == "none"
    ids = np.array(item_table(COUNT)["id"].to_pylist())
    query = unit_rows(1, 3)[0]
    found = store.search("c", query, k=5)["id"].to_pylist()
    rows = unit_rows(COUNT, 0)
    stored = np.rint(rows * 127 / np.abs(rows).max(axis=1, keepdims=True)).astype(np.float64)
    cosines = stored @ query / np.linalg.norm(stored, axis=1)
    assert found == ids[np.argsort(-cosines)[:5]].tolist()


def test_writes_go_on_while_it_is_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = filled(tmp_path / "gallery")
    within, go_on = threading.Event(), threading.Event()
    build = upkeep.build_index

    def slow(*arguments: object) -> object:
        within.set()
        assert go_on.wait(20)
        return build(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(upkeep, "build_index", slow)
    builder = threading.Thread(target=store.build_index, args=("c",))
    builder.start()
    assert within.wait(20)
    assert store.index_state("c").status == "building"
    assert store.add("c", item_table(20, seed=1)).all()
    assert store.delete("c", Filter(cameras=frozenset({"seed 1"}))) == 20
    go_on.set()
    builder.join()
    assert store.index_state("c").status == "ready"


def test_writes_that_meet_the_build_win_and_nothing_is_lost(tmp_path: Path) -> None:
    store = filled(tmp_path / "gallery")
    ids = item_table(COUNT)["id"].to_pylist()
    done = threading.Event()
    errors: list[BaseException] = []

    def build() -> None:
        try:
            while not done.is_set():
                store.build_index("c")
        except BaseException as error:
            errors.append(error)

    builder = threading.Thread(target=build)
    builder.start()
    for seed in range(1, 9):
        store.add("c", item_table(60, seed=seed))
        store.set_identity("c", ids[seed * 20 : seed * 20 + 10], f"person {seed}")
        store.delete("c", Filter(ids=frozenset(ids[seed * 20 + 10 : seed * 20 + 12])))
    done.set()
    builder.join()
    assert errors == []
    assert store.count("c") == COUNT + 8 * 60 - 8 * 2
    assert store.count("c", Filter(identities=frozenset(f"person {seed}" for seed in range(1, 9)))) == 80

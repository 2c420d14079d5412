"""Codes in memory while a table changes: they find what plain NumPy finds in the rows that are there."""

from __future__ import annotations

import dataclasses
import threading
import weakref
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gallery.lance_rows import DIM, item_table, unit_rows
from omnireid.gallery.encoding import matrix
from omnireid.gallery.items import Filter
from omnireid.gallery.lance import resident
from omnireid.gallery.lance.collection import Collection
from omnireid.gallery.lance.resident import Resident
from omnireid.gallery.lance.store import LanceStore
from omnireid.gallery.options import StoredPrecision
from omnireid.gallery.store import CollectionInfo

COUNT = 600


class Watched:
    """A store with codes in memory, and a copy of its rows to compare with."""

    def __init__(self, folder: Path, precision: StoredPrecision = "float32") -> None:
        self.store = LanceStore(str(folder))
        self.store.create_collection(CollectionInfo("c", DIM, precision))
        self.other = LanceStore(str(folder))
        self.queries = unit_rows(3, 99)

    @property
    def collection(self) -> Collection:
        return self.store._collection("c")

    @property
    def codes(self) -> Resident:
        found = self.collection.resident
        assert found is not None
        return found

    def coded(self) -> int:
        """Rows that there are codes of."""
        state = self.codes._state
        return -1 if state is None else len(state)

    def check(self, k: int = 10, where: Filter | None = None) -> None:
        """Ids and scores of exact searches, from codes alone."""
        where = where or Filter()
        nothing = item_table(0).select(["id", "embedding"])
        rows = pa.concat_tables([nothing, *self.other.scan("c", where=where, columns=("id", "embedding"))])
        ids, embeddings = np.array(rows["id"].to_pylist()), matrix(rows["embedding"]).astype(np.float64)
        for query in self.queries:
            cosines = embeddings @ query
            order = np.lexsort((ids, -cosines.astype(np.float32)))[:k]
            with pytest.MonkeyPatch.context() as patch:
                for way in ("_compared", "_scanned"):
                    patch.delattr(Collection, way)
                found = self.store.search("c", query, k=k, where=where, exact=True)
            assert found["id"].to_pylist() == ids[order].tolist()
            np.testing.assert_allclose(found["score"].to_numpy(), cosines[order], atol=1e-6)


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    made = Watched(tmp_path / "gallery")
    made.store.add("c", item_table(COUNT))
    made.store.warm("c")
    return made


def ids_of(seed: int, count: int) -> list[str]:
    return list(item_table(count, seed=seed)["id"].to_pylist())


def without_waiting(patch: pytest.MonkeyPatch) -> None:
    """Load in the search that finds codes missing, which itself is answered in the plain way."""

    class Now:
        def __init__(self, target: Any, **_: Any) -> None:
            self.start = target

    patch.setattr(resident, "threading", SimpleNamespace(Thread=Now))


def test_it_finds_what_numpy_finds(watched: Watched) -> None:
    assert watched.coded() == COUNT
    for k in (1, 10, COUNT, 1000):
        watched.check(k)


def test_new_rows_are_found_whoever_adds_them(watched: Watched) -> None:
    for seed in range(1, 6):
        watched.other.add("c", item_table(20, seed=seed))
        watched.check()
    assert watched.coded() == COUNT + 5 * 20


def test_an_empty_collection_fills(tmp_path: Path) -> None:
    watched = Watched(tmp_path / "gallery")
    watched.store.warm("c")
    assert watched.store.search("c", watched.queries[0], k=3).num_rows == 0
    watched.other.add("c", item_table(1))
    watched.check()
    watched.other.add("c", item_table(200, seed=1))
    watched.check()
    assert watched.coded() == 201


def test_deleted_rows_are_not_found_and_their_codes_go(watched: Watched) -> None:
    best = watched.store.search("c", watched.queries[0], k=5)["id"].to_pylist()
    # Fewer than the share at which codes are dropped, then more.
    for gone in (best, ids_of(0, 100)):
        watched.other.delete("c", Filter(ids=frozenset(gone)))
        watched.check()
    assert watched.coded() == watched.store.count("c") <= COUNT - 100
    watched.other.delete("c", Filter(cameras=frozenset({"seed 0"})))
    assert watched.store.search("c", watched.queries[0], k=3, exact=True).num_rows == 0
    assert watched.coded() == 0


def test_codes_of_many_deleted_rows_are_only_in_the_way(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resident, "_DEAD_SHARE", 1.0)
    best = watched.store.search("c", watched.queries[0], k=200)["id"].to_pylist()
    watched.other.delete("c", Filter(ids=frozenset(best)))
    watched.check()
    assert watched.coded() == COUNT


def test_no_code_of_a_forgotten_row_stays(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resident, "_DEAD_SHARE", 1.0)
    gone = ids_of(0, 3)
    watched.other.delete("c", Filter(ids=frozenset(gone[:2])))
    watched.check()
    assert watched.coded() == COUNT
    # Another process forgot: the next look at the gallery drops them. This one does so at once.
    watched.store.warm("c")
    assert watched.coded() == COUNT - 2
    watched.store.delete("c", Filter(ids=frozenset(gone[2:])))
    watched.store.purge("c")
    assert watched.coded() == COUNT - 3
    codes = np.concatenate([block.levels for block in watched.codes._state.blocks])  # type: ignore[union-attr]
    rows = unit_rows(COUNT, 0)[:3]
    forgotten = np.rint(rows * 127 / np.abs(rows).max(axis=1, keepdims=True)).astype(np.int8)
    assert not (codes[:, None] == forgotten).all(axis=2).any()


def test_rows_that_are_read_out_of_order_are_coded_in_order(watched: Watched) -> None:
    rows, order = unit_rows(40, 1), np.random.default_rng(0).permutation(40)
    coder = resident.Coder(np.zeros(DIM, np.float32))
    addresses = order.astype(np.uint64) + np.uint64(7 << 32)
    columns = {
        "_rowaddr": pa.array(addresses),
        "camera": pa.array([f"camera {row % 3}" for row in order]),
        "time": pa.array([None if row == 5 else float(row) for row in order]),
        "embedding": pa.FixedSizeListArray.from_arrays(pa.array(rows[order].reshape(-1)), DIM),
    }
    batch = pa.RecordBatch.from_pydict(columns)
    (block,) = watched.codes._blocks([batch.slice(0, 25), batch.slice(25), batch.slice(40)], coder)
    assert (block.addresses == np.sort(addresses)).all()
    levels = np.rint(rows * 127 / np.abs(rows).max(axis=1, keepdims=True))
    # A value midway between two levels may fall on either.
    assert (np.abs(block.levels - levels) <= 1).all()
    assert (block.levels == levels).mean() > 0.99
    assert (block.cameras[3:] == block.cameras[:-3]).all()
    assert len(set(block.cameras[:3])) == 3
    np.testing.assert_array_equal(block.times, [np.nan if row == 5 else row for row in range(40)])


@pytest.mark.parametrize(("size", "count"), [(10_000, 50), (100_000, 6144), (100_000, 99_999), (5, 7)])
def test_the_largest_are_all_there(size: int, count: int) -> None:
    rng = np.random.default_rng(size + count)
    for scores in (rng.standard_normal(size), np.sort(rng.standard_normal(size)), rng.integers(0, 3, size)):
        scores = scores.astype(np.float32)
        # Every 16th is small, so that it says nothing of the others.
        misleading = np.where(np.arange(size) % 16 == 0, -9, scores).astype(np.float32)
        for values in (scores, misleading):
            found = resident._largest(values, count)
            assert len(found) >= min(count, size)
            assert (np.diff(found) > 0).all()
            others = np.delete(values, found)
            assert others.max(initial=-np.inf) < values[found].min()


def test_rows_that_are_written_anew_are_found_once(watched: Watched) -> None:
    for number in range(0, 300, 100):
        watched.other.set_identity("c", ids_of(0, COUNT)[number : number + 100], "somebody")
        watched.check(COUNT)
    watched.other.delete("c", Filter(ids=frozenset(ids_of(0, 50))))
    watched.other.purge("c")
    watched.check(COUNT)
    assert watched.coded() == COUNT - 50


def test_merged_files_are_followed(watched: Watched) -> None:
    for seed in range(1, 20):
        watched.other.add("c", item_table(5, seed=seed))
    watched.check()
    watched.other.build_index("c")
    watched.check()
    assert watched.coded() == COUNT + 19 * 5


def test_filters_are_met_by_all_that_is_found(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = item_table(300, seed=1)
    times = pa.array([None if n % 3 else float(n) for n in range(300)])
    watched.store.add("c", rows.set_column(rows.column_names.index("time"), rows.schema.field("time"), times))
    cameras = frozenset({"seed 1", "unknown"})
    watched.check(where=Filter(ids=frozenset(ids_of(0, 3))))
    watched.check(where=Filter(cameras=cameras, has_identity=True))
    watched.check(where=Filter(cameras=cameras, identities=frozenset({"nobody"})))
    # The table is not asked for cameras and times.
    monkeypatch.delattr(resident, "condition")
    for where in (
        Filter(cameras=cameras),
        Filter(cameras=cameras, since=9, until=15),
        Filter(since=9),
        Filter(until=15),
        Filter(cameras=frozenset({"seed 0", "seed 1"}), since=12, until=13),
        Filter(cameras=frozenset({"unknown"})),
        Filter(cameras=frozenset()),
    ):
        watched.check(where=where)


def test_many_new_rows_are_coded_in_the_background(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    without_waiting(monkeypatch)
    monkeypatch.setattr(resident, "_MOST_NEW", 50)
    watched.other.add("c", item_table(51, seed=1))
    expected = watched.other.search("c", watched.queries[0], k=5, exact=True)["id"].to_pylist()
    assert watched.store.search("c", watched.queries[0], k=5, exact=True)["id"].to_pylist() == expected
    assert watched.coded() == COUNT + 51
    watched.check()


def test_codes_are_made_anew_where_the_centre_no_longer_fits(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_waiting(monkeypatch)
    monkeypatch.setattr(resident, "_FEWEST_TO_CENTRE", 100)
    before = watched.codes._state
    for seed in range(1, 5):
        watched.other.add("c", item_table(COUNT, seed=seed))
        watched.store.search("c", watched.queries[0], k=5)
    after = watched.codes._state
    assert before is not None
    assert after is not None
    assert (before.loaded, after.loaded) == (COUNT, 5 * COUNT)
    assert before.coder is not after.coder
    watched.check()


def test_what_does_not_fit_into_memory_is_searched_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = Watched(tmp_path / "gallery")
    watched.store.add("c", item_table(COUNT))
    monkeypatch.setattr(resident, "memory_bytes", lambda: 4 * COUNT * (DIM + DIM // 4 + 32) - 1)
    watched.store.warm("c")
    assert watched.coded() == -1
    assert watched.store.search("c", watched.queries[0], k=5).num_rows == 5
    monkeypatch.setattr(resident, "memory_bytes", lambda: 4 * COUNT * (DIM + DIM // 4 + 32))
    watched.store.warm("c")
    watched.check()
    # It grows beyond.
    watched.other.add("c", item_table(1, seed=1))
    assert watched.store.search("c", watched.queries[0], k=5).num_rows == 5
    assert watched.coded() == -1


def test_all_tables_share_the_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resident, "_residents", weakref.WeakSet())
    each = COUNT * (DIM + DIM // 4 + 32)
    monkeypatch.setattr(resident, "memory_bytes", lambda: 4 * (2 * each) - 1)
    first, second = Watched(tmp_path / "first"), Watched(tmp_path / "second")
    for one in (first, second):
        one.store.add("c", item_table(COUNT))
        one.store.warm("c")
    assert (first.coded(), second.coded()) == (COUNT, -1)
    # Room comes free.
    first.store.delete("c", Filter(since=10))
    first.store.warm("c")
    second.store.warm("c")
    assert (first.coded(), second.coded()) == (10, COUNT)


def test_rows_that_move_between_comparing_and_reading_are_found(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    best = watched.store.search("c", watched.queries[0], k=5)["id"].to_pylist()
    rows = Resident._rows
    moves = iter([best])

    def moved_first(self: Resident, *asked: Any) -> pa.Table:
        for ids in moves:
            watched.other.set_identity("c", ids, "moved")
        return rows(self, *asked)

    monkeypatch.setattr(Resident, "_rows", moved_first)
    watched.check(5)


def test_rows_that_move_before_the_condition_is_asked_are_found(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = Resident._places
    moves = iter([ids_of(0, COUNT)[5:8]])

    def moved_first(self: Resident, *asked: Any) -> Any:
        for ids in moves:
            watched.other.set_identity("c", ids, "moved")
        return places(self, *asked)

    monkeypatch.setattr(Resident, "_places", moved_first)
    watched.check(20, where=Filter(ids=frozenset(ids_of(0, COUNT)[:10])))


def test_rows_that_move_while_the_codes_of_others_are_dropped_are_found(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_dead = Resident._without_dead
    best = watched.store.search("c", watched.queries[0], k=5)["id"].to_pylist()
    moves = iter([best])

    def moved_first(self: Resident, *asked: Any) -> Any:
        for ids in moves:
            watched.other.set_identity("c", ids, "moved")
        return without_dead(self, *asked)

    monkeypatch.setattr(Resident, "_without_dead", moved_first)
    watched.other.delete("c", Filter(since=500))
    watched.check(5)


def test_fragments_with_lower_numbers_that_come_later_are_found(watched: Watched) -> None:
    for seed in (1, 2):
        watched.other.add("c", item_table(30, seed=seed))
        watched.check()
    state = watched.codes._state
    assert state is not None
    late = sorted(state.fragments)[-2]
    # As if these rows had been committed after those of a higher number.
    kept = tuple(block for block in state.blocks if not (block.addresses >> np.uint64(32) == late).any())
    assert len(kept) < len(state.blocks)
    watched.codes._state = dataclasses.replace(
        state, version=state.version - 1, fragments=state.fragments - {late}, blocks=kept
    )
    watched.check()
    assert watched.coded() == COUNT + 60


def test_many_small_writes_do_not_make_many_blocks(watched: Watched) -> None:
    for seed in range(1, 60):
        watched.other.add("c", item_table(1, seed=seed))
        watched.store.search("c", watched.queries[0], k=1)
    state = watched.codes._state
    assert state is not None
    assert len(state.blocks) <= resident._MOST_SMALL_BLOCKS
    assert len(state) == COUNT + 59
    watched.check(100)


@pytest.mark.parametrize("known", [set(), {0}, {1, 2, 7}, {2, 3}, {0, 1, 2, 3, 7, 8}])
def test_which_rows_are_of_other_fragments(known: set[int]) -> None:
    predicate = resident._outside(known)
    for number in range(10):
        for address in (number << 32, (number << 32) + 5, (number + 1 << 32) - 1):
            # The condition is of arithmetic that Python reads the same way.
            words = (predicate or "True").replace("AND", "and").replace("OR", "or")
            assert eval(words, {"_rowaddr": address}) == (number not in known)


def test_ties_are_all_looked_at(tmp_path: Path) -> None:
    watched = Watched(tmp_path / "gallery")
    rows = item_table(300)
    same = np.repeat(unit_rows(3, 5), 100, axis=0)
    embeddings = pa.FixedSizeListArray.from_arrays(pa.array(same.reshape(-1)), DIM)
    field = rows.schema.field("embedding")
    watched.store.add("c", rows.set_column(rows.column_names.index("embedding"), field, embeddings))
    watched.store.warm("c")
    watched.check(7)
    watched.check(150)


@pytest.mark.parametrize("precision", ["float16", "int8"])
def test_it_compares_what_is_stored(tmp_path: Path, precision: StoredPrecision) -> None:
    watched = Watched(tmp_path / "gallery", precision)
    watched.store.add("c", item_table(COUNT))
    watched.store.warm("c")
    watched.check()


def test_signs_rule_out_rows_of_an_indexed_gallery(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("omnireid.gallery.lance.indexing.FEWEST_ROWS", 1000)
    monkeypatch.setattr(resident, "_CANDIDATES", 100)
    watched = Watched(tmp_path / "gallery")
    watched.store.add("c", item_table(3000))
    watched.store.build_index("c")
    watched.store.warm("c")
    hits, looked_at = 0, []
    picked = resident._picked

    def counted(*asked: Any, **options: Any) -> Any:
        looked_at.append(len(asked[2]))
        return picked(*asked, **options)

    monkeypatch.setattr(resident, "_picked", counted)
    monkeypatch.delattr("omnireid.gallery.lance.indexing.nearest")
    ids, rows = np.array(ids_of(0, 3000)), unit_rows(3000, 0)
    for query in unit_rows(20, 98):
        found = watched.store.search("c", query, k=3)["id"].to_pylist()
        hits += len(set(found) & set(ids[np.argsort(-(rows @ query))[:3]]))
    assert looked_at == [100] * 20
    assert hits >= 55
    # An exact search rules out none, and one with a filter none that meets it.
    watched.check()
    watched.check(where=Filter(since=100, until=200))


def test_a_search_for_too_many_that_may_be_as_good_is_left_to_the_store(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resident, "_MOST_READ", 0)
    monkeypatch.setattr(resident.codes, "most_wrong", lambda errors, _: np.full_like(errors, 3))
    assert watched.codes.nearest(watched.queries[0], 3, Filter(), False, ["id", "embedding"]) is None
    assert watched.store.search("c", watched.queries[0], k=3, exact=True).num_rows == 3


def test_it_is_kept_up_while_others_write(watched: Watched) -> None:
    done = threading.Event()
    errors: list[BaseException] = []

    def write() -> None:
        try:
            for seed in range(1, 13):
                watched.other.add("c", item_table(10, seed=seed))
                watched.other.set_identity("c", ids_of(seed, 10)[:5], f"person {seed}")
                watched.other.delete("c", Filter(ids=frozenset(ids_of(seed, 10)[8:])))
                if seed % 4 == 0:
                    watched.other.build_index("c")
        except BaseException as error:
            errors.append(error)
        finally:
            done.set()

    # Ten rows that stay where a search looks: nothing hides them at any moment.
    steady = ids_of(0, COUNT)[:10]
    writer = threading.Thread(target=write)
    writer.start()
    searches = 0
    while not done.is_set():
        for row, name in enumerate(steady):
            found = watched.store.search("c", unit_rows(COUNT, 0)[row], k=1, exact=True)
            assert found["id"].to_pylist() == [name]
            searches += 1
    writer.join()
    assert errors == []
    assert searches >= 10
    watched.check(COUNT)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.sampled_from(["add", "name", "delete", "merge", "purge"]), st.integers(0, 5)), max_size=8
    )
)
def test_any_sequence_of_writes_is_followed(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]
) -> None:
    watched = Watched(tmp_path_factory.mktemp("codes") / "gallery")
    watched.store.add("c", item_table(60, seed=100))
    watched.store.warm("c")
    for kind, number in steps:
        some = ids_of(100, 60)[10 * number : 10 * number + 4] + ids_of(number, 15)[:7]
        if kind == "add":
            watched.other.add("c", item_table(15, seed=number))
        elif kind == "name":
            watched.other.set_identity("c", some, f"person {number}")
        elif kind == "delete":
            watched.other.delete("c", Filter(ids=frozenset(some)))
        elif kind == "merge":
            watched.other.build_index("c")
        else:
            watched.other.purge("c")
        watched.check(k=4 + 20 * number)

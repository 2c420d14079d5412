"""Every store against every sentence of `gallery/store.py`; the oracles are plain Python and float64."""

from __future__ import annotations

import itertools
import json
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gallery.memory_store import MemoryStore
from gallery.milvus_server import MilvusServer
from omnireid.core.errors import InputError
from omnireid.gallery.items import EVERYTHING, Filter, item_id, tags
from omnireid.gallery.lance.resident import Resident
from omnireid.gallery.lance.store import LanceStore
from omnireid.gallery.opening import open_store
from omnireid.gallery.options import STORED_PRECISIONS, StoredPrecision
from omnireid.gallery.store import COLUMNS, CollectionInfo, GalleryStore, item_schema

DIM = 16
ALL_COLUMNS = (*COLUMNS, "thumbnail", "embedding")

HOSTILE = (
    "'",
    '"',
    "\\",
    "''",
    '\\"',
    "\\'",
    "' OR '1'='1",
    '" or id != "',
    "x' OR true --",
    "%",
    "_",
    "{camera}",
    "$meta",
    "null",
    "NULL",
    "true",
    "`",
    "/* */",
    ";drop table",
    "a,b]",
    "[1]",
    "ä ß 東京 🚶",
    "\u2028\u0085",
    " lead and trail ",
    "\\n",
    "\\u0041",
    "=1",
    'x="1"',
    "-1",
    "😀" * 100,
)
"""Texts that break an expression that they are pasted into."""


@dataclass(frozen=True)
class Backend:
    """A kind of store.

    Attributes:
        open: another handle on the place of that name, made at the first call.
        precisions: that its server has.
    """

    name: str
    open: Callable[[str], GalleryStore]
    precisions: tuple[StoredPrecision, ...]


def _lance(folder: Path) -> Backend:
    return Backend("lance", lambda name: open_store(str(folder / name)), STORED_PRECISIONS)


class WarmStore(LanceStore):
    """Has codes in memory before it searches."""

    def search(self, collection: str, query: np.ndarray, **asked: Any) -> pa.Table:
        self.warm(collection)
        return super().search(collection, query, **asked)


@contextmanager
def _warm(folder: Path) -> Iterator[Backend]:
    answers: list[bool] = []
    nearest = Resident.nearest

    def watched(self: Resident, *asked: Any) -> pa.Table | None:
        found = nearest(self, *asked)
        answers.append(found is not None)
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Resident, "nearest", watched)
        yield Backend("lance", lambda name: WarmStore(str(folder / name)), STORED_PRECISIONS)
    # It may be that rows move in the midst of every attempt.
    assert sum(answers) >= 0.95 * len(answers)


def _memory() -> Backend:
    """The oracle of other tests keeps the contract too; it lives as long as the tests of this module."""
    places: dict[str, GalleryStore] = defaultdict(MemoryStore)
    return Backend("memory", lambda name: places[name], STORED_PRECISIONS)


def _milvus(server: MilvusServer) -> Backend:
    return Backend("milvus", lambda name: open_store(f"{server.uri}/{name}"), ("float32",))


@pytest.fixture(scope="module", params=["memory", "lance", "warm", "milvus"])
def backend(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    folder = tmp_path_factory.mktemp("gallery")
    if request.param == "lance":
        yield _lance(folder)
        return
    if request.param == "warm":
        with _warm(folder) as warm:
            yield warm
        return
    if request.param == "memory":
        yield _memory()
        return
    pytest.importorskip("milvus_lite")
    pytest.importorskip("pymilvus")
    server = MilvusServer(folder).start()
    yield _milvus(server)
    server.kill()


_numbers = itertools.count()


@pytest.fixture
def place(backend: Backend) -> Iterator[Callable[[], GalleryStore]]:
    """Opens handles on one new place."""
    name = f"gallery{next(_numbers)}"
    handles: list[GalleryStore] = []

    def open_again() -> GalleryStore:
        handles.append(backend.open(name))
        return handles[-1]

    yield open_again
    for handle in handles:
        handle.close()


@pytest.fixture
def store(place: Callable[[], GalleryStore]) -> GalleryStore:
    """An empty store with the collection "faces"."""
    opened = place()
    opened.create_collection(CollectionInfo("faces", DIM, "float32"))
    return opened


@pytest.fixture(scope="module")
def crowd(backend: Backend) -> Iterator[tuple[GalleryStore, list[dict[str, Any]]]]:
    """A filled store that tests only read, and its rows."""
    opened = backend.open("crowd")
    opened.create_collection(CollectionInfo("faces", DIM, "float32"))
    rows = make_rows(80, seed=5)
    opened.add("faces", as_table(rows))
    yield opened, rows
    opened.close()


CAMERAS = ("north", "south", "it's", "")
PEOPLE = (None, None, "p1", "p2", 'p"3')
TRACKLETS = (None, "t1", "t2\\")
ATTRIBUTES: tuple[dict[str, Any], ...] = (
    {},
    {"hat": True},
    {"hat": 1, "coat": "red"},
    {"hat": 1.0},
    {"hat": "True", "coat": 'r"ed'},
)


def make_rows(count: int, *, seed: int, dim: int = DIM, **same: Any) -> list[dict[str, Any]]:
    """Rows with all combinations of present and absent fields; `same` fixes columns."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(count):
        attributes = ATTRIBUTES[rng.integers(len(ATTRIBUTES))]
        embedding = rng.standard_normal(dim).astype(np.float32)
        row = {
            "id": item_id(f"{seed}/{number}"),
            "identity": PEOPLE[rng.integers(len(PEOPLE))],
            "camera": CAMERAS[rng.integers(len(CAMERAS))],
            "time": None if number % 7 == 0 else 1.7e9 + int(rng.integers(8)) + 0.1,
            "end_time": None if number % 4 else 1.7e9 + 20.5,
            "tracklet": TRACKLETS[rng.integers(len(TRACKLETS))],
            "box": None if number % 3 == 0 else [1.5, -2.0, 30.25, 60.0],
            "source": f"file{number}.mp4",
            "quality": 0.5,
            "attributes": json.dumps(attributes),
            "tags": tags(attributes),
            "enrolled": 1.75e9 + number,
            "has_thumbnail": number % 5 != 0,
            "thumbnail": None if number % 5 == 0 else rng.bytes(200),
            "embedding": embedding / np.linalg.norm(embedding),
        }
        rows.append({**row, **same})
    return rows


def as_table(rows: list[dict[str, Any]], dim: int = DIM) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=item_schema(dim))


def meets(row: dict[str, Any], where: Filter) -> bool:
    """The meaning of a filter, said once more without any of the stores' code."""
    for column, wanted in (
        ("id", where.ids),
        ("camera", where.cameras),
        ("identity", where.identities),
        ("tracklet", where.tracklets),
    ):
        if wanted is not None and row[column] not in wanted:
            return False
    if where.since is not None and (row["time"] is None or row["time"] < where.since):
        return False
    if where.until is not None and (row["time"] is None or row["time"] >= where.until):
        return False
    if where.has_identity is not None and (row["identity"] is not None) != where.has_identity:
        return False
    if where.enrolled_before is not None and not row["enrolled"] < where.enrolled_before:
        return False
    if where.enrolled_since is not None and not row["enrolled"] >= where.enrolled_since:
        return False
    own = json.loads(row["attributes"])
    return all(
        name in own and type(own[name]) is type(value) and own[name] == value
        for name, value in where.attributes.items()
    )


def ranked(rows: list[dict[str, Any]], query: np.ndarray, where: Filter = EVERYTHING) -> list[str]:
    """Ids in the order of their cosine in float64, ties by id."""
    met = [row for row in rows if meets(row, where)]
    return [row["id"] for row in sorted(met, key=lambda row: (-cosine(row["embedding"], query), row["id"]))]


def cosine(a: Any, b: Any) -> float:
    first, second = np.asarray(a, np.float64), np.asarray(b, np.float64)
    return float(first @ second / np.linalg.norm(first) / np.linalg.norm(second))


def unit(seed: int, dim: int = DIM) -> np.ndarray:
    vector = np.random.default_rng(seed).standard_normal(dim)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def scanned(store: GalleryStore, where: Filter = EVERYTHING, **options: Any) -> list[dict[str, Any]]:
    return [row for batch in store.scan("faces", where=where, **options) for row in batch.to_pylist()]


def ids_of(table: pa.Table) -> list[str]:
    return table["id"].to_pylist()


def same_row(actual: dict[str, Any], expected: dict[str, Any]) -> None:
    for column in ALL_COLUMNS:
        if column == "embedding":
            np.testing.assert_array_equal(np.float32(actual[column]), expected[column])
        else:
            assert actual[column] == expected[column], column


# Collections


def test_a_collection_is_listed_until_it_is_dropped(place: Callable[[], GalleryStore]) -> None:
    store = place()
    assert store.collections() == {}
    faces = CollectionInfo("faces", DIM, "float32")
    others = CollectionInfo("other_2", 32, "float32")
    store.create_collection(faces)
    store.create_collection(others)
    store.create_collection(faces)
    assert store.collections() == {"faces": faces, "other_2": others}
    store.drop_collection("faces")
    store.drop_collection("faces")
    assert store.collections() == {"other_2": others}


def test_another_collection_of_the_same_name_is_refused(store: GalleryStore) -> None:
    with pytest.raises(InputError, match="faces"):
        store.create_collection(CollectionInfo("faces", DIM + 1, "float32"))
    assert store.collections()["faces"].dim == DIM


def test_a_dropped_collection_comes_back_empty(store: GalleryStore) -> None:
    rows = make_rows(5, seed=1)
    store.add("faces", as_table(rows))
    store.drop_collection("faces")
    store.create_collection(CollectionInfo("faces", DIM, "float32"))
    assert store.count("faces") == 0
    assert scanned(store) == []
    assert store.add("faces", as_table(rows)).all()


def test_collections_do_not_share_items(store: GalleryStore) -> None:
    rows = make_rows(4, seed=1)
    store.create_collection(CollectionInfo("faces_2", DIM, "float32"))
    store.add("faces", as_table(rows))
    assert store.count("faces_2") == 0
    assert store.add("faces_2", as_table(rows)).all()
    store.drop_collection("faces_2")
    assert store.count("faces") == 4


# Adding


def test_what_is_there_is_not_added_again(store: GalleryStore) -> None:
    rows = make_rows(6, seed=2)
    assert store.add("faces", as_table(rows[:4])).tolist() == [True] * 4
    changed = [{**row, "camera": "changed"} for row in rows]
    assert store.add("faces", as_table(changed)).tolist() == [False] * 4 + [True] * 2
    kept = {row["id"]: row["camera"] for row in scanned(store)}
    assert kept == {row["id"]: row["camera"] for row in rows[:4] + changed[4:]}


def test_of_equal_ids_in_one_call_the_first_is_taken(store: GalleryStore) -> None:
    first, second = make_rows(2, seed=3)
    twice = {**second, "id": first["id"]}
    assert store.add("faces", as_table([first, twice, second])).tolist() == [True, False, True]
    (kept,) = store.get("faces", [first["id"]], columns=ALL_COLUMNS).to_pylist()
    same_row(kept, first)
    assert store.count("faces") == 2


def test_nothing_added_is_nothing_new(store: GalleryStore) -> None:
    assert store.add("faces", as_table([])).shape == (0,)
    assert store.count("faces") == 0


def test_every_column_comes_back_as_it_was(crowd: tuple[GalleryStore, list[dict[str, Any]]]) -> None:
    store, rows = crowd
    table = store.get("faces", [row["id"] for row in rows], columns=ALL_COLUMNS)
    assert set(table.column_names) == set(ALL_COLUMNS)
    for actual, expected in zip(table.to_pylist(), rows, strict=True):
        same_row(actual, expected)


def test_tables_have_the_types_of_the_schema(crowd: tuple[GalleryStore, list[dict[str, Any]]]) -> None:
    store, rows = crowd
    schema = item_schema(DIM)
    tables = [
        store.get("faces", [rows[0]["id"]], columns=ALL_COLUMNS),
        store.get("faces", [], columns=ALL_COLUMNS),
        store.search("faces", unit(1), k=2, columns=ALL_COLUMNS),
        store.search("faces", unit(1), k=2, columns=ALL_COLUMNS, where=Filter(cameras=frozenset())),
        next(store.scan("faces", columns=ALL_COLUMNS)),
    ]
    for table in tables:
        for column in ALL_COLUMNS:
            assert table.schema.field(column).type == schema.field(column).type, column
        assert table.drop_columns(ALL_COLUMNS).column_names in ([], ["score"])


def test_the_largest_item_is_kept_whole(store: GalleryStore) -> None:
    attributes = {f"name{number}": "v" * 400 for number in range(64)}
    (row,) = make_rows(1, seed=4)
    row |= {
        "has_thumbnail": True,
        "thumbnail": np.random.default_rng(4).bytes(48_000),
        "source": "东" * 4096,
        "camera": "🚶" * 512,
        "identity": "ß" * 512,
        "tracklet": "t" * 512,
        "attributes": json.dumps(attributes),
        "tags": tags(attributes),
    }
    store.add("faces", as_table([row]))
    (kept,) = store.get("faces", [row["id"]], columns=ALL_COLUMNS).to_pylist()
    same_row(kept, row)


# Reading


def test_get_keeps_the_order_and_leaves_out_what_is_not_there(
    crowd: tuple[GalleryStore, list[dict[str, Any]]],
) -> None:
    store, rows = crowd
    wanted = [rows[9]["id"], "no such id", rows[2]["id"], rows[40]["id"], '" or id != "', rows[0]["id"]]
    table = store.get("faces", wanted)
    assert ids_of(table) == [rows[place]["id"] for place in (9, 2, 40, 0)]
    assert tuple(table.column_names) == COLUMNS


@pytest.mark.parametrize("columns", [("id",), ("camera",), ("time", "thumbnail"), ("embedding",)])
def test_only_the_columns_asked_for_come_back(
    crowd: tuple[GalleryStore, list[dict[str, Any]]], columns: tuple[str, ...]
) -> None:
    store, rows = crowd
    assert store.get("faces", [rows[0]["id"]], columns=columns).column_names == list(columns)
    assert next(store.scan("faces", columns=columns)).column_names == list(columns)
    found = store.search("faces", unit(1), k=1, columns=columns)
    assert found.column_names == [*columns, "score"]


def test_a_scan_yields_each_item_once(crowd: tuple[GalleryStore, list[dict[str, Any]]]) -> None:
    store, rows = crowd
    for batch_size in (1, 7, 80, 4096):
        batches = list(store.scan("faces", columns=("id",), batch_size=batch_size))
        assert all(0 < batch.num_rows <= batch_size for batch in batches)
        found = [row for batch in batches for row in ids_of(batch)]
        assert sorted(found) == sorted(row["id"] for row in rows)


# Searching


@pytest.mark.parametrize("exact", [True, False])
def test_search_ranks_as_float64_does(crowd: tuple[GalleryStore, list[dict[str, Any]]], exact: bool) -> None:
    store, rows = crowd
    embeddings = {row["id"]: row["embedding"] for row in rows}
    for seed in range(5):
        found = store.search("faces", unit(seed), k=10, exact=exact)
        assert ids_of(found) == ranked(rows, unit(seed))[:10]
        assert found.schema.field("score").type == pa.float32()
        expected = [cosine(embeddings[name], unit(seed)) for name in ids_of(found)]
        np.testing.assert_allclose(found["score"].to_numpy(), expected, atol=2e-7)


def test_search_gives_no_more_than_there_is(crowd: tuple[GalleryStore, list[dict[str, Any]]]) -> None:
    store, rows = crowd
    assert ids_of(store.search("faces", unit(3), k=1000, exact=True)) == ranked(rows, unit(3))
    where = Filter(cameras=frozenset({"it's"}), has_identity=True)
    assert ids_of(store.search("faces", unit(3), k=1000, where=where)) == ranked(rows, unit(3), where)


def test_an_empty_collection_is_searched(store: GalleryStore) -> None:
    for exact in (True, False):
        assert store.search("faces", unit(1), k=3, exact=exact).num_rows == 0


@pytest.mark.parametrize("exact", [True, False])
def test_ties_are_ordered_by_id(store: GalleryStore, exact: bool) -> None:
    rows = make_rows(150, seed=6, embedding=unit(6)) + make_rows(3, seed=7)
    store.add("faces", as_table(rows))
    found = store.search("faces", unit(6), k=7, exact=exact)
    assert ids_of(found) == sorted(row["id"] for row in rows[:150])[:7]
    assert len(set(found["score"].to_pylist())) == 1


# Largest difference between a score and the cosine of what was enrolled: half a step of the format,
# summed over a unit vector. float16 has 11 bits; int8 has 127 steps of the largest value.
_SCORE_ERROR = {"float32": 2e-7, "float16": 2**-11, "int8": 0.02}


def test_each_precision_keeps_scores_within_its_bound(
    backend: Backend, place: Callable[[], GalleryStore]
) -> None:
    store = place()
    rows = make_rows(60, seed=8, dim=64)
    for precision in backend.precisions:
        name = f"faces_{precision}"
        store.create_collection(CollectionInfo(name, 64, precision))
        assert store.collections()[name].precision == precision
        store.add(name, as_table(rows, 64))
        query = unit(8, 64)
        found = store.search(name, query, k=60, exact=True, columns=("id", "embedding"))
        stored = {row["id"]: row["embedding"] for row in found.to_pylist()}
        original = {row["id"]: row["embedding"] for row in rows}
        for name_of, score in zip(ids_of(found), found["score"].to_pylist(), strict=True):
            assert score == pytest.approx(cosine(stored[name_of], query), abs=2e-7)
            assert score == pytest.approx(cosine(original[name_of], query), abs=_SCORE_ERROR[precision])
            assert np.linalg.norm(stored[name_of]) == pytest.approx(1, abs=1e-2)


def test_a_precision_that_a_store_has_not_is_refused(
    backend: Backend, place: Callable[[], GalleryStore]
) -> None:
    store = place()
    for precision in set(STORED_PRECISIONS) - set(backend.precisions):
        with pytest.raises(InputError, match=precision):
            store.create_collection(CollectionInfo("faces", DIM, precision))
    assert store.collections() == {}


# Filters

_SOME_CAMERAS = st.frozensets(st.sampled_from((*CAMERAS, "nowhere")), max_size=3)
_FILTERS = st.builds(
    Filter,
    ids=st.none() | st.frozensets(st.sampled_from([item_id(f"5/{n}") for n in range(90)]), max_size=40),
    cameras=st.none() | _SOME_CAMERAS,
    since=st.none() | st.sampled_from([-1e300, 0.0, 1.7e9 + 2, 1.7e9 + 3.1, 1e300]),
    until=st.none() | st.sampled_from([-5.0, 1.7e9 + 4.1, 1.7e9 + 6, 1e300]),
    identities=st.none() | st.frozensets(st.sampled_from(("p1", "p2", 'p"3', "p4")), max_size=3),
    has_identity=st.none() | st.booleans(),
    tracklets=st.none() | st.frozensets(st.sampled_from(("t1", "t2\\", "t3")), max_size=2),
    attributes=st.dictionaries(
        st.sampled_from(("hat", "coat")), st.sampled_from((True, 1, 1.0, "True", "red", 'r"ed')), max_size=2
    ),
    enrolled_before=st.none() | st.sampled_from([1.75e9, 1.75e9 + 30, 2e9]),
    enrolled_since=st.none() | st.sampled_from([0.0, 1.75e9 + 11, 2e9]),
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=_FILTERS)
def test_any_filter_means_the_same_everywhere(
    crowd: tuple[GalleryStore, list[dict[str, Any]]], where: Filter
) -> None:
    store, rows = crowd
    expected = sorted(row["id"] for row in rows if meets(row, where))
    assert sorted(row["id"] for row in scanned(store, where, columns=("id",), batch_size=50)) == expected
    assert store.count("faces", where) == len(expected)
    found = store.search("faces", unit(9), k=80, where=where, columns=("id",))
    assert ids_of(found) == ranked(rows, unit(9), where)


SINGLE_FILTERS = [
    Filter(ids=frozenset({item_id("5/1"), item_id("5/3"), "absent"})),
    Filter(ids=frozenset()),
    Filter(cameras=frozenset({"it's"})),
    Filter(cameras=frozenset({""})),
    Filter(since=1.7e9 + 4.1),
    Filter(until=1.7e9 + 4.1),
    Filter(since=1.7e9 + 2, until=1.7e9 + 2.5),
    Filter(since=-1e300),
    Filter(identities=frozenset({"p1", 'p"3'})),
    Filter(has_identity=True),
    Filter(has_identity=False),
    Filter(has_identity=False, identities=frozenset({"p1"})),
    Filter(tracklets=frozenset({"t2\\"})),
    Filter(attributes={"hat": True}),
    Filter(attributes={"hat": 1}),
    Filter(attributes={"hat": 1.0}),
    Filter(attributes={"hat": "True", "coat": 'r"ed'}),
    Filter(enrolled_before=1.75e9 + 11),
    Filter(enrolled_since=1.75e9 + 11),
    EVERYTHING,
]


@pytest.mark.parametrize("exact", [True, False])
def test_each_condition_alone(crowd: tuple[GalleryStore, list[dict[str, Any]]], exact: bool) -> None:
    store, rows = crowd
    for where in SINGLE_FILTERS:
        found = store.search("faces", unit(9), k=80, where=where, exact=exact)
        assert ids_of(found) == ranked(rows, unit(9), where), where


def test_hostile_texts_are_only_texts(store: GalleryStore) -> None:
    rows = make_rows(len(HOSTILE), seed=10)
    for row, text in zip(rows, HOSTILE, strict=True):
        attributes = {text: text}
        row |= {"camera": text, "identity": text, "tracklet": text, "source": text}
        row |= {"attributes": json.dumps(attributes), "tags": tags(attributes)}
    assert store.add("faces", as_table(rows)).all()
    for row, text in zip(rows, HOSTILE, strict=True):
        for where in (
            Filter(cameras=frozenset({text})),
            Filter(identities=frozenset({text})),
            Filter(tracklets=frozenset({text})),
            Filter(attributes={text: text}),
        ):
            (found,) = scanned(store, where)
            assert found["id"] == row["id"]
            assert found["source"] == text
        assert store.count("faces", Filter(ids=frozenset({text}))) == 0
        assert store.get("faces", [text]).num_rows == 0
        assert store.set_identity("faces", [row["id"], text], text + "!") == 1
        assert store.count("faces", Filter(identities=frozenset({text + "!"}))) == 1
    assert store.count("faces", Filter(cameras=frozenset(HOSTILE))) == len(HOSTILE)
    for left, text in zip(reversed(range(len(HOSTILE))), HOSTILE, strict=True):
        assert store.delete("faces", Filter(cameras=frozenset({text}))) == 1
        assert store.count("faces") == left


# Changing


def test_an_identity_is_given_and_taken_and_nothing_else_changes(store: GalleryStore) -> None:
    rows = make_rows(8, seed=11)
    store.add("faces", as_table(rows))
    some = [row["id"] for row in rows[:3]]
    assert store.set_identity("faces", [*some, "absent"], "new one") == 3
    assert store.set_identity("faces", [rows[3]["id"]], None) == 1
    assert store.set_identity("faces", [], "x") == 0
    assert store.set_identity("faces", ["absent"], "x") == 0
    expected = [{**row, "identity": "new one"} for row in rows[:3]]
    expected += [{**rows[3], "identity": None}, *rows[4:]]
    for actual, row in zip(
        store.get("faces", [row["id"] for row in rows], columns=ALL_COLUMNS).to_pylist(),
        expected,
        strict=True,
    ):
        same_row(actual, row)
    assert store.count("faces") == 8
    assert store.count("faces", Filter(identities=frozenset({"new one"}))) == 3


def test_what_is_deleted_is_seen_by_nobody(store: GalleryStore) -> None:
    rows = make_rows(30, seed=12)
    store.add("faces", as_table(rows))
    where = Filter(cameras=frozenset({"it's", "north"}))
    gone = [row["id"] for row in rows if meets(row, where)]
    left = [row for row in rows if not meets(row, where)]
    assert store.delete("faces", where) == len(gone)
    assert store.delete("faces", where) == 0
    assert store.count("faces") == len(left)
    assert store.get("faces", gone).num_rows == 0
    assert ids_of(store.search("faces", unit(1), k=30)) == ranked(left, unit(1))
    assert {row["id"] for row in scanned(store)} == {row["id"] for row in left}
    assert store.add("faces", as_table(rows)).sum() == len(gone)


def test_ids_that_are_not_there_are_not_counted_as_deleted(store: GalleryStore) -> None:
    rows = make_rows(3, seed=12)
    store.add("faces", as_table(rows))
    assert store.delete("faces", Filter(ids=frozenset({rows[0]["id"], "absent"}))) == 1
    assert store.delete("faces", Filter(ids=frozenset())) == 0
    assert store.count("faces") == 2


def test_deleting_everything_is_refused(store: GalleryStore) -> None:
    store.add("faces", as_table(make_rows(3, seed=13)))
    with pytest.raises(InputError):
        store.delete("faces", EVERYTHING)
    assert store.count("faces") == 3


def test_a_purge_changes_nothing_that_is_visible(store: GalleryStore) -> None:
    rows = make_rows(40, seed=14)
    for start in range(0, 40, 10):
        store.add("faces", as_table(rows[start : start + 10]))
    store.set_identity("faces", [rows[0]["id"]], "kept")
    store.delete("faces", Filter(ids=frozenset(row["id"] for row in rows[20:30])))
    store.purge("faces")
    store.purge("faces")
    left = [{**rows[0], "identity": "kept"}, *rows[1:20], *rows[30:]]
    found = {row["id"]: row for row in scanned(store, columns=ALL_COLUMNS)}
    assert len(found) == len(left)
    for row in left:
        same_row(found[row["id"]], row)
    assert store.add("faces", as_table(rows[15:25])).tolist() == [False] * 5 + [True] * 5


def test_few_items_need_no_index(store: GalleryStore) -> None:
    rows = make_rows(20, seed=15)
    store.add("faces", as_table(rows))
    store.build_index("faces")
    assert store.index_state("faces").status in ("none", "ready")
    assert ids_of(store.search("faces", unit(2), k=20)) == ranked(rows, unit(2))


# Records and the audit log


def test_records_are_replaced_and_deleted_by_id(store: GalleryStore) -> None:
    assert store.records("people") == {}
    store.put_records("people", {"a": {"name": "Ann", "more": [1, {"x": None}]}, "b": {"name": "Bob"}})
    store.put_records("places", {"a": {"name": "hall"}})
    store.put_records("people", {"b": {"name": "Béla 🚶"}, "c": {}})
    store.put_records("people", {})
    assert store.records("people") == {
        "a": {"name": "Ann", "more": [1, {"x": None}]},
        "b": {"name": "Béla 🚶"},
        "c": {},
    }
    store.delete_records("people", ["a", "absent"])
    store.delete_records("people", [])
    store.purge_records()
    assert set(store.records("people")) == {"b", "c"}
    assert store.records("places") == {"a": {"name": "hall"}}
    assert set(store.collections()) == {"faces"}


def test_hostile_records_are_only_texts(store: GalleryStore) -> None:
    records = {text: {"text": text} for text in HOSTILE}
    for kind in HOSTILE[:6]:
        store.put_records(kind, {"only": {"of": kind}})
    store.put_records("kind", records)
    assert store.records("kind") == records
    for kind in HOSTILE[:6]:
        assert store.records(kind) == {"only": {"of": kind}}
    store.delete_records("kind", list(HOSTILE[3:]))
    assert store.records("kind") == {text: records[text] for text in HOSTILE[:3]}


def test_a_record_of_some_tens_of_kilobytes_is_kept(store: GalleryStore) -> None:
    large = {"ids": [item_id(str(number)) for number in range(2000)], "text": "é" * 3000}
    store.put_records("undo", {"1": large})
    assert store.records("undo") == {"1": large}
    store.put_records("undo", {"1": {"now": "small"}})
    assert store.records("undo") == {"1": {"now": "small"}}


def test_the_audit_log_keeps_the_order_of_what_was_appended(place: Callable[[], GalleryStore]) -> None:
    store = place()
    assert list(store.audit()) == []
    # The time of an entry may go back (a clock that was set); the order may not.
    entries = [{"time": 1000.5 - number, "action": "search", "detail": {"n": number}} for number in range(25)]
    store.append_audit(entries[:1])
    store.append_audit([])
    store.append_audit(entries[1:20])
    store.close()
    again = place()
    again.append_audit(entries[20:])
    assert list(again.audit()) == entries


@pytest.mark.parametrize("limit", [1, 4, 25, 100])
def test_pages_of_the_audit_log_from_both_ends(place: Callable[[], GalleryStore], limit: int) -> None:
    store = place()
    assert store.audit_page(None, limit, latest=False) == store.audit_page(None, limit, latest=True) == []
    # Over the end of a month, some of them long.
    entries = [
        {"time": 2_678_400.0 + number - 12, "n": number, "text": "é" * 4000 * (number % 9 == 0)}
        for number in range(25)
    ]
    for first in range(0, 25, 5):
        store.append_audit(entries[first : first + 5])

    def walked(latest: bool) -> list[tuple[int, dict[str, Any]]]:
        found: list[tuple[int, dict[str, Any]]] = []
        while page := store.audit_page(found[-1][0] if found else None, limit, latest=latest):
            assert len(page) == min(limit, 25 - len(found))
            found += page
        return found

    forwards = walked(latest=False)
    assert [entry for _, entry in forwards] == entries
    assert walked(latest=True) == forwards[::-1]
    places = [number for number, _ in forwards]
    assert places == sorted(set(places))
    assert 0 <= places[0] < places[-1] < 2**53
    store.append_audit([{"time": 2_678_500.0, "n": 25}])
    ((newest, entry),) = place().audit_page(None, 1, latest=True)
    assert (newest > places[-1], entry["n"]) == (True, 25)
    assert place().audit_page(newest, 25, latest=True)[:limit] == forwards[::-1][:limit]
    for known in (newest, 2**53, 10**30):
        assert store.audit_page(known, limit, latest=False) == []
    assert store.audit_page(0, 1, latest=True) == []


# Several threads, several handles


def test_a_lock_is_taken_again_inside_and_keeps_others_out(store: GalleryStore) -> None:
    order: list[str] = []
    inside = threading.Event()

    def other() -> None:
        inside.wait(10)
        with store.lock():
            order.append("other")

    thread = threading.Thread(target=other)
    thread.start()
    with store.lock(), store.lock():
        inside.set()
        thread.join(0.2)
        store.put_records("kind", {"a": {}})
        order.append("first")
    thread.join(30)
    assert order == ["first", "other"]


def test_threads_add_once_and_readers_see_whole_batches(store: GalleryStore) -> None:
    batches = [make_rows(12, seed=100 + number, tracklet=f"batch{number}") for number in range(12)]
    new: list[int] = []
    seen: set[int] = set()
    done = threading.Event()

    def add(number: int) -> None:
        new.append(int(store.add("faces", as_table(batches[number])).sum()))

    def read() -> None:
        number = 0
        while not done.is_set():
            number = (number + 5) % len(batches)
            where = Filter(tracklets=frozenset({f"batch{number}"}))
            seen.add(store.search("faces", unit(number), k=20, where=where).num_rows)
            seen.add(store.count("faces", where))

    with ThreadPoolExecutor(6) as pool:
        readers = [pool.submit(read) for _ in range(2)]
        # Each batch twice at once, so that the same items race.
        writers = [pool.submit(add, number) for number in range(12) for _ in range(2)]
        for writer in writers:
            writer.result()
        done.set()
        for reader in readers:
            reader.result()
    assert sum(new) == 144
    assert sorted(new) == [0] * 12 + [12] * 12
    assert seen <= {0, 12}
    assert sorted(row["id"] for row in scanned(store)) == sorted(r["id"] for batch in batches for r in batch)


def test_opened_again_it_is_all_there(place: Callable[[], GalleryStore]) -> None:
    store = place()
    rows = make_rows(25, seed=16)
    store.create_collection(CollectionInfo("faces", DIM, "float32"))
    store.add("faces", as_table(rows))
    store.delete("faces", Filter(ids=frozenset({rows[0]["id"]})))
    store.put_records("people", {"a": {"name": "Ann"}})
    store.append_audit([{"time": 1.0, "action": "enrol"}])
    store.close()
    again = place()
    assert again.collections() == {"faces": CollectionInfo("faces", DIM, "float32")}
    assert ids_of(again.search("faces", unit(1), k=30, exact=True)) == ranked(rows[1:], unit(1))
    assert again.records("people") == {"a": {"name": "Ann"}}
    assert [entry["action"] for entry in again.audit()] == ["enrol"]


def test_two_handles_see_each_others_writes(place: Callable[[], GalleryStore]) -> None:
    one, two = place(), place()
    rows = make_rows(20, seed=17)
    one.create_collection(CollectionInfo("faces", DIM, "float32"))
    assert set(two.collections()) == {"faces"}
    one.add("faces", as_table(rows[:10]))
    assert two.count("faces") == 10
    assert two.add("faces", as_table(rows)).tolist() == [False] * 10 + [True] * 10
    assert ids_of(one.search("faces", unit(1), k=20)) == ranked(rows, unit(1))
    two.set_identity("faces", [rows[0]["id"]], "seen")
    assert one.count("faces", Filter(identities=frozenset({"seen"}))) == 1
    one.delete("faces", Filter(ids=frozenset({rows[0]["id"]})))
    one.purge("faces")
    assert ids_of(two.search("faces", unit(1), k=20)) == ranked(rows[1:], unit(1))
    two.add("faces", as_table(rows[:1]))
    assert one.count("faces") == 20
    one.put_records("people", {"a": {"n": 1}})
    two.put_records("people", {"a": {"n": 2}})
    assert one.records("people") == {"a": {"n": 2}}
    one.append_audit([{"time": 1.0, "n": 1}])
    two.append_audit([{"time": 2.0, "n": 2}])
    one.append_audit([{"time": 3.0, "n": 3}])
    assert [entry["n"] for entry in two.audit()] == [1, 2, 3]
    two.drop_collection("faces")
    assert one.collections() == {}


def test_places_do_not_share_anything(backend: Backend) -> None:
    # One name is the beginning of the other.
    one, two = backend.open("site"), backend.open("site_b")
    for store in (one, two):
        store.create_collection(CollectionInfo("b_faces", DIM, "float32"))
    one.add("b_faces", as_table(make_rows(3, seed=18)))
    one.put_records("kind", {"a": {}})
    one.append_audit([{"time": 1.0}])
    assert two.count("b_faces") == 0
    assert two.records("kind") == {}
    assert list(two.audit()) == []
    two.drop_collection("b_faces")
    assert one.count("b_faces") == 3
    one.close()
    two.close()


def test_disk_bytes_is_a_size_or_unknown(store: GalleryStore) -> None:
    store.add("faces", as_table(make_rows(3, seed=19)))
    size = store.disk_bytes()
    assert size is None or size > 0

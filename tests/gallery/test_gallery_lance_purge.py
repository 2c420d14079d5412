"""After a purge nothing of a deleted item is in any file, whatever LanceDB would keep."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from gallery.lance_rows import DIM, files_with, item_table, noise, traces_of, unit_rows
from omnireid.core.errors import StorageError
from omnireid.gallery.items import EVERYTHING, Filter
from omnireid.gallery.lance import indexing, purging
from omnireid.gallery.lance.failures import committing, reading
from omnireid.gallery.lance.store import LanceStore
from omnireid.gallery.store import CollectionInfo


@pytest.fixture
def store(tmp_path: Path) -> LanceStore:
    store = LanceStore(str(tmp_path / "gallery"))
    store.create_collection(CollectionInfo("c", DIM, "float32"))
    return store


@pytest.fixture
def flat_index(monkeypatch: pytest.MonkeyPatch) -> None:
    """An index for few items that holds whole embeddings, so that they are found in it."""
    import lancedb.index

    def flat(*, num_bits: int, **options: object) -> object:
        return lancedb.index.IvfFlat(**options)

    monkeypatch.setattr(indexing, "FEWEST_ROWS", 100)
    monkeypatch.setattr(lancedb.index, "IvfRq", flat)


def found(store: LanceStore, trace: bytes) -> list[str]:
    return files_with(Path(store.uri), trace)


def indexed_as_it_is(store: LanceStore, rows: pa.Table) -> list[int]:
    """Rows whose embeddings are found in the index: it makes all of unit norm, changing last bits."""
    (index,) = Path(store.uri).glob("c-*.lance/_indices/*/auxiliary.idx")
    content = index.read_bytes()
    return [row for row in range(rows.num_rows) if traces_of(rows, row)["embedding"] in content]


def only(rows: pa.Table, row: int) -> Filter:
    return Filter(ids=frozenset({rows["id"][row].as_py()}))


def test_one_item_of_many_is_gone_from_every_file(store: LanceStore) -> None:
    rows = item_table(1000)
    store.add("c", rows)
    traces = traces_of(rows, 7)
    store.delete("c", only(rows, 7))
    assert all(found(store, trace) for trace in traces.values()), "the search for bytes finds nothing"
    store.purge("c")
    assert {name: found(store, trace) for name, trace in traces.items()} == {name: [] for name in traces}
    assert found(store, traces_of(rows, 8)["thumbnail"])
    assert store.count("c") == 999


def test_a_fragment_of_few_rows_is_rewritten(store: LanceStore) -> None:
    for count in (2, 8, 9, 10):
        rows = item_table(count, seed=count)
        store.add("c", rows)
        store.purge("c")
        store.delete("c", only(rows, count - 1))
        store.purge("c")
        assert not any(found(store, trace) for trace in traces_of(rows, count - 1).values())


def test_an_identity_that_was_taken_away_is_gone(store: LanceStore) -> None:
    rows = item_table(500)
    store.add("c", rows)
    identity = rows["identity"][3].as_py()
    store.set_identity("c", [rows["id"][3].as_py()], None)
    store.purge("c")
    assert found(store, identity.encode()) == []
    assert store.count("c", Filter(has_identity=False)) == 1


@pytest.mark.usefixtures("flat_index")
def test_entries_of_indexes_go_too(store: LanceStore) -> None:
    rows = item_table(1000)
    store.add("c", rows)
    store.build_index("c")
    table = store._collection("c").table
    row = indexed_as_it_is(store, rows)[0]
    traces = traces_of(rows, row)
    assert len(found(store, traces["id"])) >= 2, "not in the index on ids"
    store.delete("c", only(rows, row))
    store.purge("c")
    assert {name: found(store, trace) for name, trace in traces.items()} == {name: [] for name in traces}
    assert table.index_stats(indexing.INDEX).num_indexed_rows == 999


@pytest.mark.usefixtures("flat_index")
def test_an_index_that_cannot_be_cleaned_is_dropped(store: LanceStore) -> None:
    rows = item_table(300)
    store.add("c", rows)
    store.add("c", item_table(50, seed=1))
    # One index on two fragments; `build_index` would merge them first.
    collection = store._collection("c")
    collection.tuning = indexing.build(collection.table, 350)
    store._record_index(collection)
    known = indexed_as_it_is(store, rows)[:5]
    assert known
    # Every row of one of them.
    store.delete("c", Filter(cameras=frozenset({"seed 0"})))
    store.purge("c")
    assert not any(found(store, trace) for row in known for trace in traces_of(rows, row).values())
    assert store.index_state("c").status == "none"
    store.add("c", item_table(100, seed=2))
    store.build_index("c")
    assert (store.index_state("c").status, store.index_state("c").indexed) == ("ready", 150)


def test_files_of_a_write_that_was_never_committed_go(store: LanceStore) -> None:
    store.add("c", item_table(10))
    (data,) = Path(store.uri).glob("c-*.lance/data")
    left = data / "half-written.lance"
    left.write_bytes(b"pixels")
    store.purge("c")
    assert not left.exists()


def test_tables_of_an_interrupted_drop_go(store: LanceStore) -> None:
    rows = item_table(10)
    store.add("c", rows)
    # As after a kill between the record and the files.
    store._connection.delete_records("store-collection", ["c"])
    assert store.collections() == {}
    store.purge_records()
    assert found(store, traces_of(rows, 0)["thumbnail"]) == []


def test_records_are_gone_after_their_purge(store: LanceStore) -> None:
    names = {f"{n:04d}": {"name": f"person-{n}-{noise_name(n)}"} for n in range(40)}
    store.put_records("names", names)
    store.delete_records("names", ["0007"])
    trace = noise_name(7).encode()
    assert found(store, trace)
    store.purge_records()
    assert found(store, trace) == []
    assert len(store.records("names")) == 39


def noise_name(number: int) -> str:
    return noise(f"name {number}", 12).hex()


def test_searches_and_scans_outlive_purges(store: LanceStore) -> None:
    """Readers meet no error and no half, while items vanish and files are removed under them."""
    kept = item_table(600, seed=1)
    store.add("c", kept)
    query = unit_rows(600, seed=1)[5]
    done = threading.Event()
    errors: list[BaseException] = []

    def read() -> None:
        reader = LanceStore(store.uri)
        try:
            while not done.is_set():
                assert reader.search("c", query, k=1)["id"].to_pylist() == [kept["id"][5].as_py()]
                batches = reader.scan("c", where=Filter(cameras=frozenset({"seed 1"})), batch_size=50)
                ids = [name for rows in batches for name in rows["id"].to_pylist()]
                assert sorted(ids) == sorted(kept["id"].to_pylist())
        except BaseException as error:
            errors.append(error)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for seed in range(2, 8):
        store.add("c", item_table(100, seed=seed))
        store.delete("c", Filter(cameras=frozenset({f"seed {seed}"})))
        store.purge("c")
    done.set()
    for reader in readers:
        reader.join()
    assert errors == []
    assert store.count("c", EVERYTHING) == 600


def test_a_scan_that_a_purge_interrupts_gives_each_item_once(store: LanceStore) -> None:
    rows = item_table(3000)
    for start in range(0, 3000, 300):
        store.add("c", rows.slice(start, 300))
    scan = store.scan("c", columns=("thumbnail",), batch_size=100)
    given = [next(scan)]
    store.set_identity("c", rows["id"].to_pylist()[:1500], "somebody")
    store.purge("c")
    given.extend(scan)
    thumbnails = [picture for one in given for picture in one["thumbnail"].to_pylist()]
    assert sorted(thumbnails) == sorted(rows["thumbnail"].to_pylist())


def test_a_read_whose_files_are_gone_is_made_again() -> None:
    left = [OSError("Not found: data/1.lance"), RuntimeError("lance error: not found")]

    def read() -> str:
        if left:
            raise left.pop()
        return "read"

    assert reading("cannot read", read) == "read"
    with pytest.raises(StorageError, match=r"cannot read: Not found"):
        reading("cannot read", always(OSError("Not found: data/1.lance")))


def test_a_write_that_met_another_is_made_again() -> None:
    left = [OSError("Retryable commit conflict for version 7")]

    def write() -> str:
        if left:
            raise left.pop()
        return "written"

    assert committing("cannot write", write) == "written"
    with pytest.raises(StorageError, match="cannot write: disk on fire"):
        committing("cannot write", always(RuntimeError("disk on fire")))


def always(error: Exception) -> Callable[[], str]:
    def fail() -> str:
        raise error

    return fail


def test_a_scan_whose_files_are_gone_goes_on_without_what_it_gave(
    store: LanceStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = item_table(1000)
    store.add("c", rows)
    collection = store._collection("c")
    query = collection._query
    breaks = [3, 2]

    class Breaking:
        def __init__(self, *arguments: Any) -> None:
            self.query = query(*arguments)

        def to_batches(self, size: int) -> Iterator[pa.RecordBatch]:
            last = breaks.pop() if breaks else 1000
            for number, batch in enumerate(self.query.to_batches(size)):
                if number == last:
                    raise OSError("Not found: data/1.lance")
                yield batch

    monkeypatch.setattr(collection, "_query", Breaking)
    given = [
        name for one in store.scan("c", columns=("id",), batch_size=100) for name in one["id"].to_pylist()
    ]
    assert not breaks
    assert sorted(given) == sorted(rows["id"].to_pylist())


def test_fragments_are_counted_by_the_upper_half_of_the_address() -> None:
    addresses = np.array([0, 1, (3 << 32) + 5, (3 << 32) + 9, 3 << 32], np.uint64)
    assert purging.fragments(addresses) == {0: 2, 3: 3}


def test_what_a_deletion_was_told_is_not_kept(store: LanceStore) -> None:
    """LanceDB writes the condition of a deletion into its log, also where nothing is left to be rewritten."""
    rows = item_table(3)
    store.add("c", rows)
    store.delete("c", Filter(ids=frozenset(rows["id"].to_pylist())))
    assert found(store, rows["id"][1].as_py().encode())
    store.purge("c")
    assert found(store, rows["id"][1].as_py().encode()) == []

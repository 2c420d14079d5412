"""Many small writes: their files are merged by themselves, and nothing is lost by it."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gallery.lance_rows import DIM, files_with, item_table, traces_of
from omnireid.core.errors import StorageError
from omnireid.gallery.items import Filter
from omnireid.gallery.lance import connection, indexing, layout, old_files, purging, store, upkeep
from omnireid.gallery.lance.layout import Fragment, layout_of
from omnireid.gallery.lance.store import LanceStore
from omnireid.gallery.store import CollectionInfo


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LanceStore]:
    monkeypatch.setattr(store, "_LOOK_EACH", 4)
    monkeypatch.setattr(upkeep, "_SIZES", (4, 16, 64))
    monkeypatch.setattr(upkeep, "_MOST_OF_A_SIZE", 4)
    monkeypatch.setattr(upkeep, "_MOST_FRAGMENTS", 8)
    monkeypatch.setattr(connection, "_MERGED_EACH", 8)
    made = LanceStore(str(tmp_path / "gallery"))
    made.create_collection(CollectionInfo("c", DIM, "float32"))
    yield made
    made.close()


@pytest.fixture
def nothing_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Old files are removed at once."""
    monkeypatch.setattr(old_files, "_MOST_FILES", 0)
    monkeypatch.setattr(old_files, "_MOST_VERSIONS", 1)


def settled(opened: LanceStore) -> Any:
    """Statistics of the table when no thread merges."""
    for thread in list(opened._merging.values()):
        thread.join()
    return opened._collection("c").table.stats()["fragment_stats"]


def folder_of(opened: LanceStore) -> Path:
    """Of the table of the collection."""
    (folder,) = Path(opened.uri).glob("c-*.lance")
    return folder


def ids_of(opened: LanceStore) -> list[str]:
    return [row.as_py() for batch in opened.scan("c", columns=("id",)) for row in batch["id"]]


def test_single_items_do_not_stay_in_files_of_their_own(opened: LanceStore) -> None:
    rows = item_table(60)
    for row in range(60):
        opened.add("c", rows.slice(row, 1))
        if row % 10 == 9:
            opened.set_identity("c", [rows["id"][row].as_py()], "somebody")
            opened.delete("c", Filter(ids=frozenset([rows["id"][row - 1].as_py()])))
    assert settled(opened)["num_fragments"] <= 20
    left = {row.as_py() for batch in opened.scan("c") for row in batch["id"]}
    assert left == set(rows["id"].to_pylist()) - {rows["id"][row].as_py() for row in range(8, 60, 10)}
    assert opened.count("c", Filter(identities=frozenset({"somebody"}))) == 6


def test_files_of_single_items_do_not_add_up(opened: LanceStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(old_files, "_MOST_FILES", 12)
    monkeypatch.setattr(old_files, "_MOST_VERSIONS", 6)
    rows = item_table(120)
    for row in range(120):
        opened.add("c", rows.slice(row, 1))
        opened.put_records("kind", {f"{row % 3}": {"row": row}})
    settled(opened)
    for table in (Path(opened.uri) / "records.lance", folder_of(opened)):
        files = Counter(path.parent.name for path in table.rglob("*") if path.is_file())
        # Of the newest version, older ones that stay, and what the last looks have left for the next.
        assert files["_versions"] <= 6 + 2 * 8 + 1
        assert files["_transactions"] <= 6 + 2 * 8
        assert files["data"] <= 12 + 2 * 8 + 12
    assert opened.records("kind") == {"0": {"row": 117}, "1": {"row": 118}, "2": {"row": 119}}
    assert sorted(ids_of(opened)) == sorted(rows["id"].to_pylist())


def test_old_files_stay_in_a_measure(opened: LanceStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever reads an older version finds its files, until they are half as many bytes as what is there."""
    rows = item_table(600)
    opened.add("c", rows.slice(0, 300))
    ids = rows["id"].to_pylist()
    for start in range(0, 300, 30):
        opened.set_identity("c", ids[start : start + 30], "somebody")
    settled(opened)
    opened._tidy("c")
    folder = folder_of(opened)
    assert sum(path.stat().st_size for path in (folder / "data").iterdir()) > 2 * needed_bytes(opened)
    monkeypatch.setattr(old_files, "_LEAST_BYTES", 0)
    opened._tidy("c")
    size = sum(path.stat().st_size for name in ("data", "_deletions") for path in (folder / name).iterdir())
    assert needed_bytes(opened) < size <= 1.5 * needed_bytes(opened)
    assert sorted(ids_of(opened)) == sorted(ids[:300])


def needed_bytes(opened: LanceStore) -> int:
    folder = folder_of(opened)
    newest = layout_of(opened._collection("c").table, folder)
    assert newest is not None
    return sum((folder / file).stat().st_size for fragment in newest.fragments for file in fragment.files)


@pytest.mark.parametrize("is_indexed", [False, True])
def test_a_layout_is_what_a_purge_leaves(
    opened: LanceStore, monkeypatch: pytest.MonkeyPatch, is_indexed: bool
) -> None:
    """LanceDB itself removes what the newest version does not need when it is told to keep nothing."""
    monkeypatch.setattr(indexing, "FEWEST_ROWS", 300)
    rows = item_table(500)
    opened.add("c", rows)
    if is_indexed:
        opened.build_index("c")
    opened.add("c", item_table(40, seed=1))
    opened.delete("c", Filter(ids=frozenset(rows["id"].to_pylist()[:7])))
    opened.set_identity("c", rows["id"].to_pylist()[9:12], "somebody")
    settled(opened)
    table, folder = opened._collection("c").table, folder_of(opened)
    newest = layout_of(table, folder)
    assert newest is not None
    rows_of = {fragment.number: fragment.rows for fragment in newest.fragments}
    assert rows_of == purging.visible_fragments(table)
    assert sum(fragment.deleted for fragment in newest.fragments) == 7 + 3
    opened.purge("c")
    newest = layout_of(table, folder)
    assert newest is not None
    left = {f"{name}/{path.name}" for name in ("data", "_deletions") for path in (folder / name).iterdir()}
    assert {file for fragment in newest.fragments for file in fragment.files} == left
    assert newest.indexes == {path.parent.name for path in (folder / "_indices").glob("*/*")}
    assert len(newest.indexes) == (2 if is_indexed else 0)


@pytest.mark.parametrize("damage", [b"", b"LANC", b"\xff" * 400])
def test_a_manifest_of_another_form_is_not_understood(opened: LanceStore, damage: bytes) -> None:
    opened.add("c", item_table(5))
    settled(opened)
    collection, folder = opened._collection("c"), folder_of(opened)
    newest = min((folder / "_versions").glob("*.manifest"))
    content = newest.read_bytes()
    newest.write_bytes(damage + content[-16:] if len(damage) > 4 else damage)
    assert layout_of(collection.table, folder) is None
    newest.write_bytes(content)
    assert layout_of(collection.table, folder) is not None


@pytest.mark.parametrize(
    ("name", "says"), [("count_rows", 6), ("list_indices", ["id_idx"]), ("features", 32)]
)
def test_nothing_is_done_to_a_table_of_which_lancedb_says_otherwise(
    opened: LanceStore, monkeypatch: pytest.MonkeyPatch, name: str, says: Any
) -> None:
    """It only looks like the known form: rows, indexes or features that are somewhere else."""
    opened.add("c", item_table(5))
    settled(opened)
    collection, folder = opened._collection("c"), folder_of(opened)
    files = sorted(folder.rglob("*"))
    fields = layout.fields
    with monkeypatch.context() as patch:
        if name == "features":
            patch.setattr(layout, "fields", lambda *where: [*fields(*where), (9, says, 0, 0)])
        else:
            patch.setattr(collection.table, name, lambda: says)
        patch.setattr(old_files, "_MOST_FILES", 0)
        assert upkeep.tidy(collection, folder, {}) is None
    assert sorted(folder.rglob("*")) == files
    assert upkeep.tidy(collection, folder, {}) is not None


def test_a_row_is_written_again_once_for_each_size() -> None:
    """As many files as a logarithm of the items, and as many times that each of them is written."""
    fragments: list[Fragment] = []
    written = 0
    for number in range(3 * 16**4):
        fragments.append(Fragment(number, (), 1, 0))
        if number % 16 == 15 and (crowd := upkeep.crowded(fragments)):
            written += sum(fragment.rows for fragment in crowd)
            fragments = [fragment for fragment in fragments if fragment not in crowd]
            fragments.append(Fragment(number, (), sum(fragment.rows for fragment in crowd), 0))
    assert len(fragments) <= 16 * 4
    assert written <= 4 * 3 * 16**4
    assert upkeep.crowded([Fragment(0, (), 90_000, 95_000), Fragment(1, (), 5, 4)]) == [
        Fragment(0, (), 90_000, 95_000)
    ]


@pytest.mark.usefixtures("nothing_stays")
def test_a_slow_scan_gives_each_item_once_while_files_go(opened: LanceStore) -> None:
    rows = item_table(60)
    for row in range(60):
        opened.add("c", rows.slice(row, 1))
    settled(opened)
    others = item_table(90, seed=1)
    given: list[str] = []
    for number, batch in enumerate(opened.scan("c", columns=("id",), batch_size=6)):
        given.extend(batch["id"].to_pylist())
        for row in range(9 * number, 9 * number + 9):
            opened.add("c", others.slice(row, 1))
        settled(opened)
    assert len(given) == len(set(given))
    assert set(rows["id"].to_pylist()) <= set(given) <= {*rows["id"].to_pylist(), *others["id"].to_pylist()}


def test_nothing_is_removed_while_an_index_is_built(
    opened: LanceStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened.add("c", item_table(4))
    settled(opened)
    left = folder_of(opened) / "data" / "in-the-making.lance"
    left.write_bytes(b"rows of a file that is not committed yet")
    monkeypatch.setattr(old_files, "_MOST_FILES", 0)
    other = LanceStore(opened.uri)
    with other._upkeep.held():
        opened._tidy("c")
        assert left.exists()
    opened._tidy("c")
    assert not left.exists()


@pytest.mark.usefixtures("nothing_stays")
def test_an_index_leaves_no_second_copy(opened: LanceStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexing, "FEWEST_ROWS", 300)
    for seed in range(3):
        opened.add("c", item_table(2000, seed=seed, dim=DIM))
    settled(opened)
    before = opened.disk_bytes()
    opened.build_index("c")
    opened.add("c", item_table(20, seed=3))
    opened.build_index("c")
    after = opened.disk_bytes()
    assert before is not None
    assert after is not None
    assert after < 1.5 * before
    assert opened.index_state("c").status == "ready"


def test_what_an_index_covers_is_not_moved(opened: LanceStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """LanceDB cleans an index of what is forgotten only where the fragments that it covers are there."""
    monkeypatch.setattr(indexing, "FEWEST_ROWS", 300)
    rows = item_table(400)
    opened.add("c", rows)
    opened.build_index("c")
    others = item_table(24, seed=1)
    for row in range(24):
        opened.add("c", others.slice(row, 1))
    assert settled(opened)["num_fragments"] <= 8
    state = opened.index_state("c")
    assert (state.status, state.indexed) == ("ready", 400)
    traces = [*traces_of(rows, 5).values(), *traces_of(others, 7).values()]
    gone = [rows["id"][5].as_py(), others["id"][7].as_py()]
    opened.delete("c", Filter(ids=frozenset(gone)))
    opened.purge("c")
    assert [files_with(Path(opened.uri), trace) for trace in traces] == [[]] * len(traces)
    assert opened.index_state("c").status == "ready"


def test_an_index_stays_and_takes_them_in(opened: LanceStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexing, "FEWEST_ROWS", 300)
    opened.add("c", item_table(400))
    opened.build_index("c")
    for seed in range(1, 20):
        opened.add("c", item_table(2, seed=seed))
    settled(opened)
    state = opened.index_state("c")
    assert state.status == "ready"
    assert state.indexed > 400
    assert state.indexed + state.unindexed == 400 + 19 * 2


def test_no_index_is_built_that_nobody_asked_for(opened: LanceStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexing, "FEWEST_ROWS", 300)
    opened.add("c", item_table(400))
    for seed in range(1, 20):
        opened.add("c", item_table(2, seed=seed))
    assert settled(opened)["num_fragments"] < 19
    assert opened.index_state("c").status == "none"


def test_a_failure_concerns_no_writer(
    opened: LanceStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: object) -> None:
        raise StorageError("the disk is full")

    monkeypatch.setattr(upkeep, "tidy", fails)
    with caplog.at_level(logging.WARNING):
        for seed in range(20):
            assert opened.add("c", item_table(1, seed=seed)).all()
        assert settled(opened)["num_fragments"] == 20
    assert "not merged: the disk is full" in caplog.text


def test_records_of_short_processes_are_merged_and_a_failure_concerns_none(
    opened: LanceStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(_: object) -> None:
        raise StorageError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(connection, "merge_files", fails)
        for number in range(12):
            LanceStore(opened.uri).put_records("kind", {str(number): {}})
    assert "not merged: the disk is full" in caplog.text
    for number in range(12, 24):
        LanceStore(opened.uri).put_records("kind", {str(number): {}})
    files = opened._connection.record_table.stats()["fragment_stats"]["num_fragments"]
    assert files < 12
    assert set(opened.records("kind")) == {str(number) for number in range(24)}


def test_closing_waits_for_it(opened: LanceStore, monkeypatch: pytest.MonkeyPatch) -> None:
    within, go_on, removed = threading.Event(), threading.Event(), []
    remove = old_files.remove

    def slow(files: list[str]) -> None:
        within.set()
        assert go_on.wait(20)
        remove(files)
        removed.append(files)

    monkeypatch.setattr(old_files, "remove", slow)
    for seed in range(12):
        opened.add("c", item_table(1, seed=seed))
        if within.is_set():
            break
    assert within.wait(20)
    # Writes go on meanwhile.
    assert opened.add("c", item_table(1, seed=99)).all()
    threading.Timer(0.05, go_on.set).start()
    opened.close()
    assert len(removed) == 1


def test_where_files_cannot_be_known_they_are_merged_all_together(
    opened: LanceStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in object storage."""
    monkeypatch.setattr(upkeep, "tidy", lambda *_: None)
    rows = item_table(40)
    for row in range(40):
        opened.add("c", rows.slice(row, 1))
    assert settled(opened)["num_fragments"] <= 8 + 2 * 4
    assert sorted(ids_of(opened)) == sorted(rows["id"].to_pylist())

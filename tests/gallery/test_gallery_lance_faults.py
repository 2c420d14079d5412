"""Kills, full disks, foreign folders and two processes at once."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from gallery.lance_rows import DIM, item_table
from omnireid import Gallery, Item, ModelRef
from omnireid.core.errors import DiskFullError, InputError, StorageError
from omnireid.gallery.errors import GalleryAwayError
from omnireid.gallery.lance import connection, locking
from omnireid.gallery.lance.failures import storing
from omnireid.gallery.lance.store import LanceStore
from omnireid.gallery.store import CollectionInfo

ROOT = Path(__file__).parents[2]
MODEL = ModelRef("toy", "ab" * 32, DIM)
FAULTS = ROOT / "benchmarks" / "gallery_faults.py"

FULL_DISK = """
import resource, signal, sys
from gallery.lance_rows import DIM, item_table
from omnireid.core.errors import StorageError
from omnireid.gallery.lance.store import LanceStore
from omnireid.gallery.store import CollectionInfo

store = LanceStore(sys.argv[1])
store.create_collection(CollectionInfo("c", DIM, "float32"))
store.add("c", item_table(100))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, resource.RLIM_INFINITY))
for attempt in (
    lambda: store.add("c", item_table(3000, seed=1)),
    lambda: store.put_records("k", {str(n): {"n": str(hash(str(n)))} for n in range(9000)}),
    lambda: store.append_audit([{"time": 0.0, "long": "x" * 90_000}]),
):
    try:
        attempt()
    except StorageError as error:
        print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
assert store.count("c") == 100
assert store.records("k") == {}
assert list(store.audit()) == []
store.add("c", item_table(3000, seed=1))
assert store.count("c") == 3100
"""

ADD_MANY = """
import sys
from gallery.lance_rows import item_table
from omnireid.gallery.lance.store import LanceStore

store = LanceStore(sys.argv[1])
tables = [item_table(40 if seed % 2 else 400, seed=seed) for seed in range(24)]
print("ready", flush=True)
sys.stdin.readline()
print(sum(int(store.add("c", rows).sum()) for rows in tables))
"""


def python(code: str, folder: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tests")}
    return subprocess.Popen(
        [sys.executable, "-c", code, str(folder)],
        env=environment,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["add", "index", "forget", "drop"])
def test_killed_at_random_nothing_is_lost_or_half_done(kind: str) -> None:
    done = subprocess.run(
        [sys.executable, str(FAULTS), "--kills", "2", "--only", kind],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "killed 2 times" in done.stdout


@pytest.mark.skipif(os.name != "posix", reason="limits of a process are POSIX's")
def test_a_full_disk_is_said_and_nothing_is_lost(tmp_path: Path) -> None:
    process = python(FULL_DISK, tmp_path / "gallery")
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    lines = output.splitlines()
    assert len(lines) == 3, output
    assert all("cannot write" in line for line in lines)


def test_two_processes_add_the_same_items_once(tmp_path: Path) -> None:
    folder = tmp_path / "gallery"
    store = LanceStore(str(folder))
    store.create_collection(CollectionInfo("c", DIM, "float32"))
    processes = [python(ADD_MANY, folder) for _ in range(2)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    outcomes = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outcomes
    assert sum(int(output) for output, _ in outcomes) == 12 * 440 == store.count("c")
    ids = [name for rows in store.scan("c", columns=("id",)) for name in rows["id"].to_pylist()]
    assert len(set(ids)) == len(ids)


def test_a_collection_dropped_by_another_handle_is_not_there(tmp_path: Path) -> None:
    one, other = (LanceStore(str(tmp_path / "gallery")) for _ in range(2))
    one.create_collection(CollectionInfo("c", DIM, "float32"))
    one.add("c", item_table(5))
    other.drop_collection("c")
    with pytest.raises(InputError, match="no collection 'c'"):
        one.count("c")
    other.create_collection(CollectionInfo("c", DIM, "float32"))
    assert one.count("c") == 0


def test_a_folder_with_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"not a gallery, it holds 'notes.txt'"):
        LanceStore(str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    with pytest.raises(InputError, match="expected the folder of a gallery, got a file"):
        LanceStore(str(tmp_path / "notes.txt"))


def test_a_later_format_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as later:
        schema = connection._RECORD_SCHEMA.with_metadata({b"omnireid_gallery_format": b"3"})
        later.setattr(connection, "_RECORD_SCHEMA", schema)
        later.setattr(connection, "FORMAT", "3")
        LanceStore(str(tmp_path / "gallery")).put_records("k", {"a": {}})
    with pytest.raises(InputError, match="a gallery of format 3, and this version reads format 2"):
        LanceStore(str(tmp_path / "gallery"))


def test_the_format_survives_a_purge(tmp_path: Path) -> None:
    store = LanceStore(str(tmp_path / "gallery"))
    store.put_records("k", {"a": {"n": 1}})
    store.purge_records()
    assert LanceStore(store.uri).records("k") == {"a": {"n": 1}}


def test_a_damaged_table_is_an_error_that_names_the_gallery(tmp_path: Path) -> None:
    store = LanceStore(str(tmp_path / "gallery"))
    store.create_collection(CollectionInfo("c", DIM, "float32"))
    store.add("c", item_table(5))
    for manifest in (tmp_path / "gallery").glob("c-*.lance/_versions/*.manifest"):
        manifest.write_bytes(b"nonsense")
    with pytest.raises(StorageError, match="gallery"):
        LanceStore(store.uri).count("c")


def test_rows_of_another_dimension_are_refused(tmp_path: Path) -> None:
    store = LanceStore(str(tmp_path / "gallery"))
    store.create_collection(CollectionInfo("c", DIM, "float32"))
    with pytest.raises((InputError, StorageError)):
        store.add("c", item_table(5, dim=DIM + 8))
    assert store.count("c") == 0
    assert isinstance(store.get("c", []), pa.Table)


@pytest.mark.parametrize("what_is_left", ["nothing", "an empty folder"])
@pytest.mark.parametrize("is_warm", [False, True])
def test_a_folder_that_has_gone_is_said_and_not_made_anew(
    tmp_path: Path, what_is_left: str, is_warm: bool
) -> None:
    """Moved, deleted, or its disk unmounted, which leaves the empty folder that it was mounted on."""
    folder, elsewhere = tmp_path / "g", tmp_path / "elsewhere"
    item, row = Item(identity="p1", camera="a"), np.ones((1, DIM))
    with Gallery.open(str(folder)) as gallery:
        (known,) = gallery.enrol([item], row, model=MODEL).ids
        if is_warm:
            gallery.warm()
        # What merges files beside the writes may just be about to lock the folder, and would make it.
        while gallery.store._merging:
            time.sleep(0.01)
        folder.rename(elsewhere)
        if what_is_left != "nothing":
            folder.mkdir()
        for ask in (
            gallery.check,
            gallery.state,
            gallery.items,
            gallery.identities,
            gallery.retention,
            gallery.operations,
            gallery.audit,
            gallery.verify_audit,
            gallery.build_index,
            gallery.run_retention,
            gallery.warm,
            lambda: gallery.item(known),
            lambda: gallery.search(row[0], model=MODEL),
            lambda: gallery.search_tracklet(row, model=MODEL),
            lambda: gallery.enrol([Item(camera="b")], row, model=MODEL),
            lambda: gallery.name_identity("p1", "Ann"),
            lambda: gallery.forget("p1"),
        ):
            with pytest.raises(GalleryAwayError) as raised:
                ask()
            assert str(raised.value) == "the gallery cannot be read: its folder is not there"
        assert not folder.exists() if what_is_left == "nothing" else list(folder.iterdir()) == []
        if folder.exists():
            folder.rmdir()
        elsewhere.rename(folder)
        gallery.check()
        assert gallery.search(row[0], model=MODEL).candidates[0].item.id == known
        assert gallery.enrol([Item(camera="b")], row, model=MODEL).is_new.all()


def test_errors_name_no_path_of_the_machine_that_built_the_store(tmp_path: Path) -> None:
    folder = tmp_path / "g"
    with Gallery.open(str(folder)) as gallery:
        gallery.enrol([Item()], np.ones((1, DIM)), model=MODEL)
    (data,) = folder.glob("items*/data/*")
    for harm in (
        lambda: data.write_bytes(data.read_bytes()[:100]),
        lambda: data.write_bytes(b"x"),
        data.unlink,
    ):
        harm()
        with Gallery.open(str(folder)) as gallery, pytest.raises(StorageError) as raised:
            gallery.search(np.ones(DIM), model=MODEL)
        assert str(raised.value).startswith("cannot search the gallery: ")
        assert not re.search(r"cargo|\.rs\b|src/", str(raised.value)), raised.value


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), DiskFullError, "the disk is full"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), DiskFullError, "the disk is full"),
        (RuntimeError("lance error: IO: No space left on device (os error 28)"), DiskFullError, "is full"),
        (
            RuntimeError("lance error: IO: Disk quota exceeded (os error 122), /r/x.rs:1"),
            DiskFullError,
            "full",
        ),
        (OSError(errno.EIO, "Input/output error"), StorageError, "input/output error"),
        (OSError(errno.EACCES, "Permission denied"), StorageError, "no permission"),
        (
            RuntimeError("lance error: Not found: a/b, /root/.cargo/r/c-1.0/src/io/d.rs:65:3"),
            StorageError,
            "a/b",
        ),
        (RuntimeError("lance error: odd, (/root/c/src/d.rs:65)\nmore"), StorageError, "odd"),
        (ValueError(""), StorageError, "ValueError"),
    ],
)
def test_what_failed_is_said_by_kind_and_words(error: Exception, kind: type[StorageError], said: str) -> None:
    with pytest.raises(StorageError) as raised, storing("cannot do it"):
        raise error
    assert type(raised.value) is kind
    assert str(raised.value).startswith("cannot do it: ")
    assert said in str(raised.value)
    assert ".rs" not in str(raised.value)


SANDY_BRIDGE = frozenset({"64bit", "aes", "avx", "cmov", "cx16", "popcnt", "sse2", "sse4.2", "xsave"})
HASWELL = SANDY_BRIDGE | {"avx2", "fma", "bmi", "bmi2", "f16c", "lzcnt", "movbe"}


@pytest.mark.parametrize(
    ("features", "lacking"),
    [(SANDY_BRIDGE, "AVX2 and FMA"), (HASWELL - {"fma"}, "FMA"), (HASWELL - {"movbe"}, "MOVBE")],
)
def test_a_processor_on_which_the_store_would_crash_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, features: frozenset[str], lacking: str
) -> None:
    monkeypatch.setattr(connection, "processor_features", lambda: features)
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    with pytest.raises(InputError) as raised:
        LanceStore(str(tmp_path / "g"))
    assert str(raised.value) == (
        f"galleries in a folder need {lacking}, which this processor lacks; "
        "install lancedb-compat in place of lancedb, or use Milvus"
    )
    assert not (tmp_path / "g").exists()


def test_other_processors_and_the_store_built_for_older_ones_are_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    for features in (HASWELL, frozenset()):
        monkeypatch.setattr(connection, "processor_features", lambda found=features: found)
        connection.check_processor()
    monkeypatch.setattr(connection, "processor_features", lambda: SANDY_BRIDGE)
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    connection.check_processor()
    monkeypatch.setattr("platform.machine", lambda: "AMD64")
    with pytest.raises(InputError):
        connection.check_processor()
    monkeypatch.setattr("importlib.metadata.distribution", lambda name: {"lancedb-compat": name}[name])
    connection.check_processor()


def test_a_folder_that_goes_while_it_is_locked_is_not_left_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, elsewhere = tmp_path / "g", tmp_path / "elsewhere"
    with Gallery.open(str(folder)) as gallery:
        gallery.enrol([Item(key="a")], np.ones((1, DIM)), model=MODEL)
        while gallery.store._merging:
            time.sleep(0.01)
        check = locking.check_there
        seen: list[Path] = []

        def moved_after_the_first_look(place: Path) -> None:
            check(place)
            if not seen:
                seen.append(place)
                folder.rename(elsewhere)

        monkeypatch.setattr(locking, "check_there", moved_after_the_first_look)
        with pytest.raises(GalleryAwayError), gallery.store.lock():
            pass
        assert not folder.exists()
        elsewhere.rename(folder)
        with gallery.store.lock():
            assert gallery.state().items == 1

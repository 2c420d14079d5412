"""Kill a process that writes to a local gallery, at random moments, and check what it leaves.

    python benchmarks/gallery_faults.py [--kills 20] [--only add index forget drop single] [--seed 0]

The process says what has been done after each call that returned. Then everything that it said must be true,
nothing may be there by half, and the gallery must open and take further writes. `forget` also looks for the
bytes of what was deleted and purged in all files. `benchmarks/gallery.py --faults` runs this.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from omnireid.gallery.items import FIELDS, Filter
from omnireid.gallery.lance import indexing, old_files, upkeep
from omnireid.gallery.lance import store as lance_store
from omnireid.gallery.lance.store import LanceStore
from omnireid.gallery.store import CollectionInfo, item_schema

DIM = 32
BATCH = 400
INDEXED_FROM = 500
_LONGEST_S = 1.5


def noise(name: str, size: int) -> bytes:
    """Bytes that nothing compresses, the same for the same name."""
    return hashlib.shake_128(name.encode()).digest(size)


def ids_of(batch: int) -> list[str]:
    """Of the items of a batch."""
    return [noise(f"id {batch}/{n}", 16).hex() for n in range(BATCH)]


def embeddings_of(batch: int) -> np.ndarray:
    """(BATCH, DIM) float32 of unit norm."""
    rows = np.random.default_rng(batch).standard_normal((BATCH, DIM), np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def table_of(batch: int) -> pa.Table:
    """Items whose camera names their batch."""
    absent = {field.name: [field.absent] * BATCH for field in FIELDS if field.is_stored}
    columns = {
        "id": ids_of(batch),
        "identity": [noise(f"person {batch}", 12).hex()] * BATCH,
        "camera": [f"batch {batch}"] * BATCH,
        "time": [float(batch)] * BATCH,
        "attributes": ["{}"] * BATCH,
        "tags": [[]] * BATCH,
        "has_thumbnail": [True] * BATCH,
        "thumbnail": [noise(f"picture {batch}/{n}", 200) for n in range(BATCH)],
        "embedding": list(embeddings_of(batch)),
    }
    return pa.table({**absent, **columns}, schema=item_schema(DIM))


def opened(folder: Path) -> LanceStore:
    """The gallery, with indexes for as few items as there are here."""
    indexing.FEWEST_ROWS = INDEXED_FROM
    return LanceStore(str(folder))


def said(*words: object) -> None:
    """Tell the parent what is done."""
    # In one piece: a word on its way when the process is killed says nothing.
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


# What the process does until it is killed. Batches go on where the last process stopped.


def do_add(store: LanceStore, first: int) -> None:
    """Enrol."""
    for batch in range(first, first + 10_000):
        store.add("c", table_of(batch))
        said("added", batch)


def do_index(store: LanceStore, first: int) -> None:
    """Enrol, and build the index each time."""
    for batch in range(first, first + 10_000):
        store.add("c", table_of(batch))
        said("added", batch)
        if batch % 5 == 0 and store.index_state("c").status == "ready":
            # As when it is outgrown: trained again.
            store._collection("c").tuning = None
        store.build_index("c")
        said("indexed", batch)


def do_forget(store: LanceStore, first: int) -> None:
    """Enrol two batches, delete and purge one."""
    for batch in range(first, first + 10_000, 2):
        for one in (batch, batch + 1):
            store.add("c", table_of(one))
            said("added", one)
        if batch % 8 == 0:
            store.build_index("c")
        store.delete("c", Filter(cameras=frozenset({f"batch {batch}"})))
        said("deleted", batch)
        store.purge("c")
        said("purged", batch)


def do_drop(store: LanceStore, first: int) -> None:
    """Make a collection, fill it, drop it."""
    for batch in range(first, first + 10_000):
        store.create_collection(CollectionInfo("d", DIM, "float32"))
        store.add("d", table_of(batch))
        said("added", batch)
        store.drop_collection("d")
        said("dropped", batch)


def do_single(store: LanceStore, first: int) -> None:
    """Enrol one item at a time, and delete some, while small files are merged and old ones go."""
    lance_store._LOOK_EACH, old_files._MOST_FILES, old_files._MOST_VERSIONS = 4, 4, 4
    upkeep._SIZES, upkeep._MOST_OF_A_SIZE = (4, 16, 64), 4
    for batch in range(first, first + 10_000):
        rows = table_of(batch)
        for number in range(BATCH):
            store.add("c", rows.slice(number, 1))
            said("item", batch, number)
            if number % 10 == 9:
                store.delete("c", Filter(ids=frozenset([ids_of(batch)[number - 5]])))
                said("gone", batch, number - 5)


# What must hold after the kill.


def check_rows(store: LanceStore, done: list[list[str]], *, forgets: bool = False) -> None:
    """Batches are there whole or not at all, and those said to be there are.

    What each process did last may have been committed just before the kill, and not said.
    """
    begun = {int(words[1]) for words in done if words[0] == "begun"}
    added = {int(words[1]) for words in done if words[0] == "added"}
    deleted = {int(words[1]) for words in done if words[0] == "deleted"}
    cameras: Counter[str] = Counter()
    ids: set[str] = set()
    for rows in store.scan("c", columns=("id", "camera", "embedding")):
        cameras.update(rows["camera"].to_pylist())
        ids.update(rows["id"].to_pylist())
    assert set(cameras.values()) <= {BATCH}, f"batches in part: {cameras}"
    assert len(ids) == sum(cameras.values()), "an item is there twice"
    present = {int(camera.split()[1]) for camera in cameras}
    may_be_there = added | {batch + 1 for batch in added | begun}
    may_be_gone = {batch for batch in added if forgets and batch % 2 == 0 and batch + 2 not in added}
    kept = added - deleted - may_be_gone
    assert present >= kept, f"lost: {sorted(kept - present)}"
    assert not present & deleted, f"came back: {sorted(present & deleted)}"
    assert present <= may_be_there, f"never enrolled: {sorted(present - may_be_there)}"
    for batch in sorted(present)[-2:]:
        query = embeddings_of(batch)[7]
        for exact in (True, False):
            best = store.search("c", query, k=1, exact=exact, columns=("id",))
            assert best["id"].to_pylist() == [ids_of(batch)[7]], "not found by its own embedding"
        again = store.get("c", ids_of(batch), columns=("thumbnail",))["thumbnail"].to_pylist()
        assert again == [noise(f"picture {batch}/{n}", 200) for n in range(BATCH)], "a changed thumbnail"


def check_bytes(folder: Path, batches: set[int]) -> None:
    """Nothing of these batches is in any file."""
    content = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    for batch in batches:
        traces = {
            "thumbnail": noise(f"picture {batch}/3", 200),
            "embedding": embeddings_of(batch)[3].tobytes(),
            "id": ids_of(batch)[3].encode(),
            "identity": noise(f"person {batch}", 12).hex().encode(),
        }
        for kind, trace in traces.items():
            found = [path.name for path, bytes_of in content.items() if trace in bytes_of]
            assert not found, f"the {kind} of forgotten batch {batch} is in {found}"


def check_forgotten(folder: Path, done: list[list[str]]) -> None:
    """What was purged is off the disk at once, the rest after the purge is run again."""
    check_bytes(folder, {int(words[1]) for words in done if words[0] == "purged"})
    store = opened(folder)
    check_rows(store, done, forgets=True)
    store.purge("c")
    check_bytes(folder, {int(words[1]) for words in done if words[0] == "deleted"})
    check_rows(store, done, forgets=True)


def check_dropped(folder: Path, done: list[list[str]]) -> None:
    """The collection is there whole or not at all, and a drop that is run again leaves no file."""
    store = opened(folder)
    if "d" in store.collections():
        assert store.count("d") in (0, BATCH)
        assert sum(rows.num_rows for rows in store.scan("d", columns=("embedding",))) == store.count("d")
    store.drop_collection("d")
    assert not list(folder.glob("d-*")), "files of a dropped collection"
    check_bytes(folder, {int(words[1]) for words in done if words[0] in ("added", "dropped")})


def check_kept(folder: Path, done: list[list[str]]) -> None:
    """Everything said to be there is, before and after upkeep."""
    store = opened(folder)
    check_rows(store, done)
    store.build_index("c")
    check_rows(store, done)


def check_single(folder: Path, done: list[list[str]]) -> None:
    """Every item said to be there is, once and whole, and none that is said to be gone."""
    said_of: dict[str, set[tuple[int, int]]] = {"item": set(), "gone": set()}
    for word, batch, *number in done:
        if number:
            said_of[word].add((int(batch), int(number[0])))
    store = opened(folder)
    pictures: Counter[bytes] = Counter()
    for rows in store.scan("c", columns=("thumbnail",)):
        pictures.update(rows["thumbnail"].to_pylist())
    assert set(pictures.values()) <= {1}, "an item is there twice"
    for batch, number in said_of["item"]:
        picture = noise(f"picture {batch}/{number}", 200)
        if (batch, number) in said_of["gone"]:
            assert picture not in pictures, f"item {number} of batch {batch} came back"
        else:
            # A deletion may have been committed just before the kill, and not said.
            may_be_gone = number % 10 == 4 and (batch, number + 6) not in said_of["item"]
            assert picture in pictures or may_be_gone, f"lost: item {number} of batch {batch}"


WORK: dict[str, Callable[[LanceStore, int], None]] = {
    "add": do_add,
    "index": do_index,
    "forget": do_forget,
    "drop": do_drop,
    "single": do_single,
}
CHECKS: dict[str, Callable[[Path, list[list[str]]], None]] = {
    "add": check_kept,
    "index": check_kept,
    "forget": check_forgotten,
    "drop": check_dropped,
    "single": check_single,
}


def killed(kind: str, folder: Path, first: int, after_s: float) -> Iterator[list[str]]:
    """Let a process work, kill it some time after it has begun, and give what it said."""
    command = [sys.executable, __file__, "--work", kind, str(folder), str(first)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        begun = process.stdout.readline()
        assert begun, "the process ended before it began"
        time.sleep(after_s)
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read()
        assert process.wait() == -signal.SIGKILL, "the process ended by itself"
    for line in (begun + rest).rpartition("\n")[0].splitlines():
        yield line.split()


def run(kind: str, kills: int, seed: int) -> int:
    """Kill so often in one gallery, checking each time; how many calls had returned in all."""
    rng = random.Random(f"{kind} {seed}")
    done: list[list[str]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "gallery"
        store = opened(folder)
        store.create_collection(CollectionInfo("c", DIM, "float32"))
        store.close()
        first = 0
        for _ in range(kills):
            done.extend(killed(kind, folder, first, rng.uniform(0, _LONGEST_S)))
            CHECKS[kind](folder, done)
            # Past the batch that was in the making: it is there or not, and is no longer asked about.
            first = max((int(words[1]) for words in done), default=0) + 4
            first -= first % 2
    return len(done)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=20, help="of each kind")
    parser.add_argument("--only", nargs="+", choices=WORK, default=list(WORK))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        kind, folder, first = options.work
        store = opened(Path(folder))
        said("begun", int(first) - 1)
        WORK[kind](store, int(first))
    for kind in options.only:
        calls = run(kind, options.kills, options.seed)
        print(
            f"{kind}: killed {options.kills} times, {calls:,} calls had returned, nothing lost or half done"
        )


if __name__ == "__main__":
    main()

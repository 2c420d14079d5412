"""kill -9 during forgetting and retention: done or not begun, once it was opened again, and no byte left.

    python benchmarks/gallery_erasure.py [--kills 20]

Each round copies a gallery, starts the work in a process of its own, kills that after a random time, opens
the gallery again, and compares what is there with what should be. `gallery_faults.py` does the same to a
store's single writes.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np

from omnireid import Filter, Gallery, Item, ModelRef
from omnireid.gallery.items import item_id

DIM = 64
MODEL = ModelRef("faults", "f" * 64, DIM)
PERSON, NAME = "somebody-4711", "Ann Alpha of the fault test"
NOW = 2_000_000_000.0
WORK = ("forget", "retention")


class Content(NamedTuple):
    """What a gallery holds of one person, and of others.

    Attributes:
        person: ids of the person's items; they are also those that expire.
        others: ids of all other items.
        traces: pictures and embeddings of the person, the name and the id.
    """

    person: frozenset[str]
    others: frozenset[str]
    traces: tuple[bytes, ...]


class Found(NamedTuple):
    """How many rounds ended how, looked at after the gallery was opened again."""

    not_begun: int
    finished: int
    answered: int


def fill(folder: Path, *, num_items: int, seed: int = 0) -> Content:
    """Make a gallery of which every tenth item is of one person, and old."""
    embeddings = np.random.default_rng(seed).standard_normal((num_items, DIM)).astype(np.float32)
    items = [_item(number) for number in range(num_items)]
    batch = num_items // 4 + 1
    with Gallery.open(str(folder), clock=lambda: NOW) as gallery:
        for start in range(0, num_items, batch):
            part = slice(start, start + batch)
            gallery.enrol(items[part], embeddings[part], model=MODEL)
        gallery.name_identity(PERSON, NAME)
        gallery.set_retention(None, {"door": 1_000})
        person = [item_id(f"item {number}") for number in range(0, num_items, 10)]
        # As they are stored: normalised when they were enrolled.
        stored = [gallery.embedding(one).tobytes() for one in person]
    pictures = [_picture(number) for number in range(0, num_items, 10)]
    others = frozenset(item_id(f"item {number}") for number in range(num_items) if number % 10)
    return Content(frozenset(person), others, (*pictures, *stored, NAME.encode(), PERSON.encode()))


def files_holding(folder: Path, traces: tuple[bytes, ...]) -> dict[Path, int]:
    """Files below a folder in which any of these bytes stand, and how many of them."""
    found = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        if number := sum(trace in content for trace in traces):
            found[path] = number
    return found


def erasure_faults(work: str, folder: Path, *, kills: int, num_items: int = 2_000, seed: int = 0) -> Found:
    """Kill a process that forgets somebody, or applies retention, again and again.

    Args:
        work: one of `WORK`.
        folder: empty; for the galleries.
        kills: rounds.

    Raises:
        AssertionError: something acknowledged is missing, something is half done, or bytes were left.
    """
    template = folder / "template"
    content = fill(template, num_items=num_items)
    held = files_holding(template, content.traces)
    assert sum(held.values()) >= len(content.traces), "what is to vanish must be found before"
    took_s = _round(work, template, folder / "whole", content, kill_after_s=None)[1]
    rng = np.random.default_rng(seed)
    outcomes: Counter[str] = Counter()
    for number in range(kills):
        wait_s = float(rng.uniform(0, 1.1 * took_s))
        outcome, _ = _round(work, template, folder / f"{work}-{number}", content, kill_after_s=wait_s)
        outcomes[outcome] += 1
    return Found(outcomes["not begun"], outcomes["finished"], outcomes["answered"])


def _round(
    work: str, template: Path, folder: Path, content: Content, *, kill_after_s: float | None
) -> tuple[str, float]:
    """One kill: what was found, and the seconds from the start of the work to its end."""
    shutil.copytree(template, folder)
    command = [sys.executable, __file__, "--child", work, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        started = time.perf_counter()
        child.stdin.write("go\n")
        child.stdin.flush()
        if kill_after_s is None:
            said = child.stdout.readline()
            took_s = time.perf_counter() - started
        else:
            time.sleep(kill_after_s)
            child.kill()
            said, took_s = child.stdout.read(), kill_after_s
    outcome = _check(folder, content, is_answered=said == "done\n")
    shutil.rmtree(folder)
    return outcome, took_s


def _check(folder: Path, content: Content, *, is_answered: bool) -> str:
    with Gallery.open(str(folder), clock=lambda: NOW) as gallery:
        collection = gallery.models[0].collection
        batches = gallery.store.scan(collection, columns=("id",))
        there = frozenset(one for rows in batches for one in rows["id"].to_pylist())
        assert there & content.others == content.others, "items of others are missing"
        left = there & content.person
        assert left in (frozenset(), content.person), f"{len(left)} of {len(content.person)} items are left"
        has_name = PERSON in gallery.store.records("identity")
        assert has_name == bool(left), "the name and the items went apart"
        assert gallery.store.count(collection, Filter(identities=frozenset({PERSON}))) == len(left)
        assert not (is_answered and left), "it was answered, and they are there"
    if left:
        return "not begun"
    held = files_holding(folder, content.traces)
    assert not held, f"bytes were left in {held}"
    return "answered" if is_answered else "finished"


def _item(number: int) -> Item:
    is_person = number % 10 == 0
    return Item(
        key=f"item {number}",
        identity=PERSON if is_person else f"other-{number % 97}",
        camera="door" if is_person else "hall",
        time=NOW - (5_000 if is_person else 10),
        thumbnail=_picture(number),
    )


def _picture(number: int) -> bytes:
    """4 kB that nothing compresses."""
    return b"".join(hashlib.blake2b(f"{number}/{part}".encode()).digest() for part in range(64))


def _child(work: str, folder: str) -> None:
    with Gallery.open(folder, clock=lambda: NOW) as gallery:
        print("ready", flush=True)
        input()
        if work == "forget":
            gallery.forget(PERSON)
        else:
            gallery.run_retention()
        print("done", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--kills", type=int, default=20, help="of each kind of work")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        _child(*arguments.child)
        return
    for work in WORK:
        with tempfile.TemporaryDirectory() as folder:
            found = erasure_faults(work, Path(folder), kills=arguments.kills)
        print(
            f"{work}: {arguments.kills} kills: {found.not_begun} before it began, {found.finished} finished "
            f"when opened again, {found.answered} answered; nothing lost, nothing half done, no byte left",
            flush=True,
        )


if __name__ == "__main__":
    main()

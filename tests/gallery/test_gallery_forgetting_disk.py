"""What is forgotten is in no file any more: before, its bytes are found there; after, they are not."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gallery.lifecycle import DIM, fill, noise, person
from omnireid import Filter, Gallery, Item, ModelRef
from omnireid.gallery.items import item_id
from omnireid.gallery.opening import open_store

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "gallery_erasure.py"
MODEL = ModelRef("toy", "a" * 64, DIM)
COUNT = 60


@pytest.fixture(scope="module")
def erasure() -> Any:
    spec = importlib.util.spec_from_file_location("gallery_erasure", BENCHMARK)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["gallery_erasure"] = module
    spec.loader.exec_module(module)
    return module


def key(number: int) -> str:
    return f"crop{number}"


def traces(gallery: Gallery, numbers: range | list[int]) -> tuple[bytes, ...]:
    """Picture, embedding and id of each item."""
    ids = [item_id(key(number)) for number in numbers]
    embeddings = [gallery.embedding(one).tobytes() for one in ids]
    pictures = [noise(key(number), 512) for number in numbers]
    return (*pictures, *embeddings, *(one.encode() for one in ids))


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    """Thirty people with two items each, hours apart; one of them merged from two, with a name."""
    with Gallery.open(str(tmp_path / "gallery"), clock=lambda: 100_000.0) as opened:
        items = [
            Item(
                key=key(number),
                identity=f"pseudonym-{number % 30:02d}",
                camera="door" if number < 30 else "hall",
                time=float(1_000 * number),
                source=f"walks/{key(number)}/of/pseudonym-{number % 30:02d}.jpg",
                attributes={"note": f"seen-with-pseudonym-{number % 30:02d}"},
                thumbnail=noise(key(number), 512),
            )
            for number in range(COUNT)
        ]
        embeddings = np.random.default_rng(3).standard_normal((COUNT, DIM))
        for start in range(0, COUNT, 20):
            part = slice(start, start + 20)
            opened.enrol(items[part], embeddings[part], model=MODEL)
        opened.name_identity("pseudonym-07", "Ann Alpha")
        opened.merge("pseudonym-07", ["pseudonym-08"])
        opened.assign([item_id(key(9))], "pseudonym-08")
        yield opened


PERSON = [7, 37, 8, 38, 9]
WORDS = (b"Ann Alpha", b"pseudonym-07", b"pseudonym-08")


def test_a_person_is_found_in_the_files_before_and_not_after(
    gallery: Gallery, erasure: Any, tmp_path: Path
) -> None:
    of_person = (*traces(gallery, PERSON), *WORDS)
    others = [number for number in range(COUNT) if number not in PERSON]
    rest = traces(gallery, others)
    assert sum(erasure.files_holding(tmp_path, of_person).values()) >= len(of_person)
    assert gallery.forget("pseudonym-08").items == 5
    assert erasure.files_holding(tmp_path, of_person) == {}
    # What others have is still in the files, so the search is able to find such things.
    held = erasure.files_holding(tmp_path, rest)
    assert sum(held.values()) >= len(rest)
    assert gallery.state().items == COUNT - 5
    assert erasure.files_holding(tmp_path, of_person) == {}


def test_single_items_go_alone(gallery: Gallery, erasure: Any, tmp_path: Path) -> None:
    some = traces(gallery, [8, 11])
    assert gallery.forget(items=[item_id(key(8)), item_id(key(11))]).items == 2
    assert erasure.files_holding(tmp_path, some) == {}
    assert sum(erasure.files_holding(tmp_path, WORDS).values()) >= len(WORDS)


def test_what_expires_is_gone_as_well(gallery: Gallery, erasure: Any, tmp_path: Path) -> None:
    gallery.set_retention(None, {"door": 80_000})
    expired, kept = range(20), list(range(20, COUNT))
    old, rest = traces(gallery, expired), traces(gallery, kept)
    assert gallery.run_retention() == 20
    assert erasure.files_holding(tmp_path, old) == {}
    assert sum(erasure.files_holding(tmp_path, rest).values()) >= len(rest)
    (entry,) = [entry for entry in gallery.audit() if entry.action == "retention"]
    assert entry.detail == {"cameras": {"door": 20}}


def test_the_audit_holds_nothing_in_clear(gallery: Gallery, erasure: Any, tmp_path: Path) -> None:
    ids = tuple(item_id(key(number)).encode() for number in range(COUNT))
    gallery.forget("pseudonym-07")
    assert erasure.files_holding(tmp_path / "gallery" / "audit", (*WORDS, *ids)) == {}
    assert gallery.verify_audit().problems == ()


def test_the_words_of_a_deletion_are_purged_where_there_was_nothing_to_rewrite(
    erasure: Any, tmp_path: Path
) -> None:
    store = open_store(str(tmp_path / "store"))
    fill(store, [person(f"other{number}", "other") for number in range(9)])
    # A file of its own, which vanishes as a whole.
    fill(store, [person(f"ann{number}", "pseudonym-07") for number in range(9)])
    where = Filter(identities=frozenset({"pseudonym-07"}))
    for expected in (9, 0):
        assert store.delete("items_a", where) == expected
        assert erasure.files_holding(tmp_path, WORDS)
        store.purge("items_a")
        assert erasure.files_holding(tmp_path, WORDS) == {}
    for _ in range(2):
        store.delete_records("identity", ["pseudonym-07"])
        assert erasure.files_holding(tmp_path, WORDS)
        store.purge_records()
        assert erasure.files_holding(tmp_path, WORDS) == {}
    store.close()


@pytest.mark.parametrize("work", ["forget", "retention"])
def test_killed_at_a_random_moment_it_was_not_begun_or_is_finished(
    erasure: Any, tmp_path: Path, work: str
) -> None:
    found = erasure.erasure_faults(work, tmp_path, kills=1, num_items=200)
    assert sum(found) == 1

"""Enrolling: what is checked at the door, what makes two items one, and what becomes durable when."""

from __future__ import annotations

import dataclasses
import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from gallery.memory_store import MemoryStore, StoppedError
from gallery.people import DIM, MODEL, OTHER, memory_gallery, vectors
from omnireid import Box, Gallery, Item, ModelRef
from omnireid.core.errors import InputError, ShapeError, StorageError
from omnireid.core.vectors import unit_rows
from omnireid.gallery.errors import ModelMismatchError
from omnireid.gallery.generations import Generation, collection_name
from omnireid.gallery.items import content_key

WHOLE = Item(
    camera="cam é",
    time=12.5,
    identity="p1",
    tracklet="t'1",
    box=Box(1.0, 2.0, 30.0, 80.0),
    source="a\\b.jpg",
    quality=0.5,
    attributes={"hat": True, "n": 3, "height": 1.5, "colour": "bläck"},
    thumbnail=b"\xff\xd8picture",
)


def test_an_item_comes_back_as_it_went_in(tmp_path: Path) -> None:
    with Gallery.open(str(tmp_path / "gallery"), clock=lambda: 77.0) as gallery:
        enrolment = gallery.enrol([WHOLE, Item()], vectors(0, 2), model=MODEL)
        (whole, plain) = enrolment.ids
        assert enrolment.is_new.tolist() == [True, True]
        expected = dataclasses.replace(WHOLE, thumbnail=None, id=whole, enrolled=77.0, has_thumbnail=True)
        assert gallery.item(whole) == expected
        assert gallery.item(plain) == Item(id=plain, enrolled=77.0)
        assert gallery.thumbnail(whole) == WHOLE.thumbnail
        assert gallery.thumbnail(plain) is None
        row = vectors(0, 2)[0].astype(np.float64)
        np.testing.assert_allclose(gallery.embedding(whole), row / np.sqrt((row**2).sum()), atol=1e-6)


def test_the_same_content_is_enrolled_once() -> None:
    gallery, rows = memory_gallery(), vectors(0, 3)
    items = [WHOLE, Item(camera="a"), Item(camera="a", key="mine")]
    first = gallery.enrol(items, rows, model=MODEL)
    again = gallery.enrol(
        [dataclasses.replace(one, identity="someone else") for one in items], rows, model=MODEL
    )
    assert again.ids == first.ids
    assert first.is_new.all()
    assert not again.is_new.any()
    assert gallery.item(first.ids[0]).identity == "p1"
    twice = gallery.enrol([Item(key="new"), Item(key="new")], rows[:2], model=MODEL)
    assert twice.is_new.tolist() == [True, False]
    assert gallery.state().items == 4


def test_an_item_is_its_picture_or_embedding_and_where_it_was() -> None:
    rows = vectors(0, 2)
    known = {content_key(WHOLE, rows[0].tobytes())}
    for other in (
        {"camera": "cam"},
        {"time": None},
        {"time": 12.25},
        {"tracklet": None},
        {"box": None},
        {"box": Box(1.0, 2.0, 30.0, 81.0)},
        {"source": ""},
        {"thumbnail": b"another"},
    ):
        known.add(content_key(dataclasses.replace(WHOLE, **other), rows[0].tobytes()))
    assert len(known) == 9
    same = dataclasses.replace(WHOLE, box=Box(*np.float32([1, 2, 30, 80])), identity=None, quality=1.0)
    assert content_key(same, rows[1].tobytes()) in known
    bare = dataclasses.replace(WHOLE, thumbnail=None)
    assert content_key(bare, rows[0].tobytes()) != content_key(bare, rows[1].tobytes())
    # Neighbouring texts do not run into each other.
    for one, two in (
        (Item(camera="a", tracklet="b"), Item(camera="ab")),
        (Item(camera="a1", time=2.0), Item(camera="a", time=12.0)),
        (Item(tracklet="a", source="b"), Item(source="ab")),
    ):
        assert content_key(one, b"x") != content_key(two, b"x")


def test_an_id_is_the_hash_of_its_key() -> None:
    gallery = memory_gallery()
    (name,) = gallery.enrol([Item(key="clé")], vectors(0, 1), model=MODEL).ids
    assert name == hashlib.blake2b("clé".encode(), digest_size=16).hexdigest()


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"camera": "a\nb"}, r"items\[1\]\.camera: .*control character"),
        ({"camera": None}, r"items\[1\]\.camera: .*None"),
        ({"camera": "x" * 513}, r"items\[1\]\.camera: .*512"),
        ({"camera": 3}, r"items\[1\]\.camera: expected text, got int"),
        ({"identity": ""}, r"items\[1\]\.identity"),
        ({"source": "\ud800"}, r"items\[1\]\.source: .*surrogate"),
        ({"time": float("nan")}, r"items\[1\]\.time"),
        ({"time": "noon"}, r"items\[1\]\.time"),
        ({"quality": -0.1}, r"items\[1\]\.quality: expected 0 to 1, got -0\.1"),
        ({"time": 5.0, "end_time": 4.5}, r"items\[1\]\.end_time: expected a time not before time, got 4\.5"),
        ({"end_time": float("inf")}, r"items\[1\]\.end_time: expected Unix seconds"),
        ({"box": (0, 0, 0, 5)}, r"items\[1\]\.box"),
        ({"box": (0, 0, 5)}, r"items\[1\]\.box"),
        ({"box": ("a", 0, 1, 5)}, r"items\[1\]\.box"),
        ({"box": (0, float("inf"), 1, 5)}, r"items\[1\]\.box"),
        ({"thumbnail": b""}, r"items\[1\]\.thumbnail"),
        ({"thumbnail": bytes(48_001)}, r"items\[1\]\.thumbnail: .*48,000"),
        ({"attributes": {"a": None}}, r"items\[1\]\.attributes\['a'\]"),
        ({"attributes": {"a": float("inf")}}, r"items\[1\]\.attributes\['a'\]"),
        ({"attributes": {str(n): n for n in range(65)}}, r"items\[1\]\.attributes: .*64"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_named_and_nothing_is_added(fields: dict, said: str) -> None:
    gallery = memory_gallery()
    with pytest.raises(InputError, match=said):
        gallery.enrol([Item(), Item(**fields)], vectors(0, 2), model=MODEL)
    assert gallery.state().items == 0
    assert gallery.models == ()


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (np.zeros(DIM), r"embeddings\[1\]: all zero"),
        (np.full(DIM, np.nan), r"embeddings\[1\]: .*NaN"),
        (np.full(DIM, np.inf), r"embeddings\[1\]: .*NaN or infinity"),
    ],
)
def test_embeddings_without_direction_are_refused(row: np.ndarray, said: str) -> None:
    rows = vectors(0, 2).astype(np.float64)
    rows[1] = row
    with pytest.raises(InputError, match=said):
        memory_gallery().enrol([Item(), Item()], rows, model=MODEL)


def test_rows_of_different_lengths_are_no_embeddings() -> None:
    gallery, ragged = memory_gallery(), [[1.0] * DIM, [1.0]]
    (item,) = gallery.enrol([Item(identity="p1")], vectors(0, 1), model=MODEL).ids
    for ask in (
        lambda: gallery.enrol([Item(), Item()], ragged, model=MODEL),
        lambda: list(gallery.enrol_stream([([Item(), Item()], ragged)], model=MODEL)),
        lambda: gallery.search(ragged, model=MODEL),
        lambda: gallery.search_tracklet(ragged, model=MODEL),
        lambda: gallery.compare(item, ragged),
        lambda: gallery.reject("p1", ragged, model=MODEL),
    ):
        with pytest.raises(InputError, match=r"embeddings: expected \(N, D\) numbers, got rows of different"):
            ask()
    assert gallery.state().items == 1


def test_embeddings_of_another_shape_are_refused() -> None:
    for rows in (vectors(0, 3), vectors(0, 2, DIM + 1), vectors(0, 2)[0]):
        with pytest.raises(ShapeError, match="embeddings"):
            memory_gallery().enrol([Item(), Item()], rows, model=MODEL)
    with pytest.raises(InputError, match="numbers"):
        memory_gallery().enrol([Item()], np.full((1, DIM), "a"), model=MODEL)


def test_any_norm_becomes_one() -> None:
    rows = vectors(3, 6).astype(np.float64)
    exact = rows / np.sqrt((rows**2).sum(axis=1, keepdims=True))
    for scale in (1e-30, 1e-20, 1.0, 1e18, 1e30):
        found = unit_rows((rows * scale).astype(np.float32))
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, exact, atol=1e-6)
    # One by one or together makes no difference: the content key depends on it.
    together = unit_rows(rows)
    assert all((unit_rows(rows[n : n + 1])[0] == together[n]).all() for n in range(6))


def test_the_first_enrolment_fixes_the_model() -> None:
    gallery = memory_gallery()
    gallery.enrol([Item()], vectors(0, 1), model=MODEL)
    assert [one.model for one in gallery.models] == [MODEL]
    for use in (
        lambda: gallery.enrol([Item()], vectors(1, 1), model=OTHER),
        lambda: gallery.search(vectors(1, 1)[0], model=OTHER),
        lambda: gallery.search_tracklet(vectors(1, 2), model=OTHER),
    ):
        with pytest.raises(
            ModelMismatchError, match=r"toy \(abababababab\), not of other \(cdcdcdcdcdcd\).*move"
        ):
            use()
    with pytest.raises(InputError, match="dim 32"):
        gallery.enrol([Item()], vectors(1, 1, 16), model=ModelRef("toy", MODEL.sha256, 16))
    assert gallery.state().items == 1


def test_nothing_is_added_to_what_a_move_has_just_left() -> None:
    store = MemoryStore()
    here, there = memory_gallery(store), memory_gallery(store)
    here.enrol([Item(key="a")], vectors(0, 1), model=MODEL)
    there.generations.put(
        [
            here.models[0]._replace(state="leaving"),
            Generation(OTHER, collection_name(OTHER), "live", 2_000.0),
        ]
    )
    with pytest.raises(ModelMismatchError, match="holds embeddings of other"):
        here.enrol([Item(key="b")], vectors(1, 1), model=MODEL)
    assert store.count(collection_name(MODEL)) == 1


def test_of_two_first_enrolments_one_fixes_the_model(tmp_path: Path) -> None:
    with Gallery.open(str(tmp_path / "gallery")) as gallery, ThreadPoolExecutor(2) as threads:
        together = threading.Barrier(2)

        def enrol(model: ModelRef) -> str:
            together.wait()
            try:
                gallery.enrol([Item(key=model.name)], vectors(0, 1), model=model)
            except ModelMismatchError:
                return "refused"
            return model.name

        said = sorted(threads.map(enrol, (MODEL, OTHER)))
        assert [one.model.name for one in gallery.models] == [name for name in said if name != "refused"]
        assert "refused" in said
        assert gallery.state().items == 1


def test_a_start_that_was_interrupted_is_taken_up() -> None:
    # The collection, its generation, the audit's key, chain and entry, and the item.
    for writes in range(6):
        store = MemoryStore()
        gallery = memory_gallery(store)
        store.writes_left = writes
        with pytest.raises(StoppedError):
            gallery.enrol([Item(key="a")], vectors(0, 1), model=MODEL)
        store.writes_left = None
        # With another precision: what an interrupted start has left is used as it is.
        reopened = memory_gallery(store, precision="float16")
        assert reopened.enrol([Item(key="a")], vectors(0, 1), model=MODEL).is_new.tolist() == [True]
        assert reopened.state().items == 1


def test_a_stream_is_written_while_the_next_batch_is_made() -> None:
    store = MemoryStore()
    gallery = memory_gallery(store)
    gallery.enrol([Item(key="first")], vectors(9, 1), model=MODEL)
    is_making, add = threading.Event(), store.add

    def slow_add(collection, rows):
        assert is_making.wait(5), "the next batch was not begun while this one was written"
        return add(collection, rows)

    store.add = slow_add

    def batches():
        for n in range(3):
            if n:
                is_making.set()
            yield [Item(key=f"{n}-{m}") for m in range(2)], vectors(n, 2)
        is_making.set()

    seen = []
    for enrolment in gallery.enrol_stream(batches(), model=MODEL):
        seen.append(enrolment)
        assert gallery.item(enrolment.ids[1]).id == enrolment.ids[1]
    assert [one.is_new.tolist() for one in seen] == [[True, True]] * 3
    assert gallery.state().items == 7


def test_a_stream_stops_at_what_cannot_be_used() -> None:
    gallery = memory_gallery()
    batches = [([Item(key="a")], vectors(0, 1)), ([Item(time=float("nan"))], vectors(1, 1))]
    stream = gallery.enrol_stream(iter(batches), model=MODEL)
    with pytest.raises(InputError, match=r"items\[0\]\.time"):
        list(stream)
    assert gallery.state().items == 1


def test_a_full_disk_says_so_and_adds_nothing() -> None:
    store = MemoryStore()
    gallery = memory_gallery(store)
    gallery.enrol([Item(key="a")], vectors(0, 1), model=MODEL)

    def full(*_):
        raise StorageError("cannot write: the disk is full")

    store.append_audit = full
    with pytest.raises(StorageError, match="full"):
        gallery.enrol([Item(key="b")], vectors(1, 1), model=MODEL)
    assert gallery.state().items == 1, "nothing is enrolled that the audit does not know of"

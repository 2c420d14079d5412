"""Moving to a new model: every item arrives once, with its own picture's embedding and its identity."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gallery.lifecycle import DIM, held, ids_in, noise, people_of, person, rows_of, stopped_after_each_write
from gallery.memory_store import MemoryStore, StoppedError
from omnireid import Gallery, Item, ModelRef
from omnireid.core.card import InputSpec
from omnireid.core.errors import InputError
from omnireid.core.images import load_crop
from omnireid.gallery.errors import ConflictError, ModelMismatchError
from omnireid.gallery.forgetting import delete_everywhere
from omnireid.gallery.generations import Generations
from omnireid.gallery.items import Filter, item_id
from omnireid.gallery.moving import Moved, abandon, clear_left, move
from omnireid.gallery.rows import embeddings_of

OLD = ModelRef("old", "a" * 64, DIM)
SPEC = InputSpec(height=8, width=4)


class Embedder:
    """Gives the colours of a crop's rows; counts what it was given."""

    sha256 = "b" * 64
    dim = 24
    card = SimpleNamespace(name="new", input=SPEC)

    def __init__(self) -> None:
        self.num_embedded = 0
        self.before_answer: Any = lambda: None

    @property
    def ref(self) -> ModelRef:
        return ModelRef(self.card.name, self.sha256, self.dim)

    def embed(self, crops: Any) -> np.ndarray:
        self.num_embedded += len(crops)
        self.before_answer()
        return np.stack([crop.mean(axis=1).reshape(-1) for crop in crops]).astype(np.float32)


NEW = ModelRef("new", Embedder.sha256, Embedder.dim)


def picture(key: str) -> bytes:
    pixels = np.frombuffer(noise(key, 8 * 4 * 3 + 32)[: 8 * 4 * 3], np.uint8).reshape(8, 4, 3)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def crop(key: str, identity: str | None = None) -> Item:
    return Item(key=key, identity=identity, thumbnail=picture(key), camera=key, time=1.0)


def filled(count: int = 5) -> MemoryStore:
    store = MemoryStore()
    gallery = Gallery(store, clock=lambda: 7.0)
    items = [crop(f"crop{number}", f"p{number}") for number in range(count)]
    gallery.enrol(items, np.ones((count, DIM)), model=OLD)
    gallery.name_identity("p1", "Ann Alpha")
    gallery.merge("p1", ["p2"])
    return store


def run(store: MemoryStore, embedder: Embedder | None = None, **options: Any) -> list[Moved]:
    generations = Generations(store)
    clear_left(store, generations)
    options = {"clock": lambda: 9.0, "wait": lambda seconds: None, **options}
    return list(move(store, generations, embedder or Embedder(), **options))  # type: ignore[arg-type]


def new_collection(store: MemoryStore) -> str:
    live = Generations(store).live()
    assert live is not None
    assert live.model == NEW
    assert list(store.collections()) == [live.collection]
    return live.collection


def check_moved(store: MemoryStore, keys: set[str]) -> None:
    """Each item is there with the embedding of its own thumbnail, and all else as it was enrolled."""
    rows = store.get(new_collection(store), [item_id(key) for key in sorted(keys)], columns=NAMES)
    for row, found, key in zip(rows.to_pylist(), embeddings_of(rows), sorted(keys), strict=True):
        expected = load_crop(picture(key), SPEC).astype(np.float64).mean(axis=1).reshape(-1)
        np.testing.assert_allclose(found, expected / np.linalg.norm(expected), atol=1e-6)
        known = (row["camera"], row["time"], row["enrolled"], row["has_thumbnail"], row["thumbnail"])
        assert known == (key, 1.0, 7.0, True, picture(key))
    assert ids_in(store, new_collection(store)) == {item_id(key) for key in keys}


RANDOM = ("settings", "audit-chain")
NAMES = ("id", "camera", "time", "enrolled", "identity", "has_thumbnail", "thumbnail", "embedding")
ALL = {f"crop{number}" for number in range(5)}


def test_every_item_is_embedded_from_its_picture_and_the_old_model_is_gone() -> None:
    store = filled()
    steps = run(store)
    assert steps[0] == Moved(0, 0, 5, False)
    assert steps[-1] == Moved(5, 0, 5, True)
    check_moved(store, ALL)
    gallery = Gallery(store)
    assert gallery.identity("p2").id == "p1"
    assert gallery.identity("p1").name == "Ann Alpha"
    assert len(gallery.search(np.ones(24), model=NEW).candidates) == 5
    with pytest.raises(ModelMismatchError):
        gallery.search(np.ones(DIM), model=OLD)


def test_until_the_switch_the_old_model_answers_and_the_new_one_is_refused() -> None:
    store, embedder = filled(), Embedder()
    answers = []

    def look() -> None:
        gallery = Gallery(store)
        answers.append(len(gallery.search(np.ones(DIM), model=OLD).candidates))
        with pytest.raises(ModelMismatchError):
            gallery.search(np.ones(24), model=NEW)

    embedder.before_answer = look
    run(store, embedder)
    assert answers == [5]


def test_whatever_write_was_the_last_it_goes_on_from_there() -> None:
    whole = filled()
    run(whole)
    embedded = []
    for store in stopped_after_each_write(filled, run):
        embedder = Embedder()
        clear_left(store, Generations(store))
        live = Generations(store).live()
        if live is not None and live.model == OLD:
            run(store, embedder)
        embedded.append(embedder.num_embedded)
        check_moved(store, ALL)
        assert held(store, *RANDOM) == held(whole, *RANDOM)
    assert sorted(set(embedded)) == [0, 5]
    assert embedded == sorted(embedded, reverse=True), "what was embedded is not embedded again"


def test_what_is_enrolled_assigned_and_forgotten_meanwhile_is_respected() -> None:
    store, embedder = filled(), Embedder()
    changes = iter([True])

    def meanwhile() -> None:
        if next(changes, False):
            Gallery(store, clock=lambda: 7.0).enrol([crop("late")], np.ones((1, DIM)), model=OLD)
            delete_everywhere(store, Filter(ids=frozenset({item_id("crop0")})))
            people_of(store).assign([item_id("crop3")], "p9")

    embedder.before_answer = meanwhile
    run(store, embedder)
    check_moved(store, (ALL | {"late"}) - {"crop0"})
    (row,) = store.get(new_collection(store), [item_id("crop3")]).to_pylist()
    assert row["identity"] == "p9"


def test_who_is_forgotten_and_enrolled_again_meanwhile_has_the_new_picture_only() -> None:
    store = filled()
    embedder = Embedder()

    def meanwhile() -> None:
        if embedder.num_embedded == 5:
            gallery = Gallery(store, clock=lambda: 8.0)
            gallery.forget(items=[item_id("crop0")])
            again = Item(key="crop0", camera="gate", thumbnail=picture("another"))
            gallery.enrol([again], np.ones((1, DIM)), model=OLD)

    embedder.before_answer = meanwhile
    run(store, embedder)
    (row,) = store.get(new_collection(store), [item_id("crop0")], columns=NAMES).to_pylist()
    assert (row["camera"], row["thumbnail"]) == ("gate", picture("another"))
    assert store.count(new_collection(store)) == 5


def test_items_without_a_picture_are_counted_before_anything_begins() -> None:
    store = filled()
    gallery = Gallery(store, clock=lambda: 7.0)
    gallery.enrol([Item(key="bare"), Item(key="bare too")], np.ones((2, DIM)), model=OLD)
    writes = store.num_writes
    with pytest.raises(InputError, match=r"2 items have no picture .*--drop-without-picture"):
        run(store)
    assert store.num_writes == writes
    assert run(store, drop_without_picture=True)[-1] == Moved(5, 2, 7, True)
    check_moved(store, ALL)


def test_a_damaged_picture_stops_the_move_and_can_be_left_behind() -> None:
    store = filled()
    generation = Generations(store).live()
    assert generation is not None
    store.add(generation.collection, rows_of([person("damaged")]))
    with pytest.raises(InputError, match=r"1 item has no picture .*damaged"):
        run(store)
    gallery = Gallery(store)
    assert [one.state for one in gallery.models] == ["live", "filling"]
    assert run(store, drop_without_picture=True)[-1] == Moved(5, 1, 6, True)
    check_moved(store, ALL)


def test_a_move_can_be_given_up_and_leaves_nothing() -> None:
    store = filled()
    before = held(store)

    def give_up() -> None:
        raise StoppedError

    embedder = Embedder()
    embedder.before_answer = give_up
    with pytest.raises(StoppedError):
        run(store, embedder)
    other = Embedder()
    other.sha256 = "c" * 64
    with pytest.raises(ConflictError, match=r"one to new \(b+\) has begun.*--abandon"):
        run(store, other)
    assert abandon(store, Generations(store))
    assert held(store) == before
    assert not abandon(store, Generations(store))
    run(store, other)


def test_an_empty_gallery_and_the_same_model_have_nothing_to_move() -> None:
    with pytest.raises(InputError, match="the gallery is empty"):
        run(MemoryStore())
    store = filled()
    run(store)
    with pytest.raises(InputError, match=r"holds embeddings of new \(b+\) already"):
        run(store)

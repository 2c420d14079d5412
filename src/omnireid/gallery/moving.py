"""Moving a gallery to a new model: its thumbnails are embedded again while the old model answers.

The new model's collection is a generation in the state "filling". Until it holds every item, searches of the
old model are answered and searches of the new one are refused: half a gallery would miss people without
saying so. The switch is one commit. Interrupted before it, a move goes on where it was; after it, opening the
gallery clears what is left of the old model.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from omnireid.core.arrays import Float32
from omnireid.core.card import ModelRef
from omnireid.core.errors import ImageError, InputError
from omnireid.core.images import load_crop
from omnireid.core.vectors import unit_rows
from omnireid.gallery.errors import ConflictError
from omnireid.gallery.generations import Generation, Generations, collection_name
from omnireid.gallery.records import MAX_AGE_S
from omnireid.gallery.rows import completed
from omnireid.gallery.store import COLUMNS, CollectionInfo, GalleryStore, item_schema

if TYPE_CHECKING:
    from omnireid.core.card import InputSpec
    from omnireid.core.images import Crop
    from omnireid.inference.embedder import Embedder

_BATCH = 256


class Moved(NamedTuple):
    """How far a move is.

    Attributes:
        done: items that the new model knows.
        left_behind: items without a picture that can be read; they are not taken along.
        total: items of the gallery when the move began, or was gone on with.
        is_complete: whether the new model answers now.
    """

    done: int
    left_behind: int
    total: int
    is_complete: bool


def move(
    store: GalleryStore,
    generations: Generations,
    embedder: Embedder,
    *,
    drop_without_picture: bool = False,
    clock: Callable[[], float] = time.time,
    wait: Callable[[float], None] = time.sleep,
) -> Iterator[Moved]:
    """Embed every thumbnail with another model, then let that one answer, and drop the old embeddings.

    Begun again after an interruption, it goes on where it was. Identities, names and merges stay. Items that
    are enrolled meanwhile with the old model are taken along, and what is forgotten meanwhile is not. Memory
    holds the ids of all items, 32 bytes each, and one batch of pictures.

    Args:
        drop_without_picture: leave items behind that have no thumbnail, or one that cannot be read; they are
            gone from the gallery when the move is complete.
        clock: Unix seconds.
        wait: called between the switch and the end of the old collection, which searches still use that have
            begun before.

    Yields:
        How far it is, at first and after every batch; the last is complete.

    Raises:
        InputError: an empty gallery, or the same model; items without picture, with their number, unless
            `drop_without_picture`.
        ConflictError: a move to yet another model has begun.
    """
    old, new = _begin(store, generations, embedder.ref, drop_without_picture, clock)
    done, total = store.count(new.collection), store.count(old.collection)
    unreadable: set[str] = set()
    yield Moved(done, 0, total, False)
    while not _switched(store, generations, old, new, unreadable, clock):
        for ids in _lacking(store, old, new, unreadable):
            rows = store.get(old.collection, ids, columns=(*COLUMNS, "thumbnail"))
            readable, crops = _decoded(rows, embedder.card.input)
            if len(crops) < rows.num_rows and not drop_without_picture:
                raise InputError(_without_picture(rows.num_rows - len(crops), "the thumbnail is damaged"))
            unreadable.update(set(rows["id"].to_pylist()) - set(readable["id"].to_pylist()))
            if crops:
                done += _add(store, old, new, readable, embedder.embed(crops))
            yield Moved(done, len(unreadable), total, False)
    wait(2 * MAX_AGE_S)
    clear_left(store, generations)
    yield Moved(done, len(unreadable), total, True)


def abandon(store: GalleryStore, generations: Generations) -> bool:
    """Give up a move that is not complete, and delete the new model's embeddings; whether there was one."""
    with store.lock():
        filling = [generation for generation in generations.all(fresh=True) if generation.state == "filling"]
        for abandoned in filling:
            generations.put([abandoned._replace(state="leaving")])
    clear_left(store, generations)
    return bool(filling)


def clear_left(store: GalleryStore, generations: Generations) -> None:
    """Drop collections that nobody asks any more: the end of a move, also of one that was interrupted."""
    for generation in generations.all(fresh=True):
        if generation.state == "leaving":
            with store.lock():
                store.drop_collection(generation.collection)
                generations.put([], drop=[generation.collection])
                store.purge_records()


def _begin(
    store: GalleryStore,
    generations: Generations,
    model: ModelRef,
    drop_without_picture: bool,
    clock: Callable[[], float],
) -> tuple[Generation, Generation]:
    """The old generation and the new one, which is made where it is not there."""
    old, filling = _known(generations)
    if old is None:
        raise InputError("move: the gallery is empty; enrol with the new model instead")
    if old.model.sha256 == model.sha256:
        raise InputError(f"move: the gallery holds embeddings of {model} already")
    if filling is None and not drop_without_picture:
        marks = store.scan(old.collection, columns=("has_thumbnail",))
        if count := sum(rows["has_thumbnail"].to_pylist().count(False) for rows in marks):
            raise InputError(_without_picture(count, "no thumbnail was stored"))
    with store.lock():
        # Read again: another process may have begun a move.
        old, filling = _known(generations)
        assert old is not None
        if filling is None:
            precision = store.collections()[old.collection].precision
            filling = Generation(model, collection_name(model), "filling", clock())
            store.create_collection(CollectionInfo(filling.collection, model.dim, precision))
            generations.put([filling])
        if filling.model.sha256 != model.sha256:
            raise ConflictError(
                f"move: one to {filling.model} has begun; complete it, or give it up: Gallery.abandon_move() "
                "(omnireid gallery move --abandon)"
            )
    return old, filling


def _known(generations: Generations) -> tuple[Generation | None, Generation | None]:
    known = {generation.state: generation for generation in generations.all(fresh=True)}
    return known.get("live"), known.get("filling")


def _without_picture(count: int, why: str) -> str:
    items = "1 item has" if count == 1 else f"{count:,} items have"
    return (
        f"move: {items} no picture to embed ({why}). Enrol them again with the new model, or leave them "
        "behind: drop_without_picture=True (--drop-without-picture)"
    )


def _lacking(
    store: GalleryStore, old: Generation, new: Generation, unreadable: set[str]
) -> Iterator[list[str]]:
    """Ids that the new collection is still to get, a batch at a time."""
    lacking = np.setdiff1d(_ids(store, old), _ids(store, new), assume_unique=True)
    for start in range(0, len(lacking), _BATCH):
        ids = [item_id.decode() for item_id in lacking[start : start + _BATCH].tolist()]
        if left := [item_id for item_id in ids if item_id not in unreadable]:
            yield left


def _ids(store: GalleryStore, generation: Generation) -> npt.NDArray[np.bytes_]:
    return np.array(_whole(store, generation, "id")["id"].to_pylist(), "S32")


def _whole(store: GalleryStore, generation: Generation, *columns: str) -> pa.Table:
    """Columns of all items, by id."""
    schema = pa.schema([item_schema(1).field(name) for name in columns])
    batches = store.scan(generation.collection, columns=columns)
    return pa.concat_tables([schema.empty_table(), *(rows.cast(schema) for rows in batches)]).sort_by("id")


def _decoded(rows: pa.Table, spec: InputSpec) -> tuple[pa.Table, list[Crop]]:
    """The rows whose picture can be read, and their crops."""
    crops, places = [], []
    for index, picture in enumerate(rows["thumbnail"].to_pylist()):
        try:
            crops.append(load_crop(picture or b"", spec))
        except ImageError:
            continue
        places.append(index)
    return rows.take(places), crops


def _add(store: GalleryStore, old: Generation, new: Generation, rows: pa.Table, embeddings: Float32) -> int:
    dim = new.model.dim
    unit = unit_rows(embeddings).reshape(-1)
    rows = rows.append_column("embedding", pa.FixedSizeListArray.from_arrays(pa.array(unit), dim))
    with store.lock():
        # Forgotten while they were embedded: they must not come back, nor in place of who was enrolled since.
        there = store.get(old.collection, rows["id"].to_pylist(), columns=("id", "enrolled"))
        enrolled = {row["id"]: row["enrolled"] for row in there.to_pylist()}
        pairs = zip(rows["id"].to_pylist(), rows["enrolled"].to_pylist(), strict=True)
        rows = rows.filter(pa.array([enrolled.get(own) == when for own, when in pairs], pa.bool_()))
        return int(store.add(new.collection, completed(rows, item_schema(dim))).sum())


def _switched(
    store: GalleryStore,
    generations: Generations,
    old: Generation,
    new: Generation,
    unreadable: set[str],
    clock: Callable[[], float],
) -> bool:
    """Let the new model answer, if nothing is lacking while nobody can write."""
    with store.lock():
        if next(_lacking(store, old, new, unreadable), None) is not None:
            return False
        _match_identities(store, old, new)
        generations.put([new._replace(state="live", created=clock()), old._replace(state="leaving")])
        return True


def _match_identities(store: GalleryStore, old: Generation, new: Generation) -> None:
    """Set right what an operator changed while a batch was being embedded."""
    there, copied = (_whole(store, generation, "id", "identity") for generation in (old, new))
    there = there.filter(pc.is_in(there["id"], copied["id"]))
    is_same = pc.equal(pc.fill_null(there["identity"], ""), pc.fill_null(copied["identity"], ""))
    differing: dict[str | None, list[str]] = {}
    for row in there.filter(pc.invert(is_same)).to_pylist():
        differing.setdefault(row["identity"], []).append(row["id"])
    for identity, ids in differing.items():
        store.set_identity(new.collection, ids, identity)

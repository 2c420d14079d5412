"""Which models' embeddings a gallery holds, each in a collection of its own.

Usually one. While a gallery moves to another model there are two: the live one answers, the new one fills.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from omnireid.core.card import ModelRef
from omnireid.core.errors import InputError
from omnireid.gallery.errors import ModelMismatchError
from omnireid.gallery.options import StoredPrecision
from omnireid.gallery.records import Records, RememberedRecords
from omnireid.gallery.store import CollectionInfo, GalleryStore

GENERATIONS = "generation"
"""Kind of the records: by collection, the model, state and time of creation."""

State = Literal["live", "filling", "leaving"]


class Generation(NamedTuple):
    """All embeddings of one model.

    Attributes:
        model: The model that made them.
        collection: its collection of the store.
        state: "live" answers searches; "filling" is being made by a move to another model; "leaving" is
            what a move has replaced or given up, until it is deleted.
        created: Unix seconds.
    """

    model: ModelRef
    collection: str
    state: State
    created: float

    def record(self) -> dict[str, object]:
        """What is stored of it."""
        return {"model": self.model._asdict(), "state": self.state, "created": self.created}


class Generations:
    """The generations of one gallery. Several threads may share it."""

    def __init__(self, store: GalleryStore) -> None:
        self._store = store
        self._known = RememberedRecords(store, GENERATIONS, _parse)

    def all(self, *, fresh: bool = False) -> tuple[Generation, ...]:
        """The live one first, then the oldest first."""
        return self._known.read(fresh=fresh)

    def live(self, *, fresh: bool = False) -> Generation | None:
        """The one that answers; None before anything was enrolled."""
        return next((generation for generation in self.all(fresh=fresh) if generation.state == "live"), None)

    def of(self, model: ModelRef, *, fresh: bool = False) -> Generation | None:
        """The live generation of a model; None in an empty gallery.

        Args:
            fresh: read it now, for who is about to write.

        Raises:
            ModelMismatchError: the gallery holds embeddings of another model.
            InputError: another size under the same hash, or a model that was never saved.
        """
        sha256 = model.saved_sha256
        # What is remembered may be of before a move ended: nobody is refused by it.
        for is_fresh in (True,) if fresh else (False, True):
            live = self.live(fresh=is_fresh)
            if live is not None and live.model.sha256 == sha256:
                if live.model.dim != model.dim:
                    raise InputError(f"model: expected dim {live.model.dim} of {live.model}, got {model.dim}")
                return live
        if live is None:
            return None
        raise ModelMismatchError(asked=str(model), known=[str(live.model)])

    def begin(self, model: ModelRef, precision: StoredPrecision, now: float) -> Generation:
        """The live generation of a model, made where the gallery is empty: this fixes its model.

        Call it and write to its collection under one `store.lock()`.

        Raises:
            ModelMismatchError: as `of`.
        """
        known = self.of(model, fresh=True)
        if known is not None:
            return known
        name = collection_name(model)
        # It may be there: a start that was interrupted before its record was written left it empty.
        if name not in self._store.collections():
            self._store.create_collection(CollectionInfo(name, model.dim, precision))
        generation = Generation(model, name, "live", now)
        self.put([generation])
        return generation

    def put(self, generations: list[Generation], *, drop: list[str] | None = None) -> None:
        """Write generations in one commit, then delete the records of the collections in `drop`."""
        self._store.put_records(
            GENERATIONS, {generation.collection: generation.record() for generation in generations}
        )
        if drop:
            self._store.delete_records(GENERATIONS, drop)
        self._known.forget()


def collection_name(model: ModelRef) -> str:
    """Of a model's embeddings."""
    return f"items_{model.saved_sha256[:16]}"


def _parse(records: Records) -> tuple[Generation, ...]:
    generations = [
        Generation(ModelRef(**record["model"]), collection, record["state"], record["created"])
        for collection, record in records.items()
    ]
    return tuple(
        sorted(
            generations,
            key=lambda generation: (generation.state != "live", generation.created, generation.collection),
        )
    )

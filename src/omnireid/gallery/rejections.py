""" "Not this person": what an operator ruled out, kept as evidence that lowers later answers.

A rejection keeps the embedding of the picture that was searched with. In later searches it stands for
somebody who is not that person: as far as a query looks like the rejected picture, its probability goes to
nobody here, unless that somebody is enrolled and looks like it, too. It belongs to the model that made the
embedding, and is deleted with the person, with the item that it was, and when the gallery's pictures would
have expired, or after a year.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import numpy as np

from omnireid.core.arrays import Float32
from omnireid.core.card import ModelRef
from omnireid.core.errors import InputError
from omnireid.core.vectors import unit_rows
from omnireid.gallery.records import RememberedRecords
from omnireid.gallery.store import GalleryStore

REJECTIONS = "rejection"
"""Kind of the records: by a random id {identity, item, model, embedding, time, actor}."""

MOST = 1_000
"""Rejections that a gallery keeps; the oldest give way."""

LONGEST_S = 365 * 86_400.0
"""How long one is kept where the gallery's pictures do not expire."""


class Rejected(NamedTuple):
    """Pictures that were ruled out, of one model.

    Attributes:
        identities: (R,) whom each is not.
        vectors: (R, D) float32 of unit norm.
    """

    identities: tuple[str, ...]
    vectors: Float32


class Rejections:
    """What was ruled out in one gallery."""

    def __init__(self, store: GalleryStore) -> None:
        self._store = store
        self._known = RememberedRecords(store, REJECTIONS, lambda records: records)

    def add(
        self,
        identity: str,
        embedding: Float32,
        model: ModelRef,
        *,
        item: str | None,
        now: float,
        actor: str,
    ) -> str:
        """Keep one; returns its id.

        Args:
            identity: the person whom the picture does not show.
            embedding: (D,) of unit norm.
            item: item of the gallery, where it was one.
        """
        name = secrets.token_hex(16)
        record = {
            "identity": identity,
            "item": item,
            "model": model.sha256,
            "embedding": base64.b64encode(embedding.astype(np.float16).tobytes()).decode(),
            "time": now,
            "actor": actor,
        }
        with self._store.lock():
            records = self._known.read(fresh=True)
            oldest = sorted(records, key=lambda key: float(records[key]["time"]))
            if len(records) >= MOST:
                self._store.delete_records(REJECTIONS, oldest[: len(records) - MOST + 1])
            self._store.put_records(REJECTIONS, {name: record})
        self._known.forget()
        return name

    def remove(self, name: str) -> dict[str, Any]:
        """Take one back; returns what it was.

        Raises:
            InputError: there is none of this id.
        """
        with self._store.lock():
            record = self._known.read(fresh=True).get(name)
            if record is None:
                raise InputError(f"rejection {name!r}: there is none of this id; it may have been taken back")
            self._store.delete_records(REJECTIONS, [name])
        self._known.forget()
        return record

    def of(self, model: ModelRef) -> Rejected:
        """All that one model's searches heed; empty for nearly every gallery, and then free."""
        records = [record for record in self._known.read().values() if record["model"] == model.sha256]
        rows = [np.frombuffer(base64.b64decode(record["embedding"]), np.float16) for record in records]
        vectors = np.array(rows, np.float32).reshape(len(records), model.dim)
        return Rejected(tuple(record["identity"] for record in records), unit_rows(vectors, keep_zero=True))

    def expire(self, retention_s: float | None, now: float) -> None:
        """Delete those that are older than pictures may become."""
        oldest = now - (LONGEST_S if retention_s is None else min(retention_s, LONGEST_S))
        _drop(self._store, lambda record: record["time"] <= oldest)
        self._known.forget()

    def changed(self) -> None:
        """Read again: somebody was forgotten."""
        self._known.forget()


def forget_traces(store: GalleryStore, identities: Collection[str], items: Collection[str]) -> None:
    """Delete those of people and items that are being forgotten."""
    _drop(store, lambda record: record["identity"] in identities or record["item"] in items)


def forget_buried(store: GalleryStore, latest: Callable[[str | None], float]) -> None:
    """As `watch_records.forget_buried`."""
    _drop(store, lambda record: record["time"] <= max(latest(record["identity"]), latest(record["item"])))


def named_items(store: GalleryStore) -> set[str]:
    """Ids of the items that they name."""
    return {record["item"] for record in store.records(REJECTIONS).values() if record["item"]}


def _drop(store: GalleryStore, is_gone: Callable[[dict[str, Any]], bool]) -> None:
    gone = [name for name, record in store.records(REJECTIONS).items() if is_gone(record)]
    if gone:
        store.delete_records(REJECTIONS, gone)

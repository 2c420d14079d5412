"""Small galleries for tests of forgetting, retention, moving and backup."""

from __future__ import annotations

import errno
import hashlib
import os
import re
from collections.abc import Iterator
from typing import Any

import filelock
import numpy as np
import pyarrow as pa
import pytest

from gallery.memory_store import MemoryStore, StoppedError
from omnireid.gallery.identities import IDENTITIES, Identities, People
from omnireid.gallery.items import EVERYTHING, Item, item_id
from omnireid.gallery.records import RememberedRecords
from omnireid.gallery.rows import table_of
from omnireid.gallery.store import CollectionInfo, GalleryStore

DIM = 8


def noise(name: str, size: int = 64) -> bytes:
    """Bytes that stand for a picture, the same for the same name, that nothing compresses."""
    return b"".join(hashlib.blake2b(f"{name}/{n}".encode()).digest() for n in range(size // 64))


def person(key: str, identity: str | None = None, **fields: Any) -> Item:
    """An item with a picture of its own."""
    return Item(key=key, identity=identity, thumbnail=noise(key), **fields)


def rows_of(items: list[Item], *, enrolled: float = 0.0, dim: int = DIM) -> pa.Table:
    """As `item_schema`; the embedding follows from the key."""
    ids = [item_id(item.key or "") for item in items]
    rng = [np.random.default_rng(list(bytes.fromhex(one))) for one in ids]
    embeddings = np.stack([one.standard_normal(dim) for one in rng]).astype(np.float32)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    return table_of(items, ids, enrolled, embeddings)


def fill(
    store: GalleryStore, items: list[Item], *, collection: str = "items_a", enrolled: float = 0.0
) -> None:
    """Add items to a collection, which is made where it is not there."""
    store.create_collection(CollectionInfo(collection, DIM, "float32"))
    store.add(collection, rows_of(items, enrolled=enrolled))


def ids_in(store: GalleryStore, collection: str = "items_a") -> set[str]:
    """Ids of all items."""
    return {
        one
        for rows in store.scan(collection, where=EVERYTHING, columns=("id",))
        for one in rows["id"].to_pylist()
    }


def people_of(store: GalleryStore) -> Identities:
    """What an operator says, without an audit log."""
    known = RememberedRecords(store, IDENTITIES, People)
    return Identities(
        store,
        known,
        lambda: [*store.collections()],
        lambda: 0.0,
        "operator",
        lambda *_, **__: None,
        store.lock,
    )


def held(store: MemoryStore, *without: str) -> str:
    """All that a store holds but some kinds of records, as text; of operations' ids what is not random."""
    records = {kind: found for kind, found in store._records.items() if kind not in without and found}
    return re.sub(r"'(0{4}[0-9a-f]{4})[0-9a-f]{8}'", r"'\1'", repr((store._rows, records)))


def stopped_after_each_write(make: Any, act: Any) -> Iterator[MemoryStore]:
    """The store after `act` was stopped, as by kill -9, before its first write, its second, …; at last not.

    Args:
        make: () → a store.
        act: store → None.
    """
    for writes in range(10_000):
        store = make()
        store.writes_left = writes
        try:
            act(store)
        except StoppedError:
            store.writes_left = None
            yield store
            continue
        store.writes_left = None
        yield store
        return


def refuse_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let folders be read-only from now on, also for root."""

    def acquire(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(filelock.FileLock, "acquire", acquire)
    monkeypatch.setattr("omnireid.gallery.lance.store.why_read_only", lambda _: "read-only file system")

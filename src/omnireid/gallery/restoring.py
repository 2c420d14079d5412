"""A backup, or another gallery, into an empty gallery of any store; without those who were forgotten.

Until it is complete the target says so and cannot be opened. Interrupted, it is begun again.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from rich.console import Console

from omnireid.core.errors import InputError
from omnireid.core.files import write_text
from omnireid.core.progress import progress_bar
from omnireid.core.vectors import unit_rows
from omnireid.gallery.audit import CHAINS, SETTINGS
from omnireid.gallery.backup import Backup, Snapshot
from omnireid.gallery.case_records import CASES, case_kinds, drop_cases
from omnireid.gallery.encoding import with_embeddings
from omnireid.gallery.forgetting import TOMBSTONES, Tombstones, forget_buried, hashed, parts, tidying
from omnireid.gallery.generations import GENERATIONS, Generation, collection_name
from omnireid.gallery.identities import IDENTITIES, OPERATIONS
from omnireid.gallery.journal import RESTORING, Task, carry_out, finish_interrupted
from omnireid.gallery.options import StoredPrecision
from omnireid.gallery.rejections import REJECTIONS
from omnireid.gallery.retention import STEPS, Retention, is_expired, read_retention
from omnireid.gallery.rows import embeddings_of
from omnireid.gallery.site import SITE
from omnireid.gallery.store import CollectionInfo, GalleryStore
from omnireid.gallery.watch_records import KINDS as WATCH_KINDS

Source = Snapshot | Backup
_ID = "target"
_BATCH = 1024
_OF_PEOPLE = (IDENTITIES, OPERATIONS, REJECTIONS, *WATCH_KINDS)
_SIFTED = ("id", "identity", "camera", "time", "enrolled")


class Restored(NamedTuple):
    """What a restore did.

    Attributes:
        items: the items that are there now.
        forgotten: items left out because they, or their person, were forgotten.
        expired: items left out because their time was over.
        has_audit: whether the audit came along; a target that had one keeps its own.
    """

    items: int
    forgotten: int
    expired: int
    has_audit: bool


def restore(
    source: Source,
    store: GalleryStore,
    *,
    tombstones: Tombstones | None = None,
    precision: StoredPrecision | None = None,
    clock: Callable[[], float] = time.time,
    console: Console | None = None,
) -> Restored:
    """Fill an empty gallery.

    What was forgotten stays so: by the tombstones that the target has, by `tombstones`, and by those that the
    source got while it was read; what was enrolled after one of these stays. Tombstones that the source had
    before leave nobody out: what they are about was deleted there, and what there is was enrolled since. The
    target gets them all. What has expired by the gallery's retention is left out as well.

    Args:
        source: a `Backup`, or a `Snapshot` of a gallery in use.
        store: store of the target.
        tombstones: those of another gallery, as `read_tombstones` gives them.
        precision: what embeddings are stored with; by default the source's.
        clock: Unix seconds.
        console: where to show progress; nothing is shown when None.

    Raises:
        InputError: the target holds items, or its store does not have that precision.
        StorageError: it could not be written; restore again.
    """
    with store.lock():
        had_audit = _begin(store, source)
        records = source.records()
        for kind in (SETTINGS, *SITE):
            _put_new(store, kind, records.get(kind, {}))
        if tombstones is not None:
            _put_new(store, TOMBSTONES, {_id_of(record): dict(record) for record in tombstones.records})
        sieve = _Sieve(_buried(store, source), read_retention(store), clock())
        live = source.generation
        if live is not None:
            live = Generation(live.model, collection_name(live.model), "live", clock())
            info = CollectionInfo(live.collection, live.model.dim, precision or source.precision)
            store.create_collection(info)
            _copy_items(source, store, live.collection, sieve, console)
        # The cases first: by them what else is theirs is found, should this be interrupted.
        for kind in (*_OF_PEOPLE, CASES, *case_kinds(records.get(CASES, {}))):
            _put_new(store, kind, records.get(kind, {}))
        if not had_audit:
            _put_new(store, CHAINS, records.get(CHAINS, {}))
            _append_audit(source, store)
        tasks: list[Task] = []
        num_buried, sieve.buried = len(sieve.buried.records), _buried(store, source)
        if live is not None and len(sieve.buried.records) > num_buried:
            # Somebody was forgotten while items were copied.
            for rows in store.scan(live.collection, columns=_SIFTED):
                gone = set(rows["id"].to_pylist()) - set(sieve.filter(rows)["id"].to_pylist())
                tasks += [Task("forget-items", {"items": part}) for part in parts(sorted(gone))]
        if sieve.buried:
            forget_buried(store, sieve.buried)
        if sieve.buried or sieve.num_dropped:
            carry_out(store, [*tasks, *tidying(sieve.identities)], STEPS)
        num_items = 0 if live is None else store.count(live.collection)
        if live is not None:
            store.put_records(GENERATIONS, {live.collection: live.record()})
        store.delete_records(RESTORING, [_ID])
    return Restored(num_items, sieve.num_forgotten, sieve.num_expired, not had_audit)


def write_tombstones(store: GalleryStore, path: str | os.PathLike[str]) -> int:
    """Write who was forgotten, as keyed hashes, for the day when only a backup is left; how many ids."""
    if store.read_only is None:
        with store.lock():
            # Somebody whose forgetting was interrupted is forgotten, too.
            finish_interrupted(store, STEPS)
    records = store.records(TOMBSTONES)
    tombstones = [{"id": key, **record} for key, record in records.items()]
    write_text(path, json.dumps({"format": _FORMAT, "tombstones": tombstones}) + "\n")
    return len(Tombstones(tombstones))


def read_tombstones(path: str | os.PathLike[str]) -> Tombstones:
    """Read what `write_tombstones` wrote.

    Raises:
        InputError: another file.
    """
    try:
        content = json.loads(Path(path).read_text("utf-8"))
        if content["format"] != _FORMAT:
            raise KeyError("format")
        return Tombstones(content["tombstones"])
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not a list of who was forgotten (omnireid gallery forgotten)") from error


_FORMAT = "omnireid-gallery-forgotten"


class _Sieve:
    """Leaves out what must not come back, and counts it."""

    def __init__(self, buried: Tombstones, retention: Retention, now: float) -> None:
        self.buried, self._retention, self._now = buried, retention, now
        self.num_forgotten = self.num_expired = 0
        self.identities: set[str] = set()
        """Of items that were left out: perhaps nothing is left of them."""

    @property
    def num_dropped(self) -> int:
        return self.num_forgotten + self.num_expired

    def filter(self, rows: pa.Table) -> pa.Table:
        ids, identities, enrolled = (rows[name].to_pylist() for name in ("id", "identity", "enrolled"))
        gone = np.zeros(rows.num_rows, np.bool_)
        if self.buried:
            latest = self.buried.latest
            named = zip(ids, identities, enrolled, strict=True)
            gone |= [when <= max(latest(item_id), latest(who)) for item_id, who, when in named]
        dropped = gone | is_expired(rows, self._retention, self._now)
        self.num_forgotten += int(gone.sum())
        self.num_expired += int((dropped & ~gone).sum())
        self.identities.update(identities[index] for index in np.flatnonzero(dropped) if identities[index])
        return rows.filter(pa.array(~dropped))


def _begin(store: GalleryStore, source: Source) -> bool:
    """Mark the target as not complete, and empty; whether it has an audit of its own."""
    mark = store.records(RESTORING).get(_ID)
    collections = store.collections()
    if mark is None:
        if any(store.count(name) for name in collections):
            raise InputError(f"{store.uri}: holds items; restore into an empty gallery")
        has_audit = next(store.audit(), None) is not None
        known = {kind: list(store.records(kind)) for kind in (*_OF_PEOPLE, CASES)}
        mark = {"source": source.name, "has_audit": has_audit, "known": known}
        store.put_records(RESTORING, {_ID: mark})
    # An interrupted restore may have brought names of somebody who was forgotten since.
    for kind in _OF_PEOPLE:
        store.delete_records(
            kind, sorted(store.records(kind).keys() - set(mark.get("known", {}).get(kind, ())))
        )
    drop_cases(store, store.records(CASES).keys() - set(mark.get("known", {}).get(CASES, ())))
    for name in collections:
        store.drop_collection(name)
    store.delete_records(GENERATIONS, list(store.records(GENERATIONS)))
    return bool(mark["has_audit"])


def _buried(store: GalleryStore, source: Source) -> Tombstones:
    """Those of the target's tombstones, and of the source's, that the source's items are not without yet."""
    own = source.records().get(TOMBSTONES, {})
    _put_new(store, TOMBSTONES, own)
    unheeded = {key: record for key, record in store.records(TOMBSTONES).items() if key not in source.heeded}
    # Whoever was forgotten while the source was read was there when that began, whatever a clock said.
    return Tombstones({**record, "time": None} if key in own else record for key, record in unheeded.items())


def _id_of(record: Mapping[str, Any]) -> str:
    """Of a tombstone; earlier versions wrote lists without ids."""
    return str(record.get("id") or hashed(bytes.fromhex(record["salt"]), " ".join(record["hashes"])))


def _put_new(store: GalleryStore, kind: str, records: dict[str, dict[str, Any]]) -> None:
    known = store.records(kind)
    if new := {key: record for key, record in records.items() if key not in known}:
        store.put_records(kind, new)


def _copy_items(
    source: Source, store: GalleryStore, collection: str, sieve: _Sieve, console: Console | None
) -> None:
    with progress_bar(console) as progress:
        task = progress.add_task("restoring", total=source.num_items)
        for rows in source.rows():
            kept = sieve.filter(rows)
            if kept.num_rows:
                if source.precision != "float32":
                    # Rounded, they are of unit norm about.
                    kept = with_embeddings(kept, unit_rows(embeddings_of(kept)))
                store.add(collection, kept)
            progress.advance(task, rows.num_rows)


def _append_audit(source: Source, store: GalleryStore) -> None:
    # An interrupted restore has appended the first of them; nobody else writes before it is complete.
    entries: Iterator[dict[str, Any]] = islice(source.audit(), sum(1 for _ in store.audit()), None)
    while part := list(islice(entries, _BATCH)):
        store.append_audit(part)

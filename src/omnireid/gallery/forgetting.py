"""Forgetting people and items for good: planned by reading, then done as tasks that survive a crash.

What is left is a tombstone: keyed hashes of the forgotten ids and the time, so that a restored backup brings
nobody back. It is about what was there then: who is enrolled again afterwards stays.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from omnireid.core.errors import InputError
from omnireid.gallery import case_records, rejections, watch_records
from omnireid.gallery.errors import NotInGalleryError
from omnireid.gallery.identities import IDENTITIES, OPERATIONS, People, forget_people
from omnireid.gallery.items import Filter
from omnireid.gallery.journal import Step, Task
from omnireid.gallery.store import GalleryStore

TOMBSTONES = "tombstone"
"""Kind of the records: by a random id {salt, hashes, time}; those of earlier versions have no time."""

_CHUNK = 500
"""Ids in one record: far below the 64 kB that every store holds."""


class Plan(NamedTuple):
    """What is about to be forgotten.

    Attributes:
        items: ids of the items.
        identities: ids of the identities, with all that were merged into them.
        tasks: what does it, for `journal.carry_out`.
    """

    items: tuple[str, ...]
    identities: tuple[str, ...]
    tasks: tuple[Task, ...]


def plan_forgetting(
    store: GalleryStore,
    *,
    identity: str | None = None,
    items: Iterable[str] = (),
    clock: Callable[[], float] = time.time,
) -> Plan:
    """Find what goes with an identity, or with items, in every collection. Reads only.

    Call it and carry the plan out under one `store.lock()`.

    Args:
        identity: id of a person; everything that was merged with it goes too.
        items: ids; those that are not there are left out.
        clock: Unix seconds.

    Raises:
        InputError: neither of both.
        NotInGalleryError: an identity without items and without a name.
    """
    wanted = list(dict.fromkeys(items))
    if identity is None and not wanted:
        raise InputError("forget: name an identity or items")
    records = store.records(IDENTITIES)
    family = sorted(People(records).aliases(identity)) if identity is not None else []
    owners: dict[str, str | None] = {}
    # A clock that was set back must not make the tombstone older than what it is about.
    latest = clock()
    for rows in _rows_of(store, ("id", "identity", "enrolled"), ids=wanted, identities=family):
        owners.update(zip(rows["id"].to_pylist(), rows["identity"].to_pylist(), strict=True))
        latest = max([latest, *rows["enrolled"].to_pylist()])
    in_cases = case_records.last_named(store, {*owners, *family})
    latest = max(latest, in_cases)
    if identity is not None and not owners and not set(family) & set(records) and in_cases == -_FOREVER:
        raise NotInGalleryError("identity", identity)
    others = {owner for owner in owners.values() if owner is not None} - set(family)
    tasks = [
        *burying(store, [*owners, *family], latest),
        *(Task("forget-items", {"items": part}) for part in parts(owners)),
        *(Task("forget-identities", {"identities": part}) for part in parts(family)),
        *tidying(others),
    ]
    return Plan(tuple(owners), tuple(family), tuple(tasks) if owners or family else ())


def tidying(identities: Iterable[str]) -> list[Task]:
    """What follows when rows were deleted: empty identities, operations on lost items and bytes on disk.

    Args:
        identities: identities that may have lost their last item.
    """
    return [
        *(Task("forget-empty-identities", {"identities": part}) for part in parts(sorted(identities))),
        Task("forget-lost-items", {}),
        Task("purge", {}),
    ]


def hashed(salt: bytes, name: str) -> str:
    """Keyed hash of an id: without the salt nobody can tell whose it is."""
    return hashlib.blake2b(name.encode(), key=salt, digest_size=16).hexdigest()


class Tombstones:
    """Ids that must not come back as they were. `name in tombstones` asks for one.

    Attributes:
        records: the records as they are stored.
    """

    def __init__(self, records: Iterable[Mapping[str, Any]]) -> None:
        self.records = tuple(records)
        self._by_salt: dict[bytes, dict[str, float]] = {}
        for record in self.records:
            times = self._by_salt.setdefault(bytes.fromhex(record["salt"]), {})
            # Nobody knows of one without a time what came after it: it is taken to be of now.
            when = _FOREVER if record.get("time") is None else float(record["time"])
            times.update((digest, max(when, times.get(digest, when))) for digest in record["hashes"])

    def latest(self, name: str | None) -> float:
        """When this id was forgotten last, Unix seconds: infinity where unknown, minus infinity if never."""
        if name is None:
            return -_FOREVER
        times = (of.get(hashed(salt, name), -_FOREVER) for salt, of in self._by_salt.items())
        return max(times, default=-_FOREVER)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.latest(name) > -_FOREVER

    def __len__(self) -> int:
        return sum(map(len, self._by_salt.values()))


_FOREVER = float("inf")


def forget_buried(store: GalleryStore, buried: Tombstones) -> None:
    """Delete what records say of those who have a later tombstone: what an old backup has brought back."""
    operations, known = store.records(OPERATIONS).values(), store.records(IDENTITIES)
    # Who has no record of their own may be named by an operation, or be whom others were merged into.
    begun = {operation["identity"]: operation["time"] for operation in operations if operation["identity"]}
    for record in known.values():
        if into := record["merged_into"]:
            begun[into] = min(record["created"], begun.get(into, record["created"]))
    begun |= {person: record["created"] for person, record in known.items()}
    identities = [person for person, when in begun.items() if when <= buried.latest(person)]
    items = [
        item for record in operations for item in record["items"] if record["time"] <= buried.latest(item)
    ]
    cases = store.records(case_records.CASES)
    case_records.drop_cases(
        store, [case_id for case_id, case in cases.items() if case["created"] <= buried.latest(case_id)]
    )
    case_records.forget_in_cases(store, buried.latest)
    watch_records.forget_buried(store, buried.latest)
    rejections.forget_buried(store, buried.latest)
    forget_people(store, identities, items)


def burying(store: GalleryStore, names: Sequence[str], when: float) -> Iterator[Task]:
    """Tasks that put down tombstones: whatever has these ids and is older never comes back."""
    known = next(iter(store.records(TOMBSTONES).values()), None)
    salt = secrets.token_bytes(16) if known is None else bytes.fromhex(known["salt"])
    for part in parts(names):
        # In the order of the hashes: the order of the ids would tell which belong together.
        hashes = sorted(hashed(salt, name) for name in part)
        yield Task("bury", {"id": secrets.token_hex(16), "salt": salt.hex(), "hashes": hashes, "time": when})


def _step_bury(store: GalleryStore, what: Mapping[str, Any]) -> None:
    store.put_records(TOMBSTONES, {what["id"]: {name: what[name] for name in what if name != "id"}})


def _step_forget_identities(store: GalleryStore, what: Mapping[str, Any]) -> None:
    delete_everywhere(store, Filter(identities=frozenset(what["identities"])))
    _forget_traces(store, identities=what["identities"])


def _step_forget_empty_identities(store: GalleryStore, what: Mapping[str, Any]) -> None:
    """A name that no picture is left of serves nobody."""
    people = People(store.records(IDENTITIES))
    families = {people.aliases(identity) for identity in what["identities"]}
    living: set[str] = set()
    for rows in _rows_of(store, ("identity",), identities=sorted(frozenset().union(*families))):
        living.update(pc.unique(rows["identity"]).to_pylist())
    _forget_traces(
        store, identities=[alias for family in families if living.isdisjoint(family) for alias in family]
    )


def _step_forget_lost_items(store: GalleryStore, what: Mapping[str, Any]) -> None:
    """Records name items; what they say of lost ones can no longer be brought back anyway."""
    in_operations = {item for record in store.records(OPERATIONS).values() for item in record["items"]}
    named = in_operations.union(
        *(part.named_items(store) for part in (case_records, watch_records, rejections))
    )
    batches = _rows_of(store, ("id",), ids=sorted(named))
    there = {item for rows in batches for item in rows["id"].to_pylist()}
    _forget_traces(store, items=named - there)


def _forget_traces(store: GalleryStore, *, identities: Iterable[str] = (), items: Iterable[str] = ()) -> None:
    identities, items = set(identities), set(items)
    gone = identities | items
    if gone:
        # Before the names go: notes may hold them.
        case_records.forget_in_cases(store, lambda key: _FOREVER if key in gone else -_FOREVER)
        rejections.forget_traces(store, identities, items)
    forget_people(store, identities, items)
    with store.lock():
        watch_records.forget_traces(store, identities, items)


def _step_purge(store: GalleryStore, what: Mapping[str, Any]) -> None:
    for name in store.collections():
        store.purge(name)


def delete_everywhere(store: GalleryStore, where: Filter) -> None:
    """Delete in every collection: a gallery that moves to a new model has two."""
    for name in store.collections():
        store.delete(name, where)


def _rows_of(
    store: GalleryStore, columns: Sequence[str], *, ids: Sequence[str] = (), identities: Sequence[str] = ()
) -> Iterator[pa.Table]:
    """Items of these ids, and of these people, in every collection."""
    of_ids = (Filter(ids=frozenset(part)) for part in parts(ids))
    of_people = (Filter(identities=frozenset(part)) for part in parts(identities))
    for where in (*of_ids, *of_people):
        for name in store.collections():
            yield from store.scan(name, where=where, columns=columns)


def parts(names: Iterable[str]) -> Iterator[list[str]]:
    """So many at a time as fit one record, and one filter."""
    everything = list(names)
    return (everything[start : start + _CHUNK] for start in range(0, len(everything), _CHUNK))


STEPS: Mapping[str, Step] = {
    **watch_records.STEPS,
    "bury": _step_bury,
    "forget-items": lambda store, what: delete_everywhere(store, Filter(ids=frozenset(what["items"]))),
    "forget-identities": _step_forget_identities,
    "forget-empty-identities": _step_forget_empty_identities,
    "forget-lost-items": _step_forget_lost_items,
    "purge": _step_purge,
    "drop-cases": lambda store, what: case_records.drop_cases(store, what["cases"]),
    "drop-case-entries": lambda store, what: case_records.drop_entries(store, what["case"], what["entries"]),
}

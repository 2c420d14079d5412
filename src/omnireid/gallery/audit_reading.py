"""Reading the audit: which entries of the log meet a filter, from either end, page by page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from omnireid.core.display import short_repr
from omnireid.core.errors import InputError
from omnireid.gallery.identities import People
from omnireid.gallery.items import Filter
from omnireid.gallery.store import GalleryStore

MAX_SUBJECT_ITEMS = 100_000
"""Pictures of a person whose entries can be looked for at once."""

_CHUNK = 1000
"""Entries that are read at once where a filter picks some of them."""
_SLACK_S = 86_400.0
"""By so much the clocks of those who write one log may differ."""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One line of the log.

    Attributes:
        seq: place in the log; grows along it, with gaps.
        time: Unix seconds.
        actor: who, as the caller named them.
        action: "enrol", "search", "merge", …
        count: items, candidates or identities concerned.
        subjects: keyed hashes of the ids concerned, the first `MAX_SUBJECTS`.
        detail: how, never whom.
    """

    seq: int
    time: float
    actor: str
    action: str
    count: int
    subjects: tuple[str, ...]
    detail: Mapping[str, Any]

    __repr__ = short_repr


@dataclass(frozen=True)
class AuditFilter:
    """Which entries: those that meet every condition that is set.

    Attributes:
        since, until: Unix seconds, at or after, and before.
        action: exactly this one.
        actor: a person or program whose name holds this text, whatever its case.
        subjects: keyed hashes of ids; an entry is about at least one of them.
    """

    since: float | None = None
    until: float | None = None
    action: str | None = None
    actor: str | None = None
    subjects: frozenset[str] | None = None

    __repr__ = short_repr

    @property
    def conditions(self) -> tuple[str, ...]:
        """Names of those that are set; a person counts as "person"."""
        named = {"person" if name == "subjects" else name: value for name, value in vars(self).items()}
        return tuple(name for name, value in named.items() if value is not None)

    def accepts(self, entry: Mapping[str, Any]) -> bool:
        """Whether an entry, as it is stored, meets all of them."""
        return (
            (self.since is None or entry["time"] >= self.since)
            and (self.until is None or entry["time"] < self.until)
            and (self.action is None or entry.get("action") == self.action)
            and (self.actor is None or self.actor.casefold() in entry.get("actor", "").casefold())
            and (self.subjects is None or not self.subjects.isdisjoint(entry.get("subjects", ())))
        )


ALL_ENTRIES = AuditFilter()


@dataclass(frozen=True)
class AuditPage:
    """Some entries of the log.

    Attributes:
        entries: those that met the filter, in the order asked for.
        next: the `seq` to go on behind; None where nothing is left.
        looked: entries that were read for it.
        looked_to: time of the last one that was read, Unix seconds; None where none was.
    """

    entries: tuple[AuditEntry, ...]
    next: int | None
    looked: int
    looked_to: float | None

    __repr__ = short_repr


class AuditReader:
    """Reads a gallery's log."""

    def __init__(self, store: GalleryStore) -> None:
        self._store = store

    def find(
        self,
        where: AuditFilter = ALL_ENTRIES,
        *,
        after: int | None = None,
        limit: int,
        latest: bool = False,
        most_looked: int | None = None,
    ) -> AuditPage:
        """Entries of all writers that meet a filter, the oldest first; with `latest` the latest first.

        Args:
            after: the `seq` of the last one looked at, in the order asked for.
            limit: how many.
            most_looked: stop after so many entries, though fewer than `limit` were found; None for no bound.
        """
        size = limit + 1 if where == ALL_ENTRIES else _CHUNK
        entries: list[AuditEntry] = []
        looked, number, looked_to = 0, after, None
        while True:
            chunk = self._store.audit_page(number, size, latest=latest)
            for seq, entry in chunk:
                # One more than is shown tells whether there are more.
                if len(entries) == limit and where.accepts(entry):
                    return AuditPage(tuple(entries), number, looked, looked_to)
                looked, number, looked_to = looked + 1, seq, entry["time"]
                if where.accepts(entry):
                    entries.append(public(seq, entry))
            if len(chunk) < size or _is_past(where, chunk, latest):
                return AuditPage(tuple(entries), None, looked, looked_to)
            if most_looked is not None and looked >= most_looked:
                return AuditPage(tuple(entries), number, looked, looked_to)


def _is_past(where: AuditFilter, chunk: Iterable[tuple[int, Mapping[str, Any]]], latest: bool) -> bool:
    """Whether what follows is too old: the log is in the order of its writers' clocks, more or less."""
    since = where.since
    return latest and since is not None and all(entry["time"] < since - _SLACK_S for _, entry in chunk)


def stored(store: GalleryStore) -> Iterator[tuple[int, dict[str, Any]]]:
    """All entries with their places, the oldest first, as they are stored."""
    oldest: int | None = None
    while chunk := store.audit_page(oldest, _CHUNK, latest=False):
        yield from chunk
        oldest = chunk[-1][0]


def subjects_of(
    name: str, people: People, scan: Callable[[Filter], Iterable[pa.Table]], hashed: Callable[[str], str]
) -> frozenset[str]:
    """Keyed hashes of whatever an entry about a person, or about one picture, may hold.

    Args:
        name: id of an identity or of an item. One that was forgotten is found under its own id alone.
        people: names and merges: everybody that was merged with an identity counts as the same.
        scan: rows with the column "id" that meet a filter.
        hashed: `AuditLog.subject`.

    Raises:
        InputError: more than `MAX_SUBJECT_ITEMS` pictures.
    """
    family = people.aliases(name)
    names = {name, *family}
    for rows in scan(Filter(identities=family)):
        names.update(rows.column("id").to_pylist())
        if len(names) > MAX_SUBJECT_ITEMS + len(family):
            raise InputError(
                f"subject: {name!r} has more than {MAX_SUBJECT_ITEMS:,} pictures; ask for one of them"
            )
    return frozenset(map(hashed, names))


def public(seq: int, entry: Mapping[str, Any]) -> AuditEntry:
    """An entry, as it is stored, as it is shown."""
    return AuditEntry(
        seq,
        entry["time"],
        entry.get("actor", ""),
        entry.get("action", ""),
        entry.get("count", 0),
        tuple(entry.get("subjects", ())),
        entry.get("detail", {}),
    )

"""Looking through a gallery without an embedding: items, people, and when somebody was where.

A page of items or people reads a few narrow columns of all items that meet the filter, in one pass; a
person's timeline reads that person's items.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from omnireid.core.display import short_repr
from omnireid.core.errors import InputError
from omnireid.gallery.decisions import Crowd
from omnireid.gallery.errors import NotInGalleryError
from omnireid.gallery.identities import People
from omnireid.gallery.items import EVERYTHING, Filter, Item
from omnireid.gallery.rows import ITEM_COLUMNS, items_of
from omnireid.gallery.store import GalleryStore

Entry = TypeVar("Entry")

MAX_LIMIT = 1000
_BATCH = 65_536


@dataclass(frozen=True, slots=True)
class Page(Generic[Entry]):
    """Some entries, and what to ask for the following ones (`after`); None at the end."""

    entries: tuple[Entry, ...]
    next: str | None

    __repr__ = short_repr

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)


class Person(NamedTuple):
    """An identity and what is known of it.

    Attributes:
        id: id of the root.
        items: enrolled ones, of all aliases.
        cameras: where it was seen, sorted.
        first_seen, last_seen: Unix seconds, the end of a tracklet included; None where no item has a time.
        merged: aliases, sorted.
        picture: id of the latest item that has a thumbnail; None where none has.
    """

    id: str
    name: str | None
    items: int
    cameras: tuple[str, ...]
    first_seen: float | None
    last_seen: float | None
    merged: tuple[str, ...]
    picture: str | None = None

    def __repr__(self) -> str:
        return short_repr(self)


class Sighting(NamedTuple):
    """Items of one camera, each less than the gap after the end of those before; without times all in one.

    It ends with the last end of an item: its `end_time`, or its `time` where it is of one moment.
    """

    start: float | None
    end: float | None
    items: tuple[Item, ...]

    def __repr__(self) -> str:
        return short_repr(self)


class CameraTimeline(NamedTuple):
    """Sightings in one camera, the earliest first, those without times last."""

    camera: str
    sightings: tuple[Sighting, ...]

    def __repr__(self) -> str:
        return short_repr(self)


class Timeline(NamedTuple):
    """Where and when somebody was seen, by camera (sorted)."""

    identity: str
    name: str | None
    cameras: tuple[CameraTimeline, ...]

    def __repr__(self) -> str:
        return short_repr(self)


@dataclass(frozen=True)
class Browser:
    """The items of one collection and the people on them.

    Attributes:
        collection: None in an empty gallery.
        people: names and merges.
    """

    store: GalleryStore
    collection: str | None
    people: People

    def items(self, where: Filter, limit: int, after: str | None) -> Page[Item]:
        """Items that meet a filter: the latest first, those without time last. Reads id and time of them all.

        Args:
            where: the filter; an identity stands for all that was merged with it.
            after: `next` of the page before.

        Raises:
            InputError: a limit out of range, or an `after` that no page gave.
        """
        _check_limit(limit)
        if self.collection is None:
            return Page((), None)
        where = self.people.meant(where)
        start = None if after is None else _place(after)
        best: list[tuple[float, str]] = []
        for rows in self.store.scan(self.collection, where=where, columns=("id", "time"), batch_size=_BATCH):
            times = np.asarray(rows.column("time").fill_null(-np.inf), np.float64)
            keys = -times
            enough = limit
            if start is not None:
                rows, keys = rows.filter(pa.array(keys >= start[0])), keys[keys >= start[0]]
                enough += int((keys == start[0]).sum())
            # Items of the same time are kept together here; below they are told apart by id.
            if len(keys) > enough:
                kept = keys <= np.partition(keys, enough)[enough]
                rows, keys = rows.filter(pa.array(kept)), keys[kept]
            pairs = zip(keys.tolist(), rows.column("id").to_pylist(), strict=True)
            best = sorted([*best, *(pair for pair in pairs if start is None or pair > start)])[: limit + 1]
        chosen = best[:limit]
        rows = self.store.get(self.collection, [item_id for _, item_id in chosen], columns=ITEM_COLUMNS)
        following = f"{chosen[-1][0]!r}|{chosen[-1][1]}" if len(best) > limit else None
        return Page(tuple(items_of(rows, self.people.shown)), following)

    def persons(self, text: str | None, limit: int, after: str | None) -> Page[Person]:
        """Identities, those with a name first (by name), the others by id.

        It reads the identity of every item, then the cameras and times of the people on the page.

        Args:
            text: part of a name or, of who has none, of the id that they are shown by, in upper or lower
                case; or the whole id of anybody, also one that was merged.
            after: `next` of the page before, which is the id of its last.
        """
        _check_limit(limit)
        people, named = self.people, self.people.named
        stored = self.values("identity")
        everybody = {people.root(identity) for identity in stored} | named.keys()
        if text is not None:
            wanted = text.casefold()
            meant = people.root(text) if text in stored else text
            everybody = {
                identity
                for identity in everybody
                if identity == meant or wanted in named.get(identity, identity).casefold()
            }
        keys = sorted(_by_name(identity, named) for identity in everybody)
        first = 0 if after is None else bisect.bisect_right(keys, _by_name(people.root(after), named))
        page = [key[2] for key in keys[first : first + limit]]
        more = len(keys) > first + limit
        return Page(tuple(self._known(page)), page[-1] if more else None)

    def person(self, identity: str) -> Person:
        """One identity, asked for by any of its aliases.

        Raises:
            NotInGalleryError: nobody has this id.
        """
        (shown,) = self._known([self.people.root(identity)])
        if shown.items == 0 and identity not in self.people and not shown.merged:
            raise NotInGalleryError("identity", identity)
        return shown

    def _known(self, identities: Sequence[str]) -> list[Person]:
        """What is known of some identities (roots). Reads camera and time of their items."""
        people = self.people
        counts: dict[str, int] = dict.fromkeys(identities, 0)
        cameras: dict[str, set[str]] = {identity: set() for identity in identities}
        times: dict[str, list[float]] = {identity: [] for identity in identities}
        latest: dict[str, tuple[float, str]] = {}
        for row in self._sums(people.meant(Filter(identities=frozenset(identities)))):
            root = people.root(row["identity"])
            counts[root] += row["count"]
            cameras[root].add(row["camera"])
            times[root] += [time for time in (row["first"], row["last"]) if time is not None]
            if row["picture"] is not None:
                shown = (-math.inf if row["pictured"] is None else row["pictured"], row["picture"])
                latest[root] = max(shown, latest.get(root, shown))
        return [
            Person(
                identity,
                people.name(identity),
                counts[identity],
                tuple(sorted(cameras[identity])),
                min(times[identity], default=None),
                max(times[identity], default=None),
                tuple(sorted(people.aliases(identity) - {identity})),
                latest[identity][1] if identity in latest else None,
            )
            for identity in identities
        ]

    def _sums(self, where: Filter) -> Iterator[dict[str, Any]]:
        """Count, first and last time of each identity in each camera, and the latest item with a picture."""
        by = ["identity", "camera"]
        columns = (*by, "time", "end_time", "id", "has_thumbnail")
        for rows in self._scan(where, columns):
            ends = pc.max_element_wise(rows["time"], rows["end_time"])
            sums = rows.set_column(rows.column_names.index("end_time"), "end_time", ends)
            sums = sums.group_by(by).aggregate([([], "count_all"), ("time", "min"), ("end_time", "max")])
            # Ordered: those without a time first.
            order = pc.sort_indices(rows["time"].fill_null(-math.inf))
            pictured = rows.take(order).filter(pc.take(rows["has_thumbnail"], order))
            last = pictured.group_by(by, use_threads=False).aggregate([("id", "last"), ("time", "max")])
            pictures = {(row["identity"], row["camera"]): row for row in last.to_pylist()}
            for row in sums.to_pylist():
                picture = pictures.get((row["identity"], row["camera"]), {})
                yield {
                    "identity": row["identity"],
                    "camera": row["camera"],
                    "count": row["count_all"],
                    "first": row["time_min"],
                    "last": row["end_time_max"],
                    "picture": picture.get("id_last"),
                    "pictured": picture.get("time_max"),
                }

    def values(self, column: str) -> set[str]:
        """Texts that a column holds, without None. Reads it of all items."""
        values: set[str] = set()
        for rows in self._scan(EVERYTHING, (column,)):
            values.update(pc.unique(rows.column(column)).drop_null().to_pylist())
        return values

    def crowd(self, where: Filter) -> Crowd:
        """Different people as far as known, and their items.

        People are identities, and tracklets and single items that have none. Reads the identity and tracklet
        of every item that meets the filter.
        """
        identities: set[str] = set()
        tracklets: set[str] = set()
        alone = items = 0
        for rows in self._scan(self.people.meant(where), ("identity", "tracklet")):
            items += rows.num_rows
            identities.update(pc.unique(rows.column("identity")).drop_null().to_pylist())
            unknown = rows.filter(pc.is_null(rows.column("identity"))).column("tracklet")
            tracklets.update(pc.unique(unknown).drop_null().to_pylist())
            alone += unknown.null_count
        known = {self.people.root(identity) for identity in identities}
        return Crowd(len(known) + len(tracklets) + alone, items)

    def timeline(self, identity: str, gap_s: float) -> Timeline:
        """Where and when somebody was seen.

        Args:
            gap_s: how many seconds without an item end a sighting.

        Raises:
            NotInGalleryError: nobody has this id.
        """
        people, root = self.people, self.person(identity).id
        by_camera: dict[str, list[Item]] = {}
        for rows in self._scan(Filter(identities=people.aliases(root)), ITEM_COLUMNS, 4096):
            for item in items_of(rows, people.shown):
                by_camera.setdefault(item.camera, []).append(item)
        cameras = [
            CameraTimeline(camera, _sightings(by_camera[camera], gap_s)) for camera in sorted(by_camera)
        ]
        return Timeline(root, people.name(root), tuple(cameras))

    def _scan(self, where: Filter, columns: Sequence[str], batch_size: int = _BATCH) -> Iterator[pa.Table]:
        if self.collection is not None:
            yield from self.store.scan(self.collection, where=where, columns=columns, batch_size=batch_size)


def _by_name(identity: str, named: dict[str, str]) -> tuple[bool, str, str]:
    name = named.get(identity)
    return name is None, (name or "").casefold(), identity


def _place(after: str) -> tuple[float, str]:
    number, bar, name = after.partition("|")
    try:
        return float(number), name if bar else ""
    except ValueError:
        raise InputError(f"after: expected the 'next' of a page, got {after[:60]!r}") from None


def _sightings(items: Iterable[Item], gap_s: float) -> tuple[Sighting, ...]:
    timed: list[tuple[float, str, Item]] = []
    undated = []
    for item in items:
        if item.time is None:
            undated.append(item)
        else:
            timed.append((item.time, item.id, item))
    runs: list[list[Item]] = []
    last = -np.inf
    for time, _, item in sorted(timed, key=lambda row: row[:2]):
        if not runs or time - last >= gap_s:
            runs.append([])
        runs[-1].append(item)
        last = max(last, _end(item))
    sightings = [Sighting(run[0].time, max(map(_end, run)), tuple(run)) for run in runs]
    if undated:
        sightings.append(Sighting(None, None, tuple(sorted(undated, key=lambda item: item.id))))
    return tuple(sightings)


def _end(item: Item) -> float:
    """When an item that has a time was seen last."""
    assert item.time is not None
    return item.time if item.end_time is None else item.end_time


def _check_limit(limit: int) -> None:
    if not 1 <= limit <= MAX_LIMIT:
        raise InputError(f"limit: expected 1 to {MAX_LIMIT:,}, got {limit}")

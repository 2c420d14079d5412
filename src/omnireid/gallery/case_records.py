"""What a gallery keeps of cases, and how it forgets people in them.

A case is a record; its entries and its pictures are records of two kinds of its own, so that reading one case
reads no other. Whatever names a person or shows one is found here again when that person is forgotten: this
module knows records only, as `gallery.forgetting` and the backups have them.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

from omnireid.gallery.store import GalleryStore

CASES = "case"
"""Kind of the records: by id {title, reason, created, created_by, ends, closed, closed_by, numbered}."""
FORGOTTEN_WORD = "[forgotten]"
"""Stands in titles, reasons and notes where the name of somebody forgotten was."""

_IDENTITIES = "identity"
_OWN_ID = re.compile("[0-9a-f]{32}")

Record = dict[str, Any]
Until = Callable[[str | None], float]
Hide = Callable[[str], str]


def entries_of(case_id: str) -> str:
    """Kind of a case's entries: by number, as `case_entries.Entry`."""
    return f"case-{case_id}"


def pictures_of(case_id: str) -> str:
    """Kind of a case's pictures: by id {media, content}; those of items go by the item's id."""
    return f"case-{case_id}-pictures"


def case_kinds(cases: Iterable[str]) -> list[str]:
    """Every kind of records that these cases have besides `CASES`."""
    return [kind for case in cases for kind in (entries_of(case), pictures_of(case))]


def named_items(store: GalleryStore) -> set[str]:
    """Ids of all items that any case shows or names."""
    return {
        item
        for case_id in store.records(CASES)
        for entry in store.records(entries_of(case_id)).values()
        for item in _items_in(entry)
    }


def last_named(store: GalleryStore, names: Collection[str]) -> float:
    """When a case was given one of these identities or items last, Unix seconds; minus infinity if never."""
    wanted = set(names)
    times = [
        entry["time"]
        for case_id in store.records(CASES)
        for entry in store.records(entries_of(case_id)).values()
        if wanted & {*_items_in(entry), *(identity for identity, _ in _names_in(entry))}
    ]
    return max(times, default=float("-inf"))


def drop_cases(store: GalleryStore, cases: Iterable[str]) -> None:
    """Delete cases with all that they hold. Done again after an interruption it does what is left."""
    for case_id in cases:
        for kind in case_kinds([case_id]):
            store.delete_records(kind, list(store.records(kind)))
        # Last: as long as it is there, the rest can be found.
        store.delete_records(CASES, [case_id])


def drop_entries(store: GalleryStore, case_id: str, entries: Collection[str]) -> None:
    """Delete entries of a case, and the pictures that no other entry of it shows."""
    store.delete_records(entries_of(case_id), list(entries))
    _drop_unused_pictures(store, case_id)


def forget_in_cases(store: GalleryStore, until: Until) -> None:
    """Delete what cases hold of people and items that are being forgotten; done twice it does no harm.

    An entry that is about nobody else stays as one that was forgotten, with its date and without data. Where
    the last picture of somebody goes whom a search's answer did not call another person, the pictures that
    were searched with go as well: they show the same person, as far as anybody knows. Names and ids of the
    forgotten are replaced in titles, reasons and notes.

    Args:
        until: for the id of an identity or item, the Unix time up to which it is to be forgotten: entries
            that are younger keep it. Minus infinity for all that stay.
    """
    now, cases = time.time(), store.records(CASES)
    if not cases:
        return
    entries = {key: store.records(entries_of(key)) for key in cases}
    words: list[tuple[str | None, str | None]] = [
        (identity, record["name"])
        for identity, record in store.records(_IDENTITIES).items()
        if record["created"] <= until(identity)
    ]
    for of in entries.values():
        for entry in of.values():
            words += [pair for pair in _names_in(entry) if entry["time"] <= until(pair[0])]
    hide = _hiding({word for pair in words for word in pair if word})
    for case_id, case in cases.items():
        changed = {
            entry_id: left
            for entry_id, entry in entries[case_id].items()
            if (left := _without(entry, until, hide, now)) != entry
        }
        if changed:
            store.put_records(entries_of(case_id), changed)
        _drop_unused_pictures(store, case_id)
        shown = {**case, "title": hide(case["title"]), "reason": hide(case["reason"])}
        if shown != case:
            store.put_records(CASES, {case_id: shown})


def pictures_in(entry: Mapping[str, Any]) -> set[str]:
    """Ids of the pictures that an entry shows."""
    search = entry["search"]
    asked = search["query"]["pictures"] if search else ()
    return {*asked, *(sighting["picture"] for sighting in _sightings_in(entry) if sighting["picture"])}


def _drop_unused_pictures(store: GalleryStore, case_id: str) -> None:
    used = {
        picture for entry in store.records(entries_of(case_id)).values() for picture in pictures_in(entry)
    }
    if unused := store.records(pictures_of(case_id)).keys() - used:
        store.delete_records(pictures_of(case_id), sorted(unused))


def _without(entry: Record, until: Until, hide: Hide, now: float) -> Record:
    """An entry without what is forgotten."""
    if entry["forgotten"] is not None:
        return entry

    def is_gone(name: str | None) -> bool:
        return bool(entry["time"] <= until(name))

    before = len(list(_sightings_in(entry)))
    person, search = entry["person"], entry["search"]
    sightings = _left(entry["sightings"], is_gone)
    is_of_gone = person is not None and is_gone(person["identity"])
    if is_of_gone or (entry["sightings"] and not sightings):
        return _emptied(entry, now)
    if search is not None:
        search = _search_without(search, is_gone, hide)
        # A search that found nobody is about who was searched for.
        if search["query"]["forgotten"] and not search["groups"]:
            return _emptied(entry, now)
    changed = {**entry, "sightings": sightings, "search": search, "note": hide(entry["note"])}
    return {**changed, "lost": entry["lost"] + before - len(list(_sightings_in(changed)))}


def _emptied(entry: Record, now: float) -> Record:
    blank: Record = {"person": None, "search": None, "sightings": [], "note": "", "lost": 0}
    return {**entry, **blank, "forgotten": now}


def _search_without(search: Record, is_gone: Callable[[str | None], bool], hide: Hide) -> Record:
    query, groups = search["query"], []
    loses_query = is_gone(query["item"]) or is_gone(query["identity"])
    for group in search["groups"]:
        left = [] if is_gone(group["identity"]) else _left(group["sightings"], is_gone)
        if left:
            groups.append({**group, "sightings": left})
        else:
            loses_query |= group["decision"] != "new"
    if loses_query:
        query = {**query, "item": None, "identity": None, "name": None, "pictures": [], "forgotten": True}
    return {**search, "query": query, "groups": groups, "words": [hide(word) for word in search["words"]]}


def _left(sightings: list[Record], is_gone: Callable[[str | None], bool]) -> list[Record]:
    return [
        sighting for sighting in sightings if not (is_gone(sighting["item"]) or is_gone(sighting["identity"]))
    ]


def _sightings_in(entry: Mapping[str, Any]) -> Iterator[Record]:
    yield from entry["sightings"]
    for group in (entry["search"] or {"groups": ()})["groups"]:
        yield from group["sightings"]


def _items_in(entry: Mapping[str, Any]) -> set[str]:
    search = entry["search"]
    asked = {search["query"]["item"]} - {None} if search else set()
    return {*asked, *(sighting["item"] for sighting in _sightings_in(entry))}


def _names_in(entry: Mapping[str, Any]) -> Iterator[tuple[str | None, str | None]]:
    """Each identity that an entry names, with the name that it had."""
    search = entry["search"]
    parts = [*_sightings_in(entry), *([entry["person"]] if entry["person"] else [])]
    for person in [*parts, *([search["query"], *search["groups"]] if search else [])]:
        yield person["identity"], person["name"]


def _hiding(words: set[str]) -> Hide:
    """A function that replaces these words in a text, whatever their case, where they stand alone."""
    # Ids of our own are shown by their beginning where they are long.
    shown = words | {word[:8] for word in words if _OWN_ID.fullmatch(word)}
    escaped = sorted((re.escape(word) for word in shown if len(word) > 1), key=len, reverse=True)
    if not escaped:
        return str
    pattern = re.compile(rf"(?<!\w)(?:{'|'.join(escaped)})(?!\w)", re.IGNORECASE)
    return lambda text: pattern.sub(FORGOTTEN_WORD, text)

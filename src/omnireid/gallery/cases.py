"""Cases: searches, people and pictures collected for one reason, with notes, until an end date.

What comes into a case is a snapshot of what was seen then. A case is no way around forgetting: whoever is
forgotten, by hand or because their time is over, goes from every case as well, and a case is deleted as a
whole when its end date has come. `gallery.case_export` makes one file of it.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from omnireid.core.errors import InputError
from omnireid.gallery import case_records
from omnireid.gallery.audit import MAX_SUBJECTS
from omnireid.gallery.case_entries import (
    Case,
    Decision,
    Entry,
    EntryKind,
    FoundPerson,
    PersonSeen,
    Proof,
    Query,
    SearchSeen,
    Sighting,
    meaning,
)
from omnireid.gallery.case_export import Check, Export, check_file, export_case
from omnireid.gallery.case_records import CASES, entries_of, pictures_of
from omnireid.gallery.errors import ConflictError, NotInGalleryError
from omnireid.gallery.items import Filter, Item
from omnireid.gallery.journal import Task, carry_out
from omnireid.gallery.retention import DAY_S, STEPS
from omnireid.gallery.rows import ITEM_COLUMNS, items_of
from omnireid.gallery.texts import check_text, unstorable

if TYPE_CHECKING:
    from omnireid.gallery.gallery import Gallery

MAX_CASES = 500
MAX_ENTRIES = 500
"""Of one case."""
MAX_SIGHTINGS = 500
"""Pictures of one entry that are listed; of a person the latest."""
MAX_SHOWN = 24
"""Thumbnails of one entry about a person or about chosen pictures."""
MAX_SHOWN_EACH = 6
"""Thumbnails of each person that a search found."""
MAX_ASKED = 12
"""Thumbnails of what was searched with."""
MAX_PICTURE_BYTES = 8_000_000
"""Of all thumbnails of a case: an exported file stays below what a server takes."""
MAX_NOTE = 4_000
MAX_TITLE = 200

_LOOK_BACK_S = DAY_S
_LOOK_BACK = 20_000
_PAGE = 200


@dataclass(frozen=True, slots=True)
class Candidate:
    """A picture that a search found, by its id, with the numbers that were shown."""

    item: str
    score: float
    probability: float | None
    decision: Decision | None


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """A person that a search found; `identity` is None for pictures that nobody has assigned."""

    identity: str | None
    score: float
    probability: float | None
    decision: Decision | None
    candidates: Sequence[Candidate]


class Cases:
    """The cases of one gallery. Every change is in its audit before it is made.

    Args:
        writing: keeps other writers out.
    """

    def __init__(self, gallery: Gallery, writing: Callable[[], AbstractContextManager[None]]) -> None:
        self._gallery, self._writing = gallery, writing

    # Reading

    def all(self) -> list[Case]:
        """All whose end has not come, the latest first."""
        now = self._gallery.clock()
        cases = [self._case(*pair) for pair in self._store.records(CASES).items() if pair[1]["ends"] > now]
        return sorted(cases, key=lambda case: (-case.created, case.id))

    def case(self, case_id: str) -> Case:
        """One of them.

        Raises:
            NotInGalleryError: there is none, or its end has come.
        """
        return self._case(case_id, self._record(case_id))

    def entries(self, case_id: str) -> list[Entry]:
        """What stands in a case, in the order of adding.

        Raises:
            NotInGalleryError: as `case`.
        """
        self._record(case_id)
        records = self._store.records(entries_of(case_id)).values()
        return sorted(map(Entry.model_validate, records), key=lambda entry: entry.number)

    def picture(self, case_id: str, picture: str) -> bytes:
        """A thumbnail that a case keeps: JPEG or PNG.

        Raises:
            NotInGalleryError: it is not there.
        """
        self._record(case_id)
        record = self._store.records(pictures_of(case_id)).get(picture)
        if record is None:
            raise NotInGalleryError("picture", picture)
        return base64.b64decode(record["content"])

    # Cases as a whole

    def create(self, title: str, reason: str, ends: float) -> Case:
        """Open a case.

        Args:
            title: one line.
            reason: what for, and on which legal basis.
            ends: Unix seconds; then it is deleted with all that it holds.

        Raises:
            InputError: a text that cannot be used, an end that is not to come, or too many cases.
        """
        record = {
            "title": _checked_title(title),
            "reason": _checked_text("reason", reason),
            "ends": self._checked_end(ends),
            "created": self._gallery.clock(),
            "created_by": self._gallery.actor,
            "closed": None,
            "closed_by": None,
            "numbered": 0,
        }
        with self._writing():
            if len(self._store.records(CASES)) >= MAX_CASES:
                raise InputError(f"cases: at most {MAX_CASES:,}; delete one that is not needed any more")
            case_id = secrets.token_hex(8)
            self._tell("case-create", case_id)
            self._store.put_records(CASES, {case_id: record})
        return self._case(case_id, record)

    def change(
        self,
        case_id: str,
        *,
        title: str | None = None,
        reason: str | None = None,
        ends: float | None = None,
    ) -> Case:
        """Change what a case is called, what it is for, or when it ends; what is None stays.

        Raises:
            InputError: as `create`.
            NotInGalleryError: as `case`.
            ConflictError: it is closed.
        """
        changes: dict[str, Any] = {}
        if title is not None:
            changes["title"] = _checked_title(title)
        if reason is not None:
            changes["reason"] = _checked_text("reason", reason)
        if ends is not None:
            changes["ends"] = self._checked_end(ends)
        with self._writing():
            record = {**self._open_record(case_id), **changes}
            self._tell("case-change", case_id, detail={"what": sorted(changes)})
            self._store.put_records(CASES, {case_id: record})
            if title is not None or reason is not None:
                self._store.purge_records()
        return self._case(case_id, record)

    def close(self, case_id: str) -> Case:
        """Let nothing be added or changed any more; it stays until its end date.

        Raises:
            NotInGalleryError, ConflictError: as `change`.
        """
        return self._set_closed(case_id, self._gallery.clock())

    def reopen(self, case_id: str) -> Case:
        """Take `close` back.

        Raises:
            NotInGalleryError: as `case`.
            ConflictError: it is open.
        """
        return self._set_closed(case_id, None)

    def _set_closed(self, case_id: str, closed: float | None) -> Case:
        with self._writing():
            record = self._record(case_id)
            if (closed is None) == (record["closed"] is None):
                raise ConflictError(f"case {case_id}: is {'open' if closed is None else 'closed'} already")
            self._tell("case-reopen" if closed is None else "case-close", case_id)
            by = None if closed is None else self._gallery.actor
            record = {**record, "closed": closed, "closed_by": by}
            self._store.put_records(CASES, {case_id: record})
        return self._case(case_id, record)

    def delete(self, case_id: str) -> None:
        """Delete a case for good, with all that it holds; no backup brings it back.

        Raises:
            NotInGalleryError: as `case`.
        """
        with self._writing():
            self._record(case_id)
            self._delete([case_id], "case-delete")

    def delete_ended(self) -> int:
        """Delete those whose end has come; how many. `Gallery.run_retention` does so."""
        now = self._gallery.clock()
        ended = [case_id for case_id, record in self._store.records(CASES).items() if record["ends"] <= now]
        if ended:
            with self._writing():
                self._delete(ended, "case-end")
        return len(ended)

    def _delete(self, cases: Sequence[str], action: str) -> None:
        from omnireid.gallery.forgetting import burying

        self._gallery.tell(action, count=len(cases), subjects=cases)
        tombstones = burying(self._store, cases, self._gallery.clock())
        carry_out(self._store, [*tombstones, Task("drop-cases", {"cases": list(cases)})], STEPS)

    # What stands in them

    def add_note(self, case_id: str, note: str) -> Entry:
        """Add words alone.

        Raises:
            InputError: a text that cannot be used, or the case is full.
            NotInGalleryError, ConflictError: as `change`.
        """
        return self._add(case_id, "note", _checked_text("note", note))

    def add_person(self, case_id: str, identity: str, note: str = "") -> Entry:
        """Add a person as they are known now, with their latest pictures.

        Raises:
            InputError, NotInGalleryError, ConflictError: as `add_note`; or nobody has this id.
        """
        note = _checked_text("note", note, may_be_empty=True)
        # Within the lock: whom somebody forgets meanwhile would be kept here.
        with self._writing():
            person = self._gallery.identity(identity)
            where = Filter(identities=frozenset({person.id}))
            items = self._gallery.items(where, MAX_SIGHTINGS).entries
            seen = PersonSeen(
                identity=person.id, name=person.name, items=person.items, merged=list(person.merged)
            )
            sightings, pictures = self._sightings(items, _spread([item.id for item in items], MAX_SHOWN))
            subjects = [person.id, *(item.id for item in items)]
            more: dict[str, Any] = {"person": seen, "sightings": sightings}
            return self._add(case_id, "person", note, pictures, subjects=subjects, **more)

    def add_items(self, case_id: str, items: Sequence[str], note: str = "") -> Entry:
        """Add chosen pictures of the gallery.

        Raises:
            InputError, NotInGalleryError, ConflictError: as `add_note`; or a picture that is not there.
        """
        note = _checked_text("note", note, may_be_empty=True)
        ids = list(dict.fromkeys(items))
        if not 0 < len(ids) <= MAX_SIGHTINGS:
            raise InputError(f"items: expected 1 to {MAX_SIGHTINGS:,}, got {len(ids):,}")
        with self._writing():
            rows = self._items(ids)
            if missing := [item_id for item_id in ids if item_id not in rows]:
                raise NotInGalleryError("item", missing[0])
            sightings, pictures = self._sightings([rows[item_id] for item_id in ids], ids[:MAX_SHOWN])
            return self._add(
                case_id, "pictures", note, pictures, subjects=ids, sightings=sightings
            )  # fmt: skip

    def add_search(
        self,
        case_id: str,
        answer: SearchSeen,
        found: Sequence[Hypothesis],
        *,
        order: Sequence[str] | None = None,
        pictures: Sequence[bytes] = (),
        note: str = "",
    ) -> Entry:
        """Add a search as it was answered.

        The audit must hold it: a search by the same actor within a day, which found these pictures and
        decided so. Numbers are kept as they are given; cameras, times and names are the gallery's own.

        Args:
            answer: without `groups`; of its query, kind, count and item are taken.
            found: the people it found, best first.
            order: ids of all pictures in the order of the answer; by default that of `found`.
            pictures: thumbnails of what was searched with; not needed for a picture of the gallery.

        Raises:
            InputError, NotInGalleryError: as `add_note`.
            ConflictError: the case is closed, or the audit holds no such search.
        """
        note = _checked_text("note", note, may_be_empty=True)
        for line in (*answer.words, answer.note):
            _checked_text("words", line, may_be_empty=True)
        ids = list(
            dict.fromkeys(order or [candidate.item for group in found for candidate in group.candidates])
        )
        if len(ids) > MAX_SIGHTINGS:
            raise InputError(f"search: expected at most {MAX_SIGHTINGS:,} pictures, got {len(ids):,}")
        proof = self._proof(ids, answer)
        with self._writing():
            query, kept = self._query(answer.query, pictures)
            groups = []
            for hypothesis in found:
                group, thumbnails = self._found(hypothesis)
                if group.sightings:
                    groups.append(group)
                    kept |= thumbnails
            seen = answer.model_copy(update={"query": query, "groups": groups, "meaning": meaning(answer)})
            subjects = [*([query.item] if query.item else []), *ids]
            return self._add(
                case_id, "search", note, kept, subjects=subjects, search=seen, proof=proof
            )  # fmt: skip

    def _found(self, hypothesis: Hypothesis) -> tuple[FoundPerson, dict[str, bytes]]:
        """A hypothesis with what the gallery knows of it, without pictures that are not there any more."""
        numbers = {candidate.item: candidate for candidate in hypothesis.candidates}
        items, people = self._items(list(numbers)), self._gallery.people(fresh=True)
        there = [items[number] for number in numbers if number in items]
        sightings, thumbnails = self._sightings(there, [item.id for item in there][:MAX_SHOWN_EACH])
        names = ("score", "probability", "decision")
        with_numbers = [
            sighting.model_copy(update={name: getattr(numbers[sighting.item], name) for name in names})
            for sighting in sightings
        ]
        identity = people.shown(hypothesis.identity)
        person = FoundPerson(
            identity=identity,
            name=people.name(identity),
            sightings=with_numbers,
            **{name: getattr(hypothesis, name) for name in names},
        )
        return person, thumbnails

    def remove(self, case_id: str, entry_id: str) -> None:
        """Delete an entry for good, with the pictures that no other entry of the case shows.

        Raises:
            NotInGalleryError, ConflictError: as `change`; or there is no such entry.
        """
        with self._writing():
            self._open_record(case_id)
            entry = self._store.records(entries_of(case_id)).get(entry_id)
            if entry is None:
                raise NotInGalleryError("entry", entry_id)
            detail = {"entry": entry["number"], "kind": entry["kind"]}
            self._tell("case-remove", case_id, detail=detail)
            what = {"case": case_id, "entries": [entry_id]}
            carry_out(self._store, [Task("drop-case-entries", what)], STEPS)

    # One file

    def export(self, case_id: str, *, name: str = "") -> Export:
        """One HTML file of a case; its SHA-256 goes into the audit.

        Args:
            name: what the gallery is called where it is exported.

        Raises:
            NotInGalleryError: as `case`.
        """
        exported = export_case(self._gallery, self.case(case_id), self.entries(case_id), name)
        self._tell("case-export", case_id, detail={"sha256": exported.sha256})
        return exported

    def check(self, content: str) -> Check:
        """Whether an exported file is as it was, and whether this gallery has exported it.

        Raises:
            InputError: no exported case, or of a later version.
        """
        return check_file(content, [self._gallery])

    # Helpers

    @property
    def _store(self) -> Any:
        return self._gallery.store

    def _record(self, case_id: str) -> dict[str, Any]:
        record: dict[str, Any] | None = self._store.records(CASES).get(case_id)
        if record is None or record["ends"] <= self._gallery.clock():
            raise NotInGalleryError("case", case_id)
        return record

    def _open_record(self, case_id: str) -> dict[str, Any]:
        record = self._record(case_id)
        if record["closed"] is not None:
            raise ConflictError(f"case {case_id}: is closed; open it again first")
        return record

    def _case(self, case_id: str, record: Mapping[str, Any]) -> Case:
        shown = {name: value for name, value in record.items() if name != "numbered"}
        return Case(id=case_id, entries=len(self._store.records(entries_of(case_id))), **shown)

    def _checked_end(self, ends: float) -> float:
        if not self._gallery.clock() < ends < float("inf"):
            raise InputError("ends: expected a time to come; a case is deleted then")
        return ends

    def _tell(
        self,
        action: str,
        case_id: str,
        *,
        subjects: Iterable[str] = (),
        detail: Mapping[str, Any] | None = None,
    ) -> None:
        about = [case_id, *subjects]
        self._gallery.tell(action, count=max(1, len(about) - 1), subjects=about, detail=detail)

    def _add(
        self,
        case_id: str,
        kind: EntryKind,
        note: str,
        pictures: Mapping[str, bytes] | None = None,
        *,
        subjects: Sequence[str] = (),
        **content: Any,
    ) -> Entry:
        with self._writing():
            record = self._open_record(case_id)
            known = self._store.records(entries_of(case_id))
            if len(known) >= MAX_ENTRIES:
                raise InputError(f"case {case_id}: holds {MAX_ENTRIES:,} entries; open another one")
            new = self._new_pictures(case_id, pictures or {})
            entry = Entry(
                id=secrets.token_hex(8),
                number=record["numbered"] + 1,
                kind=kind,
                time=self._gallery.clock(),
                actor=self._gallery.actor,
                note=note,
                **content,
            )
            detail = {"entry": entry.number, "kind": kind}
            self._tell("case-add", case_id, subjects=subjects, detail=detail)
            self._store.put_records(CASES, {case_id: {**record, "numbered": entry.number}})
            # The entry last: pictures alone are swept away, an entry without its pictures would be half.
            self._store.put_records(pictures_of(case_id), new)
            self._store.put_records(entries_of(case_id), {entry.id: entry.model_dump()})
        return entry

    def _new_pictures(self, case_id: str, pictures: Mapping[str, bytes]) -> dict[str, dict[str, str]]:
        known = self._store.records(pictures_of(case_id))
        new = {
            key: {
                "media": "image/png" if content.startswith(b"\x89PNG") else "image/jpeg",
                "content": base64.b64encode(content).decode(),
            }
            for key, content in pictures.items()
            if key not in known
        }
        if (
            3 * sum(len(picture["content"]) for picture in (*known.values(), *new.values()))
            > 4 * MAX_PICTURE_BYTES
        ):
            raise InputError(
                f"case {case_id}: its pictures would take more than {MAX_PICTURE_BYTES // 1_000_000} MB; "
                "close it and open another one"
            )
        return new

    def _items(self, ids: Sequence[str]) -> dict[str, Item]:
        live = self._gallery.generations.live()
        if live is None or not ids:
            return {}
        rows = self._store.get(live.collection, ids, columns=ITEM_COLUMNS)
        return {item.id: item for item in items_of(rows, self._gallery.people(fresh=True).shown)}

    def _sightings(
        self, items: Sequence[Item], shown: Sequence[str]
    ) -> tuple[list[Sighting], dict[str, bytes]]:
        """Items as they are now, with the thumbnails of those in `shown`."""
        live, people = self._gallery.generations.live(), self._gallery.people(fresh=True)
        thumbnails: dict[str, bytes] = {}
        if live is not None and shown:
            rows = self._store.get(live.collection, shown, columns=("id", "thumbnail"))
            pairs = zip(rows["id"].to_pylist(), rows["thumbnail"].to_pylist(), strict=True)
            thumbnails = {item_id: content for item_id, content in pairs if content is not None}
        fields = ("camera", "time", "end_time", "source", "identity")
        sightings = [
            Sighting(
                item=item.id,
                name=people.name(item.identity),
                picture=item.id if item.id in thumbnails else None,
                **{field: getattr(item, field) for field in fields},
            )
            for item in items
        ]
        return sightings, thumbnails

    def _query(self, asked: Query, pictures: Sequence[bytes]) -> tuple[Query, dict[str, bytes]]:
        if asked.kind == "item":
            items = self._items([asked.item] if asked.item else [])
            if asked.item not in items:
                raise NotInGalleryError("item", str(asked.item))
            (sighting,), kept = self._sightings([items[asked.item]], [asked.item])
            return (
                Query(
                    kind="item", item=asked.item, identity=sighting.identity, name=sighting.name,
                    pictures=list(kept),
                ),
                kept,
            )  # fmt: skip
        kept = {secrets.token_hex(16): content for content in pictures[:MAX_ASKED]}
        return Query(kind=asked.kind, count=asked.count, pictures=list(kept)), kept

    def _proof(self, ids: Sequence[str], answer: SearchSeen) -> Proof:
        """The audit's entry of this search.

        Raises:
            ConflictError: there is none.
        """
        log, actor, known = self._gallery.log, self._gallery.actor, None
        earliest = self._gallery.clock() - _LOOK_BACK_S
        # A search with an item has that item among its subjects, and decided with it.
        with_item = answer.query.kind == "item"
        wanted = {log.subject(item_id) for item_id in ids[: MAX_SUBJECTS - 1]}
        for _ in range(_LOOK_BACK // _PAGE):
            page = self._store.audit_page(known, _PAGE, latest=True)
            for known, raw in page:
                if raw["time"] < earliest:
                    break
                if raw["action"] != "search" or raw["actor"] != actor:
                    continue
                detail, subjects = raw.get("detail", {}), set(raw["subjects"])
                is_it = wanted <= subjects if wanted else len(subjects) <= with_item
                if is_it and (with_item or detail.get("decision") == answer.decision):
                    return Proof(time=raw["time"], actor=actor, seq=known, hash=raw["hash"])
            else:
                if len(page) == _PAGE:
                    continue
            break
        raise ConflictError(
            f"search: the audit log holds no such search of {actor} within the last day; search again, and "
            "add that"
        )


def _spread(ids: Sequence[str], most: int) -> list[str]:
    """At most so many, evenly over all; the first among them."""
    if len(ids) <= most:
        return list(ids)
    return [ids[round(rank * (len(ids) - 1) / (most - 1))] for rank in range(most)]


def _checked_title(title: str) -> str:
    check_text("title", title)
    if len(title) > MAX_TITLE:
        raise InputError(f"title: expected at most {MAX_TITLE} characters, got {len(title)}")
    return title


def _checked_text(name: str, text: str, *, may_be_empty: bool = False) -> str:
    """Words of several lines."""
    if not isinstance(text, str):
        raise InputError(f"{name}: expected text, got {type(text).__name__}")
    text = text.replace("\r\n", "\n").strip()
    if not text and not may_be_empty:
        raise InputError(f"{name}: expected a text, got an empty one")
    if reason := unstorable(text.replace("\n", " ").replace("\t", " "), MAX_NOTE):
        raise InputError(f"{name}: {reason}")
    return text


__all__ = ["Candidate", "Case", "Cases", "Check", "Entry", "Export", "Hypothesis", "case_records"]

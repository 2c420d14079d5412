"""A watch list: say so when somebody is enrolled again, for a stated reason and a limited time.

Every picture that is enrolled is compared with the people on the list. There is an alert where the search
calls it the same person, or where it was enrolled as that person. An alert is a hint for a human, no proof.

Alerts are numbered in one row (`seq`). Whoever tells others of them (a page, a webhook) remembers the number
of the last one told: what was forgotten meanwhile is told to nobody, and there is no second copy to forget.
"""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from omnireid.core.arrays import Float32
from omnireid.core.display import short_repr
from omnireid.core.errors import InputError, OmniReIDError, StorageError
from omnireid.evaluation.calibration import Decision
from omnireid.gallery.errors import ConflictError, NotInGalleryError
from omnireid.gallery.items import Filter, Item
from omnireid.gallery.journal import Task, carry_out
from omnireid.gallery.records import Records, RememberedRecords
from omnireid.gallery.retention import DAY_S, STEPS
from omnireid.gallery.rows import ITEM_COLUMNS, embeddings_of, items_of
from omnireid.gallery.searching import Candidate, SearchResult
from omnireid.gallery.texts import check_text
from omnireid.gallery.watch_records import ALERTS, STATE, WATCHED

if TYPE_CHECKING:
    from omnireid.gallery.gallery import Gallery

MAX_ENTRIES = 100
MAX_DAYS = 92.0
"""How far ahead an entry may end. Whoever needs longer says anew why."""
MAX_ALERTS = 1000
"""Older ones are deleted, those that were looked at first."""
OVERLAP_S = 600.0
"""An item may be seen so much later than it says it was enrolled: a lock, the clock of another machine."""
TRAFFIC_DAYS = 7.0
ACTOR = "watch list"
"""Who searches, in the audit."""

Why = Literal["looks", "enrolled"]
"""It looks the same, or was enrolled as this person."""
Answer = Literal["new", "seen", "right", "wrong"]
"""What an operator said of an alert; "new" where nobody has looked."""

_FOLLOWER, _JUDGED, _NUMBER, _DROPPED = "follower", "judged", "number", "dropped"
_RATE_AGE_S = 300.0
_PART = 64
_log = logging.getLogger("omnireid.gallery")


@dataclass(frozen=True, slots=True)
class Entry:
    """Somebody who is watched for.

    Attributes:
        identity: its identity as it is shown now, after merges.
        reason: why, in the words of whoever asked for it.
        created, ends: Unix seconds.
        actor: who asked for it.
        has_ended: it is over; the daily upkeep deletes it.
    """

    id: str
    identity: str
    reason: str
    created: float
    ends: float
    actor: str
    has_ended: bool

    __repr__ = short_repr


@dataclass(frozen=True, slots=True)
class Alert:
    """Somebody on the list was perhaps enrolled again.

    Attributes:
        id: the same for the same entry and picture, or tracklet.
        seq: its number, from 1, growing.
        entry, identity: the entry and the person it is about.
        item: the new picture.
        compared: a picture of the person to look at beside it: the one most like it, or the latest; None
            where there is none (any more).
        camera, time, enrolled: those of the item; Unix seconds, `time` None where unknown.
        raised: when the alert was written.
        why: "looks" the same, or was "enrolled" as this person.
        probability, score: those of the search; None where it was not compared.
        false_alarm_rate: share of such searches for strangers that end in "same"; None where unknown.
        answer: "new", "seen", "right" or "wrong".
        answered_by: who said so; "" where nobody has.
    """

    id: str
    seq: int
    entry: str
    identity: str
    item: str
    compared: str | None
    camera: str
    time: float | None
    enrolled: float
    raised: float
    why: Why
    probability: float | None
    score: float | None
    answer: Answer
    answered_by: str
    false_alarm_rate: float | None = None

    __repr__ = short_repr


@dataclass(frozen=True, slots=True)
class Expectation:
    """How many false alarms this site's traffic implies.

    Attributes:
        people: how many people are on the list.
        pictures_per_day: how many pictures were enrolled, over the last days.
        days: how many of them were looked at, 1 to 7; 0 where nothing was enrolled.
        rate: share of searches for strangers through these people that end in "same"; None where unknown.
        is_measured: whether the calibration measured it for so many people; else it is the wanted rate.
        false_alarms_per_day: those of the whole list; None where nobody knows. Pictures of one tracklet raise
            one alarm at most, so that with tracklets there are fewer.
        note: why nobody knows; "" where it is known.
    """

    people: int
    pictures_per_day: float
    days: float
    rate: float | None
    is_measured: bool
    false_alarms_per_day: float | None
    note: str


class Judged(NamedTuple):
    """What operators said of alerts so far, also of those that are deleted."""

    right: int
    wrong: int


class WatchList:
    """The watch list of one gallery. Several threads may share it.

    Args:
        gallery: a gallery that may be shared with other processes; what they change is seen within a second.
    """

    # All else is one dictionary, which the views of `acting_as` share.
    __slots__ = ("__dict__", "_gallery")

    def __init__(self, gallery: Gallery) -> None:
        self._gallery = gallery
        self._store = gallery.store
        self._entries = RememberedRecords(self._store, WATCHED, lambda records: records)
        self._alerts = RememberedRecords(self._store, ALERTS, lambda records: records)
        self._rates: dict[frozenset[str], tuple[float | None, bool, str, float]] = {}

    def acting_as(self, actor: str) -> WatchList:
        """This list in the hands of somebody else; see `Gallery.acting_as`."""
        view = object.__new__(type(self))
        view.__dict__ = self.__dict__
        view._gallery = self._gallery.acting_as(actor)
        return view

    # Entries

    def entries(self, *, fresh: bool = False) -> list[Entry]:
        """All of them, those that end first come first. Ended ones are there until they are deleted.

        Args:
            fresh: read them now, not up to a second ago.
        """
        records, people, now = self._entries.read(fresh=fresh), self._gallery.people(), self._gallery.clock()
        entries = [
            Entry(
                id=entry_id,
                has_ended=record["ends"] <= now,
                **{**record, "identity": people.root(record["identity"])},
            )
            for entry_id, record in records.items()
        ]
        return sorted(entries, key=lambda entry: (entry.ends, entry.id))

    def add(self, identity: str, *, reason: str, ends: float) -> Entry:
        """Watch for somebody from now on.

        Args:
            identity: id of a person of the gallery.
            reason: why; anybody who sees the list reads it.
            ends: Unix seconds, `MAX_DAYS` ahead at most.

        Raises:
            InputError: no reason, an end that has passed or is too far ahead, or too many entries.
            NotInGalleryError: nobody has this id.
            ConflictError: this person is watched for already; end that entry first.
            NotWritableError: the gallery can only be read.
        """
        check_text("reason", reason)
        if not reason.strip():
            raise InputError("reason: expected why this person is watched for, got nothing")
        with self._store.lock():
            now = self._gallery.clock()
            if not now < ends <= now + MAX_DAYS * DAY_S:
                raise InputError(
                    f"ends: expected a time within the next {MAX_DAYS:g} days; an entry that is still needed "
                    "then is made anew"
                )
            person = self._gallery.identity(identity)
            known = self.entries(fresh=True)
            if len(known) >= MAX_ENTRIES:
                raise InputError(
                    f"watch list: holds {MAX_ENTRIES} entries, which is the most; end others first"
                )
            if any(entry.identity == person.id and not entry.has_ended for entry in known):
                raise ConflictError(
                    f"identity {person.id!r}: is on the watch list already; end that entry first"
                )
            record = {
                "identity": person.id,
                "reason": reason,
                "created": now,
                "ends": float(ends),
                "actor": self._gallery.actor,
            }
            self._gallery.tell("watch", count=1, subjects=[person.id], detail={"ends": float(ends)})
            name = secrets.token_hex(8)
            self._store.put_records(WATCHED, {name: record})
            self._entries.forget()
        return next(entry for entry in self.entries(fresh=True) if entry.id == name)

    def end(self, entry: str) -> int:
        """Watch for somebody no more: the entry and its alerts are deleted; how many alerts.

        Raises:
            NotInGalleryError: there is no such entry.
        """
        with self._store.lock():
            record = self._store.records(WATCHED).get(entry)
            if record is None:
                raise NotInGalleryError("watch list entry", entry)
            return self._delete("unwatch", {entry: record})

    def delete_ended(self) -> int:
        """Delete entries whose time is over, with their alerts; how many entries."""
        if not self._ended():
            return 0
        with self._store.lock():
            ended = self._ended()
            self._delete("watch-ended", ended)
        return len(ended)

    def _ended(self) -> Records:
        now, records = self._gallery.clock(), self._store.records(WATCHED)
        return {entry_id: record for entry_id, record in records.items() if record["ends"] <= now}

    def _delete(self, action: str, ended: Mapping[str, Mapping[str, Any]]) -> int:
        alerts = [
            alert_id for alert_id, alert in self._store.records(ALERTS).items() if alert["entry"] in ended
        ]
        subjects = [entry["identity"] for entry in ended.values()]
        self._gallery.tell(action, count=len(ended), subjects=subjects, detail={"alerts": len(alerts)})
        try:
            carry_out(self._store, [Task("end-watching", {"entries": sorted(ended), "alerts": []})], STEPS)
        finally:
            self.changed()
        return len(alerts)

    def changed(self) -> None:
        """Read the records again next time."""
        self._entries.forget()
        self._alerts.forget()

    # Alerts

    def alerts(
        self,
        *,
        after: int = 0,
        before: int | None = None,
        answers: Iterable[Answer] | None = None,
        limit: int | None = None,
        latest: bool = False,
        fresh: bool = False,
    ) -> list[Alert]:
        """Alerts, by their numbers; at most a second old.

        Args:
            after, before: numbers; only alerts with a larger, and a smaller number.
            answers: those that were answered so; all when None.
            latest: the largest number first.
            fresh: read them now.
        """
        wanted = None if answers is None else set(answers)
        owners = {entry.id: entry.identity for entry in self.entries(fresh=fresh)}
        alerts = [
            Alert(id=alert_id, identity=owners[record["entry"]], **record)
            for alert_id, record in self._alerts.read(fresh=fresh).items()
            if record["seq"] > after
            and (before is None or record["seq"] < before)
            and (wanted is None or record["answer"] in wanted)
            # An entry that is being deleted takes its alerts with it.
            and record["entry"] in owners
        ]
        alerts.sort(key=lambda alert: alert.seq, reverse=latest)
        return alerts if limit is None else alerts[:limit]

    def last_number(self) -> int:
        """The largest `seq` that was given so far, also where that alert is deleted; 0 before the first."""
        return _last_number(self._store.records(STATE), self._alerts.read(fresh=True))

    def answer(self, alert: str, answer: Answer) -> Alert:
        """Say what an alert turned out to be: looked at ("seen"), "right", or the "wrong" person.

        Raises:
            NotInGalleryError: there is no such alert.
            InputError: another answer.
        """
        if answer not in ("new", "seen", "right", "wrong"):
            raise InputError(f"answer: expected new, seen, right or wrong, got {answer!r}")
        with self._store.lock():
            record = self._store.records(ALERTS).get(alert)
            owners = {entry.id: entry.identity for entry in self.entries(fresh=True)}
            if record is None or record["entry"] not in owners:
                raise NotInGalleryError("alert", alert)
            answered_by = "" if answer == "new" else self._gallery.actor
            changed = {**record, "answer": answer, "answered_by": answered_by}
            if answer != record["answer"]:
                subjects = [record["item"], owners[record["entry"]]]
                self._gallery.tell("answer-alert", count=1, subjects=subjects, detail={"answer": answer})
                counts = self._store.records(STATE).get(_JUDGED, {"right": 0, "wrong": 0})
                for verdict, by in ((record["answer"], -1), (answer, 1)):
                    if verdict in counts:
                        counts[verdict] += by
                self._store.put_records(ALERTS, {alert: changed})
                self._store.put_records(STATE, {_JUDGED: counts})
                self._alerts.forget()
        return Alert(id=alert, identity=owners[record["entry"]], **changed)

    def judged(self) -> Judged:
        """How often alerts were right and wrong so far."""
        counts = self._store.records(STATE).get(_JUDGED, {})
        return Judged(counts.get("right", 0), counts.get("wrong", 0))

    def put(self, alerts: Sequence[Alert], looked: float) -> list[Alert]:
        """Write alerts, and how far was looked; those that are there already stay as they are.

        Args:
            alerts: without a number (0).
            looked: every item enrolled before this was compared; Unix seconds.

        Returns:
            Those that are new, with their numbers.
        """
        with self._store.lock():
            state, known = self._store.records(STATE), self._store.records(ALERTS)
            entries = self._store.records(WATCHED)
            # Forgotten while they were compared: nothing may be written of them any more.
            there = self._there({alert.item for alert in alerts})
            number = _last_number(state, known)
            records: Records = {}
            written = []
            for alert in alerts:
                if alert.id in known or alert.id in records:
                    continue
                if alert.entry not in entries or alert.item not in there:
                    continue
                number += 1
                written.append(dataclasses.replace(alert, seq=number, raised=self._gallery.clock()))
                records[alert.id] = _record(written[-1])
            if records:
                subjects = [subject for alert in written for subject in (alert.item, alert.identity)]
                watcher = self._gallery.acting_as(ACTOR)
                watcher.tell("alert", count=len(written), subjects=dict.fromkeys(subjects))
                self._store.put_records(ALERTS, records)
                self._drop_oldest({**known, **records}, state)
            self._store.put_records(STATE, {_FOLLOWER: {"looked": looked}, _NUMBER: {"last": number}})
            self._alerts.forget()
        return written

    def looked(self) -> float:
        """Every item enrolled before this was compared; Unix seconds, minus infinity before the first."""
        return float(self._store.records(STATE).get(_FOLLOWER, {}).get("looked", -np.inf))

    def state(self, name: str) -> dict[str, Any]:
        """What somebody who tells others of alerts remembers; empty where that is nothing."""
        return self._store.records(STATE).get(f"of-{name}", {})

    def put_state(self, name: str, value: Mapping[str, Any]) -> None:
        """Remember it: small JSON values, nothing about a person."""
        self._store.put_records(STATE, {f"of-{name}": value})

    def _there(self, items: Iterable[str]) -> set[str]:
        live = self._gallery.generations.live()
        wanted = sorted(items)
        if live is None or not wanted:
            return set()
        return set(self._store.get(live.collection, wanted, columns=("id",))["id"].to_pylist())

    def _drop_oldest(self, known: Records, state: Records) -> None:
        if len(known) <= MAX_ALERTS:
            return
        order = sorted(known, key=lambda key: (known[key]["answer"] == "new", known[key]["seq"]))
        gone = order[: len(known) - MAX_ALERTS]
        # No step of its own: who is forgotten takes the bytes along, and so does the next end of an entry.
        self._store.delete_records(ALERTS, gone)
        self._store.purge_records()
        dropped = state.get(_DROPPED, {"new": 0})["new"] + sum(
            known[alert_id]["answer"] == "new" for alert_id in gone
        )
        self._store.put_records(STATE, {_DROPPED: {"new": dropped}})

    def num_dropped(self) -> int:
        """Alerts that nobody had looked at when newer ones took their place."""
        return int(self._store.records(STATE).get(_DROPPED, {}).get("new", 0))

    # What to expect

    def expectation(self, identities: Iterable[str] = ()) -> Expectation:
        """How many false alarms a day this site's traffic implies for the whole list.

        Reads when items of the last week were enrolled, and searches once with a picture of somebody on the
        list for the rate that such a search states (remembered for five minutes).

        Args:
            identities: people who are perhaps put on the list, besides those who are.
        """
        people = self._gallery.people()
        now = self._gallery.clock()
        watched = {entry.identity for entry in self.entries() if not entry.has_ended}
        watched |= {people.root(identity) for identity in identities}
        pictures, days = self._traffic(now)
        rate, is_measured, note = self._rate(frozenset(watched))
        per_day = pictures / days if days else 0.0
        return Expectation(
            people=len(watched),
            pictures_per_day=per_day,
            days=days,
            rate=rate,
            is_measured=is_measured,
            false_alarms_per_day=None if rate is None else rate * per_day,
            note=note,
        )

    def _traffic(self, now: float) -> tuple[int, float]:
        """Pictures of the last week, and in how many days: of a new gallery since its first one."""
        live = self._gallery.generations.live()
        if live is None:
            return 0, 0.0
        where = Filter(enrolled_since=now - TRAFFIC_DAYS * DAY_S)
        count, first = 0, now
        for rows in self._store.scan(live.collection, where=where, columns=("enrolled",), batch_size=65_536):
            count += rows.num_rows
            first = min(first, float(np.asarray(rows["enrolled"]).min(initial=now)))
        is_older = count < self._store.count(live.collection)
        days = TRAFFIC_DAYS if is_older else max(1.0, (now - first) / DAY_S)
        return count, days if count else 0.0

    def _rate(self, watched: frozenset[str]) -> tuple[float | None, bool, str]:
        if not watched:
            return 0.0, False, ""
        known = self._rates.get(watched)
        if known is None or time.monotonic() - known[-1] > _RATE_AGE_S:
            item = next(iter(self._gallery.items(Filter(identities=watched), limit=1)), None)
            live = self._gallery.generations.live()
            if item is None or live is None:
                return None, False, "There is no picture of these people to compare with."
            embedding = self._gallery.embedding(item.id)
            result = self._gallery.search(embedding, model=live.model, k=1, where=Filter(identities=watched))
            is_measured = result.measured is not None
            rate = _rate_of(result)
            note = result.note if rate is None else ""
            known = rate, is_measured, note, time.monotonic()
            self._rates = {watched: known}
        return known[:3]


class Follower:
    """Compares what is enrolled, whoever enrols it, with the people on the list.

    It goes by the time at which items say they were enrolled, and looks again at those of the last ten
    minutes, for some become visible late. How far it got is kept in the gallery: after a crash nothing is
    missed, and because an alert's id follows from its entry and picture, nothing is told twice.
    """

    def __init__(self, watch_list: WatchList, gallery: Gallery) -> None:
        self._list, self._gallery = watch_list, gallery.acting_as(ACTOR)
        self._done: dict[str, float] = {}

    def step(self) -> list[Alert]:
        """Look at what is new; the alerts that follow, as they were written.

        Raises:
            StorageError: the gallery cannot be read or written now; nothing is missed by that.
        """
        entries, live = self._active(), self._gallery.generations.live()
        if not entries or live is None:
            self._done.clear()
            return []
        looked = self._list.looked()
        # The clock may have been set back since.
        since = min(looked, self._gallery.clock()) - OVERLAP_S
        start = max(since, min(entry.created for entry in entries))
        self._done = {key: when for key, when in self._done.items() if when >= start}
        written = []
        for part in self._new(live.collection, start):
            # Read after the items: whoever was put on the list before one of them came is among these.
            entries = self._active()
            alerts = [alert for pair in part for alert in self._alerts_of(*pair, entries)]
            # What is enrolled by a clock that runs ahead must not hide what comes after.
            looked = max(looked, min(part[-1][0].enrolled, self._gallery.clock()))
            written += self._list.put(alerts, looked)
            self._done.update((item.id, item.enrolled) for item, _ in part)
        return written

    def _active(self) -> list[Entry]:
        return [entry for entry in self._list.entries(fresh=True) if not entry.has_ended]

    def _new(self, collection: str, start: float) -> Iterator[list[tuple[Item, Float32]]]:
        """Items that were not looked at yet with their embeddings, in the order they were enrolled."""
        store = self._gallery.store
        unseen: list[tuple[float, str]] = []
        where = Filter(enrolled_since=start)
        for rows in store.scan(collection, where=where, columns=("id", "enrolled"), batch_size=65_536):
            pairs = zip(rows["enrolled"].to_pylist(), rows["id"].to_pylist(), strict=True)
            unseen += [pair for pair in pairs if pair[1] not in self._done]
        unseen.sort()
        for begin in range(0, len(unseen), _PART):
            ids = [item_id for _, item_id in unseen[begin : begin + _PART]]
            rows = store.get(collection, ids, columns=(*ITEM_COLUMNS, "embedding"))
            if rows.num_rows:
                items = items_of(rows, self._gallery.people().shown)
                yield list(zip(items, embeddings_of(rows), strict=True))

    def _alerts_of(self, item: Item, embedding: Float32, entries: Sequence[Entry]) -> list[Alert]:
        watched = {entry.identity: entry for entry in entries if item.enrolled >= entry.created}
        own = watched.pop(item.identity, None) if item.identity is not None else None
        alerts = [] if own is None else [self._own_alert(item, embedding, own)]
        if not watched:
            return alerts
        where, model = Filter(identities=frozenset(watched)), self._gallery.model_of_items()
        try:
            answer = self._gallery.search(embedding, model=model, k=len(watched), where=where)
        except StorageError:
            raise
        except OmniReIDError as error:
            # It cannot be searched with at all: the others must not wait for it.
            _log.error("%s: an item was not compared with the watch list: %s", self._gallery.uri, error)
            return alerts
        people = self._gallery.people()
        # They may have been merged since the list was read.
        entry_of = {people.root(identity): entry for identity, entry in watched.items()}
        for group in answer.groups:
            entry = entry_of.get(people.shown(group.identity) or "")
            others = [candidate for candidate in group.candidates if candidate.item.id != item.id]
            if group.decision is Decision.SAME and entry is not None and others:
                best = max(others, key=lambda candidate: candidate.score)
                alerts.append(_alert_of(item, entry, "looks", best.item.id, best, rate=_rate_of(answer)))
        return alerts

    def _own_alert(self, item: Item, embedding: Float32, entry: Entry) -> Alert:
        """Of a picture that was enrolled as somebody on the list: also how alike it is."""
        where, model = Filter(identities=frozenset({entry.identity})), self._gallery.model_of_items()
        try:
            answer = self._gallery.search(embedding, model=model, k=1, where=where, without={item.id})
        except StorageError:
            raise
        except OmniReIDError:
            return _alert_of(item, entry, "enrolled", self._other_picture(item, entry))
        best = answer.candidates[0] if answer.candidates else None
        rate = None if best is None or best.probability is None else _rate_of(answer)
        return _alert_of(item, entry, "enrolled", self._other_picture(item, entry), best, rate=rate)

    def _other_picture(self, item: Item, entry: Entry) -> str | None:
        """The latest one of the person, to look at beside the new one."""
        latest = self._gallery.items(Filter(identities=frozenset({entry.identity})), limit=2)
        return next((picture.id for picture in latest if picture.id != item.id), None)


def _rate_of(answer: SearchResult) -> float | None:
    return answer.false_alarm_rate if answer.measured is None else answer.measured.rate


def _alert_of(
    item: Item,
    entry: Entry,
    why: Why,
    compared: str | None,
    match: Candidate | None = None,
    *,
    rate: float | None = None,
) -> Alert:
    # Pictures of one tracklet are one sighting.
    seen = f"t{item.tracklet}" if item.tracklet is not None else f"i{item.id}"
    return Alert(
        id=hashlib.blake2b(f"{entry.id}\0{seen}".encode(), digest_size=12).hexdigest(),
        seq=0,
        entry=entry.id,
        identity=entry.identity,
        item=item.id,
        compared=compared,
        camera=item.camera,
        time=item.time,
        enrolled=item.enrolled,
        raised=0.0,
        why=why,
        probability=None if match is None else match.probability,
        score=None if match is None else match.score,
        answer="new",
        answered_by="",
        false_alarm_rate=rate,
    )


_OWN = ("id", "identity")


def _record(alert: Alert) -> dict[str, Any]:
    return {name: value for name, value in dataclasses.asdict(alert).items() if name not in _OWN}


def _last_number(state: Records, alerts: Records) -> int:
    # After a crash between the two writes the alerts know better.
    return max(
        [int(state.get(_NUMBER, {}).get("last", 0)), *(int(alert["seq"]) for alert in alerts.values())]
    )

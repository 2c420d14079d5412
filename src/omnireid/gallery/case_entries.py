"""What stands in a case: values that are kept, go over the wire and into an exported file alike."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, WithJsonSchema

Decision = Literal["same", "new", "unsure"]
EntryKind = Literal["search", "person", "pictures", "note"]


def _seconds(value: object) -> object:
    if isinstance(value, str):
        moment = datetime.fromisoformat(value.replace("Z", "+00:00"))
        if moment.tzinfo is None:
            raise ValueError("expected a time with its offset")
        return moment.timestamp()
    return value


def iso_time(seconds: float) -> str:
    """Unix seconds → RFC 3339 in UTC; the nearest that can be written where out of range."""
    try:
        return datetime.fromtimestamp(seconds, timezone.utc).isoformat().replace("+00:00", "Z")
    except (OverflowError, ValueError, OSError):
        return "9999-12-31T23:59:59Z" if seconds > 0 else "0001-01-01T00:00:00Z"


Moment = Annotated[
    float,
    BeforeValidator(_seconds),
    PlainSerializer(iso_time, return_type=str, when_used="json-unless-none"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""Unix seconds, which JSON has as RFC 3339."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Sighting(_Part):
    """A picture of the gallery as it was when it came into the case.

    Attributes:
        identity, name: the person it was assigned to then.
        picture: id of its thumbnail in the case; None where none is kept.
        score, probability, decision: those of the search that it comes from.
    """

    item: str
    camera: str
    time: Moment | None
    end_time: Moment | None = None
    source: str = ""
    identity: str | None = None
    name: str | None = None
    picture: str | None = None
    score: float | None = None
    probability: float | None = None
    decision: Decision | None = None


class FoundPerson(_Part):
    """One hypothesis of a search: a person, or pictures that nobody has assigned."""

    identity: str | None
    name: str | None
    score: float
    probability: float | None
    decision: Decision | None
    sightings: list[Sighting]


class Query(_Part):
    """What was searched with.

    Attributes:
        kind: an operator's own picture, several of them, or a picture of the gallery.
        count: how many pictures.
        pictures: ids of those that are kept; for a box, of what is in it.
        forgotten: they were deleted, for somebody was forgotten whom they may show.
    """

    kind: Literal["file", "tracklet", "item"]
    count: int = 1
    item: str | None = None
    identity: str | None = None
    name: str | None = None
    pictures: list[str] = []
    forgotten: bool = False


class Model(_Part):
    """A model: its name and the SHA-256 of its file."""

    name: str
    sha256: str


class Measured(_Part):
    """How often searches for strangers ended in "same" when calibrating, with the 95 % interval."""

    people: int
    rate: float
    low: float
    high: float
    is_extrapolated: bool = False


class SearchSeen(_Part):
    """A search and what it answered. Numbers that the service did not give are None.

    Attributes:
        words: the conditions, in words.
        meaning: what the numbers mean, in sentences.
        people: N, who was searched through.
        nobody, others: probability that the person is not in the gallery, or is somebody who is not shown.
    """

    query: Query
    model: Model
    decision: Decision | None
    calibrated: bool
    is_exact: bool
    note: str = ""
    words: list[str] = []
    meaning: list[str] = []
    false_alarm_rate: float | None = None
    prior: float | None = None
    people: int | None = None
    nobody: float | None = None
    others: float | None = None
    same_from: float | None = None
    measured: Measured | None = None
    groups: list[FoundPerson] = []


class PersonSeen(_Part):
    """A person as known then. `items`: how many pictures there were; the entry's sightings are the latest."""

    identity: str
    name: str | None
    items: int
    merged: list[str] = []


class Proof(_Part):
    """The entry of the audit log that says a search took place. `hash` is the entry's link in its chain."""

    time: Moment
    actor: str
    seq: int
    hash: str


class Entry(_Part):
    """One thing in a case.

    Attributes:
        number: its number from 1, in the order of adding; never given twice.
        note: note of who added it.
        forgotten: when the data of this entry was forgotten; then nothing else is left of it.
        lost: pictures that were forgotten since, while others of the entry stayed.
        sightings: those of a person, or the pictures that were chosen.
    """

    id: str
    number: int
    kind: EntryKind
    time: Moment
    actor: str
    note: str = ""
    forgotten: Moment | None = None
    lost: int = 0
    proof: Proof | None = None
    search: SearchSeen | None = None
    person: PersonSeen | None = None
    sightings: list[Sighting] = []


class Case(_Part):
    """A case without its entries.

    Attributes:
        reason: what for, and on which legal basis.
        ends: when it is deleted with all that it holds.
        closed: since when nothing can be added; None while it is open.
        entries: how many.
    """

    id: str
    title: str
    reason: str
    created: Moment
    created_by: str
    ends: Moment
    closed: Moment | None = None
    closed_by: str | None = None
    entries: int = 0


def meaning(search: SearchSeen) -> list[str]:
    """What the numbers of an answer mean, for who reads it without the page."""
    lines = []
    if search.same_from is not None:
        lines.append(
            f"“Likely the same person” is said from a probability of {_percent(search.same_from)} on. "
            "It is no proof of identity."
        )
    if (rate := search.false_alarm_rate) is not None:
        strangers = _strangers(rate)
        if search.nobody is not None or search.same_from is not None:
            through = "" if search.people is None else f" through these {_people(search.people)}"
            lines.append(f"Wanted: of {strangers[0]} searches for strangers{through}, about {strangers[1]}.")
        else:
            lines.append(f"Wanted: of {strangers[0]} comparisons with strangers, about {strangers[1]}.")
    if (measured := search.measured) is not None:
        how = "Estimated from smaller galleries" if measured.is_extrapolated else "Measured when calibrating"
        lines.append(
            f"{how}: among {_people(measured.people)}, {_percent(measured.rate)} of searches for strangers "
            "ended in “likely the same person” "
            f"(95 % interval {_percent(measured.low)} to {_percent(measured.high)})."
        )
    if search.prior is not None:
        whose = "that the person is in the gallery at all" if search.nobody is not None else "of a comparison"
        lines.append(f"Probability before looking, {whose}: {_percent(search.prior)}.")
    if search.nobody is not None:
        others = "" if search.others is None else f", of somebody who is not shown: {_percent(search.others)}"
        lines.append(f"Probability of nobody in the gallery: {_percent(search.nobody)}{others}.")
    if not search.calibrated:
        lines.append("Without a calibration: nobody can say what the scores mean.")
    exact = "exact" if search.is_exact else "approximate: some pictures may not have been compared"
    lines.append(f"The search was {exact}.")
    return lines


def _strangers(rate: float) -> tuple[str, str]:
    count = 100
    while count * rate < 0.999 and count < 1_000_000_000:
        count *= 10
    called = round(count * rate)
    return f"{count:,}", f"{called:,} {'ends' if called == 1 else 'end'} in “likely the same person”"


def _people(count: int) -> str:
    return f"{count:,} {'person' if count == 1 else 'people'}"


def _percent(share: float) -> str:
    """As the page writes it: never 0 % or 100 % where that is not known."""
    value = 100 * share
    if 99.9 < value < 100:
        return "more than 99.9 %"
    if 0 < value < 0.1:
        return "less than 0.1 %" if value < 0.001 else f"{value:.2g} %"
    return f"{value:.1f} %".replace(".0 %", " %") if value > 99 or value < 10 else f"{value:.0f} %"

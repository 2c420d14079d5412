"""What goes over the wire about the watch list."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from omnireid.gallery.watching import Expectation
from omnireid.server.schemas import Answer, Closed, GalleryQuery, Id, ItemOut, NewName, Texts, Time, TimeOut

AnswerName = Literal["new", "seen", "right", "wrong"]


class WatchRequest(Closed):
    """Somebody to watch for: why, and until when (at most 92 days ahead)."""

    identity: Id
    reason: Annotated[NewName, Field(description="Why; whoever sees the list reads it.")]
    ends: Time


class AlertAnswer(Closed):
    """What an alert turned out to be: looked at, right, or the wrong person; "new" takes that back."""

    answer: AnswerName


class WatchEstimateQuery(GalleryQuery):
    """Who is perhaps put on the list."""

    identity: Annotated[Texts, Field(default_factory=list)]


class AlertsQuery(GalleryQuery):
    """Which alerts: with a number below `before`, the latest first; `open`: that nobody has answered."""

    before: Annotated[int, Field(ge=1)] | None = None
    limit: Annotated[int, Field(ge=1, le=200)] = 50
    open: bool = False


class EventsQuery(GalleryQuery):
    """Events after the alert of this number; by default those that come from now on."""

    after: Annotated[int, Field(ge=0)] | None = None


class WatchEntryOut(Answer):
    """Somebody who is watched for."""

    id: str
    identity: str
    name: str | None
    reason: str
    created: TimeOut
    ends: TimeOut
    actor: str
    has_ended: bool
    alerts: int
    unanswered: int
    right: int
    wrong: int


class JudgedOut(Answer):
    """What operators said of alerts so far, of entries that have ended too."""

    right: int
    wrong: int


class ReceiverOut(Answer):
    """Where a receiver of alerts stands; only those with admin rights are told."""

    host: str
    waiting: int
    oldest: TimeOut | None
    failures: int
    failure: str
    next_try: TimeOut | None
    given_up: int


class WatchAnswer(Answer):
    """The watch list."""

    entries: list[WatchEntryOut]
    expectation: Expectation
    judged: JudgedOut
    dropped: int = Field(description="Alerts that nobody had answered when newer ones took their place.")
    can_change: str = Field(description="Why the list cannot be changed; empty where it can.")
    webhook: ReceiverOut | None = None
    broker: ReceiverOut | None = None


class AlertOut(Answer):
    """Somebody on the list was perhaps enrolled again: a hint, no proof."""

    id: str
    seq: int
    entry: str
    identity: str
    name: str | None
    reason: str
    item: ItemOut
    compared: ItemOut | None
    why: Literal["looks", "enrolled"]
    probability: float | None
    score: float | None
    false_alarm_rate: float | None = Field(
        description='Share of searches for strangers through the people on the list that end in "same"; null '
        "where unknown."
    )
    raised: TimeOut
    answer: AnswerName
    answered_by: str


class AlertsAnswer(Answer):
    """The latest first; `next` is the following page's `before`."""

    alerts: list[AlertOut]
    unanswered: int
    next: int | None


class EndedAnswer(Answer):
    """How many alerts were deleted with an entry."""

    alerts: int

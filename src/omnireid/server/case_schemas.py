"""What goes over the wire about cases. Entries are as the gallery has them (`gallery.case_entries`)."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from omnireid.gallery.case_entries import Case, Entry, Measured, Model, Query, SearchSeen
from omnireid.gallery.cases import MAX_NOTE, MAX_SIGHTINGS, MAX_TITLE, Candidate, Hypothesis
from omnireid.server.schemas import (
    Answer,
    Base64,
    Closed,
    DecisionName,
    Id,
    NewName,
    Region,
    Time,
    TimeOut,
)

Words = Annotated[str, Field(max_length=MAX_NOTE)]
Lines = Annotated[list[Words], Field(max_length=100)]
Title = Annotated[NewName, Field(max_length=MAX_TITLE)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]


class CaseRequest(Closed):
    """A new case: what it is called, what for and on which legal basis, and when it is deleted."""

    title: Title
    reason: Annotated[Words, Field(min_length=1)]
    ends: Time


class CaseChange(Closed):
    """What changes of a case; what is left out stays."""

    title: Title | None = None
    reason: Annotated[Words, Field(min_length=1)] | None = None
    ends: Time | None = None


class _Lenient(BaseModel):
    """As an answer of ours came: of fields that later versions may give, those that are known are taken."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)


class AnsweredItem(_Lenient):
    """An item of an answer, by its id."""

    id: Id


class AnsweredCandidate(_Lenient):
    """A candidate of an answer."""

    item: AnsweredItem
    score: Finite
    probability: Share | None = None
    decision: DecisionName | None = None


class AnsweredGroup(_Lenient):
    """A group of an answer."""

    identity: Id | None = None
    score: Finite
    probability: Share | None = None
    decision: DecisionName | None = None
    candidates: Annotated[list[AnsweredCandidate], Field(max_length=MAX_SIGHTINGS)] = []

    def hypothesis(self) -> Hypothesis:
        """As the gallery has it."""
        candidates = [
            Candidate(candidate.item.id, candidate.score, candidate.probability, candidate.decision)
            for candidate in self.candidates
        ]
        return Hypothesis(self.identity, self.score, self.probability, self.decision, candidates)


class AnsweredModel(_Lenient):
    """The model behind an answer."""

    name: Annotated[str, Field(max_length=MAX_TITLE)]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class AnsweredMeasured(_Lenient):
    """How often searches for strangers ended in "same" when calibrating."""

    people: Annotated[int, Field(ge=0, lt=2**53)]
    rate: Share
    low: Share
    high: Share
    is_extrapolated: bool = False


class AnsweredSearch(_Lenient):
    """The answer of `POST /v1/search`, as it came."""

    model: AnsweredModel
    decision: DecisionName | None = None
    calibrated: bool = False
    is_exact: bool = False
    note: Words = ""
    false_alarm_rate: Share | None = None
    prior: Share | None = None
    people: Annotated[int, Field(ge=0, lt=2**53)] | None = None
    nobody: Share | None = None
    others: Share | None = None
    same_from: Share | None = None
    measured: AnsweredMeasured | None = None
    candidates: Annotated[list[AnsweredCandidate], Field(max_length=MAX_SIGHTINGS)] = []
    groups: Annotated[list[AnsweredGroup], Field(max_length=MAX_SIGHTINGS)] = []


class CaseAsked(Closed):
    """What was searched with, as in the search: an `item`, an `image` (or its `region`), or `images`."""

    item: Id | None = None
    image: Base64 | None = None
    region: Region | None = None
    images: Annotated[list[Base64], Field(min_length=1)] | None = None


class CaseSearch(Closed):
    """A search: what was searched with, its conditions in words, and the answer as it came."""

    asked: CaseAsked
    words: Lines = Field(default_factory=list)
    answer: AnsweredSearch

    def order(self) -> list[str]:
        """Ids of all pictures in the order in which the audit has them."""
        groups = [candidate for group in self.answer.groups for candidate in group.candidates]
        return list(dict.fromkeys(candidate.item.id for candidate in (*self.answer.candidates, *groups)))

    def seen(self) -> SearchSeen:
        """As the gallery has it, without whom it found."""
        answer, asked = self.answer, self.asked
        query = Query(kind="item", item=asked.item) if asked.item is not None else Query(kind="file")
        if asked.images is not None:
            query = Query(kind="tracklet", count=len(asked.images))
        return SearchSeen(
            query=query,
            model=Model(name=answer.model.name, sha256=answer.model.sha256),
            measured=None if answer.measured is None else Measured(**answer.measured.model_dump()),
            words=self.words,
            **answer.model_dump(
                include={
                    "decision", "calibrated", "is_exact", "note", "false_alarm_rate", "prior", "people",
                    "nobody", "others", "same_from",
                }
            ),
        )  # fmt: skip


class CaseEntryRequest(Closed):
    """One of a `search`, a person (`identity`), chosen pictures (`items`), or a `note` alone."""

    search: CaseSearch | None = None
    identity: Id | None = None
    items: Annotated[list[Id], Field(min_length=1, max_length=MAX_SIGHTINGS)] | None = None
    note: Words = ""


class CheckRequest(Closed):
    """An exported file as text."""

    file: str


class CasesAnswer(Answer):
    """All cases whose end has not come, the latest first."""

    cases: list[Case]


class CaseAnswer(Answer):
    """A case and what stands in it, in the order of adding."""

    case: Case
    entries: list[Entry]


class DeletedAnswer(Answer):
    """It is gone for good."""

    deleted: bool = True


class ExportedOut(Answer):
    """What an audit log of this server says of an export."""

    time: TimeOut
    actor: str
    gallery: str


class CheckAnswer(Answer):
    """Whether an exported file is as it was."""

    is_unchanged: bool = Field(description="Whether the case in the file is the one its hash was made of.")
    sha256: str = Field(description="Of the case in the file, computed here.")
    stated: str = Field(description="The hash that the file claims.")
    is_own_page: bool = Field(
        description="Whether all around the case is as this version of the service writes it; where not, the "
        "file may show something else than it holds."
    )
    exported_here: ExportedOut | None = Field(
        description="Who exported exactly this here, by the audit log; null where it was not, or is from "
        "before the log."
    )
    payload: dict[str, Any] = Field(description="What the file holds, without its pictures.")

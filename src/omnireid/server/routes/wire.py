"""From the gallery's values to what goes over the wire."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from omnireid.gallery.browsing import Person, Timeline
from omnireid.gallery.gallery import Gallery
from omnireid.gallery.identities import Operation, People
from omnireid.gallery.items import SHOWN, Item
from omnireid.gallery.searching import Candidate, Group, SearchResult
from omnireid.server.schemas import (
    CameraOut,
    CandidateOut,
    DecisionName,
    GalleryOut,
    GenerationOut,
    GroupOut,
    IdentityOut,
    IndexOut,
    ItemOut,
    MeasuredOut,
    ModelOut,
    OperationOut,
    RetentionOut,
    SearchAnswer,
    SightingOut,
    TimelineAnswer,
)


def items_out(gallery: Gallery, items: Iterable[Item], people: People | None = None) -> list[ItemOut]:
    """Items, each with the name of its identity."""
    people = gallery.people() if people is None else people
    return [_item(one, people) for one in items]


def search_answer(gallery: Gallery, found: SearchResult, took_ms: float) -> SearchAnswer:
    """What a search found."""
    candidates = [*found.candidates, *(one for group in found.groups for one in group.candidates)]
    items = {one.item.id: one.item for one in candidates}
    shown = {one.id: one for one in items_out(gallery, items.values())}

    def candidate(one: Candidate) -> CandidateOut:
        return CandidateOut(
            item=shown[one.item.id],
            score=one.score,
            probability=one.probability,
            decision=_decision(one),
        )

    return SearchAnswer(
        model=ModelOut(name=found.model.name, sha256=found.model.saved_sha256),
        calibrated=found.calibrated,
        note=found.note,
        decision=_decision(found),
        nobody=found.nobody,
        others=found.others,
        people=found.people,
        false_alarm_rate=found.false_alarm_rate,
        same_from=found.same_from,
        measured=None if found.measured is None else MeasuredOut(**dataclasses.asdict(found.measured)),
        prior=found.prior,
        is_exact=found.is_exact,
        took_ms=took_ms,
        candidates=[candidate(one) for one in found.candidates],
        groups=[
            GroupOut(
                identity=group.identity,
                name=group.name,
                score=group.score,
                probability=group.probability,
                decision=_decision(group),
                candidates=[candidate(one) for one in group.candidates],
            )
            for group in found.groups
        ],
    )


def identity_out(person: Person) -> IdentityOut:
    """Somebody, and what is known of them."""
    return IdentityOut(
        id=person.id,
        name=person.name,
        items=person.items,
        cameras=list(person.cameras),
        first_seen=person.first_seen,
        last_seen=person.last_seen,
        merged=list(person.merged),
        picture=person.picture,
    )


def timeline_answer(gallery: Gallery, timeline: Timeline) -> TimelineAnswer:
    """Where and when somebody was seen."""
    every = [item for camera in timeline.cameras for sighting in camera.sightings for item in sighting.items]
    shown = {one.id: one for one in items_out(gallery, every)}
    return TimelineAnswer(
        identity=timeline.identity,
        name=timeline.name,
        cameras=[
            CameraOut(
                camera=camera.camera,
                sightings=[
                    SightingOut(
                        start=sighting.start,
                        end=sighting.end,
                        items=[shown[one.id] for one in sighting.items],
                    )
                    for sighting in camera.sightings
                ],
            )
            for camera in timeline.cameras
        ],
    )


def operation_out(operation: Operation) -> OperationOut:
    """What an operator did."""
    return OperationOut(
        id=operation.id,
        kind=operation.kind,
        time=operation.time,
        actor=operation.actor,
        summary=operation.summary,
        undone=operation.undone,
        can_undo=operation.can_undo,
        identity=operation.identity,
    )


def gallery_out(name: str, gallery: Gallery) -> GalleryOut:
    """What a gallery holds."""
    state, retention = gallery.state(), gallery.retention()
    return GalleryOut(
        name=name,
        items=state.items,
        identities=state.identities,
        cameras=list(state.cameras),
        models=[
            GenerationOut(name=one.model.name, sha256=one.model.saved_sha256, state=one.state)
            for one in state.models
        ],
        index=IndexOut(
            status=state.index.status, indexed=state.index.indexed, unindexed=state.index.unindexed
        ),
        retention=RetentionOut(default_s=retention.default_s, cameras=dict(retention.cameras)),
        precision=state.precision,
        disk_bytes=state.disk_bytes,
        read_only=gallery.read_only,
    )


def _item(item: Item, people: People) -> ItemOut:
    shown = {name: getattr(item, name) for name in SHOWN}
    shown["box"] = None if item.box is None else item.box._asdict()
    return ItemOut(**shown, name=people.name(item.identity))


def _decision(one: Candidate | Group | SearchResult) -> DecisionName | None:
    return None if one.decision is None else one.decision.value

"""From the gallery's values to what goes over the wire."""

from __future__ import annotations

from collections.abc import Iterable

from omnireid.gallery.browsing import Timeline
from omnireid.gallery.gallery import Gallery
from omnireid.gallery.identities import People
from omnireid.gallery.items import SHOWN, Item
from omnireid.gallery.searching import Candidate, Group, SearchResult
from omnireid.server.schemas import (
    CameraOut,
    CandidateOut,
    DecisionName,
    GalleryOut,
    GenerationOut,
    GroupOut,
    IndexOut,
    ItemOut,
    MeasuredOut,
    ModelOut,
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

    return SearchAnswer.of(
        found,
        model=ModelOut(name=found.model.name, sha256=found.model.saved_sha256),
        decision=_decision(found),
        measured=None if found.measured is None else MeasuredOut.of(found.measured),
        took_ms=took_ms,
        candidates=[candidate(one) for one in found.candidates],
        groups=[
            GroupOut.of(
                group, decision=_decision(group), candidates=[candidate(one) for one in group.candidates]
            )
            for group in found.groups
        ],
    )


def timeline_answer(gallery: Gallery, timeline: Timeline) -> TimelineAnswer:
    """Where and when somebody was seen."""
    every = [item for camera in timeline.cameras for sighting in camera.sightings for item in sighting.items]
    shown = {one.id: one for one in items_out(gallery, every)}
    return TimelineAnswer.of(
        timeline,
        cameras=[
            CameraOut(
                camera=camera.camera,
                sightings=[
                    SightingOut.of(sighting, items=[shown[one.id] for one in sighting.items])
                    for sighting in camera.sightings
                ],
            )
            for camera in timeline.cameras
        ],
    )


def gallery_out(name: str, gallery: Gallery) -> GalleryOut:
    """What a gallery holds."""
    state = gallery.state()
    return GalleryOut.of(
        state,
        name=name,
        models=[
            GenerationOut(name=one.model.name, sha256=one.model.saved_sha256, state=one.state)
            for one in state.models
        ],
        index=IndexOut.of(state.index),
        retention=RetentionOut.of(gallery.retention()),
        read_only=gallery.read_only,
    )


def _item(item: Item, people: People) -> ItemOut:
    shown = {name: getattr(item, name) for name in SHOWN}
    shown["box"] = None if item.box is None else item.box._asdict()
    return ItemOut(**shown, name=people.name(item.identity))


def _decision(one: Candidate | Group | SearchResult) -> DecisionName | None:
    return None if one.decision is None else one.decision.value

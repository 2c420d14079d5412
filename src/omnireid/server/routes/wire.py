"""From the gallery's values to what goes over the wire, where names of people are to be looked up."""

from __future__ import annotations

from collections.abc import Iterable

from omnireid.gallery.browsing import CameraTimeline, Timeline
from omnireid.gallery.gallery import Gallery
from omnireid.gallery.identities import People
from omnireid.gallery.items import Item
from omnireid.gallery.searching import Candidate, SearchResult
from omnireid.server.schemas import (
    CameraOut,
    CandidateOut,
    GalleryOut,
    GenerationOut,
    GroupOut,
    ItemOut,
    SearchAnswer,
    SightingOut,
    TimelineAnswer,
)


def items_out(gallery: Gallery, items: Iterable[Item], people: People | None = None) -> list[ItemOut]:
    """Items, each with the name of its identity."""
    people = gallery.people() if people is None else people
    return [ItemOut.of(item, name=people.name(item.identity)) for item in items]


def search_answer(gallery: Gallery, result: SearchResult, took_ms: float) -> SearchAnswer:
    """What a search found."""
    candidates = [*result.candidates, *(member for group in result.groups for member in group.candidates)]
    items = {candidate.item.id: candidate.item for candidate in candidates}
    shown = {item.id: item for item in items_out(gallery, items.values())}

    def out(candidates: Iterable[Candidate]) -> list[CandidateOut]:
        return [CandidateOut.of(candidate, item=shown[candidate.item.id]) for candidate in candidates]

    return SearchAnswer.of(
        result,
        took_ms=took_ms,
        candidates=out(result.candidates),
        groups=[GroupOut.of(group, candidates=out(group.candidates)) for group in result.groups],
    )


def timeline_answer(gallery: Gallery, timeline: Timeline) -> TimelineAnswer:
    """Where and when somebody was seen."""
    people = gallery.people()

    def sightings(camera: CameraTimeline) -> list[SightingOut]:
        return [
            SightingOut.of(sighting, items=items_out(gallery, sighting.items, people))
            for sighting in camera.sightings
        ]

    cameras = [CameraOut.of(camera, sightings=sightings(camera)) for camera in timeline.cameras]
    return TimelineAnswer.of(timeline, cameras=cameras)


def gallery_out(name: str, gallery: Gallery) -> GalleryOut:
    """What a gallery holds."""
    state = gallery.state()
    models = [GenerationOut.of(known.model, state=known.state) for known in state.models]
    return GalleryOut.of(state, name=name, models=models, read_only=gallery.read_only)

"""From the gallery's values to what goes over the wire, where names of people are to be looked up."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fastapi import Response

from omnireid.gallery.browsing import CameraTimeline, Timeline
from omnireid.gallery.gallery import Gallery
from omnireid.gallery.identities import People
from omnireid.gallery.items import Item
from omnireid.gallery.searching import Candidate, SearchResult
from omnireid.server import schemas

IS_PICTURE: dict[str, Any] = {
    "response_class": Response,
    "responses": {200: {"content": {"image/jpeg": {}, "image/png": {}}}},
}
"""Options of a route that answers with `picture_answer`."""


def picture_answer(content: bytes) -> Response:
    """A JPEG or PNG that the gallery keeps."""
    return Response(content, media_type="image/png" if content.startswith(b"\x89PNG") else "image/jpeg")


def items_out(gallery: Gallery, items: Iterable[Item], people: People | None = None) -> list[schemas.ItemOut]:
    """Items, each with the name of its identity."""
    people = gallery.people() if people is None else people
    return [schemas.ItemOut.of(item, name=people.name(item.identity)) for item in items]


def search_answer(gallery: Gallery, result: SearchResult, took_ms: float) -> schemas.SearchAnswer:
    """What a search found."""
    candidates = [*result.candidates, *(member for group in result.groups for member in group.candidates)]
    items = {candidate.item.id: candidate.item for candidate in candidates}
    shown = {item.id: item for item in items_out(gallery, items.values())}

    def out(candidates: Iterable[Candidate]) -> list[schemas.CandidateOut]:
        return [schemas.CandidateOut.of(candidate, item=shown[candidate.item.id]) for candidate in candidates]

    return schemas.SearchAnswer.of(
        result,
        took_ms=took_ms,
        candidates=out(result.candidates),
        groups=[schemas.GroupOut.of(group, candidates=out(group.candidates)) for group in result.groups],
    )


def timeline_answer(gallery: Gallery, timeline: Timeline) -> schemas.TimelineAnswer:
    """Where and when somebody was seen."""
    people = gallery.people()

    def sightings(camera: CameraTimeline) -> list[schemas.SightingOut]:
        return [
            schemas.SightingOut.of(sighting, items=items_out(gallery, sighting.items, people))
            for sighting in camera.sightings
        ]

    cameras = [schemas.CameraOut.of(camera, sightings=sightings(camera)) for camera in timeline.cameras]
    return schemas.TimelineAnswer.of(timeline, cameras=cameras)


def gallery_out(name: str, gallery: Gallery) -> schemas.GalleryOut:
    """What a gallery holds."""
    state = gallery.state()
    models = [schemas.GenerationOut.of(known.model, state=known.state) for known in state.models]
    return schemas.GalleryOut.of(state, name=name, models=models, read_only=gallery.read_only)

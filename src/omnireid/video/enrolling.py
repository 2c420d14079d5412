"""Tracklets into a gallery: one item for each, and one identity for those that are one person's."""

from __future__ import annotations

import json

import numpy as np

from omnireid.core.card import ModelRef
from omnireid.gallery.enrolling import Enrolment, joined
from omnireid.gallery.gallery import Gallery
from omnireid.gallery.items import Item
from omnireid.video.linking import Tracklet
from omnireid.video.site import Site


def enrol_site(site: Site, gallery: Gallery, model: ModelRef, *, started: float) -> Enrolment:
    """Enrol what cameras saw. Enrolled again, the same tracklets stay as they were.

    Of each person the longest tracklet is searched for first, as `Gallery.enrol(assign=True)` does: somebody
    known, somebody new, or nobody yet. The person's other tracklets then belong to the same identity.

    Args:
        started: Unix seconds of the cameras' first frames.

    Raises:
        InputError: The gallery has no calibration of the model.
        ModelMismatchError, StorageError: As `Gallery.enrol`.
    """
    done = []
    for identity in site.identities:
        members = sorted(identity.members, key=lambda row: -site.tracklets[row].length)
        whose: str | None = None
        for row in members:
            item, vector = _item(site, site.tracklets[row], started, whose)
            added = gallery.enrol([item], vector, model=model, assign=True)
            whose = added.assigned[0].identity
            done.append(added)
    return joined(done)


def _item(site: Site, tracklet: Tracklet, started: float, identity: str | None) -> tuple[Item, np.ndarray]:
    track = site.track(tracklet)
    assert track.embedding is not None
    best = track.crops.kept[0] if track.crops.kept else None
    begin, end = started + tracklet.begin, started + tracklet.end
    source = next(camera.shown_source for camera in site.cameras if camera.name == tracklet.camera)
    name = f"{tracklet.camera}-{begin:.1f}-{tracklet.number}"
    item = Item(
        camera=tracklet.camera,
        time=begin,
        end_time=end,
        identity=identity,
        tracklet=name,
        source=source,
        quality=1.0 if best is None else best.quality,
        thumbnail=None if best is None else best.jpeg,
        key=json.dumps([tracklet.camera, round(begin, 3), tracklet.number, source]),
    )
    return item, track.embedding[None].astype(np.float32)

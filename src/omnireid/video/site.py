"""From cameras to identities: every camera's frames are read, people detected and followed, and tracklets
linked.

Cameras are read in threads of their own and their frames detected together; memory is bounded by a few frames
of each camera and the people who are before them: what ended lies in a ledger on disk, from which a run that
was stopped goes on.
"""

from __future__ import annotations

import time as clock
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from rich.console import Console

from omnireid.core.arrays import Float64
from omnireid.core.detection import PersonDetector
from omnireid.core.errors import InputError
from omnireid.core.interrupts import ending_gently
from omnireid.core.progress import progress_bar
from omnireid.evaluation.calibration import Calibration
from omnireid.inference.embedder import Embedder
from omnireid.video.boxes import Boxes
from omnireid.video.detecting import detect_all
from omnireid.video.follower import Camera, Follower
from omnireid.video.identifying import identify
from omnireid.video.ledger import Ledger, Walks
from omnireid.video.likeness import Likeness
from omnireid.video.linking import Identity, Tracklet
from omnireid.video.meeting import Trail, trail
from omnireid.video.motion import Motion
from omnireid.video.options import Linking
from omnireid.video.plan import SitePlan, Source
from omnireid.video.reading import FrameReading, Video
from omnireid.video.stitching import Stitching
from omnireid.video.streams import Read, Streams
from omnireid.video.tracker import Track, Tracker, Tracking


@dataclass(frozen=True, slots=True)
class Following:
    """How people are followed, from frame to identity: the options of each step.

    Attributes:
        save_s: Seconds between two savings; so much is seen again after kill -9.
    """

    reading: FrameReading = FrameReading()
    tracking: Tracking = Tracking()
    motion: Motion = Motion()
    stitching: Stitching = Stitching()
    linking: Linking = Linking()
    plan: SitePlan = SitePlan()
    save_s: float = 2.0


@dataclass(frozen=True, slots=True)
class Site:
    """What all cameras saw.

    Attributes:
        cameras: In the order in which they were given.
        tracklets: Of all cameras. identities: who is who among them.
        trails: Of each tracklet, its way on the floor; None where its camera has no ground plane.
        was_interrupted: Whether the user stopped it; what was seen until then is here.
    """

    cameras: tuple[Camera, ...]
    tracklets: tuple[Tracklet, ...]
    identities: tuple[Identity, ...]
    trails: tuple[Trail | None, ...] = ()
    was_interrupted: bool = False

    def track(self, tracklet: Tracklet) -> Track:
        """The boxes of a tracklet."""
        camera = next(camera for camera in self.cameras if camera.name == tracklet.camera)
        assert isinstance(camera.tracks, Walks)
        return camera.tracks.numbered(tracklet.number)


def follow(
    sources: Sequence[tuple[str, str] | Source],
    detector: PersonDetector | None,
    embedder: Embedder,
    calibration: Calibration,
    following: Following = Following(),
    *,
    given: Mapping[str, Mapping[int, Boxes]] | None = None,
    ledger: Ledger | None = None,
    console: Console | None = None,
) -> Site:
    """Follow people through cameras. Ctrl-C ends the reading; what was seen is tracked and linked.

    Args:
        sources: The cameras.
        calibration: What a similarity of the embedder says.
        detector: None where all cameras' boxes are given.
        given: Boxes by camera and number of frame; the detector is not asked for these cameras.
        ledger: Where what is seen is kept, and what an earlier run saw is; by default a temporary file.
        console: Where progress is shown.

    Raises:
        InputError: No camera, or two with one name.
        VideoError: No camera gave a picture; where some did, the others' `stopped` says what was wrong.
        StorageError: The disk is full.
    """
    cameras = [Camera(*Source(*source)) for source in sources]
    check_names([camera.name for camera in cameras])
    kept = ledger or Ledger()
    followers = {
        camera.name: Follower(
            row, camera, Tracker(following.tracking, following.motion, Likeness()), embedder, kept
        )
        for row, camera in enumerate(cameras)
    }
    videos = {
        name: Video(
            follower.camera.source,
            following.reading,
            replace(follower.camera.health, broke_off=""),
            follower.mark,
        )
        for name, follower in followers.items()
        if not follower.is_over
    }
    with ending_gently() as asked, progress_bar(console) as progress:
        streams, saved = Streams(videos, asked), clock.monotonic()
        task = progress.add_task("Following people", total=None)
        for batch in streams.batches():
            for read, detections in _detected(batch, detector, given or {}):
                followers[read.camera].see(read.frame, read.health, detections)
            progress.update(task, advance=len(batch))
            if clock.monotonic() - saved >= following.save_s:
                _save(followers.values(), kept)
                saved = clock.monotonic()
        was_interrupted = asked.is_set()
    for name, video in videos.items():
        follower = followers[name]
        if name in streams.over or name in streams.failures:
            follower.camera.health = video.health
        # A stream that broke off may be there again when the run goes on.
        follower.is_over = name in streams.over and not (video.is_live and video.health.broke_off)
    for name, follower in followers.items():
        follower.camera.stopped = str(streams.failures.get(name, follower.camera.health.broke_off))
    if streams.failures and not any(camera.frames for camera in cameras):
        raise next(iter(streams.failures.values()))
    _save(followers.values(), kept)
    for follower in followers.values():
        follower.finish(following.stitching)
    tracklets, trails = _walks(cameras, calibration, following.plan)
    identities = identify(
        tracklets, trails, lambda scores: log_odds(calibration, scores), following.linking, following.plan
    )
    return Site(tuple(cameras), tracklets, identities, trails, was_interrupted)


def _walks(
    cameras: Sequence[Camera], calibration: Calibration, plan: SitePlan
) -> tuple[tuple[Tracklet, ...], tuple[Trail | None, ...]]:
    """Tracklets of all cameras and their ways on the floor; each track is read from disk once."""
    tracklets: list[Tracklet] = []
    trails: list[Trail | None] = []
    for camera in cameras:
        ground = plan.grounds.get(camera.name)
        for track in camera.tracks:
            if track.embedding is None:
                continue
            look = calibration.transform(track.embedding[None].astype(np.float32))[0] * track.steadiness
            tracklets.append(Tracklet(camera.name, track.number, track.begin, track.end, look, len(track)))
            trails.append(trail(ground, track.times, track.boxes, camera.size) if ground else None)
    return tuple(tracklets), tuple(trails)


def check_names(names: Sequence[str]) -> None:
    """Refuse no camera, and two of one name.

    Raises:
        InputError: As said.
    """
    if not names:
        raise InputError("no camera: expected at least one video")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"two cameras are named {twice[0]!r}; name them apart: NAME=SOURCE")


def _save(followers: Iterable[Follower], ledger: Ledger) -> None:
    for follower in followers:
        follower.save()
    ledger.commit()


def log_odds(calibration: Calibration, scores: Float64) -> Float64:
    """The log-likelihood ratio of "same" against "different" that scores mean; never beyond ±12."""
    probability = np.clip(calibration.probability(scores), 6e-6, 1.0 - 6e-6)
    return np.asarray(np.log(probability / (1.0 - probability)))


def _detected(
    batch: Sequence[Read],
    detector: PersonDetector | None,
    given: Mapping[str, Mapping[int, Boxes]],
) -> Iterator[tuple[Read, Boxes]]:
    """Boxes of each frame: the given ones, or the detector's of all others at once."""
    asked = [read for read in batch if read.camera not in given]
    found = detect_all(detector, [read.frame.picture for read in asked]) if detector else []
    yield from zip(asked, found, strict=True)
    for read in batch:
        if read.camera in given:
            yield read, given[read.camera].get(read.frame.number, Boxes.none())

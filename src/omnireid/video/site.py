"""From cameras to identities: every camera's frames are read, people detected and followed, and tracklets
linked.

Cameras are read in threads of their own and their frames detected together; memory is bounded by a few frames
of each camera and a few crops of each tracklet.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from rich.console import Console

from omnireid.core.arrays import Float32, Float64, UInt8
from omnireid.core.detection import PersonDetector
from omnireid.core.errors import InputError, OmniReIDError
from omnireid.core.progress import progress_bar
from omnireid.core.vectors import unit_rows
from omnireid.evaluation.calibration import Calibration
from omnireid.inference.embedder import Embedder
from omnireid.video.boxes import Boxes, overlaps
from omnireid.video.detector import detect_all
from omnireid.video.likeness import Likeness
from omnireid.video.linking import Identity, Linking, Tracklet, link
from omnireid.video.motion import Motion
from omnireid.video.quality import quality
from omnireid.video.reading import Frame, FrameReading, Health, Video
from omnireid.video.stitching import Stitching, stitch
from omnireid.video.tracker import Track, Tracker, Tracking

_AHEAD = 4


@dataclass(frozen=True, slots=True)
class Following:
    """How people are followed, from frame to identity: the options of each step."""

    reading: FrameReading = FrameReading()
    tracking: Tracking = Tracking()
    motion: Motion = Motion()
    stitching: Stitching = Stitching()
    linking: Linking = Linking()


@dataclass(slots=True)
class Camera:
    """What one camera saw.

    Attributes:
        name: Its name. source: what was read.
        size: Height and width of its frames; of the last ones, where a stream changed.
        frames: Frames that were looked at. last_s: time of the last one.
        tracks: Its tracks, once all is read.
        health: What went wrong while reading; `stopped`: why it ended early, "" where it did not.
    """

    name: str
    source: str
    size: tuple[int, int] = (0, 0)
    frames: int = 0
    last_s: float = 0.0
    tracks: list[Track] = field(default_factory=list)
    health: Health = field(default_factory=Health)
    stopped: str = ""


@dataclass(frozen=True, slots=True)
class Site:
    """What all cameras saw.

    Attributes:
        cameras: In the order in which they were given.
        tracklets: Of all cameras. identities: who is who among them.
        was_interrupted: Whether the user stopped it; what was seen until then is here.
    """

    cameras: tuple[Camera, ...]
    tracklets: tuple[Tracklet, ...]
    identities: tuple[Identity, ...]
    was_interrupted: bool = False

    def track(self, tracklet: Tracklet) -> Track:
        """The boxes of a tracklet."""
        camera = next(camera for camera in self.cameras if camera.name == tracklet.camera)
        return next(track for track in camera.tracks if track.number == tracklet.number)


def follow(
    sources: Sequence[tuple[str, str]],
    detector: PersonDetector | None,
    embedder: Embedder,
    calibration: Calibration,
    following: Following = Following(),
    *,
    given: Mapping[str, Mapping[int, Boxes]] | None = None,
    console: Console | None = None,
) -> Site:
    """Follow people through cameras. Ctrl-C ends the reading; what was seen is tracked and linked.

    Args:
        sources: Name and source of each camera: what `Video` reads.
        calibration: What a similarity of the embedder says.
        detector: None where all cameras' boxes are given.
        given: Boxes by camera and number of frame; the detector is not asked for these cameras.
        console: Where progress is shown.

    Raises:
        InputError: No camera, or two with one name.
        VideoError: No camera gave a picture; where some did, the others' `stopped` says what was wrong.
    """
    names = [name for name, _ in sources]
    if not names:
        raise InputError("no camera: expected at least one video")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"two cameras are named {twice[0]!r}; name them apart: NAME=SOURCE")
    followers = [_Follower(Camera(name, source), following, embedder) for name, source in sources]
    was_interrupted = False
    with progress_bar(console) as progress:
        task = progress.add_task("Following people", total=None)
        try:
            for batch in _batches(followers, following.reading):
                for follower, frame, detections in _detected(batch, detector, given or {}):
                    follower.see(frame, detections)
                progress.update(task, advance=len(batch))
        except KeyboardInterrupt:
            was_interrupted = True
    failed = [follower.failure for follower in followers if follower.failure is not None]
    if failed and all(follower.camera.frames == 0 for follower in followers):
        raise failed[0]
    cameras = tuple(follower.finish(following) for follower in followers)
    tracklets = tuple(
        Tracklet(
            camera.name,
            track.number,
            track.times[0],
            track.times[-1],
            calibration.transform(track.embedding[None].astype(np.float32))[0],
            len(track),
        )
        for camera in cameras
        for track in camera.tracks
        if track.embedding is not None
    )
    identities = link(tracklets, lambda scores: log_odds(calibration, scores), following.linking)
    return Site(cameras, tracklets, identities, was_interrupted)


def log_odds(calibration: Calibration, scores: Float64) -> Float64:
    """The log-likelihood ratio of "same" against "different" that scores mean; never beyond ±12."""
    probability = np.clip(calibration.probability(scores), 6e-6, 1.0 - 6e-6)
    return np.asarray(np.log(probability / (1.0 - probability)))


def _detected(
    batch: Sequence[tuple[_Follower, Frame]],
    detector: PersonDetector | None,
    given: Mapping[str, Mapping[int, Boxes]],
) -> Iterator[tuple[_Follower, Frame, Boxes]]:
    """Boxes of each frame: the given ones, or the detector's of all others at once."""
    asked = [(follower, frame) for follower, frame in batch if follower.camera.name not in given]
    for (follower, frame), detections in zip(
        asked, detect_all(detector, [frame.picture for _, frame in asked]) if detector else [], strict=True
    ):
        yield follower, frame, detections
    for follower, frame in batch:
        if follower.camera.name in given:
            yield follower, frame, given[follower.camera.name].get(frame.number, Boxes.none())


class _Follower:
    """One camera's reading thread, tracker and crops."""

    def __init__(self, camera: Camera, following: Following, embedder: Embedder) -> None:
        self.camera, self.embedder = camera, embedder
        self.tracker = Tracker(following.tracking, following.motion, Likeness())
        self.finished: list[Track] = []
        self.failure: OmniReIDError | None = None

    def see(self, frame: Frame, detections: Boxes) -> None:
        camera, picture = self.camera, frame.picture
        camera.size, camera.last_s = (picture.shape[0], picture.shape[1]), frame.time
        camera.frames += 1
        weighed, owners = self.tracker.update(
            frame.number, frame.time, detections, lambda boxes: self._embed(picture, boxes)
        )
        covered = (overlaps(weighed.boxes, weighed.boxes) - np.eye(len(weighed))).max(axis=1, initial=0.0)
        for row, track in enumerate(owners):
            score = float(weighed.scores[row])
            if track is None or score < self.tracker.tracking.sure:
                continue
            if track.crops.would_keep(score * (1.0 - float(covered[row]))):
                crop = cut(picture, weighed.boxes[row])
                value = quality(crop, weighed.boxes[row], camera.size, score, float(covered[row]))
                track.crops.offer(value, frame.time, crop)
        self.finished += self.tracker.take_finished()

    def _embed(self, picture: UInt8, boxes: Float32) -> Float32:
        return unit_rows(np.asarray(self.embedder.embed([cut(picture, box) for box in boxes])))

    def finish(self, following: Following) -> Camera:
        self.finished += self.tracker.finish()
        self.camera.tracks = stitch(self.finished, self.tracker.likeness, following.stitching)
        return self.camera


def cut(picture: UInt8, box: Float32) -> UInt8:
    """The part of a picture within a box, at least one pixel of it."""
    height, width = picture.shape[:2]
    left, top = (int(np.clip(np.floor(box[axis]), 0, size - 1)) for axis, size in ((0, width), (1, height)))
    right = int(np.clip(np.ceil(box[2]), left + 1, width))
    bottom = int(np.clip(np.ceil(box[3]), top + 1, height))
    return picture[top:bottom, left:right]


def _batches(
    followers: Sequence[_Follower], reading: FrameReading
) -> Iterator[list[tuple[_Follower, Frame]]]:
    """One frame of each camera that has one, until all have ended; cameras wait for nobody's network."""
    stop = threading.Event()
    waiting: list[tuple[_Follower, queue.Queue[Frame | BaseException | None]]] = []
    threads = []
    for follower in followers:
        frames: queue.Queue[Frame | BaseException | None] = queue.Queue(maxsize=_AHEAD)
        video = Video(follower.camera.source, reading, follower.camera.health)
        thread = threading.Thread(target=_read, args=(video, frames, stop), daemon=True)
        thread.start()
        threads.append(thread)
        waiting.append((follower, frames))
    try:
        while waiting:
            batch = []
            for follower, frames in list(waiting):
                try:
                    # One camera is waited for; of several, whoever has a frame goes on.
                    frame = frames.get(timeout=0.05 if len(waiting) > 1 else 1.0)
                except queue.Empty:
                    continue
                if isinstance(frame, OmniReIDError):
                    follower.failure, follower.camera.stopped = frame, str(frame)
                    waiting.remove((follower, frames))
                elif isinstance(frame, BaseException):
                    raise frame
                elif frame is None:
                    waiting.remove((follower, frames))
                else:
                    batch.append((follower, frame))
            if batch:
                yield batch
    finally:
        stop.set()


def _read(video: Video, frames: queue.Queue[Frame | BaseException | None], stop: threading.Event) -> None:
    def put(entry: Frame | BaseException | None) -> None:
        while not stop.is_set():
            try:
                frames.put(entry, timeout=0.2)
                return
            except queue.Full:
                continue

    try:
        for frame in video.frames():
            if stop.is_set():
                return
            put(frame)
        put(None)
    except BaseException as error:
        put(error)

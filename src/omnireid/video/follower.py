"""One camera's people, frame after frame: tracks, their best crops, and where to go on after a stop."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

import numpy as np

from omnireid.core.arrays import Float32, UInt8
from omnireid.core.vectors import unit_rows
from omnireid.inference.embedder import Embedder
from omnireid.video.boxes import Boxes, overlaps
from omnireid.video.ledger import Ledger, Walks
from omnireid.video.quality import Shot, quality
from omnireid.video.reading import Frame, Health, Mark, shown_source
from omnireid.video.stitching import Stitching, stitch
from omnireid.video.tracker import Track, Tracker


@dataclass(slots=True)
class Camera:
    """What one camera saw.

    Attributes:
        name: Its name. source: what was read.
        offset_s: Seconds from the first camera's beginning to this one's; its times are counted from there.
        size: Height and width of its frames.
        frames: Frames that were looked at. last_s: time of the last one.
        tracks: Its tracks, once all is read; each is read from disk when it is asked for.
        health: What went wrong while reading; `stopped`: why it ended early, "" where it did not.
    """

    name: str
    source: str
    offset_s: float = 0.0
    size: tuple[int, int] = (0, 0)
    frames: int = 0
    last_s: float = 0.0
    tracks: Sequence[Track] = ()
    health: Health = field(default_factory=Health)
    stopped: str = ""

    @property
    def shown_source(self) -> str:
        """What was read, as others may read it."""
        return shown_source(self.source)

    @property
    def notes(self) -> list[str]:
        """What a person should know who reads what this camera saw."""
        health = self.health
        notes = [f"{health.damaged:,} damaged frames passed over"] * bool(health.damaged)
        notes += [f"connected again {health.reconnections:,} times"] * bool(health.reconnections)
        if health.resized:
            height, width = self.size
            notes.append(f"{health.resized:,} frames of another size brought to {width} × {height}")
        return notes + [f"stopped: {self.stopped}"] * bool(self.stopped)


class Follower:
    """Follows the people of one camera, from where a ledger says that it was."""

    def __init__(
        self, row: int, camera: Camera, tracker: Tracker, embedder: Embedder, ledger: Ledger
    ) -> None:
        self.camera, self.tracker, self.embedder = camera, tracker, embedder
        self.mark, self.is_over = Mark(), False
        self._row, self._ledger, self._ended = row, ledger, list[Track]()
        state = ledger.state(row)
        if state is None:
            return
        self.is_over = state["is_over"]
        number, seconds = state["mark"]
        size = state["size"]
        self.mark = Mark(number, seconds, (size[0], size[1]), max(0.0, time.time() - state["clock"]))
        camera.size, camera.frames, camera.last_s = (size[0], size[1]), state["frames"], state["last_s"]
        camera.health = Health(**state["health"])
        tracker.likeness.restore(state["likeness"])
        tracker.restore(ledger.active(row), *state["tracker"])

    def see(self, frame: Frame, health: Health, detections: Boxes) -> None:
        """Take in a frame, and what had gone wrong until it was read."""
        camera, picture, seconds = self.camera, frame.picture, frame.time + self.camera.offset_s
        camera.size, camera.last_s = (picture.shape[0], picture.shape[1]), seconds
        camera.frames, camera.health = camera.frames + 1, health
        self.mark = Mark(frame.number, frame.time)
        look(self.tracker, Frame(frame.number, seconds, picture), detections, self.embedder)
        self._ended += self.tracker.take_finished()

    def save(self) -> None:
        """Write what is new into the ledger, which then holds what memory held of tracks that ended."""
        if not self.camera.frames:
            return
        camera = self.camera
        state = {
            "is_over": self.is_over,
            "mark": (self.mark.number, self.mark.time),
            "clock": time.time(),
            "size": camera.size,
            "frames": camera.frames,
            "last_s": camera.last_s,
            "health": asdict(camera.health),
            "likeness": self.tracker.likeness.learned,
            "tracker": self.tracker.clock,
        }
        self._ledger.save(self._row, camera.name, state, self.tracker.active, self._ended)
        self._ended = []

    def finish(self, stitching: Stitching) -> Camera:
        """End all tracks and join pieces of one walk."""
        self._ended += self.tracker.finish()
        self.save()
        walks = stitch(self._ledger.ended(self._row), self.tracker.likeness, stitching)
        self.camera.tracks = Walks(self._ledger, self._row, walks)
        return self.camera


def look(
    tracker: Tracker, frame: Frame, detections: Boxes, embedder: Embedder
) -> tuple[Boxes, list[Track | None]]:
    """Take in a frame, and keep the best crops of each track.

    Returns:
        The boxes that were weighed, and the track of each: None for a false alarm.
    """
    picture = frame.picture

    def embed(boxes: Float32) -> Float32:
        return unit_rows(np.asarray(embedder.embed([cut(picture, box) for box in boxes])))

    weighed, owners = tracker.update(frame.number, frame.time, detections, embed, picture.shape[:2])
    covered = (overlaps(weighed.boxes, weighed.boxes) - np.eye(len(weighed))).max(axis=1, initial=0.0)
    for row, track in enumerate(owners):
        score = float(weighed.scores[row])
        if track is None or score < tracker.tracking.sure:
            continue
        if track.crops.would_keep(score * (1.0 - float(covered[row]))):
            crop = cut(picture, weighed.boxes[row])
            size = (picture.shape[0], picture.shape[1])
            value = quality(crop, weighed.boxes[row], size, score, float(covered[row]))
            track.crops.offer(Shot(value, frame.time, crop.copy()))
    return weighed, owners


def cut(picture: UInt8, box: Float32) -> UInt8:
    """The part of a picture within a box, at least one pixel of it."""
    height, width = picture.shape[:2]
    left, top = (int(np.clip(np.floor(box[axis]), 0, size - 1)) for axis, size in ((0, width), (1, height)))
    right = int(np.clip(np.ceil(box[2]), left + 1, width))
    bottom = int(np.clip(np.ceil(box[3]), top + 1, height))
    return picture[top:bottom, left:right]

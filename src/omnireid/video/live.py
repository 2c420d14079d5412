"""People before cameras that never end: followed, decided and enrolled, with memory that does not grow.

A thread for each camera reads it; one thread finds and follows people in the latest picture of each; one
thread enrols what was seen, and decides who it is. Where machines are slow, pictures are skipped; where the
gallery cannot be written, a bounded queue of walks waits for it. Pictures are never written anywhere: the
latest one of each camera is in memory until the next one comes. Of a walk, the best crop becomes the item's.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from omnireid.core.arrays import Float32, UInt8
from omnireid.core.detection import PersonDetector
from omnireid.core.errors import InputError, OmniReIDError, StorageError
from omnireid.gallery.gallery import Gallery
from omnireid.gallery.texts import check_text
from omnireid.inference.embedder import Embedder
from omnireid.video.boxes import Boxes
from omnireid.video.detecting import detect_all
from omnireid.video.follower import look
from omnireid.video.ground import Ground
from omnireid.video.live_camera import CameraState, LiveCamera
from omnireid.video.meeting import Trail, trail
from omnireid.video.online import Link, Online, OnlineLinker, Seen
from omnireid.video.plan import SitePlan
from omnireid.video.quality import BestCrops
from omnireid.video.reading import Frame
from omnireid.video.tracker import Track, Tracker, Tracking

MAX_CAMERAS = 32
_WAITING = 256
_IDLE_S = 0.2
_PATIENCE_S = 10.0
_LATER = 5
_LATELY_S = 60.0
log = logging.getLogger("omnireid.video")


@dataclass(frozen=True, slots=True)
class Live:
    """How cameras that never end are followed.

    Attributes:
        fps: Pictures a second that are looked at, at most, of each camera.
        early_s: Seconds of a walk after which it is decided who it is, while the person is still there.
        part_s: Seconds of each later part of a long walk.
        timeout_s: Seconds in which a camera must answer.
        tracking, online: How boxes become walks, and walks people.
    """

    fps: float = 5.0
    early_s: float = 2.0
    part_s: float = 20.0
    timeout_s: float = 5.0
    tracking: Tracking = Tracking()
    online: Online = Online()

    def __post_init__(self) -> None:
        for name in ("fps", "early_s", "part_s", "timeout_s"):
            if not 0 < getattr(self, name) < float("inf"):
                raise InputError(f"{name}: expected a number above 0, got {getattr(self, name)}")


@dataclass(frozen=True, slots=True)
class InView:
    """Somebody in a picture.

    Attributes:
        walk: Name of the walk. box: (4,) left, top, right, bottom in pixels.
        link: What was decided of the walk; None while it is too early.
        lately: Unix seconds and boxes of the last minute, where the camera knows its floor.
    """

    walk: str
    box: Float32
    link: Link | None = None
    lately: tuple[tuple[float, Float32], ...] = ()


@dataclass(frozen=True, slots=True)
class View:
    """The latest picture of a camera that was looked at.

    Attributes:
        number: Of the picture. time: Unix seconds. picture: (H, W, 3) uint8 RGB.
        people: Who is in it.
    """

    number: int
    time: float
    picture: UInt8
    people: tuple[InView, ...]


@dataclass(slots=True)
class _Walk:
    """A track that goes on: its name, where its next part begins, how many parts there were, where it was."""

    name: str
    begin: float
    parts: int = 0
    lately: deque[tuple[float, Float32]] = field(default_factory=deque)


@dataclass(slots=True)
class _Follower:
    """One camera's tracker, and the walks before it."""

    camera: LiveCamera
    live: Live
    embedder: Embedder
    tracker: Tracker
    ground: Ground | None = None
    size: tuple[int, int] = (0, 0)
    walks: dict[int, _Walk] = field(default_factory=dict)
    view: View | None = None

    def see(self, frame: Frame, detections: Boxes) -> list[Seen]:
        """Take in a picture; parts of walks that are complete."""
        picture = frame.picture
        parts = []
        if self.size != picture.shape[:2] or frame.time <= self.tracker.clock[1]:
            # Another camera, or another setting: boxes of before are in other pixels. Or the clock was set
            # back: what was before is later now.
            parts = self.finish()
            self.tracker = Tracker(self.live.tracking, likeness=self.tracker.likeness)
            self.size = (picture.shape[0], picture.shape[1])
        weighed, owners = look(self.tracker, frame, detections, self.embedder)
        people = []
        for box, track in zip(weighed.boxes, owners, strict=True):
            if track is not None and self.tracker.is_confirmed(track):
                people.append(self._in_view(self._walk(track), frame.time, box))
                parts += self._part(track, is_over=False)
        for track in self.tracker.take_finished():
            parts += self._part(track, is_over=True)
        self.view = View(frame.number, frame.time, picture, tuple(people))
        return parts

    def finish(self) -> list[Seen]:
        """End all walks; their last parts. Nobody is in view any more, who may come into another one's."""
        if self.view is not None:
            self.view = replace(self.view, people=())
        return [part for track in self.tracker.finish() for part in self._part(track, is_over=True)]

    def _in_view(self, walk: _Walk, now: float, box: Float32) -> InView:
        if self.ground is not None:
            walk.lately.append((now, box))
            while walk.lately[0][0] < now - _LATELY_S:
                walk.lately.popleft()
        return InView(walk.name, box, lately=tuple(walk.lately))

    def _walk(self, track: Track) -> _Walk:
        name = f"{self.camera.name}-{track.begin:.1f}-{track.number}"
        return self.walks.setdefault(track.number, _Walk(name, track.begin))

    def _part(self, track: Track, *, is_over: bool) -> list[Seen]:
        """The part of a walk since the last one, where it is complete; nothing of it stays in memory."""
        walk, now = self._walk(track), track.end
        if is_over:
            del self.walks[track.number]
        enough = self.live.part_s if walk.parts else self.live.early_s
        if track.embedding is None or not (is_over or now - walk.begin >= enough):
            return []
        walk.parts += 1
        best = track.crops.kept[0] if track.crops.kept else None
        seen = Seen(
            self.camera.name,
            self.camera.state.source,
            walk.name,
            walk.parts,
            walk.begin,
            now,
            track.embedding.astype(np.float32),
            0.0 if best is None else best.quality,
            None if best is None else best.jpeg,
            way(self.ground, walk.lately, self.size),
        )
        walk.begin, track.look, track.crops = now, None, BestCrops()
        track.take_away()
        return [seen]


class LiveCameras:
    """Follows the people before cameras, and enrols them into a gallery.

    Args:
        sources: Name and source of each camera; see `LiveCamera`.
        detector: Called by one thread at a time; give it one of its own.
        embedder: The model of the gallery.
        plan: Where cameras see which floor, and which see the same places.
        clock: Unix seconds.

    Raises:
        InputError: No camera, too many, two of one name; a recording that is not there; or a gallery that
            cannot decide (`OnlineLinker`).
    """

    def __init__(
        self,
        sources: Sequence[tuple[str, str]],
        detector: PersonDetector,
        embedder: Embedder,
        gallery: Gallery,
        live: Live = Live(),
        *,
        plan: SitePlan = SitePlan(),
        clock: Callable[[], float] = time.time,
    ) -> None:
        names = [name for name, _ in sources]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise InputError(f"two cameras are named {twice[0]!r}; name them apart: NAME=SOURCE")
        for name in names:
            check_text("camera", name)
            if "/" in name:
                raise InputError(f"camera {name!r}: no address can carry this name; choose another")
        if not 1 <= len(names) <= MAX_CAMERAS:
            raise InputError(f"cameras: expected 1 to {MAX_CAMERAS}, got {len(names)}")
        self.gallery, self.live, self.plan = gallery, live, plan
        self._linker = OnlineLinker(gallery, embedder.ref, live.online, plan)
        self._detector = detector
        self._news, self._more, self._stop = threading.Event(), threading.Event(), threading.Event()
        self._followers = [
            _Follower(
                LiveCamera(
                    name, source, fps=live.fps, timeout_s=live.timeout_s, news=self._news, clock=clock
                ),
                live,
                embedder,
                Tracker(live.tracking),
                plan.grounds.get(name),
            )
            for name, source in sources
        ]
        self._waiting: deque[Seen] = deque()
        self._until = float("inf")
        self._threads = [
            threading.Thread(target=self._follow, name="cameras-follow", daemon=True),
            threading.Thread(target=self._link, name="cameras-link", daemon=True),
        ]
        self.lost = 0
        self.enrolled = 0
        self.failure = ""

    @property
    def waiting(self) -> int:
        """Parts of walks that are not in the gallery yet."""
        return len(self._waiting)

    def states(self) -> list[CameraState]:
        """How the cameras are, in the order in which they were given."""
        return [follower.camera.state for follower in self._followers]

    def view(self, name: str) -> View | None:
        """The latest picture of a camera, and who is in it; None where there is none.

        Raises:
            KeyError: There is no such camera.
        """
        follower = next((one for one in self._followers if one.camera.name == name), None)
        if follower is None:
            raise KeyError(name)
        view = follower.view
        if view is None:
            return None
        people = tuple(replace(one, link=self._linker.name_of(one.walk)) for one in view.people)
        return replace(view, people=people)

    def start(self) -> None:
        """Begin, in threads of their own."""
        for follower in self._followers:
            follower.camera.start()
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Look no more, and enrol what was seen; nothing happens where it never began."""
        self._stop.set()
        self._until = time.monotonic() + _PATIENCE_S
        for follower in self._followers:
            follower.camera.stop()
        for follower in self._followers:
            follower.camera.join()
        # A thread that still works while Python ends would crash it.
        for thread in self._threads:
            if thread.is_alive():
                thread.join()

    def __enter__(self) -> LiveCameras:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _follow(self) -> None:
        _give_way()
        while not self._stop.is_set():
            self._news.wait(_IDLE_S)
            self._news.clear()
            try:
                self._look()
            except Exception as error:  # Nobody waits for this thread: an error ends here or nowhere.
                self._fail("people are not followed", error)
        for follower in self._followers:
            self._put(follower.finish())

    def _look(self) -> None:
        batch = [(one, frame) for one in self._followers if (frame := one.camera.take()) is not None]
        found = detect_all(self._detector, [frame.picture for _, frame in batch])
        for (follower, frame), boxes in zip(batch, found, strict=True):
            self._put(follower.see(frame, boxes))
        for follower in self._followers:
            # Nobody knows when it comes back, or whether.
            if follower.camera.state.state in ("ended", "lost") and follower.tracker.active:
                self._put(follower.finish())

    def _put(self, parts: Sequence[Seen]) -> None:
        for part in parts:
            if len(self._waiting) >= _WAITING:
                self._waiting.popleft()
                self.lost += 1
            self._waiting.append(part)
        if parts:
            self._more.set()

    def _link(self) -> None:
        pause = 1.0
        while not (self._stop.is_set() and not self._threads[0].is_alive() and not self._waiting):
            if self._waiting and time.monotonic() > self._until:
                self.lost += len(self._waiting)
                log.error("cameras: %d parts of walks were not enrolled before the end", len(self._waiting))
                return
            if not self._waiting:
                self._more.wait(_IDLE_S)
                self._more.clear()
                continue
            seen = self._waiting[0]
            try:
                self._linker.add(seen, self._going_on())
            except StorageError as error:
                self._fail("walks wait for the gallery", error)
                if self._stop.wait(pause):
                    time.sleep(_IDLE_S)  # again, as long as `stop` is patient
                pause = min(2 * pause, 30.0)
                continue
            except Exception as error:  # As above. It would fail again.
                self._fail("a walk was not enrolled", error)
                self.lost += 1
            else:
                self.enrolled += 1
                self.failure, pause = "", 1.0
            # Where too many wait, it may have been left out meanwhile.
            if self._waiting and self._waiting[0] is seen:
                self._waiting.popleft()

    def _going_on(self) -> dict[str, Trail | None]:
        views = [(follower.ground, view) for follower in self._followers if (view := follower.view)]
        return {
            one.walk: way(ground, one.lately, (view.picture.shape[0], view.picture.shape[1]))
            for ground, view in views
            for one in view.people
        }

    def _fail(self, what: str, error: Exception) -> None:
        words = f"{what}: {error}"
        if words != self.failure:
            log.error("cameras: %s", words, exc_info=not isinstance(error, OmniReIDError))
        self.failure = words


def way(
    ground: Ground | None, lately: Collection[tuple[float, Float32]], size: tuple[int, int]
) -> Trail | None:
    """Where somebody was lately, on the floor; None where nobody knows.

    Args:
        lately: Unix seconds and boxes (4,). size: Height and width of the picture.
    """
    if ground is None or not lately:
        return None
    times, boxes = zip(*lately, strict=True)
    return trail(ground, times, boxes, size)


def _give_way() -> None:
    """Let searches go before: this thread's work may wait, an answer may not (Linux knows how)."""
    try:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LATER)
    except (AttributeError, OSError):
        log.debug("this system has no priorities of threads")

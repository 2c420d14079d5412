"""One camera that never ends: a thread reads it and keeps the latest frame; a lost camera is tried again."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from omnireid.core.errors import InputError, OmniReIDError
from omnireid.video.reading import Frame, FrameReading, Video, shown_source

State = Literal["connecting", "live", "lost", "ended"]

_AT_ONCE_S = 0.1  # of `Video`, which would try again by itself: a lost camera is to say so
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0
_STILL_S = 5.0
log = logging.getLogger("omnireid.video")


@dataclass(frozen=True, slots=True)
class CameraState:
    """How a camera is.

    Attributes:
        name: Its name. source: where its pictures come from, without user, password and query.
        state: "connecting" before the first picture; "live"; "lost", and tried again; "ended": a recording is
            over.
        since: When this state began, Unix seconds.
        failure: Why it is not live; "" where it is.
        frames: Pictures that were read. skipped: those of them that came before the one before was done with.
        damaged: Pictures that could not be decoded. reconnections: times that it was opened again.
        last_frame: When the last picture came, Unix seconds; None before the first.
    """

    name: str
    source: str
    state: State = "connecting"
    since: float = 0.0
    failure: str = ""
    frames: int = 0
    skipped: int = 0
    damaged: int = 0
    reconnections: int = 0
    last_frame: float | None = None


class LiveCamera:
    """Reads a camera at `fps` pictures a second at most. Only the latest picture is kept.

    Args:
        source: A stream (rtsp://, http://, …), a webcam, or a recording, which is played once, at its own
            pace.
        news: Set whenever there is a new picture.
        clock: Unix seconds.

    Raises:
        InputError: The source is no stream, and not there.
    """

    def __init__(
        self,
        name: str,
        source: str,
        *,
        fps: float,
        timeout_s: float = 5.0,
        news: threading.Event | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.name, self._source = name, source
        self._reading = FrameReading(fps=fps, patience_s=_AT_ONCE_S, timeout_s=timeout_s)
        self._clock, self._news = clock, news or threading.Event()
        self._stop, self._lock = threading.Event(), threading.Lock()
        self._latest: Frame | None = None
        self._damaged = 0
        path = Path(source)
        self.is_recording = path.is_file() or path.is_dir()
        if not self.is_recording and "://" not in source and not _is_webcam(source):
            raise InputError(
                f"camera {name}: {shown_source(source)} is not there; expected a stream such as "
                "rtsp://yard.local/stream, a webcam such as 0, or a video"
            )
        self._state = CameraState(name, shown_source(source), since=clock())
        self._thread = threading.Thread(target=self._run, name=f"camera-{name}", daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def stop(self) -> None:
        """Read no more; `join` waits until that is so."""
        self._stop.set()

    def join(self) -> None:
        """Wait for the end, at most as long as a camera may take to answer.

        A thread that still reads while Python ends would crash it.
        """
        if self._thread.is_alive():
            self._thread.join(2 * self._reading.timeout_s)

    def take(self) -> Frame | None:
        """The latest picture, once; None until there is a new one."""
        with self._lock:
            frame, self._latest = self._latest, None
            return frame

    @property
    def state(self) -> CameraState:
        """How it is now."""
        with self._lock:
            state = self._state
            # A camera may keep its connection and send nothing.
            silent = state.last_frame is not None and self._clock() - state.last_frame > _STILL_S
            if state.state == "live" and silent:
                assert state.last_frame is not None
                state = replace(state, state="lost", since=state.last_frame, failure="no picture comes")
            return state

    def _run(self) -> None:
        pause = _FIRST_PAUSE_S
        while not self._stop.is_set():
            before = self._state.frames
            reason = self._read()
            if self._stop.is_set() or self._state.state == "ended":
                return
            self._lose(reason)
            pause = _FIRST_PAUSE_S if self._state.frames > before else min(2 * pause, _LONGEST_PAUSE_S)
            self._stop.wait(pause)
            with self._lock:
                self._state = replace(self._state, reconnections=self._state.reconnections + 1)

    def _read(self) -> str:
        """Read until there is no more; why that is."""
        video = Video(self._source, self._reading)
        started = time.monotonic()
        try:
            for frame in video.frames():
                if self.is_recording:
                    self._stop.wait(max(0.0, started + frame.time - time.monotonic()))
                if self._stop.is_set():
                    return ""
                self._put(frame, video.health.damaged)
        except OmniReIDError as error:
            # What comes before names the source, perhaps with its password.
            return str(error).rpartition(": ")[2]
        except Exception as error:  # Nobody waits for this thread: an error ends here or nowhere.
            log.exception("camera %s", self.name)
            return f"{type(error).__name__} while reading; the log has more"
        finally:
            self._damaged += video.health.damaged
        if self.is_recording:
            with self._lock:
                self._state = replace(self._state, state="ended", since=self._clock())
        return "the stream ended"

    def _put(self, frame: Frame, damaged: int) -> None:
        with self._lock:
            state, now = self._state, self._clock()
            is_new = state.state != "live"
            self._state = replace(
                state,
                state="live",
                since=now if is_new else state.since,
                failure="",
                frames=state.frames + 1,
                skipped=state.skipped + (self._latest is not None),
                damaged=self._damaged + damaged,
                last_frame=now,
            )
            # Of several connections; times are those at which pictures come.
            self._latest = Frame(state.frames + 1, now, frame.picture)
        if is_new:
            log.info("camera %s: live", self.name)
        self._news.set()

    def _lose(self, reason: str) -> None:
        with self._lock:
            was = self._state
            is_new = was.state == "live" or was.failure != reason
            state: State = "connecting" if was.last_frame is None else "lost"
            since = was.since if was.state == state else self._clock()
            self._state = replace(was, state=state, since=since, failure=reason)
        if is_new:
            log.warning("camera %s: %s; it is tried again", self.name, reason)


def _is_webcam(source: str) -> bool:
    return source.removeprefix("webcam:").isdigit() or source.startswith("/dev/video")

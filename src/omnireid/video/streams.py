"""Several cameras read at once: a thread and a short queue for each, and one frame of each at a time."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

from omnireid.core.errors import OmniReIDError
from omnireid.video.reading import Frame, Health, Video

_AHEAD = 4


class Read(NamedTuple):
    """A frame of a camera, and what had gone wrong until then."""

    camera: str
    frame: Frame
    health: Health


class Streams:
    """Reads videos, each in a thread of its own that is at most a few frames ahead.

    Attributes:
        failures: Of videos that could not be read, why.
        over: Names of videos that came to their end.
    """

    def __init__(self, videos: Mapping[str, Video], stop: threading.Event) -> None:
        """Begin nothing yet.

        Args:
            stop: Ends `batches` where somebody sets it.
        """
        self._videos, self._stop = videos, stop
        self._is_over, self._ready = threading.Event(), threading.Event()
        self.failures: dict[str, OmniReIDError] = {}
        self.over: set[str] = set()

    def batches(self) -> Iterator[list[Read]]:
        """One frame of each camera that has one, until all have ended; nobody waits for another's network."""
        waiting: dict[str, queue.Queue[Read | BaseException | None]] = {}
        for name, video in self._videos.items():
            waiting[name] = queue.Queue(maxsize=_AHEAD)
            threading.Thread(target=self._read, args=(name, video, waiting[name]), daemon=True).start()
        try:
            while waiting and not self._stop.is_set():
                self._ready.clear()
                batch = []
                for name, frames in list(waiting.items()):
                    try:
                        entry = frames.get_nowait()
                    except queue.Empty:
                        continue
                    if isinstance(entry, Read):
                        batch.append(entry)
                        continue
                    del waiting[name]
                    if isinstance(entry, OmniReIDError):
                        self.failures[name] = entry
                    elif entry is not None:
                        raise entry
                    else:
                        self.over.add(name)
                if batch:
                    yield batch
                elif waiting:
                    self._ready.wait(0.2)
        finally:
            self._is_over.set()

    def _read(self, name: str, video: Video, frames: queue.Queue[Read | BaseException | None]) -> None:
        def put(entry: Read | BaseException | None) -> None:
            while not self._is_over.is_set():
                try:
                    frames.put(entry, timeout=0.2)
                    self._ready.set()
                    return
                except queue.Full:
                    continue

        try:
            for frame in video.frames():
                if self._is_over.is_set():
                    return
                put(Read(name, frame, replace(video.health)))
            put(None)
        except BaseException as error:
            put(error)

"""Frames of a video: files, folders of pictures, MOT sequences, webcams and network streams, one after
another.

A damaged frame is counted and passed over. A network stream that ends is opened again, after longer and
longer pauses; its times go on where the clock is.
"""

from __future__ import annotations

import configparser
import re
import time as clock
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from omnireid.core.arrays import UInt8
from omnireid.core.errors import InputError, MissingExtraError, OmniReIDError
from omnireid.core.images import decode

PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
VIDEOS = (".mp4", ".mkv", ".avi", ".webm", ".mov", ".m4v", ".mpg", ".mpeg", ".ts")
_STREAM = re.compile(r"(rtsp|rtsps|rtmp|http|https|udp|tcp)://", re.IGNORECASE)
_WEBCAM = re.compile(r"(webcam:)?(\d{1,2}|/dev/video\d+)")


class VideoError(OmniReIDError):
    """A video that cannot be read."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame.

    Attributes:
        number: From 1, of the frames of the source, those passed over included.
        time: Seconds since the first frame, as the source tells them; of a stream, as the clock does.
        picture: (H, W, 3) uint8 RGB.
    """

    number: int
    time: float
    picture: UInt8


@dataclass(slots=True)
class Health:
    """What went wrong while reading.

    Attributes:
        damaged: Frames that could not be decoded, and were passed over.
        reconnections: Times a network stream was opened again.
    """

    damaged: int = 0
    reconnections: int = 0


@dataclass(frozen=True, slots=True)
class FrameReading:
    """How frames are read.

    Attributes:
        fps: At most so many frames a second; the nearest ones are taken. None takes every frame.
        source_fps: Of a folder of pictures, which has no times; a MOT sequence states its own.
        patience_s: Seconds after which a network stream that stays away is given up.
        timeout_s: Seconds in which a network stream must answer.
    """

    fps: float | None = None
    source_fps: float = 25.0
    patience_s: float = 60.0
    timeout_s: float = 10.0

    def __post_init__(self) -> None:
        for name in ("fps", "source_fps", "patience_s", "timeout_s"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise InputError(f"{name}: expected a number above 0, got {value}")


@dataclass(slots=True)
class Video:
    """One camera's frames.

    Attributes:
        source: As it was given.
        health: What went wrong so far.
    """

    source: str
    reading: FrameReading = FrameReading()
    health: Health = field(default_factory=Health)

    def frames(self) -> Iterator[Frame]:
        """The frames, in order.

        Raises:
            VideoError: The source is not there, or holds no picture that can be read.
            MissingExtraError: PyAV is not installed.
        """
        path = Path(self.source)
        if _STREAM.match(self.source):
            frames = self._stream()
        elif _WEBCAM.fullmatch(self.source) and not path.is_file():
            frames = self._webcam()
        elif path.is_dir():
            frames = self._folder(path)
        elif path.is_file():
            frames = self._file(path)
        else:
            raise VideoError(f"{self.source}: not found; expected a video, a folder of pictures, or rtsp://…")
        return self._thinned(frames)

    def _thinned(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        """Those nearest to a grid of `fps`; and an error where there was none at all."""
        due, count = 0.0, 0
        for frame in frames:
            count += 1
            if self.reading.fps is None:
                yield frame
            elif frame.time >= due - 1e-6:
                due = max(due + 1.0 / self.reading.fps, frame.time)
                yield frame
        if count == 0:
            why = (
                f"all {self.health.damaged} frames are damaged" if self.health.damaged else "it has no frame"
            )
            raise VideoError(f"{self.source}: cannot be read as a video: {why}")

    def _folder(self, folder: Path) -> Iterator[Frame]:
        fps, pictures_folder = self.reading.source_fps, folder
        if (folder / "seqinfo.ini").is_file():
            fps, pictures_folder = _sequence(folder)
        pictures = sorted(path for path in pictures_folder.iterdir() if path.suffix.lower() in PICTURES)
        if not pictures:
            raise VideoError(f"{folder}: holds no pictures ({', '.join(PICTURES)}) and no seqinfo.ini")
        for number, path in enumerate(pictures, 1):
            try:
                picture = decode(path)
            except OmniReIDError:
                self.health.damaged += 1
                continue
            yield Frame(number, (number - 1) / fps, picture)

    def _file(self, path: Path) -> Iterator[Frame]:
        av = _pyav()
        try:
            container = av.open(str(path))
        except av.FFmpegError as error:
            raise VideoError(f"{path}: cannot be read as a video: {_reason(error)}") from error
        with container:
            if container.format.name == "tty":  # FFmpeg draws any text
                raise VideoError(f"{path}: cannot be read as a video: it is text")
            yield from self._decoded(container, None)

    def _webcam(self) -> Iterator[Frame]:
        av = _pyav()
        match = _WEBCAM.fullmatch(self.source)
        assert match is not None
        device = match[2] if match[2].startswith("/") else f"/dev/video{match[2]}"
        try:
            container = av.open(device, format="v4l2", timeout=self.reading.timeout_s)
        except (av.FFmpegError, ValueError) as error:
            raise VideoError(f"{self.source}: cannot open the webcam {device}: {_reason(error)}") from error
        with container:
            yield from self._decoded(container, clock.monotonic())

    def _stream(self) -> Iterator[Frame]:
        """A network stream, opened again whenever it ends, until it stays away for `patience_s`."""
        av = _pyav()
        started, lost, pause, number = clock.monotonic(), clock.monotonic(), 0.5, 0
        options = {"rtsp_transport": "tcp"} if self.source.lower().startswith("rtsp") else {}
        while True:
            try:
                with av.open(self.source, options=options, timeout=self.reading.timeout_s) as container:
                    for frame in self._decoded(container, started):
                        number += 1
                        yield Frame(number, frame.time, frame.picture)
                        lost, pause = clock.monotonic(), 0.5
                reason = "the stream ended"
            except av.FFmpegError as error:
                reason = _reason(error)
            if clock.monotonic() - lost + pause > self.reading.patience_s:
                if number:
                    return
                raise VideoError(f"{self.source}: no picture within {self.reading.patience_s:g} s: {reason}")
            clock.sleep(pause)
            pause = min(2 * pause, 10.0)
            self.health.reconnections += 1

    def _decoded(self, container: Any, started: float | None) -> Iterator[Frame]:
        """Frames of an open container; with `started`, their times are the clock's since then."""
        av = _pyav()
        if not container.streams.video:
            raise VideoError(f"{self.source}: has no video in it")
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        fps = float(stream.average_rate or self.reading.source_fps)
        number, first, last = 0, None, -1.0
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except av.FFmpegError:
                if started is not None:
                    raise
                # The file breaks off here.
                self.health.damaged += 1
                return
            try:
                decoded = packet.decode()
            except av.FFmpegError:
                self.health.damaged += 1
                number += 1
                continue
            for picture in decoded:
                number += 1
                if started is not None:
                    time = clock.monotonic() - started
                else:
                    seen = number / fps if picture.time is None else float(picture.time)
                    first = seen if first is None else first
                    time = seen - first
                    # Files exist whose times stand still or run backwards.
                    time = time if time > last else last + 1.0 / fps
                last = time
                yield Frame(number, time, picture.to_ndarray(format="rgb24"))


def _sequence(folder: Path) -> tuple[float, Path]:
    """Frame rate and folder of pictures that a MOT sequence's seqinfo.ini states."""
    parser = configparser.ConfigParser()
    try:
        parser.read(folder / "seqinfo.ini", encoding="utf-8")
        section = parser["Sequence"]
        fps, pictures = float(section["frameRate"]), folder / section.get("imDir", "img1")
    except (configparser.Error, KeyError, ValueError) as error:
        raise VideoError(
            f"{folder / 'seqinfo.ini'}: expected [Sequence] with frameRate and imDir: {error}"
        ) from error
    if not pictures.is_dir() or not fps > 0:
        raise VideoError(f"{folder / 'seqinfo.ini'}: frameRate must be above 0 and {pictures} a folder")
    return fps, pictures


def _pyav() -> ModuleType:
    try:
        import av
    except ImportError as error:
        raise MissingExtraError("Reading videos (PyAV)", "video") from error
    av.logging.set_level(None)
    return av


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)

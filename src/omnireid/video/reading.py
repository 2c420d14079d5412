"""Frames of a video: files, folders of pictures, MOT sequences, webcams and network streams, one after
another.

A damaged frame is counted and passed over. A network stream that ends is opened again, after longer and
longer pauses; its times go on where the clock is. All frames of a source have the size of its first.
"""

from __future__ import annotations

import configparser
import re
import time as clock
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from omnireid.core.arrays import UInt8
from omnireid.core.errors import InputError, MissingExtraError, OmniReIDError
from omnireid.core.images import decode

PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
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
        resized: Frames of another size than the first, which were brought to that size.
        broke_off: Why the source ended before its end; "" where it did not.
    """

    damaged: int = 0
    reconnections: int = 0
    resized: int = 0
    broke_off: str = ""


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


class Mark(NamedTuple):
    """Where reading goes on: number and seconds of the last frame that was seen, height and width of all.

    Attributes:
        away_s: Of a stream, the seconds that went by since then.
    """

    number: int = 0
    time: float = 0.0
    size: tuple[int, int] | None = None
    away_s: float = 0.0


class _Coded(NamedTuple):
    """A frame whose picture is not made yet."""

    number: int
    time: float
    picture: Callable[[], UInt8]


@dataclass(slots=True)
class Video:
    """One camera's frames.

    Attributes:
        source: As it was given.
        health: What went wrong so far.
        mark: Frames up to this one are not given again; a stream's go on counting.
    """

    source: str
    reading: FrameReading = FrameReading()
    health: Health = field(default_factory=Health)
    mark: Mark = Mark()

    @property
    def shown(self) -> str:
        """The source as others may read it."""
        return shown_source(self.source)

    @property
    def is_live(self) -> bool:
        """Whether it is a stream or a webcam, which cannot be read again."""
        is_webcam = _WEBCAM.fullmatch(self.source) is not None and not Path(self.source).is_file()
        return is_webcam or _STREAM.match(self.source) is not None

    def frames(self) -> Iterator[Frame]:
        """The frames, in order.

        Raises:
            VideoError: The source is not there, or holds no picture that can be read.
            MissingExtraError: PyAV is not installed.
        """
        path = Path(self.source)
        if _STREAM.match(self.source):
            frames = self._stream()
        elif self.is_live:
            frames = self._webcam()
        elif path.is_dir():
            frames = self._folder(path)
        elif path.is_file():
            frames = self._file(path)
        else:
            raise VideoError(f"{self.shown}: not found; expected a video, a folder of pictures, or rtsp://…")
        return self._pictures(self._thinned(frames))

    def _pictures(self, frames: Iterator[_Coded]) -> Iterator[Frame]:
        """The frames after the mark, all of one size; a picture is made only of those.

        Raises:
            VideoError: There is none at all.
        """
        size, count = self.mark.size, self.mark.number
        for frame in frames:
            if frame.number <= self.mark.number:
                continue
            try:
                picture = frame.picture()
            except OmniReIDError:
                self.health.damaged += 1
                continue
            count += 1
            size = size or picture.shape[:2]
            if picture.shape[:2] != size:
                self.health.resized += 1
                picture = np.asarray(Image.fromarray(picture).resize(size[::-1], Image.Resampling.BILINEAR))
            yield Frame(frame.number, frame.time, picture)
        if count == 0:
            damaged = self.health.damaged
            why = f"all {damaged} frames are damaged" if damaged else "it has no frame"
            raise VideoError(f"{self.shown}: cannot be read as a video: {why}")

    def _thinned(self, frames: Iterator[_Coded]) -> Iterator[_Coded]:
        """Those nearest to a grid of `fps`."""
        due = 0.0
        for frame in frames:
            if self.reading.fps is None:
                yield frame
            elif frame.time >= due - 1e-6:
                due = max(due + 1.0 / self.reading.fps, frame.time)
                yield frame

    def _folder(self, folder: Path) -> Iterator[_Coded]:
        fps, pictures_folder = self.reading.source_fps, folder
        if (folder / "seqinfo.ini").is_file():
            fps, pictures_folder = _sequence(folder)
        files = (path for path in pictures_folder.iterdir() if path.suffix.lower() in PICTURES)
        pictures = sorted(files, key=lambda path: by_number(path.name))
        if not pictures:
            raise VideoError(f"{folder}: holds no pictures ({', '.join(PICTURES)}) and no seqinfo.ini")
        for number, path in enumerate(pictures, 1):
            yield _Coded(number, (number - 1) / fps, partial(decode, path))

    def _file(self, path: Path) -> Iterator[_Coded]:
        av = pyav()
        try:
            container = av.open(str(path))
        except av.FFmpegError as error:
            raise VideoError(f"{path}: cannot be read as a video: {_reason(error)}") from error
        with container:
            if container.format.name == "tty":  # FFmpeg draws any text
                raise VideoError(f"{path}: cannot be read as a video: it is text")
            last = 0.0
            for frame in self._decoded(container, None):
                last = frame.time
                yield frame
            seconds = (container.duration or 0) / av.time_base
            # What the file says of itself is seldom exact.
            if last < min(seconds - 2.0, 0.95 * seconds) and not self.health.broke_off:
                self.health.broke_off = f"the file breaks off after {last:.1f} of {seconds:.1f} s"

    def _webcam(self) -> Iterator[_Coded]:
        av = pyav()
        match = _WEBCAM.fullmatch(self.source)
        assert match is not None
        device = match[2] if match[2].startswith("/") else f"/dev/video{match[2]}"
        try:
            container = av.open(device, format="v4l2", timeout=self.reading.timeout_s)
        except (av.FFmpegError, ValueError) as error:
            raise VideoError(f"{self.shown}: cannot open the webcam {device}: {_reason(error)}") from error
        with container:
            try:
                yield from self._decoded(container, self._began())
            except av.FFmpegError as error:
                self.health.broke_off = f"the webcam {device} broke off: {_reason(error)}"

    def _stream(self) -> Iterator[_Coded]:
        """A network stream, opened again whenever it ends, until it stays away for `patience_s`."""
        av = pyav()
        started, lost, pause, is_there = self._began(), clock.monotonic(), 0.5, False
        number = self.mark.number
        options = {"rtsp_transport": "tcp"} if self.source.lower().startswith("rtsp") else {}
        while True:
            try:
                with av.open(self.source, options=options, timeout=self.reading.timeout_s) as container:
                    for frame in self._decoded(container, started):
                        number += 1
                        yield frame._replace(number=number)
                        lost, pause, is_there = clock.monotonic(), 0.5, True
                reason = "the stream ended"
            except av.FFmpegError as error:
                reason = _reason(error)
            if clock.monotonic() - lost + pause > self.reading.patience_s:
                away = f"no picture within {self.reading.patience_s:g} s: {reason}"
                if not is_there:
                    raise VideoError(f"{self.shown}: {away}")
                self.health.broke_off = away
                return
            clock.sleep(pause)
            pause = min(2 * pause, 10.0)
            self.health.reconnections += 1

    def _began(self) -> float:
        """When a live source's first frame was, on this process's clock."""
        return clock.monotonic() - self.mark.time - self.mark.away_s

    def _decoded(self, container: Any, started: float | None) -> Iterator[_Coded]:
        """Frames of an open container; with `started`, their times are the clock's since then."""
        av = pyav()
        if not container.streams.video:
            raise VideoError(f"{self.shown}: has no video in it")
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        seen = 0 if started is not None else self.mark.number
        fps = float(stream.average_rate or self.reading.source_fps)
        number, first, last = 0 if started is None else self.mark.number, None, -1.0
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except av.FFmpegError:
                if started is not None:
                    raise
                self.health.broke_off = f"the file breaks off after {max(last, 0.0):.1f} s"
                return
            try:
                decoded = packet.decode()
            except av.FFmpegError:
                number += 1
                self.health.damaged += number > seen
                continue
            for picture in decoded:
                number += 1
                if picture.is_corrupt:
                    self.health.damaged += number > seen
                    continue
                if started is not None:
                    time = clock.monotonic() - started
                else:
                    told = number / fps if picture.time is None else float(picture.time)
                    first = told if first is None else first
                    time = told - first
                    # Files exist whose times stand still or run backwards.
                    time = time if time > last else last + 1.0 / fps
                last = time
                yield _Coded(number, time, partial(_upright, picture))


def by_number(name: str) -> tuple[list[str | int], str]:
    """What file names of frames are ordered by: 2.jpg comes before 10.jpg."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name)], name


def _upright(picture: Any) -> UInt8:
    """(H, W, 3) uint8 RGB of a decoded frame, turned as its file says: phones film as they are held."""
    pixels = picture.to_ndarray(format="rgb24")
    turns = round(picture.rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(pixels, turns)) if turns else pixels


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


def shown_source(source: str) -> str:
    """A source as others may read it: without user, password and query of its address.

    Also where a name stands before it, or its password holds signs that no address may hold.
    """
    head, sign, rest = source.partition("://")
    if not sign:
        return source
    secret, _, place = rest.rpartition("@")
    if re.search(r"[/?#]", secret):  # nobody knows where the password ends
        return f"{head}://…"
    return f"{head}://{re.split('[?#]', place)[0]}"


def pyav() -> ModuleType:
    """PyAV, which the extra brings, without its own lines on the console."""
    try:
        import av
    except ImportError as error:
        raise MissingExtraError("Reading videos (PyAV)", "video") from error
    av.logging.set_level(None)
    return av


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)

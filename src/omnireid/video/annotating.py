"""Videos of what was seen: a box of one colour around each person, and all cameras side by side in step."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from omnireid.core.arrays import UInt8
from omnireid.video.film import Film
from omnireid.video.follower import Camera
from omnireid.video.hiding import LEAST_SCORE, Seen, others_hidden
from omnireid.video.reading import Frame, FrameReading, Video

FILMS, TOGETHER = "videos", "side_by_side.mp4"

# Told apart by people who see colours otherwise, and by neighbours (Okabe and Ito's set, and four more).
COLOURS = (
    *("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9"),
    *("#d55e00", "#7a5195", "#8a8a8a", "#b5a400", "#3b3b98"),
)
_ENCODING: dict[str, Any] = {
    "ticks": 90_000,
    "container": {"movflags": "faststart"},
    "encoder": {"crf": "26", "preset": "veryfast"},
}
_TILE_WIDTH = 640
_TOGETHER_S = 0.1


class Shown(NamedTuple):
    """A frame as it is shown: seconds on the clock of all cameras, row of its camera, (H, W, 3) uint8."""

    time: float
    row: int
    picture: UInt8


@dataclass(frozen=True, slots=True)
class Films:
    """How annotated videos are made.

    Attributes:
        reading: How cameras were read.
        only: Number of the person who is shown, all others are hidden; None shows everybody.
    """

    reading: FrameReading = FrameReading()
    only: int | None = None


def annotate(
    cameras: Mapping[str, Camera], labels: Mapping[int, str], out: Path, wanted: Films = Films()
) -> None:
    """Film again what cameras saw, with who is who: `videos/NAME.mp4`, and `side_by_side.mp4` of several.

    Cameras are read once more, so that of streams and webcams there is no film.

    Args:
        cameras: By the names of their files; `identities/NAME.txt` is there already.
        labels: What is written beside each person, by number.

    Raises:
        StorageError: The disk is full.
        VideoError: A camera cannot be read again.
    """
    again = {n: camera for n, camera in cameras.items() if camera.frames and not Video(camera.source).is_live}
    sources = [
        _shown(row, camera, _people_in(camera, out / "identities" / f"{name}.txt", wanted), labels)
        for row, (name, camera) in enumerate(again.items())
    ]
    with ExitStack() as stack:
        films = [stack.enter_context(Film(out / FILMS / f"{name}.mp4", **_ENCODING)) for name in again]
        together = stack.enter_context(_Together(out / TOGETHER, again)) if len(again) > 1 else None
        for shown in heapq.merge(*sources, key=lambda shown: shown.time):
            films[shown.row].add(shown.time, shown.picture)
            if together is not None:
                together.show(shown)


class _Together(Film):
    """The cameras in a grid, each with its name, ten times a second."""

    def __init__(self, path: Path, cameras: Mapping[str, Camera]) -> None:
        self._columns = math.ceil(math.sqrt(len(cameras)))
        rows = math.ceil(len(cameras) / self._columns)
        # As tall as the tallest of them, and no taller than wide.
        tallest = max(camera.size[0] / camera.size[1] for camera in cameras.values())
        self._tile = round(_TILE_WIDTH * min(tallest, 1.0) / 2) * 2, _TILE_WIDTH
        super().__init__(path, **_ENCODING)
        self._grid = Image.new("RGB", (self._columns * self._tile[1], rows * self._tile[0]), "#202020")
        self._names, self._shown = list(cameras), 0

    def show(self, shown: Shown) -> None:
        """Take a frame of one camera; the film shows all cameras as they were at each tenth of a second."""
        while shown.time > self._shown * _TOGETHER_S + 1e-6:
            self._add_grid()
        height, width = self._tile
        tile = ImageOps.contain(Image.fromarray(shown.picture), (width, height), Image.Resampling.BILINEAR)
        left, top = shown.row % self._columns * width, shown.row // self._columns * height
        self._grid.paste(tile, (left, top))
        _write_on(ImageDraw.Draw(self._grid), (left, top), self._names[shown.row], "#202020", 18)

    def _add_grid(self) -> None:
        self.add(self._shown * _TOGETHER_S, np.asarray(self._grid))
        self._shown += 1

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if kind is None:
            self._add_grid()
        super().__exit__(kind, error, trace)


def _shown(
    row: int, camera: Camera, frames: Iterator[tuple[Frame, list[list[float]]]], labels: Mapping[int, str]
) -> Iterator[Shown]:
    """A camera's frames with everybody in them."""
    for frame, people in frames:
        yield Shown(frame.time + camera.offset_s, row, _drawn(frame.picture, people, labels))


def _people_in(camera: Camera, boxes: Path, wanted: Films) -> Iterator[tuple[Frame, list[list[float]]]]:
    """A camera's frames, and who is shown in each: id, left, top, width, height."""
    people = _people(boxes)
    if wanted.only is None:
        yield from _until_stopped(camera, people, wanted.reading)
        return
    from omnireid.video.detector import NanoDet  # not needed where nobody is hidden

    def parted() -> Iterator[Seen]:
        for frame, here in _until_stopped(camera, people, wanted.reading):
            table = np.array(here, np.float32).reshape(-1, 5)
            table[:, 3:] += table[:, 1:3]
            is_own = table[:, 0] == wanted.only
            yield Seen(frame, table[is_own, 1:], table[~is_own, 1:])

    for frame, own, _ in others_hidden(parted(), NanoDet(least_score=LEAST_SCORE)):
        sides = np.concatenate([own[:, :2], own[:, 2:] - own[:, :2]], axis=1)
        yield frame, [[float(wanted.only), *row] for row in sides.tolist()]


def _until_stopped(
    camera: Camera, people: Iterator[tuple[int, list[list[float]]]], reading: FrameReading
) -> Iterator[tuple[Frame, list[list[float]]]]:
    number, seen = next(people, (0, []))
    for frame in Video(camera.source, reading).frames():
        if frame.time + camera.offset_s > camera.last_s:
            return  # where following was stopped
        while number and number < frame.number:
            number, seen = next(people, (0, []))
        yield frame, seen if number == frame.number else []


def _people(path: Path) -> Iterator[tuple[int, list[list[float]]]]:
    """Of each frame of MOT text, which is in order of frames: id, left, top, width, height of everybody."""
    with path.open(encoding="utf-8") as file:
        lines = ([float(value) for value in line.split(",")[:6]] for line in file)
        for number, rows in groupby(lines, key=lambda row: row[0]):
            yield int(number), [row[1:] for row in rows]


def _drawn(picture: UInt8, people: list[list[float]], labels: Mapping[int, str]) -> UInt8:
    image = Image.fromarray(picture)
    draw = ImageDraw.Draw(image)
    thick = max(2, picture.shape[1] // 400)
    for number, left, top, width, height in people:
        colour = COLOURS[(int(number) - 1) % len(COLOURS)]
        draw.rectangle((left, top, left + width, top + height), outline=colour, width=thick)
        size = max(11, picture.shape[1] // 40)
        _write_on(
            draw, (left, max(0.0, top - size - 4)), labels.get(int(number), str(int(number))), colour, size
        )
    return np.asarray(image)


def _write_on(draw: Any, corner: tuple[float, float], text: str, colour: str, size: int) -> None:
    """A line of white text on a colour, its upper left at a corner, or farther left where that is too far."""
    font = ImageFont.load_default(size)
    corner = (max(2.0, min(corner[0], draw.im.size[0] - draw.textlength(text, font=font) - 2)), corner[1])
    left, top, right, bottom = draw.textbbox(corner, text, font=font)
    draw.rectangle((left - 2, top - 2, right + 2, bottom + 2), fill=colour)
    draw.text(corner, text, fill="white", font=font)

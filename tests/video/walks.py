"""People who walk through a picture as boxes, and how they look to a network, all of it invented."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from omnireid.core.arrays import Float32, UInt8
from omnireid.video.boxes import Boxes
from omnireid.video.mot import write_lines
from omnireid.video.tracker import Track, Tracker

DIM = 16


def look(person: int) -> Float32:
    """(D,) unit embedding of somebody."""
    vector = np.random.default_rng(1_000 + person).standard_normal(DIM)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def box(x: float, y: float = 200.0, height: float = 100.0) -> Float32:
    """Of somebody whose feet are at (x, y + height / 2)."""
    return np.array([x - 0.2 * height, y - height / 2, x + 0.2 * height, y + height / 2], np.float32)


def follow(
    tracker: Tracker,
    frames: Sequence[dict[int, Float32]],
    *,
    fps: float = 10.0,
    noise: float = 0.01,
    scores: Callable[[int, int], float] = lambda frame, person: 0.9,
    with_looks: bool = True,
) -> list[list[tuple[int, int]]]:
    """Feed a tracker with boxes by person; of each frame, person and track number of those it followed."""
    rng = np.random.default_rng(5)
    told = []
    for number, people in enumerate(frames, 1):
        ids = sorted(people)
        jitter = rng.normal(0, noise * 100, (len(ids), 4)).astype(np.float32)
        boxes = np.stack([people[i] for i in ids]) + jitter if ids else np.zeros((0, 4), np.float32)
        detections = Boxes(boxes, np.array([scores(number, i) for i in ids], np.float32))
        whose = {tuple(row): i for row, i in zip(detections.boxes.tolist(), ids, strict=True)}

        def embed(asked: Float32, whose: dict[tuple[float, ...], int] = whose) -> Float32:
            return np.stack([look(whose[tuple(row)]) for row in asked.tolist()])

        seen, owners = tracker.update(number, number / fps, detections, embed if with_looks else None)
        told.append(
            [
                (whose[tuple(row)], track.number)
                for row, track in zip(seen.boxes.tolist(), owners, strict=True)
                if track is not None
            ]
        )
    return told


def tracks_of(person: int, told: list[list[tuple[int, int]]]) -> set[int]:
    """Numbers of all tracks that a person was part of."""
    return {number for frame in told for who, number in frame if who == person}


def track(number: int, begin: float, end: float, who: int, x: float = 100.0, fps: float = 10.0) -> Track:
    """A track of somebody who stands still."""
    frames = list(range(round(begin * fps), round(end * fps) + 1))
    return Track(
        number,
        frames,
        [frame / fps for frame in frames],
        [box(x)] * len(frames),
        [0.9] * len(frames),
        look=look(who).astype(np.float64) * len(frames),
    )


def write_video(path: Path, pictures: Sequence[UInt8], fps: int = 10) -> Path:
    """A real video file, MPEG-4."""
    av = pytest.importorskip("av")
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=fps)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt, stream.bit_rate = "yuv420p", 2_000_000
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


def write_walk(path: Path, people: Sequence[int]) -> Path:
    """A film of people who pass one after another; beside it, as MOT text, a perfect detector's boxes."""
    pictures, lines = [], []
    for n in range(30 * len(people)):
        x, who = 20 + 10 * (n % 30), people[n // 30]
        pictures.append(street([(x, who)]))
        left, right = max(0, x - 16), min(320, x + 16)
        if right - left > 20:
            lines.append((n + 1, who, np.array([left, 80, right, 160], np.float32), 1.0))
    write_video(path, pictures)
    write_lines(path.with_suffix(".txt"), lines)
    return path.with_suffix(".txt")


def street(people: Sequence[tuple[float, int]], height: int = 240, width: int = 320) -> UInt8:
    """A grey picture with people as stripes of their own colours, each (x, person), 80 pixels tall."""
    picture = np.full((height, width, 3), 120, np.uint8)
    for x, person in people:
        left, right = max(0, round(x) - 16), min(width, round(x) + 16)
        colours = np.random.default_rng(person).integers(0, 256, (4, 1, 3))
        picture[80:160, left:right] = np.repeat(np.repeat(colours, 20, 0), right - left, 1)
    return picture

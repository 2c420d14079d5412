"""Any detector: a network file, tiles of one, a function, or what `supervision` gives and takes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from omnireid.core.arrays import UInt8
from omnireid.core.detection import Detections, PersonDetector
from omnireid.core.errors import InputError, MissingExtraError
from omnireid.video.boxes import Boxes, containment, suppress
from omnireid.video.detector import NanoDet, NetworkDetector
from omnireid.video.heads import HEADS
from omnireid.video.tracker import Track

_SHARED = 0.2
_EDGE = 2.0
_WITHIN = 0.8


def detect_all(detector: PersonDetector, pictures: Sequence[UInt8]) -> list[Boxes]:
    """Boxes of people in several pictures: at once where the detector can (`detect_all`), else in turn.

    Raises:
        InputError, ShapeError: The detector gave boxes that are none.
    """
    at_once: Callable[[Sequence[UInt8]], list[Boxes]] | None = getattr(detector, "detect_all", None)
    if at_once is not None:
        return at_once(pictures)
    return [as_boxes(detector.detect(picture)) for picture in pictures]


def open_detector(
    path: Path | None, head: str | None, *, tiles: int | None = None, threads: int | None = None
) -> PersonDetector:
    """A detector from a network file, in tiles where that is asked for; without a file the one that ships.

    Raises:
        InputError: A file without a head or the other way round.
        WeightsError: The file is no such network.
    """
    if (path is None) != (head is None):
        raise InputError(
            f"--detector and --head belong together: a network file and what it puts out ({', '.join(HEADS)})"
        )
    detector = NanoDet(threads=threads) if path is None else NetworkDetector(path, head, threads=threads)
    return detector if tiles is None else Tiled(detector, tiles)


def as_boxes(found: Any) -> Boxes:
    """What a detector gave, as boxes.

    Args:
        found: `Boxes`; `Detections` or a pair like it (x, y, width, height; scores); or an object with `xyxy`
            and `confidence`, as `supervision.Detections` is. Where that knows names of classes
            (`data["class_name"]`), people are taken; else all.

    Raises:
        InputError, ShapeError: It is nothing of these.
    """
    if isinstance(found, Boxes):
        return found
    if hasattr(found, "xyxy"):
        count = len(found.xyxy)
        names = (getattr(found, "data", None) or {}).get("class_name")
        rows = np.flatnonzero(np.ones(count) if names is None else np.asarray(names) == "person")
        told = np.ones(count) if found.confidence is None else found.confidence
        return Boxes(
            np.asarray(found.xyxy, np.float32).reshape(-1, 4)[rows], np.asarray(told, np.float32)[rows]
        )
    try:
        sides, scores = found
    except (TypeError, ValueError) as error:
        raise InputError(
            f"a detector gave {type(found).__name__}; expected boxes and scores (omnireid.Detections), or "
            "supervision.Detections"
        ) from error
    sides = np.asarray(sides, dtype=np.float32).reshape(-1, 4)
    corners = np.concatenate([sides[:, :2], sides[:, :2] + sides[:, 2:]], axis=1)
    return Boxes(corners, np.asarray(scores, dtype=np.float32))


def as_detector(detector: Any) -> PersonDetector:
    """A detector as it is, and a function of a picture as one."""
    found: PersonDetector = detector if hasattr(detector, "detect") else FunctionDetector(detector)
    return found


class FunctionDetector:
    """A function of a picture as a detector; it gives anything that `as_boxes` takes."""

    def __init__(self, function: Callable[[UInt8], Any]) -> None:
        self.name = getattr(function, "__name__", type(function).__name__)
        self._function = function

    def detect(self, picture: UInt8) -> Detections:
        """As `core.detection.PersonDetector` says."""
        return as_boxes(self._function(picture)).as_detections


class Tiled:
    """A detector that also looks at tiles of each picture, so that small people are large enough for it.

    Tiles are squares that share a fifth with their neighbours. A box that an inner edge of a tile cuts is
    left to the neighbour or to the whole picture; a box that lies within another one is left out.
    """

    def __init__(self, detector: PersonDetector, tiles: int) -> None:
        """Look at so many tiles along the longer side.

        Raises:
            InputError: Fewer than two.
        """
        if tiles < 2:
            raise InputError(f"tiles: expected 2 or more along the longer side, got {tiles}")
        self.name, self.tiles, self._detector = f"{detector.name} in {tiles} tiles", tiles, detector

    def detect(self, picture: UInt8) -> Detections:
        """As `core.detection.PersonDetector` says."""
        return self._of(picture).as_detections

    def detect_all(self, pictures: Sequence[UInt8]) -> list[Boxes]:
        """As of `NetworkDetector`."""
        return [self._of(picture) for picture in pictures]

    def _of(self, picture: UInt8) -> Boxes:
        height, width = picture.shape[:2]
        places = list(self._places(height, width))
        found = detect_all(
            self._detector,
            [np.ascontiguousarray(picture[top:bottom, left:right]) for left, top, right, bottom in places],
        )
        boxes, scores = [], []
        for (left, top, right, bottom), part in zip(places, found, strict=True):
            inner = [left > 0, top > 0, right < width, bottom < height]
            size = np.array([right - left, bottom - top], np.float32)
            near = np.concatenate([part.boxes[:, :2] < _EDGE, part.boxes[:, 2:] > size - _EDGE], axis=1)
            rows = np.flatnonzero(~(near & inner).any(axis=1))
            boxes.append(part.boxes[rows] + np.array([left, top, left, top], np.float32))
            scores.append(part.scores[rows])
        together = suppress(Boxes(np.concatenate(boxes), np.concatenate(scores)), 0.5)
        # Of somebody whom the tile sees in part, the whole picture sees all: the larger box is kept.
        area = np.prod(together.boxes[:, 2:] - together.boxes[:, :2], axis=1)
        within = containment(together.boxes, together.boxes) > _WITHIN
        is_part = (within & (area[None] > area[:, None])).any(axis=1)
        return together.take(np.flatnonzero(~is_part))

    def _places(self, height: int, width: int) -> Iterator[tuple[int, int, int, int]]:
        """Left, top, right, bottom of the whole picture and of each tile."""
        yield 0, 0, width, height
        side = max(height, width) / (self.tiles - _SHARED * (self.tiles - 1))
        starts = []
        for whole in (height, width):
            part = min(side, whole)
            count = max(1, math.ceil((whole - _SHARED * part) / ((1 - _SHARED) * part) - 1e-6))
            starts.append((np.linspace(0, whole - part, count).round().astype(int), round(part)))
        (tops, tall), (lefts, wide) = starts
        for top in tops:
            for left in lefts:
                yield int(left), int(top), min(width, int(left) + wide), min(height, int(top) + tall)


def supervision_frames(tracks: Sequence[Track]) -> Iterator[tuple[int, Any]]:
    """Number and `supervision.Detections` of each frame in which somebody was seen, `tracker_id` their track.

    Raises:
        MissingExtraError: supervision is not installed.
    """
    try:
        supervision = import_module("supervision")
    except ImportError as error:
        raise MissingExtraError("supervision.Detections (the package supervision)", "video") from error
    frames: dict[int, list[tuple[int, Any, float]]] = {}
    for track in tracks:
        for frame, box, score in zip(track.frames, track.boxes, track.scores, strict=True):
            frames.setdefault(frame, []).append((track.number, box, score))
    for frame in sorted(frames):
        numbers, boxes, scores = zip(*frames[frame], strict=True)
        yield (
            frame,
            supervision.Detections(
                xyxy=np.stack(boxes), confidence=np.array(scores), tracker_id=np.array(numbers)
            ),
        )

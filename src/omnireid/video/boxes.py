"""Boxes of people in a frame: (left, top, right, bottom) in pixels, and what is computed of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from omnireid.core.arrays import Float32, Float64, Int64
from omnireid.core.detection import Detections
from omnireid.core.errors import InputError, ShapeError

# Pixels within which a box ends at the edge of its picture.
_EDGE = 3.0


@dataclass(frozen=True, slots=True)
class Boxes:
    """What a detector says of one frame.

    Attributes:
        boxes: (N, 4) float32, left, top, right, bottom in pixels of the frame; may reach beyond its edges.
        scores: (N,) float32, 0 to 1; larger is surer.

    Raises:
        ShapeError, InputError: Shapes that do not belong together; a box without height or width, or one that
            is not finite.
    """

    boxes: Float32
    scores: Float32

    def __post_init__(self) -> None:
        boxes = np.asarray(self.boxes, dtype=np.float32).reshape(-1, 4)
        scores = np.asarray(self.scores, dtype=np.float32)
        if scores.shape != (len(boxes),):
            raise ShapeError("scores", expected=(len(boxes),), actual=scores.shape)
        if not (np.isfinite(boxes).all() and np.isfinite(scores).all()):
            raise InputError("boxes and scores: expected finite numbers")
        if (boxes[:, 2:] <= boxes[:, :2]).any():
            raise InputError("boxes: expected right > left and bottom > top (not widths and heights)")
        object.__setattr__(self, "boxes", boxes)
        object.__setattr__(self, "scores", scores)

    def __len__(self) -> int:
        return len(self.scores)

    def take(self, rows: Int64) -> Boxes:
        """Those of the given rows, in that order."""
        return Boxes(self.boxes[rows], self.scores[rows])

    @property
    def as_detections(self) -> Detections:
        """The same as x, y, width, height."""
        return Detections(
            np.concatenate([self.boxes[:, :2], self.boxes[:, 2:] - self.boxes[:, :2]], axis=1), self.scores
        )

    @classmethod
    def none(cls) -> Boxes:
        """Those of an empty frame."""
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))


def overlaps(boxes_a: Float32, boxes_b: Float32) -> Float64:
    """Intersection over union of every pair.

    Args:
        boxes_a, boxes_b: (N, 4) and (M, 4).

    Returns:
        (N, M) float64, 0 to 1.
    """
    shared, area_a, area_b = _areas(boxes_a, boxes_b)
    return np.asarray(shared / np.maximum(area_a[:, None] + area_b[None] - shared, 1e-12))


def containment(boxes_a: Float32, boxes_b: Float32) -> Float64:
    """Intersection over the smaller of the two areas, of every pair: 1 where one box lies within the other.

    Args:
        boxes_a, boxes_b: (N, 4) and (M, 4).

    Returns:
        (N, M) float64, 0 to 1.
    """
    shared, area_a, area_b = _areas(boxes_a, boxes_b)
    return np.asarray(shared / np.maximum(np.minimum(area_a[:, None], area_b[None]), 1e-12))


def _areas(boxes_a: Float32, boxes_b: Float32) -> tuple[Float64, Float64, Float64]:
    """Of every pair the shared area, (N, M), and the areas of both, (N,) and (M,)."""
    a, b = np.asarray(boxes_a, np.float64), np.asarray(boxes_b, np.float64)
    sides = np.minimum(a[:, None, 2:], b[None, :, 2:]) - np.maximum(a[:, None, :2], b[None, :, :2])
    shared = np.clip(sides, 0.0, None).prod(axis=2)
    return shared, (a[:, 2:] - a[:, :2]).prod(axis=1), (b[:, 2:] - b[:, :2]).prod(axis=1)


def within(boxes: Float32, size: tuple[int, int]) -> Float64:
    """Share of each person that lies within the picture.

    Of a box that reaches beyond the picture, that of its area. Many detectors end boxes at the picture's
    edge: what lies beyond it is guessed from the shape of what is left, a person being at least 2.5 times as
    tall as wide and at most three times.

    Args:
        boxes: (N, 4). size: Height and width of the picture.

    Returns:
        (N,) float64, 0.02 to 1.
    """
    height, width = size
    box = np.asarray(boxes, np.float64)
    most = np.array([width, height, width, height], np.float64)
    left = np.clip(box, 0.0, most)
    sides, whole = left[:, 2:] - left[:, :2], box[:, 2:] - box[:, :2]
    inside = (sides / np.maximum(whole, 1e-12)).prod(axis=1)
    wide, tall = np.maximum(sides, 1.0).T
    at_edge = (left < _EDGE) | (left > most - _EDGE)
    guessed = np.minimum(
        np.where(at_edge[:, 1] | at_edge[:, 3], tall / (2.5 * wide), 1.0),
        np.where(at_edge[:, 0] | at_edge[:, 2], 3.0 * wide / tall, 1.0),
    )
    return np.asarray(np.clip(np.minimum(inside, guessed), 0.02, 1.0))


def suppress(detections: Boxes, overlap: float) -> Boxes:
    """Leave out each box that a surer one overlaps by more than `overlap` (greedy; ties keep their order)."""
    order = np.argsort(-detections.scores, kind="stable")
    overlap_NN = overlaps(detections.boxes, detections.boxes)
    hidden = np.zeros(len(detections), dtype=bool)
    kept = []
    for row in order:
        if not hidden[row]:
            kept.append(row)
            hidden |= overlap_NN[row] > overlap
    return detections.take(np.array(kept, dtype=np.int64))

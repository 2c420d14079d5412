"""People in a frame, by whatever detector the service was given."""

from __future__ import annotations

import threading

import numpy as np

from omnireid.core.detection import PersonDetector
from omnireid.core.errors import ShapeError
from omnireid.core.images import Crop
from omnireid.gallery.items import Box

MAX_DETECTIONS = 200
"""Of one picture; the surest ones."""


class Detecting:
    """A detector behind a lock. Threads may share it."""

    def __init__(self, detector: PersonDetector) -> None:
        self.name = detector.name
        self._detector = detector
        self._calling = threading.Lock()

    def people(self, picture: Crop) -> list[tuple[Box, float]]:
        """Boxes with scores, the surest first, cut to the picture; at most `MAX_DETECTIONS`.

        Args:
            picture: (H, W, 3) uint8 RGB.

        Raises:
            ShapeError: the detector answered with something else than `Detections`.
        """
        with self._calling:
            detections = self._detector.detect(picture)
        boxes, scores = np.asarray(detections.boxes, np.float64), np.asarray(detections.scores, np.float64)
        if scores.ndim != 1 or boxes.shape != (len(scores), 4):
            raise ShapeError(
                "boxes and scores of the detector",
                expected="(N, 4) and (N,)",
                actual=(boxes.shape, scores.shape),
            )
        height, width = picture.shape[:2]
        left_top = np.clip(boxes[:, :2], 0, (width, height))
        right_bottom = np.clip(boxes[:, :2] + boxes[:, 2:], 0, (width, height))
        sizes = right_bottom - left_top
        is_usable = np.isfinite(boxes).all(axis=1) & np.isfinite(scores) & (sizes >= 1).all(axis=1)
        order = [index for index in np.argsort(-scores, kind="stable") if is_usable[index]][:MAX_DETECTIONS]
        return [
            (Box(*left_top[index].tolist(), *sizes[index].tolist()), float(np.clip(scores[index], 0, 1)))
            for index in order
        ]

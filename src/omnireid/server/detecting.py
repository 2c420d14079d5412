"""People in a frame, by whatever detector the service was given."""

from __future__ import annotations

import threading

import numpy as np

from omnireid.core.detection import PersonDetector
from omnireid.core.errors import ShapeError
from omnireid.core.images import Crop
from omnireid.gallery.items import Box
from omnireid.server.problems import Problem

MAX_DETECTIONS = 200
"""Of one picture; the surest ones."""
MISSING = (
    "no person detector is installed on this server, so it cannot find people in a picture by itself; draw a "
    "box around the person (region), or start the server with a detector (create_app(…, detector=…))"
)


class Detecting:
    """A detector behind a lock, or none. Threads may share it."""

    def __init__(self, detector: PersonDetector | None) -> None:
        self._detector = detector
        self._calling = threading.Lock()

    @property
    def is_available(self) -> bool:
        """Whether there is a detector."""
        return self._detector is not None

    @property
    def name(self) -> str:
        """Of the detector.

        Raises:
            Problem: 501, there is none.
        """
        if self._detector is None:
            raise Problem(501, MISSING)
        return self._detector.name

    def people(self, picture: Crop) -> list[tuple[Box, float]]:
        """Boxes with scores, the surest first, cut to the picture; at most `MAX_DETECTIONS`.

        Args:
            picture: (H, W, 3) uint8 RGB.

        Raises:
            Problem: 501, there is no detector.
            ShapeError: the detector answered with something else than `Detections`.
        """
        if self._detector is None:
            raise Problem(501, MISSING)
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

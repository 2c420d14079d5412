"""The socket for person detectors: what finds people in a frame plugs in; `video.detector` has ours."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from omnireid.core.arrays import AnyFloat, UInt8


class Detections(NamedTuple):
    """People that a detector found in a picture.

    Attributes:
        boxes: (N, 4) float: x, y, width, height in pixels of the picture, from its top left.
        scores: (N,) float, 0 to 1: how sure the detector is.
    """

    boxes: AnyFloat
    scores: AnyFloat


class PersonDetector(Protocol):
    """Finds people in pictures. It is called by one thread at a time.

    Attributes:
        name: said in answers, such as the name of its model.
    """

    name: str

    def detect(self, picture: UInt8) -> Detections:
        """Boxes around people, in any order.

        Args:
            picture: (H, W, 3) uint8 RGB of any size.
        """

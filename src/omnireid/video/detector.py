"""Where people are in a frame: a detector's network file in, boxes out, run by ONNX Runtime."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from omnireid.core.arrays import Float32, UInt8
from omnireid.core.detection import Detections, PersonDetector
from omnireid.core.errors import WeightsError
from omnireid.models.shipped import FOLDER
from omnireid.video.boxes import Boxes, suppress

SHIPPED = FOLDER / "nanodet_g_416.onnx"

_SMALLEST = 2.0
_PAD = 114


class NanoDet:
    """The detector that ships: NanoDet-g 416 (RangiLyu, Apache-2.0), as tools/nanodet.py converts it.

    Attributes:
        least_score: Boxes with a lower score are not given.
        overlap: Of two boxes that overlap by more, the surer one is kept.

    Raises:
        WeightsError: The file is not there, or no such network.
    """

    name = "nanodet_g_416"
    side = 416

    def __init__(
        self,
        path: Path | None = None,
        *,
        threads: int | None = None,
        least_score: float = 0.1,
        overlap: float = 0.6,
    ) -> None:
        import onnxruntime

        self.least_score, self.overlap = least_score, overlap
        file = path or SHIPPED
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        try:
            self._session = onnxruntime.InferenceSession(
                str(file), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            raise WeightsError(f"{file}: cannot be opened as a detector: {error}") from error

    def detect(self, picture: UInt8) -> Detections:
        """As `core.detection.PersonDetector` says."""
        (boxes,) = self.detect_all([picture])
        sides = np.concatenate([boxes.boxes[:, :2], boxes.boxes[:, 2:] - boxes.boxes[:, :2]], axis=1)
        return Detections(sides, boxes.scores)

    def detect_all(self, pictures: Sequence[UInt8]) -> list[Boxes]:
        """Boxes of people in (H, W, 3) uint8 RGB pictures of any size, one value for each."""
        if not pictures:
            return []
        boxed = [letterbox(picture, self.side) for picture in pictures]
        scores, boxes = self._session.run(
            ["scores", "boxes"], {"frames": np.stack([b.picture for b in boxed])}
        )
        return [self._people(scores[row], boxes[row] / boxed[row].scale) for row in range(len(pictures))]

    def _people(self, scores: Float32, boxes: Float32) -> Boxes:
        rows = np.flatnonzero(
            (scores >= self.least_score) & (boxes[:, 2:] - boxes[:, :2] >= _SMALLEST).all(axis=1)
        )
        return suppress(Boxes(boxes[rows], scores[rows]), self.overlap)


@dataclass(frozen=True, slots=True)
class Letterboxed:
    """A picture in the upper left of a square, `scale` times its size."""

    picture: UInt8
    scale: float


def letterbox(picture: UInt8, side: int) -> Letterboxed:
    """Fit a picture into a square without changing its proportions."""
    from PIL import Image

    height, width = picture.shape[:2]
    scale = side / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    square = np.full((side, side, 3), _PAD, dtype=np.uint8)
    small = Image.fromarray(picture).resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
    square[: size[1], : size[0]] = np.asarray(small)
    return Letterboxed(square, scale)


def detect_all(detector: PersonDetector, pictures: Sequence[UInt8]) -> list[Boxes]:
    """Boxes of people in several pictures: of the detector that ships all at once, else one after another.

    Raises:
        InputError, ShapeError: The detector gave boxes that are none.
    """
    if isinstance(detector, NanoDet):
        return detector.detect_all(pictures)
    return [_boxes(detector.detect(picture)) for picture in pictures]


def _boxes(found: Detections) -> Boxes:
    sides = np.asarray(found.boxes, dtype=np.float32).reshape(-1, 4)
    corners = np.concatenate([sides[:, :2], sides[:, :2] + sides[:, 2:]], axis=1)
    return Boxes(corners, np.asarray(found.scores, dtype=np.float32))

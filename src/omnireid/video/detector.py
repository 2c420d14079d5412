"""Where people are in a frame: a detector's network file in, boxes out, run by ONNX Runtime."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from omnireid.core.arrays import Float32, UInt8
from omnireid.core.detection import Detections
from omnireid.core.errors import UnknownNameError, WeightsError
from omnireid.core.machine import compute_threads
from omnireid.models.shipped import FOLDER
from omnireid.video.boxes import Boxes, suppress
from omnireid.video.heads import HEADS, Head

SHIPPED = FOLDER / "nanodet_g_416.onnx"

_SMALLEST = 2.0
_PAD = 114
_DEFAULT_SIDE = 640
# What the shipped file puts out is scores and boxes already; it takes uint8 RGB.
_DECODED = Head(lambda frames: frames, lambda outputs, height, width: (outputs[0], outputs[1]))


class NetworkDetector:
    """A detector whose network is an ONNX file.

    Attributes:
        name: The file's, without its ending.
        size: Height and width that the network takes.
        least_score: Boxes with a lower score are not given.
        overlap: Of two boxes that overlap by more, the surer one is kept.

    Raises:
        WeightsError: The file is not there, or no such network.
    """

    def __init__(
        self,
        path: Path,
        head: str | None,
        *,
        threads: int | None = None,
        least_score: float = 0.1,
        overlap: float = 0.6,
    ) -> None:
        """Open a file.

        Args:
            head: What it puts out, one of `HEADS`; None for a file that gives scores and boxes by itself.
        """
        import onnxruntime

        if head is not None and head not in HEADS:
            raise UnknownNameError("head", head, HEADS)
        self.name, self.least_score, self.overlap = path.stem, least_score, overlap
        self._head, self._path = _DECODED if head is None else HEADS[head], path
        # Opened anew where it is unpickled.
        self._again = partial(
            NetworkDetector, path.absolute(), head, threads=threads, least_score=least_score, overlap=overlap
        )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or compute_threads()
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            raise WeightsError(f"{path}: cannot be opened as a detector: {error}") from error
        frames = self._session.get_inputs()[0]
        self._channels_last = len(frames.shape) == 4 and frames.shape[3] == 3
        sides = frames.shape[1:3] if self._channels_last else frames.shape[2:4]
        height, width = (side if isinstance(side, int) else _DEFAULT_SIDE for side in sides)
        self.size = height, width
        self._one_by_one = frames.shape[0] == 1

    def __reduce__(self) -> Any:
        return self._again, ()

    def detect(self, picture: UInt8) -> Detections:
        """As `core.detection.PersonDetector` says."""
        return self.detect_all([picture])[0].as_detections

    def detect_all(self, pictures: Sequence[UInt8]) -> list[Boxes]:
        """Boxes of people in (H, W, 3) uint8 RGB pictures of any size, one value for each.

        Raises:
            WeightsError: The network puts out something else than its head says.
        """
        if not pictures:
            return []
        fitted = [fitted_in(picture, *self.size, fills=self._head.fills) for picture in pictures]
        frames: Any = self._head.prepare(np.stack([fit.picture for fit in fitted]))
        if not self._channels_last:
            frames = np.ascontiguousarray(frames.transpose(0, 3, 1, 2))
        parts = [frames[row : row + 1] for row in range(len(frames))] if self._one_by_one else [frames]
        found = [candidates for part in parts for candidates in zip(*self._run(part), strict=True)]
        return [
            self._people(scores, boxes / np.tile(fit.scale, 2))
            for (scores, boxes), fit in zip(found, fitted, strict=True)
        ]

    def _run(self, frames: UInt8 | Float32) -> tuple[Float32, Float32]:
        first, *masks = self._session.get_inputs()
        # DETR's second input says which pixels belong to the picture: all of them.
        inputs = {first.name: frames} | {
            mask.name: np.ones((len(frames), *self.size), np.int64) for mask in masks
        }
        try:
            return self._head.decode(self._session.run(None, inputs), *self.size)
        except (ValueError, IndexError, RuntimeError) as error:
            raise WeightsError(f"{self._path}: does not put out what its head says: {error}") from error

    def _people(self, scores: Float32, boxes: Float32) -> Boxes:
        rows = np.flatnonzero(
            (scores >= self.least_score) & (boxes[:, 2:] - boxes[:, :2] >= _SMALLEST).all(axis=1)
        )
        return suppress(Boxes(boxes[rows], scores[rows]), self.overlap)


class NanoDet(NetworkDetector):
    """The detector that ships: NanoDet-g 416 (RangiLyu, Apache-2.0), as tools/nanodet.py converts it."""

    def __init__(
        self, path: Path | None = None, *, threads: int | None = None, least_score: float = 0.1
    ) -> None:
        super().__init__(path or SHIPPED, None, threads=threads, least_score=least_score)


@dataclass(frozen=True, slots=True)
class Fitted:
    """A picture in the upper left of another one, `scale` (x, y) times its size."""

    picture: UInt8
    scale: Float32


def fitted_in(picture: UInt8, height: int, width: int, *, fills: bool = False) -> Fitted:
    """Fit a picture into one of another size, without changing its proportions unless it fills that."""
    tall, wide = picture.shape[:2]
    least = min(height / tall, width / wide)
    scale = (width / wide, height / tall) if fills else (least, least)
    size = max(1, round(wide * scale[0])), max(1, round(tall * scale[1]))
    whole = np.full((height, width, 3), _PAD, dtype=np.uint8)
    small = Image.fromarray(picture).resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
    whole[: size[1], : size[0]] = np.asarray(small)
    return Fitted(whole, np.array(scale, np.float32))

"""What detectors' network files put out, and what they want put in: one entry for each published family.

Every head gives, of N pictures with M candidates each, the score of "person" (N, M) and boxes (N, M, 4):
left, top, right, bottom in pixels of what was put in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import softmax

from omnireid.core.arrays import Float32, UInt8
from omnireid.core.errors import WeightsError

_STRIDES = (8, 16, 32)
_COCO = 80
_IMAGENET = np.array([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]], np.float32)
_NANODET = np.array([[103.53, 116.28, 123.675], [57.375, 57.12, 58.395]], np.float32)

Outputs = Sequence[Float32]


@dataclass(frozen=True, slots=True)
class Head:
    """One family.

    Attributes:
        prepare: (N, H, W, 3) uint8 RGB to what the network takes, channels last.
        decode: Outputs, height and width of what was put in, to scores and boxes.
        fills: Whether a picture fills the input in both directions; else it keeps its proportions.
    """

    prepare: Callable[[UInt8], Float32 | UInt8]
    decode: Callable[[Outputs, int, int], tuple[Float32, Float32]]
    fills: bool = False


def _cells(strides: Sequence[int], height: int, width: int, offset: float) -> tuple[Float32, Float32]:
    """(M, 2) points x, y of the cells of all strides, row by row, `offset` cells in, and (M, 1) strides."""
    points, sizes = [], []
    for stride in strides:
        y, x = np.mgrid[: -(-height // stride), : -(-width // stride)].astype(np.float32)
        points.append((np.stack([x.ravel(), y.ravel()], axis=1) + offset) * stride)
        sizes.append(np.full((x.size, 1), stride, np.float32))
    return np.concatenate(points), np.concatenate(sizes)


def _corners(centres: Float32, sides: Float32) -> Float32:
    return np.concatenate([centres - sides / 2, centres + sides / 2], axis=-1)


def _count(found: int, expected: int, head: str) -> None:
    if found != expected:
        raise WeightsError(f"--head {head}: expected {expected} candidates in a picture, got {found}")


def _nanodet(outputs: Outputs, height: int, width: int) -> tuple[Float32, Float32]:
    """(N, M, classes + 4 × bins): shares of classes, then each side's distribution over whole strides.

    Source: RangiLyu/nanodet: `nanodet_head.py` (three strides, cells' middles) and `nanodet_plus_head.py`
    (four strides, cells' corners).
    """
    (rows,) = outputs
    points, sizes = _cells(_STRIDES, height, width, 0.5)
    if rows.shape[1] != len(points):
        points, sizes = _cells((*_STRIDES, 64), height, width, 0.0)
    _count(rows.shape[1], len(points), "nanodet")
    classes = _COCO if rows.shape[2] > _COCO else 1
    bins = rows[:, :, classes:].reshape(*rows.shape[:2], 4, -1)
    sides = softmax(bins, axis=3) @ np.arange(bins.shape[3], dtype=np.float32) * sizes
    boxes = np.concatenate([points - sides[..., :2], points + sides[..., 2:]], axis=2)
    return rows[:, :, 0], boxes.astype(np.float32)


def _yolox(outputs: Outputs, height: int, width: int) -> tuple[Float32, Float32]:
    """(N, M, 5 + classes): centre and log sides in strides, from the cell's corner; objectness; classes.

    Source: Megvii YOLOX, `demo_postprocess` (networks exported without `--decode_in_inference`).
    """
    (rows,) = outputs
    points, sizes = _cells(_STRIDES, height, width, 0.0)
    _count(rows.shape[1], len(points), "yolox")
    boxes = _corners(rows[..., :2] * sizes + points, np.exp(rows[..., 2:4]) * sizes)
    return rows[..., 4] * rows[..., 5], boxes


def _yolov8(outputs: Outputs, height: int, width: int) -> tuple[Float32, Float32]:
    """(N, 4 + classes, M): centre and sides in pixels, classes.

    Source: Ultralytics' ONNX export of YOLOv8 and YOLO11, without its own suppression.
    """
    rows = outputs[0].transpose(0, 2, 1)
    return rows[..., 4], _corners(rows[..., :2], rows[..., 2:4])


def _detr(outputs: Outputs, height: int, width: int) -> tuple[Float32, Float32]:
    """Logits (N, M, classes + 1), the last of "nothing"; centre and sides (N, M, 4) in shares of the picture.

    Source: facebookresearch/detr, `PostProcess`; person is category 1 of COCO's 91.
    """
    logits, boxes = sorted(outputs[:2], key=lambda output: output.shape[2] == 4)
    size = np.array([width, height], np.float32)
    return softmax(logits, axis=2)[..., 1], _corners(boxes[..., :2] * size, boxes[..., 2:] * size)


HEADS = {
    "nanodet": Head(lambda frames: (frames[..., ::-1] - _NANODET[0]) / _NANODET[1], _nanodet),
    "yolox": Head(lambda frames: frames[..., ::-1].astype(np.float32), _yolox),
    "yolov8": Head(lambda frames: frames.astype(np.float32) / 255.0, _yolov8),
    "detr": Head(
        lambda frames: (frames.astype(np.float32) / 255.0 - _IMAGENET[0]) / _IMAGENET[1], _detr, fills=True
    ),
}

"""Boxes and tracks as text, one line each, as the MOT challenges write them.

    frame, id, left, top, width, height, score, x, y, z

Frames count from 1; id −1 is a detection without one. Of a truth file the seventh number says whether the box
counts (1) or not (0). From MOT16 on, and in our films, the eighth is a class and the ninth the share of the
person that is seen; in MOT15's lines of ten numbers, both are metres. Source: motchallenge.net.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from omnireid.core.arrays import Float32, Int64
from omnireid.core.errors import DatasetError
from omnireid.core.files import atomic_write
from omnireid.video.boxes import Boxes


@dataclass(frozen=True, slots=True)
class Lines:
    """The lines of a file, in order of frames.

    Attributes:
        frames, ids: (N,) int64. boxes: (N, 4) float32, left, top, right, bottom.
        scores: (N,) float32; of a truth file, 1 where the box counts.
        visible: (N,) float32, share of each person that is seen, 1 where a line does not say; None: all 1.
    """

    frames: Int64
    ids: Int64
    boxes: Float32
    scores: Float32
    visible: Float32 | None = None

    def by_frame(self) -> dict[int, Int64]:
        """Rows of each frame."""
        if not len(self.frames):
            return {}
        order = np.argsort(self.frames, kind="stable")
        numbers, starts = np.unique(self.frames[order], return_index=True)
        return {int(number): rows for number, rows in zip(numbers, np.split(order, starts[1:]), strict=True)}

    def detections(self) -> dict[int, Boxes]:
        """The boxes of each frame that has any."""
        return {
            number: Boxes(self.boxes[rows], self.scores[rows]) for number, rows in self.by_frame().items()
        }


def read_mot(path: str | os.PathLike[str]) -> Lines:
    """Read a file of boxes or tracks.

    Raises:
        DatasetError: It is not there, or a line has not at least six numbers, or no box.
    """
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{file}: cannot be read as MOT text: {error}") from error
    rows = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            values = [float(value) for value in line.replace(",", " ").split()]
        except ValueError:
            values = []
        if len(values) < 6 or not np.isfinite(values[:7]).all() or values[4] <= 0 or values[5] <= 0:
            raise DatasetError(
                f"{file}, line {number}: expected frame, id, left, top, width, height, score; "
                f"got {line[:80]!r}"
            )
        rows.append((*values[:6], values[6] if len(values) > 6 else 1.0, _visible(values)))
    table = np.array(rows, dtype=np.float64).reshape(-1, 8)
    table = table[np.argsort(table[:, 0], kind="stable")]
    return Lines(
        table[:, 0].astype(np.int64),
        table[:, 1].astype(np.int64),
        np.concatenate([table[:, 2:4], table[:, 2:4] + table[:, 4:6]], axis=1).astype(np.float32),
        table[:, 6].astype(np.float32),
        table[:, 7].astype(np.float32),
    )


def _visible(values: list[float]) -> float:
    says_so = len(values) in (9, 11) and values[7] >= 1.0 and 0.0 <= values[8] <= 1.0
    return values[8] if says_so else 1.0


def write_lines(path: str | os.PathLike[str], lines: Iterable[tuple[int, int, Float32, float]]) -> None:
    """Write frame, id, (4,) box and score of each line; a file that was there is replaced as a whole."""
    with atomic_write(path) as file:
        for number, identity, box, score in lines:
            left, top, right, bottom = (float(side) for side in box)
            sides = f"{left:.2f},{top:.2f},{right - left:.2f},{bottom - top:.2f}"
            file.write(f"{number},{identity},{sides},{score:.4f},-1,-1,-1\n".encode())

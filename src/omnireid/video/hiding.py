"""A video in which everybody is hidden but one person: what may be handed on.

Whoever a detector finds, at a low score, or the tracks know, is reduced to a few cells of colour, a little
more than their box, in the frame and in those around it. Where somebody stands before the person, they are
hidden, and the person with them: too much is hidden rather than too little.
"""

from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

from omnireid.core.arrays import Float32, UInt8
from omnireid.core.detection import PersonDetector
from omnireid.core.errors import InputError, StorageError
from omnireid.video.boxes import overlaps
from omnireid.video.detecting import detect_all
from omnireid.video.mot import Lines
from omnireid.video.reading import Frame, Video, pyav

_CELLS = (3, 6)
_MARGIN = 0.1
_AROUND = 5
_SAME = 0.4


@dataclass(frozen=True, slots=True)
class Hidden:
    """What was written.

    Attributes:
        frames: Frames in all. shown: those in which the person is shown. hidden: boxes that were hidden.
    """

    frames: int
    shown: int
    hidden: int


def hide_others(
    source: str,
    people: Lines,
    person: int,
    out: str | os.PathLike[str],
    detector: PersonDetector,
) -> Hidden:
    """Write a video in which everybody but one person is hidden. It has no sound.

    Args:
        source: The video that was tracked.
        people: Boxes with the numbers of people, as `omnireid track` writes them (`identities/NAME.txt`).
        person: The number of the one who is shown.
        detector: Finds everybody; with a low `least_score`, better too many than too few.

    Raises:
        InputError: The person is in no frame.
        VideoError: The video cannot be read.
        MissingExtraError: PyAV is not installed.
        StorageError: The file cannot be written.
    """
    rows = people.by_frame()
    if not (people.ids == person).any():
        known = sorted(set(people.ids.tolist()))
        raise InputError(f"person {person}: is in no frame; there are {known[:20]}")
    around: deque[Float32] = deque(maxlen=_AROUND)
    waiting: deque[tuple[Frame, Float32, bool]] = deque()
    counts = [0, 0, 0]
    with _Writer(Path(out)) as writer:

        def write_first() -> None:
            frame, own, is_shown = waiting.popleft()
            others = np.concatenate([own, *around])
            writer.write(frame, covered(frame.picture, others))
            for index, count in enumerate((1, is_shown, len(own))):
                counts[index] += count

        for frame in Video(source).frames():
            mine = rows.get(frame.number, np.zeros(0, np.int64))
            is_person = people.ids[mine] == person
            kept = people.boxes[mine[is_person]]
            found = detect_all(detector, [frame.picture])[0].boxes
            if len(kept):
                found = found[overlaps(found, kept).max(axis=1, initial=0.0) < _SAME]
            others = np.concatenate([found, people.boxes[mine[~is_person]]])
            waiting.append((frame, others, bool(len(kept))))
            around.append(others)
            # A frame is written when those after it are known.
            if len(waiting) > _AROUND // 2:
                write_first()
        while waiting:
            write_first()
    return Hidden(*counts)


def covered(picture: UInt8, boxes: Float32) -> UInt8:
    """A copy in which a few cells of colour are left of each box.

    Args:
        picture: (H, W, 3) uint8 RGB. boxes: (N, 4) left, top, right, bottom in pixels.
    """
    height, width = picture.shape[:2]
    done = picture.copy()
    for box in boxes:
        margin = _MARGIN * (box[2:] - box[:2])
        left, top = (int(max(0, np.floor(side))) for side in box[:2] - margin)
        right, bottom = (int(np.ceil(side)) for side in box[2:] + margin)
        part = picture[top : min(bottom, height), left : min(right, width)]
        if part.size:
            small = Image.fromarray(part).resize(_CELLS, Image.Resampling.BOX)
            size = (part.shape[1], part.shape[0])
            cells = np.asarray(small.resize(size, Image.Resampling.NEAREST))
            done[top : top + size[1], left : left + size[0]] = cells
    return done


class _Writer:
    """A video file; what was begun and not finished is removed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._part = path.with_name(f"{path.stem}.part{path.suffix or '.mp4'}")

    def __enter__(self) -> _Writer:
        av = pyav()
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._container = av.open(str(self._part), "w")
            self._stream = self._container.add_stream("libx264", rate=30)
        except (OSError, ValueError) as error:
            raise StorageError(f"{self._path}: cannot be written: {error}") from error
        self._is_begun = False
        return self

    def write(self, frame: Frame, picture: UInt8) -> None:
        av = pyav()
        height, width = (side - side % 2 for side in picture.shape[:2])
        if not self._is_begun:
            self._is_begun = True
            self._stream.width, self._stream.height = width, height
            self._stream.pix_fmt = "yuv420p"
            self._stream.time_base = self._stream.codec_context.time_base = Fraction(1, 1000)
        shown = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture[:height, :width]), format="rgb24")
        shown.pts, shown.time_base = round(1000 * frame.time), Fraction(1, 1000)
        self._container.mux(self._stream.encode(shown))

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if self._is_begun and kind is None:
                self._container.mux(self._stream.encode())
            self._container.close()
            if kind is None:
                self._part.replace(self._path)
        except OSError as error:
            raise StorageError(f"{self._path}: cannot be written: {error}") from error
        finally:
            self._part.unlink(missing_ok=True)

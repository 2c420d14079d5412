"""A video in which everybody is hidden but one person: what may be handed on.

Whoever a detector finds, at a low score, or the tracks know, is reduced to a few cells of colour, a little
more than their box, in the frame and in those around it. Where somebody stands before the person, they are
hidden, and the person with them: too much is hidden rather than too little.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from omnireid.core.arrays import Float32, UInt8
from omnireid.core.detection import PersonDetector
from omnireid.core.errors import InputError
from omnireid.video.boxes import overlaps
from omnireid.video.detecting import detect_all
from omnireid.video.film import Film
from omnireid.video.mot import Lines
from omnireid.video.reading import Frame, Video

LEAST_SCORE = 0.2
"""From which a detector finds whoever is to be hidden: better too many than too few."""

_CELLS = (3, 6)
_MARGIN = 0.1
_AROUND = 5
_SAME = 0.4


class Seen(NamedTuple):
    """A frame, with the boxes, (N, 4) each, of the person who is shown and of others who were tracked."""

    frame: Frame
    own: Float32
    others: Float32


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
    counts = [0, 0, 0]

    def seen() -> Iterator[Seen]:
        for frame in Video(source).frames():
            mine = rows.get(frame.number, np.zeros(0, np.int64))
            is_person = people.ids[mine] == person
            yield Seen(frame, people.boxes[mine[is_person]], people.boxes[mine[~is_person]])

    with Film(Path(out)) as film:
        for frame, own, hidden in others_hidden(seen(), detector):
            film.add(frame.time, frame.picture)
            for index, count in enumerate((1, bool(len(own)), hidden)):
                counts[index] += count
    return Hidden(*counts)


def others_hidden(seen: Iterable[Seen], detector: PersonDetector) -> Iterator[tuple[Frame, Float32, int]]:
    """Frames in which everybody but the person is hidden, their boxes, and how many others there were.

    Two frames are in memory: each is given when those after it are known.
    """
    around: deque[Float32] = deque(maxlen=_AROUND)
    waiting: deque[tuple[Seen, Float32]] = deque()

    def first() -> tuple[Frame, Float32, int]:
        (frame, own, _), others = waiting.popleft()
        return (
            replace(frame, picture=covered(frame.picture, np.concatenate([others, *around]))),
            own,
            len(others),
        )

    for each in seen:
        found = detect_all(detector, [each.frame.picture])[0].boxes
        if len(each.own):
            found = found[overlaps(found, each.own).max(axis=1, initial=0.0) < _SAME]
        others = np.concatenate([found, each.others])
        waiting.append((each, others))
        around.append(others)
        if len(waiting) > _AROUND // 2:
            yield first()
    while waiting:
        yield first()


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

"""Unlabelled people in video: tracklets, and who was seen together.

Nobody has to say who a person is: the frames of one tracklet show one person, and tracklets that are visible
in the same frame show different people. That is all a calibration needs.
"""

from __future__ import annotations

import configparser
import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np

from omnireid.core.arrays import Int64
from omnireid.core.card import InputSpec
from omnireid.core.display import short_repr
from omnireid.core.errors import DatasetError, ImageError, InputError
from omnireid.core.images import Crop, decode, resize
from omnireid.core.types import Sample
from omnireid.data.loading import LoadCrop

Box = tuple[float, float, float, float]

LAYOUT = (
    "Either a table (.csv, UTF-8, header line) with the columns path, camera, tracklet and time, one crop a\n"
    "row. path: absolute or relative to the table. time: a number, seconds or frame number, equal for what\n"
    "one frame shows. Or a folder of sequences in MOTChallenge format, each with seqinfo.ini,\n"
    "img1/000001.jpg, … and gt/gt.txt or, from a tracker, tracks.txt\n"
    "(frame, id, left, top, width, height, …)."
)

# A ground-truth box that is mostly hidden shows somebody else.
MIN_VISIBILITY = 0.5
# Two boxes that overlap more may be one person whom the tracker holds twice.
MAX_OVERLAP = 0.5

_PEDESTRIAN = 1
_COLUMNS = ("path", "camera", "tracklet", "time")


@dataclass(frozen=True, slots=True)
class Sighting:
    """One person in one frame.

    Attributes:
        path: the crop, or the whole frame where there is a box.
        time: seconds or frame number; equal for everything that one frame shows.
        box: left, top, right, bottom in pixels of the frame.
    """

    path: str
    time: float
    box: Box | None = None


@dataclass(frozen=True, slots=True)
class Tracklet:
    """Sightings of one person by one camera, in order of time."""

    camera: str
    name: str
    sightings: tuple[Sighting, ...]

    __repr__ = short_repr


def read_tracklets(source: str | Path) -> tuple[Tracklet, ...]:
    """Read a table or sequences in MOTChallenge format. No picture is opened.

    Of `gt/gt.txt`, only pedestrians that the ground truth marks as counting and as at least half visible
    are taken. The sequence is the camera, and times are seconds.

    Raises:
        DatasetError: missing, empty, or not in either form; names the line.
    """
    path = Path(source)
    if not path.exists():
        raise DatasetError(f"{path}: no such file or folder")
    if path.is_file():
        tracklets = _read_table(path)
    else:
        sequences = [path] if (path / "seqinfo.ini").is_file() else sorted(path.iterdir())
        sequences = [folder for folder in sequences if (folder / "seqinfo.ini").is_file()]
        tracklets = [tracklet for folder in sequences for tracklet in _read_sequence(folder)]
    if not tracklets:
        raise DatasetError(f"{path}: no tracklets. Expected:\n{LAYOUT}")
    return tuple(tracklets)


def seen_together(tracklets: Sequence[Tracklet], *, max_overlap: float = MAX_OVERLAP) -> Int64:
    """Couples of tracklets that show different people: seen at the same time by the same camera.

    Args:
        max_overlap: intersection over union of two boxes above which a couple is left out altogether.

    Returns:
        (C, 2) int64 places in `tracklets`, each row and the rows ascending.
    """
    frames: dict[tuple[str, float], list[tuple[int, Box | None]]] = {}
    for index, tracklet in enumerate(tracklets):
        for sighting in tracklet.sightings:
            frames.setdefault((tracklet.camera, sighting.time), []).append((index, sighting.box))
    together: set[tuple[int, int]] = set()
    doubtful: set[tuple[int, int]] = set()
    for seen in frames.values():
        for number, (a, box_a) in enumerate(seen):
            for b, box_b in seen[number + 1 :]:
                if a != b:
                    together.add((a, b))
                    if box_a is not None and box_b is not None and _overlap(box_a, box_b) > max_overlap:
                        doubtful.add((a, b))
    return np.array(sorted(together - doubtful), np.int64).reshape(-1, 2)


def spread_samples(tracklets: Sequence[Tracklet], num_frames: int) -> tuple[list[Sample], LoadCrop | None]:
    """At most this many sightings of each tracklet, evenly over its length, and how to load them.

    Returns:
        Samples whose pid is the place of the tracklet in `tracklets` and whose camid numbers the cameras in
        order of their names; and what reads them (`Reading.load`), None for the usual way.

    Raises:
        InputError: less than one frame.
    """
    if num_frames < 1:
        raise InputError(f"num_frames: expected at least 1, got {num_frames}")
    cameras = {name: camid for camid, name in enumerate(sorted({each.camera for each in tracklets}))}
    boxes: dict[Sample, Box] = {}
    samples: list[Sample] = []
    for row, tracklet in enumerate(tracklets):
        last = len(tracklet.sightings) - 1
        for index in np.unique(np.linspace(0, last, num_frames).round().astype(int)).tolist():
            sighting = tracklet.sightings[index]
            sample = Sample(sighting.path, row, cameras[tracklet.camera], sighting.time)
            samples.append(sample)
            if sighting.box is not None:
                boxes[sample] = sighting.box
    if not boxes:
        return samples, None
    # A frame shows many people: neighbours in this order share it.
    samples.sort(key=lambda sample: (sample.camid, sample.path, sample.pid))
    frame = lru_cache(maxsize=8)(decode)

    def load(sample: Sample, spec: InputSpec) -> Crop:
        return resize(_cut(frame(sample.path), boxes[sample], sample.path), spec)

    return samples, load


def _cut(frame: Crop, box: Box, path: str) -> Crop:
    height, width = frame.shape[:2]
    left, right = (min(max(round(x), 0), width) for x in (box[0], box[2]))
    top, bottom = (min(max(round(y), 0), height) for y in (box[1], box[3]))
    if left >= right or top >= bottom:
        raise ImageError(path, f"the box {tuple(map(round, box))} lies outside of the {width}×{height} frame")
    return frame[top:bottom, left:right]


def _overlap(a: Box, b: Box) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return both / (sum(areas) - both)


def _read_table(path: Path) -> list[Tracklet]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(
            f"{path}: cannot be read as a UTF-8 table ({error}). Expected:\n{LAYOUT}"
        ) from error
    reader = csv.DictReader(lines)
    columns = [name.strip().lower() for name in reader.fieldnames or ()]
    missing = [name for name in _COLUMNS if name not in columns]
    if missing:
        raise DatasetError(f"{path}: missing columns: {', '.join(missing)}. Expected:\n{LAYOUT}")
    reader.fieldnames = columns
    sightings: dict[tuple[str, str], list[Sighting]] = {}
    for row in reader:
        cells = {name: (row[name] or "").strip() for name in _COLUMNS}
        where = f"{path}: line {reader.line_num}"
        empty = [name for name in ("path", "camera", "tracklet") if not cells[name]]
        if empty:
            raise DatasetError(f"{where}: column {empty[0]!r} is empty")
        time = _number(cells["time"], where, "time")
        own = sightings.setdefault((cells["camera"], cells["tracklet"]), [])
        own.append(Sighting(str(path.parent / cells["path"]), time))
    return _ordered(sightings, str(path))


def _read_sequence(folder: Path) -> list[Tracklet]:
    tables = [file for file in (folder / "gt" / "gt.txt", folder / "tracks.txt") if file.is_file()]
    if not tables:
        raise DatasetError(f"{folder}: neither gt/gt.txt nor tracks.txt. Expected:\n{LAYOUT}")
    facts = _sequence_facts(folder / "seqinfo.ini")
    is_ground_truth = tables[0].name == "gt.txt"
    name = facts.get("name", folder.name)
    sightings: dict[tuple[str, str], list[Sighting]] = {}
    with tables[0].open(encoding="utf-8", newline="") as stream:
        for line, row in enumerate(csv.reader(stream), start=1):
            where = f"{tables[0]}: line {line}"
            if len(row) < 6:
                raise DatasetError(f"{where}: expected frame, id, left, top, width, height, …, got {row}")
            cells = [_number(cell, where, "value") for cell in row]
            if is_ground_truth and not _counts(cells):
                continue
            frame, person = int(cells[0]), int(cells[1])
            # MOTChallenge counts pixels from 1.
            left, top = cells[2] - 1, cells[3] - 1
            picture = folder / facts.get("imdir", "img1") / f"{frame:06d}{facts.get('imext', '.jpg')}"
            box = (left, top, left + cells[4], top + cells[5])
            own = sightings.setdefault((name, str(person)), [])
            own.append(Sighting(str(picture), frame / float(facts.get("framerate", "1")), box))
    return _ordered(sightings, str(tables[0]))


def _sequence_facts(file: Path) -> dict[str, str]:
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(file.read_text(encoding="utf-8"))
        facts = dict(parser["Sequence"])
        if not float(facts.get("framerate", "1")) > 0:
            raise ValueError("frameRate must be above 0")
    except (OSError, configparser.Error, KeyError, ValueError) as error:
        raise DatasetError(f"{file}: not a seqinfo.ini of MOTChallenge ({error})") from error
    return facts


def _counts(cells: Sequence[float]) -> bool:
    """Whether a line of ground truth is a pedestrian who counts and can be seen."""
    is_used, kind, visibility = (*cells[6:9], 1.0, 1.0, 1.0)[:3]
    return is_used == 1 and kind == _PEDESTRIAN and visibility >= MIN_VISIBILITY


def _number(text: str, where: str, name: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise DatasetError(f"{where}: {name}: expected a number, got {text!r}")
    return number


def _ordered(sightings: dict[tuple[str, str], list[Sighting]], source: str) -> list[Tracklet]:
    tracklets = []
    for camera, name in sorted(sightings):
        own = sorted(sightings[camera, name], key=lambda sighting: sighting.time)
        for earlier, later in pairwise(own):
            if earlier.time == later.time:
                raise DatasetError(
                    f"{source}: tracklet {name!r} of camera {camera!r} is twice at the time {later.time:g}"
                )
        tracklets.append(Tracklet(camera, name, tuple(own)))
    return tracklets

"""What `omnireid track` leaves: tracks as text and Parquet, best crops, and who is who.

cameras/NAME.txt    tracks of each camera (MOT text); ids are those of its tracks
identities/NAME.txt the same boxes; ids are those of the people, the same in all cameras
tracks.parquet      every box of every camera, with both ids
crops/NAME/         the best crops of each tracklet
videos/NAME.mp4     where asked for: each camera with who is who, and side_by_side.mp4 of all in step
identities.json     people, their tracklets, times, and how sure each is; written last
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from omnireid import __version__
from omnireid.core.arrays import Float32
from omnireid.core.card import ModelRef
from omnireid.core.errors import InputError
from omnireid.core.files import atomic_write, storage_error, write_bytes, write_text
from omnireid.video.annotating import FILMS, TOGETHER, Films, annotate
from omnireid.video.mot import write_lines
from omnireid.video.page import PAGE, write_page
from omnireid.video.site import Site
from omnireid.video.tracker import Track

RESULT = "identities.json"


def file_name(camera: str) -> str:
    """A camera's name as a file may be called."""
    return re.sub(r"[^\w.-]+", "_", camera) or "camera"


def prepare(out: Path, cameras: Sequence[str]) -> None:
    """Make the folder, before anything is looked at; crops that an earlier run left in it go.

    Raises:
        InputError: Two cameras' names become one file.
        StorageError: The folder cannot be made or written.
    """
    files: dict[str, str] = {}
    for camera in cameras:
        other = files.setdefault(file_name(camera), camera)
        if other != camera:
            raise InputError(
                f"cameras {other!r} and {camera!r} would both write {file_name(camera)}.txt; "
                "name them apart: NAME=SOURCE"
            )
    try:
        for folder in ("cameras", "identities", "crops"):
            _made(out / folder)
        for crop in (out / "crops").glob("*/*.jpg"):
            if re.fullmatch(r"\d{5,}_\d+\.jpg", crop.name):
                crop.unlink()
        for film in (out / TOGETHER, *(out / FILMS / f"{name}.mp4" for name in files)):
            film.unlink(missing_ok=True)
    except OSError as error:
        raise storage_error(str(out), error) from error


def write_site(site: Site, out: Path, model: ModelRef, *, gap_s: float, films: Films | None = None) -> Path:
    """Write everything into a folder.

    Args:
        gap_s: Gaps of a track up to so many seconds are filled in, on a straight line.
        films: Where annotated videos are to be made: how.

    Returns:
        The record, `identities.json`.

    Raises:
        InputError: The only one who is to be shown in films is nobody here.
        StorageError: The disk is full, or the folder cannot be written.
    """
    person = {
        (site.tracklets[row].camera, site.tracklets[row].number): identity.number
        for identity in site.identities
        for row in identity.members
    }
    with _parquet(out / "tracks.parquet") as add:
        for camera in site.cameras:
            tracks, people = _Lines(), _Lines()
            for track in camera.tracks:
                who = person.get((camera.name, track.number), 0)
                lines = filled(track, gap_s)
                tracks.add(track.number, lines)
                if who:
                    people.add(who, lines)
                add(camera.name, track, who)
            write_lines(_made(out / "cameras") / f"{file_name(camera.name)}.txt", tracks)
            write_lines(_made(out / "identities") / f"{file_name(camera.name)}.txt", people)
    if films is not None:
        numbers = [identity.number for identity in site.identities]
        if films.only is not None and films.only not in numbers:
            raise InputError(
                f"blur: there is no person {films.only}, only 1 to {len(numbers)}. What was seen is kept; "
                "the same command with --resume and another number goes on"
            )
        labels = {
            identity.number: f"{identity.number}"
            + f" · {100 * identity.sure:.0f} %" * (len(identity.members) > 1)
            for identity in site.identities
        }
        annotate({file_name(camera.name): camera for camera in site.cameras}, labels, out, films)
    write_page(site, out / PAGE, model)
    write_text(out / RESULT, json.dumps(_record(site, out, model), indent=1))
    return out / RESULT


def filled(track: Track, gap_s: float) -> list[tuple[int, Float32, float]]:
    """Frame, box and score of a track, with short gaps filled in on a straight line (score 0)."""
    lines: list[tuple[int, Float32, float]] = []
    for index, (frame, box, score) in enumerate(zip(track.frames, track.boxes, track.scores, strict=True)):
        if index and 0 < track.times[index] - track.times[index - 1] <= gap_s:
            before, last = track.frames[index - 1], track.boxes[index - 1]
            for between in range(before + 1, frame):
                share = np.float32((between - before) / (frame - before))
                lines.append((between, last + share * (box - last), 0.0))
        lines.append((frame, box, score))
    return lines


class _Lines:
    """Lines of MOT text, put in order of their frames on disk: those of a day do not fit into memory."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("")
        self._db.execute("CREATE TABLE lines (frame, id, left, top, right, bottom, score)")

    def add(self, number: int, lines: Iterable[tuple[int, Float32, float]]) -> None:
        self._db.executemany(
            "INSERT INTO lines VALUES (?, ?, ?, ?, ?, ?, ?)",
            ((frame, number, *map(float, box), score) for frame, box, score in lines),
        )

    def __iter__(self) -> Iterator[tuple[int, int, Float32, float]]:
        with closing(self._db):
            for frame, number, *box, score in self._db.execute("SELECT * FROM lines ORDER BY frame, id"):
                yield frame, number, np.array(box, np.float32), score


_COLUMNS = ("camera", "track", "identity", "frame", "time", "left", "top", "right", "bottom", "score")
_ROWS = 50_000


@contextmanager
def _parquet(path: Path) -> Iterator[Callable[[str, Track, int], None]]:
    """A function that adds a track of a camera, with its person, to the file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {"camera": pa.string()} | dict.fromkeys(("track", "identity", "frame"), pa.int64())
    schema = pa.schema([(name, kinds.get(name, pa.float64())) for name in _COLUMNS])
    rows: list[tuple[Any, ...]] = []

    with atomic_write(path) as file, pq.ParquetWriter(file, schema) as writer:

        def flush() -> None:
            columns = zip(*rows, strict=True) if rows else [()] * len(_COLUMNS)
            writer.write_table(pa.table(list(map(list, columns)), schema=schema))
            rows.clear()

        def add(camera: str, track: Track, person: int) -> None:
            for frame, time, box, score in zip(
                track.frames, track.times, track.boxes, track.scores, strict=True
            ):
                rows.append((camera, track.number, person, frame, time, *map(float, box), score))
            if len(rows) >= _ROWS:
                flush()

        yield add
        flush()


def _record(site: Site, out: Path, model: ModelRef) -> dict[str, Any]:
    return {
        "omnireid": __version__,
        "model": model.short,
        "was_interrupted": site.was_interrupted,
        "cameras": [
            {
                "name": camera.name,
                "source": camera.shown_source,
                "frames": camera.frames,
                "seconds": round(camera.last_s, 3),
                "height": camera.size[0],
                "width": camera.size[1],
                "tracks": len(camera.tracks),
                "offset_s": camera.offset_s,
                "damaged_frames": camera.health.damaged,
                "reconnections": camera.health.reconnections,
                "resized_frames": camera.health.resized,
                "stopped": camera.stopped,
            }
            for camera in site.cameras
        ],
        "identities": [
            {
                "identity": identity.number,
                "probability": round(identity.sure, 4),
                "tracklets": [_tracklet(site, row, out) for row in identity.members],
            }
            for identity in site.identities
        ],
    }


def _tracklet(site: Site, row: int, out: Path) -> dict[str, Any]:
    tracklet = site.tracklets[row]
    track = site.track(tracklet)
    crops = []
    folder = _made(out / "crops" / file_name(tracklet.camera))
    for index, shot in enumerate(track.crops.kept, 1):
        path = folder / f"{tracklet.number:05d}_{index}.jpg"
        write_bytes(path, shot.jpeg)
        crops.append(
            {
                "file": path.relative_to(out).as_posix(),
                "time": round(shot.time, 3),
                "quality": round(shot.quality, 4),
            }
        )
    return {
        "camera": tracklet.camera,
        "track": tracklet.number,
        "begin": round(tracklet.begin, 3),
        "end": round(tracklet.end, 3),
        "boxes": tracklet.length,
        "crops": crops,
    }


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder

"""What a run has seen so far, on disk: boxes, looks and crops of every track, and where each camera was.

One SQLite file, written in whole transactions: after kill -9 or on a full disk it holds the run as it was at
the last one, and a run goes on from there. Tracks that ended, and boxes of those that go on, leave memory.

cameras   name, and as JSON where its reading, its tracker and what this one has learned were
tracks    sum of looks and of their weights; `going` is of those that had not ended: what motion and looks
          expect of them
boxes     every box of every track, in pixels, seconds on the clock that all cameras share
crops     the best crops of each track, as JPEGs
"""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from omnireid.core.arrays import Float32
from omnireid.core.errors import DiskFullError, InputError, StorageError
from omnireid.core.files import storage_error
from omnireid.video.quality import BestCrops, Shot
from omnireid.video.stitching import joined
from omnireid.video.tracker import Earlier, Track

FILE = "progress.sqlite"
FOLLOWED = "followed"
"""Folder of cameras that a cluster has followed, and that the run's ledger has yet to take."""

_TABLES = """
CREATE TABLE run (value TEXT NOT NULL, is_finished INTEGER NOT NULL);
CREATE TABLE cameras (camera INTEGER PRIMARY KEY, name TEXT NOT NULL, state TEXT NOT NULL);
CREATE TABLE tracks (
    camera INTEGER, track INTEGER, look BLOB, weight REAL, going BLOB, PRIMARY KEY (camera, track)
);
CREATE TABLE boxes (
    camera INTEGER, track INTEGER, frame INTEGER, time REAL, left REAL, top REAL, right REAL, bottom REAL,
    score REAL, PRIMARY KEY (camera, track, frame)
) WITHOUT ROWID;
CREATE TABLE crops (
    camera INTEGER, track INTEGER, time REAL, quality REAL, jpeg BLOB, PRIMARY KEY (camera, track, time)
);
"""
_STATE, _COVARIANCE = 6, 36


class Ledger:
    """The file of one run; without a path one that vanishes with the process.

    Errors are `StorageError`s, `DiskFullError` where there is no room.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        with self._told():
            # An empty name is a file of SQLite's own, which it removes.
            self._db = sqlite3.connect("" if path is None else path, check_same_thread=False)
            self.close = weakref.finalize(self, self._db.close)
            if not self._db.execute("SELECT 1 FROM sqlite_master WHERE name = 'run'").fetchone():
                self._db.executescript(f"BEGIN; {_TABLES} COMMIT;")

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            name = self.path or "the temporary file of tracks"
            if "full" in str(error):
                raise DiskFullError(
                    f"{name}: the disk is full; what was seen until the last saving is kept: free some space "
                    "and run the same command with --resume"
                ) from error
            raise StorageError(f"{name}: {error}") from error

    def _rows(self, query: str, *values: Any) -> list[Any]:
        with self._told():
            return self._db.execute(query, values).fetchall()

    def begin(self, run: Mapping[str, Any]) -> None:
        """Note what this run is, or that it goes on.

        Raises:
            InputError: It is another one, but for `started`, or an older version began it.
        """
        with self._told():
            columns = [name for _, name, *_ in self._db.execute("PRAGMA table_info(tracks)")]
            if "weight" not in columns:
                raise InputError(
                    f"{self.path}: an older version began this run and noted less; delete it and begin anew"
                )
            known = self._db.execute("SELECT value FROM run").fetchone()
            if known is None:
                self._db.execute("INSERT INTO run VALUES (?, 0)", [json.dumps(run)])
            self._db.execute("UPDATE run SET is_finished = 0")
            self._db.commit()
        for name, value in run.items():
            if name != "started" and self.run[name] != json.loads(json.dumps(value)):
                raise InputError(
                    f"{self.path}: --resume goes on with the same {name}: {self.run[name]}; got {value}"
                )

    @property
    def run(self) -> dict[str, Any]:
        """What `begin` noted first."""
        ((value,),) = self._rows("SELECT value FROM run")
        run: dict[str, Any] = json.loads(value)
        return run

    @property
    def is_unfinished(self) -> bool:
        """Whether something was saved of a run that did not come to its end."""
        return bool(self._rows("SELECT 1 FROM run, cameras WHERE NOT is_finished LIMIT 1"))

    def finish(self) -> None:
        """Make everything that was saved last, and note that the run came to its end."""
        with self._told():
            self._db.execute("UPDATE run SET is_finished = 1")
            self._db.commit()

    def state(self, camera: int) -> dict[str, Any] | None:
        """What `save` was given last."""
        rows = self._rows("SELECT state FROM cameras WHERE camera = ?", camera)
        return json.loads(rows[0][0]) if rows else None

    def save(
        self,
        camera: int,
        name: str,
        state: Mapping[str, Any],
        active: Sequence[Track],
        ended: Sequence[Track],
    ) -> None:
        """Write a camera's state and what is new of its tracks, which leaves them. `commit` makes it last."""
        with self._told():
            self._drop(camera, {track.number for track in (*active, *ended)})
            for track in (*active, *ended):
                key = camera, track.number
                self._db.executemany(
                    f"INSERT OR REPLACE INTO boxes VALUES ({', '.join('?' * 9)})",
                    [(*key, s.frame, s.time, *map(float, s.box), s.score) for s in track.take_away()],
                )
                track.crops.settle()
                marks = ", ".join("?" * len(track.crops.kept))
                self._db.execute(
                    f"DELETE FROM crops WHERE camera = ? AND track = ? AND time NOT IN ({marks})",
                    [*key, *(shot.time for shot in track.crops.kept)],
                )
                self._db.executemany(
                    "INSERT OR IGNORE INTO crops VALUES (?, ?, ?, ?, ?)",
                    [(*key, shot.time, shot.quality, shot.jpeg) for shot in track.crops.kept],
                )
            self._db.executemany(
                "INSERT OR REPLACE INTO tracks VALUES (?, ?, ?, ?, ?)",
                [
                    (
                        *(camera, track.number, _blob(track.look), track.weight),
                        _going(track) if row < len(active) else None,
                    )
                    for row, track in enumerate((*active, *ended))
                ],
            )
            self._db.execute(
                "INSERT OR REPLACE INTO cameras VALUES (?, ?, ?)", [camera, name, json.dumps(state)]
            )

    def take(self, camera: int, path: Path) -> None:
        """Take over the ledger of one camera alone, as that of a camera that nothing is known of yet."""
        with (
            self._told(),
            contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?immutable=1", uri=True)) as other,
        ):
            for table in ("cameras", "tracks", "boxes", "crops"):
                rows = other.execute(f"SELECT * FROM {table}")
                marks = ", ".join("?" * len(rows.description))
                self._db.executemany(
                    f"INSERT INTO {table} VALUES ({marks})", ((camera, *row[1:]) for row in rows)
                )
            self._db.commit()

    def copy_to(self, path: Path) -> None:
        """Write all of it into a new file."""
        with self._told(), contextlib.closing(sqlite3.connect(path)) as other:
            self._db.commit()
            self._db.backup(other)

    def _drop(self, camera: int, known: set[int]) -> None:
        """Forget tracks that went on at the last saving and were nobody: false alarms."""
        rows = self._db.execute("SELECT track FROM tracks WHERE camera = ? AND going NOT NULL", [camera])
        gone = [(camera, track) for (track,) in rows.fetchall() if track not in known]
        for table in ("tracks", "boxes", "crops"):
            self._db.executemany(f"DELETE FROM {table} WHERE camera = ? AND track = ?", gone)

    def commit(self) -> None:
        """Make everything that was saved last, kill -9 or not."""
        with self._told():
            self._db.commit()

    def active(self, camera: int) -> list[Track]:
        """Tracks that had not ended, as a tracker goes on with them."""
        return [self._light(camera, *row) for row in self._tracks(camera, "going NOT NULL")]

    def ended(self, camera: int) -> list[Track]:
        """Tracks that ended, each with its last box only, and without crops."""
        return [self._light(camera, *row) for row in self._tracks(camera, "going IS NULL")]

    def _tracks(self, camera: int, which: str) -> list[tuple[int, bytes | None, float, bytes | None]]:
        return self._rows(
            f"SELECT track, look, weight, going FROM tracks WHERE camera = ? AND {which} ORDER BY track",
            camera,
        )

    def _light(
        self, camera: int, number: int, look: bytes | None, weight: float, going: bytes | None
    ) -> Track:
        where = "FROM boxes WHERE camera = ? AND track = ?"
        ((count, last),) = self._rows(f"SELECT COUNT(*), MAX(frame) {where}", camera, number)
        ((begin, *box),) = self._rows(
            f"SELECT time, left, top, right, bottom {where} ORDER BY frame LIMIT 1", camera, number
        )
        track = self._filled(camera, number, look, weight, f"AND frame = {last}")
        track.earlier = Earlier(count - 1, begin, np.array(box, np.float32))
        if going is not None:
            track.crops.kept = self._shots(camera, number)
            values = np.frombuffer(going).copy()
            track.looked, track.state = float(values[0]), values[1 : 1 + _STATE]
            track.covariance = values[1 + _STATE : 1 + _STATE + _COVARIANCE].reshape(_STATE, _STATE)
            recent = values[1 + _STATE + _COVARIANCE :]
            track.recent = recent if recent.size else None
        return track

    def _filled(self, camera: int, number: int, look: bytes | None, weight: float, which: str = "") -> Track:
        rows = self._rows(
            "SELECT frame, time, score, left, top, right, bottom FROM boxes "
            f"WHERE camera = ? AND track = ? {which} ORDER BY frame",
            camera,
            number,
        )
        frames, times, scores = (list(column) for column in list(zip(*rows, strict=True))[:3])
        boxes: list[Float32] = list(np.array([row[3:] for row in rows], np.float32))
        looks = None if look is None else np.frombuffer(look)
        return Track(number, frames, times, boxes, scores, look=looks, weight=weight)

    def _shots(self, camera: int, number: int) -> list[Shot]:
        rows = self._rows(
            "SELECT quality, time, jpeg FROM crops WHERE camera = ? AND track = ? "
            "ORDER BY quality DESC, time",
            camera,
            number,
        )
        return [Shot(*row) for row in rows]

    def track(self, camera: int, number: int) -> Track:
        """A track with all its boxes and its crops."""
        ((_, look, weight, _),) = self._tracks(camera, f"track = {number}")
        track = self._filled(camera, number, look, weight)
        track.crops = BestCrops(kept=self._shots(camera, number))
        return track


class Walks(Sequence[Track]):
    """The tracks of one camera, each read from the ledger when it is asked for."""

    def __init__(self, ledger: Ledger, camera: int, walks: Sequence[Sequence[Track]]) -> None:
        self._ledger, self._camera = ledger, camera
        self._numbers = [[piece.number for piece in walk] for walk in walks]
        self._rows = {numbers[0]: row for row, numbers in enumerate(self._numbers)}

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, row: Any) -> Any:
        if isinstance(row, slice):
            return [self[index] for index in range(*row.indices(len(self)))]
        return joined([self._ledger.track(self._camera, number) for number in self._numbers[row]])

    def numbered(self, number: int) -> Track:
        """The track of a number."""
        track: Track = self[self._rows[number]]
        return track


def open_ledger(folder: Path, run: Mapping[str, Any], *, resume: bool) -> Ledger:
    """Open the ledger of a run's folder, to begin or to go on.

    Args:
        run: What the run is; one that goes on must be the same, but for `started`.

    Raises:
        InputError: There is none to go on with, or that of another run; or one that was not finished, and
            nobody said what is to become of it.
        StorageError: It cannot be read or written, or another process writes it.
    """
    path, followed = folder / FILE, folder / FOLLOWED
    if resume and not path.is_file():
        raise InputError(f"{folder}: holds no run to go on with ({FILE}); leave --resume out")
    if path.is_file() and not resume:
        with contextlib.suppress(StorageError):  # no ledger: nothing is lost with it
            before = Ledger(path)
            is_unfinished = before.is_unfinished or followed.is_dir()
            before.close()
            if is_unfinished:
                raise InputError(
                    f"{folder}: holds a run that was stopped; --resume goes on with it. To begin anew, "
                    f"remove {path} or choose another folder"
                )
        path.unlink()
    if not resume:
        shutil.rmtree(followed, ignore_errors=True)
    ledger = Ledger(path)
    ledger.begin(run)
    return ledger


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Make a run's folder, and keep every other process out of it while the block lasts.

    Raises:
        StorageError: It cannot be made or written, or another process writes there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / f".{FILE}.lock")
        lock.acquire(timeout=0)
    except Timeout as error:
        raise StorageError(
            f"{folder}: another process writes its run there; choose another folder"
        ) from error
    except OSError as error:
        raise storage_error(str(folder), error) from error
    try:
        yield
    finally:
        lock.release()


def _blob(vector: Any) -> bytes | None:
    return None if vector is None else np.asarray(vector, np.float64).tobytes()


def _going(track: Track) -> bytes:
    recent = np.zeros(0) if track.recent is None else track.recent
    return np.concatenate([[track.looked], track.state, track.covariance.ravel(), recent]).tobytes()

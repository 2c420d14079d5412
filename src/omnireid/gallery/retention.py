"""How long items stay: a time to live by default and per camera, applied at start and once a day."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from omnireid.core.arrays import Bool
from omnireid.core.errors import InputError
from omnireid.gallery import forgetting
from omnireid.gallery.forgetting import delete_everywhere, parts, tidying
from omnireid.gallery.items import Filter
from omnireid.gallery.journal import Step, Task
from omnireid.gallery.store import GalleryStore
from omnireid.gallery.texts import MAX_TEXT, check_storable

DAY_S = 86_400.0

_SETTINGS, _ID = "settings", "retention"
_COLUMNS = ("camera", "time", "enrolled", "identity")


@dataclass(frozen=True, slots=True)
class Retention:
    """How long items stay after they were seen, or were enrolled where that time is unknown.

    Attributes:
        default_s: seconds; None keeps them.
        cameras: seconds by name of the camera, in place of the default; None keeps its items.
    """

    default_s: float | None = None
    cameras: Mapping[str, float | None] = field(default_factory=dict)

    def seconds(self, camera: str) -> float | None:
        """Of one camera."""
        return self.cameras.get(camera, self.default_s)


class RetentionPlan(NamedTuple):
    """What has expired.

    Attributes:
        by_camera: items, by camera.
        tasks: what deletes them, for `journal.carry_out`.
    """

    by_camera: dict[str, int]
    tasks: tuple[Task, ...]


def read_retention(store: GalleryStore) -> Retention:
    """As it was set; nothing expires until then."""
    return Retention(**store.records(_SETTINGS).get(_ID, {}))


def write_retention(store: GalleryStore, retention: Retention) -> None:
    """Set it, for every process that uses this gallery.

    Raises:
        InputError: a time that is not above 0.
    """
    for name, seconds in (("default_s", retention.default_s), *retention.cameras.items()):
        # Of an earlier version's camera too.
        check_storable("camera", name, MAX_TEXT)
        if seconds is not None and not 0 < seconds < float("inf"):
            raise InputError(f"retention of {name}: expected seconds above 0, or None to keep, got {seconds}")
    record = {"default_s": retention.default_s, "cameras": dict(retention.cameras)}
    store.put_records(_SETTINGS, {_ID: record})


def plan_retention(store: GalleryStore, now: float) -> RetentionPlan:
    """Find what has expired, in one pass over cameras and times. Reads only.

    Call it and carry the plan out under one `store.lock()`.

    Args:
        now: Unix seconds.
    """
    retention = read_retention(store)
    if retention == Retention():
        return RetentionPlan({}, ())
    by_camera: Counter[str] = Counter()
    identities: set[str] = set()
    for name in store.collections():
        # While a gallery moves to a new model its items are in two collections, and count once.
        here: Counter[str] = Counter()
        for rows in store.scan(name, columns=_COLUMNS):
            expired = rows.filter(pa.array(is_expired(rows, retention, now)))
            here.update(expired["camera"].to_pylist())
            identities.update(pc.unique(expired["identity"]).drop_null().to_pylist())
        by_camera |= here
    if not by_camera:
        return RetentionPlan({}, ())
    cameras_of: dict[float, list[str]] = {}
    for camera in sorted(by_camera):
        seconds = retention.seconds(camera)
        assert seconds is not None
        cameras_of.setdefault(now - seconds, []).append(camera)
    tasks = [
        Task("expire", {"cameras": part, "before": before})
        for before, cameras in sorted(cameras_of.items())
        for part in parts(cameras)
    ]
    return RetentionPlan(dict(by_camera), (*tasks, *tidying(identities)))


def is_expired(rows: pa.Table, retention: Retention, now: float) -> Bool:
    """Which items' time is over.

    Args:
        rows: rows with the columns camera, time and enrolled.
        now: Unix seconds.

    Returns:
        (N,) bool.
    """
    cameras = rows["camera"].combine_chunks().dictionary_encode()
    seconds = [retention.seconds(camera) for camera in cameras.dictionary.to_pylist()]
    keeps = np.array([np.inf if second is None else second for second in seconds], np.float64)
    seen = pc.coalesce(rows["time"], rows["enrolled"]).to_numpy()
    return np.asarray(seen < now - keeps[cameras.indices.to_numpy()], np.bool_)


def _step_expire(store: GalleryStore, what: Mapping[str, Any]) -> None:
    cameras, before = frozenset(what["cameras"]), what["before"]
    delete_everywhere(store, Filter(cameras=cameras, until=before))
    # Those without a time meet no `until`. Of what is left and enrolled before, nearly all are such.
    where = Filter(cameras=cameras, enrolled_before=before)
    for name in store.collections():
        untimed: list[str] = []
        for rows in store.scan(name, where=where, columns=("id", "time")):
            untimed.extend(rows.filter(rows["time"].is_null())["id"].to_pylist())
        for part in parts(untimed):
            store.delete(name, Filter(ids=frozenset(part)))


STEPS: Mapping[str, Step] = {**forgetting.STEPS, "expire": _step_expire}
"""All that a journal's task may ask for."""

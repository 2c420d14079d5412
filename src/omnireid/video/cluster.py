"""Cameras followed by a Ray cluster, one by each worker (docs/decisions/0039-ray.md).

A worker follows a camera into a ledger of its own. At the end that comes into the run's folder, by a
rename, under a name that says which camera of which run it is of. The command takes all of them into its own
ledger, and goes on as if the run had been stopped behind the last frame of each camera.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console

from omnireid.core.card import ModelRef
from omnireid.core.detection import PersonDetector
from omnireid.core.errors import InputError
from omnireid.core.extras import require
from omnireid.core.files import atomic_write
from omnireid.core.progress import progress_bar
from omnireid.evaluation.calibration import Calibration
from omnireid.experiment.opening import open_model
from omnireid.experiment.options import Workers
from omnireid.experiment.workers import (
    Do,
    another_model,
    do_on_ray,
    named_elsewhere,
    not_there,
    worker_threads,
)
from omnireid.inference.options import Engine
from omnireid.video.coco import read_boxes
from omnireid.video.detector import NanoDet
from omnireid.video.ledger import FILE, FOLLOWED, Ledger
from omnireid.video.plan import SitePlan, Source
from omnireid.video.reading import Video, VideoError
from omnireid.video.site import Following, follow


@dataclass(frozen=True)
class Shared:
    """What workers need of a run; pickled.

    Attributes:
        folder: The run's, by its whole path.
        key: Of what decides what is seen.
        cameras: Files, by their whole paths.
        model: As workers name it. ref: what it has to be.
        detector: None is the one that ships.
        detections: Files of boxes, one for each camera, instead of a detector; or none.
    """

    folder: Path
    key: str
    cameras: tuple[Source, ...]
    model: str
    ref: ModelRef
    engine: Engine
    calibration: Calibration
    following: Following
    detector: PersonDetector | None
    detections: tuple[Path, ...]

    def path(self, row: int) -> Path:
        """What a worker saw of a camera."""
        return self.folder / FOLLOWED / f"{row:03d}-{self.key}.sqlite"


def key_of(run: Mapping[str, Any]) -> str:
    """Of what a run is, but for when it began."""
    told = {name: value for name, value in run.items() if name != "started"}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:12]


def elsewhere(cameras: Sequence[Source]) -> tuple[Source, ...]:
    """Cameras as workers name them.

    Raises:
        InputError: One is live.
    """
    for camera in cameras:
        if Video(camera.address).is_live:
            raise InputError(
                f"camera {camera.name!r} is live, and a cluster follows files; follow it by a command of its "
                "own, without --engine ray"
            )
    return tuple(camera._replace(address=named_elsewhere(camera.address)) for camera in cameras)


def follow_on_ray(shared: Shared, ledger: Ledger, workers: Workers, console: Console | None = None) -> None:
    """Have a cluster follow the cameras that a ledger knows nothing of.

    A camera that is no video is left to who goes on, and meets it again.

    Args:
        ledger: Of the run, which then knows what all cameras saw, each behind its last frame.

    Raises:
        InputError, MissingExtraError, WorkerError: As `do_on_ray`; the detector cannot be given to workers.
        StorageError: The folder cannot be written.
    """
    rows = [row for row in range(len(shared.cameras)) if ledger.state(row) is None]
    missing = [str(row) for row in rows if not shared.path(row).exists()]
    require("ray")
    from ray import cloudpickle

    try:
        cloudpickle.dumps(shared.detector)  # type: ignore[no-untyped-call]
    except Exception as error:  # whatever the detector's own parts raise
        raise InputError(
            f"detector {type(shared.detector).__name__}: cannot be given to workers of a cluster ({error}); "
            "give one that can be pickled, or the boxes (detections)"
        ) from error
    with progress_bar(console) as progress:
        task = progress.add_task("Cameras", total=len(rows), completed=len(rows) - len(missing))
        for _ in do_on_ray(partial(_open_worker, shared), missing, workers):
            progress.advance(task)
    for row in rows:
        if shared.path(row).exists():
            ledger.take(row, shared.path(row))
    shutil.rmtree(shared.folder / FOLLOWED, ignore_errors=True)


def _open_worker(shared: Shared) -> Do:
    """What follows a camera, by its place among them, unless somebody has.

    Raises:
        InputError: The folder or the model is not the same on this machine.
    """
    if not shared.folder.is_dir():
        raise not_there(shared.folder)
    threads = shared.engine.threads or worker_threads()
    embedder = open_model(shared.model, replace(shared.engine, threads=threads))
    if embedder.ref != shared.ref:
        raise another_model(shared.model)
    detector = None if shared.detections else shared.detector or NanoDet(threads=threads)
    # What is known of a site matters when people are linked, at the end.
    following = replace(shared.following, plan=SitePlan())

    def follow_one(task: str) -> None:
        camera, path = shared.cameras[int(task)], shared.path(int(task))
        if path.exists():
            return
        if not Path(camera.address).exists():
            raise not_there(Path(camera.address))
        given = {}
        if shared.detections:
            given = {camera.name: read_boxes(shared.detections[int(task)])}
        # A file without a name: crops of people do not stay where a worker is killed.
        ledger = Ledger()
        try:
            follow([camera], detector, embedder, shared.calibration, following, given=given, ledger=ledger)
        except VideoError:
            return
        # SQLite's locks do not hold on every network drive.
        with TemporaryDirectory() as folder:
            whole = Path(folder) / FILE
            ledger.copy_to(whole)
            with whole.open("rb") as seen, atomic_write(path) as file:
                shutil.copyfileobj(seen, file)

    return follow_one

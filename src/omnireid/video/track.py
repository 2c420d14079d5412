"""Videos in, a folder of tracks and identities out: what `omnireid track` does."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console

from omnireid.core.detection import PersonDetector
from omnireid.core.display import short_repr
from omnireid.core.errors import InputError
from omnireid.evaluation.calibration import Calibration, calibration_path
from omnireid.experiment.opening import open_model
from omnireid.experiment.options import Workers
from omnireid.experiment.workers import named_elsewhere
from omnireid.gallery.enrolling import Enrolment
from omnireid.gallery.gallery import Gallery
from omnireid.inference.lookup import find_weights
from omnireid.inference.options import Engine
from omnireid.video.annotating import Films
from omnireid.video.cluster import Shared, elsewhere, follow_on_ray, key_of
from omnireid.video.coco import read_boxes
from omnireid.video.detecting import as_detector
from omnireid.video.detector import NanoDet
from omnireid.video.enrolling import enrol_site
from omnireid.video.ledger import only_writer, open_ledger
from omnireid.video.options import TrackOptions
from omnireid.video.plan import Source
from omnireid.video.reading import shown_source
from omnireid.video.results import prepare, write_site
from omnireid.video.site import Following, Site, check_names, follow


@dataclass(frozen=True)
class Tracked:
    """What was seen, and the record of it.

    Attributes:
        site: Tracks, tracklets and people.
        record: The file `identities.json`.
        enrolled: What became of the tracklets in the gallery; None without one.
    """

    site: Site
    record: Path
    enrolled: Enrolment | None = None

    __repr__ = short_repr


def track(
    sources: Sequence[tuple[str, str] | Source],
    model: str | os.PathLike[str],
    out: str | os.PathLike[str],
    options: TrackOptions = TrackOptions(),
    *,
    following: Following = Following(),
    engine: Engine = Engine(),
    workers: Workers = Workers(),
    console: Console | None = None,
) -> Tracked:
    """Follow people through cameras, and write what was seen.

    Args:
        sources: Name and source of each camera: a video, a folder of pictures, a MOT sequence, a webcam or a
            stream.
        model: A model file, or the name of weights.
        options: What is done besides, and with which boxes.
        following: How people are followed, from frame to identity.
        engine: What runs the model.
        workers: Who follows people through each camera. Those of a cluster take files only, see them, the
            folder and the model by the same names, and can unpickle a detector that is given.
        console: Where progress is shown.

    Raises:
        InputError: The model has no calibration; cameras, files of boxes or times do not belong together;
            the folder holds a run that was stopped, or another one than is to go on; a live camera, or a
            detector of this process alone, for a cluster.
        MissingExtraError, WorkerError: As `do_on_ray`.
        VideoError: No camera gave a picture.
        StorageError: The folder or the gallery cannot be written, which is said before the first frame; or
            the disk is full.
    """
    folder, names = Path(out), [source[0] for source in sources]
    check_names(names)
    weights = find_weights(model)
    embedder = open_model(weights, engine, console=console)
    known = Calibration.load_beside(weights, embedder.sha256, options.calibration)
    if known is None:
        raise InputError(
            f"{weights}: has no calibration ({calibration_path(weights).name} beside it), so how likely two "
            "tracklets show one person is not known; make one: omnireid calibrate"
        )
    files = options.detections
    if files and len(files) != len(sources):
        raise InputError(
            f"detections: expected one file for each of {len(sources)} sources, got {len(files)}"
        )
    given = {name: read_boxes(file) for name, file in zip(names, files, strict=False)}
    finds: PersonDetector | None = None if given else NanoDet(threads=engine.threads)
    if options.detector is not None:
        finds = as_detector(options.detector)
    cameras, began = _on_one_clock(sources, options.started)
    by_workers = elsewhere(cameras) if workers.where == "ray" else ()
    run = {
        # No password in the folder of results.
        "sources": [camera._replace(address=shown_source(camera.address)) for camera in cameras],
        "model": embedder.ref.short,
        "detector": finds.name if finds else "boxes that were given",
        "fps": following.reading.fps,
        "tracking": [asdict(following.tracking), asdict(following.motion)],
        "started": began,
    }
    # What cannot be written is known before an hour of video was looked at.
    with ExitStack() as stack:
        stack.enter_context(only_writer(folder))
        ledger = open_ledger(folder, run, resume=options.resume)
        prepare(folder, names)
        opened = None
        if options.gallery is not None:
            opened = stack.enter_context(Gallery.open(options.gallery, calibration=known))
        if by_workers:
            shared = Shared(
                folder=folder.absolute(),
                key=key_of(run),
                cameras=by_workers,
                model=named_elsewhere(weights),
                ref=embedder.ref,
                engine=engine,
                calibration=known,
                following=following,
                detector=None if options.detector is None else finds,
                detections=tuple(Path(file).absolute() for file in files),
            )
            follow_on_ray(shared, ledger, workers, console)
        site = follow(cameras, finds, embedder, known, following, given=given, ledger=ledger, console=console)
        films = Films(following.reading, options.blur) if options.annotate else None
        record = write_site(site, folder, embedder.ref, gap_s=following.stitching.gap_s, films=films)
        enrolled = None
        if opened is not None:
            enrolled = enrol_site(site, opened, embedder.ref, started=ledger.run["started"])
        if not site.was_interrupted:
            ledger.finish()
    return Tracked(site, record, enrolled)


def _on_one_clock(
    sources: Sequence[tuple[str, str] | Source], started: float | Mapping[str, float] | None
) -> tuple[list[Source], float]:
    """The cameras with how long after the first of them each begins, and when that was."""
    if not isinstance(started, Mapping):
        return [Source(*source) for source in sources], time.time() if started is None else started
    names = {source[0] for source in sources}
    if names != set(started):
        raise InputError(
            f"started: expected a time for each of {', '.join(sorted(names))}; "
            f"got {', '.join(sorted(started))}"
        )
    began = min(started.values())
    return [Source(name, address, started[name] - began) for name, address, *_ in sources], began

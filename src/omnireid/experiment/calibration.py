"""From a model and labelled pictures, or unlabelled tracklets, to a calibration of its scores."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from omnireid.core.arrays import Float32, Int64
from omnireid.core.display import short_repr
from omnireid.core.errors import InputError
from omnireid.core.seeds import numpy_generator
from omnireid.core.types import JUNK_PID, Dataset, Embeddings, SkippedFile
from omnireid.data.datasets import nobody, require_splits
from omnireid.data.loading import Reading
from omnireid.data.tracklets import Tracklet, read_tracklets, seen_together, spread_samples
from omnireid.evaluation.calibration import (
    Calibration,
    CalibrationSource,
    calibration_path,
    fit_calibration,
)
from omnireid.evaluation.calibration_pairs import (
    CalibrationPairs,
    labelled_pairs,
    pair_scores,
    tracklet_pairs,
)
from omnireid.evaluation.options import FRAMES_PER_TRACKLET, CalibrationOptions, CalibrationSplit
from omnireid.evaluation.result import DistanceHistogram
from omnireid.evaluation.search_fitting import (
    Sightings,
    fit_searches,
    labelled_sightings,
    tracklet_sightings,
)
from omnireid.evaluation.searches import SearchModel
from omnireid.evaluation.whitening import fit_whitening
from omnireid.experiment.opening import open_model
from omnireid.inference.embedder import Embedder
from omnireid.inference.lookup import find_weights
from omnireid.inference.options import Engine
from omnireid.models.shipped import FOLDER as SHIPPED_FOLDER
from omnireid.report.calibration import write_calibration_page

_HISTOGRAM_BINS = 60


@dataclass(frozen=True, eq=False)
class CalibrationRun:
    """A calibration, the scores behind it for a figure, and pictures that were left out."""

    calibration: Calibration
    histogram: DistanceHistogram
    skipped: tuple[SkippedFile, ...]

    __repr__ = short_repr


@dataclass(frozen=True)
class Calibrated:
    """What `calibrate` wrote.

    Attributes:
        run: The calibration, and what stands behind it.
        file, page: Where it lies, and its page.
    """

    run: CalibrationRun
    file: Path
    page: Path

    __repr__ = short_repr


def calibrate(
    model: str | os.PathLike[str],
    source: Dataset | str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    options: CalibrationOptions = CalibrationOptions(),
    *,
    split: CalibrationSplit = "test",
    num_frames: int = FRAMES_PER_TRACKLET,
    engine: Engine = Engine(),
    reading: Reading = Reading(),
) -> Calibrated:
    """Fit what a model's scores mean, and write it beside the model, as `omnireid calibrate` does.

    Args:
        model: A model file, or the name of pulled weights.
        source: A labelled dataset, or unlabelled tracklets: a table of crops, or sequences in MOTChallenge
            format.
        out: File to write; by default the one that is found beside the model.
        options: What is fitted.
        split: Of a dataset: query and gallery, or "train" where the model never saw it.
        num_frames: Of each tracklet, evenly over its length.
        engine: What runs the model.
        reading: How pictures are read.

    Raises:
        DatasetError, ImageError, InputError, WeightsError, StorageError: As `calibrate_labelled`,
            `read_tracklets` and `Embedder.open`.
    """
    weights = find_weights(model)
    if out is None and weights.parent == SHIPPED_FOLDER:
        raise InputError(
            f"out: {model} comes with the package, whose files stay as they are; name a file for its "
            "calibration (--out), and give that with --calibration"
        )
    # Read before the model is opened: a wrong path should not cost that time.
    tracklets = () if isinstance(source, Dataset) else read_tracklets(Path(source))
    embedder = open_model(weights, engine, console=reading.console)
    if isinstance(source, Dataset):
        run = calibrate_labelled(embedder, source, options, split=split, reading=reading)
    else:
        run = calibrate_tracklets(
            embedder, tracklets, options, source=str(source), num_frames=num_frames, reading=reading
        )
    file = calibration_path(weights) if out is None else Path(out)
    page = file.with_name(file.name.removesuffix(".json") + ".html")
    write_calibration_page(page, run.calibration, run.histogram)
    run.calibration.save(file)
    return Calibrated(run, file, page)


def calibrate_labelled(
    embedder: Embedder,
    dataset: Dataset,
    options: CalibrationOptions = CalibrationOptions(),
    *,
    split: CalibrationSplit = "test",
    reading: Reading = Reading(),
) -> CalibrationRun:
    """Calibrate a model on labelled pictures that it was not trained on.

    Distractors and junk are left out: they are nobody in particular.

    Args:
        dataset: its protocol decides which same-person pairs count.
        split: "test" takes query and gallery together; "train" only where the model never saw it.
        reading: what becomes of a picture that cannot be decoded, and where progress is shown.

    Raises:
        DatasetError: the split is empty.
        ImageError: a picture cannot be decoded and `on_bad` is "error".
        InputError: a model that was never saved, too few people, or scores that do not tell them apart.
    """
    _check_saved(embedder)
    if split == "train":
        require_splits(dataset, "train")
        samples = dataset.train.samples
    else:
        require_splits(dataset, "query", "gallery")
        samples = tuple(dict.fromkeys((*dataset.query, *dataset.gallery)))
    left_out = nobody(dataset)
    skipped: list[SkippedFile] = []
    embeddings = embedder.embed_samples(
        [sample for sample in samples if sample.pid not in left_out],
        replace(reading, on_skip=skipped.append),
    )

    def draw(people: Int64) -> CalibrationPairs:
        return labelled_pairs(
            people,
            embeddings.camids,
            protocol=dataset.protocol,
            max_pairs=options.max_pairs,
            seed=options.seed,
        )

    origin = partial(
        CalibrationSource,
        kind="labelled",
        name=dataset.name,
        root=dataset.root,
        split=split,
        protocol=dataset.protocol.value,
    )

    def sightings(vectors: Float32, people: Int64) -> Sightings:
        return labelled_sightings(vectors, people, embeddings.camids, dataset.protocol)

    return _run(embeddings, draw, sightings, origin, options, skipped)


def calibrate_tracklets(
    embedder: Embedder,
    tracklets: Sequence[Tracklet],
    options: CalibrationOptions = CalibrationOptions(),
    *,
    source: str,
    num_frames: int = FRAMES_PER_TRACKLET,
    reading: Reading = Reading(),
) -> CalibrationRun:
    """Calibrate a model on unlabelled tracklets.

    Frames of one tracklet are one person; tracklets seen together by one camera are different people.
    Both are of one camera and one moment, unlike what is compared later: the false-alarm side errs on the
    safe side (people in front of one background look more alike), the miss side on the unsafe side (frames of
    one tracklet look more alike than a person's pictures elsewhere). docs/guides/deciding/tracklets.md has
    measurements.

    Args:
        tracklets: the tracklets from `read_tracklets`.
        source: where they came from, for the record.
        num_frames: how many frames are taken at most of each tracklet, evenly over its length.
        reading: as `calibrate_labelled`.

    Raises:
        ImageError, InputError: as `calibrate_labelled`.
    """
    _check_saved(embedder)
    couples = seen_together(tracklets)
    samples, load = spread_samples(tracklets, num_frames)
    skipped: list[SkippedFile] = []
    embeddings = embedder.embed_samples(samples, replace(reading, on_skip=skipped.append, load=load))

    def draw(people: Int64) -> CalibrationPairs:
        return tracklet_pairs(
            people, embeddings.times, couples, max_pairs=options.max_pairs, seed=options.seed
        )

    origin = partial(
        CalibrationSource,
        kind="tracklets",
        name="tracklets",
        root=source,
        split="",
        protocol="one tracklet is one person; seen together are different people",
    )

    def sightings(vectors: Float32, people: Int64) -> Sightings:
        return tracklet_sightings(vectors, people, embeddings.times, couples)

    return _run(embeddings, draw, sightings, origin, options, skipped)


def _run(
    embeddings: Embeddings,
    draw: Callable[[Int64], CalibrationPairs],
    sightings: Callable[[Float32, Int64], Sightings],
    origin: Callable[..., CalibrationSource],
    options: CalibrationOptions,
    skipped: Sequence[SkippedFile],
) -> CalibrationRun:
    people, vectors, whitening = embeddings.pids, embeddings.vectors, None
    if options.whitening != "none":
        order = numpy_generator(options.seed, "whitening").permutation(np.unique(people))
        fits = np.isin(people, order[: len(order) // 2])
        whitening = fit_whitening(vectors[fits], people[fits], options.whitening)
        vectors = whitening.apply(vectors)
        people = np.where(fits, JUNK_PID, people)
    pairs = draw(people)
    scores = pair_scores(vectors, pairs)
    used = np.unique(pairs.rows)
    source = origin(
        pictures=len(used),
        people=len(np.unique(people[used])),
        cameras=len(np.unique(embeddings.camids[used])),
        same_pairs=int(pairs.same.sum()),
        different_pairs=int((~pairs.same).sum()),
        couples=pairs.num_couples,
        seed=options.seed,
    )
    calibration = fit_calibration(
        scores,
        pairs,
        model=embeddings.model,
        source=source,
        whitening=whitening,
        search=_search_model(sightings(vectors, people), options),
        options=options,
    )
    edges = np.linspace(scores.min(), max(scores.max(), scores.min() + 1e-6), _HISTOGRAM_BINS + 1)
    same, different = (np.histogram(scores[kind], edges)[0] for kind in (pairs.same, ~pairs.same))
    return CalibrationRun(calibration, DistanceHistogram(edges, same, different), tuple(skipped))


def _search_model(sightings: Sightings, options: CalibrationOptions) -> SearchModel | None:
    """None where too few people are known to be the same, and different, for searches."""
    try:
        return fit_searches(
            sightings,
            false_alarm_rates=options.false_alarm_rates,
            miss_rate=options.miss_rate,
            seed=options.seed,
        )
    except InputError:
        return None


def _check_saved(embedder: Embedder) -> None:
    if embedder.sha256 is None:
        raise InputError("calibration: the model was never saved, so nothing could tell it from another one")

"""What stands behind an evaluation's headline: intervals, breakdowns, open-set metrics."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
from rich.console import Console

from omnireid.core.errors import ImageError, InputError
from omnireid.core.images import picture_size
from omnireid.core.options import Protocol
from omnireid.core.record import (
    AnalysisRecord,
    CameraPairScore,
    GroupScore,
    MetricIntervals,
    OpenSetRecord,
)
from omnireid.data.parallel import map_files
from omnireid.evaluation.bootstrap import metric_intervals
from omnireid.evaluation.breakdown import breakdown_by_camera_pair, breakdown_by_height
from omnireid.evaluation.open_set import open_set_metrics
from omnireid.evaluation.options import Ranking
from omnireid.experiment.evaluation import Evaluation

# Beyond this, a table of pairs tells nobody anything (University-1652 counts every picture as a camera).
MAX_CAMERAS = 32

_Part = TypeVar("_Part")


def analyse(evaluation: Evaluation, *, seed: int = 0, console: Console | None = None) -> AnalysisRecord:
    """Measure how sure an evaluation is, where it holds, and what a threshold would give.

    - Intervals of rank-1, mAP and mINP by drawing identities with replacement (95 %).
    - Scores by pair of cameras (each gallery camera searched alone) and by the height of the query's crop.
    - Open-set metrics by the watch-list protocol, on distances without re-ranking.

    What the data do not allow (one identity, one camera, no mate search …) is left out, with the reason.

    Args:
        evaluation: the evaluation from `evaluate_model`.
        seed: seed of the resampling and of the draws of known people.
        console: where to show progress; None shows none.
    """
    omitted: list[str] = []

    def measured(what: str, measure: Callable[[], _Part]) -> _Part | None:
        try:
            return measure()
        except (InputError, ImageError) as error:
            omitted.append(f"{what}: {error}")
            return None

    return AnalysisRecord(
        intervals=measured("intervals", lambda: _intervals(evaluation, seed)),
        camera_pairs=measured("camera pairs", lambda: _camera_pairs(evaluation)) or (),
        crop_heights=measured("crop heights", lambda: _crop_heights(evaluation, console)) or (),
        open_set=measured("open set", lambda: _open_set(evaluation, seed, console)),
        omitted=tuple(omitted),
    )


def _intervals(evaluation: Evaluation, seed: int) -> MetricIntervals:
    if evaluation.retrieval.protocol is Protocol.SINGLE_GALLERY_SHOT:
        raise InputError("the protocol draws galleries itself; its rank-1 is no mean of single queries")
    return metric_intervals(evaluation.retrieval, evaluation.query.pids, seed=seed)


def _camera_pairs(evaluation: Evaluation) -> tuple[CameraPairScore, ...]:
    if evaluation.retrieval.protocol is not Protocol.MARKET1501:
        raise InputError(f"the protocol {evaluation.retrieval.protocol.value} does not compare cameras")
    num_cameras = len(np.union1d(evaluation.query.camids, evaluation.gallery.camids))
    if num_cameras > MAX_CAMERAS:
        raise InputError(f"{num_cameras:,} cameras are too many for a table of pairs (at most {MAX_CAMERAS})")
    return breakdown_by_camera_pair(
        evaluation.query, evaluation.gallery, Ranking(evaluation.ranking.distance)
    )


def _crop_heights(evaluation: Evaluation, console: Console | None) -> tuple[GroupScore, ...]:
    paths = evaluation.query.paths
    height_of = map_files(
        lambda path: picture_size(path)[1], list(dict.fromkeys(paths)), title="crop heights", console=console
    )
    return breakdown_by_height(evaluation.retrieval, [height_of[path] for path in paths])


def _open_set(evaluation: Evaluation, seed: int, console: Console | None) -> OpenSetRecord:
    return open_set_metrics(
        evaluation.query,
        evaluation.gallery,
        Ranking(evaluation.ranking.distance, seed=seed),
        protocol=evaluation.retrieval.protocol,
        console=console,
    ).open_set_record()

"""Where a model is good and where it is not: one evaluation split by camera pair, dataset or crop height."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from rich.console import Console

from omnireid.core.arrays import Bool
from omnireid.core.errors import InputError, ShapeError
from omnireid.core.record import CameraPairScore, GroupScore
from omnireid.core.types import JUNK_PID, Embeddings
from omnireid.evaluation.metrics import METRICS
from omnireid.evaluation.options import Ranking
from omnireid.evaluation.ranking import evaluate_embeddings
from omnireid.evaluation.result import RetrievalResult

HEIGHT_EDGES = (64, 96, 128, 192, 256)


def breakdown(result: RetrievalResult, groups: npt.ArrayLike) -> tuple[GroupScore, ...]:
    """Scores of each group of queries, searched in the whole gallery.

    Args:
        result: an evaluation.
        groups: (Q,) a label for each query: its dataset (`Sample.dsetid`), its camera, its time of day, …

    Returns:
        One score for each label, in ascending order of labels.

    Raises:
        ShapeError: not one label for each query.
    """
    labels = np.asarray(groups)
    if labels.shape != (result.num_queries,):
        raise ShapeError("groups", expected=(result.num_queries,), actual=labels.shape)
    return tuple(_score(result, labels == label, str(label)) for label in np.unique(labels))


def breakdown_by_height(
    result: RetrievalResult, heights: npt.ArrayLike, edges: Sequence[int] = HEIGHT_EDGES
) -> tuple[GroupScore, ...]:
    """Scores by the height of the query's crop as it was cut from its frame, in pixels.

    Args:
        result: an evaluation.
        heights: (Q,) positive numbers.
        edges: ascending; each begins a group, and all that is smaller is the first one.

    Returns:
        The groups that have queries, lowest first.

    Raises:
        ShapeError: not one height for each query.
        InputError: a height that is not positive, or edges that do not ascend.
    """
    values = np.asarray(heights, np.float64)
    if values.shape != (result.num_queries,):
        raise ShapeError("heights", expected=(result.num_queries,), actual=values.shape)
    if not (values > 0).all():
        raise InputError(f"heights: row {int((values > 0).argmin())} is not a positive number")
    if not edges or (np.diff(edges) <= 0).any():
        raise InputError(f"edges: must ascend, got {tuple(edges)}")
    names = [f"under {edges[0]} px"]
    names += [f"{low} to {high - 1} px" for low, high in itertools.pairwise(edges)]
    names += [f"{edges[-1]} px and more"]
    index = np.searchsorted(edges, values, side="right")
    return tuple(_score(result, index == group, names[group]) for group in np.unique(index).tolist())


def breakdown_by_camera_pair(
    query: Embeddings,
    gallery: Embeddings,
    ranking: Ranking = Ranking(),
    *,
    console: Console | None = None,
) -> tuple[CameraPairScore, ...]:
    """Scores of each camera's queries against the pictures of each other camera alone.

    The gallery is restricted to one camera at a time, with its distractors. A smaller gallery is easier, so
    these numbers are higher than those of the whole gallery and do not average to them.

    Args:
        query, gallery: embeddings with known cameras.
        ranking, console: As for `evaluate_embeddings`.

    Returns:
        Ascending by (query camera, gallery camera); pairs without a valid query have scores of None.

    Raises:
        As `evaluate_embeddings`.
    """
    scores = []
    for camera in np.unique(gallery.camids[gallery.pids != JUNK_PID]).tolist():
        seen = gallery[gallery.camids == camera]
        other = query.camids != camera
        searching = query[other]
        valid = np.isin(searching.pids, seen.pids) & (searching.pids != JUNK_PID)
        result = None
        if valid.any():
            result = evaluate_embeddings(searching, seen, ranking, console=console)
        for q_camera in np.unique(searching.camids).tolist():
            score = _score(result, searching.camids == q_camera, f"{q_camera} → {camera}")
            scores.append(
                CameraPairScore(q_camid=q_camera, g_camid=camera, num_gallery=len(seen), score=score)
            )
    return tuple(sorted(scores, key=lambda pair: (pair.q_camid, pair.g_camid)))


def _score(result: RetrievalResult | None, mask: Bool, group: str) -> GroupScore:
    """Means over the valid queries; None where there is none, or the protocol does not define the metric.

    Under single-gallery-shot `rank1` is the share of queries whose mean rank is 1.
    """
    valid = mask & (False if result is None else result.valid)
    means = {
        name: float(metric.of_queries(result)[valid].mean())
        if result is not None and valid.any() and metric.value(result) is not None
        else None
        for name, metric in METRICS.items()
        if metric.of_queries is not None
    }
    return GroupScore(group=group, num_queries=int(mask.sum()), num_valid_queries=int(valid.sum()), **means)

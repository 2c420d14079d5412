"""Scores person by person: who is hard to find, how often they were searched for, and by which cameras."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from omnireid.core.arrays import Int64
from omnireid.core.cameras import camera_name
from omnireid.core.display import short_repr
from omnireid.core.errors import ShapeError
from omnireid.core.files import csv_text
from omnireid.evaluation.result import RetrievalResult

COLUMNS = ("pid", "name", "queries", "valid_queries", "mAP", "rank1", "worst_rank", "query_cameras")


@dataclass(frozen=True)
class IdentityScore:
    """How well one person is found.

    Attributes:
        pid: their number.
        name: the person's name in the data, where it is not the number; else "".
        num_queries, num_valid_queries: searches for them, and those with a match that counts.
        mAP: mean AP of the valid queries; None without one, or where the protocol has none.
        rank1: share of the valid queries with a match at rank 1; None without one.
        worst_rank: worst rank of the first match, over the valid queries; None without one.
        cameras: cameras of the queries, by name.
        hardest_query: index of the query with the lowest score (of the first, without a valid one).
    """

    pid: int
    name: str
    num_queries: int
    num_valid_queries: int
    mAP: float | None  # noqa: N815 (the field's spelling)
    rank1: float | None
    worst_rank: float | None
    cameras: tuple[str, ...]
    hardest_query: int

    __repr__ = short_repr


def identity_scores(
    retrieval: RetrievalResult,
    pids: npt.ArrayLike,
    camids: npt.ArrayLike,
    *,
    pid_names: Mapping[int, str] | None = None,
    camera_names: Mapping[int, str] | None = None,
) -> list[IdentityScore]:
    """One for each person that was searched for, the hardest first; ties by pid, who was never found last.

    Args:
        retrieval: the ranking of Q queries.
        pids, camids: (Q,) of the queries.

    Raises:
        ShapeError: another number of pids or camids.
    """
    people, cameras = np.asarray(pids, np.int64), np.asarray(camids, np.int64)
    for name, values in (("pids", people), ("camids", cameras)):
        if values.shape != (retrieval.num_queries,):
            raise ShapeError(name, expected=(retrieval.num_queries,), actual=values.shape)
    scores = [
        _score(retrieval, int(pid), np.flatnonzero(people == pid), cameras, pid_names or {}, camera_names)
        for pid in np.unique(people)
    ]
    return sorted(scores, key=_difficulty)


def _score(
    retrieval: RetrievalResult,
    pid: int,
    queries: Int64,
    cameras: Int64,
    pid_names: Mapping[int, str],
    camera_names: Mapping[int, str] | None,
) -> IdentityScore:
    ranks, ap = retrieval.first_match_rank[queries], retrieval.ap[queries]
    valid = ~np.isnan(ranks)
    has_ap = bool(valid.any()) and not np.isnan(ap[valid]).any()
    # The lowest AP; without any the latest first match. NaN counts as best.
    worth = np.where(valid, ap if has_ap else -ranks, np.inf)
    return IdentityScore(
        pid=pid,
        name=pid_names.get(pid, ""),
        num_queries=len(queries),
        num_valid_queries=int(valid.sum()),
        mAP=float(ap[valid].mean()) if has_ap else None,
        rank1=float((ranks[valid] == 1).mean()) if valid.any() else None,
        worst_rank=float(ranks[valid].max()) if valid.any() else None,
        cameras=tuple(
            camera_name(int(camera), camera_names) or "unknown" for camera in np.unique(cameras[queries])
        ),
        hardest_query=int(queries[int(np.argmin(worth))]),
    )


def _difficulty(score: IdentityScore) -> tuple[float, float, float, int]:
    if score.worst_rank is None or score.rank1 is None:
        return np.inf, 0.0, 0.0, score.pid
    return (0.0 if score.mAP is None else score.mAP), score.rank1, -score.worst_rank, score.pid


def identity_table(scores: Sequence[IdentityScore]) -> str:
    """All of them as CSV in full precision; cells of what is not defined are empty."""
    rows = (
        (
            score.pid,
            score.name,
            score.num_queries,
            score.num_valid_queries,
            score.mAP,
            score.rank1,
            score.worst_rank,
            " ".join(score.cameras),
        )
        for score in scores
    )
    return csv_text(COLUMNS, rows)

"""Tracklet against tracklet: both sides pooled, the better frames counting more.

The score of two sets of frames is the cosine of their weighted means,

    s(A, B) = cos(Σ w_i · x_i, Σ v_j · y_j)

with x and y the frames' embeddings at unit norm (whitened first where the calibration whitens) and w and v
their qualities. A frame of quality 0 counts for nothing; where all frames of a tracklet have it, they count
alike, so that nobody who was enrolled is beyond being found.

The score is exact for every candidate: all its frames in the gallery that meet the filter, and are not ruled
out by `Question.without` or `without_people`, are pooled.
Candidates are the tracklets that own the frames nearest to the pooled query.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from omnireid.core.arrays import Float32, Int64
from omnireid.core.errors import InputError, ShapeError
from omnireid.core.vectors import unit_rows
from omnireid.evaluation.whitening import unit_cosines
from omnireid.gallery.items import Filter
from omnireid.gallery.questions import Question
from omnireid.gallery.rows import embeddings_of
from omnireid.gallery.searching import (
    MOST_FETCHED,
    RERANKED,
    RERANKING_NOTE,
    Searcher,
    SearchResult,
    reranked,
)

TRACKLET_NOTE = (
    "Scores are of whole tracklets (several pictures of one person together); the calibration was made for "
    'single pictures, which are less alike, so probabilities lean towards "same".'
)
Owner = tuple[str, str]

_LEAST_FETCHED = 200
_WIDENING = 4


def pooled(embeddings: Float32, qualities: npt.ArrayLike | None = None) -> Float32:
    """Weighted mean of frames: (D,) float32 of unit norm.

    Args:
        embeddings: (T, D) float32 of unit norm.
        qualities: (T,) weights, at least 0; all the same when None, and where all are 0.

    Raises:
        ShapeError: another number of qualities.
        InputError: no frame, a weight below 0, or frames that cancel each other out.
    """
    if len(embeddings) == 0:
        raise InputError("embeddings: a tracklet needs at least one frame")
    weights = np.ones(len(embeddings)) if qualities is None else np.asarray(qualities, np.float64)
    if weights.shape != (len(embeddings),):
        raise ShapeError("qualities", expected=(len(embeddings),), actual=weights.shape)
    if not (np.isfinite(weights) & (weights >= 0)).all():
        raise InputError("qualities: expected finite numbers, at least 0")
    if not weights.any():
        weights = np.ones(len(embeddings))
    mean = weights @ embeddings.astype(np.float64)
    return np.asarray(unit_rows(mean[None])[0], np.float32)


def search_tracklets(
    searcher: Searcher, frames: Float32, qualities: npt.ArrayLike | None, asked: Question
) -> SearchResult:
    """Candidates, each a whole tracklet; items without tracklet are tracklets of one frame.

    Args:
        frames: (T, D) float32 of unit norm.
        qualities: (T,).
    """
    asked = dataclasses.replace(asked, where=searcher.people.meant(asked.where))
    nearest_to = pooled(frames, qualities)
    query = pooled(searcher.judge.vectors(frames), qualities)
    size = max(_LEAST_FETCHED, _WIDENING * asked.k) + len(asked.without)
    while True:
        nearest = searcher.store.search(
            searcher.generation.collection, nearest_to, k=size, where=asked.where, exact=asked.exact
        )
        has_all = nearest.num_rows < size
        nearest = searcher.asked_for(nearest, asked)
        best = _best_of_each(nearest)
        # Grouped by person, k tracklets may be too few: twice as many are looked at.
        if has_all or len(best) >= asked.k * (2 if asked.group else 1) or size >= MOST_FETCHED:
            break
        size = min(_WIDENING * size, MOST_FETCHED)
    rows = nearest.take(best)
    sums, frame_counts = _pooled_tracklets(searcher, rows, asked)
    # What was deleted since it was found has no frames any more.
    kept = np.flatnonzero(frame_counts)
    rows, vectors, frame_counts = rows.take(kept), unit_rows(sums[kept]), frame_counts[kept]
    scores = unit_cosines(vectors, query)
    ids = np.array(rows.column("id").to_pylist(), dtype=str)
    order = np.lexsort((ids, -scores))
    if asked.rerank:
        order[:RERANKED] = reranked(query, vectors, order[:RERANKED])
    below = None if has_all or not len(scores) else float(scores.min())
    ranked = searcher.ranked(rows.take(order), scores[order], asked, below)
    notes = [TRACKLET_NOTE] if searcher.judge.model is not None else []
    return searcher.result(
        nearest_to,
        ranked,
        np.arange(min(asked.k, len(order))),
        searcher.groups(ranked, asked.k) if asked.group else [],
        is_exact=has_all and (asked.exact or not searcher.has_index),
        notes=[*notes, *([RERANKING_NOTE] if asked.rerank else [])],
        frames=frame_counts[order],
    )


def _best_of_each(rows: pa.Table) -> Int64:
    """Places of the first row of each tracklet."""
    first: dict[Owner, int] = {}
    for index, owner in enumerate(_owners(rows)):
        first.setdefault(owner, index)
    return np.array(list(first.values()), np.int64)


def _owners(rows: pa.Table) -> list[Owner]:
    """Whom each row belongs to: its tracklet, or nobody but itself."""
    names = zip(*(rows.column(name).to_pylist() for name in ("id", "tracklet")), strict=True)
    return [("item", item) if tracklet is None else ("tracklet", tracklet) for item, tracklet in names]


def _pooled_tracklets(searcher: Searcher, rows: pa.Table, asked: Question) -> tuple[Float32, Int64]:
    """The tracklet behind each of N rows: its pooled vector (N, D), and how many frames it has (N)."""
    owners = _owners(rows)
    place_of = {owner: index for index, owner in enumerate(owners)}
    sums, plain = np.zeros((2, len(owners), searcher.generation.model.dim))
    weights = np.zeros(len(owners))
    counts = np.zeros(len(owners), np.int64)
    for frames in _frames(searcher, owners, asked.where):
        part = searcher.asked_for(frames, asked)
        places = np.array([place_of[owner] for owner in _owners(part)], np.int64)
        vectors = searcher.judge.vectors(embeddings_of(part)).astype(np.float64)
        qualities = np.asarray(part.column("quality"), np.float64)
        np.add.at(sums, places, vectors * qualities[:, None])
        np.add.at(plain, places, vectors)
        np.add.at(weights, places, qualities)
        np.add.at(counts, places, 1)
    sums[weights == 0] = plain[weights == 0]
    return sums.astype(np.float32), counts


def _frames(searcher: Searcher, owners: list[Owner], where: Filter) -> Iterator[pa.Table]:
    """All frames of tracklets, as far as they meet the filter, and items by themselves."""
    store, collection = searcher.store, searcher.generation.collection
    columns = ("id", "tracklet", "identity", "quality", "embedding")
    tracklets = frozenset(name for kind, name in owners if kind == "tracklet")
    alone = [name for kind, name in owners if kind == "item"]
    if tracklets:
        wanted = dataclasses.replace(where, tracklets=tracklets)
        yield from store.scan(collection, where=wanted, columns=columns)
    if alone:
        yield store.get(collection, alone, columns=columns)

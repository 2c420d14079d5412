"""Ranking metrics by the protocols of the field: CMC, mAP, mINP. NumPy in, `RetrievalResult` out.

For one query, gallery items are ordered by distance, equal distances by gallery index, and junk is
taken out. With matches at ranks r₁ < … < r_M (counted from 1):

    AP  = mean over k of k / r_k      mean of the precision at each hit, not the trapezoid
    INP = M / r_M                     matches ÷ rank of the hardest match
    CMC(k) counts the query if r₁ ≤ k

A query without a match that is not junk is not valid and enters no mean. Worked example: matches at
ranks 1 and 4 give AP = (1/1 + 2/4) / 2 = 0.75 and INP = 2/4 = 0.5.

Sources: Market-1501 protocol (Zheng et al., ICCV 2015), mINP (AGW, arXiv 2001.04193), CUHK03
single-gallery-shot (Li et al., CVPR 2014).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console

from omnireid.core.arrays import Float64, Int64
from omnireid.core.errors import InputError, ShapeError
from omnireid.core.options import Protocol
from omnireid.core.progress import progress_bar
from omnireid.core.seeds import numpy_generator
from omnireid.core.types import JUNK_PID, Embeddings, check_comparable
from omnireid.evaluation.cameras import normalise_cameras
from omnireid.evaluation.distance import check_distance
from omnireid.evaluation.options import Ranking
from omnireid.evaluation.query_expansion import expand_queries
from omnireid.evaluation.relevance import Relevance
from omnireid.evaluation.reranking import RerankedDistances
from omnireid.evaluation.result import SINGLE_SHOT_DRAWS, DistanceHistogram, Outcome, RetrievalResult
from omnireid.evaluation.sources import (
    NUM_BINS,
    Distances,
    DistanceSource,
    EmbeddingDistances,
    GivenDistances,
)
from omnireid.evaluation.streaming import Comparison, QueryBlock, Team, Tile

_LEAST_BINS, _MOST_BINS = 16, 96


def rank_metrics(
    dist_QG: Distances,
    q_pids: npt.ArrayLike,
    g_pids: npt.ArrayLike,
    q_camids: npt.ArrayLike | None = None,
    g_camids: npt.ArrayLike | None = None,
    *,
    protocol: Protocol = Protocol.MARKET1501,
    paths: tuple[Sequence[str], Sequence[str]] | None = None,
    ranking: Ranking = Ranking(),
) -> RetrievalResult:
    """Score a distance matrix.

    Args:
        dist_QG: (Q, G) float16, float32 or float64; smaller is closer. Infinity is allowed, NaN is not.
        q_pids, g_pids: (Q,) and (G,) integers; −1 is junk. A pid 0 that no query has is a distractor.
        q_camids, g_camids: (Q,) and (G,) integers; left out only under the no-camera protocol.
        protocol: which gallery items count; see `Protocol`.
        paths: Files of queries and of gallery items, by which the no-camera protocol finds a query's own.
        ranking: Its `max_rank`, `top_k`, `seed` and `threads`; the distances are there already.

    Returns:
        The result. Equal distances rank by gallery index.

    Raises:
        ShapeError: lengths that do not fit `dist_QG`.
        InputError: NaN (the row is named), an empty set, cameras missing, or no valid query (says why).
    """
    dist_QG = _check_distances(dist_QG)
    num_queries, num_gallery = dist_QG.shape
    pids = _labels("q_pids", q_pids, num_queries), _labels("g_pids", g_pids, num_gallery)
    _check_counts(*pids, max_rank=ranking.max_rank, top_k=ranking.top_k)
    q_paths, g_paths = paths or (None, None)
    pairs = Relevance(
        *pids,
        None if q_camids is None else _labels("q_camids", q_camids, num_queries),
        None if g_camids is None else _labels("g_camids", g_camids, num_gallery),
        _paths("q_paths", q_paths, num_queries),
        _paths("g_paths", g_paths, num_gallery),
        Protocol.named(protocol),
    )
    with Team(ranking.threads) as team:
        scorer = _Scorer(GivenDistances(dist_QG), pairs, team, ranking)
        return scorer.run(None, distance="given", normalised=False)


def evaluate_embeddings(
    query: Embeddings,
    gallery: Embeddings,
    ranking: Ranking = Ranking(),
    *,
    protocol: Protocol = Protocol.MARKET1501,
    console: Console | None = None,
) -> RetrievalResult:
    """Search the gallery for every query and score the result, in tiles: the distance matrix never exists.

    The ranking is exactly that of float64 distances by direct subtraction, ties by gallery index: a float32
    matrix product finds who is certainly before or behind each match, and every pair whose order its error
    bound leaves open is computed again in float64 (docs/decisions/0007). Only the histogram is counted in
    float32: a pair within about 10⁻⁶ of an edge may be counted beside it.

    Args:
        query, gallery: embeddings of one and the same model; memory-mapped arrays are read a tile at a time.
        ranking: How the gallery is ranked.
        protocol: Which gallery items count; see `Protocol`.
        console: Where progress is shown.

    Raises:
        InputError: embeddings of different models, an empty set, cameras missing, or no valid query.
        ShapeError: embeddings of different length.
        UnknownNameError: an unknown distance.
    """
    name = check_distance(ranking.distance)
    check_comparable(query, gallery)
    _check_counts(query.pids, gallery.pids, max_rank=ranking.max_rank, top_k=ranking.top_k)
    pairs = Relevance.of(query, gallery, Protocol.named(protocol))
    steps = []
    if ranking.camera_means:
        query, gallery = normalise_cameras(query, gallery)
        steps.append("camera means subtracted")
    if ranking.expansion is not None:
        query = expand_queries(query, gallery, ranking.expansion, console=console, threads=ranking.threads)
        steps.append(str(ranking.expansion))
    if ranking.reranking is not None:
        steps.append(str(ranking.reranking))
    with Team(ranking.threads) as team:
        comparison = Comparison(query.vectors, gallery.vectors, name, team)
        source = (
            EmbeddingDistances(comparison, name)
            if ranking.reranking is None
            else RerankedDistances(comparison, name, ranking.reranking, console)
        )
        scorer = _Scorer(source, pairs, team, ranking)
        return scorer.run(
            console,
            distance=name,
            normalised=query.is_unit,
            reranking=", ".join(steps) or "none",
        )


class _Scorer:
    """Runs the blocks of a source and keeps what the result needs of them."""

    def __init__(self, source: DistanceSource, pairs: Relevance, team: Team, ranking: Ranking) -> None:
        self.source, self.pairs, self.team = source, pairs, team
        self.max_rank, self.seed = ranking.max_rank, ranking.seed
        self.single_shot = pairs.protocol is Protocol.SINGLE_GALLERY_SHOT
        self.has_precision = pairs.protocol not in (Protocol.SINGLE_GALLERY_SHOT, Protocol.CLASSES)
        self.num_queries, self.num_gallery = len(pairs.q_pids), len(pairs.g_pids)
        self.ap = np.full(self.num_queries, np.nan)
        self.inp = np.full(self.num_queries, np.nan)
        self.first_match_rank = np.full(self.num_queries, np.nan)
        self.cmc_sum = np.zeros(self.max_rank)
        top = (self.num_queries, min(ranking.top_k, self.num_gallery))
        self.top_indices = np.empty(top, np.int64)
        self.top_outcomes = np.empty(top, np.int8)
        self.top_distances = np.empty(top)
        self.others = np.zeros(NUM_BINS + 1, np.int64)
        self.same: list[Float64] = []
        self.moved: list[Float64] = []

    def run(
        self, console: Console | None, *, distance: str, normalised: bool, reranking: str = "none"
    ) -> RetrievalResult:
        with progress_bar(console, transient=True) as bar:
            task = bar.add_task("ranking", total=self.num_queries)
            for block in self.source.blocks():
                self._add(block)
                bar.advance(task, len(block))
        valid = ~np.isnan(self.first_match_rank)
        if not valid.any():
            raise InputError(self.pairs.why_no_query_is_valid())
        return RetrievalResult(
            cmc=self.cmc_sum / valid.sum(),
            mAP=float(self.ap[valid].mean()) if self.has_precision else None,
            mINP=float(self.inp[valid].mean()) if self.has_precision else None,
            num_queries=self.num_queries,
            num_valid_queries=int(valid.sum()),
            num_gallery=self.num_gallery,
            ap=self.ap,
            inp=self.inp,
            first_match_rank=self.first_match_rank,
            top_indices=self.top_indices,
            top_outcomes=self.top_outcomes,
            top_distances=self.top_distances,
            histogram=self._histogram(),
            distance=distance,
            protocol=self.pairs.protocol,
            normalised=normalised,
            reranking=reranking,
        )

    def _add(self, block: QueryBlock) -> None:
        from omnireid.evaluation.kernels import order_known

        query, item, value, outcome = self._known(block)
        match, wrong = outcome == Outcome.MATCH, outcome == Outcome.WRONG
        self.same.append(value[match])
        self.moved.append(value[wrong])

        # Scored known pairs of a query, closest first: who is before a match among them is its place.
        queries = np.arange(block.first, block.stop + 1)
        pointer = np.searchsorted(query, queries)
        order = np.empty(len(query), np.int64)
        pairs_each = 1 + len(query) // len(block)
        self.team.share(len(block), pairs_each, order_known, pointer, value, order)
        scored = order[(match | wrong)[order]]
        first = np.searchsorted(query[scored], queries)
        rank = np.arange(len(scored)) - np.repeat(first[:-1], np.diff(first))
        hit = match[scored]
        m_query, m_value, m_item = (part[scored[hit]] for part in (query, value, item))
        before = np.zeros(len(m_query), np.int64)
        self._stream(
            block,
            known=(pointer, item, value),
            matches=(np.searchsorted(m_query, queries), m_value, m_item),
            before=before,
        )
        self._name_the_closest(block, query, item, outcome)
        if self.single_shot:
            self._score_draws(query[match], item[match], query, item, value)
        else:
            self._score(m_query, 1 + rank[hit] + before)

    def _known(self, block: QueryBlock) -> tuple[Int64, Int64, Float64, npt.NDArray[np.int8]]:
        """Pairs whose value is computed apart: matches, junk, re-ranked. Ascending by (query, item)."""
        query, item, junk = self.pairs.known(block.first, block.stop)
        # By identity, so that a gallery row is still in the cache when the next query needs it.
        order = np.argsort(self.pairs.q_pids[query], kind="stable")
        value = np.empty(len(query))
        value[order] = self.source.values(query[order], item[order])
        outcome = np.where(junk, Outcome.JUNK, Outcome.MATCH).astype(np.int8)
        if not self.source.moves:
            return query, item, value, outcome
        moved_query, moved_item, moved_value = self.source.moved(block)
        if not len(moved_query):
            return query, item, value, outcome
        key, moved_key = query * self.num_gallery + item, moved_query * self.num_gallery + moved_item
        index = np.minimum(np.searchsorted(moved_key, key), len(moved_key) - 1)
        value = np.where(moved_key[index] == key, moved_value[index], value)
        new = ~np.isin(moved_key, key, assume_unique=True)
        always_junk = self.pairs.g_pids[moved_item[new]] == JUNK_PID
        order = np.argsort(np.append(key, moved_key[new]), kind="stable")
        new_outcome = np.where(always_junk, Outcome.JUNK, Outcome.WRONG).astype(np.int8)
        return (
            np.append(query, moved_query[new])[order],
            np.append(item, moved_item[new])[order],
            np.append(value, moved_value[new])[order],
            np.append(outcome, new_outcome)[order],
        )

    def _stream(
        self,
        block: QueryBlock,
        *,
        known: tuple[Int64, Int64, Float64],
        matches: tuple[Int64, Float64, Int64],
        before: Int64,
    ) -> None:
        """Count the other pairs of the block: before each match, closest, in bins."""
        from omnireid.evaluation.kernels import count_rows, insert_known

        source = self.source
        top_value = self.top_distances[block.first : block.stop]
        top_item = self.top_indices[block.first : block.stop]
        filled = np.zeros(len(block), np.int64)
        pointer, known_item, known_value = known
        insert_known(0, len(block), pointer, known_value, known_item, top_value, top_item, filled)
        level_to_offset = source.level_to_offset(block)
        per_level = NUM_BINS / (source.high - source.low)
        scale = per_level / level_to_offset
        shift = block.half * scale - source.low * per_level
        known_at = pointer[:-1].copy()
        weight = source.weight[block.first : block.stop]
        for tile in source.tiles(block):
            dtype = tile.half_g.dtype
            bins = scale.astype(dtype), shift.astype(dtype)
            ends = np.searchsorted(self.pairs.junk_items, (tile.first_item, tile.first_item + tile.num_items))
            junk = self.pairs.junk_items[slice(*ends)] - tile.first_item

            def count(
                start: int, stop: int, tile: Tile = tile, junk: Int64 = junk, bins: Any = bins
            ) -> Int64:
                histogram = np.zeros(NUM_BINS + 1, np.int64)
                count_rows(
                    start,
                    stop,
                    tile.values(start, stop),
                    source.given,
                    tile.half_g,
                    junk,
                    block.rows,
                    tile.g_rows,
                    block.scale,
                    tile.g_scale,
                    weight,
                    level_to_offset,
                    block.half,
                    tile.error,
                    source.kind,
                    source.blend,
                    tile.first_item,
                    *bins,
                    NUM_BINS,
                    pointer,
                    known_item,
                    known_at,
                    *matches,
                    before,
                    top_value,
                    top_item,
                    filled,
                    histogram,
                )
                return histogram

            for histogram in self.team.share_tile(len(block), count):
                self.others += histogram

    def _score(self, query: Int64, rank: Int64) -> None:
        """Metrics of the block from its matches' ranks, ascending within each query."""
        queries, first, count = np.unique(query, return_index=True, return_counts=True)
        hit = 1 + np.arange(len(query)) - np.repeat(first, count)
        self.first_match_rank[queries] = rank[first]
        if self.has_precision:
            if len(queries):
                self.ap[queries] = np.add.reduceat(hit / rank, first) / count
            self.inp[queries] = count / rank[first + count - 1]
        self.cmc_sum += _hits(rank[first], self.max_rank)

    def _score_draws(self, m_query: Int64, m_item: Int64, query: Int64, item: Int64, value: Float64) -> None:
        """Ranks of the match in ten draws of one gallery item per identity."""
        queries, first, count = np.unique(m_query, return_index=True, return_counts=True)
        for q, start, number in zip(queries.tolist(), first.tolist(), count.tolist(), strict=True):
            generator = numpy_generator(self.seed, "single-gallery-shot", q)
            drawn_MI = self.pairs.draw_others(generator, int(self.pairs.q_pids[q]), SINGLE_SHOT_DRAWS)
            match_M = m_item[start + generator.integers(number, size=SINGLE_SHOT_DRAWS)]
            known = slice(*np.searchsorted(query, (q, q + 1)))
            items, where = np.unique(np.append(drawn_MI.ravel(), match_M), return_inverse=True)
            values = self.source.values(np.full(len(items), q), items)
            index = np.minimum(np.searchsorted(item[known], items), known.stop - known.start - 1)
            values = np.where(item[known][index] == items, value[known][index], values)[where]
            value_MI, value_M1 = (
                values[: drawn_MI.size].reshape(drawn_MI.shape),
                values[drawn_MI.size :, None],
            )
            before_MI = (value_MI < value_M1) | ((value_MI == value_M1) & (drawn_MI < match_M[:, None]))
            rank_M = 1 + np.count_nonzero(before_MI, axis=1)
            self.first_match_rank[q] = rank_M.mean()
            self.cmc_sum += _hits(rank_M, self.max_rank) / SINGLE_SHOT_DRAWS

    def _name_the_closest(
        self, block: QueryBlock, query: Int64, item: Int64, outcome: npt.NDArray[np.int8]
    ) -> None:
        top = self.top_indices[block.first : block.stop]
        outcomes = np.where(self.pairs.g_pids[top] == JUNK_PID, Outcome.JUNK, Outcome.WRONG).astype(np.int8)
        if len(query):
            key = query * self.num_gallery + item
            top_key = np.arange(block.first, block.stop)[:, None] * self.num_gallery + top
            index = np.minimum(np.searchsorted(key, top_key), len(key) - 1)
            outcomes = np.where(key[index] == top_key, outcome[index], outcomes)
        self.top_outcomes[block.first : block.stop] = outcomes

    def _histogram(self) -> DistanceHistogram:
        edges = self.source.edges(self.others)
        # Re-ranked pairs may be closer than any other; bins of the same width go on below.
        same, moved = np.concatenate(self.same), np.concatenate(self.moved)
        closest = min(same.min(initial=np.inf), moved.min(initial=np.inf), edges[0])
        below = edges[:0]
        if self.source.moves and closest < edges[0]:
            below = np.linspace(closest, edges[0], NUM_BINS, endpoint=False)
        edges = np.append(below, edges)
        different = np.append(np.zeros(len(below), np.int64), self.others)
        different += _counts(moved, edges)
        return _coarse(edges, _counts(same, edges), different)


def _hits(first_ranks: Int64, max_rank: int) -> Float64:
    """(max_rank,) how many of the ranks are at most 1, 2, …"""
    counts = np.bincount(first_ranks[first_ranks <= max_rank], minlength=max_rank + 1)
    return np.cumsum(counts[1:]).astype(np.float64)


def _counts(values: Float64, edges: Float64) -> Int64:
    """(B,) how many lie in each bin; what is below the first edge counts in the first, infinity in none."""
    bins = np.searchsorted(edges[1:-1], values[values < np.inf], side="right")
    return np.bincount(bins, minlength=len(edges) - 1)


def _coarse(edges: Float64, same: Int64, different: Int64) -> DistanceHistogram:
    """Cut the empty ends off and merge bins to about equal widths, fewer for fewer pairs of one person."""
    different = np.where(np.isfinite(edges[1:]), different, 0)
    used = np.flatnonzero(same + different)
    low, high = (int(used[0]), int(used[-1]) + 1) if used.size else (0, 1)
    bins = int(np.clip(2 * np.sqrt(same.sum()), _LEAST_BINS, _MOST_BINS))
    wanted = np.linspace(edges[low], edges[high], bins + 1)
    starts = np.unique(low + np.searchsorted(edges[low : high + 1], wanted[:-1], side="right") - 1)
    return DistanceHistogram(
        edges=np.append(edges[starts], edges[high]),
        same=np.add.reduceat(same[:high], starts),
        different=np.add.reduceat(different[:high], starts),
    )


def _check_counts(q_pids: Int64, g_pids: Int64, *, max_rank: int, top_k: int) -> None:
    for name, least in (("max_rank", max_rank), ("top_k", top_k)):
        if least < 1:
            raise InputError(f"{name}: must be at least 1, got {least}")
    for name, pids in (("query", q_pids), ("gallery", g_pids)):
        if not len(pids):
            raise InputError(f"the {name} is empty: there is nothing to evaluate")


def _check_distances(dist_QG: Distances) -> Distances:
    array = np.asarray(dist_QG)
    if array.ndim != 2:
        raise ShapeError("dist_QG", expected="(Q, G)", actual=array.shape)
    if array.dtype not in (np.float16, np.float32, np.float64):
        raise InputError(f"dist_QG: expected float16, float32 or float64, got {array.dtype}")
    return array


def _labels(name: str, values: npt.ArrayLike, length: int) -> Int64:
    array = np.asarray(values)
    if array.shape != (length,):
        raise ShapeError(name, expected=(length,), actual=array.shape)
    if length and not np.issubdtype(array.dtype, np.integer):
        raise InputError(f"{name}: expected integers, got {array.dtype}")
    return array.astype(np.int64)


def _paths(name: str, values: Sequence[str] | None, length: int) -> Sequence[str] | None:
    if values is not None and len(values) != length:
        raise ShapeError(name, expected=(length,), actual=(len(values),))
    return values

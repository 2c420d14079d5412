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
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.console import Console

from omnireid.core.errors import InputError, ShapeError, UnknownNameError
from omnireid.core.progress import progress_bar
from omnireid.core.seeds import numpy_generator
from omnireid.core.types import JUNK_PID, EmbeddingSet, Protocol
from omnireid.evaluation.distance import check_distance, distance_blocks
from omnireid.evaluation.result import SINGLE_SHOT_DRAWS, DistanceHistogram, Outcome, RetrievalResult

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]
Distances = npt.NDArray[np.floating]

UNKNOWN_CAMERA = -1

_BLOCK_BYTES = 64 << 20
_FINE_BINS = 1024
_LEAST_BINS, _MOST_BINS = 16, 96


def rank_metrics(
    dist_QG: Distances,
    q_pids: npt.ArrayLike,
    g_pids: npt.ArrayLike,
    q_camids: npt.ArrayLike | None = None,
    g_camids: npt.ArrayLike | None = None,
    *,
    protocol: Protocol = Protocol.MARKET1501,
    q_paths: Sequence[str] | None = None,
    g_paths: Sequence[str] | None = None,
    max_rank: int = 50,
    top_k: int = 10,
    seed: int = 0,
    distance: str = "given",
    normalised: bool = False,
    console: Console | None = None,
) -> RetrievalResult:
    """Score a distance matrix.

    Args:
        dist_QG: (Q, G) float16, float32 or float64; smaller is closer. Infinity is allowed, NaN is not.
        q_pids, g_pids: (Q,) and (G,) integers; −1 is junk. A pid 0 that no query has is a distractor.
        q_camids, g_camids: (Q,) and (G,) integers; left out only under the no-camera protocol.
        protocol: which gallery items count; see `Protocol`.
        q_paths, g_paths: files, by which the no-camera protocol finds a query's own picture.
        max_rank: length of the CMC curve; may exceed the gallery.
        top_k: closest gallery items to keep for each query.
        seed: of the ten draws of single-gallery-shot; the other protocols use no chance.
        distance, normalised: how `dist_QG` was made, for the record.
        console: where to show progress.

    Returns:
        The result. Equal distances rank by gallery index.

    Raises:
        ShapeError: lengths that do not fit `dist_QG`.
        InputError: NaN (the row is named), an empty set, cameras missing, or no valid query (says why).
    """
    dist_QG = _check_distances(dist_QG)
    scorer = _Scorer(
        _labels("q_pids", q_pids, dist_QG.shape[0]),
        _labels("g_pids", g_pids, dist_QG.shape[1]),
        None if q_camids is None else _labels("q_camids", q_camids, dist_QG.shape[0]),
        None if g_camids is None else _labels("g_camids", g_camids, dist_QG.shape[1]),
        _paths("q_paths", q_paths, dist_QG.shape[0]),
        _paths("g_paths", g_paths, dist_QG.shape[1]),
        protocol=protocol,
        max_rank=max_rank,
        top_k=top_k,
        seed=seed,
    )
    rows = max(1, _BLOCK_BYTES // (8 * dist_QG.shape[1]))
    scorer.set_range(*_finite_range(dist_QG))
    with progress_bar(console, transient=True) as bar:
        task = bar.add_task("ranking", total=len(dist_QG))
        for start in range(0, len(dist_QG), rows):
            block = dist_QG[start : start + rows]
            scorer.add(start, block)
            bar.advance(task, len(block))
    return scorer.result(distance, normalised)


def evaluate_embeddings(
    query: EmbeddingSet,
    gallery: EmbeddingSet,
    *,
    distance: str = "euclidean",
    protocol: Protocol = Protocol.MARKET1501,
    max_rank: int = 50,
    top_k: int = 10,
    seed: int = 0,
    console: Console | None = None,
) -> RetrievalResult:
    """Search the gallery for every query and score the result, a block of queries at a time.

    Args:
        query, gallery: embeddings of one and the same model.
        distance: one of `DISTANCES`.
        protocol, max_rank, top_k, seed, console: as for `rank_metrics`.

    Raises:
        InputError: embeddings of different models, an empty set, cameras missing, or no valid query.
        ShapeError: embeddings of different length.
        UnknownNameError: an unknown distance.
    """
    check_distance(distance)
    if query.model != gallery.model:
        raise InputError(
            f"query and gallery come from different models ({query.model!r}, {gallery.model!r}): "
            "embed both with the same one"
        )
    if query.normalised != gallery.normalised:
        raise InputError("only one of query and gallery is L2-normalised: embed both in the same way")
    scorer = _Scorer(
        query.pids,
        gallery.pids,
        query.camids,
        gallery.camids,
        query.paths,
        gallery.paths,
        protocol=protocol,
        max_rank=max_rank,
        top_k=top_k,
        seed=seed,
    )
    scorer.set_range(0.0, _largest_distance(query, gallery, distance))
    with progress_bar(console, transient=True) as bar:
        task = bar.add_task("ranking", total=len(query))
        for start, dist_BG in distance_blocks(query.embeddings, gallery.embeddings, distance):
            scorer.add(start, dist_BG)
            bar.advance(task, len(dist_BG))
    return scorer.result(distance, query.normalised)


class _Scorer:
    """Takes blocks of distances in query order and keeps what the result needs of them."""

    def __init__(
        self,
        q_pids: Int64,
        g_pids: Int64,
        q_camids: Int64 | None,
        g_camids: Int64 | None,
        q_paths: Sequence[str] | None,
        g_paths: Sequence[str] | None,
        *,
        protocol: Protocol,
        max_rank: int,
        top_k: int,
        seed: int,
    ) -> None:
        for name, least in (("max_rank", max_rank), ("top_k", top_k)):
            if least < 1:
                raise InputError(f"{name}: must be at least 1, got {least}")
        for name, pids in (("query", q_pids), ("gallery", g_pids)):
            if not len(pids):
                raise InputError(f"the {name} is empty: there is nothing to evaluate")
        self.protocol = _check_protocol(protocol)
        self.q_pids, self.g_pids = q_pids, g_pids
        self.num_queries, self.num_gallery = len(q_pids), len(g_pids)
        self.pairs = _Pairs(q_pids, g_pids, q_camids, g_camids, q_paths, g_paths, self.protocol)
        self.max_rank, self.seed = max_rank, seed
        self.ap = np.full(self.num_queries, np.nan)
        self.inp = np.full(self.num_queries, np.nan)
        self.first_match_rank = np.full(self.num_queries, np.nan)
        self.cmc_sum = np.zeros(max_rank)
        top = (self.num_queries, min(top_k, self.num_gallery))
        self.top_indices = np.empty(top, np.int64)
        self.top_outcomes = np.empty(top, np.int8)
        self.top_distances = np.empty(top)

    def set_range(self, low: float, high: float) -> None:
        """Between which distances the histogram counts; known before the first block."""
        if not low < high:
            low, high = (low, low + 1.0) if np.isfinite(low) else (0.0, 1.0)
        self.edges = np.linspace(low, high, _FINE_BINS + 1)
        self.same = np.zeros(_FINE_BINS, np.int64)
        self.scored = np.zeros(_FINE_BINS, np.int64)

    def add(self, first_query: int, dist_BG: Distances) -> None:
        nan = np.flatnonzero(np.isnan(dist_BG).any(axis=1))
        if nan.size:
            raise InputError(f"distances: row {first_query + int(nan[0])} holds NaN")
        pairs = [self.pairs.of(first_query + row) for row in range(len(dist_BG))]
        # Sorted values give every match its rank by bisection; junk goes to the end, out of the way.
        sorted_BG = dist_BG.astype(np.float32 if dist_BG.dtype == np.float32 else np.float64)
        for row, (_, junk) in enumerate(pairs):
            sorted_BG[row, junk] = np.inf
        sorted_BG.sort(axis=1)
        for row, (matches, junk) in enumerate(pairs):
            query, dist_G, sorted_G = first_query + row, dist_BG[row], sorted_BG[row]
            self._count(dist_G[matches], sorted_G, self.num_gallery - len(junk))
            self._keep_closest(query, dist_G, sorted_G, matches, junk)
            if not len(matches):
                continue
            if self.protocol is Protocol.SINGLE_GALLERY_SHOT:
                ranks = self._draw_ranks(query, dist_G, matches)
                self.first_match_rank[query] = ranks.mean()
                self.cmc_sum += _hits(ranks, self.max_rank) / SINGLE_SHOT_DRAWS
                continue
            ranks = _match_ranks(dist_G, sorted_G, matches, junk)
            self.first_match_rank[query] = ranks[0]
            self.ap[query] = np.mean(np.arange(1, len(ranks) + 1) / ranks)
            self.inp[query] = len(ranks) / ranks[-1]
            self.cmc_sum += _hits(ranks[:1], self.max_rank)

    def _draw_ranks(self, query: int, dist_G: Distances, matches: Int64) -> Int64:
        """Rank of the match in ten draws of one gallery item per identity. (10,) int64."""
        generator = numpy_generator(self.seed, "single-gallery-shot", query)
        drawn_MI = self.pairs.draw_others(generator, int(self.q_pids[query]))
        match_M = matches[generator.integers(len(matches), size=SINGLE_SHOT_DRAWS)]
        dist_MI, dist_M1 = dist_G[drawn_MI], dist_G[match_M][:, None]
        before_MI = (dist_MI < dist_M1) | ((dist_MI == dist_M1) & (drawn_MI < match_M[:, None]))
        ranks_M: Int64 = 1 + np.count_nonzero(before_MI, axis=1)
        return ranks_M

    def _count(self, match_distances: Distances, sorted_G: Distances, num_scored: int) -> None:
        below = np.searchsorted(sorted_G[:num_scored], self.edges[1:-1].astype(sorted_G.dtype))
        self.scored += np.diff(below, prepend=0, append=np.searchsorted(sorted_G[:num_scored], np.inf))
        bins = np.searchsorted(self.edges[1:-1].astype(sorted_G.dtype), match_distances, side="right")
        np.add.at(self.same, bins[match_distances < np.inf], 1)

    def _keep_closest(
        self, query: int, dist_G: Distances, sorted_G: Distances, matches: Int64, junk: Int64
    ) -> None:
        width = self.top_indices.shape[1]
        # The k closest of all are among those no farther than the k-th closest without junk.
        near = np.flatnonzero(dist_G <= sorted_G[width - 1])
        near = near[np.argsort(dist_G[near], kind="stable")[:width]]
        outcomes = np.full(width, Outcome.WRONG, np.int8)
        outcomes[np.isin(near, matches)] = Outcome.MATCH
        outcomes[np.isin(near, junk)] = Outcome.JUNK
        self.top_indices[query], self.top_outcomes[query] = near, outcomes
        self.top_distances[query] = dist_G[near]

    def result(self, distance: str, normalised: bool) -> RetrievalResult:
        valid = ~np.isnan(self.first_match_rank)
        if not valid.any():
            raise InputError(self._why_none_is_valid())
        scores_matches = self.protocol is not Protocol.SINGLE_GALLERY_SHOT
        return RetrievalResult(
            cmc=self.cmc_sum / valid.sum(),
            mAP=float(self.ap[valid].mean()) if scores_matches else None,
            mINP=float(self.inp[valid].mean()) if scores_matches else None,
            num_queries=self.num_queries,
            num_valid_queries=int(valid.sum()),
            num_gallery=self.num_gallery,
            ap=self.ap,
            inp=self.inp,
            first_match_rank=self.first_match_rank,
            top_indices=self.top_indices,
            top_outcomes=self.top_outcomes,
            top_distances=self.top_distances,
            histogram=_coarse(self.edges, self.same, self.scored - self.same),
            distance=distance,
            protocol=self.protocol,
            normalised=normalised,
        )

    def _why_none_is_valid(self) -> str:
        absent = int((~np.isin(self.q_pids, self.g_pids) | (self.q_pids == JUNK_PID)).sum())
        only_junk = self.num_queries - absent
        reasons = []
        if absent:
            reasons.append(f"{absent} have a pid that the gallery lacks")
        if only_junk and self.protocol is Protocol.NO_CAMERA:
            reasons.append(f"{only_junk} are the only picture of their person")
        elif only_junk:
            reasons.append(
                f"{only_junk} meet their person only in their own camera. If the data has no real "
                "cameras, evaluate with the no-camera protocol"
            )
        return f"no valid query: of {self.num_queries}, " + "; ".join(reasons)


class _Pairs:
    """Which gallery items match a query and which are junk to it, without a (Q, G) mask."""

    def __init__(
        self,
        q_pids: Int64,
        g_pids: Int64,
        q_camids: Int64 | None,
        g_camids: Int64 | None,
        q_paths: Sequence[str] | None,
        g_paths: Sequence[str] | None,
        protocol: Protocol,
    ) -> None:
        self.q_pids, self.protocol = q_pids, protocol
        self.by_pid = np.argsort(g_pids, kind="stable")
        sorted_pids = g_pids[self.by_pid]
        self.start = np.searchsorted(sorted_pids, q_pids, side="left")
        self.stop = np.searchsorted(sorted_pids, q_pids, side="right")
        self.always_junk = np.flatnonzero(g_pids == JUNK_PID)
        scored = sorted_pids != JUNK_PID
        self.scored_items = self.by_pid[scored]
        self.pids, self.pid_starts, self.pid_counts = np.unique(
            sorted_pids[scored], return_index=True, return_counts=True
        )
        if protocol is Protocol.NO_CAMERA:
            self.own_file = _own_files(q_paths, g_paths)
        else:
            self.q_camids = _cameras("query", q_pids, q_camids, protocol)
            self.g_camids = _cameras("gallery", g_pids, g_camids, protocol)

    def of(self, query: int) -> tuple[Int64, Int64]:
        """Gallery indices of the matches, ascending, and of the junk."""
        same_pid = self.by_pid[self.start[query] : self.stop[query]]
        if self.q_pids[query] == JUNK_PID:
            return same_pid[:0], same_pid
        if self.protocol is Protocol.NO_CAMERA:
            own = self.own_file.get(query, same_pid[:0])
            matches = same_pid[~np.isin(same_pid, own)] if len(own) else same_pid
            return matches, np.union1d(own, self.always_junk) if len(own) else self.always_junk
        same_camera = self.g_camids[same_pid] == self.q_camids[query]
        junk = same_pid[same_camera]
        return same_pid[~same_camera], np.append(self.always_junk, junk) if len(self.always_junk) else junk

    def draw_others(self, generator: np.random.Generator, pid: int) -> Int64:
        """(10, I) gallery indices: in each draw, one item of every identity but `pid`."""
        other = self.pids != pid
        share = generator.random((SINGLE_SHOT_DRAWS, int(other.sum())))
        place = self.pid_starts[other] + (share * self.pid_counts[other]).astype(np.int64)
        drawn_MI: Int64 = self.scored_items[place]
        return drawn_MI


def _match_ranks(dist_G: Distances, sorted_G: Distances, matches: Int64, junk: Int64) -> Int64:
    """Ranks of the matches among all that is not junk, ascending, from 1. (M,) int64."""
    match_distances = np.sort(dist_G[matches]).astype(sorted_G.dtype)
    closer = np.searchsorted(sorted_G, match_distances, side="left")
    if (np.searchsorted(sorted_G, match_distances, side="right") == closer + 1).all():
        return closer + 1
    # Ties: only a stable sort tells which of the equal ones has the smaller gallery index.
    kept = np.delete(np.arange(len(dist_G)), junk)
    order = kept[np.argsort(dist_G[kept], kind="stable")]
    return 1 + np.flatnonzero(np.isin(order, matches))


def _hits(first_ranks: Int64, max_rank: int) -> Float64:
    """(max_rank,) how many of the ranks are at most 1, 2, …"""
    counts = np.bincount(first_ranks[first_ranks <= max_rank], minlength=max_rank + 1)
    return np.cumsum(counts[1:]).astype(np.float64)


def _coarse(edges: Float64, same: Int64, different: Int64) -> DistanceHistogram:
    """Cut the empty ends off and merge bins, the coarser the fewer pairs of one person there are."""
    used = np.flatnonzero(same + different)
    low, high = (int(used[0]), int(used[-1]) + 1) if used.size else (0, 1)
    bins = int(np.clip(2 * np.sqrt(same.sum()), _LEAST_BINS, _MOST_BINS))
    step = -(-(high - low) // bins)
    starts = np.arange(low, high, step)
    return DistanceHistogram(
        edges=np.append(edges[starts], edges[high]),
        same=np.add.reduceat(same[:high], starts),
        different=np.add.reduceat(different[:high], starts),
    )


def _largest_distance(query: EmbeddingSet, gallery: EmbeddingSet, distance: str) -> float:
    """An upper bound, close enough for the bins of a histogram."""
    if distance == "cosine" or not len(query) or not len(gallery):
        return 2.0
    centre_D = gallery.embeddings.mean(axis=0, dtype=np.float64).astype(np.float32)
    reach = sum(
        float(np.linalg.norm(embeddings - centre_D, axis=1).max())
        for embeddings in (query.embeddings, gallery.embeddings)
    )
    return reach if distance == "euclidean" else reach * reach


def _finite_range(dist_QG: Distances) -> tuple[float, float]:
    """Smallest and largest distance that is not infinite, row by row to need no second matrix."""
    low, high = np.inf, -np.inf
    for dist_G in dist_QG:
        finite = dist_G[np.isfinite(dist_G)]
        low, high = min(low, finite.min(initial=np.inf)), max(high, finite.max(initial=-np.inf))
    return float(low), float(high)


def _check_protocol(protocol: Protocol) -> Protocol:
    known = [one.value for one in Protocol]
    if protocol not in known:
        raise UnknownNameError("protocol", str(protocol), known)
    return Protocol(protocol)


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


def _cameras(name: str, pids: Int64, camids: Int64 | None, protocol: Protocol) -> Int64:
    known = (
        np.zeros(len(pids), np.bool_) if camids is None else (camids != UNKNOWN_CAMERA) | (pids == JUNK_PID)
    )
    if camids is None or not known.all():
        raise InputError(
            f"{name}: row {int(known.argmin())} has no camera, which the {protocol.value} protocol needs; "
            "evaluate with the no-camera protocol if the data has none"
        )
    return camids


def _own_files(q_paths: Sequence[str] | None, g_paths: Sequence[str] | None) -> dict[int, Int64]:
    """Gallery indices of the very file that a query is, for the queries that are in the gallery."""
    if q_paths is None or g_paths is None:
        return {}
    where: dict[Path, list[int]] = {}
    for index, path in enumerate(g_paths):
        where.setdefault(Path(path).absolute(), []).append(index)
    found = ((query, where.get(Path(path).absolute())) for query, path in enumerate(q_paths) if path)
    return {query: np.array(indices, np.int64) for query, indices in found if indices}

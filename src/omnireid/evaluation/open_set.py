"""Open-set identification by the watch-list protocol: is this person one of those we know, and which?

The test identities are split at random into known ones, whose gallery pictures are the watch list, and
unknown ones, who are not enrolled. Every query of a known person is a *mate search*, every query of an
unknown one a *non-mate search*. At a threshold t on the distance

    FPIR(t) = share of non-mate searches whose closest enrolled picture is closer than t
    TPIR(t) = share of mate searches whose closest enrolled picture is of the right person and closer than t
    FNIR(t) = 1 − TPIR(t)

TPIR with this condition on the first rank is also called DIR, detection and identification rate, and FPIR the
false-accept rate (FAR) of the search. The ROC curve is TPIR over FPIR, the DET curve FNIR over FPIR. Which
identities are known is drawn anew several times; figures are means over these draws, with their deviation.

A query's gallery pictures of its own person in its own camera are junk, as in the closed-set protocol; a
query that has no others is no mate search. Left out: pid −1, distractors and everybody else whom no query
looks for, because nobody enrols them. Equal distances of two people identify neither: the search misses.

Sources: Liao et al., Open-set Person Re-identification, arXiv 1408.0872 (DIR at FAR); Grother, Ngan and
Hanaoka, FRVT Part 2: Identification, NISTIR 8271 (FPIR, FNIR, mate and non-mate searches).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.console import Console

from omnireid.core.arrays import Bool, Float64, Int64
from omnireid.core.display import short_repr
from omnireid.core.errors import InputError
from omnireid.core.options import Protocol
from omnireid.core.progress import progress_bar
from omnireid.core.record import OpenSetPointRecord, OpenSetRecord, SpreadRecord
from omnireid.core.seeds import numpy_generator
from omnireid.core.types import JUNK_PID, Embeddings, check_comparable
from omnireid.evaluation.distance import check_distance
from omnireid.evaluation.options import Ranking
from omnireid.evaluation.relevance import Relevance
from omnireid.evaluation.streaming import Comparison, Team, Tile

FPIR_LEVELS = (0.001, 0.01, 0.1)


@dataclass(frozen=True, eq=False)
class WatchList:
    """One draw of known identities, and the searches on it.

    Attributes:
        num_known, num_unknown: identities enrolled, and those who are searched for in vain.
        mate_distances: (M,) float64 ascending; to the right person, infinite where somebody else is as close.
        non_mate_distances: (U,) float64 ascending; to the closest enrolled picture.
    """

    num_known: int
    num_unknown: int
    mate_distances: Float64
    non_mate_distances: Float64

    __repr__ = short_repr

    def threshold(self, fpir: float) -> float | None:
        """The largest distance below which searches may be accepted at this FPIR.

        Acceptance is `distance < threshold`. None where the draw has fewer than 1/FPIR non-mate searches:
        then the first false alarm exceeds the level, and a threshold could only be extrapolated.

        Raises:
            InputError: an FPIR that is not above 0 and at most 1.
        """
        if not 0 < fpir <= 1:
            raise InputError(f"fpir: expected above 0 and at most 1, got {fpir}")
        num_allowed = _whole(fpir * len(self.non_mate_distances))
        if num_allowed < 1:
            return None
        if num_allowed >= len(self.non_mate_distances):
            return math.inf
        return float(self.non_mate_distances[num_allowed])

    def tpir(self, fpir: float) -> float | None:
        """TPIR at the threshold of this FPIR; None where it cannot be measured."""
        threshold = self.threshold(fpir)
        return None if threshold is None else self._accepted(threshold)

    @property
    def eer(self) -> float:
        """Equal error rate: the smallest level that FPIR and FNIR both keep at some threshold."""
        non_mates = self.non_mate_distances
        # Only a threshold at a non-mate's distance accepts as many mates as its FPIR allows.
        thresholds = np.append(non_mates, np.inf)
        fpir = np.searchsorted(non_mates, thresholds, side="left") / len(non_mates)
        fnir = 1 - np.searchsorted(self.mate_distances, thresholds, side="left") / len(self.mate_distances)
        return float(np.maximum(fpir, fnir).min())

    def _accepted(self, threshold: float) -> float:
        return float(np.searchsorted(self.mate_distances, threshold, side="left") / len(self.mate_distances))


@dataclass(frozen=True, eq=False)
class OpenSetResult:
    """Open-set metrics over several draws of known identities.

    Attributes:
        draws: at least one.
        distance, normalised, protocol: what the searches were made with.
        known_share, seed: what the draws were made with.
    """

    draws: tuple[WatchList, ...]
    distance: str
    normalised: bool
    protocol: Protocol
    known_share: float
    seed: int

    __repr__ = short_repr

    @property
    def num_mate_searches(self) -> float:
        """Mean over the draws."""
        return float(np.mean([len(draw.mate_distances) for draw in self.draws]))

    @property
    def num_non_mate_searches(self) -> float:
        """Mean over the draws."""
        return float(np.mean([len(draw.non_mate_distances) for draw in self.draws]))

    @property
    def lowest_fpir(self) -> float:
        """The lowest FPIR that every draw can measure: one false alarm."""
        return 1 / min(len(draw.non_mate_distances) for draw in self.draws)

    def tpir(self, fpir: float) -> tuple[float, ...] | None:
        """TPIR (= DIR at rank 1) of each draw; None where a draw has fewer than 1/FPIR non-mate searches."""
        values = tuple(value for draw in self.draws if (value := draw.tpir(fpir)) is not None)
        return values if len(values) == len(self.draws) else None

    def threshold(self, fpir: float) -> tuple[float, ...] | None:
        """Threshold on the distance in each draw; None where `tpir` is."""
        values = tuple(value for draw in self.draws if (value := draw.threshold(fpir)) is not None)
        return values if len(values) == len(self.draws) else None

    @property
    def eer(self) -> tuple[float, ...]:
        """Equal error rate of each draw."""
        return tuple(draw.eer for draw in self.draws)

    def curve(self, points: int = 60) -> Float64:
        """The ROC curve, averaged over the draws at equal FPIR; 1 − TPIR makes it the DET curve.

        Args:
            points: FPIR values, evenly spaced on a logarithmic axis.

        Returns:
            (points, 2) float64: FPIR ascending from the lowest that can be measured to 1, and mean TPIR.

        Raises:
            InputError: fewer than two points.
        """
        if points < 2:
            raise InputError(f"points: expected at least 2, got {points}")
        levels = np.geomspace(self.lowest_fpir, 1.0, points)
        levels[-1] = 1.0  # exactly, whatever rounding left
        tpir = [np.mean(values) for level in levels.tolist() if (values := self.tpir(level)) is not None]
        return np.stack([levels, np.array(tpir, np.float64)], axis=1)

    def open_set_record(self, levels: Sequence[float] = FPIR_LEVELS) -> OpenSetRecord:
        """Operating points at these FPIR, EER and curve, for the result record.

        Raises:
            InputError: an FPIR that is not above 0 and at most 1.
        """
        return OpenSetRecord(
            distance=self.distance,
            normalised=self.normalised,
            protocol=self.protocol.value,
            known_share=self.known_share,
            seed=self.seed,
            mate_searches=self.num_mate_searches,
            non_mate_searches=self.num_non_mate_searches,
            points=tuple(
                OpenSetPointRecord(
                    fpir=level, tpir=_spread(self.tpir(level)), threshold=_spread(self.threshold(level))
                )
                for level in levels
            ),
            eer=SpreadRecord.of(self.eer),
            curve=tuple((float(fpir), float(tpir)) for fpir, tpir in self.curve()),
        )


def open_set_metrics(
    query: Embeddings,
    gallery: Embeddings,
    ranking: Ranking = Ranking(),
    *,
    protocol: Protocol = Protocol.MARKET1501,
    known_share: float = 0.5,
    repeats: int = 10,
    console: Console | None = None,
) -> OpenSetResult:
    """Search a watch list of some identities with the queries of all, in tiles: no distance matrix.

    Distances are exact, as those of `evaluate_embeddings`: a float32 product finds who may be the closest,
    float64 decides. Memory holds a tile of distances and, for each draw, one number a query.

    Args:
        query, gallery: embeddings of one and the same model; memory-mapped arrays are read a tile at a time.
        ranking: Its `distance`, `seed` (of the draws; each has a stream of its own) and `threads`.
        protocol: `NO_CAMERA` makes only the query's own file junk; with the other two all gallery pictures
            of a known person are enrolled, and those in the query's own camera are junk.
        known_share: share of the identities that query and gallery share; at least one is known, one unknown.
            Identities that only the query has are unknown in every draw.
        repeats: draws of the known identities.
        console: where to show progress.

    Raises:
        InputError: embeddings of different models, cameras missing, too few identities, a share or number out
            of range, or a draw without mate or non-mate searches.
        ShapeError: embeddings of different length.
        UnknownNameError: an unknown distance.
    """
    name = check_distance(ranking.distance)
    protocol = Protocol.named(protocol)
    check_comparable(query, gallery)
    if not 0 < known_share < 1:
        raise InputError(f"known_share: expected between 0 and 1, got {known_share}")
    if repeats < 1:
        raise InputError(f"repeats: expected at least 1, got {repeats}")
    shared = np.setdiff1d(np.intersect1d(query.pids, gallery.pids), [JUNK_PID])
    unenrolled = np.setdiff1d(query.pids, np.append(shared, JUNK_PID))
    known_RI = _draw_known(shared, bool(len(unenrolled)), known_share, repeats, ranking.seed)
    pairs = Relevance.of(query, gallery, protocol)
    own_Q = _places(query.pids, shared)
    with Team(ranking.threads) as team:
        comparison = Comparison(query.vectors, gallery.vectors, name, team)
        mate_Q, other_QR = _closest(
            comparison, pairs, own_Q, _places(gallery.pids, shared), np.stack(known_RI, axis=1), console
        )
    for sq_dist in (mate_Q, other_QR):
        if name == "euclidean":
            np.sqrt(sq_dist, out=sq_dist)
        elif name == "cosine":
            # ‖a − b‖² = 2 − 2 a·b for unit vectors.
            sq_dist *= 0.5
    searches = query.pids != JUNK_PID
    draws = tuple(
        _watch_list(mate_Q[searches], other_Q, own_Q[searches], known_I, len(shared) + len(unenrolled))
        for other_Q, known_I in zip(other_QR[searches].T, known_RI, strict=True)
    )
    return OpenSetResult(draws, name, query.is_unit, protocol, known_share, ranking.seed)


def _places(pids: Int64, shared: Int64) -> Int64:
    """(N,) which of the ascending shared identities each is; −1 for none."""
    return np.where(np.isin(pids, shared), np.searchsorted(shared, pids), -1)


def _closest(
    comparison: Comparison,
    pairs: Relevance,
    own_Q: Int64,
    person_G: Int64,
    known_IR: Bool,
    console: Console | None,
) -> tuple[Float64, Float64]:
    """Squared distances, infinite for none: (Q,) to the own person, (Q, R) to the closest other known one."""
    from omnireid.evaluation.kernels import closest_known

    ones = np.ones(len(own_Q))
    mate_Q, other_QR = np.full(len(own_Q), np.inf), np.full((len(own_Q), known_IR.shape[1]), np.inf)
    with progress_bar(console, transient=True) as bar:
        task = bar.add_task("open set", total=len(own_Q))
        for block in comparison.query_blocks():
            queries, items, junk = pairs.known(block.first, block.stop)
            queries, items = queries[~junk], items[~junk]
            np.minimum.at(mate_Q, queries, comparison.levels(queries, items, ones))

            part = slice(block.first, block.stop)
            state = own_Q[part], known_IR, other_QR[part]

            def rest(tile: Tile, state: Any = state) -> tuple[Any, ...]:
                return person_G[tile.first_item : tile.first_item + tile.num_items], *state

            comparison.share_tiles(block, closest_known, comparison.factor**2 / 2.0, rest)
            bar.advance(task, len(block))
    return mate_Q, other_QR


def _draw_known(
    shared: Int64, has_unenrolled: bool, known_share: float, repeats: int, seed: int
) -> list[Bool]:
    """For each draw, (I,) which of the shared identities are enrolled."""
    most = len(shared) if has_unenrolled else len(shared) - 1
    if most < 1:
        raise InputError(
            f"open-set metrics: query and gallery share {len(shared)} identities; at least two are needed, "
            "one to enrol and one to keep out"
        )
    num_known = min(max(1, round(known_share * len(shared))), most)
    draws = []
    for draw in range(repeats):
        known_I = np.zeros(len(shared), np.bool_)
        known_I[numpy_generator(seed, "open-set", draw).permutation(len(shared))[:num_known]] = True
        draws.append(known_I)
    return draws


def _watch_list(
    mate_Q: Float64, other_Q: Float64, own_Q: Int64, known_I: Bool, num_identities: int
) -> WatchList:
    is_known_Q = (own_Q >= 0) & known_I[own_Q]
    is_mate_Q = is_known_Q & np.isfinite(mate_Q)
    mates = np.where(mate_Q < other_Q, mate_Q, np.inf)[is_mate_Q]
    non_mates = other_Q[~is_known_Q]
    if not len(mates):
        raise InputError(
            "open-set metrics: no mate search in a draw: queries meet the known people only in their own "
            "camera. If the data has no real cameras, use the no-camera protocol; else raise known_share"
        )
    if not len(non_mates):
        raise InputError("open-set metrics: no non-mate search in a draw; lower known_share")
    num_known = int(known_I.sum())
    return WatchList(num_known, num_identities - num_known, np.sort(mates), np.sort(non_mates))


def _spread(values: Sequence[float] | None) -> SpreadRecord | None:
    # A level of 1 accepts everything: its threshold is infinite, which JSON does not have.
    return None if values is None or not np.isfinite(values).all() else SpreadRecord.of(values)


def _whole(count: float) -> int:
    """Rounded down, where 0.1 · 30 is 3 although floats say 3.0000000000000004, and 0.29 · 100 is 29."""
    return math.floor(count * (1 + 1e-12) + 1e-12)

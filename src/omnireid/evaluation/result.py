"""What a ranking returns: one checked value that records, reports and tables are made from."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from omnireid.core.arrays import Bool, Float64, Int64
from omnireid.core.display import html_table, short_repr
from omnireid.core.errors import InputError, ShapeError
from omnireid.core.options import Protocol
from omnireid.core.record import ProtocolRecord

SINGLE_SHOT_DRAWS = 10


class Outcome(IntEnum):
    """What a gallery item is to a query. Distractors are WRONG; JUNK is shown but never scored."""

    WRONG = 0
    MATCH = 1
    JUNK = 2


@dataclass(frozen=True, eq=False)
class DistanceHistogram:
    """How far apart pairs of one person, and of two people, are (junk pairs left out).

    Attributes:
        edges: (B + 1,) float64 ascending; the last bin includes its upper edge.
        same, different: (B,) int64 pairs in each bin.
    """

    edges: Float64
    same: Int64
    different: Int64

    __repr__ = short_repr

    def __post_init__(self) -> None:
        bins = (len(self.edges) - 1,)
        for name, counts in (("same", self.same), ("different", self.different)):
            if counts.shape != bins:
                raise ShapeError(name, expected=bins, actual=counts.shape)


@dataclass(frozen=True, eq=False)
class RetrievalResult:
    """The ranking of a gallery for each query, scored by one protocol.

    Attributes:
        cmc: (max_rank,) float64; `cmc[k − 1]` is the share of valid queries with a match among the
            first k. It goes on unchanged beyond the size of the gallery.
        mAP, mINP: means over the valid queries; None under single-gallery-shot, and of classes.
        num_queries, num_valid_queries, num_gallery: counts; the gallery with its junk.
        ap, inp: (Q,) float64; NaN for queries that are not valid, and where mAP is None.
        first_match_rank: (Q,) float64, counted from 1 without junk (mean of the ten draws under
            single-gallery-shot); NaN for queries that are not valid.
        top_indices: (Q, K) int64 closest gallery items, junk included; K is at most the gallery's size.
        top_outcomes: (Q, K) int8, values of `Outcome`.
        top_distances: (Q, K) float64.
        histogram: distances of all scored pairs, those of invalid queries too.
        distance: name of the distance; "given" for a matrix of unknown origin.
        protocol: which gallery items counted.
        normalised: whether the embeddings had unit L2 norm.
        reranking: "none", or what changed embeddings or distances before ranking, with its constants.
    """

    cmc: Float64
    mAP: float | None  # noqa: N815 (the field's spelling)
    mINP: float | None  # noqa: N815
    num_queries: int
    num_valid_queries: int
    num_gallery: int
    ap: Float64
    inp: Float64
    first_match_rank: Float64
    top_indices: Int64
    top_outcomes: npt.NDArray[np.int8]
    top_distances: Float64
    histogram: DistanceHistogram
    distance: str
    protocol: Protocol
    normalised: bool = False
    reranking: str = "none"

    __repr__ = short_repr

    def __post_init__(self) -> None:
        per_query = (self.num_queries,)
        for name in ("ap", "inp", "first_match_rank"):
            if getattr(self, name).shape != per_query:
                raise ShapeError(name, expected=per_query, actual=getattr(self, name).shape)
        top = (self.num_queries, min(self.num_gallery, self.top_indices.shape[-1]))
        for name in ("top_indices", "top_outcomes", "top_distances"):
            if getattr(self, name).shape != top:
                raise ShapeError(name, expected=top, actual=getattr(self, name).shape)
        if self.cmc.ndim != 1 or not len(self.cmc):
            raise ShapeError("cmc", expected="(max_rank,)", actual=self.cmc.shape)
        if int(self.valid.sum()) != self.num_valid_queries or self.num_valid_queries < 1:
            raise InputError(f"num_valid_queries: {self.num_valid_queries} disagrees with first_match_rank")

    def _repr_html_(self) -> str:
        ranks = [k for k in (1, 5, 10, 20) if k <= len(self.cmc)]
        values = [*map(self.rank, ranks), self.mAP, self.mINP]
        return html_table(
            (*(f"rank-{k}" for k in ranks), "mAP", "mINP"),
            [["–" if value is None else f"{100 * value:.1f}" for value in values]],
            f"percent; {self.protocol.value}, {self.distance}, {self.num_valid_queries:,} valid queries, "
            f"re-ranking: {self.reranking}",
        )

    @property
    def valid(self) -> Bool:
        """(Q,) bool; whether a query had a match that is not junk."""
        return ~np.isnan(self.first_match_rank)

    def rank(self, k: int) -> float:
        """Rank-k accuracy: the share of valid queries with a match among the first k.

        Raises:
            InputError: k is not between 1 and max_rank.
        """
        if not 1 <= k <= len(self.cmc):
            raise InputError(
                f"rank({k}): this result holds ranks 1 to {len(self.cmc)}; evaluate with max_rank={k}"
            )
        return float(self.cmc[k - 1])

    def protocol_record(self) -> ProtocolRecord:
        return ProtocolRecord(
            name=self.protocol.value,
            distance=self.distance,
            normalised=self.normalised,
            reranking=self.reranking,
            num_queries=self.num_queries,
            num_valid_queries=self.num_valid_queries,
            num_gallery=self.num_gallery,
            repeats=SINGLE_SHOT_DRAWS if self.protocol is Protocol.SINGLE_GALLERY_SHOT else 1,
        )

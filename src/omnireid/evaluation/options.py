"""How embeddings are ranked and scored: choices and their defaults."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from omnireid.core.errors import InputError, UnknownNameError

DistanceName = Literal["euclidean", "sq_euclidean", "cosine"]
DISTANCES: tuple[str, ...] = get_args(DistanceName)

RerankingVariant = Literal["paper", "authors-code", "torchreid"]
VARIANTS: tuple[str, ...] = get_args(RerankingVariant)


@dataclass(frozen=True)
class QueryExpansion:
    """q′ = q + Σ wᵢ gᵢ over the k nearest gallery items, scaled to unit length.

    Attributes:
        k: neighbours that join the query.
        alpha: wᵢ = max(cos(q, gᵢ), 0)^α. 0 is average query expansion, wᵢ = 1.

    Sources: average (Chum et al., ICCV 2007), alpha (Radenović et al., TPAMI 2019).
    """

    k: int = 5
    alpha: float = 0.0

    def __post_init__(self) -> None:
        if self.k < 1:
            raise InputError(f"k: must be at least 1, got {self.k}")
        if not 0.0 <= self.alpha < math.inf:
            raise InputError(f"alpha: must be 0 or more, got {self.alpha}")

    def check(self, num_gallery: int, *, normalised: bool) -> None:
        """Refuse what `expand_queries` cannot do, before anything is embedded for it.

        Raises:
            InputError: embeddings that are not L2-normalised, or fewer gallery items than k.
        """
        if not normalised:
            raise InputError(
                "query expansion adds unit vectors: embed with L2 normalisation (--normalise, or "
                "Embedder.open(…, normalise=True))"
            )
        if self.k > num_gallery:
            raise InputError(
                f"k: must be between 1 and the {num_gallery} gallery rows, got {self.k} (query expansion)"
            )

    def __str__(self) -> str:
        weights = f"alpha {self.alpha:g}" if self.alpha else "average"
        return f"query expansion ({weights}, {self.k} neighbours)"


@dataclass(frozen=True)
class Reranking:
    """Constants of k-reciprocal re-ranking; the defaults are the paper's for Market-1501.

    Attributes:
        k1: neighbours that may be reciprocal.
        k2: descriptions averaged by local query expansion.
        lambda_: weight of the original distance, 0 to 1.
        variant: one of `VARIANTS`; see `evaluation.reranking`.
    """

    k1: int = 20
    k2: int = 6
    lambda_: float = 0.3
    variant: RerankingVariant = "paper"

    def __post_init__(self) -> None:
        for name, value in (("k1", self.k1), ("k2", self.k2)):
            if value < 1:
                raise InputError(f"{name}: must be at least 1, got {value}")
        if not 0.0 <= self.lambda_ <= 1.0:
            raise InputError(f"lambda_: must be between 0 and 1, got {self.lambda_}")
        if self.variant not in VARIANTS:
            raise UnknownNameError("variant of re-ranking", self.variant, VARIANTS)

    def __str__(self) -> str:
        return f"k-reciprocal ({self.variant}, k1 {self.k1}, k2 {self.k2}, λ {self.lambda_:g})"

    @property
    def neighbourhood(self) -> int:
        """How many items N(p, k1) holds."""
        return self.k1 if self.variant == "paper" else self.k1 + 1

    @property
    def half_neighbourhood(self) -> int:
        """How many items N(p, k1/2) holds."""
        half = round(self.k1 / 2)
        return max(1, half) if self.variant == "paper" else half + 1

    @property
    def list_length(self) -> int:
        """How many neighbours of each item are looked at, itself among them."""
        return max(self.neighbourhood, self.half_neighbourhood, self.k2)

    def check(self, count: int) -> None:
        """Refuse too few items, before anything is embedded for it.

        Raises:
            InputError: query and gallery together hold fewer than `list_length`.
        """
        if count < self.list_length:
            raise InputError(
                f"re-ranking with k1={self.k1}, k2={self.k2} needs at least {self.list_length} "
                f"pictures in query and gallery together, got {count}: choose smaller k1 and k2"
            )


@dataclass(frozen=True)
class Ranking:
    """How a gallery is ranked for queries. The defaults are those of the published OSNet figures.

    Attributes:
        distance: How far apart two embeddings are; see `evaluation.distance`.
        camera_means: Whether each camera's mean embedding is subtracted first; see `normalise_cameras`.
        expansion: Averages each query with its nearest gallery items then; see `expand_queries`.
        reranking: Re-ranks last, k-reciprocally; distances are then the re-ranked ones.
        max_rank: Length of the CMC curve, which may exceed the gallery.
        top_k: Closest gallery items that are kept for each query.
        seed: Of what is drawn: the ten galleries of single-gallery-shot, frames of tracklets.
        threads: How many rank; None takes all cores. The result does not depend on it.
    """

    distance: DistanceName = "euclidean"
    camera_means: bool = False
    expansion: QueryExpansion | None = None
    reranking: Reranking | None = None
    max_rank: int = 50
    top_k: int = 10
    seed: int = 0
    threads: int | None = None

    def check(self, num_query: int, num_gallery: int, *, normalised: bool) -> None:
        """Refuse what the data or the embeddings do not allow, before anything is embedded.

        Raises:
            InputError: Says what to change.
        """
        if self.expansion is not None:
            self.expansion.check(num_gallery, normalised=normalised)
        if self.reranking is not None:
            self.reranking.check(num_query + num_gallery)


CalibrationSplit = Literal["test", "train"]
WhiteningChoice = Literal["none", "centre", "zca"]
FRAMES_PER_TRACKLET = 8
"""Frames of an unlabelled tracklet that a calibration takes."""


@dataclass(frozen=True)
class CalibrationOptions:
    """What both sources of pairs share.

    Attributes:
        false_alarm_rates: shares of pairs of two people that may be taken for one.
        miss_rate: share of pairs of one person that may be taken for two.
        whitening: fitted on half of the people, who then give no pairs.
        max_pairs: different-person pairs to draw.
        seed: seed of all draws.

    Raises:
        InputError: no false-alarm rate, or a rate that is not between 0 and 1.
    """

    false_alarm_rates: tuple[float, ...] = (0.1, 0.01, 0.001)
    miss_rate: float = 0.05
    whitening: WhiteningChoice = "none"
    max_pairs: int = 500_000
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.false_alarm_rates:
            raise InputError("false_alarm_rates: expected at least one")
        for rate in (*self.false_alarm_rates, self.miss_rate):
            if not 0 < rate < 1:
                raise InputError(f"error rate: expected between 0 and 1, got {rate}")

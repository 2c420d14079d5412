"""Query expansion: search again with the mean of a query and what it found. No labels, no cameras."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from rich.console import Console

from omnireid.core.errors import InputError
from omnireid.core.types import EmbeddingSet
from omnireid.evaluation.neighbours import nearest_rows

_PAIRS_AT_ONCE = 1 << 16


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
        if not 0.0 <= self.alpha < np.inf:
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


def expand_queries(
    query: EmbeddingSet,
    gallery: EmbeddingSet,
    expansion: QueryExpansion,
    *,
    console: Console | None = None,
    threads: int | None = None,
) -> EmbeddingSet:
    """The queries moved towards what they found.

    Pictures of the query's own camera join it too: the method knows nothing but embeddings.

    Raises:
        InputError: embeddings that are not L2-normalised, or fewer gallery items than k.
    """
    expansion.check(len(gallery), normalised=query.normalised and gallery.normalised)
    found = nearest_rows(query.embeddings, gallery.embeddings, expansion.k, console=console, threads=threads)
    # ‖a − b‖² = 2 − 2 cos for unit vectors.
    weights = np.maximum(1.0 - 0.5 * found.sq_dists, 0.0) ** expansion.alpha
    expanded = np.empty_like(query.embeddings)
    rows = max(1, _PAIRS_AT_ONCE // expansion.k)
    for start in range(0, len(query), rows):
        part = slice(start, start + rows)
        joined = np.einsum("qk,qkd->qd", weights[part], gallery.embeddings[found.items[part]])
        joined += query.embeddings[part]
        length = np.linalg.norm(joined, axis=1, keepdims=True)
        # Opposite vectors may cancel; such a query stays what it was.
        expanded[part] = np.where(
            length > 0, joined / np.where(length > 0, length, 1.0), query.embeddings[part]
        )
    return dataclasses.replace(query, embeddings=expanded)

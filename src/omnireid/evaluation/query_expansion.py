"""Query expansion: search again with the mean of a query and what it found. No labels, no cameras."""

from __future__ import annotations

import dataclasses

import numpy as np
from rich.console import Console

from omnireid.core.types import Embeddings
from omnireid.evaluation.neighbours import nearest_rows
from omnireid.evaluation.options import QueryExpansion

_PAIRS_AT_ONCE = 1 << 16


def expand_queries(
    query: Embeddings,
    gallery: Embeddings,
    expansion: QueryExpansion,
    *,
    console: Console | None = None,
    threads: int | None = None,
) -> Embeddings:
    """The queries moved towards what they found.

    Pictures of the query's own camera join it too: the method knows nothing but embeddings.

    Raises:
        InputError: embeddings that are not L2-normalised, or fewer gallery items than k.
    """
    expansion.check(len(gallery), normalised=query.is_unit and gallery.is_unit)
    nearest = nearest_rows(query.vectors, gallery.vectors, expansion.k, console=console, threads=threads)
    # ‖a − b‖² = 2 − 2 cos for unit vectors.
    weights = np.maximum(1.0 - 0.5 * nearest.sq_dists, 0.0) ** expansion.alpha
    expanded = np.empty_like(query.vectors)
    rows = max(1, _PAIRS_AT_ONCE // expansion.k)
    for start in range(0, len(query), rows):
        part = slice(start, start + rows)
        joined = np.einsum("qk,qkd->qd", weights[part], gallery.vectors[nearest.items[part]])
        joined += query.vectors[part]
        length = np.linalg.norm(joined, axis=1, keepdims=True)
        # Opposite vectors may cancel; such a query stays what it was.
        expanded[part] = np.where(length > 0, joined / np.where(length > 0, length, 1.0), query.vectors[part])
    return dataclasses.replace(query, vectors=expanded)

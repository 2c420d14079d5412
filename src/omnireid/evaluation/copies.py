"""Queries whose very picture lies in the gallery under another name."""

from __future__ import annotations

import numpy as np

from omnireid.core.arrays import Int64
from omnireid.core.options import Protocol
from omnireid.core.types import Embeddings
from omnireid.evaluation.relevance import Relevance

# In another batch a picture may embed differently in its last bits; a video's next frame differs by far more.
_TOLERANCE = 1e-4
_QUERIES_AT_ONCE = 256


def find_copies(query: Embeddings, gallery: Embeddings, protocol: Protocol) -> Int64:
    """Matches that are the query's own picture: embeddings closer than 10⁻⁴ of their length.

    Only matches that the protocol counts are looked at, so it costs little beside the ranking.

    Returns:
        (C, 2) int64: query and gallery row, ascending.

    Raises:
        InputError: a camera is missing that the protocol needs.
    """
    pairs = Relevance.of(query, gallery, protocol)
    copies = [np.empty((0, 2), np.int64)]
    for first in range(0, len(query), _QUERIES_AT_ONCE):
        block = query.vectors[first : first + _QUERIES_AT_ONCE]
        rows, items, junk = pairs.known(first, first + len(block))
        rows, items = rows[~junk], items[~junk]
        limit = _TOLERANCE * np.linalg.norm(block, axis=1)
        # One value of each embedding tells nearly all of them apart.
        near = np.abs(block[rows - first, 0] - gallery.vectors[items, 0]) <= limit[rows - first]
        rows, items = rows[near], items[near]
        distance = np.linalg.norm(block[rows - first] - gallery.vectors[items], axis=1)
        same = distance <= limit[rows - first]
        copies.append(np.stack([rows[same], items[same]], axis=1))
    return np.concatenate(copies)

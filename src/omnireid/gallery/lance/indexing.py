"""The approximate index: one bit for each dimension, in partitions, tuned to its own recall.

LanceDB's IVF_RQ keeps 1-bit codes of all embeddings (84 bytes an item at 512 dimensions). A search compares
the query with the codes of the nearest partitions and reads the embeddings of the best candidates. How many
partitions it takes depends on the embeddings, so it is measured when the index is built.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from omnireid.core.arrays import Float32
from omnireid.core.vectors import unit_rows
from omnireid.gallery.encoding import matrix
from omnireid.gallery.lance.failures import committing, reading

FEWEST_ROWS = 50_000
"""Below this an exact search is as quick."""

INDEX = "embedding_idx"

_RECALL = 0.99
_RECALL_AT = 10
_QUERIES = 64
_SHARES = (0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.7, 1.0)
_CANDIDATES = (200, 1000)
# Each taking in of new items leaves a part that is searched by itself.
_MOST_PARTS = 12
# Grown by this factor the index is trained again: its partitions no longer fit.
_GROWTH = 3
_BATCH = 4096
_WHAT = "cannot build the index"


class Tuning(NamedTuple):
    """How the index is searched.

    Attributes:
        rows: items when it was trained.
        partitions: how many partitions it has.
        probes: partitions that a search looks at.
        candidates: items whose embeddings a search for a few reads and compares.
        recall: recall at 10, measured with items of the gallery as queries.
    """

    rows: int
    partitions: int
    probes: int
    candidates: int
    recall: float


def build(table: Any, rows: int) -> Tuning:
    """Train the index anew on all rows, put it in the place of the old one, and measure how to search it."""
    from lancedb.index import BTree, IvfRq

    partitions = max(1, round(math.sqrt(rows)))
    vectors = IvfRq(distance_type="cosine", num_partitions=partitions, num_bits=1)
    committing(_WHAT, lambda: table.create_index("embedding", config=vectors, replace=True, name=INDEX))
    committing(_WHAT, lambda: table.create_index("id", config=BTree(), replace=True))
    return _tuned(table, rows, partitions)


def is_outgrown(table: Any, tuning: Tuning, rows: int) -> bool:
    """Whether the index is to be trained again: the gallery has grown, or new items were taken in often."""
    stats = reading(_WHAT, lambda: table.index_stats(INDEX))
    return stats is None or stats.num_indices > _MOST_PARTS or rows > _GROWTH * tuning.rows


def drop(table: Any) -> None:
    """Delete the index on embeddings, and the one on ids that was built with it."""
    for index in reading(_WHAT, table.list_indices):
        committing(_WHAT, partial(table.drop_index, index.name))


def nearest(
    table: Any, query: Float32, k: int, tuning: Tuning | None, predicate: str | None, columns: list[str]
) -> pa.Table:
    """Rows by the distance of their embeddings: of those found through the index, or of all without one.

    Rows that are not in the index yet are compared too.
    """

    def read() -> pa.Table:
        search = table.search(query, vector_column_name="embedding", query_type="vector")
        search = search.distance_type("cosine").limit(k)
        if tuning is None:
            search = search.bypass_vector_index()
        else:
            # Without a filter the number is what was measured; with one, as many as it takes to find enough.
            most = tuning.probes if predicate is None else 0
            search = search.minimum_nprobes(tuning.probes).maximum_nprobes(most)
            search = search.refine_factor(max(4, math.ceil(tuning.candidates / k)))
        if predicate is not None:
            search = search.where(predicate, prefilter=True)
        return search.select([*columns, "_distance"]).to_arrow()

    return reading("cannot search the gallery", read)


def _tuned(table: Any, rows: int, partitions: int) -> Tuning:
    queries, expected = _sample(table, rows)
    ways = [(share, _CANDIDATES[0]) for share in _SHARES] + [(1.0, more) for more in _CANDIDATES[1:]]
    for share, candidates in ways:
        tuning = Tuning(rows, partitions, math.ceil(share * partitions), candidates, 0.0)
        answers = [nearest(table, query, _RECALL_AT, tuning, None, ["id"])["id"] for query in queries]
        hits = sum(
            len(best.intersection(ids.to_pylist())) for best, ids in zip(expected, answers, strict=True)
        )
        tuning = tuning._replace(recall=hits / sum(map(len, expected)))
        if tuning.recall >= _RECALL:
            break
    return tuning


def _sample(table: Any, rows: int) -> tuple[Float32, list[set[str]]]:
    """Embeddings of some items, and the ids of the nearest of each, by comparing with all."""
    # The same items each time: an index is measured alike wherever it is built.
    offsets = np.random.default_rng(rows).choice(rows, min(rows, _QUERIES), replace=False)

    def read() -> tuple[Float32, list[set[str]]]:
        picked = table.take_offsets(np.sort(offsets).tolist()).select(["embedding"]).to_arrow()
        queries_QD = unit_rows(matrix(picked["embedding"]).astype(np.float32))
        best_QK = np.full((len(queries_QD), _RECALL_AT), -np.inf, np.float32)
        ids_QK = np.full(best_QK.shape, "", dtype=object)
        for batch in table.search().select(["id", "embedding"]).to_batches(_BATCH):
            rows_ND = unit_rows(matrix(pa.chunked_array([batch["embedding"]])).astype(np.float32))
            ids = batch["id"].to_numpy(zero_copy_only=False)
            scores = np.concatenate([best_QK, queries_QD @ rows_ND.T], axis=1)
            top = np.argpartition(-scores, _RECALL_AT - 1, axis=1)[:, :_RECALL_AT]
            names = np.concatenate([ids_QK, np.broadcast_to(ids, (len(queries_QD), len(ids)))], axis=1)
            best_QK = np.take_along_axis(scores, top, axis=1)
            ids_QK = np.take_along_axis(names, top, axis=1)
        return queries_QD, [set(row) - {""} for row in ids_QK]

    return reading(_WHAT, read)

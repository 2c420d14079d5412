"""Cost of k-reciprocal re-ranking with everything after it, and how time and memory grow with N.

    python benchmarks/reranking.py [--counts 10000 20000 40000 80000] [--sizes market1501 msmt17]

N is query and gallery together. Prints a table and writes benchmarks/results/reranking.json. The bare
product is that of all N rows with each other, by the same blocks; "usual" is the method of complete
matrices in NumPy, up to --usual-most rows, because its memory grows with N².
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from embeddings import DIM, SIZES, Size, cost, embedding_sets, in_new_process
from evaluation import bare_product
from omnireid import Reranking, evaluate_embeddings
from omnireid.core.record import EnvironmentRecord
from omnireid.core.types import Embeddings
from omnireid.evaluation.options import Ranking
from options import new_file, run

RESULTS = Path(__file__).parent / "results" / "reranking.json"
RERANKING = Reranking()


def usual(rows: np.ndarray, num_query: int, k1: int = 20, k2: int = 6, lambda_: float = 0.3) -> np.ndarray:
    """Re-ranking by (N, N) matrices, one item at a time: distances, their order, descriptions, overlaps."""
    dist = (rows**2).sum(1)[:, None] + (rows**2).sum(1) - 2 * rows @ rows.T
    np.maximum(dist, 0, out=dist)
    dist /= dist.max(axis=1, keepdims=True)
    order = np.argsort(dist, axis=1)
    count, half = len(rows), round(k1 / 2)

    def reciprocal(item: int, k: int) -> np.ndarray:
        near = order[item, : k + 1]
        return near[(order[near, : k + 1] == item).any(axis=1)]

    described = np.zeros((count, count), np.float32)
    for item in range(count):
        core = reciprocal(item, k1)
        members = [core]
        for other in core:
            candidate = reciprocal(int(other), half)
            if len(np.intersect1d(candidate, core)) > 2 / 3 * len(candidate):
                members.append(candidate)
        union = np.unique(np.concatenate(members))
        weights = np.exp(-dist[item, union])
        described[item, union] = weights / weights.sum()
    described = np.stack([described[order[item, :k2]].mean(axis=0) for item in range(count)])
    final = np.empty((num_query, count - num_query), np.float32)
    columns = [np.flatnonzero(described[:, item]) for item in range(count)]
    for q in range(num_query):
        shared = np.zeros(count, np.float32)
        for item in np.flatnonzero(described[q]):
            where = columns[item]
            shared[where] += np.minimum(described[q, item], described[where, item])
        jaccard = 1 - shared / (2 - shared)
        final[q] = (1 - lambda_) * jaccard[num_query:] + lambda_ * dist[q, num_query:]
    return final


def part_of(size: Size, count: int) -> Size:
    """The benchmark's proportions at another N."""
    share = count / (size.queries + size.gallery)
    queries = round(size.queries * share)
    return Size(queries, count - queries, round(size.pids * share), size.cameras, size.distractors)


def measure(name: str, size: Size, usual_most: int) -> dict[str, Any]:
    evaluate_embeddings(*embedding_sets(part_of(size, 1500)), ranking=Ranking(reranking=RERANKING))
    query, gallery = embedding_sets(size)
    rows = np.concatenate([query.vectors, gallery.vectors])
    count = len(rows)
    blank = np.zeros(count, np.int64)
    everything = Embeddings.from_arrays(rows, blank, blank, ("",) * count, is_unit=True)
    product = cost(lambda: bare_product(everything, everything))
    run = cost(lambda: evaluate_embeddings(query, gallery, ranking=Ranking(reranking=RERANKING)))
    plain = evaluate_embeddings(query, gallery)
    row: dict[str, Any] = {
        "size": name,
        "queries": len(query),
        "gallery": len(gallery),
        "count": count,
        "product_s": product.seconds,
        "product_cpu_s": product.cpu_seconds,
        "reranking_s": run.seconds,
        "reranking_cpu_s": run.cpu_seconds,
        "peak_gib": run.peak_gib,
        "bytes_per_item": None if run.peak_gib is None else run.peak_gib * 2**30 / count,
        "mAP": run.result.mAP,
        "mAP_without": plain.mAP,
    }
    if count <= usual_most:
        dense = cost(lambda: usual(rows, len(query)))
        row["usual_s"], row["usual_peak_gib"] = dense.seconds, dense.peak_gib
    return row


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--counts", type=int, nargs="*", default=[10_000, 20_000, 40_000, 80_000])
    parser.add_argument("--sizes", nargs="*", choices=SIZES, default=list(SIZES))
    parser.add_argument("--usual-most", type=int, default=10_000)
    parser.add_argument("--out", type=new_file, default=RESULTS)
    options = parser.parse_args()
    rows = []
    cases = [(f"{count:,}", part_of(SIZES["msmt17"], count)) for count in options.counts]
    cases += [(name, SIZES[name]) for name in options.sizes]
    for name, size in cases:
        rows.append(in_new_process(measure, name, size, options.usual_most))
        print(rows[-1], flush=True)
    table = Table(title=f"{RERANKING}, {DIM} dimensions, evaluation included")
    titles = (
        "size",
        "N",
        "product s",
        "re-ranking s",
        "GiB",
        "bytes per item",
        "mAP",
        "before",
        "usual s",
        "usual GiB",
    )
    for title in titles:
        table.add_column(title, justify="left" if title == "size" else "right")
    for row in rows:
        table.add_row(
            row["size"],
            f"{row['count']:,}",
            f"{row['product_s']:.1f}",
            f"{row['reranking_s']:.1f}",
            f"{row['peak_gib']:.2f}",
            f"{row['bytes_per_item']:,.0f}",
            f"{row['mAP']:.3f}",
            f"{row['mAP_without']:.3f}",
            f"{row['usual_s']:.1f}" if "usual_s" in row else "–",
            f"{row['usual_peak_gib']:.1f}" if "usual_s" in row else "–",
        )
    Console().print(table)
    document = {"rows": rows, "environment": EnvironmentRecord.capture().model_dump()}
    options.out.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    run(main)

"""Cost of a whole evaluation beside its bare matrix product and beside the usual NumPy implementation.

    python benchmarks/evaluation.py [--sizes market1501 msmt17 million] [--rounds 5] [--open-set]

Prints a table and writes benchmarks/results/evaluation.json. "million" is 1,000 queries against a
million gallery rows in a memory-mapped file of 2 GB (--scratch says where). Product and evaluation
take turns. The product is made twice, by BLAS's own threads and shared out as the evaluation does;
`ratio` is to the faster one, of medians of seconds, `CPU ratio` of CPU seconds, which other processes
disturb less. `--threads 1` compares on one core. `--open-set` lets the watch-list searches (ten draws of the
known people) take their turn too.

`--reference-ranking FILE` is the reference implementation's compiled ranking (its extension `rank_cy`, built
for this Python). It then takes its turn in every round, the distances that it needs included. It holds the
whole matrix: 1 GiB for market1501, 19 for msmt17, so name the sizes.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import tempfile
import threading
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from embeddings import DIM, SIZES, Makes, Size, cost, embedding_sets, in_new_process, labels
from omnireid import evaluate_embeddings
from omnireid.core.machine import available_cores
from omnireid.core.record import EnvironmentRecord
from omnireid.core.types import Embeddings
from omnireid.evaluation.open_set import open_set_metrics
from omnireid.evaluation.options import Ranking
from omnireid.evaluation.streaming import TILE_ITEMS, TILE_QUERIES, Team, even_parts
from options import existing, new_file, new_folder, run

RESULTS = Path(__file__).parent / "results" / "evaluation.json"
MILLION = Size(1000, 1_000_000, 20_000, 20)
USUAL_QUERIES = 1000


def bare_product(query: Embeddings, gallery: Embeddings) -> None:
    """The float32 matrix product of the blocks that the evaluation uses, and nothing else."""
    buffer = np.empty(TILE_QUERIES * TILE_ITEMS, np.float32)
    for g_start, g_stop in even_parts(len(gallery), TILE_ITEMS):
        g_rows = gallery.vectors[g_start:g_stop]
        for q_start, q_stop in even_parts(len(query), TILE_QUERIES):
            q_rows = query.vectors[q_start:q_stop]
            out = buffer[: len(q_rows) * len(g_rows)].reshape(len(q_rows), len(g_rows))
            np.matmul(q_rows, g_rows.T, out=out)


def shared_product(query: Embeddings, gallery: Embeddings, threads: int | None) -> None:
    """The same products in single threads, as many at once as there are: as the evaluation makes them."""
    buffers = threading.local()

    def products(start: int, stop: int, g_rows: np.ndarray) -> None:
        if not hasattr(buffers, "room"):
            buffers.room = np.empty(TILE_QUERIES * TILE_ITEMS, np.float32)
        out = buffers.room[: (stop - start) * len(g_rows)].reshape(stop - start, len(g_rows))
        np.matmul(query.vectors[start:stop], g_rows.T, out=out)

    with Team(threads) as team:
        for g_start, g_stop in even_parts(len(gallery), TILE_ITEMS):
            team.share_tile(len(query), products, gallery.vectors[g_start:g_stop])


def usual(query: Embeddings, gallery: Embeddings) -> float:
    """mAP as re-ID code bases do it: the whole matrix, sorted as a whole, then a loop over queries."""
    q, g = query.vectors, gallery.vectors
    dist = (q**2).sum(1)[:, None] + (g**2).sum(1) - 2 * q @ g.T
    order = np.argsort(dist, axis=1)
    matches = gallery.pids[order] == query.pids[:, None]
    scores = []
    for row, pid in enumerate(query.pids):
        kept = ~((gallery.pids[order[row]] == pid) & (gallery.camids[order[row]] == query.camids[row]))
        hits = matches[row][kept]
        if hits.any():
            precision = hits.cumsum() / np.arange(1, len(hits) + 1)
            scores.append((precision * hits).sum() / hits.sum())
    return float(np.mean(scores))


def reference(ranking: Path, query: Embeddings, gallery: Embeddings) -> float:
    """mAP by the reference implementation's compiled ranking; ranks to 50, as it asks for."""
    spec = importlib.util.spec_from_file_location("rank_cy", ranking)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    q, g = query.vectors, gallery.vectors
    dist = (q**2).sum(1)[:, None] + (g**2).sum(1)
    dist -= 2 * (q @ g.T)
    labels = (query.pids, gallery.pids, query.camids, gallery.camids)
    return float(module.evaluate_cy(dist, *labels, 50)[1])


def first_queries(query: Embeddings, count: int) -> Embeddings:
    return query[:count]


def mapped_million(folder: Path) -> tuple[Embeddings, Embeddings]:
    rng = np.random.default_rng(5)
    makes = Makes(MILLION.pids, MILLION.cameras)
    path = folder / "gallery.f32"
    pids, camids = labels(MILLION.gallery, MILLION, rng, distractors=0.0)
    with path.open("wb") as file:
        for start in range(0, MILLION.gallery, 50_000):
            part = slice(start, start + 50_000)
            makes.rows(pids[part], camids[part], rng).tofile(file)
    mapped = np.memmap(path, np.float32, "r", shape=(MILLION.gallery, DIM))
    q_pids, q_camids = labels(MILLION.queries, MILLION, rng, distractors=0.0)
    query = Embeddings.from_arrays(
        makes.rows(q_pids, q_camids, rng), q_pids, q_camids, ("",) * len(q_pids), is_unit=True
    )
    return query, Embeddings.from_arrays(mapped, pids, camids, ("",) * len(pids), is_unit=True)


def measure(
    name: str, rounds: int, threads: int | None, open_set: bool, scratch: Path | None, ranking: Path | None
) -> dict[str, Any]:
    if name != "million":
        return measure_sets(name, *embedding_sets(SIZES[name]), rounds, threads, open_set, ranking)
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        return measure_sets(name, *mapped_million(Path(folder)), rounds, threads, open_set)


def measure_sets(
    name: str,
    query: Embeddings,
    gallery: Embeddings,
    rounds: int,
    threads: int | None,
    open_set: bool,
    ranking: Path | None = None,
) -> dict[str, Any]:
    warm = evaluate_embeddings(first_queries(query, 50), gallery)
    assert warm.num_queries == 50
    if open_set:
        assert open_set_metrics(first_queries(query, 50), gallery, repeats=1).draws
    costs: dict[str, list[Any]] = {"product": [], "shared_product": [], "evaluation": [], "open_set": []}
    reference_runs: list[Any] = []
    for _ in range(rounds):
        if threads is None:
            costs["product"].append(cost(lambda: bare_product(query, gallery)))
        costs["shared_product"].append(cost(lambda: shared_product(query, gallery, threads)))
        costs["evaluation"].append(
            cost(lambda: evaluate_embeddings(query, gallery, ranking=Ranking(threads=threads)))
        )
        if open_set:
            costs["open_set"].append(cost(lambda: open_set_metrics(query, gallery, Ranking(threads=threads))))
        if ranking is not None:
            reference_runs.append(cost(lambda: reference(ranking, query, gallery)))
    costs = {kind: runs for kind, runs in costs.items() if runs}
    result = costs["evaluation"][-1].result
    row: dict[str, Any] = {
        "size": name,
        "queries": len(query),
        "gallery": len(gallery),
        "mAP": result.mAP,
        "rank1": result.rank(1),
        "peak_gib": max(one.peak_gib or 0.0 for one in costs["evaluation"]),
    }
    if open_set:
        row["open_set_peak_gib"] = max(one.peak_gib or 0.0 for one in costs["open_set"])
    for kind, runs in costs.items():
        row[f"{kind}_s"] = statistics.median(one.seconds for one in runs)
        row[f"{kind}_best_s"] = min(one.seconds for one in runs)
        row[f"{kind}_cpu_s"] = statistics.median(one.cpu_seconds for one in runs)
    for name_of, key in (("ratio", "s"), ("best_ratio", "best_s"), ("cpu_ratio", "cpu_s")):
        fastest = min(row[f"{kind}_{key}"] for kind in costs if kind.endswith("product"))
        row[name_of] = row[f"evaluation_{key}"] / fastest
    if reference_runs:
        assert abs(reference_runs[-1].result - result.mAP) < 1e-5, (reference_runs[-1].result, result.mAP)
        row["reference_s"] = statistics.median(one.seconds for one in reference_runs)
        row["reference_cpu_s"] = statistics.median(one.cpu_seconds for one in reference_runs)
        row["reference_peak_gib"] = max(one.peak_gib or 0.0 for one in reference_runs)
    some = first_queries(query, USUAL_QUERIES)
    if name != "million":
        run = cost(lambda: usual(some, gallery))
        expected = evaluate_embeddings(some, gallery).mAP
        assert abs(run.result - expected) < 1e-5, (run.result, expected)
        # The usual method costs the same for every query.
        row["usual_s"] = run.seconds * len(query) / len(some)
        row["usual_peak_gib"] = (run.peak_gib or 0.0) * len(query) / len(some)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", nargs="+", choices=[*SIZES, "million"], default=[*SIZES, "million"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=None, help="1 on a busy machine; all cores by default")
    parser.add_argument("--open-set", action="store_true", help="measure the watch-list searches as well")
    parser.add_argument(
        "--scratch", type=new_folder, default=None, help="folder for the 2 GB file of 'million'"
    )
    parser.add_argument(
        "--reference-ranking", type=existing, default=None, metavar="FILE", help="rank_cy*.so"
    )
    parser.add_argument("--out", type=new_file, default=RESULTS)
    options = parser.parse_args()
    rows = []
    for name in options.sizes:
        chosen = (options.threads, options.open_set, options.scratch, options.reference_ranking)
        rows.append(in_new_process(measure, name, options.rounds, *chosen))
        print(rows[-1], flush=True)
    fastest = [min(row.get("product_s", np.inf), row["shared_product_s"]) for row in rows]
    columns = {
        "size": [f"{row['size']} {row['queries']:,} × {row['gallery']:,}" for row in rows],
        "product s": [f"{seconds:.2f}" for seconds in fastest],
    }
    for title, key, digits in (
        ("evaluation s", "evaluation_s", 2),
        ("ratio", "ratio", 2),
        ("CPU ratio", "cpu_ratio", 2),
        ("GiB above features", "peak_gib", 2),
        ("open set s", "open_set_s", 2),
        ("open set GiB", "open_set_peak_gib", 2),
        ("usual s", "usual_s", 1),
        ("usual GiB", "usual_peak_gib", 1),
        ("reference s", "reference_s", 1),
        ("reference GiB", "reference_peak_gib", 1),
    ):
        if any(key in row for row in rows):
            columns[title] = [f"{row[key]:.{digits}f}" if key in row else "–" for row in rows]
    table = Table(title=f"evaluation, {DIM} dimensions, median of {options.rounds} rounds")
    for title in columns:
        table.add_column(title, justify="left" if title == "size" else "right")
    for cells in zip(*columns.values(), strict=True):
        table.add_row(*cells)
    Console().print(table)
    document = {
        "rounds": options.rounds,
        "threads": options.threads or available_cores(),
        "tile": [TILE_QUERIES, TILE_ITEMS],
        "usual_measured_on_queries": USUAL_QUERIES,
        "rows": rows,
        "environment": EnvironmentRecord.capture().model_dump(),
    }
    options.out.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    run(main)

"""The corruption benchmark of any dataset: clean, both sides, query only and gallery only, over rounds."""

from __future__ import annotations

from dataclasses import replace

from rich.console import Console

from omnireid.core.errors import InputError
from omnireid.core.options import OnBad, Protocol
from omnireid.core.progress import progress_bar
from omnireid.core.record import ConditionRecord, CorruptionCell, RobustnessRecord, SpreadRecord
from omnireid.core.types import Dataset, Embeddings, Split, concatenate
from omnireid.data.loading import Reading
from omnireid.evaluation.metrics import METRICS
from omnireid.evaluation.ranking import evaluate_embeddings
from omnireid.evaluation.result import RetrievalResult
from omnireid.experiment.evaluation import Evaluation
from omnireid.experiment.options import Corruptions
from omnireid.inference.embedder import Embedder
from omnireid.robustness.draw import Draw, fresh_seed
from omnireid.robustness.pictures import PictureCache, corrupted_loader
from omnireid.robustness.published import benchmark_name
from omnireid.robustness.suite import CORRUPTIONS, SEVERITIES

CONDITIONS = ("clean", "both", "query", "gallery")
# The table per corruption is no round of the protocol; it draws its noise from a stream of its own.
_CELL_ROUND = -1


def evaluate_corrupted(
    embedder: Embedder,
    dataset: Dataset,
    clean: Evaluation,
    corruptions: Corruptions = Corruptions(),
    *,
    on_bad: OnBad = "error",
    console: Console | None = None,
) -> RobustnessRecord:
    """Evaluate a model on corrupted pictures, by the protocol of Market-1501-C.

    In every round each picture gets one of twenty corruptions at one of five severities, drawn from (seed,
    round, path), at its native size. Ranking, junk and normalisation are those of `clean`.

    Args:
        embedder, dataset: what `clean` was made from.
        clean: the evaluation on untouched pictures.
        corruptions: What is drawn, and how much is measured.
        on_bad: a picture that cannot be decoded stops the work, or is left out.

    Raises:
        InputError: tracklets, or a protocol without mAP (single-gallery-shot).
        MissingExtraError: the extra "robustness" is not installed.

    Source: Chen et al., Benchmarks for Corruption Invariant Person Re-identification, NeurIPS 2021
    Datasets and Benchmarks.
    """
    check_corruptible(dataset)
    cache, rounds, cells = PictureCache(corruptions.cache_bytes), corruptions.rounds, corruptions.cells
    seed = fresh_seed() if corruptions.seed is None else corruptions.seed

    def embed(split: Split, round: int, draw: Draw | None = None) -> Embeddings:
        parts = []
        for part in embedder.embed_stream(
            split.samples,
            Reading(
                on_bad=on_bad,
                on_skip=lambda file: None,  # named by the clean evaluation already
                threads=corruptions.workers,
                load=corrupted_loader(cache, dataset.root, seed=seed, round=round, draw=draw),
            ),
        ):
            parts.append(part)
            bar.advance(task, len(part))
        return concatenate(parts)

    def score(query: Embeddings, gallery: Embeddings) -> dict[str, float]:
        return _scores(
            evaluate_embeddings(query, gallery, replace(clean.ranking, seed=seed), protocol=dataset.protocol)
        )

    measured: dict[str, list[dict[str, float]]] = {condition: [] for condition in CONDITIONS}
    measured["clean"].append(_scores(clean.retrieval))
    table: list[CorruptionCell] = []
    num_images = rounds * (len(dataset.query) + len(dataset.gallery))
    if cells:
        num_images += len(CORRUPTIONS) * len(SEVERITIES) * len(dataset.query)
    with progress_bar(console) as bar:
        task = bar.add_task("corrupted", total=num_images)
        for round in range(rounds):
            query, gallery = embed(dataset.query, round), embed(dataset.gallery, round)
            measured["both"].append(score(query, gallery))
            measured["query"].append(score(query, clean.gallery))
            measured["gallery"].append(score(clean.query, gallery))
        for corruption in CORRUPTIONS if cells else ():
            for severity in SEVERITIES:
                query = embed(dataset.query, _CELL_ROUND, Draw(corruption, severity))
                values = score(query, clean.gallery)
                table.append(CorruptionCell(corruption=corruption, severity=severity, **values))
    return RobustnessRecord(
        benchmark=benchmark_name(dataset.name),
        rounds=rounds,
        seed=seed,
        conditions={condition: _condition(scores) for condition, scores in measured.items()},
        cells=tuple(table),
    )


def check_corruptible(dataset: Dataset) -> None:
    """Say before work starts what the corruption benchmarks are not defined for.

    Raises:
        InputError: tracklets, or a protocol without mAP and mINP.
    """
    if dataset.query.is_video:
        raise InputError(f"{dataset.name}: the corruption benchmarks are defined for pictures, not tracklets")
    if dataset.protocol is Protocol.SINGLE_GALLERY_SHOT:
        raise InputError(
            f"{dataset.name}: the corruption benchmarks report mAP and mINP, which the protocol "
            f"{dataset.protocol.value} does not define"
        )


def _scores(retrieval: RetrievalResult) -> dict[str, float]:
    """The metrics that are means over queries."""
    values = {name: metric.value(retrieval) for name, metric in METRICS.items() if metric.of_queries}
    return {name: value for name, value in values.items() if value is not None}


def _condition(scores: list[dict[str, float]]) -> ConditionRecord:
    return ConditionRecord(**{name: SpreadRecord.of([row[name] for row in scores]) for name in scores[0]})

"""The corruption benchmark of any dataset: clean, both sides, query only and gallery only, over rounds.

Each round, and each cell of the table, is a task of its own. What it gives is kept in a file until the result
is written, so that a benchmark that was stopped goes on, and a cluster may share the tasks out.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from omnireid import __version__
from omnireid.core.errors import InputError
from omnireid.core.files import write_text
from omnireid.core.options import OnBad, Protocol
from omnireid.core.progress import progress_bar
from omnireid.core.record import ConditionRecord, CorruptionCell, RobustnessRecord, SpreadRecord
from omnireid.core.types import Dataset, Embeddings, concatenate
from omnireid.data.loading import Reading
from omnireid.evaluation.metrics import METRICS
from omnireid.evaluation.options import Ranking
from omnireid.evaluation.ranking import evaluate_embeddings
from omnireid.evaluation.result import RetrievalResult
from omnireid.experiment.evaluation import Evaluation
from omnireid.experiment.options import Corruptions, Workers
from omnireid.experiment.workers import Do, another_model, do_on_ray, not_there, worker_threads
from omnireid.inference.embedder import Embedder
from omnireid.inference.storage import read_embeddings, write_embeddings
from omnireid.robustness.draw import Draw, fresh_seed
from omnireid.robustness.pictures import PictureCache, corrupted_loader, key
from omnireid.robustness.published import benchmark_name
from omnireid.robustness.suite import CORRUPTIONS, SEVERITIES

CONDITIONS = ("clean", "both", "query", "gallery")
_ROUND, _CELL = "round", "cell"
# The table per corruption is no round of the protocol; it draws its noise from a stream of its own.
_CELL_ROUND = -1


@dataclass(frozen=True)
class Cluster:
    """Who measures in place of this process.

    Attributes:
        workers: How many there are, and where.
        opening: Opens the model in each. Pickled: a function of a module, or a partial of one.
    """

    workers: Workers
    opening: Callable[[], Embedder]


@dataclass(frozen=True)
class _Rules:
    """How tasks are measured, whoever does it; `ranking` has the seed of the draws."""

    root: str
    protocol: Protocol
    ranking: Ranking
    corruptions: Corruptions
    on_bad: OnBad


@dataclass(frozen=True)
class _Kept:
    """Where the values of each task are.

    Attributes:
        key: Of what decides them. Files with another one are of another benchmark.
    """

    folder: Path
    key: str

    @classmethod
    def of(cls, folder: Path, rules: _Rules, clean: Evaluation) -> _Kept:
        """Model, normalisation, engine and the pictures themselves are in the clean embeddings."""
        sides = (clean.query, clean.gallery)
        names = [key(path, rules.root) for side in sides for path in side.paths]
        said = repr((__version__, rules.ranking, rules.protocol, names))
        digest = hashlib.sha256(said.encode("utf-8", "surrogateescape"))
        for side in sides:
            for array in (side.vectors, side.pids, side.camids):
                digest.update(array.tobytes())
        return cls(folder, digest.hexdigest()[:12])

    def path(self, task: str, suffix: str = ".json") -> Path:
        return self.folder / f"{task}-{self.key}{suffix}"

    def read(self, task: str) -> dict[str, dict[str, float]]:
        path = self.path(task)
        try:
            values: dict[str, dict[str, float]] = json.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: cannot be read ({error}); remove it, it is measured again") from error
        return values


def evaluate_corrupted(
    embedder: Embedder,
    dataset: Dataset,
    clean: Evaluation,
    corruptions: Corruptions = Corruptions(),
    *,
    on_bad: OnBad = "error",
    folder: Path | None = None,
    cluster: Cluster | None = None,
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
        folder: Keeps the values of each round and each cell, which are then not measured again, until
            somebody removes it. None keeps nothing.
        cluster: Who measures; its machines see `folder` and the pictures by the same names. None is this
            process.

    Raises:
        InputError: tracklets, or a protocol without mAP (single-gallery-shot); a cluster without a folder.
        MissingExtraError: the extra "robustness" is not installed.
        WorkerError: As `do_on_ray`.

    Source: Chen et al., Benchmarks for Corruption Invariant Person Re-identification, NeurIPS 2021
    Datasets and Benchmarks.
    """
    check_corruptible(dataset)
    if cluster is not None and folder is None:
        raise InputError("folder: workers of a cluster need one that all of them see")
    seed = fresh_seed() if corruptions.seed is None else corruptions.seed
    rules = _Rules(dataset.root, dataset.protocol, replace(clean.ranking, seed=seed), corruptions, on_bad)
    rounds = [f"{_ROUND}-{number}" for number in range(corruptions.rounds)]
    cells = [(name, severity) for name in CORRUPTIONS for severity in SEVERITIES] if corruptions.cells else []
    # Task → pictures that it corrupts.
    sizes = {
        **dict.fromkeys(rounds, len(clean.query) + len(clean.gallery)),
        **{f"{name}-{severity}": len(clean.query) for name, severity in cells},
    }
    with ExitStack() as stack:
        kept = _Kept.of(folder or Path(stack.enter_context(TemporaryDirectory())), rules, clean)
        missing = [task for task in sizes if not kept.path(task).exists()]
        bar = stack.enter_context(progress_bar(console))
        total, left = sum(sizes.values()), sum(sizes[task] for task in missing)
        shown = bar.add_task("corrupted", total=total, completed=total - left)
        advance = partial(bar.advance, shown)
        if cluster is None:
            measure = _measurer(rules, embedder, (clean.query, clean.gallery), kept, advance)
            for task in missing:
                measure(task)
        else:
            for count in _measured_by(cluster, rules, clean, kept, missing):
                advance(count)
        values = {task: kept.read(task) for task in sizes}
    conditions = {name: [values[task][name] for task in rounds] for name in CONDITIONS[1:]}
    return RobustnessRecord(
        benchmark=benchmark_name(dataset.name),
        rounds=corruptions.rounds,
        seed=seed,
        conditions={
            name: _condition(scores)
            for name, scores in {"clean": [_scores(clean.retrieval)], **conditions}.items()
        },
        cells=tuple(
            CorruptionCell(corruption=name, severity=severity, **values[f"{name}-{severity}"][_CELL])
            for name, severity in cells
        ),
    )


def _measured_by(
    cluster: Cluster, rules: _Rules, clean: Evaluation, kept: _Kept, tasks: Sequence[str]
) -> Iterator[int]:
    """Let a cluster measure tasks; the pictures of each, as they end."""
    if tasks:
        for name, side in (("query", clean.query), ("gallery", clean.gallery)):
            write_embeddings(kept.path(name, ".npz"), side)
    yield from do_on_ray(partial(_open_worker, rules, kept, cluster.opening), tasks, cluster.workers)


def _open_worker(rules: _Rules, kept: _Kept, opening: Callable[[], Embedder]) -> Do:
    """What a worker needs, loaded once: the clean embeddings and the model.

    Raises:
        InputError: The folder or the model is not the same on this machine.
    """
    if not kept.folder.is_dir():
        raise not_there(kept.folder)
    query, gallery = (read_embeddings(kept.path(name, ".npz")) for name in ("query", "gallery"))
    embedder = opening()
    if embedder.ref != query.model:
        raise another_model(query.model.short)
    threads = rules.corruptions.workers or worker_threads()
    rules = replace(rules, corruptions=replace(rules.corruptions, workers=threads))
    return _measurer(rules, embedder, (query, gallery), kept)


def _measurer(
    rules: _Rules,
    embedder: Embedder,
    clean: tuple[Embeddings, Embeddings],
    kept: _Kept,
    advance: Callable[[int], None] = lambda count: None,
) -> Do:
    """What measures a task and keeps its values, unless somebody has; it says how many pictures that took.

    Args:
        clean: Of queries and gallery.
        advance: Told of pictures as they are done.
    """
    cache = PictureCache(rules.corruptions.cache_bytes)
    seed = rules.ranking.seed

    def embed(side: Embeddings, round: int, draw: Draw | None = None) -> Embeddings:
        parts = []
        reading = Reading(
            on_bad=rules.on_bad,
            on_skip=lambda file: None,  # named by the clean evaluation already
            threads=rules.corruptions.workers,
            load=corrupted_loader(cache, rules.root, seed=seed, round=round, draw=draw),
        )
        for part in embedder.embed_stream(side.of, reading):
            parts.append(part)
            advance(len(part))
        return concatenate(parts)

    def score(query: Embeddings, gallery: Embeddings) -> dict[str, float]:
        return _scores(evaluate_embeddings(query, gallery, rules.ranking, protocol=rules.protocol))

    def measure(task: str) -> int:
        query, gallery = clean
        word, _, number = task.rpartition("-")
        if kept.path(task).exists():
            return 0
        if word == _ROUND:
            damaged = [embed(side, int(number)) for side in clean]
            values = {
                "both": score(*damaged),
                "query": score(damaged[0], gallery),
                "gallery": score(query, damaged[1]),
            }
        else:
            damaged = [embed(query, _CELL_ROUND, Draw(word, int(number)))]
            values = {_CELL: score(damaged[0], gallery)}
        write_text(kept.path(task), json.dumps(values))
        return sum(map(len, damaged))

    return measure


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

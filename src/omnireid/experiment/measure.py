"""One model on one dataset or several, with records and reports: what `omnireid evaluate` does."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from omnireid.core.display import short_repr
from omnireid.core.errors import InputError
from omnireid.core.record import ResultRecord
from omnireid.core.types import Dataset
from omnireid.data.combine import read_datasets
from omnireid.data.datasets import require_splits
from omnireid.evaluation.options import Ranking
from omnireid.experiment.analysis import analyse
from omnireid.experiment.evaluation import (
    Evaluation,
    ResultFiles,
    check_replaceable,
    evaluate_model,
    write_results,
)
from omnireid.experiment.opening import open_model
from omnireid.experiment.options import EvaluationOptions
from omnireid.experiment.several import Overall, result_folders, write_overall
from omnireid.experiment.workers import named_elsewhere
from omnireid.inference.embedder import Embedder
from omnireid.inference.options import Engine

if TYPE_CHECKING:
    from omnireid.experiment.robustness import Cluster

_KEPT = "corrupted"
"""Folder beside the result that will be: what is measured already of its corruption benchmark."""


@dataclass(frozen=True)
class Measured:
    """What `evaluate` found.

    Attributes:
        records: The record of each dataset, in their order.
        files: What was written of each; empty where nothing was to be written.
        overall: What they say together.
    """

    records: tuple[ResultRecord, ...]
    files: tuple[ResultFiles, ...] = ()
    overall: Overall = Overall()

    __repr__ = short_repr


def evaluate(
    model: str | os.PathLike[str] | Embedder,
    data: str | Dataset | Sequence[Dataset],
    root: str | os.PathLike[str] | None = None,
    *,
    out: str | os.PathLike[str] | None = None,
    ranking: Ranking = Ranking(),
    options: EvaluationOptions = EvaluationOptions(),
    engine: Engine = Engine(),
    console: Console | None = None,
) -> Measured:
    """Rank the gallery of each dataset for its queries, by its protocol.

    ```python
    measured = omnireid.evaluate("model.safetensors", "market1501", "data", ranking=Ranking("cosine"))
    measured.records[0].metrics.mAP
    ```

    Args:
        model: A model file, the name of pulled weights, or an `Embedder`, whose `normalise` then decides.
        data: Names of datasets ("market1501", "market1501+dukemtmcreid"), or datasets that were read.
        root: Folder of the named datasets.
        out: Folder for records and reports, one for each dataset where there are several; None writes
            nothing.
        ranking: How galleries are ranked.
        options: What else is measured.
        engine: What runs a model that is opened here.
        console: Where progress, remarks and warnings are shown.

    Raises:
        InputError: A ranking, frames or corruptions that a dataset does not allow; no query with a match; a
            result in `out` that another one cannot stand for.
        DatasetError, WeightsError, ImageError, StorageError: As the steps do.
        MissingExtraError, WorkerError: As `do_on_ray`.
    """
    datasets = _read(data, root, console)
    if options.corruptions is not None:
        from omnireid.experiment.robustness import check_corruptible

        for dataset in datasets:
            check_corruptible(dataset)
    normalise = options.corruptions is not None if options.normalise is None else options.normalise
    if isinstance(model, Embedder):
        normalise = model.normalise
    for dataset in datasets:
        if dataset.protocol.is_of_classifier:
            raise InputError(
                f"{dataset.name}: scored by a classifier, which only 'omnireid run' has: it trains one. "
                "Model files give embeddings"
            )
        require_splits(dataset, "query", "gallery")
        ranking.check(len(dataset.query), len(dataset.gallery), normalised=normalise)
    if options.gates is not None and out is None:
        raise InputError("gates: their clusters are shown in a report; give out, a folder for it")
    embedder = _opened(model, engine, normalise, options.flip, console)
    reader = None
    if options.gates is not None:
        from omnireid.experiment.gates import GateReader

        reader = GateReader(embedder, options.gates)
    folders = [] if out is None else result_folders(datasets, Path(out))
    for folder in folders:
        check_replaceable(folder, embedder.sha256, corruptions=options.corruptions is not None)
    cluster = None
    if options.corruptions is not None and options.workers.where == "ray":
        cluster = _cluster(model, datasets, out, options, engine, normalise)
    records, files = [], []
    for number, dataset in enumerate(datasets):
        gates = None
        if reader is not None:
            # Before what takes long: there may be too few pictures.
            gates = reader.clusters(dataset, seed=ranking.seed, on_bad=options.on_bad, console=console)
        kept = folders[number].absolute() / _KEPT if folders else None
        evaluation = _evaluate(embedder, dataset, ranking, options, kept, cluster, console)
        evaluation = replace(evaluation, gates=gates)
        records.append(evaluation.record)
        if out is not None:
            files.append(write_results(evaluation, embedder, folders[number]))
            shutil.rmtree(folders[number] / _KEPT, ignore_errors=True)
    if out is None:
        return Measured(tuple(records))
    reports = [(record, written.report) for record, written in zip(records, files, strict=True)]
    return Measured(tuple(records), tuple(files), write_overall(reports, Path(out)))


def _opened(
    model: str | os.PathLike[str] | Embedder,
    engine: Engine,
    normalise: bool,
    flip: bool,
    console: Console | None = None,
) -> Embedder:
    if not isinstance(model, Embedder):
        model = open_model(model, engine, normalise=normalise, console=console)
    return model.with_flip() if flip else model


def _cluster(
    model: str | os.PathLike[str] | Embedder,
    datasets: Sequence[Dataset],
    out: str | os.PathLike[str] | None,
    options: EvaluationOptions,
    engine: Engine,
    normalise: bool,
) -> Cluster:
    """The cluster that measures corruptions.

    Raises:
        InputError: What its workers could not open.
    """
    from omnireid.experiment.robustness import Cluster

    if isinstance(model, Embedder) or out is None:
        raise InputError("workers of a cluster need the model's file or name, and out, a folder they all see")
    for dataset in datasets:
        if not Path(dataset.root).is_absolute():
            raise InputError(
                f"{dataset.root}: workers of a cluster have another working folder; read {dataset.name} from "
                "an absolute path"
            )
    opening = partial(_opened, named_elsewhere(model), engine, normalise, options.flip)
    return Cluster(options.workers, opening)


def _evaluate(
    embedder: Embedder,
    dataset: Dataset,
    ranking: Ranking,
    options: EvaluationOptions,
    kept: Path | None,
    cluster: Cluster | None,
    console: Console | None,
) -> Evaluation:
    evaluation = evaluate_model(
        embedder, dataset, ranking=ranking, frames=options.frames, on_bad=options.on_bad, console=console
    )
    if options.analysis:
        evaluation = evaluation.with_analysis(analyse(evaluation, seed=ranking.seed, console=console))
    if options.corruptions is not None:
        from omnireid.experiment.robustness import evaluate_corrupted

        robustness = evaluate_corrupted(
            embedder,
            dataset,
            evaluation,
            options.corruptions,
            on_bad=options.on_bad,
            folder=kept,
            cluster=cluster,
            console=console,
        )
        evaluation = evaluation.with_robustness(robustness)
    return evaluation


def _read(
    data: str | Dataset | Sequence[Dataset], root: str | os.PathLike[str] | None, console: Console | None
) -> Sequence[Dataset]:
    if isinstance(data, Dataset):
        return [data]
    if not isinstance(data, str):
        return data
    if root is None:
        raise InputError(f"root: the folder of {data} is needed")
    return read_datasets(data, [root], console=console)

"""From a model and a dataset to a result record and its report."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from rich.console import Console

from omnireid.core.display import short_repr
from omnireid.core.errors import DatasetError, ImageError, InputError
from omnireid.core.files import write_text
from omnireid.core.images import load_crop, narrow_range
from omnireid.core.options import OnBad, Protocol
from omnireid.core.record import (
    AnalysisRecord,
    DatasetRecord,
    EnvironmentRecord,
    ModelRecord,
    ResultRecord,
    RobustnessRecord,
    SplitRecord,
    TrainingRecord,
)
from omnireid.core.seeds import derive_seed
from omnireid.core.types import Dataset, Embeddings, SkippedFile, Split
from omnireid.data.datasets import remarks_on, require_splits
from omnireid.data.datasets.labels import label
from omnireid.data.datasets.manifest import write_manifest
from omnireid.data.loading import Reading
from omnireid.data.options import FrameSampling
from omnireid.evaluation.copies import find_copies
from omnireid.evaluation.metrics import metrics_record
from omnireid.evaluation.options import Ranking
from omnireid.evaluation.ranking import evaluate_embeddings
from omnireid.evaluation.relevance import Relevance
from omnireid.evaluation.result import RetrievalResult
from omnireid.experiment.classes import class_items
from omnireid.experiment.queries import QUERIES, write_queries
from omnireid.inference.embedder import Embedder
from omnireid.inference.tracklets import embed_tracklets
from omnireid.report.activation import activation_map
from omnireid.report.embeddings import embedding_map
from omnireid.report.gates import GateClusters
from omnireid.report.identities import identity_scores, identity_table
from omnireid.report.page import Activation, Beside, ReportData, write_report

NUM_ACTIVATION_MAPS = 12
NUM_LOOKED_AT = 12
RECORD = "result.json"
REPORT = "report.html"
SPLIT = "split.csv"
IDENTITIES = "identities.csv"


@dataclass(frozen=True)
class Evaluation:
    """A record, the ranking behind it, the embeddings that were ranked, and what they were made from."""

    record: ResultRecord
    retrieval: RetrievalResult
    query: Embeddings
    gallery: Embeddings
    ranking: Ranking = Ranking()
    dataset: Dataset | None = None
    gates: GateClusters | None = None

    __repr__ = short_repr

    def with_analysis(self, analysis: AnalysisRecord) -> Evaluation:
        """The same evaluation with what stands behind it in the record."""
        return replace(self, record=self.record.model_copy(update={"analysis": analysis}))

    def with_robustness(self, robustness: RobustnessRecord) -> Evaluation:
        """The same evaluation with its corruption benchmark in the record."""
        return replace(self, record=self.record.model_copy(update={"robustness": robustness}))


def evaluate_model(
    embedder: Embedder,
    dataset: Dataset,
    *,
    ranking: Ranking = Ranking(),
    frames: FrameSampling | None = None,
    on_bad: OnBad = "error",
    training: TrainingRecord | None = None,
    console: Console | None = None,
) -> Evaluation:
    """Embed query and gallery, rank, and write down the numbers with everything they depend on.

    Args:
        embedder: its `normalise` decides whether embeddings are L2-normalised before the distance.
        ranking: how the gallery is ranked; its seed also draws frames.
        frames: how tracklets become embeddings; None takes torchreid's way, 15 frames evenly, their mean.
        on_bad: what to do with a picture that cannot be decoded; skipped ones are listed in the record.
        training: the run that made the weights, when it was part of this experiment.

    Raises:
        DatasetError: query or gallery is empty.
        ImageError: a picture cannot be decoded and `on_bad` is "error".
        InputError: no query has a match that is not junk, `frames` for a dataset of pictures, or a `ranking`
            that the dataset or the embeddings do not allow.
    """
    check_scorable(dataset)
    ranking.check(len(dataset.query), len(dataset.gallery), normalised=embedder.normalise)
    seed = ranking.seed
    if dataset.query.is_video or dataset.gallery.is_video:
        frames = frames or FrameSampling()
    elif frames is not None:
        raise InputError(f"frames: {dataset.name} holds pictures, not tracklets; leave it out")
    started = time.perf_counter()
    skipped: list[str] = []
    query = embed_split(embedder, dataset.query, frames, seed, on_bad, skipped, console)
    if dataset.protocol is Protocol.CLASSES:
        gallery = class_items(embedder, dataset.gallery)
    else:
        gallery = embed_split(embedder, dataset.gallery, frames, seed, on_bad, skipped, console)
    embedded = time.perf_counter()
    retrieval = evaluate_embeddings(query, gallery, ranking, protocol=dataset.protocol, console=console)
    ranked = time.perf_counter()
    warnings = _warnings(dataset, query, gallery, retrieval)
    if console is not None:
        for line in warnings:
            console.print(f"warning: {line}", style="yellow", markup=False)
    record = ResultRecord(
        dataset=dataset_record(dataset, skipped),
        model=model_record(embedder),
        protocol=retrieval.protocol_record().model_copy(update={"frames": str(frames or "")}),
        metrics=metrics_record(retrieval),
        cmc=tuple(float(value) for value in retrieval.cmc),
        seed=seed,
        environment=EnvironmentRecord.capture(),
        timings_s={"embedding": embedded - started, "ranking": ranked - embedded},
        training=training,
        warnings=(*remarks_on(dataset), *warnings),
    )
    return Evaluation(record, retrieval, query, gallery, ranking, dataset)


def embed_splits(embedder: Embedder, dataset: Dataset, *, seed: int, on_bad: OnBad) -> None:
    """Take part in an evaluation of `evaluate_model` that another process makes, by its embedder's share."""
    frames = FrameSampling() if dataset.query.is_video or dataset.gallery.is_video else None
    of_classifier = dataset.protocol.is_of_classifier
    for split in (dataset.query,) if of_classifier else (dataset.query, dataset.gallery):
        embed_split(embedder, split, frames, seed, on_bad, [], None)


def check_scorable(dataset: Dataset, trained_on: Dataset | None = None) -> None:
    """Refuse a dataset that no model can be scored on: pids and cameras say so before any picture is read.

    Args:
        trained_on: What the model is trained on, where it is known: a classifier knows no other classes.

    Raises:
        DatasetError: query or gallery is empty, or attributes are missing.
        InputError: no query has a match that is not junk, a camera that the protocol needs is not known, or
            a classifier would be asked for other classes or attributes than it learns.
    """
    if dataset.protocol is Protocol.ATTRIBUTES:
        check_attributes(dataset)
    else:
        require_splits(dataset, "query", "gallery")
        pairs = Relevance.of(dataset.query, dataset.gallery, dataset.protocol)
        if not pairs.has_valid_query():
            raise InputError(f"{dataset.name} in {dataset.root}: {pairs.why_no_query_is_valid()}")
    if trained_on is not None and dataset.protocol.is_of_classifier:
        learned = _answers(trained_on, trained_on.train, dataset.protocol)
        asked = dataset.query if dataset.protocol is Protocol.ATTRIBUTES else dataset.gallery
        if learned != _answers(dataset, asked, dataset.protocol):
            raise InputError(
                f"{dataset.name} in {dataset.root}: not the {dataset.protocol.value} of {trained_on.name}; a "
                "classifier can only be asked for what it learns: train on and score one dataset"
            )


def _answers(dataset: Dataset, split: Split, protocol: Protocol) -> tuple[object, object]:
    """What a classifier of a split says: how many attributes or which classes, and what they are called."""
    if protocol is Protocol.ATTRIBUTES:
        return {len(sample.attributes) for sample in split.samples[:1]}, dataset.attributes
    return {sample.pid for sample in split}, dict(dataset.pid_names)


def check_attributes(dataset: Dataset) -> None:
    """Refuse a dataset whose attributes cannot be scored.

    Raises:
        DatasetError: nothing to score, or samples without the attributes that others have.
    """
    require_splits(dataset, "query")
    counts = sorted({len(sample.attributes) for sample in dataset.query})
    if counts[0] == 0 or len(counts) > 1:
        raise DatasetError(
            f"{dataset.name} in {dataset.root}: samples with {' and '.join(map(str, counts))} attributes, "
            "where each has to have all"
        )


def check_replaceable(folder: Path, model_sha256: str | None, *, corruptions: bool) -> None:
    """Refuse to replace a result that another one cannot stand for.

    An evaluation is made again by its command, so it replaces an older one. A training run's result belongs
    to the run, and a corruption benchmark takes hours: only one of the same model replaces that.

    Args:
        model_sha256: of the model to be evaluated.
        corruptions: whether it will be evaluated on corrupted pictures.

    Raises:
        InputError: names the result.
    """
    path = folder / RECORD
    if not path.is_file():
        return
    older = ResultRecord.load(path)
    if older.training is not None:
        raise InputError(f"{path}: belongs to the training run in this folder; choose another --out")
    if older.robustness is not None and not (corruptions and older.model.sha256 == model_sha256):
        raise InputError(f"{path}: holds a corruption benchmark of {older.model.name}; choose another --out")


def _warnings(
    dataset: Dataset, query: Embeddings, gallery: Embeddings, retrieval: RetrievalResult
) -> list[str]:
    """What the numbers do not tell of themselves."""
    lines = []
    invalid = retrieval.num_queries - retrieval.num_valid_queries
    if invalid:
        lines.append(
            f"{dataset.name}: {invalid:,} of {retrieval.num_queries:,} queries have no match"
            f"{' from another camera' if dataset.protocol.uses_cameras else ''}; the means are over the "
            f"other {retrieval.num_valid_queries:,}"
        )
    paths = (*query.paths, *gallery.paths)
    for index in np.linspace(0, len(paths) - 1, NUM_LOOKED_AT, dtype=int):
        # A tracklet goes by its first frame, which may be one that was skipped.
        with suppress(ImageError):
            if note := narrow_range(paths[index]):
                lines.append(f"{dataset.name}: deep pictures, e.g. {paths[index]}, hold {note}")
                break
    copies = find_copies(query, gallery, dataset.protocol)
    if len(copies):
        row, item = copies[0]
        lines.append(
            f"{dataset.name}: {len(np.unique(copies[:, 0])):,} of {retrieval.num_queries:,} queries have an "
            f"exact copy in the gallery, e.g. {query.paths[row]} = {gallery.paths[item]}; finding it proves "
            "nothing, remove the copies"
        )
    return lines


@dataclass(frozen=True)
class ResultFiles:
    """Where `write_results` put things; of attributes there are neither queries nor identities."""

    record: Path
    report: Path
    queries: Path | None = None
    identities: Path | None = None


def write_results(
    evaluation: Evaluation,
    embedder: Embedder,
    folder: Path,
    *,
    title: str = "",
    beside: Sequence[Beside] = (),
) -> ResultFiles:
    """Write `result.json`, `report.html`, `queries.csv` and `identities.csv` into `folder`, each atomically.

    Of a random split also `split.csv`, a manifest that holds it for good.

    Args:
        beside: Other models on the same queries, which the report names.

    Raises:
        StorageError: the folder cannot be written.
    """
    files = ResultFiles(folder / RECORD, folder / REPORT, folder / QUERIES, folder / IDENTITIES)
    record, query, gallery = evaluation.record, evaluation.query, evaluation.gallery
    identities = identity_scores(
        evaluation.retrieval,
        query.pids,
        query.camids,
        pid_names=record.dataset.pid_names,
        camera_names=record.dataset.camera_names,
    )
    write_report(
        files.report,
        ReportData(
            record=record,
            retrieval=evaluation.retrieval,
            query_paths=query.paths,
            gallery_paths=gallery.paths,
            activations=_activations(embedder, query.paths),
            gates=evaluation.gates,
            title=title,
            identities=identities,
            embedding_map=embedding_map(
                [query, gallery],
                first=[identity.pid for identity in identities],
                cosine=record.protocol.distance == "cosine",
                seed=record.seed,
            ),
            beside=beside,
        ),
    )
    write_text(folder / IDENTITIES, identity_table(identities))
    write_queries(folder / QUERIES, evaluation.retrieval, query, record.dataset.root)
    if evaluation.dataset is not None and evaluation.dataset.partition is not None:
        write_manifest(evaluation.dataset, folder / SPLIT)
    evaluation.record.save(files.record)
    return files


def embed_split(
    embedder: Embedder,
    split: Split,
    frames: FrameSampling | None,
    seed: int,
    on_bad: OnBad,
    skipped: list[str],
    console: Console | None,
) -> Embeddings:
    """Embeddings of a split's samples; to `skipped` is added what could not be decoded, and why."""

    def on_skip(file: SkippedFile) -> None:
        skipped.append(f"{file.path}: {file.reason}")

    reading = Reading(on_bad=on_bad, on_skip=on_skip, console=console)
    if frames is None:
        return embedder.embed_samples(split.samples, reading)
    return embed_tracklets(embedder, split.samples, frames, reading, seed=derive_seed(seed, split.name))


def _activations(embedder: Embedder, paths: Sequence[str]) -> tuple[Activation, ...]:
    """Maps of queries spread evenly over the split; none where the model does not show its activations."""
    chosen = [paths[index] for index in np.linspace(0, len(paths) - 1, NUM_ACTIVATION_MAPS, dtype=int)]
    crops = {}
    for path in chosen:
        # A tracklet goes by its first frame, which may be one that was skipped.
        with suppress(ImageError):
            crops[path] = load_crop(path, embedder.card.input)
    maps = embedder.feature_maps(list(crops.values()))
    if maps is None:
        return ()
    return tuple(
        Activation(path, activation_map(activation)) for path, activation in zip(crops, maps, strict=True)
    )


def dataset_record(dataset: Dataset, skipped: Sequence[str]) -> DatasetRecord:
    """What was read, and which of its pictures could not be decoded."""
    splits = {
        split.name: SplitRecord(
            images=split.num_images,
            pids=split.num_pids,
            cameras=split.num_cameras,
            tracklets=len(split) if split.is_video else None,
        )
        for split in dataset.splits
        if len(split)
    }
    tested = {sample.pid for sample in (*dataset.query, *dataset.gallery)}
    return DatasetRecord(
        name=dataset.name,
        root=dataset.root,
        splits=splits,
        skipped=tuple(skipped),
        partition=dataset.partition,
        not_taken=dict(Counter(file.reason for file in dataset.skipped)),
        # A folder "0007" says no more than the pid 7.
        pid_names={
            pid: name for pid, name in dataset.pid_names.items() if pid in tested and label(name) != pid
        },
        camera_names=dict(dataset.camera_names),
    )


def model_record(embedder: Embedder) -> ModelRecord:
    """What was measured."""
    card = embedder.card
    return ModelRecord(
        name=card.name,
        architecture=card.architecture,
        source=card.origin,
        sha256=embedder.sha256,
        backend=f"{embedder.backend.name} ({embedder.backend.device})",
        input_size=(card.input.height, card.input.width),
        embedding_size=card.embedding_size,
    )

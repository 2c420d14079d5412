"""Attributes of people: what a trained classifier says of them, as a record and a report."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console

from omnireid.core.display import short_repr
from omnireid.core.errors import InputError
from omnireid.core.files import write_text
from omnireid.core.options import OnBad
from omnireid.core.record import EnvironmentRecord, ProtocolRecord, ResultRecord, TrainingRecord
from omnireid.core.types import Dataset
from omnireid.data.datasets import remarks_on
from omnireid.evaluation.attributes import AttributeScores
from omnireid.experiment.evaluation import (
    RECORD,
    REPORT,
    ResultFiles,
    check_attributes,
    dataset_record,
    embed_split,
    model_record,
)
from omnireid.inference.embedder import Embedder
from omnireid.report.attributes import attribute_rows, attribute_table, write_attribute_report

TABLE = "attributes.csv"


@dataclass(frozen=True)
class AttributeEvaluation:
    """A record, and what was said of each picture.

    Attributes:
        names: of the attributes, in the order of the scores.
    """

    record: ResultRecord
    scores: AttributeScores
    names: tuple[str, ...]

    __repr__ = short_repr


def evaluate_attributes(
    embedder: Embedder,
    dataset: Dataset,
    *,
    seed: int = 0,
    on_bad: OnBad = "error",
    training: TrainingRecord | None = None,
    console: Console | None = None,
) -> AttributeEvaluation:
    """Score what is said of the query split: an attribute is said where its logit is above 0.

    Args:
        embedder: its embeddings are the classifier's logits.
        on_bad: what to do with a picture that cannot be decoded; skipped ones are listed in the record.
        training: the run that made the weights.

    Raises:
        DatasetError: nothing to score, or samples without the attributes that others have.
        ImageError: a picture cannot be decoded and `on_bad` is "error".
        InputError: the embedder says something else than these attributes.
    """
    check_attributes(dataset)
    count = len(dataset.query.samples[0].attributes)
    if embedder.dim != count:
        raise InputError(
            f"{embedder.card.name} gives {embedder.dim} values, and there are {count} attributes"
        )
    started = time.perf_counter()
    skipped: list[str] = []
    query = embed_split(embedder, dataset.query, None, seed, on_bad, skipped, console)
    true = np.array([sample.attributes for sample in query.of], np.bool_).reshape(len(query), count)
    scores = AttributeScores(query.vectors > 0, true)
    record = ResultRecord(
        dataset=dataset_record(dataset, skipped),
        model=model_record(embedder),
        protocol=ProtocolRecord(
            name=dataset.protocol.value,
            distance="none",
            normalised=False,
            num_queries=len(query),
            num_valid_queries=len(query),
            num_gallery=0,
        ),
        metrics=scores.record(),
        cmc=(),
        seed=seed,
        environment=EnvironmentRecord.capture(),
        timings_s={"embedding": time.perf_counter() - started},
        training=training,
        warnings=tuple(remarks_on(dataset)),
    )
    names = dataset.attributes or tuple(f"attribute {number}" for number in range(1, count + 1))
    return AttributeEvaluation(record, scores, names)


def write_attributes(evaluation: AttributeEvaluation, folder: Path) -> ResultFiles:
    """Write `result.json`, `report.html` and `attributes.csv` into `folder`, each atomically.

    Raises:
        StorageError: the folder cannot be written.
    """
    files = ResultFiles(folder / RECORD, folder / REPORT)
    rows = attribute_rows(evaluation.names, evaluation.scores)
    write_attribute_report(files.report, evaluation.record, rows)
    write_text(folder / TABLE, attribute_table(rows))
    evaluation.record.save(files.record)
    return files

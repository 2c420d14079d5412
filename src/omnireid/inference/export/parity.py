"""The parity gate: how far an exported file is from the network it came from, measured on the file itself."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from rich.console import Console

from omnireid.core.arrays import UInt8
from omnireid.core.card import InputSpec, ModelCard
from omnireid.core.closed import ClosedModel
from omnireid.core.errors import InputError, WeightsError
from omnireid.core.images import resize
from omnireid.core.record import EnvironmentRecord, StoredRecord
from omnireid.core.seeds import numpy_generator
from omnireid.core.types import Dataset
from omnireid.core.vectors import unit_rows
from omnireid.data.datasets import require_splits
from omnireid.data.loading import Reading
from omnireid.evaluation.metrics import metrics_record
from omnireid.evaluation.ranking import evaluate_embeddings
from omnireid.inference.backends.onnx_graph import EMBEDDING_OUTPUT
from omnireid.inference.backends.protocol import Backend, Crops, Embeddings
from omnireid.inference.embedder import Embedder

MIN_CROPS = 256
MIN_CALIBRATION = 32
MIN_COSINE = {"fp32": 0.99999, "fp16": 0.999, "bf16": 0.999, "int8": 0.99}
MAX_MAP_LOSS_INT8 = 0.005
# One crop, then three, then a number that no kernel is tiled for, then the rest: what holds for one size
# of batch only cannot pass.
_BATCHES = (1, 3, 37)
_LATENCY_BATCHES = (1, 32)
_NORM_TOLERANCE = 1e-4


@dataclass(frozen=True)
class Comparison:
    """What an exported file and its network are compared on.

    Attributes:
        crops: (N, H, W, 3) uint8 RGB, at least 256. int8 takes at least 288, of which it compares on half or
            on 256, and calibrates on the others. Generated when None.
        crops_source: where they come from, for the proof.
        dataset: the dataset whose query and gallery both rank; None leaves accuracy unmeasured. int8 needs
            one.
        num_crops, seed: number and seed of generated crops; at least 256.
    """

    crops: Crops | None = None
    crops_source: str = ""
    dataset: Dataset | None = None
    num_crops: int = MIN_CROPS
    seed: int = 0


class AccuracyRecord(ClosedModel):
    """Both rank the same dataset, by L2-normalised embeddings and Euclidean distance. Fractions."""

    dataset: str
    protocol: str
    num_valid_queries: int
    num_gallery: int
    rank1: float
    rank1_reference: float
    mAP: float  # noqa: N815 (the field's spelling)
    mAP_reference: float  # noqa: N815


class LatencyRecord(ClosedModel):
    """Median time of one call, crops in memory to embeddings in memory."""

    batch: int
    median_ms: float
    runs: int


class ParityRecord(StoredRecord):
    """The proof that lies beside an exported file.

    Attributes:
        sha256: of each file that belongs to the model, by name.
        weights_sha256: of the weights it was made from.
        form: form of the network, see `inference.fused.graph`.
        crops: what the two were compared on.
        batches: crops in each run; the third runs on a view that is not contiguous.
        min_cosine, p1_cosine, median_cosine: over those crops, between the embeddings of the file and of the
            network in float32; `min_cosine_limit` is what the smallest had to reach.
        max_abs_difference, max_abs_embedding: largest difference of one element, and the largest element of
            the network's own embeddings (both L2-normalised where the file normalises).
        accuracy: null where no dataset was given.
        float_layers: in int8, the layers that were left in floating point.
        device, threads: those of the latency.
    """

    title: ClassVar[str] = "proof of parity"

    schema_version: int = 2
    file: str
    sha256: dict[str, str]
    format: str
    precision: str
    embedding: str
    backend: str
    model: str
    architecture: str
    weights_sha256: str
    form: str
    opset: int | None
    crops: str
    num_crops: int
    batches: tuple[int, ...]
    min_cosine: float
    p1_cosine: float
    median_cosine: float
    min_cosine_limit: float
    max_abs_difference: float
    max_abs_embedding: float
    accuracy: AccuracyRecord | None
    latency: tuple[LatencyRecord, ...]
    device: str
    threads: int
    float_layers: tuple[str, ...] = ()
    environment: EnvironmentRecord


@dataclass(frozen=True)
class Similarity:
    """Cosines and differences between two sets of embeddings; the fields are `ParityRecord`'s."""

    batches: tuple[int, ...]
    min_cosine: float
    p1_cosine: float
    median_cosine: float
    max_abs_difference: float
    max_abs_embedding: float


def parity_path(path: str | os.PathLike[str]) -> Path:
    """Where the proof of an exported file lies."""
    return Path(f"{os.fspath(path)}.parity.json")


def compare_embeddings(
    exported: Backend, reference: Backend, crops: Crops, *, normalised: bool
) -> Similarity:
    """Embed the same crops with both, the exported model in batches of 1, 3, 37 and the rest.

    Args:
        crops: (N, H, W, 3) uint8 RGB; more than 41.
        normalised: whether the exported model gives L2-normalised embeddings.

    Raises:
        WeightsError: the exported model fails on a batch, on none, or gives rows of another number or norm.
    """
    batches = (*_BATCHES, len(crops) - sum(_BATCHES))
    parts = np.split(crops, np.cumsum(batches)[:-1])
    # Every second row of something larger.
    parts[2] = np.repeat(parts[2], 2, axis=0)[::2]
    actual = np.concatenate([_embed(exported, part) for part in parts]).astype(np.float64)
    _embed(exported, crops[:0])
    expected = np.concatenate([reference.embed(part) for part in np.array_split(crops, 8)])
    if normalised:
        norms = np.linalg.norm(actual, axis=1)
        # Negated, so that what is not a number fails too.
        if not np.abs(norms - (norms > 0)).max() <= _NORM_TOLERANCE:
            raise WeightsError(f"embeddings should have norm 1, got {norms.min():.6g} to {norms.max():.6g}")
        expected = unit_rows(expected, keep_zero=True)
    expected = expected.astype(np.float64)
    lengths = np.linalg.norm(actual, axis=1) * np.linalg.norm(expected, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        cosines = (actual * expected).sum(1) / lengths
    return Similarity(
        batches=batches,
        min_cosine=float(cosines.min()),
        p1_cosine=float(np.percentile(cosines, 1)),
        median_cosine=float(np.median(cosines)),
        max_abs_difference=float(np.abs(actual - expected).max()),
        max_abs_embedding=float(np.abs(expected).max()),
    )


def check_plain_onnx(content: bytes, crops: Crops, card: ModelCard) -> None:
    """Run an ONNX file as those do who have only ONNX Runtime: all crops of a batch at once.

    Our own engine runs large batches in parts, so that it cannot see what holds for small ones only.

    Raises:
        WeightsError: one, 37 or no crops give no embeddings, or other ones alone than together.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # Faults come as exceptions; nothing goes to stderr beside them.
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        rows = [session.run([EMBEDDING_OUTPUT], {"images": crops[:size]})[0] for size in (*_BATCHES, 0)]
    except Exception as error:  # ONNX Runtime's errors share no base class.
        reason = str(error).strip().partition("\n")[0]
        raise WeightsError(f"the exported graph does not run in plain ONNX Runtime: {reason}") from error
    for size, actual in zip((*_BATCHES, 0), rows, strict=True):
        if actual.shape != (size, card.embedding_size):
            raise WeightsError(f"the exported graph gives shape {actual.shape} for {size} crops")
        # Negated, so that what is not a number fails too.
        if size and not np.abs(actual[0] - rows[0][0]).max() <= 1e-2 * np.abs(rows[0]).max():
            raise WeightsError(f"the exported graph gives other embeddings for {size} crops than for one")


def compare_accuracy(
    exported: Embedder, reference: Embedder, dataset: Dataset, *, console: Console | None = None
) -> AccuracyRecord:
    """Rank a dataset of pictures by both.

    Raises:
        InputError: a dataset of tracklets, or without a query that can be scored.
        DatasetError: query or gallery is empty.
        ImageError: a picture that cannot be decoded.
    """
    require_splits(dataset, "query", "gallery")
    if dataset.query.is_video or dataset.gallery.is_video:
        raise InputError(f"{dataset.name} holds tracklets; the parity gate ranks pictures")
    results = []
    for embedder in (exported, reference):
        query, gallery = (
            embedder.embed_samples(split.samples, Reading(console=console))
            for split in (dataset.query, dataset.gallery)
        )
        results.append(evaluate_embeddings(query, gallery, protocol=dataset.protocol))
    actual, expected = (metrics_record(result) for result in results)
    protocol = results[0].protocol_record()
    if actual.mAP is None or expected.mAP is None:
        raise InputError(f"{dataset.name}: its protocol defines no mAP, which the parity gate compares")
    return AccuracyRecord(
        dataset=dataset.name,
        protocol=protocol.name,
        num_valid_queries=protocol.num_valid_queries,
        num_gallery=protocol.num_gallery,
        rank1=actual.rank1,
        rank1_reference=expected.rank1,
        mAP=actual.mAP,
        mAP_reference=expected.mAP,
    )


def measure_latency(backend: Backend, crops: Crops, *, budget_s: float = 0.25) -> tuple[LatencyRecord, ...]:
    """Median time of one crop and of 32: at least three runs each, more for at most `budget_s`."""
    records = []
    for size in _LATENCY_BATCHES:
        batch = np.ascontiguousarray(crops[:size])
        backend.embed(batch)
        times: list[float] = []
        while len(times) < 3 or (sum(times) < budget_s and len(times) < 100):
            times.append(_seconds(lambda batch=batch: backend.embed(batch)))  # type: ignore[misc]
        records.append(LatencyRecord(batch=size, median_ms=statistics.median(times) * 1000, runs=len(times)))
    return tuple(records)


def check_limits(record: ParityRecord, target: Path) -> None:
    """Refuse a model that is too far from its network.

    Raises:
        WeightsError: the smallest cosine is below its limit, or int8 loses more than 0.5 points of mAP.
    """
    # Negated, so that a cosine that is not a number fails too.
    if not record.min_cosine >= record.min_cosine_limit:
        raise WeightsError(
            f"{target} was not written: the exported model differs from the network, "
            f"smallest cosine {record.min_cosine:.7f} over {record.num_crops} crops "
            f"(limit {record.min_cosine_limit} for {record.precision}), "
            f"largest difference {record.max_abs_difference:.3g}"
        )
    accuracy = record.accuracy
    if record.precision == "int8" and accuracy is not None:
        loss = accuracy.mAP_reference - accuracy.mAP
        if not loss <= MAX_MAP_LOSS_INT8:
            raise WeightsError(
                f"{target} was not written: int8 loses {100 * loss:.2f} points of mAP on {accuracy.dataset} "
                f"({100 * accuracy.mAP_reference:.2f} to {100 * accuracy.mAP:.2f} %, limit "
                f"{100 * MAX_MAP_LOSS_INT8} points). Calibrate on pictures like those it will see (--crops)"
            )


def generated_crops(num_crops: int, spec: InputSpec, *, seed: int) -> UInt8:
    """(num_crops, H, W, 3) uint8: soft patches of colour under noise, from nearly black to nearly white."""
    generator = numpy_generator(seed, "parity crops")
    patches = generator.integers(0, 256, (num_crops, 8, 4, 3), dtype=np.uint8)
    soft = np.stack([resize(patch, spec) for patch in patches]).astype(np.float64)
    noise = generator.normal(0, 12, soft.shape)
    return np.clip(soft * generator.uniform(0.2, 1, (num_crops, 1, 1, 1)) + noise, 0, 255).astype(np.uint8)


def _embed(backend: Backend, crops: Crops) -> Embeddings:
    try:
        rows = backend.embed(crops)
    except Exception as error:  # The engines' errors share no base class.
        reason = str(error).strip().partition("\n")[0]
        raise WeightsError(f"the exported model fails on {len(crops)} crops at once ({reason})") from error
    if rows.shape != (len(crops), backend.card.embedding_size):
        raise WeightsError(f"the exported model gives shape {rows.shape} for {len(crops)} crops")
    return rows


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started

"""From a network to a file of another format, kept only if it passes the parity gate."""

from __future__ import annotations

import copy
import hashlib
import os
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console

from omnireid.core.card import ModelCard
from omnireid.core.errors import InputError, MissingExtraError, UnknownNameError
from omnireid.core.files import write_bytes
from omnireid.core.machine import compute_threads
from omnireid.core.record import EnvironmentRecord
from omnireid.inference.backends.protocol import Crops, check_crops
from omnireid.inference.backends.torch_eager import TorchBackend
from omnireid.inference.embedder import Embedder
from omnireid.inference.export.metadata import ExportMetadata, attach
from omnireid.inference.export.parity import (
    MIN_CALIBRATION,
    MIN_COSINE,
    MIN_CROPS,
    Comparison,
    ParityRecord,
    check_limits,
    check_plain_onnx,
    compare_accuracy,
    compare_embeddings,
    generated_crops,
    measure_latency,
    parity_path,
)
from omnireid.inference.formats import FORMATS
from omnireid.inference.options import AUTO, OPSET, ExportForm, ExportPrecision

try:
    import torch
    from torch import nn

    from omnireid.inference.export.deployed import choose_form, deployed
    from omnireid.inference.export.onnx import onnx_graph
    from omnireid.models.weights import tensors_sha256
except ImportError as error:
    raise MissingExtraError("export", "train") from error

if TYPE_CHECKING:
    from omnireid.inference.fused.graph import Form
    from omnireid.models.network import Network

PRECISIONS: dict[str, tuple[ExportPrecision, ...]] = {
    "onnx": ("fp32", "fp16", "int8"),
    "openvino": ("fp32", "fp16", "bf16", "int8"),
    "torchscript": ("fp32", "fp16", "bf16"),
    "tensorrt": ("fp32", "fp16", "int8"),
    "executorch": ("fp32",),
    "safetensors": ("int8",),
}
"""What each format can be exported in."""

_DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16}


def export_model(
    model: Network,
    card: ModelCard,
    path: str | os.PathLike[str],
    form: ExportForm = ExportForm(),
    comparison: Comparison = Comparison(),
    *,
    threads: int | None = None,
    console: Console | None = None,
) -> ParityRecord:
    """Write a network for another engine, and the proof `<path>.parity.json` beside it.

    The file takes `images`, (N, H, W, 3) uint8 RGB of the card's size with N free, normalises inside as
    `core.images.normalise` does, and gives `embedding`, (N, D) float32, and `feature_maps`, (N, C, h, w)
    float32. Its metadata holds the card, precision and hashes, see `ExportMetadata`. Batch norms are folded
    into convolutions. The format "safetensors" is for our own engine: the same weights, and in their header
    what its int8 needs. Nothing is written unless the file, opened by its own engine, passes the gate.

    Args:
        model: the network; neither moved nor changed, and left in the mode it was in.
        path: ends in the format's suffix (`FORMATS`).
        form: what the file is to be; format and precision are a pair of `PRECISIONS`.
        comparison: what both are compared on.
        threads: number of threads of the exported model while it is measured, where its engine takes a
            number.
        console: where to show progress.

    Returns:
        The proof that lies beside the file.

    Raises:
        WeightsError: the gate is not passed, or the engine refuses the file.
        MissingExtraError: the format's tool is not installed; names the extra.
        InputError: an unknown format, a precision it does not have, another suffix, a number out of range.
        StorageError: the file could not be written; an old one stays.
    """
    target = Path(path)
    check_options(target, form.format, form.precision)
    if form.format == "safetensors" and form.normalised:
        raise InputError("safetensors: holds weights, whose embeddings are raw; leave --embedding out")
    if form.opset < OPSET:
        raise InputError(f"opset: expected at least {OPSET}, got {form.opset}")
    if comparison.num_crops < MIN_CROPS:
        raise InputError(f"num_crops: expected at least {MIN_CROPS}, got {comparison.num_crops}")
    calibrates = form.precision == "int8"
    dataset = comparison.dataset
    if calibrates and dataset is None:
        raise InputError("int8 may lose at most 0.5 points of mAP: give a dataset to measure it on")
    crops, crops_source = comparison.crops, comparison.crops_source
    if crops is None:
        num_crops = comparison.num_crops * (2 if calibrates else 1)
        crops = generated_crops(num_crops, card.input, seed=comparison.seed)
        crops_source = f"generated, seed {comparison.seed}"
    check_crops(crops, card)
    calibration, crops = _divide(crops, calibrates=calibrates)
    card = card.model_copy(update={"sha256": None})
    frozen = copy.deepcopy(model).cpu().eval()
    shape = choose_form(frozen, form.format)
    built = _Job(frozen, card, shape, form, calibration, console).build()
    metadata = ExportMetadata(
        card=card,
        format=form.format,
        precision=form.precision,
        normalised=form.normalised,
        weights_sha256=tensors_sha256(frozen.state_dict()),
        content_sha256="",
        max_batch=built.max_batch,
    )
    contents = built.files if form.format == "safetensors" else attach(built.files, metadata)
    files = {target.with_suffix(suffix).name: content for suffix, content in contents.items()}
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            write_bytes(Path(folder) / name, content, durable=False)
        exported = Embedder.open(
            Path(folder) / target.name,
            threads=threads,
            backend="native" if form.format == "safetensors" else AUTO,
            precision="int8" if form.format == "safetensors" else None,
        )
        reference = Embedder(TorchBackend(frozen, card, device="cpu"))
        if form.format == "onnx":
            check_plain_onnx(files[target.name], crops, card)
        similarity = compare_embeddings(
            exported.backend, reference.backend, crops, normalised=form.normalised
        )
        accuracy = None
        if dataset is not None:
            accuracy = compare_accuracy(exported, reference, dataset, console=console)
        latency = measure_latency(exported.backend, crops)
        backend, device = exported.backend.name, exported.backend.device
        del exported  # lets go of the files before the folder is removed
    record = ParityRecord(
        file=target.name,
        sha256={name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
        format=form.format,
        precision=form.precision,
        embedding="normalised" if form.normalised else "raw",
        backend=backend,
        model=card.name,
        architecture=card.architecture,
        weights_sha256=metadata.weights_sha256,
        form=shape,
        opset=form.opset if built.is_from_onnx else None,
        crops=crops_source,
        num_crops=len(crops),
        **asdict(similarity),
        min_cosine_limit=MIN_COSINE[form.precision],
        accuracy=accuracy,
        latency=latency,
        device=device,
        threads=torch.get_num_threads() if backend == "torchscript" else threads or compute_threads(),
        float_layers=built.float_layers,
        environment=EnvironmentRecord.capture(),
    )
    check_limits(record, target)
    # The proof first, the main file last: a model is never there without them. The proof names the hashes.
    record.save(parity_path(target))
    for name in sorted(files, key=lambda name: name == target.name):
        write_bytes(target.with_name(name), files[name])
    return record


def export_onnx(
    model: Network,
    card: ModelCard,
    path: str | os.PathLike[str],
    *,
    opset: int = OPSET,
    num_crops: int = MIN_CROPS,
    seed: int = 0,
) -> ParityRecord:
    """`export_model` to ONNX in float32, raw embeddings, compared on generated crops."""
    comparison = Comparison(num_crops=num_crops, seed=seed)
    return export_model(model, card, path, ExportForm(opset=opset), comparison)


@dataclass(frozen=True)
class _Built:
    """Files by suffix, without metadata."""

    files: dict[str, bytes]
    is_from_onnx: bool = True
    max_batch: int | None = None
    float_layers: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Job:
    model: Network
    card: ModelCard
    shape: Form
    form: ExportForm
    calibration: Crops
    console: Console | None

    def build(self) -> _Built:
        makers: dict[str, Callable[[], _Built]] = {
            "onnx": self._onnx,
            "openvino": self._openvino,
            "torchscript": self._torchscript,
            "tensorrt": self._tensorrt,
            "executorch": self._executorch,
            "safetensors": self._safetensors,
        }
        return makers[self.form.format]()

    def _deployed(self, dtype: torch.dtype = torch.float32) -> nn.Module:
        return deployed(self.model, self.card, form=self.shape, normalised=self.form.normalised, dtype=dtype)

    def _graph(self) -> tuple[bytes, tuple[str, ...]]:
        """An ONNX graph in the precision asked for (bf16 the engine brings), and int8's float layers."""
        graph = onnx_graph(self._deployed(), self.card.input, opset=self.form.opset)
        if self.form.precision == "fp16" and self.form.format != "openvino":
            from omnireid.inference.export.half import halve

            return halve(graph), ()
        if self.form.precision == "int8":
            from omnireid.inference.export.quantise import quantise

            quantised = quantise(graph, self.calibration, limit=MIN_COSINE["int8"], console=self.console)
            return quantised.bytes, tuple(quantised.float_layers)
        return graph, ()

    def _onnx(self) -> _Built:
        graph, float_layers = self._graph()
        return _Built({".onnx": graph}, float_layers=float_layers)

    def _openvino(self) -> _Built:
        from omnireid.inference.export.openvino import openvino_model

        graph, float_layers = self._graph()
        return _Built(
            openvino_model(graph, compress=self.form.precision == "fp16"), float_layers=float_layers
        )

    def _torchscript(self) -> _Built:
        from omnireid.inference.export.torchscript import torchscript_module

        deployed = self._deployed(_DTYPES.get(self.form.precision, torch.float32))
        return _Built({".torchscript": torchscript_module(deployed, self.card.input)}, is_from_onnx=False)

    def _tensorrt(self) -> _Built:
        from omnireid.inference.export.tensorrt import MAX_BATCH, tensorrt_engine

        graph, float_layers = self._graph()
        engine = tensorrt_engine(graph, self.card.input)
        return _Built({".engine": engine}, max_batch=MAX_BATCH, float_layers=float_layers)

    def _executorch(self) -> _Built:
        from omnireid.inference.export.executorch import MAX_BATCH, executorch_program

        program = executorch_program(self._deployed(), self.card.input)
        return _Built({".pte": program}, is_from_onnx=False, max_batch=MAX_BATCH)

    def _safetensors(self) -> _Built:
        from omnireid.inference.export.native import with_ranges

        content = with_ranges(self.model, self.card, self.calibration)
        return _Built({".safetensors": content}, is_from_onnx=False)


def _divide(crops: Crops, *, calibrates: bool) -> tuple[Crops, Crops]:
    """Crops to calibrate on and crops to compare on, both from beginning to end."""
    least = MIN_CROPS + MIN_CALIBRATION if calibrates else MIN_CROPS
    if len(crops) < least:
        to_what = "calibrate and compare on" if calibrates else "compare on"
        raise InputError(f"crops: expected at least {least} to {to_what}, got {len(crops)}")
    num_compared = max(MIN_CROPS, len(crops) // 2) if calibrates else len(crops)
    is_compared = np.zeros(len(crops), bool)
    is_compared[np.linspace(0, len(crops) - 1, num_compared).round().astype(int)] = True
    return crops[~is_compared], crops[is_compared]


def check_options(target: Path, format_name: str, precision: str) -> None:
    """Refuse a pair of format and precision that is not offered, and a name that does not suit the format.

    Raises:
        UnknownNameError: no such format or precision.
        InputError: says what works.
    """
    if format_name not in PRECISIONS:
        raise UnknownNameError("format", format_name, PRECISIONS)
    if precision not in MIN_COSINE:
        raise UnknownNameError("precision", precision, MIN_COSINE)
    if precision not in PRECISIONS[format_name]:
        others = [name for name, offered in PRECISIONS.items() if precision in offered]
        raise InputError(
            f"{format_name} in {precision}: not offered. "
            f"{format_name} has {', '.join(PRECISIONS[format_name])}; "
            f"{precision} works with {', '.join(others)}"
        )
    suffix = FORMATS[format_name].suffix
    if target.suffix != suffix:
        raise InputError(f"{target}: a file of format {format_name} ends in {suffix}")

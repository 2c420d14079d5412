"""From a model file to the engine that runs it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from omnireid.core.errors import ConfigError, InputError, MissingExtraError, UnknownNameError, WeightsError
from omnireid.inference.backends.foreign import ForeignCard, find_card
from omnireid.inference.backends.protocol import Backend
from omnireid.inference.backends.table import BACKENDS, BackendSpec, Opening
from omnireid.inference.export.metadata import read_metadata
from omnireid.inference.formats import FORMATS, FileFormat, identify
from omnireid.inference.fused.fold import check_foldable
from omnireid.inference.lookup import CHECKPOINT_SUFFIXES
from omnireid.inference.native.precision import MIN_SIZE, missing_for
from omnireid.inference.options import AUTO
from omnireid.models.run_checkpoint import is_run_checkpoint
from omnireid.models.weight_file import read_header


def open_backend(path: Path, how: Opening, *, backend: str = AUTO) -> tuple[Backend, bool]:
    """Open a model file; arguments and errors as `Embedder.open`.

    Returns:
        The engine, and whether the file gives L2-normalised embeddings.
    """
    spec = None if backend == AUTO else _spec(backend)
    is_of_run = is_run_checkpoint(path)
    if path.suffix in CHECKPOINT_SUFFIXES and not is_of_run:
        raise WeightsError(_not_a_model(path))
    # Weights of a network in training are weights.
    kind = FORMATS["safetensors"] if is_of_run else identify(path)
    if spec is None:
        spec = _automatic(path, kind, how)
    _check(path, kind, spec, how)
    metadata = read_metadata(path)
    how = replace(how, metadata=metadata, card=_card(path, kind, how, has_own=metadata is not None))
    try:
        engine = spec.open(path, how)
    except MissingExtraError as error:
        if spec.name not in ("torch", "torchscript"):
            raise
        raise MissingExtraError(
            f"{path}: runs in torch, which is not installed. Export the weights where torch is "
            "(omnireid export MODEL.safetensors) and open the .onnx file here; running it directly",
            "train",
        ) from error
    stated = how.metadata or how.card
    return engine, stated is not None and stated.normalised


def _card(path: Path, kind: FileFormat, how: Opening, *, has_own: bool) -> ForeignCard | None:
    """The card of a network file of others: the one that was given, else the one beside it."""
    if kind.name not in ("onnx", "openvino") or has_own:
        if how.card is not None:
            raise WeightsError(f"{path}: has its model card inside; leave the other card out")
        return None
    return how.card or find_card(path)


def _spec(backend: str) -> BackendSpec:
    try:
        return BACKENDS.get(backend)
    except UnknownNameError:
        raise UnknownNameError("backend", str(backend), (AUTO, *BACKENDS.names())) from None


def _check(path: Path, kind: FileFormat, spec: BackendSpec, how: Opening) -> None:
    """Refuse what an engine does not do, before it is imported."""
    if kind.name not in spec.formats:
        raise InputError(_misfit(path, kind, spec.name))
    if how.threads is not None and spec.has_process_threads:
        raise InputError("threads: torch has one number for the whole process; set OMP_NUM_THREADS instead")
    if spec.is_on_cpu and how.device not in ("auto", "cpu"):
        raise InputError(f"device {how.device!r}: the backend {spec.name!r} runs on 'cpu' ('auto')")
    if how.precision is not None and how.precision not in spec.precisions:
        raise InputError(_not_its_precision(spec, how.precision))


def _automatic(path: Path, kind: FileFormat, how: Opening) -> BackendSpec:
    """The engine of a kind of file; of weights, ours on a CPU where it can run them, else torch."""
    if kind.name != "safetensors":
        return next(_running(kind))
    if how.device not in ("auto", "cpu") or (how.device == "auto" and _has_accelerator()):
        return BACKENDS.get("torch")
    header = read_header(path)
    spec = header.card.input
    wanted: Any = how.precision or "fp32"
    runs_here = min(spec.height, spec.width) >= MIN_SIZE and not missing_for(wanted)
    try:
        check_foldable(header.config)
    except ConfigError:
        runs_here = False
    # A precision that was asked for is the engine's to refuse: it says what is missing.
    return BACKENDS.get("native" if runs_here or how.precision is not None else "torch")


def _running(kind: FileFormat) -> Iterator[BackendSpec]:
    """The engines that run a kind of file, in the order of the table; ours without importing others'."""
    return (spec for spec in BACKENDS.specs() if kind.name in spec.formats)


def _has_accelerator() -> bool:
    """Whether torch has a GPU here. torch is not imported where there is no sign of one."""
    signs = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")
    if sys.platform == "linux" and not any(Path(sign).exists() for sign in signs):
        return False
    try:
        from omnireid.inference.backends.torch_eager import choose_device
    except MissingExtraError:
        return False
    return choose_device("auto") != "cpu"


def _not_its_precision(spec: BackendSpec, precision: str) -> str:
    if spec.precisions:
        return f"precision {precision!r}: the backend {spec.name!r} has {', '.join(spec.precisions)}"
    having = [other.name for other in BACKENDS.specs() if precision in other.precisions]
    return (
        f"precision {precision!r}: the backend {spec.name!r} computes as its file says. "
        f"{' and '.join(map(repr, having))} can be told; for others export with --precision"
    )


def _misfit(path: Path, kind: FileFormat, backend: str) -> str:
    names = " or ".join(repr(spec.name) for spec in _running(kind))
    text = f"{path}: {kind.title} runs in the backend {names} ('auto'), not in {backend!r}"
    others = [name for name in FORMATS if name in BACKENDS.get(backend).formats]
    if kind.name == "safetensors" and others:
        return f"{text}; export it: omnireid export {path} --format {others[0]}"
    return text


def _not_a_model(path: Path) -> str:
    if path.suffix == ".bin" and path.with_suffix(".xml").is_file():
        return f"{path}: the weights of an OpenVINO model; open {path.with_suffix('.xml')}"
    return f"{path}: a torch checkpoint; convert it first: omnireid models convert {path}"

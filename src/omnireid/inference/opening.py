"""From a model file to the engine that runs it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, get_args

from omnireid.core.errors import ConfigError, InputError, MissingExtraError, WeightsError
from omnireid.inference.backends import Backend, OnnxBackend
from omnireid.inference.export.metadata import ExportMetadata, read_metadata
from omnireid.inference.formats import FORMATS, FileFormat, identify
from omnireid.inference.fused.fold import check_foldable
from omnireid.inference.lookup import CHECKPOINT_SUFFIXES
from omnireid.inference.native.precision import MIN_SIZE, missing_for
from omnireid.inference.options import BackendName, PrecisionName
from omnireid.models.run_checkpoint import is_run_checkpoint
from omnireid.models.weight_file import read_header

_ON_CPU_ONLY = ("openvino", "native", "executorch")
_PRECISIONS = {
    "native": ("fp32", "bf16x3", "bf16"),
    "openvino": ("fp32", "bf16"),
    "gpu": ("bf16", "fp16", "fp32"),
}
"""Engines that are told what to compute in, the default first. The others do what their file says."""
_TORCH_THREADS = ("torch", "torchscript", "gpu")


def open_backend(
    path: Path,
    *,
    backend: BackendName,
    device: str,
    threads: int | None,
    precision: PrecisionName | None = None,
) -> tuple[Backend, bool]:
    """Open a model file; arguments and errors as `Embedder.open`.

    Returns:
        The engine, and whether the file gives L2-normalised embeddings.
    """
    if backend not in get_args(BackendName):
        expected = ", ".join(map(repr, get_args(BackendName)))
        raise InputError(f"backend: expected one of {expected}, got {backend!r}")
    is_of_run = is_run_checkpoint(path)
    if path.suffix in CHECKPOINT_SUFFIXES and not is_of_run:
        raise WeightsError(_not_a_model(path))
    # Weights of a network in training are weights.
    kind = FORMATS["safetensors"] if is_of_run else identify(path)
    chosen = _automatic(path, kind, device, precision) if backend == "auto" else backend
    if chosen not in kind.backends:
        raise InputError(_misfit(path, kind, chosen))
    if threads is not None and chosen in _TORCH_THREADS:
        raise InputError("threads: torch has one number for the whole process; set OMP_NUM_THREADS instead")
    if chosen in _ON_CPU_ONLY and device not in ("auto", "cpu"):
        raise InputError(f"device {device!r}: the backend {chosen!r} runs on 'cpu' ('auto')")
    if precision is not None and precision not in _PRECISIONS.get(chosen, ()):
        raise InputError(_not_its_precision(chosen, precision))
    metadata = read_metadata(path)
    engine = _open(path, chosen, device, threads, precision, metadata)
    return engine, metadata is not None and metadata.normalised


def _automatic(path: Path, kind: FileFormat, device: str, precision: str | None) -> str:
    """The engine of a kind of file; of weights, ours on a CPU where it can run them, else torch."""
    if kind.name != "safetensors":
        return kind.backends[0]
    if device not in ("auto", "cpu") or (device == "auto" and _has_accelerator()):
        return "torch"
    header = read_header(path)
    spec = header.card.input
    wanted: Any = precision or "fp32"
    runs_here = min(spec.height, spec.width) >= MIN_SIZE and not missing_for(wanted)
    try:
        check_foldable(header.config)
    except ConfigError:
        runs_here = False
    # A precision that was asked for is the engine's to refuse: it says what is missing.
    return "native" if runs_here or precision is not None else "torch"


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


def _open(
    path: Path,
    backend: str,
    device: str,
    threads: int | None,
    precision: Any,
    metadata: ExportMetadata | None,
) -> Backend:
    if backend == "onnx":
        return OnnxBackend(path, device=device, threads=threads)
    if backend == "openvino":
        from omnireid.inference.backends.openvino import OpenVinoBackend

        if precision is None:
            is_bf16 = metadata is not None and metadata.precision == "bf16"
            precision = "bf16" if is_bf16 else "fp32"
        return OpenVinoBackend(path, precision=precision, threads=threads)
    if backend == "native":
        from omnireid.inference.backends.native import NativeBackend

        return NativeBackend.open(path, threads=threads, precision=precision or "fp32")
    if backend == "gpu":
        from omnireid.inference.backends.gpu import GpuBackend

        return GpuBackend.open(
            path, device="cuda" if device == "auto" else device, precision=precision or "bf16"
        )
    if backend == "tensorrt":
        from omnireid.inference.backends.tensorrt import TensorRtBackend

        return TensorRtBackend(path, device=device)
    if backend == "executorch":
        from omnireid.inference.backends.executorch import ExecuTorchBackend

        return ExecuTorchBackend(path)
    try:
        if backend == "torchscript":
            from omnireid.inference.backends.torchscript import TorchScriptBackend

            return TorchScriptBackend(path, device=device)
        from omnireid.inference.backends.torch_eager import TorchBackend
    except MissingExtraError as error:
        raise MissingExtraError(
            f"{path}: runs in torch, which is not installed. Export the weights where torch is "
            "(omnireid export MODEL.safetensors) and open the .onnx file here; running it directly",
            "train",
        ) from error
    return TorchBackend.open(path, device=device)


def _not_its_precision(backend: str, precision: str) -> str:
    if backend in _PRECISIONS:
        return f"precision {precision!r}: the backend {backend!r} has {', '.join(_PRECISIONS[backend])}"
    having = [name for name, precisions in _PRECISIONS.items() if precision in precisions]
    return (
        f"precision {precision!r}: the backend {backend!r} computes as its file says. "
        f"{' and '.join(map(repr, having))} can be told; for others export with --precision"
    )


def _misfit(path: Path, kind: FileFormat, backend: str) -> str:
    names = " or ".join(repr(name) for name in kind.backends)
    text = f"{path}: {kind.title} runs in the backend {names} ('auto'), not in {backend!r}"
    others = [other.name for other in FORMATS.values() if backend in other.backends]
    if kind.name == "safetensors" and "safetensors" not in others:
        return f"{text}; export it: omnireid export {path} --format {others[0]}"
    return text


def _not_a_model(path: Path) -> str:
    if path.suffix == ".bin" and path.with_suffix(".xml").is_file():
        return f"{path}: the weights of an OpenVINO model; open {path.with_suffix('.xml')}"
    return f"{path}: a torch checkpoint; convert it first: omnireid models convert {path}"

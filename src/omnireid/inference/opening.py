"""From a model file to the engine that runs it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

from omnireid.core.errors import InputError, MissingExtraError, WeightsError
from omnireid.inference.backends import Backend, OnnxBackend
from omnireid.inference.export.metadata import ExportMetadata, read_metadata
from omnireid.inference.formats import FORMATS, FileFormat, identify
from omnireid.inference.lookup import CHECKPOINT_SUFFIXES

BackendName = Literal["auto", "onnx", "openvino", "torch", "native", "torchscript", "tensorrt", "executorch"]

_ON_CPU_ONLY = ("openvino", "native", "executorch")
_TORCH_THREADS = ("torch", "torchscript")


def open_backend(
    path: Path, *, backend: BackendName, device: str, threads: int | None
) -> tuple[Backend, bool]:
    """Open a model file; arguments and errors as `Embedder.open`.

    Returns:
        The engine, and whether the file gives L2-normalised embeddings.
    """
    if backend not in get_args(BackendName):
        expected = ", ".join(map(repr, get_args(BackendName)))
        raise InputError(f"backend: expected one of {expected}, got {backend!r}")
    if path.suffix in CHECKPOINT_SUFFIXES:
        raise WeightsError(_not_a_model(path))
    kind = identify(path)
    chosen = kind.backends[0] if backend == "auto" else backend
    if chosen not in kind.backends:
        raise InputError(_misfit(path, kind, chosen))
    if threads is not None and chosen in _TORCH_THREADS:
        raise InputError("threads: torch has one number for the whole process; set OMP_NUM_THREADS instead")
    if chosen in _ON_CPU_ONLY and device not in ("auto", "cpu"):
        raise InputError(f"device {device!r}: the backend {chosen!r} runs on 'cpu' ('auto')")
    metadata = read_metadata(path)
    engine = _open(path, chosen, device, threads, metadata)
    return engine, metadata is not None and metadata.normalised


def _open(
    path: Path, backend: str, device: str, threads: int | None, metadata: ExportMetadata | None
) -> Backend:
    if backend == "onnx":
        return OnnxBackend(path, device=device, threads=threads)
    if backend == "openvino":
        from omnireid.inference.backends.openvino import OpenVinoBackend

        is_bf16 = metadata is not None and metadata.precision == "bf16"
        return OpenVinoBackend(path, precision="bf16" if is_bf16 else "fp32", threads=threads)
    if backend == "native":
        from omnireid.inference.backends.native import NativeBackend

        return NativeBackend.open(path, threads=threads)
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

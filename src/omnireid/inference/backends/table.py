"""Inference engines by name. Imports none of them.

A new engine is a file with its `open_file`, and its line in `BACKENDS`; or a package with an entry point, see
docs/guides/extending/package.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from omnireid.core.sockets import Socket, later

if TYPE_CHECKING:
    from omnireid.inference.backends.foreign import ForeignCard
    from omnireid.inference.backends.protocol import Backend
    from omnireid.inference.export.metadata import ExportMetadata


@dataclass(frozen=True)
class Opening:
    """How a model file is to be opened; arguments that do not fit the engine were refused before.

    Attributes:
        device: "auto", "cpu", "cuda", …
        threads: number of threads of one run; the engine's own choice when None.
        precision: one of `BackendSpec.precisions`; the engine's own choice when None.
        metadata: metadata of a file of `omnireid export`.
        card: what a network file of others takes, where somebody says so.
    """

    device: str = "auto"
    threads: int | None = None
    precision: str | None = None
    metadata: ExportMetadata | None = None
    card: ForeignCard | None = None


@dataclass(frozen=True)
class BackendSpec:
    """One inference engine.

    Attributes:
        name: its name as `--backend` takes it.
        open: a file and how → the engine with that model in it; the place to import the engine.
        formats: names of `formats.FORMATS` that it runs. "auto" takes the first engine of the table that runs
            a file (of weights it depends, see `opening`).
        precisions: what it can be told to compute in, the default first; () where its file says that.
        is_on_cpu: whether it runs on the CPU only.
        has_process_threads: whether its number of threads is that of torch in this process.
    """

    name: str
    open: Callable[[Path, Opening], Backend]
    formats: tuple[str, ...]
    precisions: tuple[str, ...] = ()
    is_on_cpu: bool = False
    has_process_threads: bool = False


def _home(module: str) -> Callable[[Path, Opening], Backend]:
    return later(f"omnireid.inference.backends.{module}:open_file")


BACKENDS = Socket(
    "backend",
    "omnireid.backends",
    BackendSpec,
    (
        BackendSpec("onnx", _home("onnx_runtime"), ("onnx",)),
        BackendSpec("openvino", _home("openvino"), ("openvino", "onnx"), ("fp32", "bf16"), is_on_cpu=True),
        BackendSpec(
            "native",
            _home("native"),
            ("safetensors",),
            ("fp32", "bf16x3", "bf16", "int8"),
            is_on_cpu=True,
        ),
        BackendSpec("torch", _home("torch_eager"), ("safetensors",), has_process_threads=True),
        BackendSpec(
            "gpu", _home("gpu"), ("safetensors",), ("bf16", "fp16", "fp32"), has_process_threads=True
        ),
        BackendSpec("torchscript", _home("torchscript"), ("torchscript",), has_process_threads=True),
        BackendSpec("tensorrt", _home("tensorrt"), ("tensorrt",)),
        BackendSpec("executorch", _home("executorch"), ("executorch",), is_on_cpu=True),
    ),
)

"""How a model file is run, and what it can be exported to: choices and their defaults."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

DEFAULT_MODEL = "osnet_x0_25_rendered"
"""What is taken where no model is named: weights that come with the package."""

AUTO = "auto"
BackendName = str
"""AUTO, or a name of `BACKENDS`."""
PrecisionName = Literal["fp32", "bf16x3", "bf16", "fp16", "int8"]
ExportFormat = Literal["onnx", "openvino", "torchscript", "tensorrt", "executorch", "safetensors"]
ExportPrecision = Literal["fp32", "fp16", "bf16", "int8"]
"""What convolutions of an exported file are computed in."""

OPSET = 17
"""Of ONNX, the least that an export has."""


@dataclass(frozen=True)
class ExportForm:
    """What an exported file is.

    Attributes:
        format: The engine it is for.
        precision: What its convolutions are computed in; `exporter.PRECISIONS` says which formats have which.
        normalised: Whether it gives L2-normalised embeddings, or the network's own.
        opset: Of ONNX, at least `OPSET`; formats that are made from ONNX take it too.
    """

    format: ExportFormat = "onnx"
    precision: ExportPrecision = "fp32"
    normalised: bool = False
    opset: int = OPSET


@dataclass(frozen=True)
class Engine:
    """What runs a model; see `Embedder.open`, whose arguments these are.

    Attributes:
        backend: The engine; "auto" takes the one that fits the file and the machine.
        precision: What native, openvino and gpu compute in; None leaves it to them.
        device: "auto", "cpu", "cuda", "cuda:1" or "mps", as far as the backend has it.
        threads: Of one run; None takes one per core.
        batch_size: Crops in one run of the network.
        card: What a network file of others takes and gives; None takes the one beside it, where there is one.
    """

    backend: BackendName = AUTO
    precision: PrecisionName | None = None
    device: str = "auto"
    threads: int | None = None
    batch_size: int = 64
    card: Path | None = None

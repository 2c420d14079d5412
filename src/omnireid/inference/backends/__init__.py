"""Inference engines behind one protocol. `TorchBackend` is loaded on first use; the rest needs no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from omnireid.inference.backends.onnx_runtime import OnnxBackend
from omnireid.inference.backends.protocol import Backend, check_crops

if TYPE_CHECKING:
    from omnireid.inference.backends.torch_eager import TorchBackend

__all__ = ["Backend", "OnnxBackend", "TorchBackend", "check_crops"]


def __getattr__(name: str) -> Any:
    if name == "TorchBackend":
        from omnireid.inference.backends.torch_eager import TorchBackend

        return TorchBackend
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""Export with proof: a network as one file for another engine, and how far that file is from it.

Reading metadata needs no torch; the names below are imported when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from omnireid.inference.export.exporter import PRECISIONS, check_options, export_model, export_onnx
    from omnireid.inference.export.metadata import ExportMetadata, read_metadata
    from omnireid.inference.export.parity import ParityRecord, parity_path

_HOMES = {
    "PRECISIONS": "exporter",
    "ExportMetadata": "metadata",
    "ParityRecord": "parity",
    "check_options": "exporter",
    "export_model": "exporter",
    "export_onnx": "exporter",
    "parity_path": "parity",
    "read_metadata": "metadata",
}

__all__ = [
    "PRECISIONS",
    "ExportMetadata",
    "ParityRecord",
    "check_options",
    "export_model",
    "export_onnx",
    "parity_path",
    "read_metadata",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)

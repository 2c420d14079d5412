"""Embeddings from model files: the Embedder over its backends, export with a proof, storage.

Only export and the backends of torch need torch; the names below are imported when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from omnireid.inference.backends import Backend, OnnxBackend, TorchBackend
    from omnireid.inference.embedder import Embedder
    from omnireid.inference.export import ParityRecord, export_model, export_onnx
    from omnireid.inference.lookup import find_weights
    from omnireid.inference.sources import collect_samples
    from omnireid.inference.storage import EmbeddingWriter, read_card, read_embeddings, write_embeddings
    from omnireid.inference.tracklets import embed_tracklets

_HOMES = {
    "Backend": "backends",
    "Embedder": "embedder",
    "EmbeddingWriter": "storage",
    "OnnxBackend": "backends",
    "ParityRecord": "export",
    "TorchBackend": "backends",
    "collect_samples": "sources",
    "embed_tracklets": "tracklets",
    "export_model": "export",
    "export_onnx": "export",
    "find_weights": "lookup",
    "read_card": "storage",
    "read_embeddings": "storage",
    "write_embeddings": "storage",
}

__all__ = [
    "Backend",
    "Embedder",
    "EmbeddingWriter",
    "OnnxBackend",
    "ParityRecord",
    "TorchBackend",
    "collect_samples",
    "embed_tracklets",
    "export_model",
    "export_onnx",
    "find_weights",
    "read_card",
    "read_embeddings",
    "write_embeddings",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)

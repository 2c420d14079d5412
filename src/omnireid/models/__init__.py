"""The OSNet family: networks, cards, weights.

`cards`, `config` and `pull` need no torch; the names below are imported when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from omnireid.models.cards import list_architectures, list_models, model_card
    from omnireid.models.classifier import ClassifierOutput, IdentityClassifier
    from omnireid.models.config import OSNetConfig
    from omnireid.models.convert import convert_checkpoint
    from omnireid.models.onnx_import import import_onnx
    from omnireid.models.osnet import OSNet
    from omnireid.models.registry import build_model
    from omnireid.models.weights import initialise_from, load_weights, save_weights

_HOMES = {
    "ClassifierOutput": "classifier",
    "IdentityClassifier": "classifier",
    "OSNet": "osnet",
    "OSNetConfig": "config",
    "build_model": "registry",
    "convert_checkpoint": "convert",
    "import_onnx": "onnx_import",
    "initialise_from": "weights",
    "list_architectures": "cards",
    "list_models": "cards",
    "load_weights": "weights",
    "model_card": "cards",
    "save_weights": "weights",
}

__all__ = [
    "ClassifierOutput",
    "IdentityClassifier",
    "OSNet",
    "OSNetConfig",
    "build_model",
    "convert_checkpoint",
    "import_onnx",
    "initialise_from",
    "list_architectures",
    "list_models",
    "load_weights",
    "model_card",
    "save_weights",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)

"""The OSNet family: networks, cards, weights.

`cards`, `config` and `pull` need no torch; the names below are imported when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from omnireid.models.classifier import ClassifierOutput, IdentityClassifier
    from omnireid.models.config import OSNetConfig
    from omnireid.models.osnet import OSNet
    from omnireid.models.registry import build_model

_HOMES = {
    "ClassifierOutput": "classifier",
    "IdentityClassifier": "classifier",
    "OSNet": "osnet",
    "OSNetConfig": "config",
    "build_model": "registry",
}

__all__ = [
    "ClassifierOutput",
    "IdentityClassifier",
    "OSNet",
    "OSNetConfig",
    "build_model",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)

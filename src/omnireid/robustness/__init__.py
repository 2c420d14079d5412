"""The twenty corruptions and the -C benchmarks. Names are known without the extra; corrupting needs it."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from omnireid.robustness.suite import CATEGORIES, CORRUPTIONS, SEVERITIES

if TYPE_CHECKING:
    from omnireid.robustness.corruptions import corrupt
    from omnireid.robustness.draw import Draw, corrupt_sample, fresh_seed

_HOMES = {
    "Draw": "draw",
    "corrupt": "corruptions",
    "corrupt_sample": "draw",
    "fresh_seed": "draw",
}

__all__ = ["CATEGORIES", "CORRUPTIONS", "SEVERITIES", "Draw", "corrupt", "corrupt_sample", "fresh_seed"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)

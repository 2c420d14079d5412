"""Waiting for another thread for a moment, without the interpreter."""

from __future__ import annotations

from typing import Any

from omnireid.core.compiled import compiled
from omnireid.inference.native.sharing import pause, read_shared


@compiled
def await_count(counters: Any, index: int, least: int, looks: int) -> None:
    """Look at a shared counter until it has reached `least`, at most so many times (of some 50 ns)."""
    while looks > 0 and read_shared(counters, index) < least:
        looks -= 1
        pause()

"""Small records of a store, remembered for a moment, because every search needs them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from omnireid.gallery.store import GalleryStore

Parsed = TypeVar("Parsed")
Records = dict[str, dict[str, Any]]

MAX_AGE_S = 1.0
"""What another process wrote is seen after this time at the latest."""


class RememberedRecords(Generic[Parsed]):
    """All records of one kind in a parsed form. Several threads may share it."""

    def __init__(self, store: GalleryStore, kind: str, parse: Callable[[Records], Parsed]) -> None:
        self._store, self._kind, self._parse = store, kind, parse
        self._lock = threading.Lock()
        self._known: tuple[Parsed, float] | None = None

    def read(self, *, fresh: bool = False) -> Parsed:
        """The parsed records, at most `MAX_AGE_S` old; `fresh` reads them now, for who is about to write."""
        with self._lock:
            now = time.monotonic()
            if fresh or self._known is None or now - self._known[1] > MAX_AGE_S:
                self._known = self._parse(self._store.records(self._kind)), now
            return self._known[0]

    def forget(self) -> None:
        """Read again next time: they were changed."""
        with self._lock:
            self._known = None

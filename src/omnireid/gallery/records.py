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
        self._reading, self._swapping = threading.Lock(), threading.Lock()
        self._known: tuple[Parsed, float] | None = None
        self._num_changes = 0

    def read(self, *, fresh: bool = False) -> Parsed:
        """The parsed records, about `MAX_AGE_S` old at most.

        Args:
            fresh: read them now, for who is about to write.
        """
        known = self._known
        if known is None or fresh:
            self._reading.acquire()
        elif time.monotonic() - known[1] <= MAX_AGE_S or not self._reading.acquire(blocking=False):
            # Where they are too old, one thread reads them again; the others go on with what there is.
            return known[0]
        try:
            begun, num_changes = time.monotonic(), self._num_changes
            read = self._parse(self._store.records(self._kind))
            with self._swapping:
                # What this process wrote meanwhile is not hidden by what was read before.
                if num_changes == self._num_changes:
                    self._known = read, begun
            return read
        finally:
            self._reading.release()

    def replace(self, parsed: Parsed) -> None:
        """Remember what was just written, without reading it."""
        with self._swapping:
            self._known = parsed, time.monotonic()
            self._num_changes += 1

    def forget(self) -> None:
        """Read again next time: they were changed."""
        with self._swapping:
            self._known = None
            self._num_changes += 1

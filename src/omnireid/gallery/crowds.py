"""How many people a search goes through, counted now and then."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from omnireid.gallery.decisions import Crowd
from omnireid.gallery.items import Filter, tags

AGE_S = 300.0
"""Seconds for which a count is remembered."""

_MOST_KNOWN = 64
_ADDED_SHARE = 0.1


@dataclass(frozen=True)
class _Known:
    crowd: Crowd
    counted: float
    added: int


class Crowds:
    """Counts by collection and filter; several threads may share them."""

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], _Known] = {}
        self._added = 0
        self._counting = threading.Lock()

    def added(self, num_items: int) -> None:
        """Say that so many items were added."""
        self._added += num_items

    def get(self, key: tuple[str, Filter], count: Callable[[], Crowd]) -> Crowd:
        """What was counted, or `count()` where that is old or a tenth was added since."""
        collection, where = key
        values = {name: getattr(where, name) for name in Filter.__slots__}
        values["attributes"] = tuple(tags(where.attributes))
        wanted = (collection, *values.values())
        known = self._known.get(wanted)
        if known is not None and self._is_fresh(known):
            return known.crowd
        # One thread counts; the others go on with what was known.
        if known is not None and self._counting.locked():
            return known.crowd
        with self._counting:
            known = self._known.get(wanted)
            if known is None or not self._is_fresh(known):
                before = self._added
                known = _Known(count(), time.monotonic(), before)
                if len(self._known) >= _MOST_KNOWN:
                    del self._known[min(self._known, key=lambda key: self._known[key].counted)]
                self._known[wanted] = known
            return known.crowd

    def _is_fresh(self, known: _Known) -> bool:
        is_recent = time.monotonic() - known.counted <= AGE_S
        return is_recent and self._added - known.added <= _ADDED_SHARE * known.crowd.items

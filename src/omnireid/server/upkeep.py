"""What a gallery needs while it is served: retention, codes in memory, its index, a count for the metrics."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from omnireid.server.metrics import Metrics
from omnireid.server.rounds import DailyRun, Rounds

if TYPE_CHECKING:
    from omnireid.gallery.gallery import Gallery

log = logging.getLogger("omnireid.server")

_LOOK_S = 60.0
_INDEX_FROM = 50_000
_INDEX_AGAIN_SHARE = 0.1


class Upkeep:
    """Two threads of one gallery.

    What makes searches quick is taken into memory at once, and kept up. An index is built when so many items
    are outside of it that searches notice: from 50,000 items, and again when a tenth is not in it yet.
    """

    def __init__(
        self, name: str, gallery: Gallery, metrics: Metrics, *, daily: Callable[[], object] = lambda: None
    ) -> None:
        self._name = name
        self._gallery = gallery
        self._metrics = metrics
        self._daily = daily
        self._retention = DailyRun(self._run_daily, on_error=self._report, clock=gallery.clock)
        self._rounds = Rounds(
            f"upkeep-{name}", self._look, _LOOK_S, on_error=self._report, is_told_again=True
        )

    def start(self) -> None:
        """Begin, with retention now. Of a gallery that can only be read, codes in memory are all."""
        if self._gallery.read_only is None:
            self._retention.start()
        else:
            where = f"gallery {self._name}: read-only ({self._gallery.read_only})"
            log.warning("%s: it can be searched, nothing can be changed, and retention is not applied", where)
        self._rounds.start()

    def stop(self) -> None:
        """Let what runs end."""
        self._retention.stop()
        self._rounds.stop()

    def _run_daily(self) -> None:
        self._gallery.run_retention()
        self._daily()

    def _look(self) -> None:
        live = [model for model in self._gallery.models if model.state == "live"]
        if not live:
            self._metrics.items(self._name, 0)
            return
        self._gallery.warm()
        state = self._gallery.store.index_state(live[0].collection)
        self._metrics.items(self._name, state.indexed + state.unindexed)
        if (
            self._gallery.read_only is None
            and state.status != "building"
            and state.unindexed >= max(_INDEX_FROM, _INDEX_AGAIN_SHARE * state.indexed)
        ):
            started = time.monotonic()
            self._gallery.build_index()
            log.info("gallery %s: index built in %.0f s", self._name, time.monotonic() - started)

    def _report(self, error: Exception) -> None:
        log.error("gallery %s: upkeep failed and will be tried again: %s", self._name, error)

"""What a gallery needs while it is served: retention, codes in memory, its index, a count for the metrics."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from omnireid.gallery.retention import DAY_S
from omnireid.server.metrics import Metrics

if TYPE_CHECKING:
    from omnireid.gallery.gallery import Gallery

log = logging.getLogger("omnireid.server")

_LOOK_S = 60.0
_POLL_S = 60.0
_INDEX_FROM = 50_000
_INDEX_AGAIN_SHARE = 0.1


class DailyRun:
    """Calls a function at once and then daily, in a thread of its own, until it is stopped.

    An error does not end it: the next call is due an hour later.

    Args:
        run: what to call, such as `Gallery.run_retention`.
        on_error: told of each error.
        clock: Unix seconds.
        poll_s: how often the clock is asked; a machine that slept is late by so much at most.
    """

    def __init__(
        self,
        run: Callable[[], object],
        *,
        on_error: Callable[[Exception], None],
        clock: Callable[[], float] = time.time,
        poll_s: float = _POLL_S,
    ) -> None:
        self._run = run
        self._on_error = on_error
        self._clock = clock
        self._poll_s = poll_s
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="retention", daemon=True)

    def start(self) -> None:
        """Begin; the first call is due now."""
        self._thread.start()

    def stop(self) -> None:
        """Let a call that runs end, and call no more."""
        self._stopped.set()
        self._thread.join()

    def _loop(self) -> None:
        due = self._clock()
        while not self._stopped.is_set():
            if self._clock() >= due:
                due = self._clock() + self._call()
            self._stopped.wait(self._poll_s)

    def _call(self) -> float:
        """Seconds until the next."""
        try:
            self._run()
        except Exception as error:  # Nobody waits for this thread: an error ends here or nowhere.
            self._on_error(error)
            return DAY_S / 24
        return DAY_S


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
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._look, name=f"upkeep-{name}", daemon=True)

    def start(self) -> None:
        """Begin, with retention now. Of a gallery that can only be read, codes in memory are all."""
        if self._gallery.read_only is None:
            self._retention.start()
        else:
            where = f"gallery {self._name}: read-only ({self._gallery.read_only})"
            log.warning("%s: it can be searched, nothing can be changed, and retention is not applied", where)
        self._thread.start()

    def stop(self) -> None:
        """Let what runs end."""
        self._stopped.set()
        if self._gallery.read_only is None:
            self._retention.stop()
        self._thread.join()

    def _run_daily(self) -> None:
        self._gallery.run_retention()
        self._daily()

    def _look(self) -> None:
        while True:
            try:
                self._look_once()
            except Exception as error:  # Nobody waits for this thread: an error ends here or nowhere.
                self._report(error)
            if self._stopped.wait(_LOOK_S):
                return

    def _look_once(self) -> None:
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

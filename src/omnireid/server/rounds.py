"""What is done again and again beside the requests, in threads of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from omnireid.gallery.retention import DAY_S


class Rounds:
    """Calls a function at once and then again and again, in a thread of its own, until it is stopped.

    Args:
        name: Name of the thread.
        step: What is called. An error does not end the rounds.
        every_s: Seconds from the end of one call to the next.
        on_error: Told of an error.
        is_told_again: Whether it is told of the same words again before a call went well.
    """

    def __init__(
        self,
        name: str,
        step: Callable[[], object],
        every_s: float,
        on_error: Callable[[Exception], None],
        *,
        is_told_again: bool = False,
    ) -> None:
        self._step, self._every_s = step, every_s
        self._on_error, self._is_told_again = on_error, is_told_again
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @property
    def is_stopping(self) -> bool:
        """Whether a call that runs should come to its end."""
        return self._stopped.is_set()

    def start(self) -> None:
        """Begin; the first call is due now."""
        self._thread.start()

    def stop(self) -> None:
        """Let a call that runs end, and call no more; nothing happens where it never began."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        told = ""
        while not self._stopped.is_set():
            try:
                self._step()
                told = ""
            except Exception as error:  # Nobody waits for this thread: an error ends here or nowhere.
                if self._is_told_again or str(error) != told:
                    self._on_error(error)
                told = str(error)
            self._stopped.wait(self._every_s)


class DailyRun(Rounds):
    """Calls a function at once and then daily; after an error the next call is due an hour later.

    A clock that was far ahead and has been put right puts no call off: none is due later than in a day.

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
        poll_s: float = 60.0,
    ) -> None:
        super().__init__("retention", self._look, poll_s, on_error, is_told_again=True)
        self._due_run, self._clock = run, clock
        self._due = float("-inf")

    def _look(self) -> None:
        if not self._due - DAY_S <= self._clock() < self._due:
            self._due = self._clock() + DAY_S / 24
            self._due_run()
            self._due = self._clock() + DAY_S

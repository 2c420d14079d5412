"""Threads that share a kernel's pictures, and what they work in."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from omnireid.core.arrays import Float32
from omnireid.core.forking import in_every_child
from omnireid.inference.native.products import product_address
from omnireid.training.fused.kernels.rows import Task
from omnireid.training.fused.kernels.turns import await_count

GROUPS = 16
"""Into how many groups a batch is cut: sums are made group by group, so they do not depend on the threads."""
_CALLS, _ANSWERS = 0, 8  # of a helper's counters: each in a cache line of its own
_LOOKS = 2000  # some 100 µs: what lies between two kernels of a step is shorter, as a rule


class Workers:
    """Runs kernels on threads, each on its share of a batch's groups.

    A step calls some two hundred kernels of less than a millisecond: to wake a thread for each would cost as
    much as it brings. So a thread looks for the next call for a moment before it sleeps.
    """

    def __init__(self, threads: int) -> None:
        self._threads = min(threads, GROUPS)
        self._scratch = [np.zeros(0, np.float32) for _ in range(self._threads)]
        self._product = product_address("fp32")
        self._begin()
        in_every_child(self._begin)

    def _begin(self) -> None:
        self._helpers = [_Helper() for _ in range(1, self._threads)]
        for helper in self._helpers:
            weakref.finalize(self, helper.end)

    def __deepcopy__(self, memo: dict[int, Any]) -> Workers:
        return self

    def run(
        self, kernel: Callable[..., None], shape: tuple[int, int, int], *arguments: Any, scratch: int = 0
    ) -> None:
        """Call kernel(task, *arguments), and with so many float32 of scratch behind them.

        Args:
            shape: pictures, height and width.
        """
        groups = num_groups(shape[0])
        threads = min(self._threads, groups)

        def work(thread: int) -> None:
            share = groups * thread // threads, groups * (thread + 1) // threads
            task = Task(self._product, *shape, groups, *share)
            room = (self._room(thread, scratch),) if scratch else ()
            kernel(task, *arguments, *room)

        helpers = self._helpers[: threads - 1]
        try:
            for thread, helper in enumerate(helpers, 1):
                helper.begin(work, thread)
            try:
                work(0)
            finally:
                errors = [helper.wait() for helper in helpers]
        except KeyboardInterrupt:
            # Answers that were not waited for would be taken for those of the next call.
            self._begin()
            raise
        for error in errors:
            if error is not None:
                raise error

    def _room(self, thread: int, size: int) -> Float32:
        if len(self._scratch[thread]) < size:
            self._scratch[thread] = np.zeros(size, np.float32)
        return self._scratch[thread]


class _Helper:
    """A thread that does one call after the other. Begins with its first call."""

    def __init__(self) -> None:
        # Who holds a lock is waited for: the helper for the next call, its caller for the answer.
        self._call, self._answer = threading.Lock(), threading.Lock()
        self._call.acquire()
        self._answer.acquire()
        self._counters = np.zeros(16, np.int64)
        self._work: tuple[Callable[[int], None], int] | None = None
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None

    def begin(self, work: Callable[[int], None], thread: int) -> None:
        """Have work(thread) done."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._loop, name="omnireid-fused", daemon=True)
            self._thread.start()
        self._work = work, thread
        self._counters[_CALLS] += 1
        self._call.release()

    def wait(self) -> BaseException | None:
        """Until it is done; what it has raised."""
        await_count(self._counters, _ANSWERS, self._counters[_CALLS], _LOOKS)
        self._answer.acquire()
        return self._error

    def end(self) -> None:
        """Let the thread end, which has nothing to do."""
        self._work = None
        self._call.release()

    def _loop(self) -> None:
        while True:
            await_count(self._counters, _CALLS, self._counters[_ANSWERS] + 1, _LOOKS)
            self._call.acquire()
            if self._work is None:
                return
            (work, thread), self._work, self._error = self._work, None, None
            try:
                work(thread)
            except BaseException as error:
                self._error = error
            # It holds the workers, whose end is this thread's.
            del work
            self._counters[_ANSWERS] += 1
            self._answer.release()


def num_groups(pictures: int) -> int:
    return min(GROUPS, pictures)

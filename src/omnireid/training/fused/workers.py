"""Threads that share a kernel's pictures, and what they work in."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import wait
from typing import Any

import numpy as np

from omnireid.core.arrays import Float32
from omnireid.core.forking import ThreadPool
from omnireid.inference.native.products import product_address
from omnireid.training.fused.kernels.rows import Task

GROUPS = 16
"""Into how many groups a batch is cut: sums are made group by group, so they do not depend on the threads."""


class Workers:
    """Runs kernels on threads, each on its share of a batch's groups."""

    def __init__(self, threads: int) -> None:
        self._threads = min(threads, GROUPS)
        self._pool = ThreadPool(self._threads - 1, "omnireid-fused") if self._threads > 1 else None
        self._scratch = [np.zeros(0, np.float32) for _ in range(self._threads)]
        self._product = product_address("fp32")

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

        if self._pool is None or threads == 1:
            work(0)
            return
        others = [self._pool.submit(work, thread) for thread in range(1, threads)]
        try:
            work(0)
        finally:
            wait(others)
        for other in others:
            other.result()

    def _room(self, thread: int, size: int) -> Float32:
        if len(self._scratch[thread]) < size:
            self._scratch[thread] = np.zeros(size, np.float32)
        return self._scratch[thread]


def num_groups(pictures: int) -> int:
    return min(GROUPS, pictures)

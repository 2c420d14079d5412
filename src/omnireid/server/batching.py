"""Pictures of many requests, embedded together.

A batch starts as soon as the engine is free, with whatever has been decoded by then: a lone request never
waits for company, and under load the batches grow by themselves.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import numpy as np
import numpy.typing as npt

from omnireid.core.images import Crop
from omnireid.server.problems import busy

Prepare = Callable[[], Crop]
"""Decode, cut and resize: (height, width, 3) uint8 RGB of the engine's size."""

_OLD_RATE_SHARE = 0.8
_FIRST_RATE = 20.0


class Engine(Protocol):
    """What runs a batch; `Embedder` is one."""

    @property
    def dim(self) -> int: ...

    def embed(self, crops: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """(N, H, W, 3) uint8 RGB → (N, D) float32."""
        ...


class Observer(Protocol):
    """Who wants to know of batches."""

    def batch(self, size: int, seconds: float) -> None: ...


class Job:
    """The pictures of one request, and how far they are."""

    def __init__(self, prepares: Sequence[Prepare], dim: int, done: asyncio.Future[None]) -> None:
        self.prepares = prepares
        self.rows = np.empty((len(prepares), dim), np.float32)
        self.remaining = len(prepares)
        self.done = done
        self.is_dropped = False

    def finish(self, error: BaseException | None) -> None:
        """Tell the request, unless it has gone. In the loop's thread."""
        if self.done.done():
            return
        if error is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(error)


class Batcher:
    """One engine thread, fed by decoding threads.

    Args:
        engine: that embeds.
        max_batch: pictures in one run.
        max_waiting: pictures that may wait; beyond, `embed` says when to come back.
        decode_threads: that decode beside the engine.
        observer: is told of every batch.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        max_batch: int = 32,
        max_waiting: int = 1024,
        decode_threads: int = 1,
        observer: Observer | None = None,
    ) -> None:
        self._engine = engine
        self._max_batch = max_batch
        self._max_waiting = max_waiting
        self._observer = observer
        self._ready: deque[tuple[Job, int, Crop]] = deque()
        self._changed = threading.Condition()
        self._is_closing = False
        self._waiting = 0
        self._rate = _FIRST_RATE
        self._decoders = ThreadPoolExecutor(decode_threads, "omnireid-decode")
        self._thread = threading.Thread(target=self._run, name="omnireid-engine", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Pictures that were taken on and are not embedded yet."""
        return self._waiting

    @property
    def rate(self) -> float:
        """Pictures per second of the last batches."""
        return self._rate

    async def embed(self, prepares: Sequence[Prepare]) -> npt.NDArray[np.float32]:
        """Embed the pictures of one request.

        A caller that is cancelled takes its pictures out of the queue.

        Returns:
            (N, D) float32, in their order.

        Raises:
            Problem: 429, too many pictures wait already.
            Exception: the first that one of `prepares` raised.
        """
        if not prepares:
            return np.empty((0, self._engine.dim), np.float32)
        # One request larger than the room is taken on where nothing else waits.
        if self._waiting and self._waiting + len(prepares) > self._max_waiting:
            raise busy(
                f"{self._waiting} pictures wait for the engine; come back later", self._waiting / self._rate
            )
        loop = asyncio.get_running_loop()
        job = Job(prepares, self._engine.dim, loop.create_future())
        self._waiting += len(prepares)
        try:
            for index in range(len(prepares)):
                self._decoders.submit(self._decode, job, index, loop)
            await job.done
        finally:
            job.is_dropped = True
            self._waiting -= len(prepares)
        return job.rows

    def close(self) -> None:
        """Finish what waits, and stop the threads."""
        self._decoders.shutdown()
        with self._changed:
            self._is_closing = True
            self._changed.notify()
        self._thread.join()

    def _decode(self, job: Job, index: int, loop: asyncio.AbstractEventLoop) -> None:
        if job.is_dropped:
            return
        try:
            crop = job.prepares[index]()
        except Exception as error:
            job.is_dropped = True
            _tell(loop, [(job, error)])
            return
        with self._changed:
            self._ready.append((job, index, crop))
            self._changed.notify()

    def _run(self) -> None:
        while batch := self._take():
            started = time.perf_counter()
            try:
                rows = self._engine.embed(np.stack([crop for _, _, crop in batch]))
            except Exception as error:
                _tell(batch[0][0].done.get_loop(), [(job, error) for job, _, _ in batch])
                continue
            seconds = time.perf_counter() - started
            finished: list[tuple[Job, BaseException | None]] = []
            for (job, index, _), row in zip(batch, rows, strict=True):
                job.rows[index] = row
                job.remaining -= 1
                if job.remaining == 0:
                    finished.append((job, None))
            if finished:
                _tell(finished[0][0].done.get_loop(), finished)
            self._rate = _OLD_RATE_SHARE * self._rate + (1 - _OLD_RATE_SHARE) * len(batch) / seconds
            if self._observer is not None:
                self._observer.batch(len(batch), seconds)

    def _take(self) -> list[tuple[Job, int, Crop]]:
        """The next batch, without what nobody waits for any more; empty when closing."""
        while True:
            with self._changed:
                while not self._ready:
                    if self._is_closing:
                        return []
                    self._changed.wait()
                batch: list[tuple[Job, int, Crop]] = []
                while self._ready and len(batch) < self._max_batch:
                    one = self._ready.popleft()
                    if not one[0].is_dropped:
                        batch.append(one)
            if batch:
                return batch


def _tell(loop: asyncio.AbstractEventLoop, finished: Sequence[tuple[Job, BaseException | None]]) -> None:
    def finish() -> None:
        for job, error in finished:
            job.finish(error)

    # The loop is gone where the server was made to stop at once.
    if not loop.is_closed():
        loop.call_soon_threadsafe(finish)

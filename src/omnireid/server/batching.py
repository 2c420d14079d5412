"""Pictures of many requests, embedded together.

A batch starts as soon as a thread of the engine is free, with whatever waits by then: a lone request never
waits for company, and under load the batches grow by themselves.
"""

from __future__ import annotations

import asyncio
import math
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import numpy as np

from omnireid.core.arrays import Float32, UInt8
from omnireid.core.forking import check_process
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

    def embed(self, crops: UInt8, *, threads: int | None = None) -> Float32:
        """(N, H, W, 3) uint8 RGB → (N, D) float32; `threads` is given where calls run side by side."""
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


_Outcome = tuple[Job, "BaseException | None"]


class Batcher:
    """Engine threads, which take what waits.

    Args:
        engine: the engine that embeds.
        engine_threads: how many threads call it side by side. With more than one, each call is told its share
            of them: alone all, in company fewer.
        decode_threads: how many threads decode ahead of the engine; with 0 its own threads decode what they
            embed next, which spares the hand-over.
        max_batch: pictures in one run.
        max_waiting: pictures that may wait; beyond, `embed` says when to come back.
        observer: is told of every batch.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        engine_threads: int = 1,
        decode_threads: int = 1,
        max_batch: int = 32,
        max_waiting: int = 1024,
        observer: Observer | None = None,
    ) -> None:
        self._process = os.getpid()
        self._engine = engine
        self._max_batch = max_batch
        self._max_waiting = max_waiting
        self._observer = observer
        self._ready: deque[_Place] = deque()
        self._changed = threading.Condition()
        self._is_closing = False
        self._waiting = 0
        self._pace = _Pace()
        self._decoders = ThreadPoolExecutor(decode_threads, "omnireid-decode") if decode_threads else None
        self._threads = [
            threading.Thread(target=self._run, name=f"omnireid-engine-{number}", daemon=True)
            for number in range(engine_threads)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def waiting(self) -> int:
        """Pictures that were taken on and are not embedded yet."""
        return self._waiting

    @property
    def rate(self) -> float:
        """Pictures per second of the last batches."""
        return self._pace.rate

    async def embed(self, prepares: Sequence[Prepare]) -> Float32:
        """Embed the pictures of one request.

        A caller that is cancelled takes its pictures out of the queue.

        Returns:
            (N, D) float32, in their order.

        Raises:
            Problem: 429, too many pictures wait already.
            Exception: the first that one of `prepares` raised.
            ForkError: the threads are those of the process that this one was forked from.
        """
        check_process(self._process, "a service", "make the app in each worker (no --preload)")
        if not prepares:
            return np.empty((0, self._engine.dim), np.float32)
        # One request larger than the room is taken on where nothing else waits.
        if self._waiting and self._waiting + len(prepares) > self._max_waiting:
            raise busy(
                f"{self._waiting} pictures wait for the engine; come back later", self._waiting / self.rate
            )
        job = Job(prepares, self._engine.dim, asyncio.get_running_loop().create_future())
        self._waiting += len(prepares)
        try:
            if self._decoders is None:
                self._add([_Place(job, index) for index in range(len(prepares))])
            else:
                for index in range(len(prepares)):
                    self._decoders.submit(self._decode, _Place(job, index))
            await job.done
        finally:
            job.is_dropped = True
            self._waiting -= len(prepares)
        return job.rows

    def close(self) -> None:
        """Finish what waits, and stop the threads."""
        if self._decoders is not None:
            self._decoders.shutdown()
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _add(self, places: Sequence[_Place]) -> None:
        with self._changed:
            self._ready.extend(places)
            self._changed.notify(len(places))

    def _decode(self, entry: _Place) -> None:
        if entry.decode() is not None:
            self._add([entry])

    def _run(self) -> None:
        while taken := self._take():
            decoded = [(entry, crop) for entry in taken if (crop := entry.decode()) is not None]
            finished: list[_Outcome] = []
            if decoded:
                finished = self._embed(
                    [entry for entry, _ in decoded], np.stack([crop for _, crop in decoded])
                )
            # Before its requests are told: who asks next is alone then, and gets all the cores.
            with self._changed:
                self._pace.end(len(decoded))
            if finished:
                _tell(finished)

    def _embed(self, batch: Sequence[_Place], crops: UInt8) -> list[_Outcome]:
        """Embed one batch; what has become of requests with it."""
        started = time.perf_counter()
        try:
            rows = self._engine.embed(crops, threads=self._share())
        except Exception as error:
            return [(entry.job, error) for entry in batch]
        if self._observer is not None:
            self._observer.batch(len(batch), time.perf_counter() - started)
        finished: list[_Outcome] = []
        # Another thread may have the other pictures of a request.
        with self._changed:
            for entry, row in zip(batch, rows, strict=True):
                entry.job.rows[entry.index] = row
                entry.job.remaining -= 1
                if entry.job.remaining == 0:
                    finished.append((entry.job, None))
        return finished

    def _share(self) -> int | None:
        """Of the engine's threads, for one of the batches under way."""
        if len(self._threads) == 1:
            return None
        with self._changed:
            return max(1, len(self._threads) // self._pace.running)

    def _take(self) -> list[_Place]:
        """The next batch, without what nobody waits for any more; empty when closing."""
        batch: list[_Place] = []
        with self._changed:
            while not batch:
                while not self._ready:
                    if self._is_closing:
                        return []
                    self._changed.wait()
                share = min(self._max_batch, math.ceil(len(self._ready) / len(self._threads)))
                while self._ready and len(batch) < share:
                    entry = self._ready.popleft()
                    if not entry.job.is_dropped:
                        batch.append(entry)
            self._pace.begin()
        return batch


class _Place:
    """One picture of a request."""

    def __init__(self, job: Job, index: int) -> None:
        self.job = job
        self.index = index
        self._crop: Crop | None = None

    def decode(self) -> Crop | None:
        """None where nobody waits for it any more, or it cannot be decoded, which its request is told."""
        if self._crop is None and not self.job.is_dropped:
            try:
                self._crop = self.job.prepares[self.index]()
            except Exception as error:
                self.job.is_dropped = True
                _tell([(self.job, error)])
        return self._crop


class _Pace:
    """Pictures a second while at least one thread has something to do; older batches count less and less."""

    def __init__(self) -> None:
        self._pictures = 1.0
        self._seconds = 1 / _FIRST_RATE
        self.running = 0
        self._since = 0.0

    @property
    def rate(self) -> float:
        return self._pictures / self._seconds

    def begin(self) -> None:
        if self.running == 0:
            self._since = time.perf_counter()
        self.running += 1

    def end(self, pictures: int) -> None:
        now = time.perf_counter()
        self._pictures = _OLD_RATE_SHARE * self._pictures + pictures
        self._seconds = _OLD_RATE_SHARE * self._seconds + now - self._since
        self._since = now
        self.running -= 1


def _tell(finished: Sequence[_Outcome]) -> None:
    loop = finished[0][0].done.get_loop()

    def finish() -> None:
        for job, error in finished:
            job.finish(error)

    # The loop is gone where the server was made to stop at once.
    if not loop.is_closed():
        loop.call_soon_threadsafe(finish)

"""Batches across requests, against an engine that writes down what it was given."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from omnireid.core import forking
from omnireid.core.arrays import Float32, UInt8
from omnireid.server.batching import Batcher
from omnireid.server.problems import Problem


class Engine:
    """Embeds a crop as its first value; runs when it may."""

    dim = 1

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.threads: list[int | None] = []
        self.may_run = threading.Semaphore(0)
        self.is_running = threading.Event()
        self.fails = False

    def embed(self, crops: UInt8, *, threads: int | None = None) -> Float32:
        self.threads.append(threads)
        self.is_running.set()
        assert self.may_run.acquire(timeout=10)
        self.batches.append(crops[:, 0, 0, 0].tolist())
        if self.fails:
            raise RuntimeError("no more")
        return crops[:, 0, 0, :1].astype(np.float32)


def crop_of(value: int) -> Callable[[], UInt8]:
    return lambda: np.full((2, 2, 3), value, np.uint8)


@contextmanager
def batcher(engine: Engine, **options: Any) -> Iterator[Batcher]:
    made = Batcher(engine, **options)
    try:
        yield made
    finally:
        engine.may_run.release(1_000)
        made.close()


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 20))


async def until(is_so: Callable[[], bool]) -> None:
    while not is_so():
        await asyncio.sleep(0.002)


# Decoding ahead of the engine, and by its own thread.
decoding = pytest.mark.parametrize("decode_threads", [1, 0])


@decoding
def test_requests_that_wait_are_embedded_together_and_answered_apart(decode_threads: int) -> None:
    engine = Engine()

    async def work() -> None:
        first = asyncio.ensure_future(made.embed([crop_of(1)]))
        await until(engine.is_running.is_set)
        others = [asyncio.ensure_future(made.embed([crop_of(n), crop_of(n + 100)])) for n in range(2, 7)]
        await until(lambda: len(made._ready) == 10)
        assert made.waiting == 11
        engine.may_run.release(10)
        assert (await first).tolist() == [[1]]
        assert [(await one).tolist() for one in others] == [[[n], [n + 100]] for n in range(2, 7)]
        assert made.waiting == 0

    with batcher(engine, max_batch=8, decode_threads=decode_threads) as made:
        run(work())
    # Alone at once; then all that waited, as many as a batch holds.
    assert [len(batch) for batch in engine.batches] == [1, 8, 2]


@decoding
def test_a_request_that_was_cancelled_is_not_embedded(decode_threads: int) -> None:
    engine = Engine()

    async def work() -> None:
        first = asyncio.ensure_future(made.embed([crop_of(1)]))
        await until(engine.is_running.is_set)
        gone = asyncio.ensure_future(made.embed([crop_of(2), crop_of(3)]))
        stays = asyncio.ensure_future(made.embed([crop_of(4)]))
        await until(lambda: len(made._ready) == 3)
        gone.cancel()
        await until(gone.done)
        engine.may_run.release(10)
        assert (await stays).tolist() == [[4]]
        await first
        assert made.waiting == 0

    with batcher(engine, decode_threads=decode_threads) as made:
        run(work())
    assert engine.batches == [[1], [4]]


def test_too_many_pictures_are_told_when_to_come_back() -> None:
    engine = Engine()

    async def work() -> None:
        # More than the room, where nothing else waits: it could never be taken on otherwise.
        large = asyncio.ensure_future(made.embed([crop_of(n) for n in range(6)]))
        await until(engine.is_running.is_set)
        with pytest.raises(Problem) as refused:
            await made.embed([crop_of(9)])
        assert refused.value.status == 429
        assert int(refused.value.headers["Retry-After"]) >= 1
        engine.may_run.release(10)
        assert len(await large) == 6
        assert (await made.embed([crop_of(9)])).tolist() == [[9]]

    with batcher(engine, max_waiting=4) as made:
        run(work())


@decoding
def test_a_picture_that_cannot_be_decoded_fails_its_own_request_only(decode_threads: int) -> None:
    engine = Engine()

    def bad() -> UInt8:
        raise Problem(422, "image: no picture")

    async def work() -> None:
        engine.may_run.release(10)
        good = asyncio.ensure_future(made.embed([crop_of(1)]))
        with pytest.raises(Problem, match="no picture"):
            await made.embed([crop_of(2), bad, crop_of(3)])
        assert (await good).tolist() == [[1]]
        assert made.waiting == 0

    with batcher(engine, decode_threads=decode_threads) as made:
        run(work())


def test_an_engine_that_fails_once_goes_on() -> None:
    engine = Engine()

    async def work() -> None:
        engine.may_run.release(10)
        engine.fails = True
        with pytest.raises(RuntimeError, match="no more"):
            await made.embed([crop_of(1)])
        engine.fails = False
        assert (await made.embed([crop_of(2)])).tolist() == [[2]]

    with batcher(engine) as made:
        run(work())


def test_threads_side_by_side_share_what_waits_and_the_cores() -> None:
    engine = Engine()

    async def work() -> None:
        alone = asyncio.ensure_future(made.embed([crop_of(0)]))
        await until(lambda: engine.threads == [4])
        # Three threads are free: each takes its part, and the request is whole when the last is done.
        large = asyncio.ensure_future(made.embed([crop_of(n) for n in range(1, 10)]))
        await until(lambda: len(engine.threads) == 4)
        assert set(engine.threads[1:]) <= {2, 1}
        assert not large.done()
        engine.may_run.release(10)
        assert (await large).ravel().tolist() == list(range(1, 10))
        assert (await alone).tolist() == [[0]]
        engine.threads.clear()
        await made.embed([crop_of(1)])

    with batcher(engine, engine_threads=4, decode_threads=0) as made:
        run(work())
    assert sorted(n for batch in engine.batches[:-1] for n in batch) == list(range(10))
    # All the cores again for whoever is alone.
    assert engine.threads == [4]


def test_the_rate_counts_threads_side_by_side_together() -> None:
    def slow_crop() -> UInt8:
        time.sleep(0.004)
        return np.zeros((2, 2, 3), np.uint8)

    async def work(made: Batcher) -> None:
        for _ in range(30):
            await asyncio.gather(*(made.embed([slow_crop] * 2) for _ in range(2)))

    rates: list[float] = []
    # One thread alone would make at most 250 a second, both 500; newer batches count more. A busy machine
    # wakes threads late, which makes a rate lower, never higher.
    while len(rates) < 10 and not any(rate > 260 for rate in rates):
        engine = Engine()
        engine.may_run.release(1_000)
        with batcher(engine, engine_threads=2, decode_threads=0) as made:
            run(work(made))
            rates.append(made.rate)
    assert 260 < max(rates) < 650


def test_no_pictures_are_no_work() -> None:
    async def work() -> None:
        assert (await made.embed([])).shape == (0, 1)

    with batcher(Engine()) as made:
        run(work())


def test_in_a_child_of_a_fork_a_request_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    async def ask() -> None:
        with batcher(Engine()) as waiting:
            monkeypatch.setattr(forking.os, "getpid", lambda: -1)
            with pytest.raises(forking.ForkError, match="--preload"):
                await waiting.embed([crop_of(1)])
            monkeypatch.undo()

    run(ask())

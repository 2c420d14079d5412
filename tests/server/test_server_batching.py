"""Batches across requests, against an engine that writes down what it was given."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from omnireid.server.batching import Batcher
from omnireid.server.problems import Problem


class Engine:
    """Embeds a crop as its first value; runs when it may."""

    dim = 1

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.may_run = threading.Semaphore(0)
        self.is_running = threading.Event()
        self.fails = False

    def embed(self, crops: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        self.is_running.set()
        assert self.may_run.acquire(timeout=10)
        self.batches.append(crops[:, 0, 0, 0].tolist())
        if self.fails:
            raise RuntimeError("no more")
        return crops[:, 0, 0, :1].astype(np.float32)


def crop_of(value: int) -> Callable[[], npt.NDArray[np.uint8]]:
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


def test_requests_that_wait_are_embedded_together_and_answered_apart() -> None:
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

    with batcher(engine, max_batch=8) as made:
        run(work())
    # Alone at once; then all that waited, as many as a batch holds.
    assert [len(batch) for batch in engine.batches] == [1, 8, 2]


def test_a_request_that_was_cancelled_is_not_embedded() -> None:
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

    with batcher(engine) as made:
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


def test_a_picture_that_cannot_be_decoded_fails_its_own_request_only() -> None:
    engine = Engine()

    def bad() -> npt.NDArray[np.uint8]:
        raise Problem(422, "image: no picture")

    async def work() -> None:
        engine.may_run.release(10)
        good = asyncio.ensure_future(made.embed([crop_of(1)]))
        with pytest.raises(Problem, match="no picture"):
            await made.embed([crop_of(2), bad, crop_of(3)])
        assert (await good).tolist() == [[1]]
        assert made.waiting == 0

    with batcher(engine) as made:
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


def test_no_pictures_are_no_work() -> None:
    async def work() -> None:
        assert (await made.embed([])).shape == (0, 1)

    with batcher(Engine()) as made:
        run(work())

"""Threads, locks and work begun in a child of `fork`."""

from __future__ import annotations

import os
import pickle
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from omnireid.core.card import InputSpec
from omnireid.core.forking import ForkError, ThreadPool, check_process, in_every_child
from omnireid.core.types import Sample
from omnireid.data.loading import CropLoader
from omnireid.gallery.lance import codes

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


def in_child(task: Callable[[], object]) -> str:
    """What a task gives in a child, or the error's name; a child that waits for ever is ended."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        try:
            text = str(task())
        except BaseException as error:
            text = type(error).__name__
        os.write(write, text.encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as answers:
        answer = answers.read()
    return answer if os.waitpid(child, 0)[1] == 0 else "hangs"


def test_a_pool_that_has_worked_works_in_a_child() -> None:
    with ThreadPool(2, "test") as pool:
        assert list(pool.map(abs, range(-4, 0))) == [4, 3, 2, 1]
        assert in_child(lambda: list(pool.map(abs, range(-4, 0)))) == "[4, 3, 2, 1]"
        assert in_child(lambda: in_child(lambda: pool.submit(abs, -3).result())) == "3"
        assert list(pool.map(abs, range(-4, 0))) == [4, 3, 2, 1]


def test_the_threads_that_searches_share_work_in_a_child(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codes, "available_cores", lambda: 3)
    codes._threads.cache_clear()

    def shared_out() -> list[int]:
        doubled: list[int] = []
        codes.in_parallel(lambda part: doubled.append(2 * part), [1, 2, 3, 4])
        return sorted(doubled)

    assert shared_out() == [2, 4, 6, 8]
    assert in_child(shared_out) == "[2, 4, 6, 8]"
    codes._threads.cache_clear()


class Owner:
    def __init__(self) -> None:
        self.renew()
        in_every_child(self.renew)

    def renew(self) -> None:
        self.lock = threading.Lock()


def test_a_lock_that_was_held_is_free_in_a_child() -> None:
    owner = Owner()
    with owner.lock:
        assert in_child(lambda: owner.lock.acquire(timeout=1)) == "True"
        assert owner.lock.locked()


def test_an_owner_that_is_gone_is_forgotten() -> None:
    from omnireid.core import forking

    before = len(forking._renewals)
    owner = Owner()
    assert len(forking._renewals) == before + 1
    del owner
    assert len(forking._renewals) == before


def test_what_cannot_go_on_says_so() -> None:
    check_process(os.getpid(), "it", "make it anew")
    with pytest.raises(
        ForkError, match=r"it: made before a fork.*; make it anew, or start .* 'spawn'"
    ) as caught:
        check_process(os.getpid() + 1, "it", "make it anew")
    # Between processes errors travel as pickles.
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)  # noqa: S301


def test_a_child_does_not_go_on_with_the_batches_of_its_parent(tmp_path: Path) -> None:
    samples = []
    for number in range(6):
        Image.new("RGB", (4, 8)).save(tmp_path / f"{number}.png")
        samples.append(Sample(str(tmp_path / f"{number}.png"), pid=0, camid=0))
    loader = CropLoader(samples, InputSpec(height=8, width=4), threads=2)
    batches = loader.load([[number] for number in range(6)])
    next(batches)
    assert in_child(lambda: next(batches)) == "ForkError"
    assert in_child(lambda: len(list(loader.load([[0, 1], [2]])))) == "2"
    assert len(list(batches)) == 5

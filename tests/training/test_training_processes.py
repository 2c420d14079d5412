"""Processes that are started together end together."""

from __future__ import annotations

import os
import pickle
import signal
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from omnireid.core.errors import ImageError, OmniReIDError, TrainingError
from omnireid.training.processes import Rank, _outcome, _watch, launch


def end(how: str, rank: Rank) -> str:
    """The second process ends in one of several ways; the first waits for it for ever, or returns."""
    if rank.leads:
        if how != "well":
            signal.pause()
        return f"{rank.index} of {os.environ['WORLD_SIZE']}"
    if how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "error":
        raise ImageError("a.jpg", "no picture")
    if how == "defect":
        raise ZeroDivisionError("of ours")
    return "of the second"


def test_the_result_is_what_the_first_process_returns() -> None:
    assert launch(partial(end, "well"), 2) == "0 of 2"


@pytest.mark.parametrize(
    ("how", "kind", "words"),
    [
        ("killed", TrainingError, r"process 2 of 2 was killed by SIGKILL.*--resume"),
        ("error", ImageError, r"^a\.jpg: no picture$"),
        ("defect", RuntimeError, r"process 2 of 2:(.|\n)*ZeroDivisionError: of ours"),
    ],
)
def test_what_ends_one_process_ends_all_and_is_said(how: str, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words) as caught:
        launch(partial(end, how), 2)
    assert isinstance(caught.value, OmniReIDError) is (how != "defect")


def test_what_one_said_comes_before_that_its_partner_was_aborted(tmp_path: Path) -> None:
    outcomes = [tmp_path / "0", tmp_path / "1"]
    outcomes[0].write_bytes(pickle.dumps((ImageError, "a.jpg: no picture")))
    with pytest.raises(ImageError, match=r"^a\.jpg: no picture$"):
        _outcome(outcomes, {1: signal.SIGABRT})
    # Of memory that ended, the others say only that their partner has gone.
    outcomes[0].write_bytes(pickle.dumps((RuntimeError, "connection closed by peer")))
    with pytest.raises(TrainingError, match="process 2 of 2 was killed by SIGKILL"):
        _outcome(outcomes, {1: signal.SIGKILL})


class EndsBetweenTwoLooks:
    """As a process that fails right after it was seen at work: to look twice is to wait for the other."""

    def __init__(self) -> None:
        self.looks = 0
        self.sentinel, writing = os.pipe()
        os.close(writing)

    @property
    def exitcode(self) -> int | None:
        self.looks += 1
        return None if self.looks == 1 else 1

    def is_alive(self) -> bool:
        return self.exitcode is None

    def join(self, timeout: float) -> None:
        """It has ended."""


class Runs(EndsBetweenTwoLooks):
    exitcode = None

    def __init__(self) -> None:
        self.sentinel, self.writing = os.pipe()


@pytest.mark.timeout(10)
def test_one_that_fails_at_any_moment_is_noticed() -> None:
    processes: Any = [Runs(), EndsBetweenTwoLooks()]
    _watch(processes)
    assert processes[1].exitcode == 1

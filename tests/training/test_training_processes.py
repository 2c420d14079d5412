"""Processes that are started together end together."""

from __future__ import annotations

import os
import signal
from functools import partial

import pytest

from omnireid.core.errors import ImageError, OmniReIDError, TrainingError
from omnireid.training.processes import Rank, launch


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

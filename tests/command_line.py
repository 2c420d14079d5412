"""The command line as tests call it: in this process, with what it said and how it ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest

from omnireid.cli.app import main


class Done(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Done]


def runner(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """A function that runs `omnireid` with the words it is given."""

    def run(*words: object) -> Done:
        monkeypatch.setattr("sys.argv", ["omnireid", *map(str, words)])
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        return Done(code, *capsys.readouterr())

    return run

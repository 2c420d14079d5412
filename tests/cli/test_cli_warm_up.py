"""`omnireid warm-up` leaves compiled code where it says, or fails."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from command_line import Run
from omnireid.core import compiled


def test_it_names_the_folders_that_hold_what_was_compiled(
    omnireid: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiled, "_warned", [])
    done = omnireid("warm-up", "--threads", "1")
    assert done.code == 0, done.err
    (count, where) = re.findall(r"^(\d+) files of compiled code .* kept in (.+)$", done.out, re.MULTILINE)[0]
    folders = [Path(name) for name in where.split(", ")]
    # The engine's and the searches'.
    assert len(folders) >= 2
    assert sum(1 for folder in folders for _ in folder.glob("*.nb?")) == int(count) > 20

    monkeypatch.setattr(compiled, "_warned", ["no folder can be written"])
    done = omnireid("warm-up", "--threads", "1")
    assert done.code == 2
    assert "no folder can be written" in done.err
    assert "NUMBA_CACHE_DIR" in done.err

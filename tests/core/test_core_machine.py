"""What the machine gives a process."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from omnireid.core import machine


@pytest.mark.parametrize("text", ["max\n", "9223372036854771712\n", ""])
def test_without_a_limit_all_memory_may_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    limit = tmp_path / "memory.max"
    limit.write_text(text)
    monkeypatch.setattr(machine, "_MEMORY_LIMITS", (tmp_path / "absent", limit))
    assert machine.memory_bytes() == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def test_the_limit_of_a_container_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = tmp_path / "memory.max"
    limit.write_text("536870912\n")
    monkeypatch.setattr(machine, "_MEMORY_LIMITS", (limit,))
    assert machine.memory_bytes() == 512 << 20


def test_a_system_may_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(_: str) -> int:
        raise ValueError

    monkeypatch.setattr(machine.os, "sysconf", unknown)
    assert machine.memory_bytes() is None


@pytest.mark.skipif(not Path("/proc/cpuinfo").is_file(), reason="the system does not list them")
def test_the_processor_tells_what_the_system_lists() -> None:
    listed = Path("/proc/cpuinfo").read_text().split()
    for name in ("avx2", "fma", "bmi2", "f16c", "movbe", "avx512f"):
        assert (name in machine.processor_features()) == (name in listed), name

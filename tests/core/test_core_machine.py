"""What the machine gives a process."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from omnireid.core import machine

ALL_MEMORY = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
CORES = 32

Groups = Callable[[str, dict[str, str]], None]


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Groups:
    """Control groups as a process sees them: what /proc says of it, and files under /sys/fs/cgroup."""
    monkeypatch.setattr(machine, "_GROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(machine, "_GROUP_FILES", tmp_path / "files")
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda _: set(range(CORES)), raising=False)
    monkeypatch.delenv("PYTHON_CPU_COUNT", raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)

    def write(lines: str, files: dict[str, str]) -> None:
        (tmp_path / "cgroup").write_text(lines)
        for name, content in files.items():
            file = tmp_path / "files" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content)

    return write


# Containers that see their group as the root or not, groups in groups as in Kubernetes, and both versions.
VERSION_1 = "12:cpu,cpuacct:/docker/abc\n3:memory:/docker/abc\n0::/\n"
QUOTAS = {
    "version 2": ("0::/\n", {"cpu.max": "200000 100000\n"}, 2),
    "rounded up": ("0::/\n", {"cpu.max": "150000 100000\n"}, 2),
    "less than one core": ("0::/\n", {"cpu.max": "50000 100000\n"}, 1),
    "no limit": ("0::/\n", {"cpu.max": "max 100000\n"}, CORES),
    "more than there are": ("0::/\n", {"cpu.max": "6400000 100000\n"}, CORES),
    "of the group": ("0::/pods/a\n", {"cpu.max": "max 100000", "pods/a/cpu.max": "300000 100000"}, 3),
    "of one that holds it": (
        "0::/pods/a/b\n",
        {"pods/cpu.max": "400000 100000", "pods/a/b/cpu.max": "max 100000"},
        4,
    ),
    "the least of several": (
        "0::/pods/a\n",
        {"pods/cpu.max": "200000 100000", "pods/a/cpu.max": "800000 100000"},
        2,
    ),
    "outside of the container": ("0::/../../pods\n", {"cpu.max": "100000 50000\n"}, 2),
    "version 1": (
        VERSION_1,
        {"cpu,cpuacct/cpu.cfs_quota_us": "250000\n", "cpu,cpuacct/cpu.cfs_period_us": "100000\n"},
        3,
    ),
    "version 1, the host's path": (
        "4:cpu:/docker/abc\n",
        {"cpu/docker/abc/cpu.cfs_quota_us": "700000", "cpu/docker/abc/cpu.cfs_period_us": "100000"},
        7,
    ),
    "version 1, no limit": (
        VERSION_1,
        {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"},
        CORES,
    ),
    "both versions": ("1:name=systemd:/\n0::/a\n", {"unified/a/cpu.max": "500000 100000\n"}, 5),
    "another controller": ("4:cpuset:/a\n", {"cpu/a/cpu.cfs_quota_us": "1", "cpu.max": "1 1"}, CORES),
    "nothing to be read": ("0::/a\n", {}, CORES),
    "something else there": ("junk\n\n0::/\n", {"cpu.max": "two cores\n"}, CORES),
    "a period of zero": ("0::/\n", {"cpu.max": "100000 0\n"}, CORES),
}


@pytest.mark.parametrize("case", QUOTAS)
def test_the_quota_of_a_container_counts(groups: Groups, case: str) -> None:
    lines, files, expected = QUOTAS[case]
    groups(lines, files)
    assert machine.available_cores() == expected


def test_without_control_groups_the_affinity_counts(groups: Groups) -> None:
    assert machine.available_cores() == CORES  # the file of groups is absent


@pytest.mark.parametrize(("text", "expected"), [("3", 3), ("100", 100), ("default", 2), ("0", 2), ("", 2)])
def test_python_cpu_count_says_otherwise(
    groups: Groups, monkeypatch: pytest.MonkeyPatch, text: str, expected: int
) -> None:
    groups("0::/\n", {"cpu.max": "200000 100000\n"})
    monkeypatch.setenv("PYTHON_CPU_COUNT", text)
    assert machine.available_cores() == expected


@pytest.mark.parametrize(("text", "expected"), [("1", 1), ("2,4", 2), ("64", 4), ("none", 4), ("0", 4)])
def test_omp_num_threads_bounds_a_network_and_not_what_feeds_it(
    groups: Groups, monkeypatch: pytest.MonkeyPatch, text: str, expected: int
) -> None:
    groups("0::/\n", {"cpu.max": "400000 100000\n"})
    monkeypatch.setenv("OMP_NUM_THREADS", text)
    assert machine.compute_threads() == expected
    assert machine.available_cores() == 4


@pytest.mark.parametrize("text", ["max\n", "9223372036854771712\n", ""])
def test_without_a_limit_all_memory_may_be_used(groups: Groups, text: str) -> None:
    groups("0::/\n", {"memory.max": text})
    assert machine.memory_bytes() == ALL_MEMORY


@pytest.mark.parametrize(
    ("lines", "files"),
    [
        ("0::/\n", {"memory.max": "536870912\n"}),
        ("0::/pods/a\n", {"memory.max": "max", "pods/memory.max": "536870912", "pods/a/memory.max": "max"}),
        (VERSION_1, {"memory/docker/abc/memory.limit_in_bytes": "536870912\n"}),
    ],
)
def test_the_limit_of_a_container_counts(groups: Groups, lines: str, files: dict[str, str]) -> None:
    groups(lines, files)
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

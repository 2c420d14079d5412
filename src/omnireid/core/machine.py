"""What this process may use of the machine."""

from __future__ import annotations

import contextlib
import functools
import math
import os
import platform
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

_GROUPS, _GROUP_FILES = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")


def available_cores() -> int:
    """Cores' worth of time that this process may use.

    Those it may run on (its affinity, where the system has one), or fewer where its control group has a
    quota of processor time, as containers do: rounded up. `PYTHON_CPU_COUNT` says otherwise, as it does to
    Python 3.13.
    """
    stated = os.environ.get("PYTHON_CPU_COUNT", "")
    if stated.isdecimal() and int(stated) > 0:
        return int(stated)
    return max(1, math.ceil(min(cores_to_run_on(), _quota(_GROUPS, _GROUP_FILES))))


def compute_threads() -> int:
    """Threads of one run of a network where nobody says: the cores, or `OMP_NUM_THREADS` if that is fewer.

    Loading pictures does not go by it: launchers set it to 1 for the sake of the network alone.
    """
    stated = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    cores = available_cores()
    return min(cores, int(stated)) if stated.isdecimal() and int(stated) > 0 else cores


def cores_to_run_on() -> int:
    """Cores that threads of this process may be put on, whatever share of their time it gets."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@functools.cache
def _quota(groups: Path, files: Path) -> float:
    """Cores' worth of time that the control groups of this process leave it; infinite without a limit."""
    quotas = [math.inf]
    for folder in _control_groups("cpu", groups, files):
        limit = _words(folder / "cpu.max") or (
            _words(folder / "cpu.cfs_quota_us") + _words(folder / "cpu.cfs_period_us")
        )
        # No limit reads "max" in version 2, −1 in version 1.
        if len(limit) == 2 and all(word.isdecimal() for word in limit) and int(limit[1]) > 0:
            quotas.append(int(limit[0]) / int(limit[1]))
    return min(quotas)


def _control_groups(controller: str, groups: Path, files: Path) -> Iterator[Path]:
    """Where the limits of this process's groups may stand: of its own, and of all that hold it.

    A container may see its own group as the root while its path is still that of the host, so that what is
    on the way may not be there.
    """
    try:
        lines = groups.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers and controller not in controllers.split(","):
            continue
        roots = (controllers, controller) if controllers else ("", "unified")
        parts = [part for part in PurePosixPath(path).parts if part not in ("/", "..")]
        for root in dict.fromkeys(roots):
            for depth in range(len(parts), -1, -1):
                yield files.joinpath(root, *parts[:depth])


def _words(file: Path) -> list[str]:
    with contextlib.suppress(OSError, UnicodeDecodeError):
        return file.read_text().split()
    return []


def machine_name() -> str:
    """Processor, system and architecture, for result records."""
    cpu = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                cpu = line.partition(":")[2].strip()
                break
    return f"{cpu}, {platform.system()} {platform.machine()}"


@functools.cache
def processor_features() -> frozenset[str]:
    """What the processor can do beyond the least of its kind, in LLVM's words ("avx2"); empty if unknown.

    The processor itself is asked: /proc/cpuinfo tells of the machine below an emulator. Takes a tenth of a
    second, for LLVM is loaded.
    """
    from llvmlite import binding

    try:
        return frozenset(name for name, is_there in binding.get_host_cpu_features().items() if is_there)
    except RuntimeError:
        return frozenset()


def memory_bytes() -> int | None:
    """Main memory that this process may use (its control group's, where it has one); None if unknown."""
    try:
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None
    for folder in _control_groups("memory", _GROUPS, _GROUP_FILES):
        for name in ("memory.max", "memory.limit_in_bytes"):
            size = min([size, *(int(word) for word in _words(folder / name) if word.isdecimal())])
    return size

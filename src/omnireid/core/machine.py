"""What this process may use of the machine."""

from __future__ import annotations

import functools
import os
import platform
from pathlib import Path

# Of containers: version 2 of control groups, and version 1.
_MEMORY_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)


def available_cores() -> int:
    """Cores this process may run on (its affinity, where the system has one)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


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
        found = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None
    for limit in _MEMORY_LIMITS:
        if limit.is_file() and (text := limit.read_text().strip()).isdigit():
            found = min(found, int(text))
    return found

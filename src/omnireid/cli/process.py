"""Settings of this process that only a program may choose, never a library."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

from omnireid.core.machine import available_cores, cores_to_run_on

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -2, -4, -8


def keep_freed_memory() -> None:
    """Make glibc keep what tensors free, instead of mapping and faulting it in again at every step.

    Activations are larger than glibc's mapping threshold, so by default every step pays for its pages
    again (docs/benchmarks/training.md has the measurement). Does nothing on other systems.
    """
    _set_glibc({_M_MMAP_MAX: 0, _M_TRIM_THRESHOLD: 2**31 - 1, _M_TOP_PAD: 256 << 20})


def share_memory_among_threads() -> None:
    """Make glibc serve all threads from two arenas, instead of eight for each core.

    What LanceDB frees in one of its threads stays in that thread's arena, so that a process that writes for
    long grows by several times what it uses (docs/benchmarks/gallery.md). Does nothing on other systems.
    """
    _set_glibc({_M_ARENA_MAX: 2})


def _set_glibc(values: dict[int, int]) -> None:
    if not sys.platform.startswith("linux"):
        return
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    for parameter, value in values.items():
        mallopt(parameter, value)


def keep_to_the_quota() -> None:
    """Let torch and NumPy's products, which take the machine's cores, keep to this process's share of them.

    Call before torch is imported. A setting that is there already stays.
    """
    cores = available_cores()
    if cores < cores_to_run_on() and "OMP_NUM_THREADS" not in os.environ:
        from omnireid.evaluation.blas import limit_blas_threads

        os.environ["OMP_NUM_THREADS"] = str(cores)
        limit_blas_threads(cores)


def spin_briefly() -> None:
    """Let OpenMP's threads sleep soon when they wait; call before torch is imported.

    By default they spin for milliseconds and so take the core from whatever they wait for when anything
    else runs, our decoding threads included. Ten thousand turns keep the speed of an idle machine
    (docs/benchmarks/training.md). A setting that is there already stays.
    """
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")


def end_as_on_ctrl_c() -> None:
    """Let SIGTERM and SIGHUP end this process as Ctrl-C does: what it has begun to write is taken away.

    A signal that is ignored stays so (nohup). `serve` takes them for itself once it listens.
    """
    for number in _endings():
        if signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, _interrupt)


def _endings() -> list[int]:
    # Windows has no SIGHUP.
    return [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


def _interrupt(*_: object) -> None:
    # Several come at once where a terminal or a service manager ends; taking things away goes on.
    for number in _endings():
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def switch_threads_often() -> None:
    """Let a thread that waits for the interpreter have it after half a millisecond, instead of five.

    A server's loop is always busy; the engine's threads need the interpreter for microseconds, often.
    """
    sys.setswitchinterval(0.0005)

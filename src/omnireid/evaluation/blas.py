"""How many threads NumPy's matrix product uses, while we share out the rows ourselves.

OpenBLAS keeps its threads spinning after a product, where they take the cores from the loops that follow:
a whole evaluation then costs 1.6 times the bare product instead of 1.3.

threadpoolctl (3.8) is not used: there only the thread that first set a number may set another, so that of two
evaluations in two threads the one that ends last could not put the process's number back.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

_PREFIXES, _SUFFIXES = ("scipy_openblas", "openblas"), ("64_", "")

_lock = threading.Lock()
_users = 0
_before = 0


@contextmanager
def one_blas_thread() -> Iterator[bool]:
    """Within, a product runs in the thread that asks for it.

    The setting is the process's; it is put back when the last of several users leaves.

    Yields:
        Whether that could be arranged: with the OpenBLAS that NumPy's wheels bring it can, otherwise
        products keep the threads they have.
    """
    global _users, _before
    calls = _thread_calls()
    if calls is None:
        yield False
        return
    get, put = calls
    with _lock:
        if not _users:
            _before = get()
            put(1)
        _users += 1
    try:
        yield True
    finally:
        with _lock:
            _users -= 1
            if not _users:
                put(_before)


def limit_blas_threads(most: int) -> None:
    """Let products of this process use so many threads at most, where NumPy's OpenBLAS can be told."""
    calls = _thread_calls()
    if calls is not None:
        get, put = calls
        put(min(get(), most))


@cache
def _thread_calls() -> tuple[Any, Any] | None:
    """OpenBLAS's functions to ask for and to set its number of threads."""
    package = Path(np.__file__).parent
    for folder in (package.parent / "numpy.libs", package / ".dylibs"):
        for file in sorted(folder.glob("*openblas*")):
            # Loaded already; this only takes another handle of it.
            library = ctypes.CDLL(str(file))
            for prefix in _PREFIXES:
                for suffix in _SUFFIXES:
                    get = getattr(library, f"{prefix}_get_num_threads{suffix}", None)
                    put = getattr(library, f"{prefix}_set_num_threads{suffix}", None)
                    if get is not None and put is not None:
                        return get, put
    return None

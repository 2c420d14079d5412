"""What a child of `fork` must not inherit: threads that it does not have, locks that nobody lets go of."""

from __future__ import annotations

import atexit
import ctypes
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from weakref import WeakMethod

from omnireid.core.errors import OmniReIDError

_renewals: set[WeakMethod[Callable[[], None]]] = set()
# Else an object that lives to the end of the process ends it with a complaint of Python's about these.
atexit.register(_renewals.clear)


class ForkError(OmniReIDError):
    """Something made before a fork that its child cannot use."""

    def __init__(self, what: str, instead: str) -> None:
        super().__init__(
            f"{what}: made before a fork, whose child does not have its threads; {instead}, or start "
            "processes with 'spawn' or 'forkserver'"
        )
        self._arguments = what, instead

    def __reduce__(self) -> tuple[type[ForkError], tuple[str, str]]:
        return type(self), self._arguments


class ThreadPool(ThreadPoolExecutor):
    """Threads which a child starts anew. What the parent had submitted is not done there."""

    def __init__(self, threads: int, name: str) -> None:
        self._renewed_with = threads, name
        self._renew()
        in_every_child(self._renew)

    def _renew(self) -> None:
        super().__init__(*self._renewed_with)


def in_every_child(renew: Callable[[], None]) -> None:
    """Call a method at the start of every child that is forked while its object lives."""
    _renewals.add(WeakMethod(renew, _renewals.discard))


def keep_for_good(thing: Any) -> None:
    """Never destroy an object, whose end would wait for threads that this process does not have."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


def check_process(made_in: int, what: str, instead: str) -> None:
    """Refuse to go on in a child.

    Args:
        made_in: id of the process that made it.
        what: was made.
        instead: what to do in the child.

    Raises:
        ForkError: this is another process.
    """
    if os.getpid() != made_in:
        raise ForkError(what, instead)


def _renew_all() -> None:
    for renewal in tuple(_renewals):
        renew = renewal()
        if renew is not None:
            renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)

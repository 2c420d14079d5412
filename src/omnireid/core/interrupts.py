"""Ending long work gently: the first Ctrl-C asks for it, the second ends everything at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def ending_gently() -> Iterator[threading.Event]:
    """Give an event that Ctrl-C sets while the block lasts, in place of `KeyboardInterrupt`.

    So do SIGTERM and SIGHUP where this process takes them for Ctrl-C. After the first signal everything is as
    it was before the block. Only the main thread is told of signals: in another one the event is never set.
    """
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {number: handler for number in numbers if callable(handler := signal.getsignal(number))}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def ask(*_: object) -> None:
        asked.set()
        restore()

    for number in before:
        signal.signal(number, ask)
    try:
        yield asked
    finally:
        restore()

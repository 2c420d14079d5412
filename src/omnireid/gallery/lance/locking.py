"""Locks of a gallery's folder that threads and other processes keep to."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from omnireid.gallery.lance.failures import check_there

# What the library waits between two tries while another process holds the lock.
_POLL_S = 0.005


class FolderLock:
    """One holder at a time among all threads and processes; the holder may take it again.

    Without a file (object storage has none to lock) it keeps threads of this process apart only.
    """

    def __init__(self, path: Path | None) -> None:
        self._folder = None if path is None else path.parent
        self._threads = threading.RLock()
        self._file = None if path is None else FileLock(path, thread_local=False)

    @contextmanager
    def held(self) -> Iterator[None]:
        with self._threads:
            if self._file is None:
                yield
                return
            # The library would make the folder.
            check_there(self._folder)
            with self._file.acquire(poll_interval=_POLL_S):
                yield

    @contextmanager
    def tried(self) -> Iterator[bool]:
        """Hold it, if nobody else does; whether it is held."""
        if not self._threads.acquire(blocking=False):
            yield False
            return
        try:
            if self._file is not None:
                try:
                    self._file.acquire(blocking=False)
                except Timeout:
                    yield False
                    return
            try:
                yield True
            finally:
                if self._file is not None:
                    self._file.release()
        finally:
            self._threads.release()

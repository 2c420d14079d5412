"""Locks of a gallery's folder that threads and other processes keep to."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from omnireid.gallery.errors import GalleryAwayError, NotWritableError
from omnireid.gallery.lance.failures import check_there, storing

# What the library waits between two tries while another process holds the lock.
_POLL_S = 0.005


class FolderLock:
    """One holder at a time among all threads and processes; the holder may take it again.

    Without a file (object storage has none to lock) it keeps threads of this process apart only.
    """

    def __init__(self, path: Path | None) -> None:
        self._threads = threading.RLock()
        self._path = path
        self._file = None if path is None else FileLock(path, thread_local=False)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold it.

        Raises:
            GalleryAwayError: the folder has gone.
            NotWritableError: its file cannot be written by this user.
            StorageError: its file cannot be made or locked for another reason.
        """
        with self._threads:
            self._acquire(poll_interval=_POLL_S)
            try:
                yield
            finally:
                self._release()

    @contextmanager
    def tried(self) -> Iterator[bool]:
        """Hold it, if nobody else does; whether it is held.

        Raises: as `held`.
        """
        if not self._threads.acquire(blocking=False):
            yield False
            return
        try:
            try:
                self._acquire(blocking=False)
            except Timeout:
                yield False
                return
            try:
                yield True
            finally:
                self._release()
        finally:
            self._threads.release()

    def _acquire(self, **waiting: Any) -> None:
        if self._file is None:
            return
        assert self._path is not None
        folder = self._path.parent
        # The library would make the folder.
        check_there(folder)
        try:
            self._file.acquire(**waiting)
        except Timeout:
            raise
        except (OSError, RuntimeError) as error:
            if isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
                raise NotWritableError(folder, os.strerror(error.errno).lower()) from error
            with storing(f"cannot lock the gallery {folder}"):
                raise
        try:
            check_there(folder)
        except GalleryAwayError:
            # It went in between, and the library has made it anew: undone, as far as nobody else uses it.
            self._file.release()
            with suppress(OSError):
                self._path.unlink(missing_ok=True)
                folder.rmdir()
            raise

    def _release(self) -> None:
        if self._file is not None:
            self._file.release()


def why_read_only(lock: Path) -> str | None:
    """Why this process may only read a gallery's folder; None where it may write. Changes nothing."""
    effective = os.access in os.supports_effective_ids
    paths = [path for path in (lock.parent, lock) if path.exists()]
    if all(os.access(path, os.W_OK, effective_ids=effective) for path in paths):
        return None
    is_mount = hasattr(os, "statvfs") and os.statvfs(lock.parent).f_flag & os.ST_RDONLY
    return os.strerror(errno.EROFS if is_mount else errno.EACCES).lower()

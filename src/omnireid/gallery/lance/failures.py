"""LanceDB's errors in our words, and reads that outlive a purge."""

from __future__ import annotations

import errno
import os
import random
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from omnireid.core.errors import OmniReIDError, StorageError
from omnireid.core.files import storage_error
from omnireid.gallery.errors import GalleryAwayError

_Result = TypeVar("_Result")

# A purge may come between any two of them.
READS = 5
_COMMITS = 10
_BETWEEN_COMMITS_S = 0.1

RECORDS = "records"
"""The table that every gallery has from its beginning."""

# Where in LanceDB's source an error was made, on the machine that built it.
_SOURCE_LINE = re.compile(r"[,\s(]*\S*\.rs(:\d+)+\)?")
_NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ESTALE)
_NO_PERMISSION = (errno.EACCES, errno.EPERM)
_WRITING = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)


def check_there(folder: Path | None) -> None:
    """Refuse a gallery whose folder has gone: what writes would make it anew, and empty.

    Args:
        folder: folder of a gallery that was there; None in object storage.

    Raises:
        GalleryAwayError: says why it cannot be read.
    """
    if folder is None:
        return
    try:
        (folder / f"{RECORDS}.lance").stat()
    except OSError as error:
        reason = "its folder is not there" if error.errno in _NOT_THERE else _in_words(error)
        raise GalleryAwayError(f"the gallery cannot be read: {reason}") from error


@contextmanager
def storing(what: str) -> Iterator[None]:
    """Turn what LanceDB or the file system raises into a `StorageError` that names `what`."""
    try:
        yield
    except OmniReIDError:
        raise
    except (OSError, RuntimeError, ValueError) as error:
        raise _explained(what, error) from error


def reading(what: str, read: Callable[[], _Result]) -> _Result:
    """Read the newest version; again, where a purge has removed a file that was about to be opened."""
    for remaining in reversed(range(READS)):
        try:
            return read()
        except Exception as error:
            if not (remaining and is_gone(error)):
                with storing(what):
                    raise
    raise AssertionError


def committing(what: str, write: Callable[[], _Result]) -> _Result:
    """Carry out a write; again, where another one was committed meanwhile that touched the same rows."""
    for remaining in reversed(range(_COMMITS)):
        try:
            return write()
        except Exception as error:
            if not (remaining and "conflict" in str(error).lower()):
                with storing(what):
                    raise
            time.sleep(_BETWEEN_COMMITS_S * random.random())
    raise AssertionError


def is_gone(error: Exception) -> bool:
    """Whether a file of an older version was not there any more."""
    text = str(error).lower()
    return "not found" in text or "no such file" in text


def _explained(what: str, error: Exception) -> StorageError:
    code = error.errno if isinstance(error, OSError) else None
    text = str(error)
    if code is None:
        named = (
            number
            for number in (*_WRITING, *_NO_PERMISSION)
            if f"os error {number})" in text or os.strerror(number).lower() in text.lower()
        )
        code = next(named, None)
    if code in _WRITING:
        return storage_error(what, OSError(code, os.strerror(code)))
    if code is not None:
        return StorageError(f"{what}: {_in_words(OSError(code, os.strerror(code)))}")
    # LanceDB puts the cause first and its own source lines and advice after it.
    reason = _SOURCE_LINE.sub("", text.partition("\n")[0]).removeprefix("lance error: ").strip()
    return StorageError(f"{what}: {reason[:300] or type(error).__name__}")


def _in_words(error: OSError) -> str:
    return "no permission" if error.errno in _NO_PERMISSION else (error.strerror or str(error)).lower()

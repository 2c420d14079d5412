"""LanceDB's errors in our words, and reads that outlive a purge."""

from __future__ import annotations

import errno
import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from omnireid.core.errors import OmniReIDError, StorageError
from omnireid.core.files import write_failure

_Result = TypeVar("_Result")

# A purge may come between any two of them.
READS = 5
_COMMITS = 10
_BETWEEN_COMMITS_S = 0.1


@contextmanager
def storing(what: str) -> Iterator[None]:
    """Turn what LanceDB or the file system raises into a `StorageError` that names `what`."""
    try:
        yield
    except OmniReIDError:
        raise
    except (OSError, RuntimeError, ValueError) as error:
        raise StorageError(f"{what}: {_reason(error)}") from error


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


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno is not None:
        return write_failure(error)
    text = str(error)
    for code in (errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EFBIG, errno.EDQUOT):
        if f"os error {code})" in text or os.strerror(code).lower() in text.lower():
            return write_failure(OSError(code, os.strerror(code)))
    # LanceDB puts the cause first and its own source lines and advice after it.
    return text.splitlines()[0][:300] if text else type(error).__name__

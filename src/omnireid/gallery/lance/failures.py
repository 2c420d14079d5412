"""LanceDB's errors in our words, and reads that outlive a purge."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from omnireid.core.errors import OmniReIDError, StorageError
from omnireid.core.files import write_failure

_Result = TypeVar("_Result")

_READS = 5
"""A read whose files a purge took away is made again, of the newest version."""


@contextmanager
def storing(what: str) -> Iterator[None]:
    """Turn what LanceDB or the file system raises into a `StorageError` that names `what`."""
    try:
        yield
    except OmniReIDError:
        raise
    except Exception as error:
        raise StorageError(f"{what}: {_reason(error)}") from error


def reading(what: str, read: Callable[[], _Result]) -> _Result:
    """Read the newest version; again, where a purge has removed a file that was about to be opened."""
    for remaining in reversed(range(_READS)):
        try:
            return read()
        except Exception as error:
            if not (remaining and is_gone(error)):
                with storing(what):
                    raise
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

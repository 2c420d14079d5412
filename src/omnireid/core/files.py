"""Writing files so that a reader sees the old content or the new, never half of it."""

from __future__ import annotations

import contextlib
import csv
import errno
import glob
import hashlib
import io
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from omnireid.core.errors import DiskFullError, StorageError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_TEMPORARY = ".tmp"


@contextmanager
def atomic_write(
    path: str | os.PathLike[str], *, durable: bool = True, mode: int = 0o644
) -> Iterator[BinaryIO]:
    """Open a binary file that replaces `path` when the block ends without an error.

    The content is flushed to disk before the rename, so kill -9 and power loss leave the old or
    the new file. Two writers at once: the last to finish wins, both files are whole.
    `durable=False` leaves the flush to the system, for thousands of small files whose writer
    flushes once at the end: still whole after kill -9, perhaps empty after power loss.
    A device or a pipe (/dev/stdout, /dev/null) is written to, never replaced.
    Until it is whole only its owner can read the new file; then its permissions are those of `mode`.
    What a writer that was killed has left beside `path` is removed by the next durable one.

    Raises:
        StorageError: the disk is full or the folder cannot be written; `path` is unchanged.
    """
    target = Path(path)
    temporary: Path | None = None
    is_callers = False
    try:
        if target.exists() and not target.is_file() and not target.is_dir():
            with target.open("wb") as stream:
                yield stream
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        # A part of the name: with ours added, a long one would be too long.
        prefix = f".{target.name[:40]}."
        if durable:
            _remove_abandoned(target.parent, prefix)
        descriptor, temporary = _locked_temporary(target.parent, prefix)
        with os.fdopen(descriptor, "wb") as stream:
            try:
                yield stream
            except OSError as error:
                # An open stream's own errors name no file: this one comes from elsewhere in the block.
                is_callers = error.filename is not None
                raise
            stream.flush()
            if durable:
                os.fsync(stream.fileno())
        temporary.chmod(mode)
        temporary.replace(target)
        temporary = None
        if durable:
            _sync_folder(target.parent)
    except OSError as error:
        if is_callers:
            raise
        raise storage_error(f"cannot write {target}", error) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _locked_temporary(folder: Path, prefix: str) -> tuple[int, Path]:
    """A new file to write, and its name. While it is open nobody takes it for abandoned."""
    while True:
        descriptor, name = tempfile.mkstemp(prefix=prefix, suffix=_TEMPORARY, dir=folder)
        temporary = Path(name)
        if fcntl is None:
            return descriptor, temporary
        # Not every file system has locks; there nothing is ever removed.
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if temporary.exists():
            return descriptor, temporary
        os.close(descriptor)  # removed before it was locked


def _remove_abandoned(folder: Path, prefix: str) -> None:
    """Remove files of writers that are no more: the system has let go of their locks."""
    if fcntl is None:
        return
    # Eight characters, as `tempfile` makes them: nobody else's file.
    for file in folder.glob(f"{glob.escape(prefix)}{'?' * 8}{_TEMPORARY}"):
        # In use, or somebody else's.
        with contextlib.suppress(OSError), file.open("rb+") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            file.unlink()


def write_bytes(
    path: str | os.PathLike[str], content: bytes, *, durable: bool = True, mode: int = 0o644
) -> None:
    """Replace `path` by `content` atomically; `durable` and `mode` as in `atomic_write`."""
    with atomic_write(path, durable=durable, mode=mode) as stream:
        stream.write(content)


def write_text(path: str | os.PathLike[str], content: str) -> None:
    """Replace `path` by `content` (UTF-8; what is no Unicode in file names as escapes) atomically."""
    write_bytes(path, content.encode("utf-8", "backslashreplace"))


def csv_text(columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """A table as CSV with a header: floats in full precision, None as an empty cell, lines end in \\n."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(columns)
    table.writerows(rows)
    return text.getvalue()


def absolute(path: str | os.PathLike[str]) -> Path:
    """The absolute path, `~` and links resolved; a loop of links, or the home of nobody, as it is written."""
    return Path(os.path.realpath(os.path.expanduser(path)))  # noqa: PTH111 (pathlib's raises RuntimeError)


def sha256_file(path: str | os.PathLike[str]) -> str:
    """Hex SHA-256 of a file's content."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def storage_error(what: str, error: OSError) -> StorageError:
    """The `StorageError` of something that could not be written, `DiskFullError` where there is no room."""
    kind = DiskFullError if error.errno in _NO_ROOM else StorageError
    return kind(f"{what}: {write_failure(error)}")


_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


def write_failure(error: OSError) -> str:
    """Why something could not be written and what to do, for the end of a `StorageError`'s message."""
    if error.errno in _NO_ROOM:
        return "the disk is full; free some space and run the command again"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "no permission to write there; choose another folder"
    return error.strerror or str(error)

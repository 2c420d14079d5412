"""A lock that processes on many machines keep to: one small object of the bucket, written under a condition.

Who writes "held" over a "free" that nobody has changed meanwhile (`If-Match`) holds it, and writes it again
every few seconds. Who waits takes it over when it has not changed for `LEASE_S`: its holder is gone. No clock
is compared with another.
"""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any, NamedTuple

from omnireid.core.errors import MissingExtraError, StorageError
from omnireid.gallery.errors import NotWritableError

LEASE_S = 20.0
"""Held and not renewed for so long, it is free. A holder that was stopped for longer has lost it."""

_RENEWED_EACH_S = 4.0
_POLL_S = 0.05
_FREE = b"free"
_HELD = b"held"
# Not of the storage but of how it is reached: obstore takes them apart, LanceDB does not.
_CLIENT_OPTIONS = frozenset(
    {
        "allow_http", "allow_invalid_certificates", "connect_timeout", "proxy_ca_certificate",
        "proxy_excludes", "proxy_url", "timeout", "user_agent",
    }
)  # fmt: skip
# One that does not answer is said to be away in seconds, not minutes.
RETRIES = {"client_max_retries": "3", "client_retry_timeout": "15"}
"""LanceDB's settings; `open_objects` keeps to the same."""


class _Seen(NamedTuple):
    tag: str
    content: bytes


class Lease:
    """One holder at a time among all threads and processes; the holder may take it again.

    Args:
        objects: the gallery's prefix, of `open_objects`.
        name: key of the object, below it.
        uri: names the gallery in errors.

    Attributes:
        read_only: why this process may not write there, known when it was opened; None where it may.

    Raises:
        StorageError: the storage does not answer, or takes no conditional writes.
    """

    def __init__(self, objects: Any, name: str, uri: str) -> None:
        self._objects = objects
        self._name = name
        self._uri = uri
        self._threads = threading.RLock()
        self._depth = 0
        # Of the newest state that this process has written, and whether it was renewed in vain.
        self._tag = ""
        self._writing = threading.Lock()
        self._renewing: threading.Timer | None = None
        self._is_lost = False
        self.read_only = self._begin()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold it.

        Raises:
            NotWritableError: these keys may not write.
            StorageError: the storage does not answer; at the end, this process was stopped for so long that
                another one has taken it over.
        """
        with self._threads:
            if not self._depth:
                self._acquire()
            yield from self._inside()

    @contextmanager
    def tried(self) -> Iterator[bool]:
        """Hold it, if nobody else does; whether it is held.

        Raises: as `held`.
        """
        if not self._threads.acquire(blocking=False):
            yield False
            return
        try:
            if not self._depth and not self._take(self._read(), _FREE):
                yield False
                return
            yield from self._inside(True)
        finally:
            self._threads.release()

    def _inside(self, value: Any = None) -> Iterator[Any]:
        self._depth += 1
        try:
            yield value
        except BaseException:
            self._leave()
            raise
        else:
            if not self._leave():
                raise StorageError(
                    f"{self._uri}: this process was held up for so long that another one took the gallery's "
                    "lock; look whether the last change is there, and repeat it"
                )

    def _begin(self) -> str | None:
        """Make the object where there is none; why nothing can be written there."""
        free = _FREE + b" " + uuid.uuid4().bytes
        try:
            if self._put(free, "create") and self._put(free + b"again", "create"):
                raise StorageError(
                    f"{self._uri}: this storage ignores conditional writes (If-None-Match), without which "
                    "two writers would lose each other's work; use one that has them, or a folder or Milvus"
                )
        except NotWritableError as error:
            return error.reason
        return None

    def _acquire(self) -> None:
        # What was free when this process left it last is mostly free still.
        if self._tag and self._take(_Seen(self._tag, _FREE), _FREE):
            return
        known, since = _Seen("", b""), time.monotonic()
        while True:
            seen = self._read()
            if seen != known:
                known, since = seen, time.monotonic()
            is_left = time.monotonic() - since > LEASE_S
            if self._take(seen, b"" if is_left else _FREE):
                return
            time.sleep(_POLL_S * (0.5 + random.random()))

    def _take(self, seen: _Seen, state: bytes) -> bool:
        """Hold it from now on, if it was seen in a state that begins so and has not changed since."""
        if not seen.content.startswith(state) or not self._write(_HELD, seen.tag):
            return False
        self._is_lost = False
        self._renew_later()
        return True

    def _leave(self) -> bool:
        """Give it back, where this is its outermost holder; False where it was lost."""
        self._depth -= 1
        if self._depth:
            return True
        with self._writing:
            if self._renewing is not None:
                self._renewing.cancel()
                self._renewing = None
        return not self._is_lost and self._write(_FREE, self._tag)

    def _renew_later(self) -> None:
        self._renewing = threading.Timer(_RENEWED_EACH_S, self._renew)
        self._renewing.daemon = True
        self._renewing.start()

    def _renew(self) -> None:
        with self._writing:
            if self._renewing is None:
                return
            with suppress(StorageError):  # Tried again, until another process has taken it over.
                self._is_lost = not self._write(_HELD, self._tag)
            if not self._is_lost:
                self._renew_later()

    def _write(self, state: bytes, tag: str) -> bool:
        """Write a state over the one with this tag; whether that one was still there."""
        content = state + b" " + uuid.uuid4().bytes
        if self._put(content, {"e_tag": tag}):
            return True
        # A request that was sent again after its answer was lost meets what it has written itself.
        seen = self._read()
        if seen.content == content:
            self._tag = seen.tag
            return True
        return False

    def _put(self, content: bytes, mode: Any) -> bool:
        import obstore
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        try:
            with self._asking():
                self._tag = str(obstore.put(self._objects, self._name, content, mode=mode)["e_tag"])
        except (AlreadyExistsError, PreconditionError):
            return False
        return True

    def _read(self) -> _Seen:
        import obstore

        with self._asking():
            found = obstore.get(self._objects, self._name)
            return _Seen(str(found.meta["e_tag"]), bytes(found.bytes()))

    @contextmanager
    def _asking(self) -> Iterator[None]:
        from obstore.exceptions import (
            AlreadyExistsError,
            BaseError,
            PermissionDeniedError,
            PreconditionError,
            UnauthenticatedError,
        )

        try:
            yield
        except (AlreadyExistsError, PreconditionError):
            raise
        except (PermissionDeniedError, PermissionError) as error:
            raise NotWritableError(self._uri, "no permission") from error
        except UnauthenticatedError as error:
            raise StorageError(f"{self._uri}: the storage refuses these keys") from error
        except (BaseError, OSError) as error:
            raise StorageError(f"{self._uri}: the storage cannot be asked: {shortened(error)}") from error


def open_objects(uri: str, options: Mapping[str, str]) -> Any:
    """A gallery's prefix in object storage, for a `Lease`.

    Args:
        options: as LanceDB takes them; what is not among them comes from the environment (AWS_…).

    Raises:
        MissingExtraError: obstore is not installed.
        StorageError: an option is unknown.
    """
    try:
        from obstore.exceptions import BaseError
        from obstore.store import from_url
    except ImportError as error:
        raise MissingExtraError("a gallery on object storage", "s3") from error
    others = {*RETRIES, *_CLIENT_OPTIONS}
    client = {name: value for name, value in options.items() if name in _CLIENT_OPTIONS}
    asked: dict[str, Any] = {
        "config": {name: value for name, value in options.items() if name not in others},
        # An empty one would hide what the environment says.
        "client_options": client or None,
        "retry_config": {
            "max_retries": int(options["client_max_retries"]),
            "retry_timeout": timedelta(seconds=float(options["client_retry_timeout"])),
        },
    }
    try:
        return from_url(uri, **asked)
    except (BaseError, ValueError) as error:
        raise StorageError(f"{uri}: {shortened(error)}") from error


def shortened(error: Exception) -> str:
    """The first words of what a storage said."""
    return str(error).partition("\n")[0][:200]

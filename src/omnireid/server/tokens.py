"""Bearer tokens: who may read, write and administer.

A token is 256 random bits, kept as its SHA-256. A slow hash such as scrypt defends what people choose against
guessing; nobody guesses 256 random bits, and a slow hash at every request would be a way to stop the server.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from filelock import FileLock
from pydantic import ValidationError

from omnireid.core.closed import ClosedModel
from omnireid.core.errors import InputError
from omnireid.core.files import write_bytes
from omnireid.server.options import SCOPES, Scope

_PREFIX = "omnireid_"
_LOOK_AGAIN_S = 1.0


class Token(ClosedModel):
    """One line of the token file; the token itself is not in it.

    Attributes:
        name: who has it; stands in the audit log.
        scope: the most that it may do.
        sha256: of the token.
        created: Unix seconds.
    """

    name: str
    scope: Scope
    sha256: str
    created: float

    @property
    def scopes(self) -> tuple[Scope, ...]:
        """Everything that it may do."""
        return SCOPES[: SCOPES.index(self.scope) + 1]


class _Content(ClosedModel):
    version: Literal[1] = 1
    tokens: tuple[Token, ...] = ()


class TokenFile:
    """The tokens of a server, in a JSON file that only its owner reads. Threads and processes share it."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._known: tuple[Token, ...] = ()
        self._stamp: tuple[int, int, int] | None = None
        self._looked = float("-inf")
        self._lock = threading.Lock()

    def tokens(self) -> tuple[Token, ...]:
        """All of them, in the order they were made; none where there is no file.

        Raises:
            InputError: the file cannot be read, is no token file, or others than its owner may read it.
        """
        try:
            status = self.path.stat()
            if os.name == "posix" and status.st_mode & 0o077:
                raise InputError(f"{self.path}: others may read it; chmod 600 {self.path}")
            return _Content.model_validate_json(self.path.read_bytes()).tokens
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise InputError(f"{self.path}: cannot be read ({error.strerror or error})") from error
        except ValidationError as error:
            raise InputError(f"{self.path}: not a token file of this version") from error

    def create(self, name: str, scope: Scope) -> str:
        """Make a token and give it out, once: only its hash is kept.

        Raises:
            InputError: the name is taken, empty or not printable, or the scope unknown.
            StorageError: the file cannot be written.
        """
        if scope not in SCOPES:
            raise InputError(f"scope: expected one of {', '.join(SCOPES)}, got {scope!r}")
        if not name or len(name) > 100 or not name.isprintable():
            raise InputError(f"name: expected 1 to 100 printable characters, got {name!r}")
        text = _PREFIX + secrets.token_urlsafe(32)
        with self._changing() as tokens:
            if any(token.name == name for token in tokens):
                raise InputError(f"name: there is a token {name!r} already; revoke it, or take another name")
            tokens.append(Token(name=name, scope=scope, sha256=_hash(text), created=time.time()))
        return text

    def revoke(self, name: str) -> None:
        """Take a token back; a running server refuses it within a second or two.

        Raises:
            InputError: there is none of this name.
        """
        with self._changing() as tokens:
            kept = [token for token in tokens if token.name != name]
            if len(kept) == len(tokens):
                names = ", ".join(token.name for token in tokens) or "none"
                raise InputError(f"name: there is no token {name!r}. Known: {names}")
            tokens[:] = kept

    def find(self, text: str) -> Token | None:
        """Whose token this is. Every hash is compared, each in constant time."""
        digest = _hash(text)
        match = None
        for token in self._current():
            if hmac.compare_digest(token.sha256, digest):
                match = token
        return match

    def _current(self) -> tuple[Token, ...]:
        """What the file holds, looked at once a second."""
        with self._lock:
            now = time.monotonic()
            if now - self._looked >= _LOOK_AGAIN_S:
                stamp = self._file_stamp()
                if stamp != self._stamp:
                    self._known = self.tokens()
                self._stamp, self._looked = stamp, now
            return self._known

    def _file_stamp(self) -> tuple[int, int, int] | None:
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino

    @contextmanager
    def _changing(self) -> Iterator[list[Token]]:
        """The tokens, to be changed in place by one process at a time, and written when all went well."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{self.path}.lock"):
            tokens = list(self.tokens())
            yield tokens
            content = _Content(tokens=tuple(tokens)).model_dump_json(indent=2)
            write_bytes(self.path, content.encode(), mode=0o600)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()

"""The connection to a Milvus server: where it is, how long to wait for it, and its errors in our words."""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

from omnireid.core.errors import InputError, MissingExtraError, OmniReIDError, UnknownNameError
from omnireid.gallery.errors import StoreServerError

TOKEN_VARIABLE = "OMNIREID_MILVUS_TOKEN"
DEFAULT_NAME = "omnireid"
DEFAULT_PORT = 19530

_CONNECT_FAILED = 2

# gRPC waits up to two minutes before it tries a server again, and shares that wait among all connections.
_RECONNECT = {
    "grpc.use_local_subchannel_pool": 1,
    "grpc.initial_reconnect_backoff_ms": 200,
    "grpc.max_reconnect_backoff_ms": 1000,
}

NOT_LOADED = 101

INDEXES = ("AUTOINDEX", "DISKANN", "FLAT", "HNSW", "HNSW_SQ")

_OPTIONS = ("connect_s", "database", "index", "timeout_s")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")

T = TypeVar("T")


@dataclass(frozen=True)
class Address:
    """Where a gallery is in Milvus.

    Attributes:
        server: URI that pymilvus takes, without token and name.
        name: first part of the names of the gallery's collections.
        token: "user:password" or an API key; "" for a server without accounts.
        database: name of a database of the server; "" for its default.
        connect_s, timeout_s: longest wait for the connection, and for one request.
        index: type of the index; "" for HNSW, or FLAT on `milvus-lite`.
    """

    server: str
    name: str
    token: str = field(default="", repr=False)
    database: str = ""
    connect_s: float = 3.0
    timeout_s: float = 30.0
    index: str = ""

    @property
    def uri(self) -> str:
        """For people and for the audit log: without the token."""
        return f"{self.server}/{self.name}"

    @classmethod
    def parse(cls, uri: str, options: Mapping[str, str] | None = None) -> Address:
        """Read `http(s)://[token@]host[:port][/NAME]`.

        Args:
            options: `database`, `index` (of `INDEXES`, for collections made from now on), `connect_s` and
                `timeout_s`.

        Raises:
            InputError: it is another kind of URI, has no host, or a name that Milvus does not take.
        """
        options = options or {}
        for option in options:
            if option not in _OPTIONS:
                raise UnknownNameError("Milvus storage option", option, _OPTIONS)
        if options.get("index", "FLAT") not in INDEXES:
            raise UnknownNameError("Milvus index", options["index"], INDEXES)
        try:
            parts = urlsplit(uri)
            port = parts.port or (443 if parts.scheme == "https" else DEFAULT_PORT)
        except ValueError as error:
            raise InputError(f"Milvus URI: {error}; expected http://host:19530/NAME") from None
        name = parts.path.strip("/") or DEFAULT_NAME
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise InputError("Milvus URI: expected http://host:19530/NAME or https://token@host/NAME")
        if not _NAME.fullmatch(name):
            raise InputError(f"Milvus URI: expected a name of letters, digits and underscores, got {name!r}")
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        userinfo = ":".join(unquote(part) for part in (parts.username, parts.password) if part)
        return cls(
            server=f"{parts.scheme}://{host}:{port}",
            name=name,
            token=userinfo or os.environ.get(TOKEN_VARIABLE, ""),
            database=options.get("database", ""),
            connect_s=_seconds("connect_s", options.get("connect_s", cls.connect_s)),
            timeout_s=_seconds("timeout_s", options.get("timeout_s", cls.timeout_s)),
            index=options.get("index", ""),
        )


class Connection:
    """One client, shared by threads, made at the first request and again after the server was away."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._client: Any = None
        self._lock = threading.Lock()

    def run(self, doing: str, action: Callable[[Any], T]) -> T:
        """Do something with the client.

        Args:
            doing: what, for the error: "search", "add 12 items".

        Raises:
            StorageError: the server is not there, refuses, or failed; says which and the next step.
        """
        import grpc
        from pymilvus.exceptions import MilvusException

        try:
            return action(self._connected())
        except OmniReIDError:
            raise
        except (MilvusException, grpc.RpcError, grpc.FutureTimeoutError) as error:
            raise MilvusError(self.address, doing, error) from error

    def is_lite(self) -> bool:
        """Whether the server is `milvus-lite`, which lacks what a cluster has."""
        version = self.run("open the gallery", lambda client: client.get_server_version(timeout=10))
        return str(version).startswith("milvus_lite")

    def close(self) -> None:
        with self._lock:
            if self._client is not None:
                self._client.close()
                self._client = None

    def _connected(self) -> Any:
        with self._lock:
            if self._client is None:
                self._client = _client(self.address)
            return self._client


class MilvusError(StoreServerError):
    """A request that failed, with what to do about it.

    Attributes:
        code: Milvus's error code; 0 where the server did not answer.
    """

    def __init__(self, address: Address, doing: str, error: Exception) -> None:
        self.code, reason = _reason(error)
        super().__init__(f"{address.uri}: cannot {doing}: {_explained(address, self.code, reason)}")


def _client(address: Address) -> Any:
    try:
        from pymilvus import MilvusClient
    except ImportError:
        raise MissingExtraError("a gallery in Milvus", "milvus") from None
    _silence()
    return MilvusClient(
        uri=address.server,
        token=address.token,
        db_name=address.database,
        timeout=address.connect_s,
        grpc_options=_RECONNECT,
        # The shared one would stay open after `close`.
        dedicated=True,
    )


def _silence() -> None:
    """Give the application the say over pymilvus's messages; it writes them to stderr by itself."""
    for name in ("pymilvus", "pymilvus.milvus_client", "pymilvus.bulk_writer"):
        logger = logging.getLogger(name)
        logger.handlers = [logging.NullHandler()]
        logger.propagate = True


def _reason(error: BaseException | None) -> tuple[int, str]:
    """Milvus's code, or 0, and the name of the gRPC status or the first line of the message."""
    import grpc
    from pymilvus.exceptions import MilvusException

    cause: BaseException | None
    cause, seen = error, set[int]()
    # pymilvus raises errors from themselves.
    while cause is not None and id(cause) not in seen:
        if isinstance(cause, grpc.RpcError):
            return 0, cause.code().name
        seen.add(id(cause))
        cause = cause.__cause__
    if isinstance(error, MilvusException) and isinstance(error.code, int) and error.code != _CONNECT_FAILED:
        return error.code, str(error.message).partition("\n")[0]
    return 0, "UNAVAILABLE"


_QUOTA = (8, 9)


def _explained(address: Address, code: int, reason: str) -> str:
    if reason in ("UNAUTHENTICATED", "PERMISSION_DENIED") or 1800 <= code < 1900 or "auth" in reason.lower():
        return f"the server refused the token; set {TOKEN_VARIABLE} to user:password or an API key"
    if reason == "DEADLINE_EXCEEDED" or "timeout" in reason.lower():
        return f"no answer in time; look at the server's load, or raise timeout_s ({address.timeout_s:g} s)"
    if reason == "UNIMPLEMENTED":
        return f"what answers at {address.server} is not Milvus, or older than 2.5"
    if code == 0:
        return f"no Milvus answers at {address.server} ({reason}); start it or correct the address"
    if code in _QUOTA or "quota" in reason.lower():
        return f"the server takes no more for now ({reason}); give it disk or memory, or write more slowly"
    return reason


def _seconds(name: str, value: str | float) -> float:
    try:
        seconds = float(value)
    except ValueError:
        raise InputError(f"{name}: expected seconds, got {value!r}") from None
    if not 0 < seconds <= 3600:
        raise InputError(f"{name}: expected above 0 to 3600 s, got {value}")
    return seconds

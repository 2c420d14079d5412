"""From an application to a process that serves it, and ends as it should."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import functools
import ipaddress
import signal
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import uvicorn
from fastapi import FastAPI

from omnireid.core.errors import ConfigError
from omnireid.server.connections import BoundedConnection
from omnireid.server.limits import Limits
from omnireid.server.tokens import TokenFile

KEEP_ALIVE_S = 30
SHUTDOWN_S = 30
_BACKLOG = 2048
_SO_ATTACH_FILTER = 26
# For Linux's packet filter: load the flags of TCP; where SYN is among them keep 0 bytes, else all.
_NO_SYN = b"".join(
    struct.pack("HBBI", *step)
    for step in ((0x30, 0, 0, 13), (0x45, 0, 1, 0x02), (0x06, 0, 0, 0), (0x06, 0, 0, 0xFFFFFFFF))
)
_SHAKE_HANDS_S = 0.01


class Tls(NamedTuple):
    """Files of a certificate with those that vouch for it, and of its key, without a password."""

    certificate: Path
    key: Path


def check_tls(tls: Tls) -> None:
    """Refuse what no connection could be encrypted with.

    Raises:
        ConfigError: a file that cannot be read, is no certificate or key, or the two do not belong together.
    """
    try:
        # A key with a password asks for it on the terminal, where nobody sits.
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(*tls, password="")
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
        raise ConfigError(
            f"--tls-cert {tls.certificate} --tls-key {tls.key}: cannot be used ({str(reason).lower()}); "
            "expected PEM files of a certificate and of its key, without a password"
        ) from error


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_bind(host: str, tokens: TokenFile | None) -> None:
    """Refuse to serve others without tokens.

    Raises:
        ConfigError: the address is not this machine's own, and no token would be asked for.
        InputError: the token file cannot be used.
    """
    if tokens is not None and not tokens.tokens():
        raise ConfigError(
            f"{tokens.path}: holds no token; make one: omnireid token create NAME --tokens {tokens.path}"
        )
    if tokens is None and not is_loopback(host):
        raise ConfigError(
            f"--host {host}: other machines could reach every person in the gallery. Make a token and "
            "name its file: omnireid token create NAME --tokens FILE, then omnireid serve --tokens FILE"
        )


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one.

    Raises:
        ConfigError: the address is taken, or not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise ConfigError(
            f"--host {host} --port {port}: {error.strerror or error}; choose another"
        ) from error


def url_of(listener: socket.socket, tls: Tls | None = None) -> str:
    """Where a browser finds it."""
    host, port = listener.getsockname()[:2]
    scheme = "http" if tls is None else "https"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


class DrainedServer(uvicorn.Server):
    """Goes on serving for a while after the first signal, as a server that is not ready."""

    def __init__(self, config: uvicorn.Config, drain_s: float) -> None:
        super().__init__(config)
        self.is_draining = False
        self._drain_s = drain_s
        self._timer: threading.Timer | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.is_draining or not self._drain_s:
            if self._timer is not None:
                # To uvicorn a second SIGINT means to drop what was accepted.
                self._timer.cancel()
            super().handle_exit(sig, frame)
            return
        self.is_draining = True
        self._timer = threading.Timer(self._drain_s, super().handle_exit, (sig, None))
        self._timer.daemon = True
        self._timer.start()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening only when all were accepted to whom the system said that they are connected."""
        for listener in sockets or []:
            _let_nobody_in(listener)
        await asyncio.sleep(_SHAKE_HANDS_S)
        await super().shutdown(sockets)


def _let_nobody_in(listener: socket.socket) -> None:
    """Have the system ignore who asks to connect from now on; who asks again is refused, once it is closed.

    Closing alone resets connections that the system made and nobody accepted yet: their requests are lost,
    and a proxy cannot know whether it may ask elsewhere. Where there is no such filter, that moment remains.
    """
    steps = ctypes.create_string_buffer(_NO_SYN, len(_NO_SYN))
    with contextlib.suppress(OSError):
        program = struct.pack("HP", len(_NO_SYN) // 8, ctypes.addressof(steps))
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)


def run_server(
    app: FastAPI,
    listener: socket.socket,
    *,
    limits: Limits,
    tls: Tls | None = None,
    drain_s: float = 0.0,
    on_start: Callable[[], None] = lambda: None,
) -> None:
    """Serve until SIGTERM or Ctrl-C; then finish what was accepted, for at most `SHUTDOWN_S`.

    Args:
        tls, drain_s: as `server_of`.
        on_start: called before the first request is taken.

    Raises:
        SystemExit: always at the end, so that blocks around this call are left in order.
    """
    server = server_of(app, limits=limits, tls=tls, drain_s=drain_s)

    def leave(*_: object) -> None:
        # uvicorn puts this back when it ends, and raises the signal again while its loop still runs.
        if not server.should_exit:
            raise SystemExit(0)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, leave)
    on_start()
    server.run(sockets=[listener])
    raise SystemExit(0)


def server_of(app: FastAPI, *, limits: Limits, tls: Tls | None = None, drain_s: float = 0.0) -> DrainedServer:
    """A server of an application, for `run_server` or a thread.

    Args:
        tls: encrypt with these files; plain HTTP without.
        drain_s: after the first signal go on for so long, while `/readyz` says that it is stopping: a load
            balancer that asks there goes elsewhere meanwhile. A second signal ends it.
    """
    protocol: Any = functools.partial(BoundedConnection, limits)
    config = uvicorn.Config(
        app,
        http=protocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=SHUTDOWN_S,
        ssl_certfile=None if tls is None else tls.certificate,
        ssl_keyfile=None if tls is None else tls.key,
    )
    server = DrainedServer(config, drain_s)
    # uvicorn waits for answers that are under way, and streams of events would not end.
    app.state.service.is_stopping = lambda: server.should_exit
    app.state.service.is_draining = lambda: server.is_draining or server.should_exit
    return server

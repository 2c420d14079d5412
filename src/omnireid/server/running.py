"""From an application to a process that serves it, and ends as it should."""

from __future__ import annotations

import functools
import ipaddress
import signal
import socket
from collections.abc import Callable
from typing import Any

import uvicorn
from fastapi import FastAPI

from omnireid.core.errors import ConfigError
from omnireid.server.connections import BoundedConnection
from omnireid.server.limits import Limits
from omnireid.server.tokens import TokenFile

KEEP_ALIVE_S = 30
SHUTDOWN_S = 30
_BACKLOG = 2048


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


def url_of(listener: socket.socket) -> str:
    """Where a browser finds it."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def run_server(
    app: FastAPI, listener: socket.socket, *, limits: Limits, on_start: Callable[[], None] = lambda: None
) -> None:
    """Serve until SIGTERM or Ctrl-C; then finish what was accepted, for at most `SHUTDOWN_S`.

    Args:
        on_start: called before the first request is taken.

    Raises:
        SystemExit: always at the end, so that blocks around this call are left in order.
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
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        # uvicorn puts these back when it ends and raises the signal again: by default that would kill us.
        signal.signal(number, _leave)
    server = uvicorn.Server(config)
    # uvicorn waits for answers that are under way, and streams of events would not end.
    app.state.service.is_stopping = lambda: server.should_exit
    on_start()
    server.run(sockets=[listener])


def _leave(*_: object) -> None:
    raise SystemExit(0)

"""The door: who may come in, how much they may bring, and how long it may take."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import secrets
import sys
import time
from collections.abc import Collection, Iterable
from urllib.parse import urlsplit

import anyio
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from omnireid.core.errors import OmniReIDError
from omnireid.server.limits import Limits
from omnireid.server.metrics import Metrics
from omnireid.server.options import SCOPES
from omnireid.server.problems import Problem, busy, of_error
from omnireid.server.tokens import Token, TokenFile

access = logging.getLogger("omnireid.server.access")
errors = logging.getLogger("omnireid.server.errors")

LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})

_LOCAL = Token(name="local", scope=SCOPES[-1], sha256="", created=0)
_GONE = 499
_CLOSE = {"Connection": "close"}
_MOMENT_S = 0.1
_DISCARD_S = 2.0
_DISCARD_BYTES = 64_000_000

_SECURITY_HEADERS = [
    (
        b"content-security-policy",
        b"default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'; "
        b"form-action 'none'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
]
_REQUEST_ID = b"x-request-id"
_PLAIN_WORD = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_NO_STORE = (b"cache-control", b"no-store")


class Guard:
    """ASGI middleware around the whole application.

    - Without tokens, only pages of this server itself may talk to it: a web page elsewhere must not use the
      visitor's browser to reach a server on the visitor's machine (Host and Origin are checked).
    - A request under /v1 has a token that is known, where there are tokens, before its body is read.
    - Bodies are read up to a size and within a time, and all of them together are bounded.
    - When the client goes away its work is cancelled.
    - Whatever escapes becomes a problem without a traceback, and is logged under the request's id.
    - Every answer carries that id: the one that a proxy gave in X-Request-ID, or a new one.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        limits: Limits,
        metrics: Metrics,
        tokens: TokenFile | None,
        allowed_hosts: Collection[str] | None,
    ) -> None:
        self.app = app
        self._limits = limits
        self._metrics = metrics
        self._tokens = tokens
        self._allowed_hosts = allowed_hosts
        self._under_way = 0
        self._held = 0
        metrics.watch("omnireid_requests_under_way", "Requests under way.", lambda: self._under_way)
        metrics.watch("omnireid_held_bytes", "Bytes of request bodies in memory.", lambda: self._held)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        method = scope["method"]
        # HEAD is GET without the body; a slash too many at an end of the path is a slip of whoever joined it.
        path, asked = f"/{scope['path'].strip('/')}", "GET" if method == "HEAD" else method
        scope = {**scope, "method": asked, "path": path}
        name = _request_id(scope)
        answer = _Answer(send, name, is_private=path.startswith("/v1"), has_body=method != "HEAD")
        started = time.perf_counter()
        self._under_way += 1
        try:
            await self._handle(scope, receive, answer)
        except Problem as problem:
            await answer.send_whole(problem.response(), scope, receive)
        except OmniReIDError as error:
            await answer.send_whole(of_error(error).response(), scope, receive)
        except _ClientGoneError:
            answer.status = _GONE
        except Exception:
            errors.exception("request %s: %s %s", name, method, _route(scope))
            if not answer.is_started:
                defect = Problem(500, f"a defect of the server; its log has more under {name}")
                await answer.send_whole(defect.response(), scope, receive)
        finally:
            self._under_way -= 1
            seconds = time.perf_counter() - started
            route = _route(scope)
            self._metrics.request(route, answer.status, seconds)
            _log(name, method, route, answer.status, seconds)

    async def _handle(self, scope: Scope, receive: Receive, answer: _Answer) -> None:
        headers = dict(scope["headers"])
        self._check_origin(scope["path"], headers)
        if scope["path"].startswith("/v1"):
            scope.setdefault("state", {})["token"] = self._authenticated(headers)
            if self._under_way > self._limits.max_requests:
                raise busy(f"{self._under_way} requests are under way; come back later", 1)
        body = await self._body(headers, receive)
        try:
            await self._run(scope, body, receive, answer)
        finally:
            self._held -= len(body)

    def _check_origin(self, path: str, headers: dict[bytes, bytes]) -> None:
        host = headers.get(b"host", b"").decode("latin-1")
        if self._allowed_hosts is not None and _without_port(host) not in self._allowed_hosts:
            raise Problem(
                421,
                f"Host {host!r} is not this server; on another name start it with --allow-host",
                [("Host", "not this server")],
            )
        origin = headers.get(b"origin")
        is_foreign = origin is not None and _netloc(origin.decode("latin-1")) != host
        # A browser names no origin where a page elsewhere only shows a picture of ours, but says so here.
        is_embedded = path.startswith("/v1") and headers.get(b"sec-fetch-site") in (
            b"cross-site",
            b"same-site",
        )
        if is_foreign or is_embedded:
            raise Problem(
                403, "requests from web pages of other origins are refused", [("Origin", "foreign")]
            )

    def _authenticated(self, headers: dict[bytes, bytes]) -> Token:
        if self._tokens is None:
            return _LOCAL
        token = bearer_of(headers.items(), self._tokens)
        if token is None:
            _, _, text = headers.get(b"authorization", b"").partition(b" ")
            what = "an unknown or revoked token" if text else "no token"
            raise Problem(
                401,
                f"{what}; send 'Authorization: Bearer TOKEN' (omnireid token create makes one)",
                [("Authorization", what)],
                {"WWW-Authenticate": 'Bearer realm="omnireid"'},
            )
        return token

    async def _body(self, headers: dict[bytes, bytes], receive: Receive) -> bytes:
        """All of the body; its size counts as held from here on."""
        limit = self._limits.max_bytes
        stated = headers.get(b"content-length", b"0")
        if not stated.isdigit():
            raise Problem(400, "Content-Length is no number", [("Content-Length", "not a number")])
        if headers.get(b"content-encoding", b"identity").lower() != b"identity":
            raise Problem(415, "send the body without compression", [("Content-Encoding", "expected none")])
        if len(stated) > 18 or int(stated) > limit:
            await _discard(receive)
            raise _too_large(limit)
        held = 0
        parts = []
        try:
            with _Bounds(self._limits.body_timeout_s):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise _ClientGoneError
                    part = message.get("body", b"")
                    if held + len(part) > limit:
                        await _discard(receive)
                        raise _too_large(limit)
                    if self._held + len(part) > self._limits.max_held:
                        raise busy("the bodies of other requests fill the room for them; come back later", 1)
                    held += len(part)
                    self._held += len(part)
                    parts.append(part)
                    if not message.get("more_body", False):
                        break
        except BaseException as error:
            self._held -= held
            if isinstance(error, TimeoutError):
                raise Problem(
                    408, f"the body did not arrive within {self._limits.body_timeout_s:g} s", headers=_CLOSE
                ) from error
            raise
        return b"".join(parts)

    async def _run(self, scope: Scope, body: bytes, receive: Receive, answer: _Answer) -> None:
        """Run the application until it has answered, the client has gone, or time is up."""
        try:
            with _Bounds(self._limits.request_timeout_s, receive):
                await self.app(scope, _replay(body), answer.send)
        except TimeoutError as error:
            raise Problem(
                503, f"no answer within {self._limits.request_timeout_s:g} s", headers=_CLOSE
            ) from error


def bearer_of(headers: Iterable[tuple[bytes, bytes]], tokens: TokenFile) -> Token | None:
    """The token that a request's headers hold; None where that is none, or not known (any more)."""
    kind, _, text = dict(headers).get(b"authorization", b"").decode("latin-1").partition(" ")
    return tokens.find(text.strip()) if kind.lower() == "bearer" else None


class _Bounds:
    """A block of work that ends when its time is up, or when its client has gone.

    The work runs in the task that it is in, and nobody listens for the client before a moment has passed:
    two tasks for each request would cost more than all the rest of the guard.

    Args:
        seconds: how many seconds the block may take; then it raises TimeoutError.
        receive: says when the client has gone; then the block raises `_ClientGoneError`.
    """

    def __init__(self, seconds: float, receive: Receive | None = None) -> None:
        self._seconds = seconds
        self._receive = receive
        self._reason: Exception | None = None
        self._listener: asyncio.Future[None] | None = None

    def __enter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(min(_MOMENT_S, self._seconds), self._watch)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._timer.cancel()
        if self._listener is not None:
            self._listener.cancel()
        if self._reason is not None and kind is asyncio.CancelledError:
            if sys.version_info >= (3, 11):
                self._task.uncancel()
            raise self._reason from None

    def _watch(self) -> None:
        self._timer = self._loop.call_later(max(0, self._seconds - _MOMENT_S), self._end, TimeoutError())
        if self._receive is not None:
            self._listener = asyncio.ensure_future(_until_gone(self._receive))
            self._listener.add_done_callback(self._on_gone)

    def _on_gone(self, listener: asyncio.Future[None]) -> None:
        if not listener.cancelled():
            self._end(_ClientGoneError())

    def _end(self, reason: Exception) -> None:
        if self._reason is None:
            self._reason = reason
            self._task.cancel()


class _ClientGoneError(Exception):
    """Nobody waits for the answer any more."""


class _Answer:
    """Sends an answer with the headers that every answer has, and remembers how far it is."""

    def __init__(self, send: Send, name: str, *, is_private: bool, has_body: bool) -> None:
        self._send = send
        self._has_body = has_body
        self._more = [*_SECURITY_HEADERS, (_REQUEST_ID, name.encode())]
        if is_private:
            self._more.append(_NO_STORE)
        self.status = 0
        self.is_started = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.is_started = True
            self.status = message["status"]
            message["headers"] = [*message["headers"], *self._more]
        elif not self._has_body:
            message = {**message, "body": b""}
        await self._send(message)

    async def send_whole(self, response: Response, scope: Scope, receive: Receive) -> None:
        """A whole answer, unless another one has begun."""
        if not self.is_started:
            await response(scope, receive, self.send)


def _replay(body: bytes) -> Receive:
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        if messages:
            return messages.pop()
        # The application never learns from here that the client has gone: it is cancelled.
        await asyncio.Event().wait()
        raise AssertionError

    return receive


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _discard(receive: Receive) -> None:
    """Let a client that sends too much see the answer: closed at once, it would see a broken pipe."""
    discarded = 0
    with anyio.move_on_after(_DISCARD_S):
        while discarded < _DISCARD_BYTES:
            message = await receive()
            discarded += len(message.get("body", b""))
            if message["type"] == "http.disconnect" or not message.get("more_body", False):
                return


def _too_large(limit: int) -> Problem:
    return Problem(
        413, f"the body exceeds {limit:,} bytes", [("body", f"exceeds {limit:,} bytes")], headers=_CLOSE
    )


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()


def _netloc(origin: str) -> str:
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""


def _route(scope: Scope) -> str:
    """The route's template: paths hold ids of people."""
    return getattr(scope.get("route"), "path_format", "other")


def _request_id(scope: Scope) -> str:
    """What a proxy calls this request, where that is a plain word; else a new name."""
    given = dict(scope["headers"]).get(_REQUEST_ID, b"").decode("latin-1")
    return given if _PLAIN_WORD.fullmatch(given) else secrets.token_hex(8)


def _log(name: str, method: str, route: str, status: int, seconds: float) -> None:
    if access.isEnabledFor(logging.INFO):
        entry = {
            "time": round(time.time(), 3),
            "request": name,
            "method": method,
            "route": route,
            "status": status,
            "ms": round(1000 * seconds, 1),
        }
        access.info(json.dumps(entry))

"""Connections that cannot take the server's memory or its places for longer than is fair.

uvicorn bounds neither the size nor the time of a request's head, nor the time for an answer to be taken.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from omnireid.server.limits import Limits
from omnireid.server.problems import Problem

MAX_HEAD_BYTES = 32_768
_AROUND_HEADER = len(b": \r\n")
# Chunks of one byte take six; trailers come after the body.
_MOST_OVERHEAD = 2
_TAKE_ANSWER_S = 30.0
_LAST_HEAD_S = 2.0


class BoundedConnection(HttpToolsProtocol):
    """One connection: its requests' heads are bounded in size and time, and there are not too many of it."""

    def __init__(self, limits: Limits, **uvicorns: Any) -> None:
        super().__init__(**uvicorns)
        self._limits = limits
        self._is_in_head = True
        self._is_last = False
        self._received = 0
        self._newest = 0
        self._head_size = 0
        self._head_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self._limits.max_connections:
            transport.abort()
        else:
            self._head_timer = self.loop.call_later(self._limits.head_timeout_s, self._give_up)

    def connection_lost(self, exc: Exception | None) -> None:
        _cancel(self._head_timer)
        _cancel(self._write_timer)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._is_in_head and self._head_timer is None:
            self._head_timer = self.loop.call_later(self._limits.head_timeout_s, self._give_up)
        self._newest = len(data)
        self._received += self._newest
        super().data_received(data)
        most = (
            MAX_HEAD_BYTES if self._is_in_head else _MOST_OVERHEAD * self._limits.max_bytes + MAX_HEAD_BYTES
        )
        if self._received > most and not self.transport.is_closing():
            self.send_400_response("The request's head is too large.")

    def on_message_begin(self) -> None:
        # What has just come may hold the end of the request before; counting it here is on the safe side.
        self._received, self._head_size = self._newest, 0
        self._is_in_head = True
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value) + _AROUND_HEADER)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        _cancel(self._head_timer)
        self._head_timer = None
        super().on_headers_complete()
        self.cycle.keep_alive &= not self._is_last

    def on_response_complete(self) -> None:
        self._is_in_head = True
        self._received = 0
        super().on_response_complete()

    def shutdown(self) -> None:
        """Close what is idle; a connection whose request is on its way gets its answer first."""
        if self.cycle is None or (self._is_in_head and self._received):
            # Whoever has just connected, as a proxy for somebody, cannot know whether it may ask elsewhere.
            self._is_last = True
            _cancel(self._head_timer)
            self._head_timer = self.loop.call_later(_LAST_HEAD_S, self._give_up)
        else:
            super().shutdown()

    def send_400_response(self, msg: str) -> None:
        response = Problem(400, msg).response()
        head = b"".join(b"%s: %s\r\n" % header for header in response.raw_headers)
        self.transport.write(
            b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n" + head + b"\r\n" + bytes(response.body)
        )
        self.transport.close()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._write_timer = self.loop.call_later(_TAKE_ANSWER_S, self._give_up)

    def resume_writing(self) -> None:
        _cancel(self._write_timer)
        super().resume_writing()

    def _count(self, size: int) -> None:
        self._head_size += size
        if self._head_size > MAX_HEAD_BYTES:
            # httptools turns what a callback raises into a request that is not valid.
            raise ValueError("the head is too large")

    def _give_up(self) -> None:
        self.transport.abort()


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()

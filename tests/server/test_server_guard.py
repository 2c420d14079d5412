"""The guard around applications that wait, fail, or count."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from omnireid.core.errors import InputError
from omnireid.server.guard import Guard
from omnireid.server.limits import Limits
from omnireid.server.metrics import Metrics

HEADERS = [(b"host", b"127.0.0.1")]


def scope_of(path: str = "/v1/x") -> Scope:
    return {"type": "http", "method": "POST", "path": path, "headers": HEADERS, "state": {}}


class Client:
    """One request: what it sends and when, and what came back."""

    def __init__(self, *messages: Message) -> None:
        self._messages = list(messages)
        self.more = asyncio.Event()
        self.sent: list[Message] = []

    async def receive(self) -> Message:
        if not self._messages:
            await self.more.wait()
            return {"type": "http.disconnect"}
        return self._messages.pop(0)

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def detail(self) -> str:
        return str(json.loads(self.sent[1]["body"])["detail"])


def whole(body: bytes = b"") -> Message:
    return {"type": "http.request", "body": body, "more_body": False}


def guarded(app: Callable[[Scope, Receive, Send], Awaitable[None]], **limits: Any) -> Guard:
    return Guard(app, limits=Limits(**limits), metrics=Metrics(), tokens=None, allowed_hosts={"127.0.0.1"})


def run(work: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        await asyncio.wait_for(work(), 20)

    asyncio.run(bounded())


@pytest.mark.parametrize("after_s", [0, 0.2])
def test_the_work_of_a_client_that_has_gone_is_cancelled(after_s: float) -> None:
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append("began")
        try:
            await asyncio.Event().wait()
        finally:
            seen.append("ended")

    async def work() -> None:
        client = Client(whole())
        task = asyncio.ensure_future(guarded(app)(scope_of(), client.receive, client.send))
        while not seen:
            await asyncio.sleep(0.001)
        await asyncio.sleep(after_s)
        client.more.set()
        await task
        assert client.sent == []
        assert not task.cancelled()

    run(work)
    assert seen == ["began", "ended"]


@pytest.mark.parametrize("timeout_s", [0.05, 0.2])
def test_an_answer_that_takes_too_long_is_given_up(timeout_s: float) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.Event().wait()

    async def work() -> None:
        client = Client(whole())
        started = time.perf_counter()
        await guarded(app, request_timeout_s=timeout_s)(scope_of(), client.receive, client.send)
        assert client.status == 503
        assert timeout_s <= time.perf_counter() - started < timeout_s + 1
        # Nothing of the cancellation is left in the task.
        await asyncio.wait_for(asyncio.sleep(0), 1)

    run(work)


def test_an_answer_within_the_time_stays_however_long_its_task_goes_on() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(0.15)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def work() -> None:
        client = Client(whole())
        await guarded(app, request_timeout_s=0.3)(scope_of(), client.receive, client.send)
        await asyncio.sleep(0.4)
        assert client.status == 200

    run(work)


def test_a_server_that_stops_cancels_the_work() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.Event().wait()

    async def work() -> None:
        client = Client(whole())
        guard = guarded(app)
        task = asyncio.ensure_future(guard(scope_of(), client.receive, client.send))
        await asyncio.sleep(0.15)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert guard._under_way == 0

    run(work)


def test_errors_of_ours_are_problems() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise InputError("k: expected at least 1, got 0")

    async def work() -> None:
        client = Client(whole())
        await guarded(app)(scope_of(), client.receive, client.send)
        assert (client.status, client.detail) == (422, "k: expected at least 1, got 0")

    run(work)


@pytest.mark.parametrize("first", [(), ({"type": "http.request", "body": b"x", "more_body": True},)])
def test_a_body_that_does_not_come_is_given_up(first: tuple[Message, ...]) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError("without its body")

    async def work() -> None:
        client = Client(*first)
        guard = guarded(app, body_timeout_s=0.05)
        await guard(scope_of(), client.receive, client.send)
        assert client.status == 408
        assert guard._held == 0

    run(work)


def test_more_requests_and_bytes_than_there_is_room_for_come_back_later() -> None:
    async def work() -> None:
        let_go = asyncio.Event()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await let_go.wait()
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b""})

        guard = guarded(app, max_requests=2, max_held=10)
        clients = [Client(whole(b"12345678")), Client(whole(b"12345678")), Client(whole())]
        tasks = []
        for client in clients:
            tasks.append(asyncio.ensure_future(guard(scope_of(), client.receive, client.send)))
            await asyncio.sleep(0.01)
        # The second has no room for its bytes; then the third is the second under way.
        assert (clients[1].status, clients[1].detail.split(";")[1]) == (429, " come back later")
        another = Client(whole())
        await guard(scope_of(), another.receive, another.send)
        assert another.status == 429
        assert dict(another.sent[0]["headers"])[b"retry-after"] == b"1"
        let_go.set()
        await asyncio.gather(*tasks)
        assert [clients[0].status, clients[2].status] == [200, 200]
        assert (guard._held, guard._under_way) == (0, 0)

    run(work)


def test_what_escapes_is_a_problem_and_counted() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise RuntimeError("insides")

    async def work() -> None:
        client = Client(whole())
        metrics = Metrics()
        guard = Guard(app, limits=Limits(), metrics=metrics, tokens=None, allowed_hosts=None)
        await guard(scope_of(), client.receive, client.send)
        assert client.status == 500
        assert "insides" not in client.detail
        assert b"omnireid_errors_total 1.0" in metrics.text()

    run(work)

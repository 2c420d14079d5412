"""Requests made from the OpenAPI description: none meets a defect, answers are as described."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Receive, Scope, Send

from server.toy_service import ToyDetector, enrol, service

CHECKS = [
    not_a_server_error,
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
]
EXAMPLES = 10


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with service(tmp_path_factory.mktemp("schema"), allowed_hosts=None, detector=ToyDetector()) as client:
        enrol(client, 1, identity="p1", camera="a")
        yield client


def requests_only(app: ASGIApp) -> ASGIApp:
    """An application that has been started already."""

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await app(scope, receive, send)
            return
        for _ in ("startup", "shutdown"):
            await send({"type": f"{(await receive())['type']}.complete"})

    return wrapped


@pytest.mark.slow
@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.name)
def test_answers_are_as_described(client: TestClient, mode: GenerationMode) -> None:
    described = schemathesis.openapi.from_asgi("/openapi.json", requests_only(client.app))
    operations = [one.ok() for one in described.get_all_operations()]
    assert len(operations) > 20
    for operation in operations:
        if operation.path == "/v1/watch/events":
            continue  # answers for minutes; test_server_watch.py reads it

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def check(case: Any) -> None:
            response = case.call()
            case.validate_response(response, checks=CHECKS)

        # A route without anything to get wrong.
        with suppress(Unsatisfiable):
            check()

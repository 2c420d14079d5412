"""The application: routes behind the guard, errors as problems, and a description of all of it (OpenAPI)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import anyio.to_thread
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from omnireid import __version__
from omnireid.core.detection import PersonDetector
from omnireid.evaluation.calibration import Calibration
from omnireid.server.guard import LOOPBACK_HOSTS, Guard, bearer_of
from omnireid.server.limits import Limits
from omnireid.server.metrics import Metrics
from omnireid.server.page_files import page_router
from omnireid.server.problems import MEDIA_TYPE, Problem, of_errors, shortened
from omnireid.server.routes import ROUTERS, SHORTCUTS, Endpoint
from omnireid.server.routes.access import BODIES, PROBLEMS
from omnireid.server.service import Service
from omnireid.server.telling import Receiver
from omnireid.server.tokens import TokenFile

if TYPE_CHECKING:
    from omnireid.gallery.gallery import Gallery
    from omnireid.inference.embedder import Embedder


def create_app(
    embedder: Embedder,
    galleries: Mapping[str, Gallery],
    *,
    calibration: Calibration | None = None,
    tokens: TokenFile | None = None,
    allowed_hosts: Collection[str] | None = LOOPBACK_HOSTS,
    limits: Limits | None = None,
    receivers: Sequence[Receiver] = (),
    detector: PersonDetector | None = None,
) -> FastAPI:
    """The service as an ASGI application. Whoever opened the galleries closes them, after the application.

    Args:
        embedder: makes the embeddings; its model must have a hash.
        galleries: the galleries by name; the first is the default.
        calibration: calibration of the model; without one there are scores only.
        tokens: who may do what; None lets everybody do everything, which only loopback should.
        allowed_hosts: names that requests may call this server by; None allows any, which needs tokens.
        limits: limits of one request; the defaults when None.
        receivers: who is told of the alerts of the watch lists.
        detector: finds people in frames; None where there is none, as `/v1/info` then says.
    """
    limits = limits or Limits()
    metrics = Metrics()
    service = Service(
        embedder,
        galleries,
        calibration=calibration,
        limits=limits,
        metrics=metrics,
        receivers=receivers,
        detector=detector,
    )
    if tokens is not None:
        service.is_known = lambda request: bearer_of(request.scope["headers"], tokens) is not None

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.start()
        try:
            yield
        finally:
            # In a thread: what is finished now still has answers to hand to this loop.
            await anyio.to_thread.run_sync(service.close)

    app = _routed(
        lifespan=lifespan,
        # Their pages load scripts from third parties.
        docs_url=None,
        redoc_url=None,
        # The guard takes slashes too many away; a redirect would name an address that a proxy hides.
        redirect_slashes=False,
    )
    app.state.service = service
    app.state.needs_tokens = tokens is not None
    app.include_router(page_router())
    # Problems and our own errors pass through to the guard.
    app.add_exception_handler(RequestValidationError, _of_request)
    app.add_exception_handler(HTTPException, _of_http)
    app.add_middleware(Shortcut, endpoints=SHORTCUTS)
    app.add_middleware(Guard, limits=limits, metrics=metrics, tokens=tokens, allowed_hosts=allowed_hosts)
    app.openapi = description  # type: ignore[method-assign]  # FastAPI's way to change it
    return app


class Shortcut:
    """ASGI middleware: routes that are asked for most, from the guard straight to their function.

    FastAPI's ways through its layers take longer than all the rest of such a request. The routes stand in its
    router too, for their description and for every other method.

    Args:
        app: the application for everything else.
        endpoints: the endpoints by method and path.
    """

    def __init__(self, app: ASGIApp, endpoints: Mapping[tuple[str, str], Endpoint]) -> None:
        self.app = app
        self._endpoints = endpoints

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        endpoint = self._endpoints.get((scope.get("method", ""), scope.get("path", "")))
        if endpoint is None:
            await self.app(scope, receive, send)
            return
        response = await endpoint(Request(scope, receive))
        await response(scope, receive, send)


def _of_request(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    # "query", "path": where it stands is clear from the name.
    errors = [{**entry, "loc": entry["loc"][1:]} for entry in error.errors()]
    return of_errors(errors).response()


def _of_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    detail, headers = str(error.detail), dict(error.headers or {})
    path = shortened(request.url.path)
    if error.status_code == HTTPStatus.NOT_FOUND:
        detail = f"there is nothing at {path}; /openapi.json describes every address"
    elif error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = headers["Allow"].replace("GET", "GET, HEAD")
        detail = f"{request.method} cannot be asked of {path}; it takes {headers['Allow']}"
    return Problem(error.status_code, detail, headers=headers).response()


def _routed(**options: Any) -> FastAPI:
    """An application that has the routes and nothing else."""
    app = FastAPI(
        title="OmniReID",
        version=__version__,
        summary="Find the same person across cameras.",
        responses=PROBLEMS,
        **options,
    )
    for router in ROUTERS:
        app.include_router(router)
    return app


@cache
def description() -> dict[str, Any]:
    """OpenAPI, with the bodies that the routes read themselves, and problems under their media type.

    The routes are the same whatever is served, so neither a model nor a gallery is needed.
    """
    app = _routed()
    schema = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
    _, bodies = models_json_schema(
        [(model, "validation") for model in BODIES], ref_template="#/components/schemas/{model}"
    )
    schema["components"]["schemas"] |= bodies["$defs"]
    bearer = {"type": "http", "scheme": "bearer", "description": "A token of 'omnireid token create'."}
    schema["components"]["securitySchemes"] = {"bearer": bearer}
    for path, operations in schema["paths"].items():
        for operation in operations.values():
            if path.startswith("/v1"):
                operation["security"] = [{"bearer": []}]
            for status, answer in operation["responses"].items():
                if int(status) >= HTTPStatus.BAD_REQUEST and "content" in answer:
                    answer["content"] = {MEDIA_TYPE: next(iter(answer["content"].values()))}
    return schema

"""The service's routes, a module for each kind of thing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from fastapi import Request, Response

from omnireid.server.routes import (
    audit,
    cameras,
    cases,
    detect,
    embed,
    enrol,
    galleries,
    health,
    identities,
    items,
    reject,
    search,
    site,
    watch,
)

_IN_ORDER = (
    health, embed, detect, enrol, search, reject, items, identities, galleries, audit, cases, watch, site,
    cameras,
)  # fmt: skip
ROUTERS = tuple(module.router for module in _IN_ORDER)

Endpoint = Callable[[Request], Awaitable[Response]]

SHORTCUTS: Mapping[tuple[str, str], Endpoint] = {("POST", "/v1/embed"): embed.embed_soon}
"""Routes whose requests take FastAPI longer than the work they ask for, by method and path."""

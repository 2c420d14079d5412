"""The service's routes, a module for each kind of thing."""

from __future__ import annotations

from omnireid.server.routes import embed, enrol, galleries, health, identities, items, search

ROUTERS = (
    health.router,
    embed.router,
    enrol.router,
    search.router,
    items.router,
    identities.router,
    galleries.router,
)

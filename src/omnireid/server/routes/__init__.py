"""The service's routes, a module for each kind of thing."""

from __future__ import annotations

from omnireid.server.routes import embed, health

ROUTERS = (health.router, embed.router)

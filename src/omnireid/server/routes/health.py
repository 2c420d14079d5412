"""Whether the server lives, is ready, and how it is doing. No token: probes have none."""

from __future__ import annotations

from typing import Any

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Response

from omnireid.server.routes.access import ServiceOf

router = APIRouter(tags=["health"])


@router.get("/healthz", summary="The process lives")
async def healthz() -> dict[str, str]:
    return {"status": "alive"}


@router.get(
    "/readyz",
    summary="The model has run its first batch, and every gallery can be read",
    responses={503: {"description": "Not yet, not now, or never: `reason` says why."}},
)
async def readyz(service: ServiceOf, response: Response) -> dict[str, str]:
    if service.is_draining():
        response.status_code = 503
        return {"status": "stopping"}
    # In a thread beside those of the routes: a probe does not wait for requests.
    away = await to_thread.run_sync(service.away, limiter=CapacityLimiter(1)) if service.is_ready else ""
    if service.is_ready and not away:
        reasons = {name: gallery.read_only for name, gallery in service.galleries.items()}
        read_only = ", ".join(f"{name}: {reason}" for name, reason in reasons.items() if reason)
        states = [] if service.cameras is None else service.cameras.states()
        # A camera that is lost hinders no search.
        cameras = ", ".join(
            f"{one.name}: {one.state}" for one in states if one.state not in ("live", "ended")
        )
        notes = {"read_only": read_only, "cameras": cameras}
        return {"status": "ready", **{name: note for name, note in notes.items() if note}}
    response.status_code = 503
    if away:
        return {"status": "away", "reason": away}
    return {"status": "failed", "reason": service.failure} if service.failure else {"status": "starting"}


class _Exposition(Response):
    media_type = "text/plain; version=0.0.4"


@router.get("/metrics", summary="Metrics in Prometheus's text format", response_class=_Exposition)
def metrics(service: ServiceOf) -> Any:
    return _Exposition(service.metrics.text())

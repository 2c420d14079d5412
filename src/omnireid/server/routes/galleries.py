"""The galleries themselves: what they hold, their index, retention, and audit."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from omnireid.server.routes.access import Admin, Reader, ServiceOf, body_of, json_body
from omnireid.server.routes.wire import gallery_out
from omnireid.server.schemas import (
    Accepted,
    AuditAnswer,
    AuditEntryOut,
    AuditQuery,
    ForgottenAnswer,
    GalleriesAnswer,
    GalleryOut,
    RetentionBody,
    RetentionOut,
)

router = APIRouter(tags=["galleries"])


@router.get("/v1/galleries", summary="All galleries, the default first")
def list_galleries(service: ServiceOf, _: Reader) -> GalleriesAnswer:
    return GalleriesAnswer(galleries=[gallery_out(name, one) for name, one in service.galleries.items()])


@router.get("/v1/galleries/{name}", summary="What a gallery holds")
def read_gallery(name: str, service: ServiceOf, _: Reader) -> GalleryOut:
    return gallery_out(name, service.gallery(name))


@router.post(
    "/v1/galleries/{name}/index",
    summary="Build the approximate index, or take new items into it",
    status_code=202,
)
def build_index(name: str, service: ServiceOf, _: Admin) -> Accepted:
    service.build_index(name)
    return Accepted(status="building")


@router.put(
    "/v1/galleries/{name}/retention",
    summary="Set how long items stay",
    openapi_extra=body_of(RetentionBody),
)
def set_retention(
    name: str,
    body: Annotated[RetentionBody, Depends(json_body(RetentionBody))],
    service: ServiceOf,
    caller: Admin,
) -> RetentionOut:
    gallery = service.gallery(name)
    gallery.set_retention(body.default_s, body.cameras, actor=caller.name)
    kept = gallery.retention()
    return RetentionOut(default_s=kept.default_s, cameras=dict(kept.cameras))


@router.post("/v1/galleries/{name}/retention/run", summary="Forget what has expired, now")
def run_retention(name: str, service: ServiceOf, caller: Admin) -> ForgottenAnswer:
    return ForgottenAnswer(forgotten=service.gallery(name).run_retention(actor=caller.name))


@router.get(
    "/v1/audit", summary="Who enrolled, searched, changed and forgot; the oldest first, or the `latest`"
)
def audit(query: Annotated[AuditQuery, Query()], service: ServiceOf, _: Admin) -> AuditAnswer:
    name = query.gallery or next(iter(service.galleries), "")
    gallery = service.gallery(query.gallery)
    # One more than is shown tells whether there are more.
    found = gallery.audit(after=query.after, limit=query.limit + 1, latest=query.latest)
    entries = found[: query.limit]
    return AuditAnswer(
        entries=[
            AuditEntryOut(
                seq=one.seq,
                time=one.time,
                actor=one.actor,
                action=one.action,
                gallery=name,
                count=one.count,
                subjects=list(one.subjects),
                detail=dict(one.detail),
            )
            for one in entries
        ],
        next=entries[-1].seq if len(found) > query.limit else None,
    )

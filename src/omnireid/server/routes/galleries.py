"""The galleries themselves: what they hold, their index and retention."""

from __future__ import annotations

from fastapi import APIRouter

from omnireid.server.routes.access import Admin, JsonBody, Reader, Route, ServiceOf
from omnireid.server.routes.wire import gallery_out
from omnireid.server.schemas import (
    Accepted,
    ForgottenAnswer,
    GalleriesAnswer,
    GalleryOut,
    RetentionBody,
)

router = APIRouter(route_class=Route, tags=["galleries"])


@router.get("/v1/galleries", summary="All galleries, the default first")
def list_galleries(service: ServiceOf, _: Reader) -> GalleriesAnswer:
    return GalleriesAnswer(
        galleries=[gallery_out(name, gallery) for name, gallery in service.galleries.items()]
    )


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


@router.put("/v1/galleries/{name}/retention", summary="Set how long items stay")
def set_retention(
    name: str, body: JsonBody[RetentionBody], service: ServiceOf, caller: Admin
) -> RetentionBody:
    gallery = service.gallery(name, caller)
    gallery.set_retention(body.default_s, body.cameras)
    return RetentionBody.model_validate(gallery.retention())


@router.post("/v1/galleries/{name}/retention/run", summary="Forget what has expired, now")
def run_retention(name: str, service: ServiceOf, caller: Admin) -> ForgottenAnswer:
    return ForgottenAnswer(forgotten=service.gallery(name, caller).run_retention())

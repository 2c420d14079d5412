"""The galleries themselves: what they hold, their index and retention."""

from __future__ import annotations

from fastapi import APIRouter

from omnireid.server import schemas
from omnireid.server.routes.access import Admin, JsonBody, ReadByName, Reader, Route, ServiceOf
from omnireid.server.routes.wire import gallery_out

router = APIRouter(route_class=Route, tags=["galleries"])


@router.get("/v1/galleries", summary="All galleries, the default first")
def list_galleries(service: ServiceOf, _: Reader) -> schemas.GalleriesAnswer:
    return schemas.GalleriesAnswer(
        galleries=[gallery_out(name, gallery) for name, gallery in service.galleries.items()]
    )


@router.get("/v1/galleries/{name}", summary="What a gallery holds")
def read_gallery(name: str, gallery: ReadByName) -> schemas.GalleryOut:
    return gallery_out(name, gallery)


@router.post(
    "/v1/galleries/{name}/index",
    summary="Build the approximate index, or take new items into it",
    status_code=202,
)
def build_index(name: str, service: ServiceOf, _: Admin) -> schemas.Accepted:
    service.gallery(name).index_in_background()
    return schemas.Accepted(status="building")


@router.put("/v1/galleries/{name}/retention", summary="Set how long items stay")
def set_retention(
    name: str, body: JsonBody[schemas.RetentionBody], service: ServiceOf, caller: Admin
) -> schemas.RetentionBody:
    gallery = service.gallery(name, caller)
    gallery.set_retention(body.default_s, body.cameras)
    return schemas.RetentionBody.model_validate(gallery.retention())


@router.post("/v1/galleries/{name}/retention/run", summary="Forget what has expired, now")
def run_retention(name: str, service: ServiceOf, caller: Admin) -> schemas.ForgottenAnswer:
    return schemas.ForgottenAnswer(forgotten=service.gallery(name, caller).run_retention())

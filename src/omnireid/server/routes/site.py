"""The site of a gallery: groups of cameras, and a floor plan with a pin for each camera."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from omnireid.core.errors import ImageError
from omnireid.core.images import decode_drawing
from omnireid.gallery.errors import NotInGalleryError
from omnireid.gallery.site import FloorPlan
from omnireid.server import schemas
from omnireid.server.problems import of_error
from omnireid.server.routes.access import (
    ChangedByName,
    JsonBody,
    ReadByName,
    Route,
    ServiceOf,
    body_of,
    picture_in,
)

router = APIRouter(route_class=Route, tags=["galleries"])


@router.get("/v1/galleries/{name}/camera-groups", summary="Groups of cameras, which are chosen as one")
def read_groups(gallery: ReadByName) -> schemas.CameraGroups:
    groups = gallery.site.groups()
    return schemas.CameraGroups(groups={group: list(cameras) for group, cameras in groups.items()})


@router.put("/v1/galleries/{name}/camera-groups", summary="Replace all groups of cameras")
def set_groups(body: JsonBody[schemas.CameraGroups], gallery: ChangedByName) -> schemas.CameraGroups:
    gallery.site.set_groups(body.groups)
    return read_groups(gallery)


@router.get("/v1/galleries/{name}/floor-plan", summary="The floor plan's size and pins; null without one")
def read_plan(gallery: ReadByName) -> schemas.FloorPlanOut | None:
    try:
        return _plan(gallery.site.plan())
    except NotInGalleryError:
        return None


@router.get(
    "/v1/galleries/{name}/floor-plan/picture",
    summary="The floor plan's picture",
    response_class=Response,
    responses={200: {"content": {"image/webp": {}}}},
)
def read_plan_picture(gallery: ReadByName) -> Response:
    return Response(gallery.site.picture(), media_type="image/webp")


@router.put(
    "/v1/galleries/{name}/floor-plan",
    summary="Keep a floor plan in place of the one before, whose pins stay",
    openapi_extra=body_of(schemas.FloorPlanRequest, or_picture=True),
)
async def set_plan(request: Request, gallery: ChangedByName, service: ServiceOf) -> schemas.FloorPlanOut:
    content = (await picture_in(request, schemas.FloorPlanRequest)).content()

    def write() -> schemas.FloorPlanOut:
        try:
            # Decoded and written anew: nothing but its pixels stays.
            picture = decode_drawing(content, max_pixels=service.limits.max_pixels)
        except ImageError as error:
            raise of_error(error, "image") from error
        return _plan(gallery.site.set_plan(picture))

    return await run_in_threadpool(write)


@router.put(
    "/v1/galleries/{name}/floor-plan/pins", summary="Say where on the floor plan the cameras are, all of them"
)
def set_pins(body: JsonBody[schemas.PinsBody], gallery: ChangedByName) -> schemas.FloorPlanOut:
    pins = {camera: (pin.x, pin.y) for camera, pin in body.pins.items()}
    return _plan(gallery.site.set_pins(pins))


@router.delete(
    "/v1/galleries/{name}/floor-plan", summary="Delete the floor plan and its pins", status_code=204
)
def delete_plan(gallery: ChangedByName) -> Response:
    gallery.site.delete_plan()
    return Response(status_code=204)


def _plan(plan: FloorPlan) -> schemas.FloorPlanOut:
    return schemas.FloorPlanOut.of(plan, pins=dict(plan.pins))

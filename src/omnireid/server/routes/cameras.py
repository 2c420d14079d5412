"""Cameras that the server follows: how they are, and what they see now."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Path
from PIL import Image

from omnireid.core.arrays import Float64
from omnireid.gallery.gallery import Gallery
from omnireid.gallery.items import Filter
from omnireid.gallery.texts import MAX_TEXT
from omnireid.server.camera_schemas import (
    CamerasAnswer,
    CameraStateOut,
    FloorCameraOut,
    FloorOut,
    FrameAnswer,
    InViewOut,
    MapAnswer,
    OnFloorOut,
    Place,
)
from omnireid.server.problems import Problem
from omnireid.server.routes.access import Reader, Route, ServiceOf
from omnireid.server.schemas import Region
from omnireid.server.service import Service
from omnireid.video.live import InView, View
from omnireid.video.live_map import OnFloor, on_floors

router = APIRouter(route_class=Route, tags=["cameras"])

LOOK_S = 600.0
"""Somebody who looks through a camera stands in the audit once in so many seconds."""
_SIDE = 960
_QUALITY = 80
_NONE = "this server follows no camera; start it with --camera NAME=rtsp://…"


@router.get("/v1/cameras", summary="The cameras that are followed, and how they are")
def list_cameras(service: ServiceOf, _: Reader) -> CamerasAnswer:
    cameras = service.cameras
    if cameras is None:
        return CamerasAnswer(cameras=[], gallery=None, enrolled=0, waiting=0, lost=0, failure="")
    states = []
    for state in cameras.states():
        view = cameras.view(state.name)
        is_now = view is not None and state.state == "live"
        states.append(CameraStateOut.of(state, people=len(view.people) if view and is_now else 0))
    return CamerasAnswer.of(cameras, cameras=states, gallery=service.name_of(cameras.gallery))


@router.get(
    "/v1/cameras/{name}/frame",
    summary="The latest picture of a camera, with who is in it",
    description="Pictures are kept in memory until the next one comes, and nowhere else. Who looks through a "
    "camera stands in the audit, once in ten minutes.",
    responses={404: {"description": "No such camera, or no picture of it yet."}},
)
def read_frame(
    name: Annotated[str, Path(max_length=MAX_TEXT)], service: ServiceOf, caller: Reader
) -> FrameAnswer:
    cameras = service.cameras
    if cameras is None:
        raise Problem(404, _NONE)
    try:
        view = cameras.view(name)
    except KeyError as error:
        known = ", ".join(state.name for state in cameras.states())
        raise Problem(404, f"camera: there is no camera {name!r}. Known: {known}") from error
    if view is None:
        raise Problem(404, f"camera {name}: no picture has come yet")
    gallery = cameras.gallery.acting_as(caller.name)
    _tell(service, gallery, caller.name, name)
    return _frame(name, view, gallery)


@router.get(
    "/v1/cameras/map",
    summary="Who is where on the floors that cameras see",
    description="Of cameras whose ground planes the site's file tells (`omnireid serve --site`). Who looks "
    "at the map stands in the audit as somebody who looks through these cameras.",
    responses={404: {"description": "This server follows no camera."}},
)
def read_map(service: ServiceOf, caller: Reader) -> MapAnswer:
    cameras = service.cameras
    if cameras is None:
        raise Problem(404, _NONE)
    grounds = {state.name: cameras.plan.grounds.get(state.name) for state in cameras.states()}
    seen = {name: cameras.view(name) for name, ground in grounds.items() if ground is not None}
    views = {name: view for name, view in seen.items() if view is not None}
    gallery = cameras.gallery.acting_as(caller.name)
    for name in views:
        _tell(service, gallery, caller.name, name)
    people = [one for view in views.values() for one in view.people]
    now = _as_now(people, gallery)
    whose = {one.walk: who for one in people if one.link and (who := now.get(one.link.item))}
    present = on_floors(views, cameras.plan, whose)
    floors: dict[str, FloorOut] = {}
    for name, ground in grounds.items():
        if ground is not None:
            floor = floors.setdefault(ground.floor, FloorOut(name=ground.floor, cameras=[], people=[]))
            sees = ground.footprint(views[name].picture.shape[:2]) if name in views else ()
            floor.cameras.append(FloorCameraOut(name=name, sees=[_place(point) for point in sees]))
    for each in present:
        floors[each.floor].people.append(_on_floor(each, now, gallery))
    return MapAnswer(
        floors=list(floors.values()),
        without_ground=[name for name, ground in grounds.items() if ground is None],
    )


def _tell(service: Service, gallery: Gallery, who: str, camera: str) -> None:
    now, key = time.monotonic(), (who, camera)
    if now - service.looked.get(key, -np.inf) >= LOOK_S:
        gallery.tell("look-live", count=1, detail={"camera": camera})
        service.looked[key] = now


def _on_floor(each: OnFloor, now: Mapping[str, str | None], gallery: Gallery) -> OnFloorOut:
    one = next((one for _, one in each.seen if one.link is not None), each.seen[0][1])
    return OnFloorOut(
        walk=one.walk,
        cameras=[camera for camera, _ in each.seen],
        time=each.time,
        way=[_place(point) for point in each.way],
        **_who(one, now, gallery),
    )


def _place(point: Float64) -> Place:
    return Place(x=round(float(point[0]), 2), y=round(float(point[1]), 2))


def _frame(name: str, view: View, gallery: Gallery) -> FrameAnswer:
    height, width = view.picture.shape[:2]
    image = Image.fromarray(np.ascontiguousarray(view.picture))
    image.thumbnail((_SIDE, _SIDE))
    content = io.BytesIO()
    image.save(content, "JPEG", quality=_QUALITY)
    now = _as_now(view.people, gallery)
    return FrameAnswer(
        camera=name,
        number=view.number,
        time=view.time,
        width=width,
        height=height,
        image=base64.b64encode(content.getvalue()).decode(),
        people=[_person(one, now, gallery) for one in view.people],
    )


def _as_now(people: Sequence[InView], gallery: Gallery) -> dict[str, str | None]:
    """By item, who it is: somebody may have been named another, or forgotten, since the walk was decided."""
    items = frozenset(one.link.item for one in people if one.link is not None)
    if not items:
        return {}
    return {item.id: item.identity for item in gallery.items(Filter(ids=items), limit=len(items))}


def _person(one: InView, now: Mapping[str, str | None], gallery: Gallery) -> InViewOut:
    left, top, right, bottom = (float(side) for side in one.box)
    box = Region(x=left, y=top, width=right - left, height=bottom - top)
    return InViewOut(walk=one.walk, box=box, **_who(one, now, gallery))


def _who(one: InView, now: Mapping[str, str | None], gallery: Gallery) -> dict[str, Any]:
    """Who somebody is; of who was forgotten meanwhile, nothing."""
    link = one.link if one.link is not None and one.link.item in now else None
    identity = None if link is None else now[link.item]
    return {
        "identity": identity,
        "name": gallery.people().name(identity),
        "decision": None if link is None else link.decision.value,
        "probability": None if link is None else link.probability,
    }

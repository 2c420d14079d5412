"""Cameras that the server follows: how they are, and what they see now."""

from __future__ import annotations

import base64
import io
import time
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Path
from PIL import Image

from omnireid.gallery.gallery import Gallery
from omnireid.gallery.texts import MAX_TEXT
from omnireid.server.camera_schemas import CamerasAnswer, CameraStateOut, FrameAnswer, InViewOut
from omnireid.server.problems import Problem
from omnireid.server.routes.access import Reader, Route, ServiceOf
from omnireid.server.schemas import Region
from omnireid.video.live import InView, LiveCameras, View

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
    now, key = time.monotonic(), (caller.name, name)
    if now - service.looked.get(key, -np.inf) >= LOOK_S:
        gallery.tell("look-live", count=1, detail={"camera": name})
        service.looked[key] = now
    return _frame(name, view, gallery, cameras)


def _frame(name: str, view: View, gallery: Gallery, cameras: LiveCameras) -> FrameAnswer:
    height, width = view.picture.shape[:2]
    image = Image.fromarray(np.ascontiguousarray(view.picture))
    image.thumbnail((_SIDE, _SIDE))
    content = io.BytesIO()
    image.save(content, "JPEG", quality=_QUALITY)
    return FrameAnswer(
        camera=name,
        number=view.number,
        time=view.time,
        width=width,
        height=height,
        image=base64.b64encode(content.getvalue()).decode(),
        people=[_person(one, gallery) for one in view.people],
    )


def _person(one: InView, gallery: Gallery) -> InViewOut:
    people, link = gallery.people(), one.link
    identity = None if link is None else people.shown(link.identity)
    left, top, right, bottom = (float(side) for side in one.box)
    return InViewOut(
        walk=one.walk,
        box=Region(x=left, y=top, width=right - left, height=bottom - top),
        identity=identity,
        name=people.name(identity),
        decision=None if link is None else link.decision.value,
        probability=None if link is None else link.probability,
    )

"""Where the people are in a frame."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool

from omnireid.server.problems import Problem, ProblemBody
from omnireid.server.routes.access import Reader, ServiceOf, body_of, picture_in
from omnireid.server.schemas import DetectAnswer, DetectedPerson, DetectRequest

router = APIRouter(tags=["model"])

MISSING = (
    "no person detector is installed on this server, so it cannot find people in a picture by itself; draw a "
    "box around the person (region), or start the server with a detector (create_app(…, detector=…))"
)
_NO_DETECTOR: dict[int | str, dict[str, Any]] = {
    501: {
        "model": ProblemBody,
        "description": "No person detector is installed; `features` of info has no `detect`.",
    }
}


@router.post(
    "/v1/detect",
    summary="Boxes around the people in a picture, where a detector is installed",
    openapi_extra=body_of(DetectRequest, or_picture=True),
    responses=_NO_DETECTOR,
)
async def detect(request: Request, service: ServiceOf, _: Reader) -> DetectAnswer:
    detecting = service.detecting
    if detecting is None:  # before the body is looked at: without a detector no body is right
        raise Problem(501, MISSING)
    picture = await picture_in(request, DetectRequest)

    def find() -> DetectAnswer:
        pixels = picture.part(service.decoder)
        height, width = pixels.shape[:2]
        boxes = [DetectedPerson.of(box, score=score) for box, score in detecting.people(pixels)]
        return DetectAnswer(detector=detecting.name, width=width, height=height, boxes=boxes)

    return await run_in_threadpool(find)

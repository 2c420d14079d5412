"""What the service is, and embeddings of pictures."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from pydantic_core import to_json

from omnireid import __version__
from omnireid.server.pictures import Picture
from omnireid.server.routes.access import (
    Reader,
    ServiceOf,
    body_of,
    check_count,
    holds_picture,
    may_read,
    parse_json,
    service_of,
)
from omnireid.server.schemas import Embeddings, EmbedRequest, Info, InfoLimits, InfoModel

router = APIRouter(tags=["model"])


@router.get("/v1/info", summary="Model, galleries, limits, and what the caller may do")
async def info(request: Request, service: ServiceOf, caller: Reader) -> Info:
    spec, calibration = service.embedder.card.input, service.calibration
    searches = None if calibration is None else calibration.record.search
    return Info(
        version=__version__,
        model=InfoModel.of(
            spec,
            name=service.model.name,
            sha256=service.model.saved_sha256,
            embedding_size=service.model.dim,
        ),
        calibrated=searches is not None,
        false_alarm_rates=[] if searches is None else list(searches.measured_rates),
        usual_false_alarm_rate=None if searches is None else searches.usual_rate,
        pair_false_alarm_rates=[]
        if calibration is None
        else [alarm.wanted for alarm in calibration.record.false_alarms if alarm.is_measurable],
        galleries=list(service.galleries),
        limits=InfoLimits.of(service.limits),
        scopes=list(caller.scopes),
        token_required=request.app.state.needs_tokens,
        features=[
            "reject",
            *(["detect"] if service.detecting else []),
            *(["cameras"] if service.cameras else []),
        ],
    )


@router.post(
    "/v1/embed",
    summary="Embeddings of pictures",
    responses={200: {"model": Embeddings}},
    openapi_extra=body_of(EmbedRequest, or_picture=True),
)
async def embed(request: Request, service: ServiceOf, _: Reader) -> Response:
    body = await request.body()
    if holds_picture(request, body):
        pictures = [Picture(body)]
    else:
        images = parse_json(request, EmbedRequest, body).images
        check_count("images", len(images), service.limits.max_items)
        pictures = [Picture(image, field=f"images.{index}") for index, image in enumerate(images)]
    rows = await service.embed(pictures)
    model = {"name": service.model.name, "sha256": service.model.sha256}
    # Not through `Embeddings`: checking half a thousand numbers again takes longer than writing them.
    content = to_json({"model": model, "normalised": True, "embeddings": rows.tolist()})
    return Response(content, media_type="application/json")


async def embed_soon(request: Request) -> Response:
    """`embed`, with its dependencies called instead of solved."""
    request.scope["route"] = _ROUTE
    return await embed(request, await service_of(request), await may_read(request))


_ROUTE = next(route for route in router.routes if getattr(route, "endpoint", None) is embed)

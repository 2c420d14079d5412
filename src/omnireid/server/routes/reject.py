"""\"Not this person\": what an operator ruled out, and taking that back."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool

from omnireid.core.errors import InputError
from omnireid.server.problems import Problem
from omnireid.server.routes.access import ServiceOf, Writer, body_of, parse_json
from omnireid.server.routes.search import embeddings_of
from omnireid.server.schemas import GalleryQuery, IdentityQuery, RejectAnswer, RejectRequest

router = APIRouter(tags=["search"])


@router.post(
    "/v1/reject",
    summary="Say that a picture does not show a person; later searches heed it",
    openapi_extra=body_of(RejectRequest),
)
async def reject(
    request: Request, query: Annotated[GalleryQuery, Query()], service: ServiceOf, caller: Writer
) -> RejectAnswer:
    gallery = service.gallery(query.gallery, caller)
    asked = parse_json(request, RejectRequest, await request.body())
    rows = await embeddings_of(service, gallery, asked)
    name = await run_in_threadpool(
        lambda: gallery.reject(asked.identity, rows, model=service.model, item=asked.item)
    )
    return RejectAnswer(id=name)


@router.delete("/v1/reject", summary="Take back that a picture does not show a person", status_code=204)
async def unreject(query: Annotated[IdentityQuery, Query()], service: ServiceOf, caller: Writer) -> None:
    gallery = service.gallery(query.gallery, caller)
    try:
        await run_in_threadpool(lambda: gallery.unreject(query.id))
    except InputError as error:
        raise Problem(404, str(error), [("id", "unknown")]) from error

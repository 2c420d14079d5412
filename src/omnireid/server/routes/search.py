"""Who is this? And: are these two the same?"""

from __future__ import annotations

import base64
import io
import time
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Query, Request
from PIL import Image
from starlette.concurrency import run_in_threadpool

from omnireid.core.arrays import Float32
from omnireid.core.images import Crop
from omnireid.evaluation.whitening import unit_cosines
from omnireid.gallery.gallery import Gallery
from omnireid.gallery.items import Box, Filter
from omnireid.gallery.searching import SearchResult
from omnireid.report.activation import activation_map, overlay
from omnireid.server.pictures import Picture
from omnireid.server.problems import Problem
from omnireid.server.routes.access import (
    Reader,
    ServiceOf,
    body_of,
    check_alone,
    check_count,
    check_model,
    given_row,
    holds_picture,
    only_one,
    parse_json,
)
from omnireid.server.routes.wire import search_answer
from omnireid.server.schemas import (
    Activations,
    GalleryQuery,
    Region,
    SearchAnswer,
    SearchOptions,
    SearchQuery,
    SearchRequest,
    Shown,
    VerifyAnswer,
    VerifyRequest,
    VerifySide,
)
from omnireid.server.service import Service

router = APIRouter(tags=["search"])


@router.post(
    "/v1/search",
    summary="Who is this, where and when?",
    openapi_extra=body_of(SearchRequest, or_picture=True),
)
async def search(
    request: Request, query: Annotated[SearchQuery, Query()], service: ServiceOf, caller: Reader
) -> SearchAnswer:
    started = time.perf_counter()
    gallery = service.gallery(query.gallery)
    body = await request.body()
    options: SearchOptions = query
    is_tracklet, excluded = False, None
    if holds_picture(request, body):
        where = query.where()
        embeddings = await service.embed([Picture(body)])
    else:
        asked = parse_json(request, SearchRequest, body)
        check_alone(query)
        options, where, excluded = asked, asked.where(), asked.item
        is_tracklet = asked.images is not None
        embeddings = await embeddings_of(service, gallery, asked)
    check_count("k", options.k, service.limits.max_k)

    def look() -> SearchAnswer:
        found = _search(service, gallery, embeddings, options, where, is_tracklet, excluded, caller.name)
        return search_answer(gallery, found, round(1000 * (time.perf_counter() - started), 1))

    return await run_in_threadpool(look)


@router.post(
    "/v1/verify", summary="Do two pictures show the same person?", openapi_extra=body_of(VerifyRequest)
)
async def verify(
    request: Request, query: Annotated[GalleryQuery, Query()], service: ServiceOf, caller: Reader
) -> VerifyAnswer:
    asked = parse_json(request, VerifyRequest, await request.body())
    gallery = service.gallery(query.gallery) if asked.a.item or asked.b.item else None
    rows = [await _side(service, gallery, side, name) for name, side in (("a", asked.a), ("b", asked.b))]

    def compare() -> VerifyAnswer:
        judge = service.judge(asked.false_alarm_rate, asked.prior)
        first, second = judge.vectors(np.stack(rows))
        score = float(unit_cosines(first[None], second)[0])
        if gallery is not None:
            items = [one for one in (asked.a.item, asked.b.item) if one]
            gallery.log.write("verify", count=2, subjects=items, actor=caller.name)
        decision = judge.decision(score)
        return VerifyAnswer(
            score=score,
            probability=judge.probabilities(np.array([score]))[0],
            decision=None if decision is None else decision.value,
            calibrated=judge.calibration is not None,
            note=judge.note,
            activations=_activations(service, gallery, asked) if asked.activations else None,
        )

    return await run_in_threadpool(compare)


async def embeddings_of(service: Service, gallery: Gallery, asked: Shown) -> Float32:
    """(N, D): of the pictures, the embedding or the item that was given."""
    given = {"image": asked.image, "images": asked.images, "embedding": asked.embedding, "item": asked.item}
    only_one(given)
    if asked.region is not None and asked.image is None:
        raise Problem(422, "region: is a part of 'image'", [("region", "without an image")])
    if asked.item is not None:
        item = asked.item
        return (await run_in_threadpool(lambda: gallery.embedding(item)))[None]
    if asked.embedding is not None:
        check_model(service, asked.model_sha256, "model_sha256")
        return given_row(asked.embedding, service.model.dim, "embedding")[None]
    if asked.images is not None:
        check_count("images", len(asked.images), service.limits.max_items)
        return await service.embed(
            [Picture(image, field=f"images.{index}") for index, image in enumerate(asked.images)]
        )
    assert asked.image is not None
    return await service.embed([Picture(asked.image, region=_box(asked.region))])


def _search(
    service: Service,
    gallery: Gallery,
    embeddings: Float32,
    options: SearchOptions,
    where: Filter,
    is_tracklet: bool,
    excluded: str | None,
    actor: str,
) -> SearchResult:
    how: dict[str, Any] = {
        "where": where,
        "exact": options.exact,
        "group": options.group,
        "rerank": options.rerank,
        "false_alarm_rate": options.false_alarm_rate,
        "prior": options.prior,
        "actor": actor,
    }
    if is_tracklet:
        return gallery.search_tracklet(embeddings, model=service.model, k=options.k, **how)
    # The item that is searched with is its own best match.
    how["without"] = () if excluded is None else (excluded,)
    return gallery.search(embeddings[0], model=service.model, k=options.k, **how)


async def _side(service: Service, gallery: Gallery | None, side: VerifySide, name: str) -> Float32:
    """(D,) of one of two people."""
    only_one({f"{name}.image": side.image, f"{name}.item": side.item})
    if side.image is not None:
        picture = Picture(side.image, field=f"{name}.image", region=_box(side.region))
        row: Float32 = (await service.embed([picture]))[0]
        return row
    assert gallery is not None
    assert side.item is not None
    if side.region is not None:
        raise Problem(422, f"{name}.region: is a part of 'image'", [(f"{name}.region", "without an image")])
    item = side.item
    return await run_in_threadpool(lambda: gallery.embedding(item))


def _activations(service: Service, gallery: Gallery | None, asked: VerifyRequest) -> Activations:
    parts = [_part(service, gallery, side, name) for name, side in (("a", asked.a), ("b", asked.b))]
    crops = [service.decoder.fitted(part) for part in parts]
    maps = service.embedder.feature_maps(np.stack(crops))
    if maps is None:
        raise Problem(422, "activations: this model does not give its activations", [("activations", "none")])
    first, second = (_png(overlay(crop, activation_map(one))) for crop, one in zip(crops, maps, strict=True))
    return Activations(a=first, b=second)


def _part(service: Service, gallery: Gallery | None, side: VerifySide, name: str) -> Crop:
    content: bytes | str | None = side.image
    if content is None:
        assert gallery is not None
        assert side.item is not None
        content = gallery.thumbnail(side.item)
    if content is None:
        raise Problem(
            422, f"{name}.item: was enrolled without a thumbnail", [(f"{name}.item", "no thumbnail")]
        )
    return Picture(content, field=f"{name}.image", region=_box(side.region)).part(service.decoder)


def _png(picture: Crop) -> str:
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "PNG")
    return base64.b64encode(stream.getvalue()).decode()


def _box(region: Region | None) -> Box | None:
    return None if region is None else region.box()

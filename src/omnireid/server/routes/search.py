"""Who is this? And: are these two the same?"""

from __future__ import annotations

import base64
import io
import time
from dataclasses import asdict
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Query, Request
from PIL import Image
from starlette.concurrency import run_in_threadpool

from omnireid.core.arrays import Float32
from omnireid.core.images import Crop
from omnireid.gallery.gallery import Gallery
from omnireid.report.activation import activation_map, overlay
from omnireid.server import schemas
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
from omnireid.server.service import Service

router = APIRouter(tags=["search"])

_NOTHING = np.zeros((0, 0), np.float32)


@router.post(
    "/v1/search",
    summary="Who is this, where and when?",
    openapi_extra=body_of(schemas.SearchRequest, or_picture=True),
)
async def search(
    request: Request, query: Annotated[schemas.SearchQuery, Query()], service: ServiceOf, caller: Reader
) -> schemas.SearchAnswer:
    started = time.perf_counter()
    gallery = service.gallery(query.gallery, caller)
    body = await request.body()
    asked: schemas.SearchRequest | None = None
    options: schemas.SearchOptions
    if holds_picture(request, body):
        options, where = query, query.where()
        embeddings = await service.embed([Picture(body)])
    else:
        asked = parse_json(request, schemas.SearchRequest, body)
        check_alone(query)
        options, where = asked, asked.where()
        # What is searched with an item is looked up by the gallery.
        embeddings = _NOTHING if asked.item is not None else await embeddings_of(service, gallery, asked)
    check_count("k", options.k, service.limits.max_k)
    question = options.question(where)

    def look() -> schemas.SearchAnswer:
        if asked is not None and asked.item is not None:
            check_shown(asked)
            result = gallery.search_item(asked.item, question, model=service.model)
        elif asked is not None and asked.images is not None:
            result = gallery.search_tracklet(embeddings, question, model=service.model)
        else:
            result = gallery.search(embeddings[0], question, model=service.model)
        return search_answer(gallery, result, round(1000 * (time.perf_counter() - started), 1))

    return await run_in_threadpool(look)


@router.post(
    "/v1/verify",
    summary="Do two pictures show the same person?",
    openapi_extra=body_of(schemas.VerifyRequest),
)
async def verify(
    request: Request, query: Annotated[schemas.GalleryQuery, Query()], service: ServiceOf, caller: Reader
) -> schemas.VerifyAnswer:
    asked = parse_json(request, schemas.VerifyRequest, await request.body())
    gallery = service.gallery(query.gallery, caller) if asked.a.item or asked.b.item else None
    sides = [await _side(service, side, name) for name, side in (("a", asked.a), ("b", asked.b))]
    how: dict[str, Any] = {"false_alarm_rate": asked.false_alarm_rate, "prior": asked.prior}

    def compare() -> schemas.VerifyAnswer:
        if gallery is None:
            compared = service.judge(**how).compare(*map(np.asarray, sides))
        else:
            compared = gallery.compare(*sides, model=service.model, **how)
        activations = _activations(service, gallery, asked) if asked.activations else None
        return schemas.VerifyAnswer(**asdict(compared), activations=activations)

    return await run_in_threadpool(compare)


def check_shown(asked: schemas.Shown) -> None:
    """Refuse none or several of the ways to show somebody.

    Raises:
        Problem: names the fields.
    """
    only_one({name: getattr(asked, name) for name in ("image", "images", "embedding", "item")})
    if asked.region is not None and asked.image is None:
        raise Problem(422, "region: is a part of 'image'", [("region", "without an image")])


async def embeddings_of(service: Service, gallery: Gallery, asked: schemas.Shown) -> Float32:
    """(N, D): of the pictures, the embedding or the item that was given."""
    check_shown(asked)
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
    return await service.embed([Picture(asked.image, region=asked.region)])


async def _side(service: Service, side: schemas.VerifySide, name: str) -> Float32 | str:
    """One of two people: (D,) of a picture, or the id of an item."""
    only_one({f"{name}.image": side.image, f"{name}.item": side.item})
    if side.item is None:
        assert side.image is not None
        picture = Picture(side.image, field=f"{name}.image", region=side.region)
        row: Float32 = (await service.embed([picture]))[0]
        return row
    if side.region is not None:
        raise Problem(422, f"{name}.region: is a part of 'image'", [(f"{name}.region", "without an image")])
    return side.item


def _activations(
    service: Service, gallery: Gallery | None, asked: schemas.VerifyRequest
) -> schemas.Activations:
    parts = [_part(service, gallery, side, name) for name, side in (("a", asked.a), ("b", asked.b))]
    crops = [service.decoder.fitted(part) for part in parts]
    maps = service.embedder.feature_maps(np.stack(crops))
    if maps is None:
        raise Problem(422, "activations: this model does not give its activations", [("activations", "none")])
    first, second = (
        _png(overlay(crop, activation_map(values))) for crop, values in zip(crops, maps, strict=True)
    )
    return schemas.Activations(a=first, b=second)


def _part(service: Service, gallery: Gallery | None, side: schemas.VerifySide, name: str) -> Crop:
    content: bytes | str | None = side.image
    if content is None:
        assert gallery is not None
        assert side.item is not None
        content = gallery.thumbnail(side.item)
    if content is None:
        field = f"{name}.item"
        raise Problem(422, f"{field}: was enrolled without a thumbnail", [(field, "no thumbnail")])
    return Picture(content, field=f"{name}.image", region=side.region).part(service.decoder)


def _png(picture: Crop) -> str:
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "PNG")
    return base64.b64encode(stream.getvalue()).decode()

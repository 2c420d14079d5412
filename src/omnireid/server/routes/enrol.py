"""Adding crops to a gallery."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool

from omnireid.core.arrays import Float32
from omnireid.gallery.items import Item
from omnireid.server import schemas
from omnireid.server.pictures import Picture
from omnireid.server.problems import wrong
from omnireid.server.routes.access import (
    ServiceOf,
    Writer,
    body_of,
    check_alone,
    check_count,
    check_model,
    given_row,
    holds_picture,
    only_one,
    parse_json,
)
from omnireid.server.service import Service

router = APIRouter(tags=["enrol"])


@router.post(
    "/v1/enrol",
    summary="Add crops; those that are there already stay as they were",
    openapi_extra=body_of(schemas.EnrolRequest, or_picture=True),
)
async def enrol(
    request: Request, query: Annotated[schemas.EnrolQuery, Query()], service: ServiceOf, caller: Writer
) -> schemas.EnrolAnswer:
    gallery = service.gallery(query.gallery, caller)
    body = await request.body()
    if holds_picture(request, body):
        # Checked already: the time is a number by now.
        fields = {name: getattr(query, name) for name in schemas.Place.model_fields}
        entries, assign = [schemas.EnrolItem.model_construct(**fields)], query.assign
        pictures = [Picture(body, wants_thumbnail=True)]
    else:
        asked = parse_json(request, schemas.EnrolRequest, body)
        check_alone(query)
        check_count("items", len(asked.items), service.limits.max_items)
        entries, assign = asked.items, asked.assign
        pictures = _pictures(service, entries)
    if assign and service.calibration is None:
        raise wrong("assign", "needs a calibration of the model; make one with 'omnireid calibrate'")
    embedded = await service.embed(pictures)
    embeddings = _merged(service, entries, embedded)
    images = iter(pictures)
    items = [
        _item(entry, None if entry.embedding is not None else next(images).thumbnail) for entry in entries
    ]

    def write() -> schemas.EnrolAnswer:
        done = gallery.enrol(items, embeddings, model=service.model, assign=assign)
        rows = zip(items, done.ids, done.is_new.tolist(), strict=True)
        if not done.assigned:
            # What was there already keeps the identity that it had.
            return schemas.EnrolAnswer(
                items=[
                    schemas.EnrolledItem(
                        id=name,
                        is_new=is_new,
                        identity=item.identity if is_new else gallery.item(name).identity,
                        decision=None,
                    )
                    for item, name, is_new in rows
                ]
            )
        return schemas.EnrolAnswer(
            items=[
                schemas.EnrolledItem(id=name, is_new=is_new, **assigned._asdict())
                for (_, name, is_new), assigned in zip(rows, done.assigned, strict=True)
            ]
        )

    return await run_in_threadpool(write)


def _pictures(service: Service, entries: list[schemas.EnrolItem]) -> list[Picture]:
    """Of those entries that are pictures."""
    pictures = []
    for index, entry in enumerate(entries):
        name = f"items.{index}"
        only_one({f"{name}.image": entry.image, f"{name}.embedding": entry.embedding})
        if entry.image is not None:
            field, wants_thumbnail = f"{name}.image", entry.store_thumbnail
            pictures.append(
                Picture(entry.image, field=field, region=entry.region, wants_thumbnail=wants_thumbnail)
            )
        else:
            check_model(service, entry.model_sha256, f"{name}.model_sha256")
    return pictures


def _merged(service: Service, entries: list[schemas.EnrolItem], embedded: Float32) -> Float32:
    """(N, D): embeddings that were made here and those that were given, in the order of the request."""
    if len(embedded) == len(entries):
        return embedded
    rows = iter(embedded)
    return np.stack(
        [
            next(rows)
            if entry.embedding is None
            else given_row(entry.embedding, service.model.dim, f"items.{index}.embedding")
            for index, entry in enumerate(entries)
        ]
    )


def _item(entry: schemas.EnrolItem, thumbnail: bytes | None) -> Item:
    said = {name: getattr(entry, name) for name in schemas.GIVEN}
    box = entry.box or entry.region
    return Item(**{**said, "box": None if box is None else box.box(), "thumbnail": thumbnail})

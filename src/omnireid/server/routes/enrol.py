"""Adding crops to a gallery."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool

from omnireid.core.arrays import Float32
from omnireid.evaluation.calibration import Decision
from omnireid.gallery.gallery import Gallery
from omnireid.gallery.identities import new_identity
from omnireid.gallery.items import Filter, Item
from omnireid.server.pictures import Picture
from omnireid.server.problems import Problem
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
from omnireid.server.schemas import EnrolAnswer, EnrolItem, EnrolledItem, EnrolQuery, EnrolRequest, Place
from omnireid.server.service import Service

router = APIRouter(tags=["enrol"])


@router.post(
    "/v1/enrol",
    summary="Add crops; those that are there already stay as they were",
    openapi_extra=body_of(EnrolRequest, or_picture=True),
)
async def enrol(
    request: Request, query: Annotated[EnrolQuery, Query()], service: ServiceOf, caller: Writer
) -> EnrolAnswer:
    gallery = service.gallery(query.gallery)
    body = await request.body()
    if holds_picture(request, body):
        # Checked already: the time is a number by now.
        place = {name: getattr(query, name) for name in Place.model_fields}
        entries, assign = [EnrolItem.model_construct(**place)], query.assign
        pictures = [Picture(body, wants_thumbnail=True)]
    else:
        asked = parse_json(request, EnrolRequest, body)
        check_alone(query)
        check_count("items", len(asked.items), service.limits.max_items)
        entries, assign = asked.items, asked.assign
        pictures = _pictures(service, entries)
    if assign and service.calibration is None:
        message = "needs a calibration of the model; make one with 'omnireid calibrate'"
        raise Problem(422, f"assign: {message}", [("assign", message)])
    made = await service.embed(pictures)
    embeddings = _merged(service, entries, made)
    images = iter(pictures)
    items = [
        _item(entry, None if entry.embedding is not None else next(images).thumbnail) for entry in entries
    ]

    def write() -> EnrolAnswer:
        if assign:
            return EnrolAnswer(
                items=[
                    _assigned(service, gallery, item, row, caller.name)
                    for item, row in zip(items, embeddings, strict=True)
                ]
            )
        return EnrolAnswer(items=_enrolled(service, gallery, items, embeddings, caller.name))

    return await run_in_threadpool(write)


def _pictures(service: Service, entries: list[EnrolItem]) -> list[Picture]:
    """Of those entries that are pictures."""
    pictures = []
    for place, entry in enumerate(entries):
        name = f"items.{place}"
        only_one({f"{name}.image": entry.image, f"{name}.embedding": entry.embedding})
        if entry.image is not None:
            region = None if entry.region is None else entry.region.box()
            pictures.append(
                Picture(
                    entry.image, field=f"{name}.image", region=region, wants_thumbnail=entry.store_thumbnail
                )
            )
        else:
            check_model(service, entry.model_sha256, f"{name}.model_sha256")
    return pictures


def _merged(service: Service, entries: list[EnrolItem], made: Float32) -> Float32:
    """(N, D): embeddings that were made here and those that were given, in the order of the request."""
    if len(made) == len(entries):
        return made
    rows = iter(made)
    return np.stack(
        [
            next(rows)
            if entry.embedding is None
            else given_row(entry.embedding, service.model.dim, f"items.{place}.embedding")
            for place, entry in enumerate(entries)
        ]
    )


def _item(entry: EnrolItem, thumbnail: bytes | None) -> Item:
    box = entry.box or entry.region
    return Item(
        camera=entry.camera,
        time=entry.time,
        identity=entry.identity,
        tracklet=entry.tracklet,
        box=None if box is None else box.box(),
        source=entry.source,
        quality=entry.quality,
        attributes=entry.attributes,
        thumbnail=thumbnail,
        key=entry.key,
    )


def _enrolled(
    service: Service, gallery: Gallery, items: list[Item], embeddings: Float32, actor: str
) -> list[EnrolledItem]:
    done = gallery.enrol(items, embeddings, model=service.model, actor=actor)
    return [
        EnrolledItem(
            id=name,
            is_new=bool(is_new),
            # What was there already keeps the identity that it had.
            identity=item.identity if is_new else gallery.item(name).identity,
            decision=None,
        )
        for name, is_new, item in zip(done.ids, done.is_new, items, strict=True)
    ]


def _assigned(service: Service, gallery: Gallery, item: Item, row: Float32, actor: str) -> EnrolledItem:
    """Enrol one item as whom it shows: somebody known, somebody new, or nobody yet where that is unsure.

    The item is added first, and given its identity by an operation: so it stands in the history, and can be
    undone. A crash in between leaves an item that nobody has been assigned to.
    """
    if item.identity is not None:
        return _enrolled(service, gallery, [item], row[None], actor)[0]
    known = Filter(has_identity=True)
    found = gallery.search(row, model=service.model, k=1, where=known, actor=actor)
    best = found.candidates[0] if found.candidates else None
    added = _enrolled(service, gallery, [item], row[None], actor)[0]
    decision = None if found.decision is None else found.decision.value
    if not added.is_new or found.decision not in (Decision.SAME, Decision.NEW):
        return added.model_copy(update={"decision": decision})
    joins = best is not None and found.decision is Decision.SAME
    identity = best.identity if joins and best is not None else new_identity()
    operation = gallery.assign([added.id], identity, actor=actor)
    return added.model_copy(
        update={
            "decision": decision,
            "identity": identity,
            "name": gallery.people().name(identity),
            "probability": best.probability if joins and best is not None else None,
            "operation": operation.id,
        }
    )

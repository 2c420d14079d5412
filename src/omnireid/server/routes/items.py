"""Items one by one: list them, look at their pictures, forget them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from omnireid.gallery.errors import NotInGalleryError
from omnireid.gallery.texts import MAX_TEXT
from omnireid.server.routes.access import JsonBody, Reader, Route, ServiceOf, Writer
from omnireid.server.routes.wire import items_out
from omnireid.server.schemas import (
    AttributeOut,
    AttributesAnswer,
    AttributeValueOut,
    ForgottenAnswer,
    GalleryQuery,
    ItemOut,
    ItemsAnswer,
    ItemsQuery,
    ItemsRequest,
)

router = APIRouter(route_class=Route, tags=["items"])

ItemId = Annotated[str, Path(max_length=MAX_TEXT)]


@router.get("/v1/items", summary="Items, the latest first")
def list_items(query: Annotated[ItemsQuery, Query()], service: ServiceOf, _: Reader) -> ItemsAnswer:
    gallery = service.gallery(query.gallery)
    page = gallery.items(query.where(), query.limit, query.after)
    return ItemsAnswer(items=items_out(gallery, page.entries), next=page.next)


@router.get("/v1/items/{item_id}", summary="One item")
def read_item(
    item_id: ItemId, query: Annotated[GalleryQuery, Query()], service: ServiceOf, _: Reader
) -> ItemOut:
    gallery = service.gallery(query.gallery)
    return items_out(gallery, [gallery.item(item_id)])[0]


@router.get(
    "/v1/items/{item_id}/thumbnail",
    summary="The picture that was kept of an item",
    response_class=Response,
    responses={200: {"content": {"image/jpeg": {}, "image/png": {}}}},
)
def read_thumbnail(
    item_id: ItemId, query: Annotated[GalleryQuery, Query()], service: ServiceOf, _: Reader
) -> Response:
    content = service.gallery(query.gallery).thumbnail(item_id)
    if content is None:
        raise NotInGalleryError("thumbnail of item", item_id)
    return Response(content, media_type="image/png" if content.startswith(b"\x89PNG") else "image/jpeg")


@router.post(
    "/v1/items/forget", summary="Forget items for good, many in one go; those that are not there are left out"
)
def forget_items(
    body: JsonBody[ItemsRequest], query: Annotated[GalleryQuery, Query()], service: ServiceOf, caller: Writer
) -> ForgottenAnswer:
    gallery = service.gallery(query.gallery, caller)
    return ForgottenAnswer(forgotten=gallery.forget(items=body.items).items)


@router.get("/v1/attributes", summary="Names and values of attributes that items have, with counts")
def list_attributes(
    query: Annotated[GalleryQuery, Query()], service: ServiceOf, _: Reader
) -> AttributesAnswer:
    return AttributesAnswer(
        attributes=[
            AttributeOut.of(
                known, values=[AttributeValueOut(value=value, items=count) for value, count in known.values]
            )
            for known in service.gallery(query.gallery).known_attributes()
        ]
    )


@router.delete("/v1/items/{item_id}", summary="Forget an item for good")
def forget_item(
    item_id: ItemId, query: Annotated[GalleryQuery, Query()], service: ServiceOf, caller: Writer
) -> ForgottenAnswer:
    gallery = service.gallery(query.gallery, caller)
    gallery.item(item_id)
    return ForgottenAnswer(forgotten=gallery.forget(items=[item_id]).items)

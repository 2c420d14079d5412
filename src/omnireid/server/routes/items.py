"""Items one by one: list them, look at their pictures, forget them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from omnireid.gallery.errors import NotInGalleryError
from omnireid.gallery.texts import MAX_TEXT
from omnireid.server import schemas
from omnireid.server.routes.access import ChangedGallery, JsonBody, Reader, ReadGallery, Route, ServiceOf
from omnireid.server.routes.wire import IS_PICTURE, items_out, picture_answer

router = APIRouter(route_class=Route, tags=["items"])

ItemId = Annotated[str, Path(max_length=MAX_TEXT)]


@router.get("/v1/items", summary="Items, the latest first")
def list_items(
    query: Annotated[schemas.ItemsQuery, Query()], service: ServiceOf, _: Reader
) -> schemas.ItemsAnswer:
    gallery = service.gallery(query.gallery)
    page = gallery.items(query.where(), query.limit, query.after)
    return schemas.ItemsAnswer(items=items_out(gallery, page.entries), next=page.next)


@router.get("/v1/items/{item_id}", summary="One item")
def read_item(item_id: ItemId, gallery: ReadGallery) -> schemas.ItemOut:
    return items_out(gallery, [gallery.item(item_id)])[0]


@router.get("/v1/items/{item_id}/thumbnail", summary="The picture that was kept of an item", **IS_PICTURE)
def read_thumbnail(item_id: ItemId, gallery: ReadGallery) -> Response:
    content = gallery.thumbnail(item_id)
    if content is None:
        raise NotInGalleryError("thumbnail of item", item_id)
    return picture_answer(content)


@router.post(
    "/v1/items/forget", summary="Forget items for good, many in one go; those that are not there are left out"
)
def forget_items(body: JsonBody[schemas.ItemsRequest], gallery: ChangedGallery) -> schemas.ForgottenAnswer:
    return schemas.ForgottenAnswer(forgotten=gallery.forget(items=body.items).items)


@router.get("/v1/attributes", summary="Names and values of attributes that items have, with counts")
def list_attributes(gallery: ReadGallery) -> schemas.AttributesAnswer:
    return schemas.AttributesAnswer(
        attributes=[
            schemas.AttributeOut.of(
                known,
                values=[schemas.AttributeValueOut(value=value, items=count) for value, count in known.values],
            )
            for known in gallery.known_attributes()
        ]
    )


@router.delete("/v1/items/{item_id}", summary="Forget an item for good")
def forget_item(item_id: ItemId, gallery: ChangedGallery) -> schemas.ForgottenAnswer:
    gallery.item(item_id)
    return schemas.ForgottenAnswer(forgotten=gallery.forget(items=[item_id]).items)

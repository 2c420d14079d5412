"""Who is who: names, merges, splits, undo, timelines, and forgetting somebody."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query

from omnireid.gallery.texts import MAX_TEXT
from omnireid.server import schemas
from omnireid.server.problems import Problem
from omnireid.server.routes.access import (
    ChangedGallery,
    JsonBody,
    Reader,
    ReadGallery,
    Route,
    ServiceOf,
    Writer,
)
from omnireid.server.routes.wire import timeline_answer

router = APIRouter(route_class=Route, tags=["identities"])

IdentityId = Annotated[str, Path(max_length=MAX_TEXT)]
OperationId = Annotated[str, Path(max_length=MAX_TEXT)]
WhoIsMeant = Annotated[schemas.IdentityQuery, Query()]
NewNameOf = JsonBody[schemas.NameRequest]


@router.get("/v1/identities", summary="Identities, those with a name first")
def list_identities(
    query: Annotated[schemas.IdentitiesQuery, Query()], service: ServiceOf, _: Reader
) -> schemas.IdentitiesAnswer:
    page = service.gallery(query.gallery).identities(query.text, query.limit, query.after)
    return schemas.IdentitiesAnswer(
        identities=[schemas.IdentityOut.of(person) for person in page], next=page.next
    )


@router.post("/v1/identities/merge", summary="Say that identities are one person")
def merge(body: JsonBody[schemas.MergeRequest], gallery: ChangedGallery) -> schemas.OperationOut:
    return schemas.OperationOut.of(gallery.merge(body.into, body.identities))


@router.post("/v1/identities/split", summary="Make a new identity of some items")
def split(body: JsonBody[schemas.SplitRequest], gallery: ChangedGallery) -> schemas.OperationOut:
    return schemas.OperationOut.of(gallery.split(body.items, body.name))


@router.post("/v1/identities/assign", summary="Give items an identity, or take theirs away")
def assign(body: JsonBody[schemas.AssignRequest], gallery: ChangedGallery) -> schemas.OperationOut:
    if body.name is not None and body.identity is None:
        raise Problem(422, "name: is of an identity", [("name", "without an identity")])
    done = gallery.assign(body.items, body.identity)
    if body.identity is not None and body.name is not None:
        gallery.name_identity(body.identity, body.name)
    return schemas.OperationOut.of(done)


@router.get("/v1/identity", summary="One identity, by any of its ids")
def read_identity(query: WhoIsMeant, service: ServiceOf, _: Reader) -> schemas.IdentityOut:
    return schemas.IdentityOut.of(service.gallery(query.gallery).identity(query.id))


@router.put("/v1/identity", summary="Name an identity, or take its name away")
def name(query: WhoIsMeant, body: NewNameOf, service: ServiceOf, caller: Writer) -> schemas.OperationOut:
    gallery = service.gallery(query.gallery, caller)
    return schemas.OperationOut.of(gallery.name_identity(query.id, body.name))


@router.delete("/v1/identity", summary="Forget somebody for good")
def forget(query: WhoIsMeant, service: ServiceOf, caller: Writer) -> schemas.ForgottenAnswer:
    gallery = service.gallery(query.gallery, caller)
    return schemas.ForgottenAnswer(forgotten=gallery.forget(query.id).items)


@router.get("/v1/identity/timeline", summary="Where and when somebody was seen")
def timeline(query: WhoIsMeant, service: ServiceOf, _: Reader) -> schemas.TimelineAnswer:
    gallery = service.gallery(query.gallery)
    return timeline_answer(gallery, gallery.timeline(query.id))


# The same with the id in the path, for ids that are plain words. Browsers and proxies fold "." and ".." away,
# and what ends in "/timeline" is a timeline here, so that no path reaches every id.


@router.get("/v1/identities/{identity:path}/timeline", summary="As `/v1/identity/timeline`, of a plain id")
def timeline_in_path(identity: IdentityId, gallery: ReadGallery) -> schemas.TimelineAnswer:
    return timeline_answer(gallery, gallery.timeline(identity))


@router.get("/v1/identities/{identity:path}", summary="As `/v1/identity`, of a plain id")
def read_identity_in_path(identity: IdentityId, gallery: ReadGallery) -> schemas.IdentityOut:
    return schemas.IdentityOut.of(gallery.identity(identity))


@router.put("/v1/identities/{identity:path}", summary="As `/v1/identity`, of a plain id")
def name_in_path(identity: IdentityId, body: NewNameOf, gallery: ChangedGallery) -> schemas.OperationOut:
    return schemas.OperationOut.of(gallery.name_identity(identity, body.name))


@router.delete("/v1/identities/{identity:path}", summary="As `/v1/identity`, of a plain id")
def forget_in_path(identity: IdentityId, gallery: ChangedGallery) -> schemas.ForgottenAnswer:
    return schemas.ForgottenAnswer(forgotten=gallery.forget(identity).items)


@router.get("/v1/operations", summary="What operators did, the latest first; to one `identity`")
def operations(
    query: Annotated[schemas.OperationsQuery, Query()], service: ServiceOf, _: Reader
) -> schemas.OperationsAnswer:
    done = service.gallery(query.gallery).operations(query.limit, query.identity)
    return schemas.OperationsAnswer(operations=[schemas.OperationOut.of(operation) for operation in done])


@router.post("/v1/operations/{operation}/undo", summary="Take an operation back")
def undo(operation: OperationId, gallery: ChangedGallery) -> schemas.OperationOut:
    return schemas.OperationOut.of(gallery.undo(operation))

"""Who is who: names, merges, splits, undo, timelines, and forgetting somebody."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query

from omnireid.gallery.texts import MAX_TEXT
from omnireid.server.problems import Problem
from omnireid.server.routes.access import JsonBody, Reader, Route, ServiceOf, Writer
from omnireid.server.routes.wire import timeline_answer
from omnireid.server.schemas import (
    AssignRequest,
    ForgottenAnswer,
    GalleryQuery,
    IdentitiesAnswer,
    IdentitiesQuery,
    IdentityOut,
    IdentityQuery,
    MergeRequest,
    NameRequest,
    OperationOut,
    OperationsAnswer,
    OperationsQuery,
    SplitRequest,
    TimelineAnswer,
)

router = APIRouter(route_class=Route, tags=["identities"])

IdentityId = Annotated[str, Path(max_length=MAX_TEXT)]
OperationId = Annotated[str, Path(max_length=MAX_TEXT)]
InGallery = Annotated[GalleryQuery, Query()]
WhoIsMeant = Annotated[IdentityQuery, Query()]
NewNameOf = JsonBody[NameRequest]


@router.get("/v1/identities", summary="Identities, those with a name first")
def list_identities(
    query: Annotated[IdentitiesQuery, Query()], service: ServiceOf, _: Reader
) -> IdentitiesAnswer:
    page = service.gallery(query.gallery).identities(query.text, query.limit, query.after)
    return IdentitiesAnswer(identities=[IdentityOut.of(person) for person in page], next=page.next)


@router.post("/v1/identities/merge", summary="Say that identities are one person")
def merge(body: JsonBody[MergeRequest], query: InGallery, service: ServiceOf, caller: Writer) -> OperationOut:
    gallery = service.gallery(query.gallery, caller)
    return OperationOut.of(gallery.merge(body.into, body.identities))


@router.post("/v1/identities/split", summary="Make a new identity of some items")
def split(body: JsonBody[SplitRequest], query: InGallery, service: ServiceOf, caller: Writer) -> OperationOut:
    gallery = service.gallery(query.gallery, caller)
    return OperationOut.of(gallery.split(body.items, body.name))


@router.post("/v1/identities/assign", summary="Give items an identity, or take theirs away")
def assign(
    body: JsonBody[AssignRequest], query: InGallery, service: ServiceOf, caller: Writer
) -> OperationOut:
    gallery = service.gallery(query.gallery, caller)
    if body.name is not None and body.identity is None:
        raise Problem(422, "name: is of an identity", [("name", "without an identity")])
    done = gallery.assign(body.items, body.identity)
    if body.identity is not None and body.name is not None:
        gallery.name_identity(body.identity, body.name)
    return OperationOut.of(done)


@router.get("/v1/identity", summary="One identity, by any of its ids")
def read_identity(query: WhoIsMeant, service: ServiceOf, _: Reader) -> IdentityOut:
    return IdentityOut.of(service.gallery(query.gallery).identity(query.id))


@router.put("/v1/identity", summary="Name an identity, or take its name away")
def name(query: WhoIsMeant, body: NewNameOf, service: ServiceOf, caller: Writer) -> OperationOut:
    gallery = service.gallery(query.gallery, caller)
    return OperationOut.of(gallery.name_identity(query.id, body.name))


@router.delete("/v1/identity", summary="Forget somebody for good")
def forget(query: WhoIsMeant, service: ServiceOf, caller: Writer) -> ForgottenAnswer:
    gallery = service.gallery(query.gallery, caller)
    return ForgottenAnswer(forgotten=gallery.forget(query.id).items)


@router.get("/v1/identity/timeline", summary="Where and when somebody was seen")
def timeline(query: WhoIsMeant, service: ServiceOf, _: Reader) -> TimelineAnswer:
    gallery = service.gallery(query.gallery)
    return timeline_answer(gallery, gallery.timeline(query.id))


# The same with the id in the path, for ids that are plain words. Browsers and proxies fold "." and ".." away,
# and what ends in "/timeline" is a timeline here, so that no path reaches every id.


@router.get("/v1/identities/{identity:path}/timeline", summary="As `/v1/identity/timeline`, of a plain id")
def timeline_in_path(
    identity: IdentityId, query: InGallery, service: ServiceOf, caller: Reader
) -> TimelineAnswer:
    return timeline(_who(identity, query), service, caller)


@router.get("/v1/identities/{identity:path}", summary="As `/v1/identity`, of a plain id")
def read_identity_in_path(
    identity: IdentityId, query: InGallery, service: ServiceOf, caller: Reader
) -> IdentityOut:
    return read_identity(_who(identity, query), service, caller)


@router.put("/v1/identities/{identity:path}", summary="As `/v1/identity`, of a plain id")
def name_in_path(
    identity: IdentityId, query: InGallery, body: NewNameOf, service: ServiceOf, caller: Writer
) -> OperationOut:
    return name(_who(identity, query), body, service, caller)


@router.delete("/v1/identities/{identity:path}", summary="As `/v1/identity`, of a plain id")
def forget_in_path(
    identity: IdentityId, query: InGallery, service: ServiceOf, caller: Writer
) -> ForgottenAnswer:
    return forget(_who(identity, query), service, caller)


@router.get("/v1/operations", summary="What operators did, the latest first; to one `identity`")
def operations(query: Annotated[OperationsQuery, Query()], service: ServiceOf, _: Reader) -> OperationsAnswer:
    done = service.gallery(query.gallery).operations(query.limit, query.identity)
    return OperationsAnswer(operations=[OperationOut.of(operation) for operation in done])


@router.post("/v1/operations/{operation}/undo", summary="Take an operation back")
def undo(operation: OperationId, query: InGallery, service: ServiceOf, caller: Writer) -> OperationOut:
    return OperationOut.of(service.gallery(query.gallery, caller).undo(operation))


def _who(identity: str, query: GalleryQuery) -> IdentityQuery:
    return IdentityQuery.model_construct(id=identity, gallery=query.gallery)

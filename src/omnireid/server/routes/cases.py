"""Cases: searches, people and pictures collected for a reason, and exported as one file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from starlette.concurrency import run_in_threadpool

from omnireid.gallery.case_entries import Case, Entry
from omnireid.gallery.case_export import check_file
from omnireid.gallery.texts import MAX_TEXT
from omnireid.gallery.thumbnails import make_thumbnail
from omnireid.server import case_schemas as schemas
from omnireid.server.pictures import Picture
from omnireid.server.problems import Problem
from omnireid.server.routes.access import (
    ChangedGallery,
    InGallery,
    JsonBody,
    Reader,
    ReadGallery,
    Route,
    ServiceOf,
    Writer,
    body_of,
    check_count,
    holds_json,
    only_one,
    parse,
)
from omnireid.server.routes.wire import IS_PICTURE, picture_answer
from omnireid.server.service import Service

router = APIRouter(route_class=Route, tags=["cases"])

CaseId = Annotated[str, Path(max_length=MAX_TEXT)]


@router.get("/v1/cases", summary="Cases, the latest first")
def list_cases(gallery: ReadGallery) -> schemas.CasesAnswer:
    return schemas.CasesAnswer(cases=gallery.cases.all())


@router.post(
    "/v1/cases",
    summary="Open a case",
    description="For one reason and until an end date: then it is deleted with all that it holds.",
)
def create_case(body: JsonBody[schemas.CaseRequest], gallery: ChangedGallery) -> Case:
    return gallery.cases.create(body.title, body.reason, body.ends)


def _file_body() -> dict[str, Any]:
    known = body_of(schemas.CheckRequest)
    known["requestBody"]["content"]["text/html"] = {"schema": {"type": "string", "maxLength": 16_000_000}}
    return known


@router.post(
    "/v1/cases/check",
    summary="Check a file that was exported, here or by another server",
    description="Computes the hash of the case in the file anew, and looks it up in the audit logs of this "
    "server's galleries. The body is the file itself (`text/html`), or JSON with its text.",
    openapi_extra=_file_body(),
)
async def check_case(request: Request, service: ServiceOf, _: Reader) -> schemas.CheckAnswer:
    body = await request.body()
    try:
        content = parse(schemas.CheckRequest, body).file if holds_json(request) else body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        reason = "file: not text in UTF-8; send the HTML file itself"
        raise Problem(422, reason, [("file", "not UTF-8")]) from error

    def check() -> schemas.CheckAnswer:
        checked = check_file(content, list(service.galleries.values()), list(service.galleries))
        here = checked.exported_here
        return schemas.CheckAnswer.of(
            checked,
            exported_here=None if here is None else schemas.ExportedOut.of(here),
            payload={name: value for name, value in checked.payload.items() if name != "pictures"},
        )

    return await run_in_threadpool(check)


@router.get("/v1/cases/{case}", summary="A case and what stands in it")
def read_case(case: CaseId, gallery: ReadGallery) -> schemas.CaseAnswer:
    return schemas.CaseAnswer(case=gallery.cases.case(case), entries=gallery.cases.entries(case))


@router.put("/v1/cases/{case}", summary="Change a case's title, reason or end date")
def change_case(case: CaseId, body: JsonBody[schemas.CaseChange], gallery: ChangedGallery) -> Case:
    return gallery.cases.change(case, title=body.title, reason=body.reason, ends=body.ends)


@router.delete("/v1/cases/{case}", summary="Delete a case for good, with all that it holds")
def delete_case(case: CaseId, gallery: ChangedGallery) -> schemas.DeletedAnswer:
    gallery.cases.delete(case)
    return schemas.DeletedAnswer()


@router.post("/v1/cases/{case}/close", summary="Let nothing be added any more")
def close_case(case: CaseId, gallery: ChangedGallery) -> Case:
    return gallery.cases.close(case)


@router.post("/v1/cases/{case}/reopen", summary="Open a closed case again")
def reopen_case(case: CaseId, gallery: ChangedGallery) -> Case:
    return gallery.cases.reopen(case)


@router.post(
    "/v1/cases/{case}/entries",
    summary="Add a search, a person, chosen pictures or a note",
    description="What is added is a snapshot. A search must stand in the audit log, by the same caller "
    "within a day; its numbers are kept as they are sent, cameras, times and names are the gallery's own.",
)
def add_entry(
    case: CaseId, body: JsonBody[schemas.CaseEntryRequest], gallery: ChangedGallery, service: ServiceOf
) -> Entry:
    cases = gallery.cases
    if body.search is None and body.identity is None and body.items is None:
        return cases.add_note(case, body.note)
    only_one({"search": body.search, "identity": body.identity, "items": body.items})
    if body.identity is not None:
        return cases.add_person(case, body.identity, body.note)
    if body.items is not None:
        return cases.add_items(case, body.items, body.note)
    assert body.search is not None
    cases.case(case)
    return cases.add_search(
        case,
        body.search.seen(),
        [group.hypothesis() for group in body.search.answer.groups],
        order=body.search.order(),
        pictures=_asked_pictures(service, body.search.asked),
        note=body.note,
    )


def _asked_pictures(service: Service, asked: schemas.CaseAsked) -> Sequence[bytes]:
    """Thumbnails of what was searched with; an item's are the gallery's."""
    only_one({f"search.asked.{name}": getattr(asked, name) for name in ("item", "image", "images")})
    if asked.images is not None:
        check_count("search.asked.images", len(asked.images), service.limits.max_items)
    field = "search.asked.image"
    pictures = [
        Picture(picture, field=f"{field}s.{index}") for index, picture in enumerate((asked.images or [])[:12])
    ]
    if asked.image is not None:
        pictures = [Picture(asked.image, field=field, region=asked.region)]
    return [make_thumbnail(picture.part(service.decoder)) for picture in pictures]


@router.delete("/v1/cases/{case}/entries/{entry}", summary="Delete an entry of a case for good")
def remove_entry(case: CaseId, entry: CaseId, gallery: ChangedGallery) -> schemas.DeletedAnswer:
    gallery.cases.remove(case, entry)
    return schemas.DeletedAnswer()


@router.get("/v1/cases/{case}/pictures/{picture}", summary="A picture that a case keeps", **IS_PICTURE)
def read_case_picture(case: CaseId, picture: CaseId, gallery: ReadGallery) -> Response:
    return picture_answer(gallery.cases.picture(case, picture))


@router.post(
    "/v1/cases/{case}/export",
    summary="One HTML file of a case; its hash goes into the audit log",
    description="A browser alone shows and checks it; so does `POST /v1/cases/check` of any server.",
    response_class=Response,
    responses={200: {"content": {"text/html": {}}}},
)
def export_case(case: CaseId, query: InGallery, service: ServiceOf, caller: Writer) -> Response:
    name = query.gallery or next(iter(service.galleries), "")
    exported = service.gallery(query.gallery, caller).cases.export(case, name=name)
    # A file to be saved: within this page's origin its script would be refused.
    headers = {"Content-Disposition": f'attachment; filename="{exported.name}"'}
    return Response(exported.content, headers=headers, media_type="text/html; charset=utf-8")

"""What every route needs: the service, who is calling, and the body in its model."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, cast, get_type_hints

import numpy as np
from fastapi import Depends, Query, Request
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError

from omnireid.core.arrays import Float32
from omnireid.gallery.gallery import Gallery
from omnireid.server import schemas
from omnireid.server.options import Scope
from omnireid.server.pictures import Picture, is_picture
from omnireid.server.problems import Problem, ProblemBody, of_errors, shortened, wrong
from omnireid.server.service import Service
from omnireid.server.tokens import Token

IMAGE_TYPES = ("image/jpeg", "image/png", "image/webp", "image/bmp")
_ALIASES = ("image/jpg", "image/pjpeg", "image/x-png", "image/x-bmp", "image/x-ms-bmp")
_UNSAID = ("", "application/octet-stream", "binary/octet-stream", "image/*")
"""Types that say nothing of the body: the bytes do."""

Model = TypeVar("Model", bound=BaseModel)

PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": ProblemBody, "description": text}
    for status, text in (
        (400, "The body is not JSON."),
        (401, "No token, or one that is not known."),
        (403, "The token's scope does not reach, or a web page of another origin."),
        (404, "Not there."),
        (409, "Another model, or changed meanwhile."),
        (413, "The body is too large."),
        (415, "Neither JSON nor a picture."),
        (422, "Something in the request cannot be used; `errors` names the fields."),
        (429, "Too much to do; `Retry-After` says when to come back."),
        (503, "The gallery cannot be read or written now, or the request took too long."),
        (507, "The disk is full."),
    )
}


BODIES: list[type[BaseModel]] = []
"""Models of all bodies, for OpenAPI."""


# Dependencies are coroutines, also where they wait for nothing: FastAPI hands functions to a thread.


async def service_of(request: Request) -> Service:
    """The service of the application."""
    return cast(Service, request.app.state.service)


ServiceOf = Annotated[Service, Depends(service_of)]


def _needs(scope: Scope) -> Callable[[Request], Awaitable[Token]]:
    async def check(request: Request) -> Token:
        token: Token = request.scope["state"]["token"]
        if scope not in token.scopes:
            raise Problem(
                403,
                f"this token may {token.scope}, which is not enough: {scope} is needed",
                [("Authorization", scope)],
            )
        return token

    return check


may_read = _needs("read")

Reader = Annotated[Token, Depends(may_read)]
Writer = Annotated[Token, Depends(_needs("write"))]
Admin = Annotated[Token, Depends(_needs("admin"))]

InGallery = Annotated[schemas.GalleryQuery, Query()]


async def _read(query: InGallery, service: ServiceOf, caller: Reader) -> Gallery:
    return service.gallery(query.gallery, caller)


async def _changed(query: InGallery, service: ServiceOf, caller: Writer) -> Gallery:
    return service.gallery(query.gallery, caller)


async def _read_by_name(name: str, service: ServiceOf, caller: Reader) -> Gallery:
    return service.gallery(name, caller)


async def _changed_by_name(name: str, service: ServiceOf, caller: Writer) -> Gallery:
    return service.gallery(name, caller)


# The gallery that a request names in its query, or in its path, in the hands of a caller who may do so.
ReadGallery = Annotated[Gallery, Depends(_read)]
ChangedGallery = Annotated[Gallery, Depends(_changed)]
ReadByName = Annotated[Gallery, Depends(_read_by_name)]
ChangedByName = Annotated[Gallery, Depends(_changed_by_name)]


def content_type(request: Request) -> str:
    """Of the body, without its parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def holds_picture(request: Request, body: bytes) -> bool:
    """Whether the body is a picture: its type says so, or says nothing and the bytes begin as one."""
    kind = content_type(request)
    return kind in IMAGE_TYPES or kind in _ALIASES or (kind in _UNSAID and is_picture(body))


def holds_json(request: Request) -> bool:
    """Whether the body's type says that it is JSON."""
    kind = content_type(request)
    return kind in ("application/json", "text/json") or kind.endswith("+json")


if TYPE_CHECKING:
    JsonBody = Annotated[Model, None]
else:

    class JsonBody:
        """`JsonBody[Request]`: the body, read as JSON of that model. `Route` says so in OpenAPI.

        Pydantic's own parser bounds depth and numbers, which `json` does not.
        """

        def __class_getitem__(cls, model: type[BaseModel]) -> Any:
            async def read(request: Request) -> BaseModel:
                if not holds_json(request):
                    raise _other_type(request, "expected application/json")
                return parse(model, await request.body())

            return Annotated[model, Depends(read), _BodyOf(model)]


@dataclass(frozen=True)
class _BodyOf:
    model: type[BaseModel]


class Route(APIRoute):
    """A route whose `JsonBody` stands in OpenAPI."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        for hint in get_type_hints(endpoint, include_extras=True).values():
            for mark in getattr(hint, "__metadata__", ()):
                if isinstance(mark, _BodyOf):
                    options["openapi_extra"] = body_of(mark.model)
        super().__init__(path, endpoint, **options)


def parse(model: type[Model], body: bytes) -> Model:
    """A body of JSON as a model.

    Raises:
        Problem: 400 no JSON, 422 another shape; names the fields.
    """
    try:
        # Some editors and shells write the mark of UTF-8 in front.
        return model.model_validate_json(body.removeprefix(b"\xef\xbb\xbf"), strict=True)
    except ValidationError as error:
        errors = error.errors(include_url=False, include_context=False, include_input=False)
        raise of_errors(errors) from error


def body_of(model: type[BaseModel], *, or_picture: bool = False) -> dict[str, Any]:
    """What OpenAPI says of a route that reads its body by itself."""
    if model not in BODIES:
        BODIES.append(model)
    content: dict[str, Any] = {
        "application/json": {"schema": {"$ref": f"#/components/schemas/{model.__name__}"}}
    }
    if or_picture:
        picture = {"schema": {"type": "string", "format": "binary"}}
        content |= dict.fromkeys(IMAGE_TYPES, picture)
    return {"requestBody": {"required": True, "content": content}}


def parse_json(request: Request, model: type[Model], body: bytes) -> Model:
    """The JSON body of a route that takes pictures too.

    Raises:
        Problem: as `parse`; 415, neither JSON nor a picture.
    """
    if not holds_json(request):
        raise _other_type(request, f"expected application/json or one of {', '.join(IMAGE_TYPES)}")
    return parse(model, body)


async def picture_in(
    request: Request, model: type[schemas.DetectRequest] | type[schemas.FloorPlanRequest]
) -> Picture:
    """The picture that is a request's body, or the `image` of its JSON.

    Raises:
        Problem: as `parse_json`.
    """
    body = await request.body()
    if holds_picture(request, body):
        return Picture(body)
    return Picture(parse_json(request, model, body).image)


def _other_type(request: Request, expected: str) -> Problem:
    return wrong("Content-Type", f"{expected}, got {shortened(content_type(request)) or 'none'}", 415)


def check_count(field: str, count: int, most: int) -> None:
    """Refuse more than a request may hold.

    Raises:
        Problem: names the field.
    """
    if count > most:
        raise wrong(field, f"expected at most {most:,}, got {count:,}")


def check_alone(query: BaseModel) -> None:
    """Refuse options in the query beside a JSON body: they are fields of the body.

    Raises:
        Problem: names them.
    """
    fields = sorted(query.model_fields_set - {"gallery"})
    if fields:
        message = "goes into the JSON body; in the query it belongs to a picture as the body"
        raise Problem(422, f"{fields[0]}: {message}", [(field, message) for field in fields])


def check_model(service: Service, sha256: str | None, field: str) -> None:
    """Refuse embeddings of another model than the service's.

    Raises:
        Problem: 422 without a hash, 409 with another one.
    """
    if sha256 is None:
        raise wrong(field, "say which model made the embedding: the sha256 of its file")
    if sha256 != service.model.sha256:
        message = f"this service works with {service.model}; the same numbers mean something else there"
        raise wrong(field, message, 409)


def given_row(embedding: list[float], dim: int, field: str) -> Float32:
    """(D,) float32 of an embedding in a request.

    Raises:
        Problem: another size, out of range or all zero; names the field.
    """
    with np.errstate(over="ignore"):
        row = np.array(embedding, np.float64).astype(np.float32)
    message = ""
    if len(row) != dim:
        message = f"expected {dim} numbers, got {len(row)}"
    elif not np.isfinite(row).all():
        message = "expected numbers that fit into 32 bits"
    elif not row.any():
        message = "all zero, which has no direction"
    if message:
        raise wrong(field, message)
    return row


def only_one(given: Mapping[str, object]) -> None:
    """Refuse none or several of these fields.

    Raises:
        Problem: names them.
    """
    if sum(value is not None for value in given.values()) != 1:
        names = " or ".join(given)
        raise Problem(422, f"expected one of {names}", [(field, "expected one of these") for field in given])

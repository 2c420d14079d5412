"""What went wrong, as `application/problem+json` (RFC 9457)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel, ValidationError
from starlette.responses import Response

from omnireid.core.errors import (
    DiskFullError,
    ImageError,
    InputError,
    MissingExtraError,
    OmniReIDError,
    StorageError,
)
from omnireid.gallery.errors import ConflictError, ModelMismatchError, NotInGalleryError, NotWritableError

MEDIA_TYPE = "application/problem+json"

_FIELD = re.compile(r"([a-z_][a-zA-Z0-9_.\[\]']*): ")
_LONGEST = 500
STORE_AWAY_S = 5
"""When to ask again while a gallery cannot be read or written."""


class FieldError(BaseModel):
    """One thing that is wrong with a request: where, and what."""

    field: str
    message: str


class ProblemBody(BaseModel):
    """The body of every answer that is not a success."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    errors: list[FieldError] = []


class Problem(Exception):  # noqa: N818 (the word of RFC 9457)
    """An answer that is not a success.

    Args:
        status: status of HTTP.
        detail: what is wrong and the next step.
        fields: names of the request's fields with what is wrong about each.
        headers: more headers of the answer.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        fields: Iterable[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.fields = tuple(fields)
        self.headers = dict(headers or {})

    def response(self) -> Response:
        """As an answer."""
        body = ProblemBody(
            title=HTTPStatus(self.status).phrase,
            status=self.status,
            detail=self.detail,
            errors=[FieldError(field=field, message=message) for field, message in self.fields],
        )
        # Half of a surrogate pair may come back from what a client sent: escaped it can be sent.
        content = json.dumps(body.model_dump()).encode()
        return Response(content, self.status, self.headers, MEDIA_TYPE)


def busy(detail: str, retry_after_s: float) -> Problem:
    """Come back later (429)."""
    return Problem(429, detail, headers={"Retry-After": str(max(1, round(retry_after_s)))})


def of_validation(error: ValidationError, prefix: tuple[str, ...] = ()) -> Problem:
    """A body or a query that does not fit its schema (422), or is no JSON at all (400)."""
    return of_errors(error.errors(include_url=False, include_context=False, include_input=False), prefix)


def of_errors(errors: Iterable[Mapping[str, Any]], prefix: tuple[str, ...] = ()) -> Problem:
    """As `of_validation`, from pydantic's list of errors."""
    problems = [
        # Pydantic's word for what our own checks say.
        (_dotted((*prefix, *error["loc"])), str(error["msg"]).removeprefix("Value error, "), error["type"])
        for error in errors
    ]
    if any(kind == "json_invalid" for _, _, kind in problems):
        reason = problems[0][1]
        if "control character" in reason:
            reason += r"; a line break within a text is written \n, and base64 needs none ('base64 -w0')"
        return Problem(400, f"the body is not JSON: {reason}", [("body", reason)])
    fields = [(field, message) for field, message, _ in problems[:20]]
    first, message = fields[0]
    more = f", and {len(problems) - 1} more" if len(problems) > 1 else ""
    return Problem(422, f"{first}: {message}{more}", fields)


def of_error(error: OmniReIDError, field: str = "") -> Problem:
    """What an error of ours means to a client."""
    text = shortened(str(error))
    if isinstance(error, DiskFullError):
        return Problem(507, text)
    if isinstance(error, NotWritableError):
        return Problem(503, text)
    if isinstance(error, StorageError):
        return Problem(503, text, headers={"Retry-After": str(STORE_AWAY_S)})
    if isinstance(error, MissingExtraError):
        return Problem(501, text)
    if isinstance(error, ImageError):
        return Problem(
            422, f"{field or 'image'}: {shortened(error.reason)}", [(field or "image", error.reason)]
        )
    if isinstance(error, NotInGalleryError):
        return Problem(404, text, _field_of(text))
    if isinstance(error, (ModelMismatchError, ConflictError)):
        return Problem(409, text, _field_of(text))
    if isinstance(error, InputError):
        return Problem(422, text, _field_of(text))
    return Problem(500, text)


def _field_of(text: str) -> list[tuple[str, str]]:
    """Our messages begin with what they are about."""
    if text.startswith("false-alarm rate"):
        return [("false_alarm_rate", text)]
    match = _FIELD.match(text)
    if match is None:
        return []
    return [(match[1].replace("[", ".").replace("]", ""), text[match.end() :])]


def _dotted(location: tuple[str | int, ...]) -> str:
    names = [str(part) for part in location]
    return ".".join(names) or "body"


def shortened(text: str) -> str:
    """At most 500 characters: what a client sent may come back in an answer."""
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"

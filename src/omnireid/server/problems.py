"""What went wrong, as `application/problem+json` (RFC 9457)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel
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

# The first that an error is one of.
_STATUSES = {
    DiskFullError: 507,
    NotWritableError: 503,
    StorageError: 503,
    MissingExtraError: 501,
    NotInGalleryError: 404,
    ModelMismatchError: 409,
    ConflictError: 409,
    InputError: 422,
}


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


def wrong(field: str, message: str, status: int = 422) -> Problem:
    """A field of the request cannot be used."""
    return Problem(status, f"{field}: {message}", [(field, message)])


def busy(detail: str, retry_after_s: float) -> Problem:
    """Come back later (429)."""
    return Problem(429, detail, headers={"Retry-After": str(max(1, round(retry_after_s)))})


def of_errors(errors: Iterable[Mapping[str, Any]]) -> Problem:
    """A body or a query that does not fit its schema (422), or is no JSON at all (400).

    Args:
        errors: pydantic's list of errors.
    """
    problems = [
        # Pydantic's word for what our own checks say.
        (
            ".".join(map(str, error["loc"])) or "body",
            str(error["msg"]).removeprefix("Value error, "),
            error["type"],
        )
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
    if isinstance(error, ImageError):
        name = field or "image"
        return Problem(422, f"{name}: {shortened(error.reason)}", [(name, error.reason)])
    text = shortened(str(error))
    kind, status = next((known for known in _STATUSES.items() if isinstance(error, known[0])), (None, 500))
    fields = _field_of(text) if isinstance(error, InputError) else []
    return Problem(status, text, fields, {"Retry-After": str(STORE_AWAY_S)} if kind is StorageError else None)


def _field_of(text: str) -> list[tuple[str, str]]:
    """Our messages begin with what they are about."""
    if text.startswith(("false-alarm rate", "false_alarm_rate")):
        return [("false_alarm_rate", text)]
    match = _FIELD.match(text)
    if match is None:
        return []
    return [(match[1].replace("[", ".").replace("]", ""), text[match.end() :])]


def shortened(text: str) -> str:
    """At most 500 characters: what a client sent may come back in an answer."""
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"

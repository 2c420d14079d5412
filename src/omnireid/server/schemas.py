"""What goes over the wire. Every model is closed: a field that is not known is an error that names it."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema

from omnireid.gallery.items import MAX_ATTRIBUTES, MAX_TEXT, Box

_RFC_3339 = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)
_MOST = 2_000

DecisionName = Literal["same", "new", "unsure"]


def parse_time(value: object) -> float:
    """RFC 3339 with an offset → Unix seconds.

    Raises:
        ValueError: anything else.
    """
    found = _RFC_3339.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError("expected a time with its offset, such as 2026-03-01T12:00:00+01:00")
    day, clock, fraction, offset = found.groups()
    offset = "+00:00" if offset in "Zz" else offset
    whole = datetime.fromisoformat(f"{day}T{clock}{offset}")
    try:
        return whole.timestamp() + (float(f"0.{fraction}") if fraction else 0.0)
    except OverflowError as error:
        raise ValueError("the time is out of range") from error


def format_time(seconds: float) -> str:
    """Unix seconds → RFC 3339 in UTC; the nearest that can be written where out of range."""
    try:
        return datetime.fromtimestamp(seconds, timezone.utc).isoformat().replace("+00:00", "Z")
    except (OverflowError, ValueError, OSError):
        return "9999-12-31T23:59:59Z" if seconds > 0 else "0001-01-01T00:00:00Z"


Time = Annotated[
    float,
    BeforeValidator(parse_time),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
TimeOut = Annotated[
    float,
    PlainSerializer(format_time, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
Text = Annotated[str, Field(max_length=MAX_TEXT)]
Name = Annotated[str, Field(min_length=1, max_length=MAX_TEXT)]
Texts = Annotated[list[Text], Field(max_length=_MOST)]
Id = Annotated[str, Field(min_length=1, max_length=MAX_TEXT)]
Ids = Annotated[list[Id], Field(min_length=1, max_length=_MOST)]
Whole = Annotated[int, Field(strict=True, ge=-(2**63), lt=2**63)]
Finite = Annotated[float, Field(strict=True, allow_inf_nan=False)]
AttributeValue = Annotated[str, Field(max_length=MAX_TEXT)] | bool | Whole | Finite
Attributes = Annotated[dict[Text, AttributeValue], Field(max_length=MAX_ATTRIBUTES)]
Base64 = Annotated[str, WithJsonSchema({"type": "string", "contentEncoding": "base64"})]
Number = Annotated[float, Field(allow_inf_nan=False)]
Rate = Annotated[float, Field(gt=0, lt=1)]
Prior = Annotated[float, Field(gt=0, lt=1)]
Hash = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Closed(BaseModel):
    """Refuses fields that it does not know."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Region(Closed):
    """A part of a picture, in pixels of the upright picture from its top left."""

    x: Number
    y: Number
    width: Annotated[Number, Field(gt=0)]
    height: Annotated[Number, Field(gt=0)]

    def box(self) -> Box:
        """As the gallery has it."""
        return Box(self.x, self.y, self.width, self.height)


class GalleryQuery(Closed):
    """Which gallery is meant; the only one, or the first, by default."""

    gallery: Annotated[str | None, Field(max_length=MAX_TEXT)] = None


class Answer(BaseModel):
    """What the service says."""


class ModelOut(Answer):
    """A model: its name and the hash of its file."""

    name: str
    sha256: str

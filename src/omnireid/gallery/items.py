"""What a gallery holds, and what it is asked by: items and filters.

`Item` is the one ordered table of an item's fields (`FIELDS`). The columns of every store, the checks at the
door, what goes over the wire and what the command line lists follow from it, by name.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import isfinite, isnan
from typing import Any, Literal, NamedTuple

from omnireid.core.display import short_repr
from omnireid.core.errors import InputError
from omnireid.gallery.texts import MAX_TEXT, check_storable, check_text

Attribute = str | int | float | bool

MAX_SOURCE = 4096
MAX_ATTRIBUTES = 64
MAX_THUMBNAIL = 48_000
"""Bytes of a thumbnail: what fits Milvus's longest text field as base64."""

_KEY_BYTES = 16

Kind = Literal["name", "text", "seconds", "share", "box", "attributes", "flag", "picture"]
"""What a field holds; each store and the wire know once for each kind how it stands there.

"name": a text by the rule for texts. "text": any that can be stored. "seconds": a Unix time. "share": from 0
to 1. "box": a `Box`. "attributes": texts, numbers and bools by name. "flag": a bool. "picture": JPEG or PNG.
"""


class Box(NamedTuple):
    """Where in its picture a crop was: pixels of the source, from the top left."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class ItemField:
    """One field of an item.

    Attributes:
        name: As in `Item`, in every store and on the wire.
        kind: What it holds.
        absent: Its value where nothing is known; where that is None, no other value may be missing.
        asked_as: The condition of `Filter` that asks for its values; "" where none does.
        not_before: Another field of seconds that must not be later; "" where there is none.
        longest: Characters of a text.
        is_given: Whether whoever enrols says it; else the gallery fills it in.
        is_stored: Whether it is a column.
    """

    name: str
    kind: Kind
    absent: Any
    asked_as: str = ""
    not_before: str = ""
    longest: int = MAX_TEXT
    is_given: bool = True
    is_stored: bool = True


def _as(kind: Kind, **more: Any) -> dict[str, Any]:
    """What a field of `Item` says of itself besides its type and its absent value."""
    return {"kind": kind, **more}


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One enrolled crop, without its embedding.

    Attributes:
        camera: name of the camera; "" where unknown.
        time: when it was seen, Unix seconds (UTC); None where unknown.
        end_time: when the last frame of its tracklet was seen, where it stands for a whole one; not before
            `time`, and None where it is of one moment.
        identity: id of the person, a pseudonym that stays within the gallery; None while unknown.
        tracklet: id of the tracklet it belongs to, unique within the gallery.
        box: where in its picture the crop was.
        source: file, stream or frame it came from.
        quality: how good the crop is, from 0 to 1, which is its weight within its tracklet: 0 counts for
            nothing; 1 where nobody has said.
        attributes: anything else, by name.
        thumbnail: JPEG or PNG of the crop, at most 48 kB.
        key: content key; two items with the same key are one. `content_key` where None.
        id: 32 hexadecimal digits made of the key; filled in by the gallery.
        enrolled: Unix seconds; filled in by the gallery.
        has_thumbnail: whether the gallery keeps a thumbnail of it, which is read by itself; filled in by the
            gallery.
    """

    camera: str = field(default="", metadata=_as("name", asked_as="cameras"))
    time: float | None = field(default=None, metadata=_as("seconds"))
    end_time: float | None = field(default=None, metadata=_as("seconds", not_before="time"))
    identity: str | None = field(default=None, metadata=_as("name", asked_as="identities"))
    tracklet: str | None = field(default=None, metadata=_as("name", asked_as="tracklets"))
    box: Box | None = field(default=None, metadata=_as("box"))
    source: str = field(default="", metadata=_as("text", longest=MAX_SOURCE))
    quality: float = field(default=1.0, metadata=_as("share"))
    attributes: Mapping[str, Attribute] = field(default_factory=dict, metadata=_as("attributes"))
    thumbnail: bytes | None = field(default=None, metadata=_as("picture"))
    key: str | None = field(default=None, metadata=_as("text", longest=MAX_SOURCE, is_stored=False))
    id: str = field(default="", metadata=_as("name", asked_as="ids", longest=32, is_given=False))
    enrolled: float = field(default=0.0, metadata=_as("seconds", is_given=False))
    has_thumbnail: bool = field(default=False, metadata=_as("flag", is_given=False))

    __repr__ = short_repr


FIELDS: tuple[ItemField, ...] = tuple(
    ItemField(
        declared.name,
        absent=declared.default
        if declared.default_factory is dataclasses.MISSING
        else declared.default_factory(),
        **declared.metadata,
    )
    for declared in dataclasses.fields(Item)
)
"""All fields of an item, in the order in which they are shown."""

SHOWN = tuple(column.name for column in FIELDS if column.is_stored and column.kind != "picture")
"""Names of the fields that a listed item has."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which items are meant: all conditions must hold; None and empty mappings ask for nothing.

    Attributes:
        ids, cameras, identities, tracklets: one of these. An empty set is met by no item.
        since, until: `time` at or after, and before; items without time do not meet them.
        has_identity: True for items with an identity, False for those without.
        attributes: each of these, with exactly this value and type.
        enrolled_since, enrolled_before: `enrolled` at or after, and before; Unix seconds.
    """

    ids: frozenset[str] | None = None
    cameras: frozenset[str] | None = None
    since: float | None = None
    until: float | None = None
    identities: frozenset[str] | None = None
    has_identity: bool | None = None
    tracklets: frozenset[str] | None = None
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    enrolled_before: float | None = None
    enrolled_since: float | None = None

    __repr__ = short_repr

    @property
    def is_empty(self) -> bool:
        """Whether every item meets it."""
        return self == Filter()

    def values(self) -> list[tuple[ItemField, frozenset[str]]]:
        """Fields of which some values are asked for, with these values."""
        asked = [(column, getattr(self, column.asked_as)) for column in FIELDS if column.asked_as]
        return [(column, values) for column, values in asked if values is not None]

    def bounds(self) -> list[tuple[str, str, float]]:
        """Bounds of times that are asked for: the field, ">=" or "<", and Unix seconds.

        Raises:
            InputError: one that is no number; names it.
        """
        asked = [(column, sign, getattr(self, name)) for name, column, sign in _BOUNDS]
        for (name, _, _), (_, _, seconds) in zip(_BOUNDS, asked, strict=True):
            if seconds is not None and isnan(seconds):
                raise InputError(f"{name}: expected Unix seconds, got {seconds}")
        return [bound for bound in asked if bound[2] is not None]


EVERYTHING = Filter()

_BOUNDS = (
    ("since", "time", ">="),
    ("until", "time", "<"),
    ("enrolled_since", "enrolled", ">="),
    ("enrolled_before", "enrolled", "<"),
)


def item_id(key: str) -> str:
    """32 hexadecimal digits of a content key (BLAKE2b, 128 bits)."""
    return hashlib.blake2b(key.encode(), digest_size=_KEY_BYTES).hexdigest()


def content_key(item: Item, embedding: bytes | memoryview) -> str:
    """What makes two items one: the picture, or the embedding where there is none, and where it was seen.

    Args:
        item: one that was checked.
    """
    digest = hashlib.blake2b(item.thumbnail or embedding, digest_size=_KEY_BYTES)
    time = None if item.time is None else float(item.time)
    box = None if item.box is None else [*map(float, item.box)]
    # No text holds a zero byte, so that no two places read the same.
    where = f"{item.camera}\0{time}\0{item.tracklet or ''}\0{box}\0{item.source}"
    digest.update(where.encode())
    return digest.hexdigest()


def tags(attributes: Mapping[str, Attribute]) -> list[str]:
    """Attributes as sorted texts that are equal exactly where name, type and value are."""
    return sorted(f"{name}={json.dumps(value)}" for name, value in attributes.items())


def check_item(item: Item) -> None:
    """Check one item at the door: the fields that whoever enrols says.

    Raises:
        InputError: names the field: a text that breaks the rule for texts, a number that is not finite or out
            of range, a time before another, a box without area, a thumbnail that is too large, attributes of
            other types.
    """
    for column in _GIVEN:
        value = getattr(item, column.name)
        if value is None and column.absent is None:
            continue
        _CHECKS[column.kind](column, value)
        earliest = getattr(item, column.not_before) if column.not_before else None
        if earliest is not None and value < earliest:
            raise InputError(f"{column.name}: expected a time not before {column.not_before}, got {value!r}")


def _check_text(column: ItemField, value: object) -> None:
    if value is None:
        raise InputError(f"{column.name}: expected a text, empty where unknown, got None")
    if column.kind == "name":
        check_text(column.name, value, may_be_empty=column.absent == "")
    else:
        check_storable(column.name, value, column.longest)


def _check_seconds(column: ItemField, value: object) -> None:
    if not (isinstance(value, (int, float)) and isfinite(value)):
        raise InputError(f"{column.name}: expected Unix seconds, got {value!r}")


def _check_share(column: ItemField, value: object) -> None:
    if not (isinstance(value, (int, float)) and 0 <= value <= 1):
        raise InputError(f"{column.name}: expected 0 to 1, got {value!r}")


def _check_picture(column: ItemField, value: Any) -> None:
    if not 0 < len(value) <= MAX_THUMBNAIL:
        raise InputError(f"{column.name}: expected 1 to {MAX_THUMBNAIL:,} bytes, got {len(value):,}")


def _check_attributes(column: ItemField, attributes: Mapping[str, Any]) -> None:
    if not attributes:
        return
    if len(attributes) > MAX_ATTRIBUTES:
        raise InputError(f"{column.name}: expected at most {MAX_ATTRIBUTES}, got {len(attributes)}")
    for name, value in attributes.items():
        check_text(column.name, name)
        what = f"{column.name}[{name!r}]"
        if not isinstance(value, (str, int, float, bool)):
            raise InputError(f"{what}: expected text, number or bool, got {type(value).__name__}")
        if isinstance(value, float) and not isfinite(value):
            raise InputError(f"{what}: expected a finite number, got {value}")
        if isinstance(value, str):
            check_text(what, value, may_be_empty=True)


def _check_box(column: ItemField, box: object) -> None:
    try:
        x, y, width, height = map(float, box)  # type: ignore[call-overload]
        is_usable = isfinite(x) and isfinite(y) and isfinite(width) and isfinite(height)
        is_usable = is_usable and width > 0 and height > 0
    except (TypeError, ValueError):
        is_usable = False
    if not is_usable:
        raise InputError(f"{column.name}: expected x, y, width, height with an area, got {box!r}")


_GIVEN = tuple(column for column in FIELDS if column.is_given)
_CHECKS = {
    "name": _check_text,
    "text": _check_text,
    "seconds": _check_seconds,
    "share": _check_share,
    "box": _check_box,
    "attributes": _check_attributes,
    "picture": _check_picture,
}


def texts(values: Iterable[str] | None) -> frozenset[str] | None:
    """A condition of `Filter` from any texts; None stays None."""
    return None if values is None else frozenset(values)

"""What a gallery holds, and what it is asked by: items and filters."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import NamedTuple

from omnireid.core.display import short_repr
from omnireid.core.errors import InputError
from omnireid.gallery.texts import check_storable, check_text

Attribute = str | int | float | bool

MAX_SOURCE = 4096
MAX_ATTRIBUTES = 64
MAX_THUMBNAIL = 48_000
"""Bytes of a thumbnail: what fits Milvus's longest text field as base64."""

_KEY_BYTES = 16


class Box(NamedTuple):
    """Where in its picture a crop was: pixels of the source, from the top left."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Item:
    """One enrolled crop, without its embedding.

    Attributes:
        camera: name of the camera; "" where unknown.
        time: when it was seen, Unix seconds (UTC); None where unknown.
        identity: id of the person, a pseudonym that stays within the gallery; None while unknown.
        tracklet: id of the tracklet it belongs to, unique within the gallery.
        box: where in its picture the crop was.
        source: file, stream or frame it came from.
        quality: weight within its tracklet, above 0 to 1.
        attributes: anything else, by name.
        thumbnail: JPEG or PNG of the crop, at most 48 kB.
        key: content key; two items with the same key are one. `content_key` where None.
        id: 32 hexadecimal digits made of the key; filled in by the gallery.
        enrolled: Unix seconds; filled in by the gallery.
        has_thumbnail: whether the gallery keeps a thumbnail of it, which is read by itself; filled in by the
            gallery.
    """

    camera: str = ""
    time: float | None = None
    identity: str | None = None
    tracklet: str | None = None
    box: Box | None = None
    source: str = ""
    quality: float = 1.0
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    thumbnail: bytes | None = None
    key: str | None = None
    id: str = ""
    enrolled: float = 0.0
    has_thumbnail: bool = False

    __repr__ = short_repr


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


EVERYTHING = Filter()


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
    """Check one item at the door.

    Raises:
        InputError: names the field: a text that breaks the rule for texts, a number that is not finite, a box
            without area, a thumbnail that is too large, attributes of other types.
    """
    check_text("camera", item.camera, may_be_empty=True)
    check_text("identity", item.identity)
    check_text("tracklet", item.tracklet)
    check_storable("source", item.source, MAX_SOURCE)
    check_storable("key", item.key, MAX_SOURCE)
    if item.camera is None or item.source is None:
        raise InputError("camera, source: expected a text, empty where unknown, got None")
    if item.time is not None and not (isinstance(item.time, (int, float)) and isfinite(item.time)):
        raise InputError(f"time: expected Unix seconds, got {item.time!r}")
    if not (isinstance(item.quality, (int, float)) and 0 < item.quality <= 1):
        raise InputError(f"quality: expected above 0 to 1, got {item.quality!r}")
    if item.box is not None:
        _check_box(item.box)
    if item.thumbnail is not None and not 0 < len(item.thumbnail) <= MAX_THUMBNAIL:
        raise InputError(f"thumbnail: expected 1 to {MAX_THUMBNAIL:,} bytes, got {len(item.thumbnail):,}")
    if item.attributes:
        _check_attributes(item.attributes)


def _check_attributes(attributes: Mapping[str, Attribute]) -> None:
    if len(attributes) > MAX_ATTRIBUTES:
        raise InputError(f"attributes: expected at most {MAX_ATTRIBUTES}, got {len(attributes)}")
    for name, value in attributes.items():
        check_text("attributes", name)
        if not isinstance(value, (str, int, float, bool)):
            raise InputError(
                f"attributes[{name!r}]: expected text, number or bool, got {type(value).__name__}"
            )
        if isinstance(value, float) and not isfinite(value):
            raise InputError(f"attributes[{name!r}]: expected a finite number, got {value}")
        if isinstance(value, str):
            check_text(f"attributes[{name!r}]", value, may_be_empty=True)


def _check_box(box: object) -> None:
    try:
        x, y, width, height = map(float, box)  # type: ignore[call-overload]
        is_usable = isfinite(x) and isfinite(y) and isfinite(width) and isfinite(height)
        is_usable = is_usable and width > 0 and height > 0
    except (TypeError, ValueError):
        is_usable = False
    if not is_usable:
        raise InputError(f"box: expected x, y, width, height with an area, got {box!r}")


def texts(values: Iterable[str] | None) -> frozenset[str] | None:
    """A condition of `Filter` from any texts; None stays None."""
    return None if values is None else frozenset(values)

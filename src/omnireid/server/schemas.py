"""What goes over the wire. Every model is closed: a field that is not known is an error that names it."""

from __future__ import annotations

import dataclasses
import math
import re
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
    create_model,
)
from typing_extensions import Self

from omnireid.gallery.items import (
    FIELDS,
    MAX_ATTRIBUTES,
    MAX_SOURCE,
    SHOWN,
    Box,
    Filter,
    Item,
    ItemField,
    Kind,
    texts,
)
from omnireid.gallery.questions import USUAL, Question
from omnireid.gallery.store import IndexState
from omnireid.gallery.texts import MAX_TEXT, fault

_RFC_3339 = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(?:[Zz]|([ +-])(\d\d):?(\d\d))", re.ASCII
)
_MOST = 2_000

DecisionName = Literal["same", "new", "unsure"]


def parse_time(value: object) -> float:
    """RFC 3339 with an offset → Unix seconds. In a query "+" means a space: that is taken for it.

    Raises:
        ValueError: anything else.
    """
    match = _RFC_3339.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("expected a time with its offset, such as 2026-03-01T12:00:00+01:00")
    day, clock, fraction, sign, hours, minutes = match.groups()
    offset = "+00:00" if sign is None else f"{'-' if sign == '-' else '+'}{hours}:{minutes}"
    whole = datetime.fromisoformat(f"{day}T{clock}{offset}")
    try:
        return whole.timestamp() + (float(f"0.{fraction}") if fraction else 0.0)
    except OverflowError as error:
        raise ValueError("the time is out of range") from error


def check_attribute(value: object) -> object:
    """Text, bool or number of an attribute.

    Raises:
        ValueError: anything else, or out of range.
    """
    if isinstance(value, str) and len(value) > MAX_TEXT:
        raise ValueError(f"expected at most {MAX_TEXT} characters")
    if isinstance(value, (str, bool)):
        return value
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError("expected a whole number of 64 bits")
    if isinstance(value, (int, float)) and math.isfinite(value):
        return value
    raise ValueError("expected text, a finite number, true or false")


def check_new(text: str) -> str:
    """A text that comes in, by the rule for texts; "" says that nothing is known.

    Raises:
        ValueError: says why not.
    """
    if reason := fault(text, may_be_empty=True):
        raise ValueError(reason)
    return text


def format_time(seconds: float) -> str:
    """Unix seconds → RFC 3339 in UTC; the nearest that can be written where out of range."""
    try:
        return datetime.fromtimestamp(seconds, timezone.utc).isoformat().replace("+00:00", "Z")
    except (OverflowError, ValueError, OSError):
        return "9999-12-31T23:59:59Z" if seconds > 0 else "0001-01-01T00:00:00Z"


Time = Annotated[
    float,
    BeforeValidator(parse_time),
    PlainSerializer(format_time, return_type=str, when_used="json-unless-none"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
TimeOut = Annotated[
    float,
    BeforeValidator(lambda value: parse_time(value) if isinstance(value, str) else value),
    PlainSerializer(format_time, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
Text = Annotated[str, Field(max_length=MAX_TEXT)]
NewText = Annotated[Text, AfterValidator(check_new)]
NewName = Annotated[str, Field(min_length=1, max_length=MAX_TEXT), AfterValidator(check_new)]
Texts = Annotated[list[Text], Field(max_length=_MOST)]
Id = Annotated[str, Field(min_length=1, max_length=MAX_TEXT)]
Ids = Annotated[list[Id], Field(min_length=1, max_length=_MOST)]
Finite = Annotated[float, Field(strict=True, allow_inf_nan=False)]
AttributeValue = Annotated[
    Any,
    AfterValidator(check_attribute),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "maxLength": MAX_TEXT},
                {"type": "boolean"},
                {"type": "number", "minimum": -(2**63), "exclusiveMaximum": 2**63},
            ]
        }
    ),
]
NewAttributeValue = Annotated[
    AttributeValue, AfterValidator(lambda value: check_new(value) if isinstance(value, str) else value)
]
Attributes = Annotated[dict[Text, AttributeValue], Field(max_length=MAX_ATTRIBUTES)]
NewAttributes = Annotated[dict[NewName, NewAttributeValue], Field(max_length=MAX_ATTRIBUTES)]
Base64 = Annotated[str, WithJsonSchema({"type": "string", "contentEncoding": "base64"})]
Embedding = Annotated[list[Finite], Field(min_length=1, max_length=65_536)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Rate = Annotated[float, Field(gt=0, lt=1)]
Prior = Annotated[float, Field(gt=0, lt=1)]
Hash = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Closed(BaseModel):
    """Refuses fields that it does not know. Some are answers as well, made of the gallery's values."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, from_attributes=True)


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


class IdentityQuery(GalleryQuery):
    """Who is meant, by any id."""

    id: Id


_ABSENT = object()


class Answer(BaseModel):
    """What the service says: the gallery's values, by the names of their fields."""

    model_config = ConfigDict(from_attributes=True)

    @classmethod
    def of(cls, value: object, **more: Any) -> Self:
        """What a value has under the fields' names, and `more`, which goes first."""
        for name in cls.__pydantic_fields__:
            if name not in more and (part := getattr(value, name, _ABSENT)) is not _ABSENT:
                more[name] = part
        return cls(**more)


class ModelOut(Answer):
    """A model: its name and the hash of its file."""

    name: str
    sha256: str


class InfoModel(ModelOut):
    """The model in use."""

    height: int
    width: int
    embedding_size: int


class InfoLimits(Answer):
    """What one request may ask for."""

    max_bytes: int
    max_pixels: int
    max_items: int
    max_k: int


class Info(Answer):
    """What the service is, and what the caller may do."""

    version: str
    model: InfoModel
    calibrated: bool
    false_alarm_rates: list[float]
    usual_false_alarm_rate: float | None
    pair_false_alarm_rates: list[float]
    galleries: list[str]
    limits: InfoLimits
    scopes: list[str]
    token_required: bool
    features: list[str] = Field(
        default=[],
        description='`reject` heeds "not this person"; `detect` finds people in frames.',
    )


class EmbedRequest(Closed):
    """Pictures to embed."""

    images: Annotated[list[Base64], Field(min_length=1)]


class Embeddings(Answer):
    """One embedding for each picture, of unit norm."""

    model: ModelOut
    normalised: bool = True
    embeddings: list[list[float]]


class DetectRequest(Closed):
    """A picture in which people are looked for."""

    image: Base64


class DetectedPerson(Answer):
    """A box around somebody, in pixels of the upright picture, and how sure the detector is (0 to 1)."""

    x: float
    y: float
    width: float
    height: float
    score: float


class DetectAnswer(Answer):
    """The people in a picture, the surest first; `width` and `height` are the picture's."""

    detector: str
    width: int
    height: int
    boxes: list[DetectedPerson]


class Conditions(Closed):
    """Which items are meant: all conditions must hold."""

    cameras: Texts = []
    since: Time | None = None
    until: Time | None = None
    identities: Texts = []
    has_identity: bool | None = None

    def where(self) -> Filter:
        """As the gallery has it."""
        return Filter(
            cameras=texts(self.cameras or None),
            since=self.since,
            until=self.until,
            identities=texts(self.identities or None),
            has_identity=self.has_identity,
        )


class Filters(Conditions):
    """Which items are meant: all conditions must hold."""

    attributes: Attributes = {}

    def where(self) -> Filter:
        """As the gallery has it."""
        return dataclasses.replace(super().where(), attributes=self.attributes)


class SearchOptions(Closed):
    """How to search, and what the answer means: the fields of `Question`, with its defaults."""

    k: Annotated[int, Field(ge=1)] = USUAL.k
    exact: bool = USUAL.exact
    group: bool = USUAL.group
    rerank: bool = USUAL.rerank
    false_alarm_rate: Rate | None = USUAL.false_alarm_rate
    prior: Prior | None = USUAL.prior

    def question(self, where: Filter) -> Question:
        """As the gallery has it."""
        options = {name: getattr(self, name) for name in SearchOptions.model_fields}
        return Question(where=where, **options)


class Shown(Closed):
    """Somebody: one of `image`, `images` (of one tracklet), `embedding` (with its model) and `item`."""

    image: Base64 | None = None
    images: Annotated[list[Base64], Field(min_length=1)] | None = None
    region: Region | None = None
    embedding: Embedding | None = None
    model_sha256: Hash | None = None
    item: Id | None = None


class SearchRequest(Filters, SearchOptions, Shown):
    """Who is this? One of `image`, `images` (of one tracklet), `embedding` (with its model) and `item`."""


class RejectRequest(Shown):
    """Who is not `identity`: one of `image`, `images`, `embedding` (with its model) and `item`."""

    identity: Id


class RejectAnswer(Answer):
    """`id` takes it back."""

    id: str


class SearchQuery(Conditions, SearchOptions, GalleryQuery):
    """As `SearchRequest`, beside a picture as the body."""


# The fields of an item (`items.FIELDS`) by what they hold: as a request says, and as an answer shows them.

_SAID: dict[Kind, Any] = {
    "text": Annotated[str, Field(max_length=MAX_SOURCE)],
    "seconds": Time,
    "share": Annotated[float, Field(ge=0, le=1)],
    "box": Region,
    "attributes": NewAttributes,
}
_SHOWN: dict[Kind, Any] = {
    "name": str,
    "text": str,
    "seconds": TimeOut,
    "share": float,
    "box": Region,
    "attributes": dict[str, str | int | float | bool],
    "flag": bool,
}
_STRUCTURED: tuple[Kind, ...] = ("box", "attributes")


def _said(field: ItemField) -> tuple[Any, Any]:
    kind = _SAID.get(field.kind, NewText if field.absent == "" else NewName)
    return (kind | None if field.absent is None else kind), field.absent


def _shown(field: ItemField) -> tuple[Any, Any]:
    kind = _SHOWN[field.kind]
    return (kind | None if field.absent is None else kind), ...


_GIVEN = [field for field in FIELDS if field.is_given and field.kind != "picture"]
GIVEN = tuple(field.name for field in _GIVEN)
"""Fields of an item that a request says as they are."""

if TYPE_CHECKING:

    class Place(Closed, Item):
        """What whoever enrols says of a crop, as far as it goes into a query."""

    class _Said(Place):
        """All that whoever enrols says of a crop."""

        box: Region | None = None  # type: ignore[assignment]  # its own kind on the wire

    class _Listed(Answer, Item):
        """What an answer shows of an item."""

        box: Region | None = None  # type: ignore[assignment]  # its own kind on the wire

else:
    Place = create_model(
        "Place",
        __base__=Closed,
        __doc__="Where and when a crop was seen, and whom it shows as far as that is known.",
        **{field.name: _said(field) for field in _GIVEN if field.kind not in _STRUCTURED},
    )
    _Said = create_model(
        "_Said", __base__=Place, **{field.name: _said(field) for field in _GIVEN if field.kind in _STRUCTURED}
    )
    _Listed = create_model(
        "_Listed", __base__=Answer, **{field.name: _shown(field) for field in FIELDS if field.name in SHOWN}
    )


class EnrolItem(_Said):
    """One crop: an `image`, or the part of it in `region`; or an `embedding` with its model."""

    image: Base64 | None = None
    region: Region | None = None
    embedding: Embedding | None = None
    model_sha256: Hash | None = None
    store_thumbnail: bool = True


class EnrolRequest(Closed):
    """Crops to add. With `assign` each is searched for first, and becomes whom it is the same as."""

    items: Annotated[list[EnrolItem], Field(min_length=1)]
    assign: bool = False


class EnrolQuery(Place, GalleryQuery):
    """As `EnrolItem`, beside a picture as the body."""

    assign: bool = False


class VerifySide(Closed):
    """One of two people: an `image`, or the part of it in `region`; or an `item` of the gallery."""

    image: Base64 | None = None
    region: Region | None = None
    item: Id | None = None


class VerifyRequest(Closed):
    """Do two pictures show the same person?"""

    a: VerifySide
    b: VerifySide
    activations: bool = False
    false_alarm_rate: Rate | None = None
    prior: Prior | None = None


class ItemsQuery(Conditions, GalleryQuery):
    """Which items to list."""

    after: Annotated[str, Field(max_length=MAX_TEXT)] | None = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 100


class IdentitiesQuery(GalleryQuery):
    """Which identities to list: those with `text` in their name or, without one, in their id."""

    text: Text | None = None
    after: Annotated[str, Field(max_length=MAX_TEXT)] | None = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 100


class AuditSelection(GalleryQuery):
    """Which entries of the audit: those that meet every condition that is given."""

    subject: Annotated[Id | None, Field(description="Id of a person or a picture: entries about them.")] = (
        None
    )
    since: Time | None = None
    until: Annotated[Time | None, Field(description="Before this time.")] = None
    action: Annotated[Text | None, Field(description="Such as `search`.")] = None
    actor: Annotated[Text | None, Field(description="Who: part of the name, whatever its case.")] = None


class AuditQuery(AuditSelection):
    """A page of them: those after a `seq`; with `latest` from the end, the latest first."""

    after: Annotated[int, Field(ge=0)] | None = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    latest: bool = False


class AuditExportQuery(AuditSelection):
    """Which entries go into a file of which kind."""

    format: Literal["jsonl", "csv"] = "jsonl"


class OperationsQuery(GalleryQuery):
    """How many operations, the latest first; those that concern one person, by any id."""

    identity: Id | None = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 100


class NameRequest(Closed):
    """A name, or null to take it away."""

    name: NewName | None


class MergeRequest(Closed):
    """Identities that are the same person as `into`."""

    into: Id
    identities: Ids


class SplitRequest(Closed):
    """Items that are somebody else: a new identity."""

    items: Ids
    name: NewName | None = None


class AssignRequest(Closed):
    """Items and the identity they are given; null takes theirs away. With a `name` that identity is named."""

    items: Ids
    identity: NewName | None
    name: NewName | None = None


class ItemsRequest(Closed):
    """Items that are meant."""

    items: Ids


class CameraGroups(Closed):
    """Cameras that are chosen together, by the group's name."""

    groups: Annotated[
        dict[NewName, Annotated[list[NewText], Field(min_length=1, max_length=_MOST)]], Field(max_length=200)
    ]


Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class Pin(Closed):
    """Where a camera is on the floor plan: shares of its width and height, from the top left."""

    x: Share
    y: Share


class PinsBody(Closed):
    """All pins of a floor plan, by name of the camera."""

    pins: Annotated[dict[NewName, Pin], Field(max_length=_MOST)]


class FloorPlanRequest(Closed):
    """A picture of the site: PNG, JPEG or WebP."""

    image: Base64


class RetentionBody(Closed):
    """How long items stay, in seconds; null keeps them."""

    default_s: Annotated[float, Field(gt=0)] | None = None
    cameras: Annotated[dict[Text, Annotated[float, Field(gt=0)] | None], Field(max_length=_MOST)] = {}


class ItemOut(_Listed):
    """An enrolled crop; `name` is its identity's."""

    name: str | None


class CandidateOut(Answer):
    """An item that a search found; `probability` and `decision` are of its person."""

    item: ItemOut
    score: float
    probability: float | None
    decision: DecisionName | None


class GroupOut(Answer):
    """Candidates of one person: of one identity, or of one tracklet where there is none.

    Pictures that nobody has assigned yet join the person whom they look like.
    """

    identity: str | None
    name: str | None
    score: float
    probability: float | None
    decision: DecisionName | None
    candidates: list[CandidateOut]


class MeasuredOut(Answer):
    """Of searches for strangers through so many people, the share that ended in "same" when calibrating."""

    people: int
    rate: float
    low: float
    high: float
    is_extrapolated: bool


class SearchAnswer(Answer):
    """What a search found; `note` says what a reader must know of the scores.

    Probabilities of all groups, of `nobody` here and of `others`, who are not shown, add up to 1.
    `false_alarm_rate` is the wanted share of searches for strangers that end in "same"; a person is called
    the same from `same_from` on. `prior`: that the person is in the gallery at all, before looking.
    """

    model: ModelOut
    calibrated: bool
    note: str
    decision: DecisionName | None
    nobody: float | None
    others: float | None
    people: int
    false_alarm_rate: float | None
    same_from: float | None
    measured: MeasuredOut | None
    prior: float | None
    is_exact: bool
    took_ms: float
    candidates: list[CandidateOut]
    groups: list[GroupOut]


class EnrolledItem(Answer):
    """What became of one item. With `assign`: what was decided, and the operation that undoes it."""

    id: str
    is_new: bool
    identity: str | None
    decision: DecisionName | None
    name: str | None = Field(None, description="Of the identity, where it has one.")
    probability: float | None = Field(None, description="That the item is who it was assigned to.")
    operation: str | None = Field(
        None, description="For `POST /v1/operations/{operation}/undo`; null where nobody was assigned."
    )


class EnrolAnswer(Answer):
    """In the order of the request."""

    items: list[EnrolledItem]


class Activations(Answer):
    """Where in each picture the network responds: PNG as base64."""

    a: str
    b: str


class VerifyAnswer(Answer):
    """How alike two pictures are, and what that means."""

    score: float
    probability: float | None
    decision: DecisionName | None
    calibrated: bool
    note: str
    activations: Activations | None


class ItemsAnswer(Answer):
    """A page of items; `next` is the following one's `after`."""

    items: list[ItemOut]
    next: str | None


class IdentityOut(Answer):
    """Somebody, and what is known of them."""

    id: str
    name: str | None
    items: int
    cameras: list[str]
    first_seen: TimeOut | None
    last_seen: TimeOut | None
    merged: list[str]
    picture: str | None = Field(default=None, description="Id of the latest item that has a thumbnail.")


class IdentitiesAnswer(Answer):
    """A page of identities."""

    identities: list[IdentityOut]
    next: str | None


class SightingOut(Answer):
    """Items of one camera without a long gap between them."""

    start: TimeOut | None
    end: TimeOut | None
    items: list[ItemOut]


class CameraOut(Answer):
    """Sightings in one camera."""

    camera: str
    sightings: list[SightingOut]


class TimelineAnswer(Answer):
    """Where and when somebody was seen."""

    identity: str
    name: str | None
    cameras: list[CameraOut]


class OperationOut(Answer):
    """What an operator did."""

    id: str
    kind: str
    time: TimeOut
    actor: str
    summary: str
    undone: bool
    can_undo: bool
    identity: str | None


class OperationsAnswer(Answer):
    """The latest first."""

    operations: list[OperationOut]


class ForgottenAnswer(Answer):
    """How many items are gone."""

    forgotten: int


class GenerationOut(Answer):
    """A model whose embeddings a gallery holds."""

    name: str
    sha256: str
    state: Literal["live", "filling"]


class GalleryOut(Answer):
    """What a gallery holds."""

    name: str
    items: int
    identities: int
    cameras: list[str]
    models: list[GenerationOut]
    index: IndexState
    retention: RetentionBody
    precision: str | None
    disk_bytes: int | None
    read_only: str | None = Field(description="Why it can be searched but not changed; null where it can.")


class GalleriesAnswer(Answer):
    """All of them, the default first."""

    galleries: list[GalleryOut]


class Accepted(Answer):
    """It has begun."""

    status: str


class AuditFactOut(Answer):
    """A detail of an entry, in words."""

    label: str
    value: str


class FloorPlanOut(Answer):
    """A floor plan. Its picture is at `…/floor-plan/picture`; another one has another `sha256`."""

    width: int
    height: int
    sha256: str
    pins: dict[str, Pin]


class AttributeValueOut(Answer):
    """A value, and how many items have it."""

    value: str | int | float | bool
    items: int


class AttributeOut(Answer):
    """A name, how many items have it, and its most frequent values, of `num_values` different ones."""

    name: str
    items: int
    values: list[AttributeValueOut]
    num_values: int


class AttributesAnswer(Answer):
    """Attributes that items have, sorted by name; at most 100 names with 100 values each."""

    attributes: list[AttributeOut]


class AuditEntryOut(Answer):
    """Who did what; people are keyed hashes."""

    seq: int
    time: TimeOut
    actor: str
    action: str
    gallery: str
    count: int
    subjects: list[str]
    detail: dict[str, Any]
    summary: Annotated[str, Field(description="The entry as one sentence.")] = ""
    facts: Annotated[list[AuditFactOut], Field(description="`detail` in words.")] = []


class AuditAnswer(Answer):
    """A page of the audit."""

    entries: list[AuditEntryOut]
    next: int | None
    looked: Annotated[int, Field(description="Entries that were read for this page.")] = 0
    looked_to: Annotated[TimeOut | None, Field(description="Time of the last one that was read.")] = None
    actions: Annotated[dict[str, str], Field(description="Every action, and what it is called.")] = {}

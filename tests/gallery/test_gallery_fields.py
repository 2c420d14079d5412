"""The one table of an item's fields: every door takes, keeps and shows each of them by its name."""

from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gallery.memory_store import MemoryStore
from gallery.people import DIM, MODEL, memory_gallery, vectors
from omnireid.core.errors import InputError
from omnireid.gallery.backup import Backup
from omnireid.gallery.gallery import Gallery
from omnireid.gallery.items import FIELDS, SHOWN, Box, Filter, Item
from omnireid.gallery.lance.filters import condition
from omnireid.gallery.milvus.filters import expression
from omnireid.gallery.restoring import restore
from omnireid.gallery.rows import items_of, table_of
from omnireid.gallery.store import item_schema
from omnireid.server.schemas import EnrolItem, EnrolQuery, ItemOut, Region, format_time

KNOWN: dict[str, Any] = {"name": "a {name}", "text": "the {name}", "seconds": 1_000.0, "share": 0.25}


def picture() -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (2, 4), (200, 30, 30)).save(stream, "PNG")
    return stream.getvalue()


def told() -> Item:
    """An item of which everything is known, and no two fields hold the same."""
    values: dict[str, Any] = {}
    for number, field in enumerate(FIELDS):
        if field.is_given:
            known = KNOWN.get(field.kind)
            values[field.name] = known.format(name=field.name) if isinstance(known, str) else known
            if field.kind == "seconds":
                values[field.name] += number
    values |= {"box": Box(1, 2, 3, 4), "attributes": {"bag": True}, "thumbnail": picture()}
    assert all(values[field.name] not in (None, field.absent) for field in FIELDS if field.is_given)
    return Item(**values)


def shown(item: Item) -> dict[str, Any]:
    return {name: getattr(item, name) for name in SHOWN if name not in ("id", "enrolled", "has_thumbnail")}


def test_columns_of_a_table_stand_under_their_own_names() -> None:
    item = told()
    table = table_of([item], ["0" * 32], 5.0, np.eye(1, DIM, dtype=np.float32))
    assert table.schema == item_schema(DIM)
    for field in FIELDS:
        if field.is_given and field.is_stored and field.kind not in ("box", "attributes"):
            assert table.column(field.name)[0].as_py() == getattr(item, field.name), field.name
    # Read back whatever the order of the columns.
    mixed = table.select(sorted(table.column_names))
    (back,) = items_of(mixed)
    assert back == dataclasses.replace(item, id="0" * 32, enrolled=5.0, has_thumbnail=True, key=None)


@pytest.mark.parametrize("kind", ["memory", "lance"])
def test_every_field_comes_through_stores_backup_and_copy(kind: str, tmp_path: Path) -> None:
    gallery = memory_gallery() if kind == "memory" else Gallery.open(str(tmp_path / "gallery"))
    item = told()
    (name,) = gallery.enrol([item], vectors(0, 1), model=MODEL).ids
    assert shown(gallery.item(name)) == shown(item)
    gallery.backup(tmp_path / "backup")
    copy = MemoryStore()
    restore(Backup(tmp_path / "backup"), copy)
    assert Gallery(copy).item(name) == gallery.item(name)
    assert Gallery(copy).thumbnail(name) == item.thumbnail
    gallery.close()


def test_a_case_keeps_until_when_somebody_was_seen() -> None:
    gallery = memory_gallery()
    ids = gallery.enrol([told()], vectors(0, 1), model=MODEL).ids
    case = gallery.cases.create("Case", "Reason", 2_000.0).id
    (sighting,) = gallery.cases.add_items(case, ids).sightings
    assert (sighting.time, sighting.end_time) == (told().time, told().end_time)


def test_every_field_is_said_and_shown_on_the_wire() -> None:
    item = told()
    listed = dataclasses.replace(item, id="0" * 32, enrolled=5.0, has_thumbnail=True)
    values = {name: getattr(listed, name) for name in SHOWN}
    answer = ItemOut(**{**values, "box": listed.box._asdict()}, name="Ada")
    assert set(answer.model_dump()) == {*SHOWN, "name"}
    written = answer.model_dump(mode="json")
    assert ItemOut.model_validate(written) == answer
    times = [field.name for field in FIELDS if field.kind == "seconds" and field.name in SHOWN]
    assert {name: written[name] for name in times} == {name: format_time(values[name]) for name in times}
    # A request says the same, as a body or, as far as it is one word, in the address.
    said = {field.name: written.get(field.name, item.key) for field in FIELDS if field.is_given}
    said.pop("thumbnail")
    body = EnrolItem.model_validate_json(json.dumps(said), strict=True)
    assert {name: getattr(body, name) for name in said if name != "box"} == {
        name: getattr(item, name) for name in said if name != "box"
    }
    assert body.box == Region(x=1, y=2, width=3, height=4)
    plain = {name: value for name, value in said.items() if name not in ("box", "attributes")}
    assert set(plain) <= set(EnrolQuery.model_fields)


def test_filters_ask_by_the_fields_that_say_so() -> None:
    asked = {field.asked_as: frozenset({f"a {field.name}"}) for field in FIELDS if field.asked_as}
    where = Filter(**asked)
    for field in FIELDS:
        sql, milvus = condition(where), expression(where)
        assert (f"{field.name} IN ('a {field.name}')" in sql) == bool(field.asked_as)
        assert (f'{field.name} in ["a {field.name}"]' in milvus) == bool(field.asked_as)


@pytest.mark.parametrize("name", ["since", "until", "enrolled_since", "enrolled_before"])
def test_a_bound_that_is_no_number_is_named_by_every_store(name: str) -> None:
    for conditions in (condition, expression):
        with pytest.raises(InputError, match=f"^{name}: expected Unix seconds, got nan$"):
            conditions(Filter(**{name: float("nan")}))

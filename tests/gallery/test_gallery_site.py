"""Camera groups, the floor plan, known attributes, and whose picture stands for a person."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gallery.memory_store import MemoryStore
from gallery.people import DIM, MODEL, Clock, memory_gallery, vectors
from omnireid import Gallery, Item
from omnireid.core.errors import InputError
from omnireid.core.images import decode, decode_drawing
from omnireid.gallery.backup import Backup, Snapshot, write_backup
from omnireid.gallery.errors import NotInGalleryError
from omnireid.gallery.restoring import restore
from omnireid.gallery.site import MAX_PICTURE, MAX_SIDE, Pin

GROUPS = {"Ground floor": ["Hall", "Door", "Hall"], "Outside": ["Yard"]}
DRAWING = np.zeros((60, 80, 3), np.uint8)


def everything(store: MemoryStore) -> tuple[object, ...]:
    gallery = Gallery(store, clock=Clock())
    return gallery.site.groups(), gallery.site.plan(), gallery.site.picture()


def test_the_site_travels_and_is_audited(tmp_path: Path) -> None:
    store = MemoryStore()
    gallery = Gallery(store, clock=Clock())
    gallery.acting_as("ann").site.set_groups(GROUPS)
    plan = gallery.site.set_plan(DRAWING)
    assert (plan.width, plan.height, dict(plan.pins)) == (80, 60, {})
    assert (decode(gallery.site.picture()) == DRAWING).all()
    gallery.site.set_pins({"Hall": (0.25, 1)})
    # Another picture keeps the pins.
    plan = gallery.site.set_plan(DRAWING + 9)
    assert plan.pins == {"Hall": Pin(0.25, 1)}
    assert gallery.site.groups() == {"Ground floor": ("Door", "Hall"), "Outside": ("Yard",)}
    write_backup(Snapshot(store), tmp_path / "backup")
    restored, copied = MemoryStore(), MemoryStore()
    restore(Backup(tmp_path / "backup"), restored)
    restore(Snapshot(store), copied)
    assert everything(restored) == everything(copied) == everything(store)
    gallery.site.set_groups({"Outside": ["Yard"]})
    gallery.site.delete_plan()
    assert gallery.site.groups() == {"Outside": ("Yard",)}
    assert not store.records("floor-plan-picture")
    for ask in (gallery.site.plan, gallery.site.picture, gallery.site.delete_plan):
        with pytest.raises(NotInGalleryError, match="floor plan"):
            ask()
    written = [(entry.action, entry.actor, entry.count) for entry in gallery.audit()]
    assert written[0] == ("set-camera-groups", "ann", 2)
    assert [action for action, _, _ in written[1:]] == [
        "set-floor-plan",
        "set-camera-pins",
        "set-floor-plan",
        "set-camera-groups",
        "delete-floor-plan",
    ]


def test_what_cannot_be_a_site_is_refused_by_name() -> None:
    gallery = memory_gallery()
    with pytest.raises(NotInGalleryError):
        gallery.site.set_pins({"Hall": (0.5, 0.5)})
    gallery.site.set_plan(DRAWING)
    for groups in ({"": ["Hall"]}, {"Floor": []}, {"Floor": ["Hall "]}, {str(n): ["a"] for n in range(201)}):
        with pytest.raises(InputError, match="groups"):
            gallery.site.set_groups(groups)
    for pins in ({"Hall": (0.5, 1.1)}, {"Hall": (float("nan"), 0)}, {"": (0, 0)}):
        with pytest.raises(InputError, match="pins"):
            gallery.site.set_pins(pins)
    assert (gallery.site.groups(), dict(gallery.site.plan().pins)) == ({}, {})


def test_a_plan_is_made_small_enough_and_lies_on_paper() -> None:
    gallery = memory_gallery()
    noise = np.random.default_rng(0).integers(0, 256, (1000, 3000, 3), dtype=np.uint8)
    plan = gallery.site.set_plan(noise)
    assert max(plan.width, plan.height) <= MAX_SIDE
    assert plan.width == 3 * plan.height
    assert len(gallery.site.picture()) <= MAX_PICTURE
    stream = io.BytesIO()
    Image.new("RGBA", (2, 1), (0, 0, 0, 0)).save(stream, "PNG")
    assert (decode_drawing(stream.getvalue()) == 255).all()
    assert (decode(stream.getvalue()) == 0).all()


def test_known_attributes_tell_types_apart() -> None:
    gallery = memory_gallery()
    assert gallery.known_attributes() == []
    values = [True, 1, "1", True, None]
    items = [
        Item(key=str(n), attributes={} if value is None else {"bag": value, "plate": f"B {n}"})
        for n, value in enumerate(values)
    ]
    gallery.enrol(items, vectors(0, len(items), DIM), model=MODEL)
    bag, plate = gallery.known_attributes()
    assert (bag.name, bag.items, bag.num_values) == ("bag", 4, 3)
    assert [(repr(value), count) for value, count in bag.values] == [("True", 2), ("'1'", 1), ("1", 1)]
    assert (plate.name, plate.num_values) == ("plate", 4)
    gallery.forget(items=[item.id for item in gallery.items() if item.attributes])
    assert gallery.known_attributes() == []


def test_a_persons_picture_is_their_latest_one() -> None:
    gallery = memory_gallery()
    times = {"a": 3.0, "b": 9.0, "c": None, "d": 12.0}
    items = [
        Item(key=name, camera=name, time=time, identity="p1", thumbnail=None if name == "d" else b"picture")
        for name, time in times.items()
    ]
    ids = gallery.enrol(items, vectors(0, len(items), DIM), model=MODEL).ids
    assert gallery.identity("p1").picture == ids[1]
    gallery.forget(items=ids[:2])
    assert gallery.identity("p1").picture == ids[2]
    gallery.forget(items=ids[2:3])
    assert gallery.identity("p1").picture is None

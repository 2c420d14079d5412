"""The site that a gallery's cameras stand in: groups of cameras, and a floor plan with a pin for each camera.

Records of the gallery: they travel in backups, restores and copies, and are deleted with it. They name
cameras, never people.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from math import isfinite
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from omnireid.core.errors import InputError
from omnireid.core.images import Crop
from omnireid.gallery.errors import NotInGalleryError
from omnireid.gallery.store import GalleryStore
from omnireid.gallery.texts import check_text
from omnireid.gallery.thumbnails import encoded

CAMERA_GROUPS, PLAN, PLAN_PICTURE = "camera-group", "floor-plan", "floor-plan-picture"
"""Kinds of the records: by name {cameras}; "plan" {width, height, sha256, pins}; "plan" {sha256, base64}."""
SITE = (CAMERA_GROUPS, PLAN, PLAN_PICTURE)

MAX_GROUPS = 200
MAX_CAMERAS = 2_000
"""Of one group, and pins of a plan."""
MAX_SIDE = 2_400
"""Pixels of a plan's longer side; larger pictures are made smaller."""
MAX_PICTURE = 800_000
"""Bytes of a plan's picture as it is kept."""

_ID = "plan"
# Lossless where that is small enough.
_WAYS: Sequence[Mapping[str, Any]] = (
    {"format": "WEBP", "lossless": True, "quality": 80},
    *({"format": "WEBP", "quality": quality} for quality in (90, 75, 55, 35)),
)


class Pin(NamedTuple):
    """Where a camera is on the plan: shares of its width and height, 0 to 1 from the top left."""

    x: float
    y: float


class FloorPlan(NamedTuple):
    """A plan without its picture.

    Attributes:
        width, height: pixels of the picture.
        sha256: of the picture's file; another one where the picture is another.
        pins: positions by name of the camera.
    """

    width: int
    height: int
    sha256: str
    pins: Mapping[str, Pin]


class Site:
    """Groups of cameras, and the floor plan, of one gallery. Every change is in its audit before it is made.

    Args:
        store: The gallery's store.
        tell: Writes into the gallery's audit (`Gallery.tell`).
        writing: Keeps other writers out.
    """

    def __init__(
        self,
        store: GalleryStore,
        tell: Callable[..., object],
        writing: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._store, self._tell, self._writing = store, tell, writing

    def groups(self) -> dict[str, tuple[str, ...]]:
        """Cameras that are chosen together, by the group's name, both sorted."""
        records = self._store.records(CAMERA_GROUPS)
        return {name: tuple(records[name]["cameras"]) for name in sorted(records)}

    def set_groups(self, groups: Mapping[str, Sequence[str]]) -> None:
        """Replace all groups. A camera may be in several, and need not have been seen yet.

        Raises:
            InputError: too many, an empty one, or a name that breaks the rule for texts.
        """
        if len(groups) > MAX_GROUPS:
            raise InputError(f"groups: expected at most {MAX_GROUPS}, got {len(groups)}")
        for name, cameras in groups.items():
            check_text("groups", name)
            if not 1 <= len(cameras) <= MAX_CAMERAS:
                raise InputError(
                    f"groups[{name!r}]: expected 1 to {MAX_CAMERAS:,} cameras, got {len(cameras)}"
                )
            for camera in cameras:
                check_text(f"groups[{name!r}]", camera, may_be_empty=True)
        with self._writing():
            self._tell("set-camera-groups", count=len(groups))
            gone = self._store.records(CAMERA_GROUPS).keys() - groups.keys()
            records = {name: {"cameras": sorted(set(groups[name]))} for name in groups}
            self._store.put_records(CAMERA_GROUPS, records)
            self._store.delete_records(CAMERA_GROUPS, sorted(gone))

    def plan(self) -> FloorPlan:
        """The floor plan, without its picture.

        Raises:
            NotInGalleryError: there is none.
        """
        record = self._record(PLAN)
        pins = {camera: Pin(*pin) for camera, pin in sorted(record["pins"].items())}
        return FloorPlan(record["width"], record["height"], record["sha256"], pins)

    def picture(self) -> bytes:
        """The floor plan's picture, as WebP.

        Raises:
            NotInGalleryError: there is none.
        """
        return base64.b64decode(self._record(PLAN_PICTURE)["base64"])

    def set_plan(self, picture: Crop) -> FloorPlan:
        """Keep a floor plan, in place of the one before, whose pins stay where they are.

        Args:
            picture: (H, W, 3) uint8 RGB of any size; made smaller beyond `MAX_SIDE`.
        """
        image = Image.fromarray(np.ascontiguousarray(picture))
        image.thumbnail((MAX_SIDE, MAX_SIDE))
        content, image = encoded(image, MAX_PICTURE, _WAYS)
        sha256 = hashlib.sha256(content).hexdigest()
        shown = {"sha256": sha256, "base64": base64.b64encode(content).decode()}
        with self._writing():
            self._tell("set-floor-plan", count=1)
            known = self._store.records(PLAN).get(_ID, {"pins": {}})
            self._store.put_records(PLAN_PICTURE, {_ID: shown})
            record = {"width": image.width, "height": image.height, "sha256": sha256, "pins": known["pins"]}
            self._store.put_records(PLAN, {_ID: record})
            return self.plan()

    def set_pins(self, pins: Mapping[str, tuple[float, float]]) -> FloorPlan:
        """Say where on the floor plan the cameras are, all of them.

        Args:
            pins: positions by name of the camera, which need not have been seen yet: x and y, shares of the
                picture's width and height.

        Raises:
            InputError: too many, a place outside of the picture, or a name that breaks the rule for texts.
            NotInGalleryError: there is no plan.
        """
        if len(pins) > MAX_CAMERAS:
            raise InputError(f"pins: expected at most {MAX_CAMERAS:,}, got {len(pins)}")
        for camera, pin in pins.items():
            check_text("pins", camera)
            if not all(isfinite(share) and 0 <= share <= 1 for share in pin):
                raise InputError(f"pins[{camera!r}]: expected shares of the picture, 0 to 1, got {pin}")
        with self._writing():
            record = self._record(PLAN)
            self._tell("set-camera-pins", count=len(pins))
            self._store.put_records(PLAN, {_ID: {**record, "pins": {name: [*pins[name]] for name in pins}}})
            return self.plan()

    def delete_plan(self) -> None:
        """Delete the plan, its pins and its picture, also from disk.

        Raises:
            NotInGalleryError: there is none.
        """
        with self._writing():
            self._record(PLAN)
            self._tell("delete-floor-plan", count=1)
            self._store.delete_records(PLAN, [_ID])
            self._store.delete_records(PLAN_PICTURE, [_ID])
            self._store.purge_records()

    def _record(self, kind: str) -> dict[str, Any]:
        record: dict[str, Any] | None = self._store.records(kind).get(_ID)
        if record is None:
            raise NotInGalleryError("floor plan", "of this gallery")
        return record

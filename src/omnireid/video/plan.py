"""What is known of a site before anything is seen: its cameras, their clocks, floors and what they share."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from pydantic import Field, FiniteFloat, ValidationError

from omnireid.core.closed import ClosedModel
from omnireid.core.errors import ConfigError, InputError, UnknownNameError
from omnireid.video.ground import Ground


class Source(NamedTuple):
    """A camera to follow: its name, what `Video` reads, and how long after the first camera it begins."""

    name: str
    address: str
    offset_s: float = 0.0


@dataclass(frozen=True, slots=True)
class SitePlan:
    """Attributes:
    sources: Name and address of each camera that the plan says where to read.
    clocks: By camera, seconds that it begins after the first one.
    grounds: By camera, where it sees which floor.
    overlaps: Pairs of cameras that see the same place, beside those of one floor.
    """

    sources: tuple[tuple[str, str], ...] = ()
    clocks: Mapping[str, float] = field(default_factory=dict)
    grounds: Mapping[str, Ground] = field(default_factory=dict)
    overlaps: frozenset[frozenset[str]] = frozenset()

    def overlap(self, camera_a: str, camera_b: str) -> bool:
        """Whether one person may be in both at once."""
        a, b = self.grounds.get(camera_a), self.grounds.get(camera_b)
        shares_floor = a is not None and b is not None and a.floor == b.floor
        return shares_floor or frozenset((camera_a, camera_b)) in self.overlaps

    def read_from(self, given: Sequence[tuple[str, str]]) -> list[Source]:
        """Every camera: the plan's, with those given in their places and after them.

        Raises:
            InputError: A camera of the plan has no source anywhere.
        """
        names = [name for name, _ in given]
        merged = [*(pair for pair in self.sources if pair[0] not in names), *given]
        for name in self.clocks:
            if name not in (known for known, _ in merged):
                raise InputError(
                    f"camera {name!r} of the site has no source; write one beside it, or give {name}=SOURCE"
                )
        return [Source(name, address, self.clocks.get(name, 0.0)) for name, address in merged]


class _Camera(ClosedModel):
    source: str | None = None
    clock: FiniteFloat = Field(0.0, ge=0.0)
    floor: str = ""
    ground: tuple[tuple[FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat], ...] | None = None


class _Site(ClosedModel):
    calibration: str | None = None
    cameras: dict[str, _Camera] = Field(default_factory=dict)
    overlap: tuple[tuple[str, ...], ...] = ()


def read_plan(path: Path) -> SitePlan:
    """Read a site from YAML or JSON; paths in it start from its folder.

    Raises:
        InputError: The file, or its calibration, cannot be read; points that fix no floor.
        ConfigError: It is not as expected, or names a camera that it does not list.
    """
    try:
        site = _Site.model_validate(_values(path) or {})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ConfigError(f"{path}: {where}: {first['msg']}; known: {_KNOWN}") from error
    grounds: dict[str, Ground] = {}
    if site.calibration is not None:
        calibration = _values(path.parent / site.calibration)
        cameras = calibration.get("cameras") if isinstance(calibration, dict) else None
        if not isinstance(cameras, dict) or not all(isinstance(each, dict) for each in cameras.values()):
            raise InputError(f"{path.parent / site.calibration}: expected cameras, by name")
        for name in site.cameras:
            if name in cameras:
                grounds[name] = Ground.from_calibration(cameras[name], str(cameras[name].get("place", "")))
    for name, camera in site.cameras.items():
        if camera.ground is not None:
            try:
                grounds[name] = Ground.from_points(camera.ground, camera.floor)
            except InputError as error:
                raise InputError(f"{path}: camera {name}: {error}") from error
    for name in (name for group in site.overlap for name in group):
        if name not in site.cameras:
            raise UnknownNameError(f"camera of {path}: overlap", name, site.cameras)
    return SitePlan(
        sources=tuple(
            (name, _found(camera.source, path.parent))
            for name, camera in site.cameras.items()
            if camera.source is not None
        ),
        clocks={name: camera.clock for name, camera in site.cameras.items()},
        grounds=grounds,
        overlaps=frozenset(
            frozenset((a, b)) for group in site.overlap for a in group for b in group if a != b
        ),
    )


_KNOWN = (
    "calibration, cameras (by name: source, clock, floor, ground), overlap (lists of names of cameras); "
    "a ground is four or more of [x, y, metres, metres]"
)


def _values(path: Path) -> Any:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error
    try:
        return json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (ValueError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: neither YAML nor JSON: {error}") from error


def _found(source: str, folder: Path) -> str:
    """A file of the plan's folder; a stream or a webcam as it is."""
    if re.match(r"[a-z]+://|\d+$|webcam:", source, re.IGNORECASE):
        return source
    return str(folder / source)

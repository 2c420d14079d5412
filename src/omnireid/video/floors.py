"""Floors as maps: where each person went, from all cameras that saw them there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from omnireid.core.arrays import Float64, Int64
from omnireid.video.linking import Identity
from omnireid.video.meeting import Meeting, Trail
from omnireid.video.site import Site

_WIDTH, _TALLEST, _MARGIN = 720.0, 520.0, 30.0
_MOST_LINES = 12
# Moments without a place after which a line ends: nobody knows which way was taken.
_GAP_S = 3.0


@dataclass(frozen=True, slots=True, eq=False)
class Way:
    """One person on one floor without a gap: (M,) steps of `Meeting.step_s`, (M, 2) metres."""

    person: int
    moments: Int64
    points: Float64


def ways(site: Site, identity: Identity, floor: str, step_s: float = Meeting().step_s) -> list[Way]:
    """Where somebody went on a floor."""
    trails = [trail for row in identity.members if (trail := _trail(site, row)) and trail.floor == floor]
    return [Way(identity.number, *part) for part in averaged(trails, step_s)]


def averaged(trails: Sequence[Trail], step_s: float = Meeting().step_s) -> list[tuple[Int64, Float64]]:
    """One person's way from the trails of several cameras on one floor; the surer places count more.

    Returns:
        Moments and (M, 2) places of each part without a gap.
    """
    if not sum(len(trail.moments) for trail in trails):
        return []
    weights = np.concatenate([1.0 / np.trace(trail.covariances, axis1=1, axis2=2) for trail in trails])
    moments, which = np.unique(np.concatenate([trail.moments for trail in trails]), return_inverse=True)
    points = np.concatenate([trail.points for trail in trails]) * weights[:, None]
    total = np.bincount(which, weights)
    mean = np.column_stack([np.bincount(which, points[:, axis]) / total for axis in (0, 1)])
    ends = np.flatnonzero(np.diff(moments) * step_s > _GAP_S) + 1
    return list(zip(np.split(moments, ends), np.split(mean, ends), strict=True))


def floor_maps(site: Site, colours: int, shown: int) -> list[dict[str, Any]]:
    """What the page's template draws of each floor: a grid in metres, and the ways of the first people.

    Args:
        colours: How many there are to tell people apart. shown: people, from the first on.
    """
    floors = sorted({trail.floor for trail in site.trails if trail is not None and len(trail.moments)})
    maps = []
    for floor in floors:
        walked = [way for person in site.identities[:shown] for way in ways(site, person, floor)]
        if walked:
            maps.append(_map(site, floor, walked, colours))
    return maps


def _map(site: Site, floor: str, walked: list[Way], colours: int) -> dict[str, Any]:
    places = np.concatenate([way.points for way in walked])
    low, high = np.floor(places.min(axis=0)), np.ceil(places.max(axis=0))
    sides = np.maximum(high - low, 1.0)
    scale = min((_WIDTH - 2 * _MARGIN) / sides[0], (_TALLEST - 2 * _MARGIN) / sides[1])

    def x(metres: float) -> float:
        return round(float(_MARGIN + (metres - low[0]) * scale), 1)

    def y(metres: float) -> float:
        # North is up: the floor's second axis goes from the bottom to the top.
        return round(float(_MARGIN + (high[1] - metres) * scale), 1)

    step = next(s for s in (1, 2, 5, 10, 20, 50, 100, 1e9) if sides.max() / s <= _MOST_LINES)
    columns, rows = (
        [float(line) for line in np.arange(np.ceil(low[axis] / step) * step, high[axis] + 1e-9, step)]
        for axis in (0, 1)
    )
    cameras = sorted({t.camera for row, t in enumerate(site.tracklets) if _floor(site, row) == floor})
    return {
        "name": floor,
        "cameras": ", ".join(cameras),
        "width": round(float(2 * _MARGIN + sides[0] * scale)),
        "height": round(float(2 * _MARGIN + sides[1] * scale)),
        "columns": [(x(line), f"{line + 0.0:g}") for line in columns],
        "rows": [(y(line), f"{line + 0.0:g}") for line in rows],
        "ways": [
            {
                "person": way.person,
                "colour": (way.person - 1) % colours,
                "line": " ".join(f"{x(a)},{y(b)}" for a, b in way.points),
                "end": (x(way.points[-1, 0]), y(way.points[-1, 1])),
            }
            for way in walked
        ],
    }


def _trail(site: Site, row: int) -> Trail | None:
    return site.trails[row] if site.trails else None


def _floor(site: Site, row: int) -> str | None:
    trail = _trail(site, row)
    return None if trail is None else trail.floor

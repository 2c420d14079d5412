"""Who is where on which floor now, from all cameras that see it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from omnireid.core.arrays import Float64
from omnireid.video.floors import averaged
from omnireid.video.live import InView, View, way
from omnireid.video.meeting import Meeting, Trail
from omnireid.video.plan import SitePlan


@dataclass(frozen=True, slots=True, eq=False)
class OnFloor:
    """Somebody on a floor.

    Attributes:
        floor: Its name.
        seen: In which cameras, and as whom there.
        time: Unix seconds of the last place; feet that are hidden have none.
        way: (M, 2) float64 metres of the last minute, without a gap; the last place is the latest.
    """

    floor: str
    seen: tuple[tuple[str, InView], ...]
    time: float
    way: Float64


def on_floors(
    views: Mapping[str, View], plan: SitePlan, whose: Mapping[str, str], step_s: float = Meeting().step_s
) -> list[OnFloor]:
    """Everybody whose place is known; where cameras overlap, each person once.

    Args:
        views: What each camera sees now. whose: identities by walk, of those that have one.
    """
    groups: dict[tuple[str, str], list[tuple[str, InView, Trail]]] = {}
    for camera, view in views.items():
        ground = plan.grounds.get(camera)
        for one in view.people:
            walked = way(ground, one.lately, (view.picture.shape[0], view.picture.shape[1]))
            if walked is not None:
                key = (walked.floor, whose.get(one.walk, f"walk {one.walk}"))
                groups.setdefault(key, []).append((camera, one, walked))
    found = []
    for (floor, _), parts in groups.items():
        ways = averaged([walked for _, _, walked in parts], step_s)
        if ways:
            moments, places = ways[-1]
            seen = tuple((camera, one) for camera, one, _ in parts)
            found.append(OnFloor(floor, seen, float(moments[-1] * step_s), np.asarray(places)))
    return found

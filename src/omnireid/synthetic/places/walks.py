"""Who walks where and when: people come, alone or in groups, stop, meet, leave and come back.

What everybody does is a pure function of the seed. People keep to the ways of a place, keep out of what
stands there, and step aside for each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from omnireid.core.arrays import Bool, Float64, Int32
from omnireid.core.errors import InputError
from omnireid.core.seeds import numpy_generator
from omnireid.synthetic.places.place import PERSON_RADIUS, Place
from omnireid.synthetic.places.solids import Point

STEP_S = 0.1
# One full stride (two steps) of a grown person at an easy walk, metres.
_STRIDE = 1.4
_PERSONAL_SPACE = 0.9
_FREE_CELL = 0.1


@dataclass(frozen=True, slots=True)
class Moment:
    """Where a person is and how they move, with the units of `Walks`."""

    place: int
    point: Point
    heading: float
    speed: float
    phase: float


@dataclass(frozen=True, slots=True, eq=False)
class Walks:
    """Where everybody is at every step of `STEP_S` seconds.

    Attributes:
        places: (T, P) int32, number of the place a person is in; −1 where nobody sees them.
        points: (T, P, 2) float64, metres.
        headings: (T, P) float64, radians, not wrapped.
        speeds: (T, P) float64, metres a second.
        phases: (T, P) float64, strides walked so far.
        groups: (P,) int32, who belongs together.
    """

    places: Int32
    points: Float64
    headings: Float64
    speeds: Float64
    phases: Float64
    groups: Int32

    def at(self, person: int, seconds: float) -> Moment:
        """Where a person is at a time after the beginning, between the steps too; the last step lasts on."""
        step = min(int(seconds / STEP_S), len(self.places) - 1)
        after = min(step + 1, len(self.places) - 1)
        if self.places[after, person] != self.places[step, person]:
            after = step
        share = min(seconds / STEP_S - step, 1.0)

        def between(values: Float64) -> Float64:
            return np.asarray(values[step, person] + share * (values[after, person] - values[step, person]))

        point = between(self.points)
        return Moment(
            place=int(self.places[step, person]),
            point=(float(point[0]), float(point[1])),
            heading=float(between(self.headings)),
            speed=float(between(self.speeds)),
            phase=float(between(self.phases)),
        )


@dataclass
class _Visit:
    """One stay of a group in a place: in at one gate, out at another, perhaps with a stop on the way."""

    place: int
    start: int
    way: Float64
    stop_at: float
    stop_steps: int


@dataclass
class _Walker:
    speed: float
    offset: Float64
    visits: list[_Visit] = field(default_factory=list)
    at: float = 0.0
    visit: int = 0
    stopped: int = 0


def plan_walks(seed: int, places: Sequence[Place], num_people: int, seconds: float) -> Walks:
    """Let people walk for a while.

    Args:
        places: with at least one way each.
        num_people, seconds: above 0.

    Raises:
        InputError: a number out of range, or a place without a way.
    """
    if num_people < 1 or seconds <= 0:
        raise InputError(f"num_people, seconds: above 0, got {num_people}, {seconds}")
    for place in places:
        if not place.ways:
            raise InputError(f"a {place.kind} without a way through it")
    num_steps = round(seconds / STEP_S)
    walkers, groups = _draw_walkers(seed, places, num_people, num_steps)
    maps = [_free_map(place) for place in places]
    homes = np.full((num_steps, num_people), -1, dtype=np.int32)
    points = np.zeros((num_steps, num_people, 2))
    headings, speeds = np.zeros((num_steps, num_people)), np.zeros((num_steps, num_people))
    phases = np.zeros((num_steps, num_people))
    here = np.zeros((num_people, 2))
    facing = np.zeros(num_people)
    present = np.full(num_people, -1, dtype=np.int32)
    walked = numpy_generator(seed, "phases").uniform(0, 1, num_people)
    for step in range(num_steps):
        aims, pace = _aims(walkers, present, here, facing, step)
        before = here.copy()
        inside = present >= 0
        _move(here, aims, pace, present, groups, maps)
        moved = np.hypot(*(here - before).T) / STEP_S
        moved[~inside] = 0.0
        for person in np.flatnonzero(inside & (moved > 0.15)):
            towards = np.arctan2(*(here[person] - before[person])[::-1])
            turn = np.angle(np.exp(1j * (towards - facing[person])))
            facing[person] += np.clip(turn, -0.35, 0.35)
        walked += moved * STEP_S / _STRIDE
        homes[step], points[step], headings[step] = present, here, facing
        speeds[step], phases[step] = moved, walked
    return Walks(homes, points, headings, speeds, phases, groups)


def _draw_walkers(
    seed: int, places: Sequence[Place], num_people: int, num_steps: int
) -> tuple[list[_Walker], Int32]:
    walkers: list[_Walker] = []
    groups = np.zeros(num_people, dtype=np.int32)
    group = 0
    while len(walkers) < num_people:
        draw = numpy_generator(seed, "group", group)
        size = min(int(draw.choice([1, 2, 3], p=[0.62, 0.27, 0.11])), num_people - len(walkers))
        speed = float(np.clip(draw.normal(1.3, 0.2), 0.7, 2.0))
        visits = _itinerary(draw, places, num_steps, speed)
        for member in range(size):
            groups[len(walkers)] = group
            side = (member - (size - 1) / 2) * 0.75
            own = speed if size > 1 else float(np.clip(draw.normal(speed, 0.05), 0.6, 2.1))
            walkers.append(
                _Walker(own, np.array([draw.normal(0, 0.12), side + draw.normal(0, 0.08)]), visits)
            )
        group += 1
    return walkers, groups


def _itinerary(
    draw: np.random.Generator, places: Sequence[Place], num_steps: int, speed: float
) -> list[_Visit]:
    visits: list[_Visit] = []
    # Some are there when it begins.
    step = int(draw.uniform(-0.1, 0.85) * num_steps) if draw.random() < 0.7 else 0
    step = max(step, 0)
    place = int(draw.integers(len(places)))
    while step < num_steps:
        ways = places[place].ways
        way = ways[int(draw.integers(len(ways)))]
        length = float(np.hypot(*np.diff(way, axis=0).T).sum())
        stops = draw.random() < 0.25
        visit = _Visit(
            place, step, way, draw.uniform(0.2, 0.8) * length if stops else np.inf, int(draw.uniform(30, 250))
        )
        visits.append(visit)
        step += int(length / speed / STEP_S) + (visit.stop_steps if stops else 0)
        # To the next place, or away for a while.
        step += int(draw.uniform(80, 400))
        if len(places) > 1:
            place = (place + int(draw.integers(1, len(places)))) % len(places)
        elif draw.random() < 0.35:
            break
    return visits


def _aims(
    walkers: list[_Walker], present: Int32, here: Float64, facing: Float64, step: int
) -> tuple[Float64, Float64]:
    """Where everybody wants to be next, and how fast; lets people in and out. Changes the arrays in place."""
    aims, pace = here.copy(), np.zeros(len(walkers))
    for person, walker in enumerate(walkers):
        if walker.visit >= len(walker.visits):
            present[person] = -1
            continue
        visit = walker.visits[walker.visit]
        if step < visit.start:
            present[person] = -1
            continue
        along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(visit.way, axis=0).T))])
        if present[person] < 0:
            present[person] = visit.place
            walker.at, walker.stopped = 0.0, 0
            start = _on(visit.way, along, 0.0)
            direction = _on(visit.way, along, 1.0) - start
            facing[person] = np.arctan2(direction[1], direction[0])
            here[person] = start + _turned(walker.offset, facing[person])
        if walker.at >= visit.stop_at and walker.stopped < visit.stop_steps:
            walker.stopped += 1
            aims[person] = here[person]
            continue
        # The point on the way moves on only as far as its walker keeps up.
        if np.hypot(*(_on(visit.way, along, walker.at) - here[person])) < 1.6:
            walker.at += walker.speed * STEP_S
        if walker.at >= along[-1]:
            walker.visit += 1
            present[person] = -1
            continue
        ahead, behind = _on(visit.way, along, walker.at + 0.5), _on(visit.way, along, walker.at - 0.5)
        direction = ahead - behind
        aims[person] = ahead + _turned(walker.offset, float(np.arctan2(direction[1], direction[0])))
        pace[person] = walker.speed
    return aims, pace


def _on(way: Float64, along: Float64, at: float) -> Float64:
    return np.array([np.interp(at, along, way[:, 0]), np.interp(at, along, way[:, 1])])


def _turned(offset: Float64, heading: float) -> Float64:
    cos, sin = np.cos(heading), np.sin(heading)
    return np.array([cos * offset[0] - sin * offset[1], sin * offset[0] + cos * offset[1]])


def _move(
    here: Float64, aims: Float64, pace: Float64, present: Int32, groups: Int32, maps: list[Bool]
) -> None:
    """One step for all, in place: to the aim, away from who comes too near, never into what stands there."""
    people = np.flatnonzero(present >= 0)
    if not len(people):
        return
    want = aims[people] - here[people]
    far = np.maximum(np.hypot(*want.T), 1e-9)
    velocity = want / far[:, None] * np.minimum(pace[people] * 1.3, far / STEP_S)[:, None]
    away = here[people][:, None] - here[people][None]
    gap = np.hypot(away[..., 0], away[..., 1]) + np.eye(len(people)) * 1e3
    near = np.where(groups[people][:, None] == groups[people][None], 0.55, _PERSONAL_SPACE)
    strength = np.clip(near - gap, 0.0, None) * (present[people][:, None] == present[people][None])
    push = away / np.maximum(gap, 0.05)[..., None]
    # Aside rather than back: two who meet pass each other on the right.
    aside = np.stack([-push[..., 1], push[..., 0]], axis=-1)
    velocity += ((1.6 * push + 1.2 * aside) * strength[..., None]).sum(axis=1)
    speed = np.hypot(*velocity.T)
    velocity *= np.minimum(1.0, 2.2 / np.maximum(speed, 1e-9))[:, None]
    for number, person in enumerate(people):
        step = velocity[number] * STEP_S
        free = maps[present[person]]
        for share in (step, np.array([step[0], 0.0]), np.array([0.0, step[1]])):
            if _looked_up(free, here[person] + share) or not _looked_up(free, here[person]):
                here[person] += share
                break


def _free_map(place: Place) -> Bool:
    columns, rows = (int(side / _FREE_CELL) + 1 for side in place.ground.size)
    x, y = np.meshgrid((np.arange(columns) + 0.5) * _FREE_CELL, (np.arange(rows) + 0.5) * _FREE_CELL)
    free = place.is_free(np.column_stack([x.ravel(), y.ravel()]), 0.7 * PERSON_RADIUS)
    return free.reshape(rows, columns)


def _looked_up(free: Bool, point: Float64) -> bool:
    row, column = int(point[1] / _FREE_CELL), int(point[0] / _FREE_CELL)
    return 0 <= row < free.shape[0] and 0 <= column < free.shape[1] and bool(free[row, column])

"""Kinds of places: each is a function that fills a builder and says what ground there is to walk on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from omnireid.synthetic.places.solids import Builder, Point

_GROUND_FLOOR = 3.4


@dataclass(frozen=True, slots=True)
class Ground:
    """What a kind of place offers to those who walk in it.

    Attributes:
        size: length (x) and width (y) of the rectangle from the origin that people walk in, metres.
        ceiling: height of the ceiling; infinite under the sky.
        strips: (near, far) bounds in y that people keep to; none: they go everywhere.
    """

    size: Point
    ceiling: float = float("inf")
    strips: tuple[Point, ...] = ()


def _houses(builder: Builder, start: Point, end: Point, *, shops: float = 0.6) -> None:
    """A row of houses along a line, their fronts to the left of the way."""
    draw = builder.generator
    a, b = np.asarray(start, dtype=float), np.asarray(end, dtype=float)
    length = float(np.hypot(*(b - a)))
    way = (b - a) / length
    at = 0.0
    while at < length:
        wide = min(draw.uniform(5, 13), length - at + 0.01)
        p, q = a + way * at, a + way * min(at + wide, length)
        storeys = int(draw.integers(1, 5))
        wall = builder.texture(str(draw.choice(["bricks", "plaster", "panels", "concrete"])), among=3)
        builder.wall(tuple(p), tuple(q), _GROUND_FLOOR, wall, (wide / 2.5, _GROUND_FLOOR / 2.5))
        front = builder.texture("glass" if draw.random() < 0.15 else "facade", among=4)
        upper = 3.0 * storeys
        builder.wall(
            tuple(p),
            tuple(q),
            upper,
            front,
            (max(1, round(wide / 7)), max(1, round(storeys / 2))),
            base=_GROUND_FLOOR,
        )
        inward = 0.03 * np.array([-way[1], way[0]])
        spot = draw.uniform(0.2, 1.2)
        while spot < wide - 1.5:
            kind = draw.random()
            if kind < shops:
                span, low, high, name = (min(draw.uniform(2.0, 4.5), wide - spot), 0.0, 3.1, "shop_window")
            elif kind < shops + 0.25:
                span, low, high, name = 1.1, 0.0, 2.2, "door"
            else:
                span, low, high, name = (draw.uniform(0.7, 1.4), 0.9, draw.uniform(2.0, 2.8), "poster")
            s, e = p + way * spot + inward, p + way * min(spot + span, wide) + inward
            builder.wall(tuple(s), tuple(e), high - low, builder.texture(name, among=5), base=low)
            spot += span + draw.uniform(0.2, 2.0)
        at += wide


def _walls(
    builder: Builder, start: Point, end: Point, height: float, *, doors: float = 0.4, bright: bool = False
) -> None:
    """A wall of a room, its front to the left of the way, with doors, posters, signs and windows on it."""
    draw = builder.generator
    a, b = np.asarray(start, dtype=float), np.asarray(end, dtype=float)
    length = float(np.hypot(*(b - a)))
    way = (b - a) / length
    inward = 0.03 * np.array([-way[1], way[0]])
    kind = (
        "plaster"
        if bright
        else str(draw.choice(["plaster", "plaster", "slabs", "panels", "concrete", "bricks", "glass"]))
    )
    builder.wall(start, end, height, builder.texture(kind, among=2), (length / 3, height / 3))
    if draw.random() < 0.5:
        low, tall = (0.0, draw.uniform(0.1, 0.3)) if draw.random() < 0.5 else (0.9, draw.uniform(0.1, 0.4))
        kind = str(draw.choice(["paint", "wood", "metal"]))
        builder.wall(
            tuple(a + inward / 2), tuple(b + inward / 2), tall, builder.texture(kind), (length, 1), base=low
        )
    at = draw.uniform(0.3, 2.0)
    while at < length - 1.0:
        pick = draw.random()
        if pick < doors:
            wide, low, high, name, glow = float(draw.choice([0.9, 1.0, 1.8])), 0.0, 2.1, "door", 0.0
        elif pick < doors + 0.2:
            wide, low, high, name, glow = (
                draw.uniform(0.7, 1.4),
                0.8,
                draw.uniform(1.8, 2.5),
                "poster",
                float(draw.choice([0.0, 0.3])),
            )
        elif pick < doors + 0.3:
            wide, low, high, name, glow = draw.uniform(0.8, 2.0), 2.1, 2.5, "sign", 0.3
        else:
            wide, low, high, name, glow = (
                draw.uniform(2, 5),
                0.1,
                draw.uniform(2.3, 2.9),
                "shop_window",
                0.15,
            )
        wide = min(wide, length - at)
        s, e = a + way * at + inward, a + way * (at + wide) + inward
        builder.wall(
            tuple(s),
            tuple(e),
            min(high, height - 0.05) - low,
            builder.texture(name, glow=glow, among=5),
            base=low,
        )
        at += wide + draw.uniform(0.3, 4.0)


def _room(builder: Builder, size: Point, height: float, *, doors: float = 0.4, bright: bool = False) -> None:
    """Floor, ceiling and four walls."""
    draw = builder.generator
    length, width = size
    floor = builder.texture(str(draw.choice(["slabs", "slabs", "slabs", "concrete", "wood", "asphalt"])))
    builder.ground(0, 0, length, width, floor, draw.uniform(1.2, 3.2))
    cover = builder.texture("ceiling", glow=draw.uniform(0.1, 0.45))
    corners = [(0, 0, height), (length, 0, height), (length, width, height), (0, width, height)]
    builder.sheet(corners, cover, (length / 2.4, width / 2.4), parts=4)
    for start, end in (
        ((0, 0), (length, 0)),
        ((length, 0), (length, width)),
        ((length, width), (0, width)),
        ((0, width), (0, 0)),
    ):
        _walls(builder, start, end, height, doors=doors, bright=bright)


def _inside(draw: np.random.Generator, size: Point, margin: float = 1.0) -> Point:
    return (draw.uniform(margin, size[0] - margin), draw.uniform(margin, size[1] - margin))


def _scatter(
    builder: Builder, size: Point, things: dict[str, float], num: int, strips: tuple[Point, ...] = ()
) -> None:
    """Furniture here and there; shares of the kinds. With `strips`, along their edges."""
    draw = builder.generator
    names, shares = list(things), np.array(list(things.values()))
    for _ in range(num):
        spot = _inside(draw, size)
        if strips:
            near, far = strips[int(draw.integers(len(strips)))]
            spot = (spot[0], near + 0.5 if draw.random() < 0.5 else far - 0.5)
        if any(footprint.covers(np.array([spot]), 0.9)[0] for footprint in builder.footprints):
            continue
        heading = float(draw.choice([0.0, np.pi / 2, np.pi, -np.pi / 2])) + draw.normal(0, 0.1)
        name = names[int(draw.choice(len(names), p=shares / shares.sum()))]
        if name in ("bench", "stand", "car"):
            getattr(builder, name)(spot, heading)
        elif name == "rail":
            along = np.array([np.cos(heading), np.sin(heading)]) * draw.uniform(1.0, 3.0)
            builder.rail(spot, tuple(np.asarray(spot) + along), draw.uniform(0.8, 1.2))
        elif name == "lamp":
            builder.post(spot, lamp=True)
        elif name == "planter":
            length = draw.uniform(0.8, 2.0)
            builder.box(spot, (length, 0.8, 0.5), builder.texture("concrete"), heading=heading)
            builder.cross(
                spot, length, draw.uniform(0.5, 1.4), 0.4, builder.texture("foliage"), builder.thing()
            )
        elif name == "kiosk":
            wide, deep = draw.uniform(1.8, 3.5), draw.uniform(1.4, 2.5)
            builder.box(spot, (wide, deep, 2.5), builder.texture("shop_window"), heading=heading)
        elif name == "counter":
            builder.box(spot, (draw.uniform(1.2, 3.0), 0.7, 1.05), builder.texture("panels"), heading=heading)
        elif name == "column":
            radius, height = draw.uniform(0.2, 0.5), draw.uniform(3.0, 5.0)
            builder.pillar(
                spot, radius, height, builder.texture(str(draw.choice(["concrete", "slabs", "poster"])))
            )
        else:
            getattr(builder, name)(spot)


def street(builder: Builder) -> Ground:
    draw = builder.generator
    length, near, road = (draw.uniform(28, 44), draw.uniform(2.6, 5.0), draw.uniform(5.5, 9.0))
    far = draw.uniform(2.6, 5.0)
    width = near + road + far
    paving = str(draw.choice(["slabs", "slabs", "concrete", "asphalt"]))
    builder.ground(-20, -0.3, length + 20, near, builder.texture(paving), draw.uniform(1.2, 2.4))
    builder.ground(-20, near, length + 20, near + road, builder.texture("asphalt"), 4.0, z=-0.03)
    builder.ground(
        -20, near + road, length + 20, width + 0.3, builder.texture(paving), draw.uniform(1.2, 2.4)
    )
    kerb = builder.texture("concrete")
    builder.wall((-20, near), (length + 20, near), 0.03, kerb, (length, 1), base=-0.03)
    builder.wall((length + 20, near + road), (-20, near + road), 0.03, kerb, (length, 1), base=-0.03)
    _houses(builder, (-20, -0.02), (length + 20, -0.02))
    _houses(builder, (length + 20, width + 0.02), (-20, width + 0.02))
    # Houses far off end the view along the street.
    _houses(builder, (length + 20, -8), (length + 20, width + 8))
    _houses(builder, (-20, width + 8), (-20, -8))
    for y in (near + 1.1, near + road - 1.1):
        x = draw.uniform(-4, 6)
        while x < length:
            if draw.random() < 0.6:
                builder.car((x, y), 0.0 if draw.random() < 0.8 else np.pi)
            x += draw.uniform(5.2, 7.5)
    strips = ((0.5, near), (near + road, width - 0.5))
    edges = ((near - 0.9, near), (near + road, near + road + 0.9))
    _scatter(
        builder,
        (length, width),
        {"tree": 3, "lamp": 3, "post": 4, "bin": 3, "bench": 1, "stand": 1, "planter": 1, "rail": 2},
        12,
        edges,
    )
    crossing = builder.add(np.repeat(np.array([[[225] * 3], [[70] * 3]], np.uint8), 4, axis=1))
    x = draw.uniform(8, length - 8)
    builder.ground(x, near + 0.1, x + 3.2, near + road - 0.1, crossing, 1.1, z=-0.02)
    return Ground((length, width), strips=(*strips, (0.5, width - 0.5)) if draw.random() < 0.3 else strips)


def plaza(builder: Builder) -> Ground:
    draw = builder.generator
    size = (draw.uniform(22, 36), draw.uniform(18, 30))
    length, width = size
    paving = builder.texture(str(draw.choice(["slabs", "slabs", "concrete", "gravel"])))
    builder.ground(-8, -8, length + 8, width + 8, paving, draw.uniform(1.5, 3.5))
    band = builder.texture("slabs")
    for _ in range(int(draw.integers(0, 3))):
        y = draw.uniform(2, width - 3)
        builder.ground(-8, y, length + 8, y + draw.uniform(0.6, 2.5), band, 1.8, z=0.005)
    sides = [
        ((-8, -3), (length + 8, -3)),
        ((length + 3, -8), (length + 3, width + 8)),
        ((length + 8, width + 3), (-8, width + 3)),
        ((-3, width + 8), (-3, -8)),
    ]
    for start, end in sides:
        _houses(builder, start, end, shops=draw.uniform(0.1, 0.8))
    _scatter(
        builder,
        size,
        {
            "tree": 2,
            "lamp": 3,
            "bin": 3,
            "bench": 3,
            "planter": 3,
            "stand": 2,
            "kiosk": 1,
            "column": 1,
            "rail": 2,
        },
        int(draw.integers(8, 18)),
    )
    return Ground(size)


def park(builder: Builder) -> Ground:
    draw = builder.generator
    size = (draw.uniform(26, 40), draw.uniform(16, 26))
    length, width = size
    builder.ground(-30, -30, length + 30, width + 30, builder.texture("grass", among=1), 5.0)
    path = builder.texture(str(draw.choice(["gravel", "asphalt", "slabs"])))
    y = draw.uniform(0.3, 0.6) * width
    half = draw.uniform(1.2, 2.4)
    builder.ground(-30, y - half, length + 30, y + half, path, 2.5, z=0.006)
    x = draw.uniform(0.3, 0.7) * length
    builder.ground(x - half, -30, x + half, width + 30, path, 2.5, z=0.008)
    hedge = builder.texture("hedge", among=2)
    high = draw.uniform(4, 9)
    for start, end in (
        ((-30, -14), (length + 30, -14)),
        ((length + 22, -30), (length + 22, width + 30)),
        ((length + 30, width + 14), (-30, width + 14)),
        ((-22, width + 30), (-22, -30)),
    ):
        builder.wall(start, end, high, hedge, (9, max(1, round(high / 4))))
    for _ in range(int(draw.integers(8, 20))):
        spot = (draw.uniform(-8, length + 8), draw.uniform(-8, width + 8))
        if abs(spot[1] - y) > half + 0.6 and abs(spot[0] - x) > half + 0.6:
            builder.tree(spot) if draw.random() < 0.6 else builder.bush(spot)
    edges = ((y - half - 0.6, y + half + 0.6),)
    _scatter(builder, size, {"bench": 3, "bin": 2, "lamp": 2, "stand": 0.5, "rail": 1}, 7, edges)
    return Ground(size, strips=((y - half, y + half),) if draw.random() < 0.5 else ())


def car_park(builder: Builder) -> Ground:
    draw = builder.generator
    size = (draw.uniform(26, 40), draw.uniform(16, 24))
    length, width = size
    builder.ground(-12, -12, length + 12, width + 12, builder.texture("asphalt"), 4.0)
    white = builder.add(np.full((4, 4, 3), (214, 214, 206), np.uint8))
    for y, turn in ((2.6, np.pi / 2), (width - 2.6, -np.pi / 2)):
        for x in np.arange(1.5, length - 2, 2.6):
            builder.ground(x - 1.35, y - 2.4, x - 1.25, y + 2.4, white, 1.0, z=0.006)
            if draw.random() < 0.6:
                builder.car((float(x), y + draw.normal(0, 0.15)), turn + float(draw.choice([0.0, np.pi])))
    for start, end in (
        ((-12, -6), (length + 12, -6)),
        ((length + 8, -12), (length + 8, width + 12)),
        ((length + 12, width + 6), (-12, width + 6)),
        ((-8, width + 12), (-8, -12)),
    ):
        if draw.random() < 0.55:
            _houses(builder, start, end, shops=0.2)
        else:
            builder.wall(
                start,
                end,
                draw.uniform(2, 5),
                builder.texture(str(draw.choice(["hedge", "bricks", "concrete", "panels"]))),
                (12, 1.5),
            )
    _scatter(builder, size, {"lamp": 3, "post": 3, "tree": 1, "bin": 2, "rail": 1}, 6)
    return Ground(size)


def garage(builder: Builder) -> Ground:
    draw = builder.generator
    size, height = (draw.uniform(24, 34), draw.uniform(15, 20)), draw.uniform(2.5, 3.2)
    length, width = size
    _room(builder, size, height, doors=0.3)
    stripe = builder.add(np.full((4, 4, 3), (210, 196, 90), np.uint8))
    post = builder.texture("concrete")
    for y, turn in ((2.7, np.pi / 2), (width - 2.7, -np.pi / 2)):
        for number, x in enumerate(np.arange(1.7, length - 1.5, 2.6)):
            builder.ground(x - 1.34, y - 2.4, x - 1.26, y + 2.4, stripe, 1.0, z=0.006)
            if draw.random() < 0.6:
                builder.car((float(x), y), turn)
            if number % 3 == 2:
                builder.box(
                    (float(x) - 1.3, 5.3 if y < width / 2 else width - 5.3),
                    (0.5, 0.5, height),
                    post,
                    repeats=(0.3, 1.5),
                )
    return Ground(size, height)


def hall(builder: Builder) -> Ground:
    """A concourse of a station or an airport: pillars, shops, machines, benches, gates."""
    draw = builder.generator
    size, height = (draw.uniform(22, 36), draw.uniform(12, 22)), draw.uniform(3.4, 7.0)
    length, width = size
    _room(builder, size, height, doors=0.15)
    kind = builder.texture(str(draw.choice(["concrete", "slabs", "metal", "plaster", "panels"])))
    step, radius = draw.uniform(5, 8), draw.uniform(0.2, 0.55)
    round_ones = draw.random() < 0.5
    for x in np.arange(step, length - 2, step):
        for y in (0.27 * width, 0.73 * width):
            if round_ones:
                builder.pillar((float(x), y), radius, height, kind)
            else:
                builder.box((float(x), y), (1.7 * radius, 1.7 * radius, height), kind, repeats=(1, 3))
    for _ in range(int(draw.integers(1, 4))):
        x, y = _inside(draw, size, 3.0)
        board = builder.texture("sign", glow=0.4)
        builder.double_sheet(
            (x, y), draw.uniform(2, 4), 0.6, min(height - 0.7, 3.2), board, float(draw.choice([0, np.pi / 2]))
        )
    _scatter(
        builder,
        size,
        {"bench": 3, "bin": 2, "stand": 4, "kiosk": 1.5, "rail": 3, "counter": 1, "planter": 1},
        int(draw.integers(6, 16)),
    )
    return Ground(size, height)


def platform(builder: Builder) -> Ground:
    """A platform of a railway with a train at its edge, open or under ground."""
    draw = builder.generator
    length, width = draw.uniform(30, 44), draw.uniform(5, 9)
    under_ground = draw.random() < 0.5
    height = draw.uniform(3.0, 4.5) if under_ground else float("inf")
    builder.ground(
        -15, 0, length + 15, width, builder.texture(str(draw.choice(["slabs", "concrete", "asphalt"]))), 2.0
    )
    edge = builder.add(
        np.full((4, 4, 3), (226, 200, 60) if draw.random() < 0.6 else (220, 220, 216), np.uint8)
    )
    builder.ground(-15, width - 1.0, length + 15, width - 0.7, edge, 1.0, z=0.005)
    builder.ground(-15, width, length + 15, width + 12, builder.texture("gravel"), 3.0, z=-1.0)
    if draw.random() < 0.6:
        train = builder.texture("facade", among=1)
        builder.box(
            (length / 2, width + 1.7), (length + 20, 2.8, 3.6), train, base=-0.3, repeats=(8, 1), stands=False
        )
    (_walls if under_ground else _houses)(
        builder, (-15, 0), (length + 15, 0), *([height] if under_ground else [])
    )
    far = (length + 15, width + 7), (-15, width + 7)
    if under_ground:
        builder.wall(*far, height + 1, builder.texture("slabs"), (20, 2), base=-1.0)
        cover = builder.texture("ceiling", glow=draw.uniform(0.15, 0.4))
        builder.sheet(
            [
                (-15, 0, height),
                (length + 15, 0, height),
                (length + 15, width + 7, height),
                (-15, width + 7, height),
            ],
            cover,
            (14, 5),
            parts=4,
        )
        for x in (-15.0, length + 15.0):
            start, end = ((x, width + 7), (x, 0)) if x < 0 else ((x, 0), (x, width + 7))
            builder.wall(start, end, height + 1, builder.texture("concrete"), (5, 2), base=-1.0)
    else:
        builder.wall(
            *far,
            draw.uniform(2, 7),
            builder.texture(str(draw.choice(["hedge", "bricks", "facade"]))),
            (12, 2),
            base=-1.0,
        )
    post = builder.texture(str(draw.choice(["metal", "concrete", "paint"])))
    for x in np.arange(3, length, draw.uniform(4, 7)):
        builder.pillar((float(x), 0.5 * width), draw.uniform(0.12, 0.3), min(height, 3.6), post)
    _scatter(builder, (length, width - 1.2), {"bench": 4, "bin": 2, "stand": 3, "post": 2}, 8)
    return Ground((length, width - 0.8), height)


def corridor(builder: Builder) -> Ground:
    draw = builder.generator
    size, height = (draw.uniform(18, 30), draw.uniform(2.4, 6.0)), draw.uniform(2.5, 3.4)
    _room(builder, size, height, doors=draw.uniform(0.2, 0.7))
    _scatter(
        builder, size, {"bench": 2, "bin": 2, "stand": 2, "planter": 1, "rail": 1}, int(draw.integers(0, 4))
    )
    return Ground(size, height)


def shop(builder: Builder) -> Ground:
    draw = builder.generator
    size, height = (draw.uniform(14, 24), draw.uniform(10, 16)), draw.uniform(2.8, 4.2)
    length, width = size
    _room(builder, size, height, doors=0.1, bright=True)
    goods = builder.texture("shelf")
    tall = draw.uniform(1.3, 2.2)
    builder.wall((0, 0.05), (length, 0.05), tall, goods, (length / 3, 1))
    gap = draw.uniform(2.2, 3.4)
    for y in np.arange(gap, width - 1.5, gap):
        x = draw.uniform(2, 4)
        while x < length - 4:
            span = draw.uniform(2.5, 5.5)
            builder.box(
                (x + span / 2, float(y)),
                (span, 0.8, float(draw.choice([0.9, tall]))),
                builder.texture("shelf"),
                repeats=(span / 3, 1),
            )
            x += span + draw.uniform(1.4, 2.4)
    _scatter(builder, size, {"counter": 3, "stand": 2, "bin": 1}, 5)
    return Ground(size, height)


def lobby(builder: Builder) -> Ground:
    """An entrance hall with a front of glass, gates and a desk."""
    draw = builder.generator
    size, height = (draw.uniform(12, 20), draw.uniform(9, 15)), draw.uniform(3.0, 5.5)
    length, width = size
    _room(builder, size, height, doors=0.35)
    builder.wall(
        (length, width - 0.04),
        (0, width - 0.04),
        min(height, 4.0),
        builder.texture("glass", glow=0.25),
        (5, 1),
    )
    for x in np.arange(0.35 * length, 0.65 * length, 1.1):
        builder.box((float(x), 0.5 * width), (0.25, 1.3, 1.0), builder.texture("metal"))
    _scatter(
        builder,
        size,
        {"counter": 2, "bench": 2, "planter": 3, "stand": 2, "column": 2, "rail": 1},
        int(draw.integers(4, 9)),
    )
    return Ground(size, height)


LAYOUTS: dict[str, Callable[[Builder], Ground]] = {
    layout.__name__: layout
    for layout in (street, plaza, park, car_park, garage, hall, platform, corridor, shop, lobby)
}

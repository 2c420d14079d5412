"""Solids of a place, gathered by one builder: sheets, boxes, pillars, trees, cars, furniture."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from omnireid.core.arrays import Bool, Float64, UInt8
from omnireid.synthetic.mesh import Mesh, TextureBank
from omnireid.synthetic.places.surfaces import SURFACES

Point = tuple[float, float]

_BOX_FACES = ((0, 1, 5, 4), (1, 2, 6, 5), (2, 3, 7, 6), (3, 0, 4, 7))
_GLOSS = {"slabs": 0.25, "glass": 0.7, "paint": 0.4, "car_side": 0.4, "metal": 0.3, "shop_window": 0.5}


@dataclass(frozen=True, slots=True)
class Footprint:
    """The ground that a solid takes: an upright rectangle turned by `heading` radians; nobody walks there."""

    middle: Point
    half: Point
    heading: float = 0.0

    def covers(self, points: Float64, margin: float) -> Bool:
        """(N,) bool: which of (N, 2) points lie within `margin` metres of it."""
        cos, sin = np.cos(self.heading), np.sin(self.heading)
        away = points - np.asarray(self.middle)
        along = np.abs(away[:, 0] * cos + away[:, 1] * sin)
        across = np.abs(-away[:, 0] * sin + away[:, 1] * cos)
        return np.asarray((along < self.half[0] + margin) & (across < self.half[1] + margin))


@dataclass
class Builder:
    """Gathers the solids of one place.

    Attributes:
        generator: draws every texture that is asked for.
        footprints: what stands on the ground so far.
    """

    generator: np.random.Generator
    meshes: list[Mesh] = field(default_factory=list)
    pictures: list[UInt8] = field(default_factory=list)
    glow: list[float] = field(default_factory=list)
    gloss: list[float] = field(default_factory=list)
    footprints: list[Footprint] = field(default_factory=list)
    num_things: int = 0
    _rows: dict[tuple[str, float], list[int]] = field(default_factory=dict)
    _cars: dict[int, int] = field(default_factory=dict)

    def texture(self, kind: str, *, glow: float = 0.0, among: int = 4) -> int:
        """The row of a texture of a kind: a new one until there are `among`, then one of those."""
        rows = self._rows.setdefault((kind, glow), [])
        if len(rows) >= among:
            return rows[int(self.generator.integers(len(rows)))]
        rows.append(self.add(SURFACES[kind](self.generator), glow=glow, gloss=_GLOSS.get(kind, 0.0)))
        return rows[-1]

    def add(self, picture: UInt8, *, glow: float = 0.0, gloss: float = 0.0) -> int:
        """Take a picture as a texture; returns its row."""
        self.pictures.append(picture)
        self.glow.append(glow)
        self.gloss.append(gloss)
        return len(self.pictures) - 1

    def thing(self) -> int:
        """An owner's number for a thing that stands in the place: -1, -2, …"""
        self.num_things += 1
        return -self.num_things

    def sheet(
        self,
        corners: Float64 | list[tuple[float, float, float]],
        texture: int,
        repeats: tuple[float, float] = (1.0, 1.0),
        owner: int = 0,
        *,
        parts: int = 1,
    ) -> None:
        """A flat quadrilateral; corners in the texture's order: upper left and right, lower right and left.

        Args:
            parts: into how many it is cut each way, as light is worked out at corners of large sheets.
        """
        corners = np.asarray(corners, dtype=np.float64)
        share = np.linspace(0.0, 1.0, parts + 1)
        u, v = (grid.ravel() for grid in np.meshgrid(share, share))
        top = corners[0] + u[:, None] * (corners[1] - corners[0])
        bottom = corners[3] + u[:, None] * (corners[2] - corners[3])
        vertices = top + v[:, None] * (bottom - top)
        first = (np.arange(parts)[:, None] * (parts + 1) + np.arange(parts)[None, :]).ravel()
        right, below = first + 1, first + parts + 1
        faces = np.concatenate(
            [np.stack([first, below, right], axis=1), np.stack([right, below, below + 1], axis=1)]
        )
        uvs = np.stack([u * repeats[0], v * repeats[1]], axis=1)
        self.meshes.append(Mesh.of(vertices, faces, uvs, texture=texture, owner=owner))

    def ground(
        self, left: float, near: float, right: float, far: float, texture: int, tile: float, z: float = 0.0
    ) -> None:
        """A rectangle of the ground whose texture repeats every `tile` metres."""
        corners = [(left, far, z), (right, far, z), (right, near, z), (left, near, z)]
        self.sheet(corners, texture, ((right - left) / tile, (far - near) / tile), parts=4)

    def wall(
        self,
        start: Point,
        end: Point,
        height: float,
        texture: int,
        repeats: Point = (1.0, 1.0),
        *,
        base: float = 0.0,
    ) -> None:
        """An upright sheet whose front is to the left of the way from `start` to `end`."""
        # Seen from its front, the way runs from right to left.
        top, bottom = base + height, base
        corners = [(*end, top), (*start, top), (*start, bottom), (*end, bottom)]
        self.sheet(corners, texture, repeats, parts=2)

    def box(
        self,
        middle: Point,
        size: tuple[float, float, float],
        texture: int,
        *,
        heading: float = 0.0,
        base: float = 0.0,
        repeats: Point = (1.0, 1.0),
        owner: int = 0,
        stands: bool = True,
    ) -> None:
        """A box of (length, width, height) metres; `stands` keeps people off its ground."""
        half = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * 0.5 * np.asarray(size[:2])
        cos, sin = np.cos(heading), np.sin(heading)
        ring = half @ np.array([[cos, sin], [-sin, cos]]) + np.asarray(middle)
        corners = np.concatenate(
            [np.column_stack([ring, np.full(4, base)]), np.column_stack([ring, np.full(4, base + size[2])])]
        )
        quads = [*_BOX_FACES, (4, 5, 6, 7)] + ([(3, 2, 1, 0)] if base > 0 else [])
        vertices = corners[np.array(quads)].reshape(-1, 3)
        first = 4 * np.arange(len(quads))
        faces = np.concatenate([first[:, None] + np.array([0, 1, 2]), first[:, None] + np.array([0, 2, 3])])
        square = np.array([(0.0, repeats[1]), (repeats[0], repeats[1]), (repeats[0], 0.0), (0.0, 0.0)])
        self.meshes.append(
            Mesh.of(vertices, faces, np.tile(square, (len(quads), 1)), texture=texture, owner=owner)
        )
        if stands:
            self.footprints.append(Footprint(middle, (size[0] / 2, size[1] / 2), heading))

    def pillar(
        self,
        middle: Point,
        radius: float,
        height: float,
        texture: int,
        *,
        sides: int = 10,
        owner: int = 0,
        repeats: Point = (2.0, 2.0),
    ) -> None:
        """A round pillar, post or trunk."""
        turn = np.linspace(0.0, 2 * np.pi, sides + 1)
        ring = np.column_stack([np.cos(turn), np.sin(turn)])
        around_it = ring * radius + np.asarray(middle)
        vertices = np.concatenate(
            [np.column_stack([around_it, np.full(sides + 1, level)]) for level in (0.0, height)]
        )
        low = np.arange(sides)
        high = low + sides + 1
        faces = np.concatenate(
            [np.stack([low, low + 1, high + 1], axis=1), np.stack([low, high + 1, high], axis=1)]
        )
        around = np.linspace(0.0, repeats[0], sides + 1)
        uvs = np.concatenate(
            [
                np.column_stack([around, np.full(sides + 1, repeats[1])]),
                np.column_stack([around, np.zeros(sides + 1)]),
            ]
        )
        self.meshes.append(Mesh.of(vertices, faces, uvs, texture=texture, owner=owner))
        self.footprints.append(Footprint(middle, (radius, radius)))

    def cross(
        self,
        middle: Point,
        width: float,
        height: float,
        base: float,
        texture: int,
        owner: int,
        sheets: int = 3,
    ) -> None:
        """Upright sheets through one axis, seen from both sides: the crown of a tree, a bush."""
        for number in range(sheets):
            turn = np.pi * (number + self.generator.uniform(0.0, 0.6)) / sheets
            self.double_sheet(middle, width, height, base, texture, turn, owner)
        # One lies flat, so that it is not empty from above.
        x, y, half, z = *middle, width / 2, base + 0.55 * height
        corners = [
            (x - half, y + half, z),
            (x + half, y + half, z),
            (x + half, y - half, z),
            (x - half, y - half, z),
        ]
        self.sheet(corners, texture, owner=owner)
        self.sheet(corners[::-1], texture, owner=owner)

    def double_sheet(
        self,
        middle: Point,
        width: float,
        height: float,
        base: float,
        texture: int,
        heading: float,
        owner: int = 0,
        repeats: Point = (1.0, 1.0),
    ) -> None:
        """An upright sheet along `heading`, with a front on both sides."""
        along = 0.5 * width * np.array([np.cos(heading), np.sin(heading)])
        start, end = np.asarray(middle) - along, np.asarray(middle) + along
        for a, b in ((start, end), (end, start)):
            corners = [(*b, base + height), (*a, base + height), (*a, base), (*b, base)]
            self.sheet(np.asarray(corners), texture, repeats, owner)

    # Things made of several solids.

    def tree(self, middle: Point) -> None:
        draw, owner = self.generator, self.thing()
        trunk, crown = draw.uniform(1.8, 3.2), draw.uniform(2.6, 5.0)
        self.pillar(middle, draw.uniform(0.09, 0.28), trunk + 0.6, self.texture("bark"), sides=7, owner=owner)
        self.cross(middle, crown, crown * draw.uniform(0.9, 1.3), trunk, self.texture("foliage"), owner)

    def bush(self, middle: Point) -> None:
        draw, owner = self.generator, self.thing()
        width = draw.uniform(0.8, 2.0)
        self.cross(middle, width, draw.uniform(0.5, 1.6), 0.0, self.texture("foliage"), owner)
        self.footprints.append(Footprint(middle, (width / 2.4, width / 2.4)))

    def car(self, middle: Point, heading: float) -> None:
        draw, owner = self.generator, self.thing()
        length, width = draw.uniform(3.7, 4.9), draw.uniform(1.65, 1.85)
        height = draw.uniform(1.4, 1.8)
        side = self.texture("car_side", among=5)
        if side not in self._cars:
            # The bonnet and the roof are of the side's colour.
            shade = np.linspace(1.1, 0.8, 16)[:, None, None]
            lacquer = np.clip(np.broadcast_to(self.pictures[side][30, 20, :3] * shade, (16, 16, 3)), 0, 255)
            self._cars[side] = self.add(lacquer.astype(np.uint8), gloss=0.4)
        body = self._cars[side]
        dark = self.add(np.full((4, 4, 3), (30, 36, 44), np.uint8), gloss=0.6)
        normal = np.array([-np.sin(heading), np.cos(heading)])
        for turn in (-1.0, 1.0):
            self.double_sheet(
                tuple(np.asarray(middle) + turn * normal * width / 2),
                length,
                height,
                0.0,
                side,
                heading,
                owner,
            )
        self.box(
            middle,
            (0.97 * length, 0.96 * width, 0.42 * height),
            body,
            heading=heading,
            base=0.24 * height,
            owner=owner,
        )
        cabin = np.asarray(middle) - 0.06 * length * np.array([np.cos(heading), np.sin(heading)])
        self.box(
            tuple(cabin), (0.46 * length, 0.9 * width, 0.28 * height), dark, heading=heading,
            base=0.62 * height, owner=owner, stands=False,
        )  # fmt: skip
        self.box(
            tuple(cabin), (0.4 * length, 0.86 * width, 0.03), body, heading=heading, base=0.9 * height,
            owner=owner, stands=False,
        )  # fmt: skip

    def bench(self, middle: Point, heading: float) -> None:
        owner, wood = self.thing(), self.texture(str(self.generator.choice(["wood", "metal"])))
        length = self.generator.uniform(1.2, 2.2)
        self.box(middle, (length, 0.45, 0.06), wood, heading=heading, base=0.42, owner=owner)
        back = np.asarray(middle) + 0.22 * np.array([-np.sin(heading), np.cos(heading)])
        self.box(tuple(back), (length, 0.05, 0.4), wood, heading=heading, base=0.5, owner=owner, stands=False)
        for share in (-0.42, 0.42):
            foot = np.asarray(middle) + share * length * np.array([np.cos(heading), np.sin(heading)])
            self.box(tuple(foot), (0.06, 0.4, 0.42), wood, heading=heading, owner=owner, stands=False)

    def bin(self, middle: Point) -> None:
        draw, owner = self.generator, self.thing()
        kind = self.texture("paint" if draw.random() < 0.6 else "metal")
        height = draw.uniform(0.7, 1.2)
        if draw.random() < 0.5:
            self.pillar(middle, draw.uniform(0.18, 0.35), height, kind, owner=owner, repeats=(1, 1))
        else:
            size = draw.uniform(0.4, 0.7)
            self.box(middle, (size, size, height), kind, owner=owner)

    def post(self, middle: Point, *, lamp: bool = False) -> None:
        draw, owner = self.generator, self.thing()
        height = draw.uniform(3.5, 6.5) if lamp else draw.uniform(0.8, 2.8)
        self.pillar(middle, draw.uniform(0.04, 0.1), height, self.texture("metal"), sides=6, owner=owner)
        if lamp:
            self.box(
                middle,
                (0.7, 0.3, 0.15),
                self.texture("lamp", glow=0.6),
                base=height,
                owner=owner,
                stands=False,
            )
        elif height > 1.9:
            board = self.texture("sign")
            self.double_sheet(
                middle, draw.uniform(0.4, 0.9), 0.5, height - 0.5, board, draw.uniform(0, np.pi), owner
            )

    def stand(self, middle: Point, heading: float) -> None:
        """An upright board: a poster, a stele, a machine for tickets."""
        draw, owner = self.generator, self.thing()
        width, height, depth = draw.uniform(0.7, 1.5), draw.uniform(1.3, 2.3), draw.uniform(0.1, 0.8)
        self.box(middle, (width, depth, height), self.texture("paint"), heading=heading, owner=owner)
        for turn in (0.0, np.pi):
            away = (depth / 2 + 0.02) * np.array([np.sin(heading + turn), -np.cos(heading + turn)])
            along = 0.44 * width * np.array([np.cos(heading + turn), np.sin(heading + turn)])
            start, end = np.asarray(middle) + away + along, np.asarray(middle) + away - along
            low, high = 0.3 * height, 0.96 * height
            kind = self.texture(
                str(draw.choice(["poster", "poster", "sign", "glass"])), glow=float(draw.choice([0, 0, 0.3]))
            )
            self.sheet([(*end, high), (*start, high), (*start, low), (*end, low)], kind, owner=owner)

    def rail(self, start: Point, end: Point, height: float = 1.0) -> None:
        """A railing with holes; nobody walks through it."""
        a, b = np.asarray(start), np.asarray(end)
        length = float(np.hypot(*(b - a)))
        heading = float(np.arctan2(*(b - a)[::-1]))
        kind = self.texture("railing")
        middle = tuple(0.5 * (a + b))
        self.double_sheet(middle, length, height, 0.0, kind, heading, self.thing(), (max(1.0, length), 1.0))
        self.footprints.append(Footprint(middle, (length / 2, 0.05), heading))

    def finish(self) -> tuple[Mesh, TextureBank]:
        return Mesh.join(self.meshes), TextureBank.build(self.pictures, glow=self.glow, gloss=self.gloss)

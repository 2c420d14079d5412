"""A place: its solids, where people can walk in it, and the ways between its gates."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import dijkstra

from omnireid.core.arrays import Bool, Float64, Int32
from omnireid.synthetic.mesh import Mesh, TextureBank
from omnireid.synthetic.places.layouts import LAYOUTS, Ground
from omnireid.synthetic.places.solids import Builder, Footprint

PLACE_KINDS = tuple(LAYOUTS)
CELL = 0.5
# Half the width of a person and some air.
PERSON_RADIUS = 0.35
_NUM_GATES = 10


@dataclass(frozen=True, eq=False)
class Place:
    """Attributes:
    kind: one of `PLACE_KINDS`.
    mesh, bank: all that stands in it.
    ground: size, ceiling and strips.
    footprints: what nobody walks through.
    gates: (G, 2) float64, where people come from and go to, metres.
    """

    kind: str
    mesh: Mesh
    bank: TextureBank
    ground: Ground
    footprints: tuple[Footprint, ...]
    gates: Float64

    @property
    def indoor(self) -> bool:
        """Whether there is a ceiling above."""
        return bool(np.isfinite(self.ground.ceiling))

    def is_free(self, points: Float64, margin: float = PERSON_RADIUS) -> Bool:
        """(N,) bool: where in the world a person can stand; `points` is (N, 2), metres."""
        return _is_free(self.ground, self.footprints, points, margin)

    @cached_property
    def ways(self) -> tuple[Float64, ...]:
        """The ways from every gate to every other: (N, 2) float64 points `CELL` or less apart, smoothed."""
        return _ways(self)


def make_place(generator: np.random.Generator, kind: str) -> Place:
    """Build a place of a kind."""
    builder = Builder(generator)
    ground = LAYOUTS[kind](builder)
    mesh, bank = builder.finish()
    footprints = tuple(builder.footprints)
    return Place(kind, mesh, bank, ground, footprints, _gates(generator, ground, footprints))


def _is_free(ground: Ground, footprints: tuple[Footprint, ...], points: Float64, margin: float) -> Bool:
    length, width = ground.size
    free = (points[:, 0] >= margin) & (points[:, 0] <= length - margin)
    free &= (points[:, 1] >= margin) & (points[:, 1] <= width - margin)
    if ground.strips:
        free &= np.any(
            [(points[:, 1] >= near) & (points[:, 1] <= far) for near, far in ground.strips], axis=0
        )
    for footprint in footprints:
        free &= ~footprint.covers(points, margin)
    return free


def _centres(ground: Ground) -> tuple[Float64, tuple[int, int]]:
    columns, rows = (max(1, int(side / CELL)) for side in ground.size)
    x, y = np.meshgrid((np.arange(columns) + 0.5) * CELL, (np.arange(rows) + 0.5) * CELL)
    return np.column_stack([x.ravel(), y.ravel()]), (rows, columns)


def _graph(ground: Ground, footprints: tuple[Footprint, ...]) -> tuple[Float64, coo_matrix, Bool]:
    """Cells of the ground, and steps between free neighbours with their lengths."""
    centres, (rows, columns) = _centres(ground)
    free = _is_free(ground, footprints, centres, PERSON_RADIUS)
    number = np.arange(rows * columns).reshape(rows, columns)
    pairs, lengths = [], []
    for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
        a = number[: rows - down, max(0, -right) : columns - max(0, right)].ravel()
        b = number[down:, max(0, right) : columns + min(0, right)].ravel()
        both = free[a] & free[b]
        pairs.append(np.stack([a[both], b[both]]))
        lengths.append(np.full(int(both.sum()), np.hypot(down, right) * CELL))
    a, b = np.concatenate(pairs, axis=1)
    graph = coo_matrix((np.concatenate(lengths), (a, b)), shape=(number.size, number.size)).tocsr()
    return centres, graph, free


def _gates(generator: np.random.Generator, ground: Ground, footprints: tuple[Footprint, ...]) -> Float64:
    """Free cells, most of them at the rim, that can all be reached from each other."""
    centres, graph, free = _graph(ground, footprints)
    cells = np.flatnonzero(free)
    if not len(cells):
        return np.zeros((0, 2))
    start = int(cells[int(generator.integers(len(cells)))])
    best = np.zeros(0, dtype=np.int64)
    for _ in range(8):
        reached = np.flatnonzero(np.isfinite(dijkstra(graph, directed=False, indices=start)))
        if len(reached) > len(best):
            best = reached
        if len(best) > len(cells) / 2:
            break
        start = int(cells[int(generator.integers(len(cells)))])
    x, y = centres[best].T
    length, width = ground.size
    rim = np.minimum(np.minimum(x, length - x) / length, np.minimum(y, width - y) / width)
    weights = np.exp(-rim / 0.06) + 0.1
    chosen = generator.choice(len(best), min(_NUM_GATES, len(best)), replace=False, p=weights / weights.sum())
    return centres[best[chosen]]


def _ways(place: Place) -> tuple[Float64, ...]:
    centres, graph, _ = _graph(place.ground, place.footprints)
    columns = max(1, int(place.ground.size[0] / CELL))
    cells = [int(y / CELL) * columns + int(x / CELL) for x, y in place.gates]
    _, before = dijkstra(graph, directed=False, indices=cells, return_predecessors=True)
    ways = []
    for row, start in enumerate(cells):
        for end in cells:
            if end == start:
                continue
            way = _smoothed(centres[_trace(before[row], start, end)])
            if len(way) > 5:
                ways.append(way)
    return tuple(ways)


def _trace(before: Int32, start: int, end: int) -> list[int]:
    cells = [end]
    while cells[-1] != start and before[cells[-1]] >= 0:
        cells.append(int(before[cells[-1]]))
    return cells[::-1]


def _smoothed(way: Float64) -> Float64:
    """Means over a metre or two: people cut corners and do not walk in eight directions."""
    for _ in range(3):
        if len(way) > 2:
            way = np.concatenate([way[:1], (way[:-2] + 2 * way[1:-1] + way[2:]) / 4, way[-1:]])
    return way

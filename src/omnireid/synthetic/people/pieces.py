"""Pieces of geometry in the rest pose: what bodies, garments and things are made of."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from omnireid.core.arrays import Bool, Float32, Float64, Int64
from omnireid.synthetic.mesh import smooth_normals
from omnireid.synthetic.people.outfit import Slot


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """A surface of one slot, bound to bones.

    Attributes:
        vertices: (V, 3) float64, metres, in the rest pose.
        faces: (F, 3) int64, counter-clockwise seen from outside.
        uvs: (V, 2) float64; u is cyclic, so that a face across the seam knows what to do.
        bones: (V, 4) int64. weights: (V, 4) float64, sum 1.
    """

    slot: Slot
    vertices: Float64
    faces: Int64
    uvs: Float64
    bones: Int64
    weights: Float64

    def with_vertices(self, vertices: Float64) -> Piece:
        return dataclasses.replace(self, vertices=vertices)

    def normals(self) -> Float32:
        return smooth_normals(self.vertices.astype(np.float32), self.faces.astype(np.int32))

    def pushed(self, distance: Float64 | float) -> Piece:
        """Every vertex moved along its normal; `distance` (V,) or one number, metres."""
        step = np.broadcast_to(np.asarray(distance, np.float64), (len(self.vertices),))
        return self.with_vertices(self.vertices + self.normals() * step[:, None])

    def corner_uvs(self) -> Float32:
        """(F, 3, 2) float32; a face across the seam has u above 1 rather than all around."""
        uvs = self.uvs[self.faces]
        u = uvs[..., 0]
        torn = np.ptp(u, axis=1) > 0.5
        uvs[..., 0] = np.where(torn[:, None] & (u < 0.5), u + 1, u)
        return uvs.astype(np.float32)

    def faces_where(self, keep: Bool) -> Piece:
        """Some of the faces, and the vertices that they need."""
        faces = self.faces[keep]
        there = np.zeros(len(self.vertices), bool)
        there[faces] = True
        used = np.flatnonzero(there)
        compact = (np.cumsum(there) - 1)[faces]
        return dataclasses.replace(
            self,
            vertices=self.vertices[used],
            faces=compact,
            uvs=self.uvs[used],
            bones=self.bones[used],
            weights=self.weights[used],
        )

    def cut(self, level: Float64, *fields: Float64) -> tuple[Piece, list[Float64]]:
        """The part where `level` (V,) is at most 0, cut through faces; and what the fields (V,) are there."""
        inside = level <= 0
        count = inside[self.faces].sum(1)
        whole = self.faces[count == 3]
        crossed = self.faces[(count == 1) | (count == 2)]
        if not len(crossed):
            part = self.faces_where(count == 3)
            there = np.zeros(len(level), bool)
            there[whole] = True
            return part, [field[there] for field in fields]
        # Turn each crossed face so that the corner alone on its side comes first.
        alone_inside = inside[crossed].sum(1) == 1
        alone = np.where(alone_inside[:, None], inside[crossed], ~inside[crossed]).argmax(1)
        turned = crossed[np.arange(len(crossed))[:, None], (alone[:, None] + np.arange(3)) % 3]
        a, b, c = turned.T
        edges = np.concatenate([np.stack([a, b], 1), np.stack([a, c], 1)])
        number = len(self.vertices)
        keys, index = np.unique(edges.min(1) * number + edges.max(1), return_inverse=True)
        first, second = keys // number, keys % number
        index = index.reshape(-1) + number
        ab, ac = index[: len(a)], index[len(a) :]
        new = np.where(
            alone_inside[:, None, None],
            np.stack([np.stack([a, ab, ac], 1), np.full((len(a), 3), -1)], 1),
            np.stack([np.stack([ab, b, c], 1), np.stack([ab, c, ac], 1)], 1),
        ).reshape(-1, 3)
        new = new[new[:, 0] >= 0]
        share = level[first] / (level[first] - level[second])
        extended = self._with_mixed(first, second, share)
        faces = np.concatenate([whole, new])
        part = dataclasses.replace(extended, faces=faces)
        used = np.zeros(len(extended.vertices), bool)
        used[faces] = True
        carried = [
            np.concatenate([field, field[first] + (field[second] - field[first]) * share])[used]
            for field in fields
        ]
        return part.faces_where(np.ones(len(faces), bool)), carried

    def _with_mixed(self, first: Int64, second: Int64, share: Float64) -> Piece:
        """The piece with further vertices between pairs of its own."""
        s = share[:, None]
        u, v = self.uvs[first].copy(), self.uvs[second].copy()
        gap = v[:, 0] - u[:, 0]
        v[:, 0] -= np.round(gap) * (np.abs(gap) > 0.5)
        uvs = u + (v - u) * s
        uvs[:, 0] %= 1.0
        bones, weights = mixed_skin(
            (self.bones[first], self.weights[first]), (self.bones[second], self.weights[second]), share
        )
        return dataclasses.replace(
            self,
            vertices=np.concatenate(
                [self.vertices, self.vertices[first] + (self.vertices[second] - self.vertices[first]) * s]
            ),
            uvs=np.concatenate([self.uvs, uvs]),
            bones=np.concatenate([self.bones, bones]),
            weights=np.concatenate([self.weights, weights]),
        )


Skin = tuple[Int64, Float64]
"""(V, 4) bones and (V, 4) weights."""


def mixed_skin(first: Skin, second: Skin, share: Float64) -> Skin:
    """The four strongest bones of a mean of two, `share` (V,) of the second."""
    bones = np.concatenate([first[0], second[0]], 1)
    weights = np.concatenate([first[1] * (1 - share[:, None]), second[1] * share[:, None]], 1)
    num_bones = int(bones.max(initial=0)) + 1
    dense = np.zeros((len(bones), num_bones))
    np.add.at(dense, (np.arange(len(bones))[:, None], bones), weights)
    return strongest(dense)


def strongest(dense: Float64) -> Skin:
    """The four strongest bones of (V, B) weights, normalised."""
    if dense.shape[1] < 4:
        dense = np.pad(dense, ((0, 0), (0, 4 - dense.shape[1])))
    top = np.argsort(-dense, axis=1, kind="stable")[:, :4]
    weights = np.take_along_axis(dense, top, 1)
    return top, weights / np.maximum(weights.sum(1, keepdims=True), 1e-12)


def rigid(bone: int, number: int) -> Skin:
    """The skin of a solid thing that follows one bone."""
    bones = np.zeros((number, 4), np.int64)
    weights = np.zeros((number, 4))
    bones[:, 0], weights[:, 0] = bone, 1.0
    return bones, weights


def tube(
    slot: Slot,
    rings: Float64,
    skin: Skin,
    *,
    u: Float64 | None = None,
    v: Float64 | None = None,
    closed: bool = True,
    cap_top: bool = False,
    cap_end: bool = False,
) -> Piece:
    """A surface of rings: row 0 the upper end, columns counter-clockwise seen from above, beginning behind.

    Args:
        rings: (R, C, 3) points. skin: for the R * C points in that order.
        u, v: (C,) and (R,); evenly from 0 to 1 when not given. closed: the last column meets the first.
        cap_top, cap_end: close the first and the last ring with a fan.
    """
    rows, columns = rings.shape[:2]
    if u is None:
        u = np.arange(columns) / columns if closed else np.linspace(0, 1, columns)
    if v is None:
        v = np.linspace(0, 1, rows)
    index = np.arange(rows * columns).reshape(rows, columns)
    right = np.roll(index, -1, axis=1) if closed else index[:, 1:]
    left = index if closed else index[:, :-1]
    a, b, c, d = left[:-1], left[1:], right[1:], right[:-1]
    faces = np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)])
    vertices = rings.reshape(-1, 3)
    uvs = np.stack(np.broadcast_arrays(u[None, :], v[:, None]), -1).reshape(-1, 2)
    bones, weights = skin
    extra = []
    for wanted, row, flip in ((cap_top, 0, True), (cap_end, rows - 1, False)):
        if wanted:
            centre = len(vertices)
            vertices = np.concatenate([vertices, rings[row].mean(0)[None]])
            uvs = np.concatenate([uvs, [[0.5, v[row]]]])
            bones = np.concatenate([bones, bones[index[row, :1]]])
            weights = np.concatenate([weights, weights[index[row, :1]]])
            ring, nxt = index[row], np.roll(index[row], -1)
            fan = np.stack([ring, nxt, np.full(columns, centre)], -1)
            extra.append(fan if flip else fan[:, [1, 0, 2]])
    if extra:
        # A cap's corners are its ring's: u of the centre is irrelevant.
        faces = np.concatenate([faces, *extra])
    return Piece(slot, vertices, faces, uvs, bones, weights)


def directions(u: Float64) -> Float64:
    """(N, 2) x and y of the directions that u names: 0.5 forward, 0.75 left."""
    angle = 2 * np.pi * u
    return np.stack([-np.cos(angle), -np.sin(angle)], -1)


def solid(
    slot: Slot, corners: Float64, faces: Sequence[Sequence[int]], uvs: Float64, bone: int, sharp: bool = True
) -> Piece:
    """Triangles that follow one bone; sharp ones share no corners, so that edges stay edges."""
    index = np.asarray(faces, np.int64)
    vertices, uv = np.asarray(corners, np.float64), np.asarray(uvs, np.float64)
    if sharp:
        vertices, uv = vertices[index].reshape(-1, 3), uv[index].reshape(-1, 2)
        index = np.arange(len(vertices)).reshape(-1, 3)
    return Piece(slot, vertices, index, uv, *rigid(bone, len(vertices)))

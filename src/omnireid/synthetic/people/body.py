"""One person's body in the rest pose: bones, the suit of skin that garments are cut from, head and hands."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from omnireid.core.arrays import Float64, Int64
from omnireid.synthetic.mesh import smooth_normals
from omnireid.synthetic.people.assets import SIDES, Assets, Charts, assets, charts, rotation_between
from omnireid.synthetic.people.outfit import Slot
from omnireid.synthetic.people.pieces import Piece, Skin
from omnireid.synthetic.people.shape import Shape, body_points


@dataclass(frozen=True, slots=True, eq=False)
class Body:
    """A body at rest: legs upright below the hips, arms away from the trunk as MakeHuman has them.

    Attributes:
        points: (V, 3) float64, the vertices of `Assets` in the rest pose.
        normals: (V, 3) float64 of the suit's vertices (0 elsewhere).
        at: landmark or joint to (3,).
        scale: stature over 1.75 m: what is made for a usual person is scaled by it.
        waist, crotch: their heights, metres.
        detail: "fine" or "coarse" faces.
    """

    shape: Shape
    points: Float64
    normals: Float64
    at: dict[str, Float64]
    scale: float
    waist: float
    crotch: float
    coarse: bool

    @property
    def assets(self) -> Assets:
        return assets()

    @property
    def charts(self) -> Charts:
        return charts()

    def height_of(self, down: float) -> float:
        """z of a value of the chart `down`."""
        chart = charts()
        knots = [chart.neck, 0.0, chart.crotch, chart.knee, 1.0]
        heights = [self.at["neck"][2], self.waist, self.crotch, self.at["calf_l"][2], self.at["foot_l"][2]]
        return float(np.interp(down, knots, heights))

    def suit(self, slot: Slot, u: Float64, v: Float64) -> Piece:
        """The whole suit as a piece of a slot, with charts u and v (V,) on it."""
        a = self.assets
        faces = a.faces["suit_coarse" if self.coarse else "suit"]
        weights = a.skin_weights.astype(np.float64)
        return Piece(slot, self.points, faces, np.stack([u, v], 1), a.skin_bones, weights)

    def skin_at(self, rows: Int64) -> Skin:
        return self.assets.skin_bones[rows], self.assets.skin_weights[rows].astype(np.float64)


def make_body(shape: Shape, *, coarse: bool = False) -> Body:
    """The body of a shape, its legs brought upright and its feet parallel."""
    a = assets()
    points = body_points(shape)
    at = {name: points[row] for name, row in a.landmarks.items()}
    vertices = points[: a.num_vertices]
    rotations = {name: np.eye(3) for name in a.bones}
    for s in SIDES:
        thigh = unit(at[f"calf_{s}"] - at[f"thigh_{s}"])
        calf = unit(at[f"foot_{s}"] - at[f"calf_{s}"])
        sign = 1 if s == "l" else -1
        upright = unit(np.array([0.02, -0.02 * sign, -1.0]))
        rotations[f"thigh_{s}"] = rotation_between(thigh, upright)
        below = rotation_between(calf, unit(np.array([-0.035, -0.015 * sign, -1.0])))
        for bone in ("calf", "foot", "ball"):
            rotations[f"{bone}_{s}"] = below if bone == "calf" else np.eye(3)
    # Global rotations; joints follow their parents'.
    joints: dict[str, Float64] = {}
    for name, parent in zip(a.bones, a.parents, strict=True):
        if parent < 0:
            joints[name] = at[name]
        else:
            above = a.bones[parent]
            joints[name] = joints[above] + rotations[above] @ (at[name] - at[above])
    turns = np.stack([rotations[name] for name in a.bones])
    offsets = np.stack([joints[name] - rotations[name] @ at[name] for name in a.bones])
    moved = np.zeros_like(vertices)
    for i in range(4):
        b, w = a.skin_bones[:, i], a.skin_weights[:, i, None]
        moved += w * (np.einsum("vij,vj->vi", turns[b], vertices) + offsets[b])
    owner = {name: name for name in a.bones} | {
        "head_top": "head",
        "mouth": "head",
        "jaw": "head",
        "crown": "head",
    }
    for s in SIDES:
        owner |= {f"eye_{s}": "head", f"knuckle_{s}": f"hand_{s}"}
        owner |= {
            f"{n}_{s}": f"foot_{s}" for n in ("heel", "outer", "inner", "sole_heel", "sole_ball", "toe")
        }
    placed = {}
    for name in a.landmarks:
        bone = owner[name]
        placed[name] = joints[bone] + rotations[bone] @ (at[name] - at[bone])
    lift = -np.mean([placed[f"sole_heel_{s}"][2] for s in SIDES])
    shift = np.array([-placed["pelvis"][0], 0, lift])
    moved += shift
    placed = {name: place + shift for name, place in placed.items()}
    normals = smooth_normals(moved.astype(np.float32), a.faces["suit"].astype(np.int32)).astype(np.float64)
    down = charts().down[a.suit_rows]
    waist, crotch = (
        float(moved[a.suit_rows[np.abs(down - value) < 0.03], 2].mean()) for value in (0.0, charts().crotch)
    )
    return Body(shape, moved, normals, placed, shape.stature / 1.75, waist, crotch, coarse)


def hull_radii(
    points: Float64, heights: Float64, axis: Float64, facing: Float64, tolerance: float
) -> Float64:
    """How far the convex hull of points reaches from an axis, ring by ring.

    Args:
        points: (N, 3). heights: (R,) z. axis: (2,) x and y, or (R, 2). facing: (C, 2) unit directions.
        tolerance: points this near to a height count, metres.

    Returns:
        (R, C) metres; 0 where there are no points.
    """
    angles = 2 * np.pi * np.arange(28) / 28
    normals = np.stack([np.cos(angles), np.sin(angles)], 1)
    cosines = facing @ normals.T
    axes = np.broadcast_to(axis, (len(heights), 2))
    radii = np.zeros((len(heights), len(facing)))
    for row, height in enumerate(heights):
        near = points[np.abs(points[:, 2] - height) < tolerance, :2] - axes[row]
        if len(near):
            support = (near[:, :1] * normals[:, 0] + near[:, 1:] * normals[:, 1]).max(0)
            reach = np.where(cosines > 0.2, support / np.maximum(cosines, 0.2), np.inf)
            radii[row] = np.maximum(reach.min(1), 0.0)
    return radii


def unit(vector: Float64) -> Float64:
    result: Float64 = vector / np.linalg.norm(vector)
    return result


__all__ = ["Body", "hull_radii", "make_body", "unit"]

"""A person who can be posed: all pieces in one mesh, and the skeleton that moves them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from omnireid.core.arrays import Float32, Float64, Int32, Int64
from omnireid.synthetic.mesh import Mesh
from omnireid.synthetic.people.assets import SIDES, assets, rotation_between
from omnireid.synthetic.people.body import Body, unit
from omnireid.synthetic.people.outfit import SLOTS, OutfitCut
from omnireid.synthetic.people.pieces import Piece
from omnireid.synthetic.people.pose import Pose, Reach, turn_x, turn_z

FRAMES = ("held_l", "held_r", "ground", "hauled")
"""Frames beyond the bones: upright at a hand's grip; the body frame; from a hand to the ground behind."""


@dataclass(frozen=True, slots=True, eq=False)
class Skeleton:
    """The joints of one body and the rotations that bring it from rest to neutral.

    Attributes:
        joints: (B, 3) at rest. neutral: (B, 3, 3) global rotations of the neutral pose.
        grips: side to where the hand holds things, at rest.
        scale: stature over 1.75 m.
        hitch: where the wheels of what is hauled touch the ground, from the pelvis; at rest the thing lies
            there.
    """

    names: tuple[str, ...]
    parents: tuple[int, ...]
    joints: Float64
    neutral: Float64
    grips: dict[str, Float64]
    scale: float

    @classmethod
    def of(cls, body: Body, ease: float = 0.0) -> Skeleton:
        """The skeleton of a body whose clothes are `ease` metres from it: arms hang beside them."""
        a = assets()
        beside = a.suit_rows[body.charts.arm[a.suit_rows] < 0.3]
        beside = beside[np.abs(body.charts.down[beside] - 0.08) < 0.15]
        half = float(np.abs(body.points[beside, 1]).max()) + 0.6 * ease + 0.05 * body.scale
        joints = np.stack([body.at[name] for name in a.bones])
        neutral = np.tile(np.eye(3), (len(a.bones), 1, 1))
        for s, sign in (("l", 1.0), ("r", -1.0)):
            shoulder, elbow, wrist = (body.at[f"{name}_{s}"] for name in ("upperarm", "forearm", "hand"))
            upper, fore = unit(elbow - shoulder), unit(wrist - elbow)
            length = float(np.linalg.norm(wrist - shoulder))
            apart = float(np.clip((half - sign * shoulder[1]) / length, 0.08, 0.32))
            hanging = unit(np.array([-0.03, sign * (apart + 0.04), -1.0]))
            first = rotation_between(upper, hanging)
            second = (
                rotation_between(first @ fore, unit(np.array([0.06, sign * (apart - 0.03), -1.0]))) @ first
            )
            palm = turn_z(-0.5 * sign)
            for bone, turn in (("upperarm", first), ("forearm", palm @ second), ("hand", palm @ second)):
                neutral[a.bone(f"{bone}_{s}")] = turn
        grips = {
            s: body.at[f"hand_{s}"] + 1.05 * (body.at[f"knuckle_{s}"] - body.at[f"hand_{s}"]) for s in SIDES
        }
        return cls(a.bones, a.parents, joints, neutral, grips, body.scale)

    def posed(self, pose: Pose) -> tuple[Float64, Float64]:
        """Global rotations (B, 3, 3) and joints (B, 3); the pelvis where it is at rest."""
        number = len(self.names)
        turns = np.empty((number, 3, 3))  # relative to neutral
        places = np.empty((number, 3))
        identity = np.eye(3)
        for b, name in enumerate(self.names):
            parent = self.parents[b]
            local = pose.rotations.get(name, identity)
            if parent < 0:
                turns[b], places[b] = local, self.joints[b]
                continue
            places[b] = places[parent] + turns[parent] @ (
                self.neutral[parent] @ (self.joints[b] - self.joints[parent])
            )
            turns[b] = turns[parent] @ local
        result = np.einsum("bij,bjk->bik", turns, self.neutral)
        for side, reach in pose.reaches.items():
            self._reach(side, reach, result, places)
        return result, places

    def _reach(self, side: str, reach: Reach, rotations: Float64, places: Float64) -> None:
        """Bring a wrist to its target: two bones, the elbow in the plane that it points to."""
        row = {name: self.names.index(f"{name}_{side}") for name in ("upperarm", "forearm", "hand")}
        chest = rotations[self.names.index("spine_3")]
        shoulder = places[row["upperarm"]]
        target, pole = np.array(reach.target) * self.scale, np.array(reach.elbow)
        if not reach.grounded:
            target, pole = shoulder + chest @ target, chest @ pole
        rest = [self.joints[row[name]] for name in ("upperarm", "forearm", "hand")]
        upper, fore = rest[1] - rest[0], rest[2] - rest[1]
        a, b = float(np.linalg.norm(upper)), float(np.linalg.norm(fore))
        distance = float(np.clip(np.linalg.norm(target - shoulder), abs(a - b) + 0.02, 0.998 * (a + b)))
        towards = unit(target - shoulder)
        side_of = unit(pole - towards * (pole @ towards))
        along = (a * a - b * b + distance * distance) / (2 * distance)
        elbow = shoulder + towards * along + side_of * np.sqrt(max(a * a - along * along, 0.0))
        wrist = shoulder + towards * distance
        first, second = unit(elbow - shoulder), unit(wrist - elbow)
        # The axis of the elbow is kept: at rest the forearm bends in the plane of its two bones.
        axis_rest = unit(np.cross(upper, fore))
        axis = (
            unit(np.cross(first, second))
            if np.linalg.norm(np.cross(first, second)) > 1e-3
            else unit(np.cross(side_of, first))
        )
        frame = np.stack([first, axis, np.cross(first, axis)], 1)
        frame_rest = np.stack([unit(upper), axis_rest, np.cross(unit(upper), axis_rest)], 1)
        rotations[row["upperarm"]] = frame @ frame_rest.T
        frame = np.stack([second, axis, np.cross(second, axis)], 1)
        frame_rest = np.stack([unit(fore), axis_rest, np.cross(unit(fore), axis_rest)], 1)
        c, s = np.cos(reach.twist), np.sin(reach.twist)
        twist = np.array([[1.0, 0, 0], [0, c, -s], [0, s, c]])
        rotations[row["forearm"]] = frame @ turn_x(0.5 * reach.twist) @ frame_rest.T
        rotations[row["hand"]] = frame @ twist @ frame_rest.T
        places[row["forearm"]], places[row["hand"]] = elbow, wrist


@dataclass(frozen=True, slots=True, eq=False)
class RiggedPerson:
    """All that somebody is made of, ready to be posed.

    Attributes:
        vertices, normals: (V, 3) float32 at rest. bones: (V, 4) int64. weights: (V, 4) float32.
        faces: (F, 3) int32. uvs: (F, 3, 2) float32. textures: (F,) int32 into `slots`.
        feet: (N,) rows of the vertices that touch the ground.
        grounded: (V,) bool, vertices that stand on the ground by themselves (a bicycle).
        stature: metres, barefoot.
        hauling: the side ("l", "r") of the hand that pulls a trolley.
    """

    skeleton: Skeleton
    vertices: Float32
    normals: Float32
    bones: Int64
    weights: Float32
    faces: Int32
    uvs: Float32
    textures: Int32
    owners: Int32
    feet: Int64
    grounded: Int64
    stature: float
    hauling: str = "r"
    slots: tuple[str, ...] = SLOTS

    def posed(self, pose: Pose) -> Mesh:
        """The mesh in the body frame, the lower foot on the ground; all owners are 1."""
        from omnireid.synthetic.people.kernels import skin

        rotations, places = self.skeleton.posed(pose)
        frames, origins = self._frames(rotations, places)
        every = np.concatenate([rotations, frames])
        rest = np.concatenate([self.skeleton.joints, origins[:, 0]])
        offsets = np.concatenate([places, origins[:, 1]]) - np.einsum("bij,bj->bi", every, rest)
        vertices, normals = np.empty_like(self.vertices), np.empty_like(self.normals)
        skin(
            self.vertices,
            self.normals,
            self.bones,
            self.weights,
            every.astype(np.float32),
            offsets.astype(np.float32),
            vertices,
            normals,
        )
        lift = -vertices[self.feet, 2].min()
        ground = vertices[self.grounded, 2]
        vertices[:, 2] += lift
        vertices[self.grounded, 2] = ground
        return Mesh(vertices, self.faces, self.uvs, self.textures, self.owners, normals)

    def _frames(self, rotations: Float64, places: Float64) -> tuple[Float64, Float64]:
        """(4, 3, 3) rotations of `FRAMES`, and (4, 2, 3) their origins at rest and posed."""
        bones = self.skeleton
        turns = np.tile(np.eye(3), (len(FRAMES), 1, 1))
        origins = np.zeros((len(FRAMES), 2, 3))
        for row, side in enumerate(SIDES):
            hand = bones.names.index(f"hand_{side}")
            grip = bones.grips[side]
            origins[row] = grip, places[hand] + rotations[hand] @ (grip - bones.joints[hand])
        # What is hauled stands upright at rest, and leans until it meets the hand.
        hand = origins[SIDES.index(self.hauling), 1]
        back = np.array([hand[0] - 0.62 * bones.scale, hand[1] + 0.02, 0.0])
        towards = hand - back
        angle = np.arctan2(towards[0], towards[2])
        c, s = np.cos(angle), np.sin(angle)
        turns[3] = [[c, 0, s], [0, 1, 0], [-s, 0, c]]
        origins[3] = [0, 0, 0], back
        return turns, origins


def assembled(body: Body, pieces: list[Piece], cut: OutfitCut) -> RiggedPerson:
    """One mesh of all pieces."""
    starts = np.cumsum([0, *(len(piece.vertices) for piece in pieces)])
    vertices = np.concatenate([piece.vertices for piece in pieces]).astype(np.float32)
    normals = np.concatenate([piece.normals() for piece in pieces])
    bones = np.concatenate([piece.bones for piece in pieces])
    weights = np.concatenate([piece.weights for piece in pieces]).astype(np.float32)
    faces = np.concatenate([piece.faces + start for piece, start in zip(pieces, starts, strict=False)])
    textures = np.concatenate([np.full(len(piece.faces), SLOTS.index(piece.slot)) for piece in pieces])
    shoes = [
        np.arange(start, start + len(piece.vertices))
        for piece, start in zip(pieces, starts, strict=False)
        if piece.slot == "shoe"
    ]
    standing = [len(assets().bones) + FRAMES.index(name) for name in ("ground", "hauled")]
    return RiggedPerson(
        skeleton=Skeleton.of(body, cut.top_looseness),
        vertices=vertices,
        normals=normals,
        bones=bones.astype(np.int64),
        weights=weights,
        faces=faces.astype(np.int32),
        uvs=np.concatenate([piece.corner_uvs() for piece in pieces]),
        textures=textures.astype(np.int32),
        owners=np.ones(len(faces), np.int32),
        feet=np.concatenate(shoes),
        grounded=np.flatnonzero(np.isin(bones[:, 0], standing)),
        stature=body.shape.stature,
        hauling=cut.hauling_side[0],
    )

"""The body's arrays, as tools/people_assets.py makes them of MakeHuman's CC0 assets, and its charts.

A chart says where on the body a vertex is, independent of whose body it is: how far down, along an arm,
around.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from omnireid.core.arrays import Bool, Float32, Float64, Int64

FILE: Final = Path(__file__).with_name("people.npz")
SHA256: Final = "85f51eaac865934c09d76c8fd0123da890659a44504dba53d663d50f33ebd016"
SIDES: Final = ("l", "r")
ELBOW: Final = 0.52
"""Where the elbow is between shoulder (0) and wrist (1); sleeves are measured so."""


@dataclass(frozen=True, slots=True, eq=False)
class Assets:
    """Vertices of head, hands and a suit from neck to ankle, how they vary, and the bones they follow.

    Attributes:
        mean: (V + L, 3) float64, metres: V vertices, then L landmarks, of the mean person.
        basis: (R, V + L, 3) float32 components; projection: (K + 1, R) from blend weights to components, the
            last row their constant.
        masks: (K, N) bool: of which variations a blend shape is a product; variations: their N names.
        bones, parents: B names and the row of each one's parent, −1 of the root.
        landmarks: row of each landmark in `mean`; a bone's name is its joint.
        skin_bones, skin_weights: (V, 4) int64 and float32, weights sum to 1.
        faces: of head, hands and suit, (F, 3) int64; each also coarse. suit_rows: the suit's vertices.
    """

    mean: Float64
    basis: Float32
    projection: Float64
    masks: Bool
    variations: tuple[str, ...]
    bones: tuple[str, ...]
    parents: tuple[int, ...]
    landmarks: dict[str, int]
    skin_bones: Int64
    skin_weights: Float32
    template: Float64
    faces: dict[str, Int64]
    suit_rows: Int64

    @property
    def num_vertices(self) -> int:
        return len(self.skin_bones)

    def bone(self, name: str) -> int:
        return self.bones.index(name)


@functools.lru_cache(maxsize=1)
def assets() -> Assets:
    """The assets, read once per process."""
    with np.load(FILE) as file:
        stored = {name: file[name] for name in file.files}
    basis = (stored["basis"] * stored["scales"][:, None].astype(np.float32)).reshape(
        len(stored["basis"]), -1, 3
    )
    num_vertices = len(stored["skin_bones"])
    weights = stored["skin_weights"].astype(np.float32)
    return Assets(
        suit_rows=np.unique(stored["tights"].astype(np.int64)),
        mean=stored["mean"].astype(np.float64),
        basis=basis,
        projection=stored["projection"].astype(np.float64),
        masks=stored["masks"],
        variations=tuple(map(str, stored["variations"])),
        bones=tuple(map(str, stored["bones"])),
        parents=tuple(map(int, stored["parents"])),
        landmarks={str(name): num_vertices + row for row, name in enumerate(stored["landmarks"])},
        skin_bones=stored["skin_bones"].astype(np.int64),
        skin_weights=weights / weights.sum(1, keepdims=True),
        template=stored["template"].astype(np.float64),
        faces={
            name: stored[key].astype(np.int64)
            for name, key in (
                ("head", "head"),
                ("head_coarse", "head_coarse"),
                ("hands", "hands"),
                ("hands_coarse", "hands_coarse"),
                ("suit", "tights"),
                ("suit_coarse", "tights_coarse"),
            )
        },
    )


@dataclass(frozen=True, slots=True, eq=False)
class Charts:
    """Coordinates on the body, of the template: every person has the same.

    Attributes:
        down: (V,) float64, the waist 0, the ankle 1; below 0 the chest.
        crotch, neck, knee: values of `down` there.
        along: (V,) float64, the shoulder 0, the wrist 1, of the nearer arm.
        arm: (V,) float64, share of the skin weights that arms and hands have.
        side: (V,) float64, above 0 on the person's left.
        around_trunk, around_arm, around_leg, around_head: (V,) float64, u as `SLOTS` says.
        head_down: (V,) float64, the crown 0, the neck's base 1. head_axis: (3,) a point on its axis.
        collar: (V,) float64, below 0 where a round neckline leaves the skin free, above on the shoulders.
        neck_height: (V,) float64, metres above the joint of the neck.
    """

    down: Float64
    crotch: float
    neck: float
    knee: float
    along: Float64
    arm: Float64
    side: Float64
    around_trunk: Float64
    around_arm: Float64
    around_leg: Float64
    around_head: Float64
    head_down: Float64
    head_axis: Float64
    collar: Float64
    neck_height: Float64


def around(offset: Float64, forward: Float64, left: Float64) -> Float64:
    """u of offsets from an axis: 0.5 in front, 0.75 on the left, 0 and 1 behind."""
    result: Float64 = 0.5 + np.arctan2((offset * left).sum(-1), (offset * forward).sum(-1)) / (2 * np.pi)
    return result


def _limb(points: Float64, joints: list[Float64], shares: list[float]) -> tuple[Float64, Float64]:
    """Share of the way along a chain of three joints, and u around it; forward turns with the chain."""
    a, b, c = joints
    upper, lower = (b - a) / np.linalg.norm(b - a), (c - b) / np.linalg.norm(c - b)
    halfway = upper + lower
    below = ((points - b) * halfway).sum(1) > 0
    along_upper = shares[0] * ((points - a) * upper).sum(1) / np.linalg.norm(b - a)
    along_lower = shares[0] + (shares[1] - shares[0]) * ((points - b) * lower).sum(1) / np.linalg.norm(c - b)
    along = np.where(below, along_lower, along_upper)
    forward_upper = np.array([1.0, 0, 0]) - upper[0] * upper
    forward_upper /= np.linalg.norm(forward_upper)
    forward_lower = rotation_between(upper, lower) @ forward_upper
    result = np.zeros(len(points))
    for rows, origin, direction, forward in (
        (~below, a, upper, forward_upper),
        (below, b, lower, forward_lower),
    ):
        offset = points[rows] - origin
        result[rows] = around(offset, forward, np.cross(forward, direction))
    return along, result


def _neckline(offset: Float64) -> Float64:
    """(N,) below 0 inside an egg around the neck, which reaches further and lower in front."""
    length = np.where(offset[:, 0] > 0, 0.082, 0.070)
    egg = np.hypot(offset[:, 0] / length, offset[:, 1] / 0.088) - 1
    lowest = -0.03 - 0.10 * np.clip(offset[:, 0] / 0.05 + 0.4, 0, 1)
    result: Float64 = np.maximum(egg, (lowest - offset[:, 2]) / 0.08)
    return result


def rotation_between(a: Float64, b: Float64) -> Float64:
    """(3, 3), the smallest rotation of unit vector a onto unit vector b, which are not opposite."""
    v = np.cross(a, b)
    c = float(a @ b)
    cross = np.array([[0, -v[2], v[1]], [v[2], 0, -v[0]], [-v[1], v[0], 0]])
    result: Float64 = np.eye(3) + cross + cross @ cross / (1 + c)
    return result


@functools.lru_cache(maxsize=1)
def charts() -> Charts:
    """The charts, made once per process."""
    a = assets()
    at = {name: a.template[row] for name, row in a.landmarks.items()}
    points = a.template[: a.num_vertices]
    waist = at["spine_2"][2] - 0.02
    ankle = (at["foot_l"][2] + at["foot_r"][2]) / 2
    scale = waist - ankle
    down = (waist - points[:, 2]) / scale
    suit = np.unique(a.faces["suit"])
    middle = suit[np.abs(points[suit, 1]) < 0.012]
    low = middle[points[middle, 2] < at["pelvis"][2]]
    crotch = float((waist - points[low, 2].min()) / scale)
    arm_bones = [a.bone(f"{name}_{s}") for name in ("upperarm", "forearm", "hand") for s in SIDES]
    arm = (a.skin_weights * np.isin(a.skin_bones, arm_bones)).sum(1)
    side = points[:, 1]
    along, around_arm, around_leg = np.zeros((3, len(points)))
    for s, rows in (("l", side >= 0), ("r", side < 0)):
        joints = [at[f"{name}_{s}"] for name in ("upperarm", "forearm", "hand")]
        along[rows], around_arm[rows] = _limb(points[rows], joints, [ELBOW, 1.0])
        joints = [at[f"{name}_{s}"] for name in ("thigh", "calf", "foot")]
        _, around_leg[rows] = _limb(points[rows], joints, [0.5, 1.0])
    spine = np.stack([at[name] for name in ("pelvis", "spine_2", "spine_3", "neck", "head")])
    axis_x = np.interp(points[:, 2], spine[:, 2], spine[:, 0])
    offset = np.stack([points[:, 0] - axis_x, points[:, 1], np.zeros(len(points))], 1)
    forward, left = np.array([1.0, 0, 0]), np.array([0.0, 1, 0])
    head_axis = at["head"] * [1, 0, 1] + [0.015, 0, 0]
    crown, base = at["crown"][2], at["neck"][2] - 0.02
    return Charts(
        down=down,
        crotch=crotch,
        neck=float((waist - at["neck"][2]) / scale),
        knee=float((waist - at["calf_l"][2]) / scale),
        along=along,
        arm=arm,
        side=side,
        around_trunk=around(offset, forward, left),
        around_arm=around_arm,
        around_leg=around_leg,
        around_head=around((points - head_axis) * [1, 1, 0], forward, left),
        head_down=(crown - points[:, 2]) / (crown - base),
        head_axis=head_axis,
        collar=_neckline(points - at["neck"]),
        neck_height=points[:, 2] - at["neck"][2],
    )


FACE_LANDMARKS: Final[dict[str, tuple[float, float]]] = {
    "hairline": (0.5, 0.18),
    "brow_l": (0.549, 0.375),
    "brow_r": (0.451, 0.375),
    "eye_l": (0.551, 0.431),
    "eye_r": (0.449, 0.431),
    "nose": (0.5, 0.56),
    "mouth": (0.5, 0.655),
    "chin": (0.5, 0.80),
    "ear_l": (0.745, 0.52),
    "ear_r": (0.255, 0.52),
}
"""(u, v) on the slot `face`; an eye is 0.03 wide and 0.03 high there, the mouth 0.07 wide."""

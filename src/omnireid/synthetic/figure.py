"""A person posed before a camera: measured, and placed on the picture."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from omnireid.synthetic.clothing import Wardrobe
from omnireid.synthetic.drawing import Loft, Texture
from omnireid.synthetic.person import Person
from omnireid.synthetic.pose import Point, Pose, View, joints

_Place = tuple[float, float, float, float]

_OUTLINE = ("crown", "l_toe", "r_toe", "l_heel", "r_heel", "l_shoulder", "r_shoulder", "l_hand", "r_hand")


@dataclass(frozen=True, slots=True)
class Extent:
    """Bounding box of the body in statures, from the point on the ground below it; y runs down."""

    left: float
    top: float
    right: float
    bottom: float


class Figure:
    """One person in one pose under one camera.

    Attributes:
        at: place name to (x, y, depth, pixels per stature there); in statures until `place` is called.
        facing: 1 towards the camera, −1 away. `sideways`: 1 towards the right of the picture.
    """

    def __init__(self, person: Person, wardrobe: Wardrobe, pose: Pose, view: View) -> None:
        carries = person.bag.side if person.bag.kind == "hand" else 0
        # An arm that carries something hangs.
        if carries and pose.raised == carries:
            pose = replace(pose, raised=0)
        self.person, self.wardrobe, self.pose = person, wardrobe, pose
        points = joints(person.body, pose, (0.25 if carries > 0 else 1.0, 0.25 if carries < 0 else 1.0))
        points |= _hanging_points(person, pose, points)
        places = view.project(np.stack(list(points.values())), pose.heading).tolist()
        self.at: dict[str, _Place] = {
            name: tuple(position) for name, position in zip(points, places, strict=True)
        }
        self.facing = float(np.cos(pose.heading))
        self.sideways = float(np.sin(pose.heading))

    @property
    def extent(self) -> Extent:
        """Where the body is, before it is placed; bags and hats do not count."""
        xs = [self.at[name][0] for name in _OUTLINE]
        ys = [self.at[name][1] for name in _OUTLINE]
        return Extent(left=min(xs) - 0.03, top=min(ys) - 0.01, right=max(xs) + 0.03, bottom=max(ys) + 0.02)

    def place(self, scale: float, x: float, y: float) -> None:
        """Stand on pixel (x, y), `scale` pixels tall per stature. Call once."""
        self.at = {
            name: (x + px * scale, y + py * scale, depth, size * scale)
            for name, (px, py, depth, size) in self.at.items()
        }

    def across(self, width: float, depth: float, heading: float | None = None) -> float:
        """Half width of an ellipse of the body as it is seen from this heading."""
        turn = self.pose.heading if heading is None else heading
        return float(np.hypot(width * np.cos(turn), depth * np.sin(turn)))

    def level_depth(self, name: str) -> float:
        """Depth of a place in front of the spine at its own height; negative is behind it."""
        # An elevated camera makes what is higher nearer; what hides what depends on the rest.
        (_, chest_y, chest_depth, _), (_, pelvis_y, pelvis_depth, _) = self.at["chest"], self.at["pelvis"]
        share = (pelvis_y - self.at[name][1]) / max(pelvis_y - chest_y, 1e-6)
        return self.at[name][2] - (pelvis_depth + share * (chest_depth - pelvis_depth))

    def loft(
        self,
        start: str,
        end: str,
        half: tuple[float, ...],
        texture: Texture,
        *,
        at: tuple[float, ...] | None = None,
        caps: tuple[float, float] = (1.0, 1.0),
        heading: float | None = None,
        creases: float = 1.0,
    ) -> Loft:
        """A part between two places; `half` in statures, at equal steps unless `at` says where."""
        (x0, y0, _, size0), (x1, y1, _, size1) = self.at[start], self.at[end]
        places = at or tuple(index / (len(half) - 1) for index in range(len(half)))
        return Loft(
            start=(x0, y0),
            end=(x1, y1),
            at=places,
            half=tuple(h * (size0 + (size1 - size0) * t) for h, t in zip(half, places, strict=True)),
            texture=texture,
            heading=self.pose.heading if heading is None else heading,
            cap_start=caps[0],
            cap_end=caps[1],
            creases=creases,
        )


def _hanging_points(person: Person, pose: Pose, points: dict[str, Point]) -> dict[str, Point]:
    """Places of what hangs on the body: bags, hair, hood, hat, skirt."""
    bag, body = person.bag, person.body
    chest, chin, waist, crown = points["chest"], points["chin"], points["waist"], points["crown"]
    hand = points["l_hand" if bag.side > 0 else "r_hand"]
    sway = 0.02 * float(np.sin(pose.phase))
    skirt = person.upper.skirt or 0.24 * person.lower.cover

    def offset(base: Point, x: float, y: float, z: float) -> Point:
        moved: Point = base + np.array([x, y, z])
        return moved

    behind = -(body.chest + 0.045 * bag.size)
    beside = bag.side * (body.hip + 0.02)
    return {
        "pack_top": offset(chest, 0.0, 0.02, behind),
        "pack_bottom": offset(chest, 0.0, 0.02 - 0.20 * bag.size, behind),
        "bag_top": offset(waist, beside, -0.05, 0.01),
        "bag_bottom": offset(waist, beside, -0.05 - 0.11 * bag.size, 0.01 + sway),
        "carry_top": offset(hand, 0.0, -0.03, 0.0),
        "carry_bottom": offset(hand, 0.0, -0.03 - 0.12 * bag.size, 0.0),
        "hair_top": offset(crown, 0.0, -0.045, -0.022),
        "hair_bottom": offset(chin, 0.0, -0.075, -0.042),
        "tail_top": offset(crown, 0.0, -0.035, -0.055),
        "tail_bottom": offset(chin, sway, -0.045, -0.065),
        "bun": offset(crown, 0.0, -0.022, -0.045),
        "hood_top": offset(chin, 0.0, 0.0, -0.035),
        "hood_bottom": offset(chin, 0.0, -0.045, -0.055),
        "brim": offset(crown, 0.0, -0.048, 0.085),
        "brim_back": offset(crown, 0.0, -0.044, 0.03),
        "belt": offset(waist, 0.0, -0.02 if person.upper.skirt else -0.045, 0.0),
        "hem": offset(points["pelvis"], 0.0, -skirt, 0.0),
    }

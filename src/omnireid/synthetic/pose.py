"""Where the joints are: a walking or standing skeleton, turned by its heading and projected by a camera.

Body frame, in shares of the stature: x to the person's left, y up from the ground, z forward.
Heading 0 faces the camera, ±π shows the back; positive turns the front towards the right of the picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from omnireid.core.arrays import Float64
from omnireid.synthetic.person import Body

Point = Float64

UPPER_ARM, FOREARM, HAND = 0.165, 0.145, 0.045
SHOULDER_HEIGHT, NECK_HEIGHT, CHIN_HEIGHT = 0.792, 0.845, 0.872
ANKLE_HEIGHT, FOOT_LENGTH = 0.042, 0.105


@dataclass(frozen=True, slots=True)
class Pose:
    """`phase` of the gait in radians; `stride` 0 stands; `raised`: which arm is at the ear, −1, 0, +1."""

    heading: float
    phase: float
    stride: float
    lean: float
    arm_swing: float
    elbow: float
    raised: int
    head_turn: float


def draw_pose(generator: np.random.Generator, heading: float) -> Pose:
    """A pose as people have it in the street: four of five walk."""
    walks = generator.random() < 0.8
    return Pose(
        heading=heading,
        phase=generator.uniform(0, 2 * np.pi),
        stride=generator.uniform(0.25, 0.48) if walks else generator.uniform(0.0, 0.10),
        lean=generator.normal(0.03, 0.02),
        arm_swing=generator.uniform(0.15, 0.5) if walks else generator.uniform(0.0, 0.1),
        elbow=generator.uniform(0.12, 0.55),
        raised=int(generator.choice([-1, 0, 1], p=[0.04, 0.92, 0.04])),
        head_turn=generator.normal(0.0, 0.25),
    )


def joints(body: Body, pose: Pose, swing_scale: tuple[float, float] = (1.0, 1.0)) -> dict[str, Point]:
    """Joint positions in the body frame.

    Args:
        swing_scale: how freely the (left, right) arm swings; an arm that carries a bag hangs.

    Returns:
        Name to (3,) float64; `l_` and `r_` mark the person's left and right.
    """
    points: dict[str, Point] = {}
    shin = body.leg * 0.49 - ANKLE_HEIGHT * 0.5
    thigh = body.leg - ANKLE_HEIGHT - shin
    lowest = np.inf
    for side, sign in (("l", 1.0), ("r", -1.0)):
        phase = pose.phase if sign > 0 else pose.phase + np.pi
        hip_angle = pose.stride * np.sin(phase)
        # The swinging leg bends most while it passes the standing one.
        knee_angle = 0.06 + pose.stride * 1.5 * max(0.0, np.cos(phase)) ** 2
        hip = np.array([sign * body.hip * 0.52, body.leg, 0.0])
        knee = hip + thigh * np.array([0.0, -np.cos(hip_angle), np.sin(hip_angle)])
        shin_angle = hip_angle - knee_angle
        ankle = knee + shin * np.array([sign * -0.01, -np.cos(shin_angle), np.sin(shin_angle)])
        pitch = 0.75 * shin_angle
        toe = ankle + FOOT_LENGTH * np.array([sign * 0.12, -0.10 + np.sin(min(pitch, 0.1)), np.cos(pitch)])
        heel = ankle + np.array([0.0, -0.012, -0.022])
        points |= {f"{side}_hip": hip, f"{side}_knee": knee, f"{side}_ankle": ankle}
        points |= {f"{side}_toe": toe, f"{side}_heel": heel}
        lowest = min(lowest, ankle[1] - ANKLE_HEIGHT)
    for side, sign, swing in (("l", 1.0, swing_scale[0]), ("r", -1.0, swing_scale[1])):
        phase = pose.phase + (np.pi if sign > 0 else 0.0)
        shoulder = np.array([sign * body.shoulder * 0.91, SHOULDER_HEIGHT, 0.0])
        angle = pose.arm_swing * np.sin(phase) * swing
        bend = pose.elbow * (0.4 + 0.6 * swing)
        out = 0.09 + 0.35 * max(0.0, body.belly - 0.06)
        if pose.raised == sign:
            angle, bend = 0.55, 2.35
        elbow = shoulder + UPPER_ARM * np.array([sign * out, -np.cos(angle), np.sin(angle)])
        fore = angle + bend
        wrist = elbow + FOREARM * np.array([sign * -0.02, -np.cos(fore), np.sin(fore)])
        hand = wrist + HAND * np.array([0.0, -np.cos(fore), np.sin(fore)])
        points |= {
            f"{side}_shoulder": shoulder,
            f"{side}_elbow": elbow,
            f"{side}_wrist": wrist,
            f"{side}_hand": hand,
        }
    points["pelvis"] = np.array([0.0, body.leg - 0.015, 0.0])
    points["waist"] = np.array([0.0, body.leg + 0.10, 0.0])
    points["chest"] = np.array([0.0, SHOULDER_HEIGHT - 0.04, 0.0])
    points["neck"] = np.array([0.0, NECK_HEIGHT, 0.0])
    points["chin"] = np.array([0.0, CHIN_HEIGHT, 0.008])
    points["crown"] = np.array([0.0, 1.0, 0.004])
    above_hip = (
        "l_sh",
        "r_sh",
        "l_el",
        "r_el",
        "l_wr",
        "r_wr",
        "l_ha",
        "r_ha",
        "chest",
        "neck",
        "chin",
        "crown",
    )
    for name, point in points.items():
        point[1] -= lowest
        if name.startswith(above_hip):
            point[2] += (point[1] - body.leg) * pose.lean
    return points


@dataclass(frozen=True, slots=True)
class View:
    """How a camera sees people: elevation (radians), perspective (0 is orthographic) and roll."""

    elevation: float
    perspective: float
    roll: float

    def project(self, points: Float64, heading: float) -> Float64:
        """Turn body-frame points by `heading` and project them.

        Args:
            points: (N, 3) in statures.

        Returns:
            (N, 4): x to the right and y down in statures from the ground point, depth (larger is
            nearer), local size.
        """
        cos_h, sin_h = np.cos(heading), np.sin(heading)
        x = points[:, 0] * cos_h + points[:, 2] * sin_h
        z = -points[:, 0] * sin_h + points[:, 2] * cos_h
        cos_e, sin_e = np.cos(self.elevation), np.sin(self.elevation)
        up = points[:, 1] * cos_e - z * sin_e
        depth = z * cos_e + points[:, 1] * sin_e
        size = 1.0 / (1.0 - self.perspective * depth)
        x, up = x + up * self.roll, up - x * self.roll
        return np.stack([x * size, -up * size, depth, size], axis=1)

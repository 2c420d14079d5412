"""How people stand and walk: rotations of bones, and hands that reach for something.

A pose is the same for every body. Rotations are relative to the neutral pose: upright, arms hanging, palms
inwards; each turns what hangs on its bone about the axes of its parent. Positive about y bends forward (for a
leg or arm that
hangs: swings it back), about z turns to the left, about x leans to the right.

Gait: joint angles over the cycle of healthy adults at their own pace after Winter, Biomechanics and Motor
Control of Human Movement (1991), and Perry, Gait Analysis (1992); read from their figures, in degrees, as
periodic splines.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

import numpy as np

from omnireid.core.arrays import Float64
from omnireid.core.errors import InputError
from omnireid.synthetic.people.outfit import OutfitCut

Rotation = Float64
Arm = Literal[
    "swing", "hang", "pocket", "ear", "phone", "hold", "strap", "umbrella", "handlebar", "haul", "cross"
]
Kind = Literal["stand", "wait", "walk", "phone", "carry", "push", "lean"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
ARMS: Final[tuple[Arm, ...]] = get_args(Arm)


@dataclass(frozen=True, slots=True)
class Reach:
    """Where a wrist is to be.

    Attributes:
        target: metres for a person of 1.75 m; from the shoulder joint, in the frame of the chest (x forward,
            y to the person's left, z up), or, where `grounded`, in the body frame from the ground.
        elbow: direction to which the elbow points, same frame.
        twist: radians that the hand is turned about the forearm; 0 as it hangs.
    """

    target: tuple[float, float, float]
    elbow: tuple[float, float, float]
    twist: float = 0.0
    grounded: bool = False


@dataclass(frozen=True, slots=True)
class Pose:
    """Joint rotations of a person.

    Attributes:
        rotations: bone to (3, 3) rotation; a bone that is not named keeps its neutral rotation.
        reaches: side ("l", "r") to what its hand reaches for; overrules the rotations of that arm.
    """

    rotations: dict[str, Rotation] = field(default_factory=dict)
    reaches: dict[str, Reach] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Style:
    """How somebody moves, the same in each of their pictures or not, as the caller likes.

    Attributes:
        swing: how far arms swing, 1 is usual. bounce: how far knees lift, 1 is usual. sway: of trunk and
            pelvis.
        lean: trunk forward, radians. slouch: shoulders forward, head down, radians. toes: outward, radians.
        stance: legs apart, radians.
        arms: what the (left, right) arm does.
        head_turn, head_nod: radians to the left and down.
        elbow: bend of a hanging arm, radians.
        beside: the handlebar is that of a bicycle at the left side, not of something in front.
    """

    swing: float = 1.0
    bounce: float = 1.0
    sway: float = 1.0
    lean: float = 0.02
    slouch: float = 0.0
    toes: float = 0.1
    stance: float = 0.02
    arms: tuple[Arm, Arm] = ("swing", "swing")
    head_turn: float = 0.0
    head_nod: float = 0.0
    elbow: float = 0.25
    beside: bool = False

    def __post_init__(self) -> None:
        for arm in self.arms:
            if arm not in ARMS:
                raise InputError(f"Style.arms: one of {', '.join(ARMS)}, got {arm!r}")


def turn_x(angle: float) -> Rotation:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[1.0, 0, 0], [0, c, -s], [0, s, c]])


def turn_y(angle: float) -> Rotation:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, 0, s], [0, 1.0, 0], [-s, 0, c]])


def turn_z(angle: float) -> Rotation:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])


# Percent of the cycle from heel strike, and degrees. Each angle was moved, by a few degrees from the figures,
# until on
# this skeleton both feet touch the ground in double support, the standing one does not slide and the other
# swings free.
_HIP: Final = ((0, 25), (10, 21), (30, 1), (50, -15), (60, -3), (75, 26), (88, 37))
_KNEE: Final = ((0, 5), (13, 11), (25, 7), (40, 5), (50, 11), (60, 41), (71, 72), (80, 51), (90, 17), (96, 5))
_ANKLE: Final = ((0, 3), (7, 0), (20, 7), (40, 11), (48, 18), (57, 0), (62, -5), (72, 3), (85, 8))
_TOES: Final = ((0, 8), (10, 0), (38, 0), (50, 18), (59, 32), (66, 12), (80, 7), (92, 8))


@functools.lru_cache(maxsize=8)
def _spline(knots: tuple[tuple[int, int], ...]) -> Callable[[float], float]:
    """A periodic function of the phase, in radians of the cycle, that passes through the knots; radians."""
    from scipy.interpolate import PchipInterpolator

    x = np.array([knot[0] for knot in knots]) / 100
    y = np.deg2rad([knot[1] for knot in knots])
    curve = PchipInterpolator(np.concatenate([x - 1, x, x + 1]), np.concatenate([y, y, y]))
    grid = curve(np.linspace(0, 1, 201))

    def value(phase: float) -> float:
        share = (phase / (2 * np.pi)) % 1.0 * 200
        low = int(share)
        return float(grid[low] + (grid[min(low + 1, 200)] - grid[low]) * (share - low))

    return value


def stride_length(speed: float, stature: float = 1.75) -> float:
    """Metres from heel strike to the next of the same foot, for a walker of some speed in m/s.

    A phase that advances by 2π per stride length keeps feet from skating. Step length grows with the root of
    speed (Grieve and Gear, 1966).
    """
    return stature * 0.82 * float(np.sqrt(max(speed, 0.05) / 1.35 * 1.75 / stature))


def walking(phase: float, speed: float = 1.35, style: Style | None = None) -> Pose:
    """A moment of walking.

    Args:
        phase: radians; 0 and 2π the left heel strikes, π the right one.
        speed: metres per second; 0.5 a stroll, 1.35 usual, 2 hurried.
        style: Style() when not given.
    """
    style = style or Style()
    pace = float(np.clip(np.sqrt(max(speed, 0.05) / 1.35), 0.3, 1.35))
    rotations: dict[str, Rotation] = {}
    for side, own in (("l", phase), ("r", phase + np.pi)):
        sign = 1.0 if side == "l" else -1.0
        hip = _spline(_HIP)(own) * pace
        knee = _spline(_KNEE)(own) * (0.35 + 0.65 * pace) * (0.75 + 0.25 * style.bounce)
        ankle = _spline(_ANKLE)(own) * pace
        toes = _spline(_TOES)(own) * pace
        rotations[f"thigh_{side}"] = turn_z(sign * style.toes) @ turn_x(sign * style.stance) @ turn_y(-hip)
        rotations[f"calf_{side}"] = turn_y(knee)
        rotations[f"foot_{side}"] = turn_y(-ankle)
        rotations[f"ball_{side}"] = turn_y(-toes)
    turn = 0.075 * pace * style.sway * np.cos(phase)  # the pelvis turns its leading side forward
    tilt = 0.05 * pace * style.sway * np.sin(phase + 0.5)
    rotations["pelvis"] = turn_z(-turn) @ turn_x(-0.6 * tilt) @ turn_y(0.3 * style.lean)
    _trunk(rotations, style, 1.7 * turn, tilt)
    reaches: dict[str, Reach] = {}
    for side, arm, own in (("l", style.arms[0], phase + np.pi), ("r", style.arms[1], phase)):
        forward = (0.06 + 0.38 * pace * np.cos(own - 0.35)) * style.swing
        _arm(rotations, reaches, side, arm, style, forward)
    return Pose(rotations, reaches)


def standing(style: Style | None = None, shift: float = 0.0, bent: float = 0.1) -> Pose:
    """Standing still.

    Args:
        shift: −1 to 1, the weight on the right leg to on the left leg; the other knee is bent.
        bent: radians that the knee of the free leg is bent.
    """
    style = style or Style()
    rotations: dict[str, Rotation] = {}
    for side, sign in (("l", 1.0), ("r", -1.0)):
        free = max(0.0, -sign * shift)
        knee = 0.03 + (bent + 0.35) * free
        rotations[f"thigh_{side}"] = (
            turn_z(sign * (style.toes + 0.25 * free))
            @ turn_x(sign * (style.stance + 0.05 * free))
            @ turn_y(-0.55 * knee)
        )
        rotations[f"calf_{side}"] = turn_y(knee)
        rotations[f"foot_{side}"] = turn_y(-0.45 * knee)
    rotations["pelvis"] = turn_x(0.07 * shift)
    for side in ("l", "r"):
        rotations[f"thigh_{side}"] = turn_x(-0.07 * shift) @ rotations[f"thigh_{side}"]
    _trunk(rotations, style, 0.0, -0.05 * shift)
    reaches: dict[str, Reach] = {}
    for side, arm in (("l", style.arms[0]), ("r", style.arms[1])):
        _arm(rotations, reaches, side, arm, style, 0.04)
    return Pose(rotations, reaches)


def _trunk(rotations: dict[str, Rotation], style: Style, turn: float, tilt: float) -> None:
    """The spine, which undoes the pelvis and bends; shoulders; and the head, which looks where it goes."""
    third = turn_z(turn / 3) @ turn_x(tilt / 3)
    rotations["spine_1"] = third @ turn_y(0.4 * style.lean)
    rotations["spine_2"] = third @ turn_y(0.3 * style.lean + 0.3 * style.slouch)
    rotations["spine_3"] = third @ turn_y(0.4 * style.slouch)
    rotations["neck"] = turn_z(-0.35 * turn + 0.45 * style.head_turn) @ turn_y(
        0.4 * style.head_nod + 0.2 * style.slouch
    )
    rotations["head"] = turn_z(-0.35 * turn + 0.55 * style.head_turn) @ turn_y(
        0.6 * style.head_nod - 0.5 * style.slouch - 0.4 * style.lean
    )
    for side, sign in (("l", 1.0), ("r", -1.0)):
        rotations[f"clavicle_{side}"] = turn_z(-sign * 0.4 * style.slouch)


def _arm(
    rotations: dict[str, Rotation],
    reaches: dict[str, Reach],
    side: str,
    arm: Arm,
    style: Style,
    forward: float,
) -> None:
    """One arm: it swings `forward` (radians), hangs, or reaches."""
    sign = 1.0 if side == "l" else -1.0
    if arm in ("swing", "hang", "hold"):
        swing = forward if arm == "swing" else 0.3 * forward if arm == "hang" else 0.2 * forward
        bend = style.elbow + (0.35 * max(forward, 0.0) if arm == "swing" else 0.0)
        bend = 0.12 if arm == "hold" else bend
        rotations[f"upperarm_{side}"] = turn_x(sign * (0.04 if arm != "hold" else 0.10)) @ turn_y(
            -swing + 0.45 * bend
        )
        rotations[f"forearm_{side}"] = turn_y(-bend)
        return
    if arm == "handlebar" and style.beside:
        target, elbow, twist, grounded = _BICYCLE[side]
        reaches[side] = Reach(target, elbow, sign * twist, grounded)
        return
    target, elbow, twist, grounded = _REACHES[arm]
    bob = 0.02 * forward
    reaches[side] = Reach(
        (target[0] + bob, sign * target[1], target[2]),
        (elbow[0], sign * elbow[1], elbow[2]),
        sign * twist,
        grounded,
    )


# For the left arm: where the wrist is, where the elbow points, twist of the hand, from the ground or the
# shoulder.
_REACHES: Final[dict[str, tuple[tuple[float, float, float], tuple[float, float, float], float, bool]]] = {
    "pocket": ((0.03, 0.06, -0.47), (-0.8, 0.6, -0.2), 0.3, False),
    "ear": ((0.10, -0.045, 0.16), (0.25, 0.75, -0.6), 1.2, False),
    "phone": ((0.30, -0.10, -0.17), (-0.3, 0.5, -0.8), 0.6, False),
    "strap": ((0.16, -0.01, -0.12), (-0.1, 0.6, -0.8), 0.8, False),
    "umbrella": ((0.22, -0.05, -0.10), (-0.3, 0.45, -0.85), 0.5, False),
    "handlebar": ((0.42, 0.30, 0.96), (-0.6, 0.6, -0.4), -0.8, True),
    "haul": ((-0.22, 0.14, -0.44), (-0.6, 0.6, -0.3), 0.6, False),
    "cross": ((0.20, -0.24, -0.27), (0.1, 0.8, -0.6), 0.9, False),
}


_BICYCLE: Final[dict[str, tuple[tuple[float, float, float], tuple[float, float, float], float, bool]]] = {
    "l": ((0.30, 0.60, 0.99), (-0.7, 0.5, -0.3), 0.3, True),
    "r": ((0.28, 0.15, 0.99), (-0.8, -0.5, -0.3), 0.3, True),
}


_FREE: Final = ("swing", "hang", "pocket", "phone")  # arms that hold nothing


def arms_for(cut: OutfitCut, generator: np.random.Generator) -> tuple[Arm, Arm]:
    """What the arms of somebody with these things are likely to do while they stand or walk."""
    arms: list[Arm] = ["swing", "swing"]
    for side in (0, 1):
        arms[side] = str(generator.choice(["swing", "hang", "pocket", "phone"], p=[0.8, 0.07, 0.08, 0.05]))  # type: ignore[call-overload]
    hand = 0 if cut.hand_side == "left" else 1
    if cut.umbrella == "open":
        arms[hand] = "umbrella"
        hand = 1 - hand
    if cut.handbag or cut.umbrella == "closed":
        arms[hand] = "hold"
        hand = 1 - hand
    free = [side for side in (0, 1) if arms[side] in _FREE]
    if cut.pushed == "bicycle":
        for side in free:
            arms[side] = "handlebar"
    elif cut.pushed == "trolley":
        arms[0 if cut.hauling_side == "left" else 1] = "haul"
    elif cut.backpack and free and generator.random() < 0.2:
        arms[free[int(generator.integers(len(free)))]] = "strap"
    return arms[0], arms[1]


def draw_style(generator: np.random.Generator, cut: OutfitCut | None = None) -> Style:
    """A way to move, drawn; arms fit the things of `cut`."""
    arms = arms_for(cut or OutfitCut(), generator)
    return Style(
        swing=generator.uniform(0.4, 1.35),
        bounce=generator.uniform(0.6, 1.2),
        sway=generator.uniform(0.5, 1.5),
        lean=generator.normal(0.04, 0.04),
        slouch=float(np.clip(generator.normal(0.1, 0.12), -0.1, 0.5)),
        toes=float(np.clip(generator.normal(0.12, 0.08), -0.1, 0.4)),
        stance=generator.uniform(0.0, 0.05),
        arms=arms,
        head_turn=float(np.clip(generator.normal(0, 0.3), -0.9, 0.9)),
        head_nod=float(np.clip(generator.normal(0.08, 0.14), -0.3, 0.6)),
        elbow=generator.uniform(0.1, 0.5),
        beside=cut is not None and cut.pushed == "bicycle",
    )


def draw_pose(
    generator: np.random.Generator,
    kind: Kind = "walk",
    *,
    cut: OutfitCut | None = None,
    style: Style | None = None,
) -> Pose:
    """A moment of doing something.

    Args:
        kind: walk; stand; wait (weight on one leg, arms crossed or at rest); phone (at the ear or before the
            eyes); carry (a hand holds something); push (hands at handlebars); lean (forward, looking down).
        cut: what the person has with them; their hands hold it.
        style: drawn when not given.

    Raises:
        InputError: an unknown kind.
    """
    import dataclasses

    if kind not in KINDS:
        raise InputError(f"kind: one of {', '.join(KINDS)}, got {kind!r}")
    style = style or draw_style(generator, cut)
    free = [side for side in (0, 1) if style.arms[side] in _FREE]
    arms = list(style.arms)
    if kind == "phone" and free:
        arms[free[int(generator.integers(len(free)))]] = "ear" if generator.random() < 0.5 else "phone"
        style = dataclasses.replace(style, arms=(arms[0], arms[1]), head_nod=style.head_nod + 0.1)
    elif kind == "carry" and free:
        arms[free[-1]] = "hold"
    elif kind == "push":
        for side in free:
            arms[side] = "handlebar"
    elif kind == "wait" and len(free) == 2 and generator.random() < 0.3:
        arms = ["cross", "cross"]
    elif kind == "lean":
        style = dataclasses.replace(style, lean=generator.uniform(0.25, 0.7))
    style = dataclasses.replace(style, arms=(arms[0], arms[1]))
    if kind in ("walk", "carry", "push") or (kind == "phone" and generator.random() < 0.6):
        speed = float(np.clip(generator.normal(1.3, 0.25), 0.5, 2.0))
        return walking(generator.uniform(0, 2 * np.pi), speed, style)
    shift = generator.uniform(-1, 1) if kind != "stand" else generator.normal(0, 0.25)
    return standing(style, float(np.clip(shift, -1, 1)))

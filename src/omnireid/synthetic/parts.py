"""The parts of a figure as lofts. Half widths are in statures."""

from __future__ import annotations

import numpy as np

from omnireid.synthetic.drawing import Canvas, Light, Loft, draw_loft
from omnireid.synthetic.figure import Figure

_HEAD_AT = (0.0, 0.12, 0.35, 0.60, 0.85, 1.0)
_HEAD_SHAPE = (0.56, 0.86, 1.0, 0.96, 0.70, 0.42)
_BARE_CREASES = 0.3


def draw_figure(canvas: Canvas, figure: Figure, light: Light) -> None:
    """Paint a placed figure onto `canvas` (H, W, 3) float32 RGB, in place."""
    for loft in assemble(figure):
        draw_loft(canvas, loft, light)


def assemble(figure: Figure) -> list[Loft]:
    """All parts in painter's order: what is far first."""
    bag = figure.person.bag.kind
    towards = figure.facing > 0
    pack_behind = figure.facing > -0.1
    bag_behind = figure.level_depth("bag_top") < 0
    far = [side for side in ("l", "r") if _arm_depth(figure, side) < -0.012]
    near = [side for side in ("l", "r") if side not in far]
    hanging = _flat_bag(figure, "bag_top", "bag_bottom", 0.055, 0.026) if bag == "shoulder" else []
    pack = _backpack(figure) if bag == "backpack" else []

    lofts = list(pack) if pack_behind else []
    if towards:
        lofts += _back_hair(figure) + _hood(figure)
    for side in far:
        lofts += _arm(figure, side)
    if bag_behind:
        lofts += hanging
    lofts.append(
        figure.loft("chin", "neck", (0.030, 0.034), figure.wardrobe.skin, caps=(0.5, 0.8), creases=0.0)
    )
    for side in sorted(
        ("l", "r"), key=lambda side: figure.at[f"{side}_knee"][2] + figure.at[f"{side}_ankle"][2]
    ):
        lofts += _leg(figure, side)
    lofts += _skirt(figure)
    lofts.append(_torso(figure))
    if not bag_behind:
        lofts += hanging
    if not pack_behind:
        lofts += pack
    lofts += _scarf(figure) + _head(figure)
    if not towards:
        lofts += _back_hair(figure) + _hood(figure)
    lofts += _hat(figure)
    for side in near:
        lofts += _arm(figure, side)
    return lofts


def _arm_depth(figure: Figure, side: str) -> float:
    return 0.5 * (figure.level_depth(f"{side}_shoulder") + figure.level_depth(f"{side}_elbow"))


def _torso(figure: Figure) -> Loft:
    body, loose = figure.person.body, figure.person.upper.looseness
    waist = 0.74 * body.hip + 0.30 * body.belly
    half = (
        figure.across(0.028, 0.030),
        figure.across(0.56 * body.shoulder, 0.038),
        figure.across(0.88 * body.shoulder, 0.64 * body.chest),
        figure.across(0.97 * body.shoulder, 0.82 * body.chest) * (0.5 + 0.5 * loose),
        figure.across(0.92 * body.shoulder, body.chest) * loose,
        figure.across(waist, body.belly) * loose,
        figure.across(body.hip, 0.5 * body.belly + 0.034) * (0.4 + 0.6 * loose),
        figure.across(0.93 * body.hip, 0.5 * body.belly + 0.026) * (0.6 + 0.4 * loose),
    )
    at = (0.0, 0.05, 0.09, 0.14, 0.30, 0.62, 0.88, 1.0)
    return figure.loft("neck", "pelvis", half, figure.wardrobe.torso, at=at, caps=(0.0, 0.35))


def _skirt(figure: Figure) -> list[Loft]:
    """The part of a dress, coat or skirt below the belt: wide enough for the stride."""
    person, body = figure.person, figure.person.body
    if figure.wardrobe.skirt is None:
        return []
    hem_x, hem_y, _, hem_size = figure.at["hem"]
    reach = 0.0
    for side in ("l", "r"):
        leg = [figure.at[f"{side}_{name}"] for name in ("hip", "knee", "ankle")]
        x = float(np.interp(hem_y, [point[1] for point in leg], [point[0] for point in leg]))
        reach = max(reach, abs(x - hem_x) / hem_size + 0.045 * body.limb)
    loose = 0.5 + 0.5 * person.lower.width
    top = figure.across(0.74 * body.hip + 0.3 * body.belly, body.belly) * 1.02
    thighs = 0.052 * body.limb * max(loose, 1.0) + figure.across(0.52 * body.hip, 0.0)
    middle = max(figure.across(body.hip, 0.5 * body.belly + 0.036) * 1.06, thighs * 1.06, 0.66 * reach)
    hem = max(middle * (1.0 + 0.5 * (person.lower.width - 0.9)), reach)
    at = (0.0, 0.35, 1.0)
    return [figure.loft("belt", "hem", (top, middle, hem), figure.wardrobe.skirt, at=at, caps=(0.3, 0.12))]


def _leg(figure: Figure, side: str) -> list[Loft]:
    person, wardrobe = figure.person, figure.wardrobe
    covered = person.lower.cover if person.lower.kind != "skirt" else 0.0
    thigh = person.body.limb * (0.5 + 0.5 * person.lower.width if covered > 0.3 else 1.0)
    shin = person.body.limb * (person.lower.width if covered > 1.2 else 0.92)
    ankle = 0.023 * shin + (0.0065 if person.boots else 0.0)
    at = (0.0, 0.3, 1.0)
    return [
        figure.loft(
            f"{side}_heel", f"{side}_toe", (0.026, 0.028, 0.020), wardrobe.shoe, caps=(0.7, 0.8), creases=0.0
        ),
        figure.loft(
            f"{side}_knee",
            f"{side}_ankle",
            (0.035 * shin, 0.035 * shin, ankle),
            wardrobe.legs[1],
            at=at,
            caps=(1.0, 0.4),
            creases=1.0 if covered > 1.5 else _BARE_CREASES,
        ),
        figure.loft(
            f"{side}_hip",
            f"{side}_knee",
            (0.052 * thigh, 0.050 * thigh, 0.036 * thigh),
            wardrobe.legs[0],
            at=at,
            caps=(1.0, 0.9),
            creases=1.0 if covered > 0.5 else _BARE_CREASES,
        ),
    ]


def _arm(figure: Figure, side: str) -> list[Loft]:
    person, wardrobe = figure.person, figure.wardrobe
    sleeve, bag = person.upper.sleeve, person.bag
    thick = 1.12 if person.upper.kind in ("coat", "jacket", "hoodie") else 1.0
    loose = (0.9 + 0.35 * (person.upper.looseness - 0.9)) * thick
    upper = person.body.limb * (loose if sleeve > 0.5 else 0.95)
    fore = person.body.limb * (loose if sleeve > 1.5 else 0.92)
    lofts = []
    if bag.kind == "hand" and (bag.side > 0) == (side == "l"):
        lofts += _flat_bag(figure, "carry_top", "carry_bottom", 0.065, 0.024)
    return [
        *lofts,
        figure.loft(
            f"{side}_wrist", f"{side}_hand", (0.015, 0.019), wardrobe.skin, caps=(0.5, 0.8), creases=0.0
        ),
        figure.loft(
            f"{side}_elbow",
            f"{side}_wrist",
            (0.026 * fore, 0.019 * fore),
            wardrobe.arms[1],
            caps=(1.0, 0.3),
            creases=1.0 if sleeve > 1.5 else _BARE_CREASES,
        ),
        figure.loft(
            f"{side}_shoulder",
            f"{side}_elbow",
            (0.031 * upper, 0.031 * upper, 0.026 * upper),
            wardrobe.arms[0],
            at=(0.0, 0.3, 1.0),
            caps=(0.55, 1.0),
            creases=1.0 if sleeve > 0.5 else _BARE_CREASES,
        ),
    ]


def _head_turn(figure: Figure) -> float:
    return figure.pose.heading + figure.pose.head_turn


def _head_half(figure: Figure) -> tuple[float, ...]:
    size = figure.person.body.head
    girth = figure.across(0.66 * size, 0.82 * size, _head_turn(figure))
    return tuple(girth * share for share in _HEAD_SHAPE)


def _head(figure: Figure) -> list[Loft]:
    half, turn, style = _head_half(figure), _head_turn(figure), figure.person.head.hair
    hair = figure.wardrobe.hair
    lofts = [
        figure.loft(
            "crown",
            "chin",
            half,
            figure.wardrobe.head,
            at=_HEAD_AT,
            caps=(0.35, 0.25),
            heading=turn,
            creases=0.25,
        )
    ]
    if style == "afro":
        ball = (*(1.28 * h for h in half[:3]), 0.0)
        cloud = figure.loft(
            "crown", "chin", ball, hair, at=(0.0, 0.12, 0.30, 0.46), caps=(0.5, 0.0), creases=1.5
        )
        lofts.insert(0 if figure.facing > -0.3 else 1, cloud)
    elif style == "bun":
        bun = figure.loft("bun", "bun", (0.026, 0.026), hair, creases=0.5)
        lofts.insert(0 if figure.facing > 0.2 else 1, bun)
    return lofts


def _back_hair(figure: Figure) -> list[Loft]:
    """What falls behind the head."""
    hair = figure.wardrobe.hair
    across = figure.across
    if figure.person.head.hair == "long":
        half = (across(0.052, 0.036), across(0.056, 0.040), across(0.058, 0.030))
        return [figure.loft("hair_top", "hair_bottom", half, hair, caps=(0.9, 0.5))]
    if figure.person.head.hair == "bob":
        bob = (across(0.052, 0.040), across(0.060, 0.046))
        return [figure.loft("hair_top", "hood_top", bob, hair, caps=(0.9, 0.3))]
    if figure.person.head.hair == "ponytail":
        return [figure.loft("tail_top", "tail_bottom", (0.014, 0.020, 0.010), hair)]
    return []


def _hat(figure: Figure) -> list[Loft]:
    kind, texture, turn = figure.person.head.hat, figure.wardrobe.hat, _head_turn(figure)
    if kind == "none":
        return []
    half = _head_half(figure)
    cover = {"cap": 0.40, "beanie": 0.44, "brim": 0.36}[kind]
    dome = tuple(1.10 * h for h in half[:3])
    top = figure.loft(
        "crown",
        "chin",
        (*dome, dome[-1], 0.0),
        texture,
        at=(0.0, 0.12, 0.30, cover, cover + 0.02),
        caps=(0.35, 0.0),
        heading=turn,
    )
    if kind == "beanie":
        return [top]
    if kind == "brim":
        wide = 1.75 * half[2]
        at = (cover - 0.04, cover, cover + 0.07, cover + 0.12)
        return [figure.loft("crown", "chin", (0.0, wide, wide, 0.0), texture, at=at, caps=(0.0, 0.0)), top]
    # The peak of a cap is flat: broad from the front, thin from the side.
    flat = (figure.across(0.042, 0.012, turn), figure.across(0.034, 0.008, turn))
    peak = figure.loft("brim_back", "brim", flat, texture, caps=(0.2, 0.5), heading=turn, creases=0.0)
    return [top, peak] if figure.facing > -0.2 else [peak, top]


def _hood(figure: Figure) -> list[Loft]:
    if figure.person.upper.kind != "hoodie":
        return []
    return [
        figure.loft(
            "hood_top", "hood_bottom", (0.05, 0.062), figure.wardrobe.hood, caps=(0.5, 0.6), creases=2.0
        )
    ]


def _scarf(figure: Figure) -> list[Loft]:
    if figure.wardrobe.scarf is None:
        return []
    return [figure.loft("chin", "neck", (0.046, 0.056), figure.wardrobe.scarf, caps=(0.2, 0.35), creases=2.5)]


def _backpack(figure: Figure) -> list[Loft]:
    size = figure.person.bag.size
    half = figure.across(0.085 * size, 0.048 * size)
    shape = (0.82 * half, half, 1.04 * half)
    at = (0.0, 0.3, 1.0)
    return [
        figure.loft(
            "pack_top", "pack_bottom", shape, figure.wardrobe.bag, at=at, caps=(0.5, 0.3), creases=0.6
        )
    ]


def _flat_bag(figure: Figure, top: str, bottom: str, width: float, depth: float) -> list[Loft]:
    """A bag that hangs flat: its broad side points along the way the person walks."""
    size = figure.person.bag.size
    half = float(np.hypot(width * size * figure.sideways, depth * size * figure.facing))
    return [figure.loft(top, bottom, (0.86 * half, half), figure.wardrobe.bag, caps=(0.25, 0.2), creases=0.5)]

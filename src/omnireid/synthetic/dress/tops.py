"""Textures of what is worn above the waist: tops with all that is on them, sleeves, collars."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from omnireid.core.arrays import Float32
from omnireid.core.seeds import numpy_generator
from omnireid.synthetic.dress.bare import skin
from omnireid.synthetic.dress.cloth import (
    Layer,
    Patch,
    band,
    edge,
    line,
    paint,
    plain,
    shade,
)
from omnireid.synthetic.dress.colours import SILVER, Colour, scaled
from omnireid.synthetic.dress.fabrics import Fabric, weave
from omnireid.synthetic.dress.folds import hollow, limb_folds, torso_folds
from omnireid.synthetic.dress.outfit import Outfit, Top
from omnireid.synthetic.dress.prints import stamp
from omnireid.synthetic.dress.wearer import (
    ARM,
    NECK_TO_WAIST,
    WAIST_TO_ANKLE,
    Wearer,
    girth,
)

_CREASES = {
    "coat": 0.7,
    "blazer": 0.5,
    "leather-jacket": 0.4,
    "down-jacket": 0.8,
    "parka": 0.6,
    "high-visibility": 0.4,
}
"""How stiff a top is; other kinds are soft."""


def torso(outfit: Outfit, wearer: Wearer) -> Layer:
    """The top from the neck to its hem, (128, 192, 3)."""
    top, cut = outfit.top, outfit.cut
    patch = Patch(128, 192, girth(wearer) * 1.05, top_length(outfit, wearer))
    layer = weave(top.fabric, patch)
    _panels(layer, patch, top)
    _quilt(layer, patch, top)
    u, v, front = patch.around(), patch.down(), patch.from_front()
    metres = patch.metres_down()
    dark = np.asarray(top.fabric.base, dtype=np.float32) * 0.55
    for printed in top.prints:
        stamp(layer, patch, printed)
    _pockets(layer, patch, top)
    _reflectors(layer, patch, top)
    gap = cut.open_front * 0.5
    across = np.abs(u - 0.5) * patch.girth
    if cut.open_front:
        paint(layer, dark, line(np.abs(u - 0.5), gap, 0.008, 0.01) * 0.7)
    elif top.front in ("zip", "buttons", "placket"):
        _closing(layer, patch, top, across, metres)
    if top.trimmed:
        paint(layer, top.trim, edge(v, 1 - 0.045 / patch.length, 0.01))
    if top.under_hem and not cut.open_front:
        paint(layer, weave(top.inner, patch, "under"), edge(v, 1 - top.under_hem, 0.01))
        shade(layer, 1 - 0.3 * hollow(v, 1 - top.under_hem + 0.006, 0.012))
    _neck(layer, patch, outfit, front, v)
    _over_the_top(layer, patch, outfit, across, metres)
    stiff = _CREASES.get(top.kind, 0.0)
    shade(layer, torso_folds(numpy_generator(outfit.seed, "folds", "torso"), patch, cut.top_looseness, stiff))
    return layer


def inner(outfit: Outfit, wearer: Wearer) -> Layer:
    """What an open front shows, (96, 96, 3)."""
    top = outfit.top
    patch = Patch(
        96,
        96,
        girth(wearer) * 0.95,
        wearer.stature * (NECK_TO_WAIST + WAIST_TO_ANKLE * outfit.cut.inner_length),
    )
    layer = weave(top.inner, patch)
    for printed in top.inner_prints:
        stamp(layer, patch, printed)
    u, v, front = patch.around(), patch.down(), patch.from_front()
    across = np.abs(u - 0.5) * patch.girth
    if top.inner_front == "buttons":
        _closing(layer, patch, replace(top, fabric=top.inner, front="buttons"), across, patch.metres_down())
    _bare_neck(layer, outfit, front, v, 0.06 if top.inner_front == "buttons" else 0.1)
    if top.tie is not None:
        _tie(layer, patch, top.tie, across)
    shade(layer, torso_folds(numpy_generator(outfit.seed, "folds", "inner"), patch, 0.012, 0.0))
    # In the shadow of what is over it.
    return np.asarray(layer * 0.93, dtype=np.float32)


def sleeve(outfit: Outfit, wearer: Wearer, left: bool) -> Layer:
    """One arm of the top, shoulder to wrist, (96, 64, 3)."""
    top, end = outfit.top, outfit.cut.sleeve_length
    patch = Patch(96, 64, 0.36 * wearer.stature / 1.7, wearer.stature * ARM)
    body = _sleeve_fabric(top)
    layer = weave(body, patch, "sleeve_l" if left else "sleeve_r")
    u, v = patch.around(), patch.down()
    outside = np.abs(u - (0.75 if left else 0.25))
    if top.layout in ("raglan",) and body is not top.second:
        paint(layer, top.second.base, np.ones((1, 1)))
    elif top.layout in ("yoke", "shoulders"):
        paint(layer, top.second.base, 1 - edge(v, 0.2 if top.layout == "shoulders" else 0.12, 0.02))
    elif top.layout == "chest":
        paint(layer, top.second.base, line(v, 0.28, 0.11, 0.02))
    _quilt(layer, patch, top)
    if top.lines:
        stripes = band(outside * patch.girth / 0.02 + (0.5 if top.lines % 2 else 0.0), 0.5, 0.3)
        paint(layer, top.line_colour, stripes * (outside * patch.girth < 0.02 * top.lines * 0.5 + 0.002))
    if top.reflectors:
        paint(layer, SILVER, line(v, end * 0.6, 0.045, 0.015))
    if top.sleeve_print is not None and left:
        stamp(layer, patch, replace(top.sleeve_print, u=0.72, v=min(0.2, end * 0.5)))
    if end > 0.9 or top.trimmed:
        cuff = top.trim if top.trimmed else scaled(body.base, 0.86)
        paint(layer, cuff, edge(v, end - 0.06, 0.012))
    elif 0.5 < end <= 0.82 and top.kind not in ("blouse", "dress"):  # rolled up
        paint(layer, scaled(body.base, 0.82), line(v, end - 0.03, 0.035, 0.01) * 0.7)
    seed = numpy_generator(outfit.seed, "folds", "sleeve_l" if left else "sleeve_r")
    amount = 0.07 + 1.2 * min(outfit.cut.top_looseness, 0.04)
    shade(layer, limb_folds(seed, patch, 0.5, amount, end))
    shade(layer, 1 - 0.16 * hollow(outside, 0.5, 0.16) * hollow(v, 0.0, 0.25))  # towards the body
    return layer


def collar(outfit: Outfit) -> Layer:
    """The collar, (16, 64, 3)."""
    top = outfit.top
    patch = Patch(16, 64, 0.45, 0.07)
    layer = plain(patch, top.trim) if top.trimmed else weave(top.fabric, patch, "collar")
    v, u = patch.down(), patch.around()
    shade(layer, 1.04 - 0.2 * (1 - edge(v, 0.3, 0.3)) - 0.25 * hollow(u, 0.5, 0.02))
    if outfit.cut.collar == "turtleneck":
        shade(layer, 1 + 0.08 * np.cos(u * (2 * np.pi * 24)))
    return layer


def top_length(outfit: Outfit, wearer: Wearer) -> float:
    """Metres from the neck's base to the hem of the top."""
    cut = outfit.cut
    below = 0.0 if cut.tucked or cut.lower == "dress" else cut.top_length
    return wearer.stature * (NECK_TO_WAIST + WAIST_TO_ANKLE * below)


def _panels(layer: Layer, patch: Patch, top: Top) -> None:
    """Panels of the second fabric, with a seam's shadow along them."""
    if top.layout in ("whole", "sleeves"):
        return
    u, v = patch.around(), patch.down()
    side = np.abs(np.abs(u - 0.5) - 0.25) * 4
    distance: npt.NDArray[np.float32] = {
        "raglan": 0.65 - 2.1 * v - side,
        "yoke": 0.22 - v + side * 0,
        "chest": 0.07 - np.abs(v - 0.36) + side * 0,
        "halves": u - 0.5 + v * 0,
        "sides": 0.3 - side + v * 0,
        "lower": v - 0.55 + side * 0,
        "shoulders": 0.1 - v + side * 0,
    }[top.layout]
    mask = np.clip(distance * 60 + 0.5, 0, 1)
    paint(layer, top.second.base, mask)
    shade(layer, 1 - 0.1 * np.exp(-((distance * 70) ** 2)))


def _quilt(layer: Layer, patch: Patch, top: Top) -> None:
    """The rolls of a down jacket."""
    if top.quilts:
        phase = (patch.metres_down() / top.quilts) % 1
        shade(layer, 0.74 + 0.36 * np.sin(phase * np.pi) ** 0.6 + patch.around() * 0)


def _pockets(layer: Layer, patch: Patch, top: Top) -> None:
    if top.pockets == "none":
        return
    u, v = patch.around(), patch.down()
    across = np.abs(u - 0.5) * patch.girth
    dark = np.asarray(top.fabric.base, dtype=np.float32) * 0.6
    if top.pockets == "kangaroo":
        rim = np.maximum(
            line(v, 0.66, 0.006, 0.01) * (across < 0.1),
            line(across - (v - 0.66) * 0.25, 0.1, 0.004, 0.006) * line(v, 0.79, 0.13, 0.02),
        )
    elif top.pockets == "chest":
        middle = np.abs((u - 0.59) * patch.girth)
        rim = np.maximum(
            line(v, 0.3, 0.006, 0.01) * (middle < 0.055),
            line(middle, 0.055, 0.003, 0.006) * line(v, 0.37, 0.07, 0.02),
        )
    else:
        middle = np.abs(across - 0.14)
        flap = line(v, 0.7, 0.035, 0.012) * (middle < 0.065)
        paint(layer, np.asarray(top.fabric.base, dtype=np.float32) * 0.86, flap)
        rim = line(v, 0.735, 0.007, 0.012) * (middle < 0.065)
    paint(layer, dark, rim * 0.75)


def _reflectors(layer: Layer, patch: Patch, top: Top) -> None:
    for number in range(top.reflectors):
        paint(layer, SILVER, line(patch.metres_down(), 0.32 + 0.13 * number, 0.024, 0.008))
    if top.reflectors > 1 and top.kind == "high-visibility":
        across = np.abs(np.abs(patch.around() - 0.5) * 2 - 0.3)
        upright = line(across % 1, 0.0, 0.03, 0.015)
        paint(layer, SILVER, upright * (1 - edge(patch.metres_down(), 0.32, 0.01)))


def _closing(layer: Layer, patch: Patch, top: Top, across: Float32, metres: Float32) -> None:
    """A zip, a button border or a short placket, down the front."""
    dark = np.asarray(top.fabric.base, dtype=np.float32) * 0.6
    reach = 0.16 if top.front == "placket" else 9.0
    down = metres < reach
    if top.front == "zip":
        paint(layer, dark, line(across, 0.0, 0.011, 0.006) * 0.7 * down)
        paint(layer, top.hardware, line(across, 0.0, 0.0035, 0.005) * 0.8 * down)
        return
    paint(layer, dark, line(across, 0.016, 0.003, 0.006) * 0.55 * down)
    spot = np.hypot(across, (metres % 0.085) - 0.0425)
    paint(layer, top.hardware, np.clip((0.008 - spot) / 0.006 + 0.5, 0, 1) * down)


def _neck(layer: Layer, patch: Patch, outfit: Outfit, front: Float32, v: Float32) -> None:
    top, cut = outfit.top, outfit.cut
    generator = numpy_generator(outfit.seed, "neck")
    if cut.collar == "none" and cut.hood == "none" and not cut.open_front:
        deep = generator.uniform(0.03, 0.07)
        if top.kind in ("tank", "dress", "blouse", "tunic"):
            deep = generator.uniform(0.06, 0.17)
        pointed = generator.random() < 0.25
        width = generator.uniform(0.22, 0.4)
        shape = np.abs(front / width) if pointed else (front / width) ** 2
        # The neckline is cut in front only: on the shoulders v is 0 all the way to the arm.
        depth = deep * (1 - shape)
        paint(layer, top.trim, np.clip((depth + 0.022 - v) * 60, 0, 1) * (shape < 1))
        paint(layer, skin(outfit, patch, "neck"), np.clip((depth - v) * 60 + 0.5, 0, 1) * (shape < 1))
    elif cut.collar == "shirt" and not cut.open_front:
        unbuttoned = 0.0 if top.tie is not None else generator.uniform(0.0, 0.14)
        opening = np.clip((unbuttoned - v - front * 1.2) * 50, 0, 1)
        seen = top.kind in ("blazer", "coat", "jacket", "denim-jacket", "leather-jacket")
        paint(layer, top.inner.base if seen else outfit.complexion.skin, opening)
        shade(layer, 1 - 0.22 * hollow(v, 0.03, 0.04))
    if top.tie is not None and not cut.open_front:
        across = np.abs(patch.around() - 0.5) * patch.girth
        if top.kind in ("blazer", "coat"):
            shirt = np.clip((0.32 - v - front * 2.2) * 40, 0, 1)
            paint(layer, top.inner.base, shirt)
            _tie(layer, patch, top.tie, across, 0.32)
        else:
            _tie(layer, patch, top.tie, across)
    elif top.kind in ("blazer",) and not cut.open_front:
        shirt = np.clip((0.3 - v - front * 2.2) * 40, 0, 1)
        paint(layer, top.inner.base, shirt)
    if top.kind in ("blazer", "coat"):  # lapels
        lapel = line(np.abs(front * 2.2 - (0.42 - v)), 0.0, 0.012, 0.02) * (v < 0.42)
        paint(layer, np.asarray(top.fabric.base, dtype=np.float32) * 0.6, lapel * 0.6)


def _bare_neck(layer: Layer, outfit: Outfit, front: Float32, v: Float32, deep: float) -> None:
    paint(layer, outfit.complexion.skin, np.clip((deep * (1 - (front / 0.4) ** 2) - v) * 50, 0, 1))


def _over_the_top(layer: Layer, patch: Patch, outfit: Outfit, across: Float32, metres: Float32) -> None:
    """What is worn over the top and flat on it: an apron, a lanyard with its card, a necklace."""
    extras = outfit.extras
    if extras.apron is not None:
        bib = line(metres, 0.24, 0.12, 0.01) * (across < 0.13)
        below = edge(metres, 0.36, 0.01) * (across < 0.34)
        paint(layer, extras.apron, np.maximum(bib, below))
        paint(layer, scaled(extras.apron, 0.7), line(metres, 0.4, 0.008, 0.006))
    if extras.lanyard is not None:
        ribbon = line(across, np.maximum(0.09 - metres * 0.25, 0), 0.006, 0.005)
        paint(layer, extras.lanyard, ribbon * (metres < 0.36))
        paint(layer, (232, 232, 228), (across < 0.03) * line(metres, 0.38, 0.035, 0.006))
    if extras.necklace is not None and outfit.cut.collar == "none":
        drop = 0.07 - across * across * 9.0
        paint(layer, extras.necklace, line(metres, drop, 0.004, 0.005) * (across < 0.09))


def _tie(layer: Layer, patch: Patch, colour: Colour, across: Float32, end: float = 0.95) -> None:
    v = patch.down()
    width = 0.018 + 0.022 * v
    paint(layer, colour, np.clip((width - across) / 0.006 + 0.5, 0, 1) * (1 - edge(v, end, 0.02)))
    shade(layer, 1 - 0.25 * hollow(v, 0.07, 0.02) * (across < 0.03))


def _sleeve_fabric(top: Top) -> Fabric:
    if top.layout in ("sleeves", "raglan"):
        return top.second
    if top.fabric.pattern == "gradient":
        # What runs down the torso does not start again on the arms.
        return replace(top.fabric, pattern="plain")
    return top.fabric

"""Textures of what covers the body from the neck down, each made from an outfit and the wearer's size."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from omnireid.core.arrays import Float32
from omnireid.core.seeds import numpy_generator
from omnireid.synthetic.dress.cloth import Layer, Mask, Patch, band, edge, line, noise, paint, plain, shade
from omnireid.synthetic.dress.colours import Colour, scaled
from omnireid.synthetic.dress.fabrics import Fabric, weave
from omnireid.synthetic.dress.folds import drape, hollow, limb_folds, torso_folds
from omnireid.synthetic.dress.outfit import Bag, Outfit, Top
from omnireid.synthetic.dress.prints import stamp
from omnireid.synthetic.dress.wearer import Wearer, girth

# Shares of the stature.
_NECK_TO_WAIST, _WAIST_TO_ANKLE, _WAIST_TO_CROTCH, _ARM, _LEG = 0.235, 0.56, 0.135, 0.33, 0.42
_SILVER: Colour = (206, 208, 204)
_CREASES = {
    "coat": 0.7,
    "blazer": 0.5,
    "leather-jacket": 0.4,
    "down-jacket": 0.8,
    "parka": 0.6,
    "high-visibility": 0.4,
}
"""How stiff a top is; other kinds are soft."""


def top_length(outfit: Outfit, wearer: Wearer) -> float:
    """Metres from the neck's base to the hem of the top."""
    cut = outfit.cut
    below = 0.0 if cut.tucked or cut.lower == "dress" else cut.top_length
    return wearer.stature * (_NECK_TO_WAIST + _WAIST_TO_ANKLE * below)


def torso(outfit: Outfit, wearer: Wearer) -> Layer:
    """The top from the neck to its hem, (128, 192, 3)."""
    top, cut = outfit.top, outfit.cut
    patch = Patch(128, 192, girth(wearer) * 1.05, top_length(outfit, wearer))
    layer = weave(top.fabric, patch)
    _panels(layer, patch, top)
    _quilt(layer, patch, top)
    u, v, front = patch.around(), patch.down(), patch.from_front()
    metres = patch.metres_down()
    dark = np.asarray(top.fabric.base, dtype=np.float32) * np.float32(0.55)
    for printed in top.prints:
        stamp(layer, patch, printed)
    _pockets(layer, patch, top)
    _reflectors(layer, patch, top)
    gap = np.float32(cut.open_front * 0.5)
    across = np.abs(u - np.float32(0.5)) * np.float32(patch.girth)
    if cut.open_front:
        paint(layer, dark, line(np.abs(u - np.float32(0.5)), gap, 0.008, 0.01) * np.float32(0.7))
    elif top.front in ("zip", "buttons", "placket"):
        _closing(layer, patch, top, across, metres)
    if top.trimmed:
        paint(layer, top.trim, edge(v, 1 - 0.045 / patch.length, 0.01))
    if top.under_hem and not cut.open_front:
        paint(layer, weave(top.inner, patch, "under"), edge(v, 1 - top.under_hem, 0.01))
        shade(layer, 1 - np.float32(0.3) * hollow(v, 1 - top.under_hem + 0.006, 0.012))
    _neck(layer, patch, outfit, front, v)
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
        wearer.stature * (_NECK_TO_WAIST + _WAIST_TO_ANKLE * outfit.cut.inner_length),
    )
    layer = weave(top.inner, patch)
    for printed in top.inner_prints:
        stamp(layer, patch, printed)
    u, v, front = patch.around(), patch.down(), patch.from_front()
    across = np.abs(u - np.float32(0.5)) * np.float32(patch.girth)
    if top.inner_front == "buttons":
        _closing(layer, patch, replace(top, fabric=top.inner, front="buttons"), across, patch.metres_down())
    _bare_neck(layer, outfit, front, v, 0.06 if top.inner_front == "buttons" else 0.1)
    if top.tie is not None:
        _tie(layer, patch, top.tie, across)
    shade(layer, torso_folds(numpy_generator(outfit.seed, "folds", "inner"), patch, 0.012, 0.0))
    # In the shadow of what is over it.
    return np.asarray(layer * np.float32(0.93), dtype=np.float32)


def sleeve(outfit: Outfit, wearer: Wearer, left: bool) -> Layer:
    """One arm of the top, shoulder to wrist, (96, 64, 3)."""
    top, end = outfit.top, outfit.cut.sleeve_length
    patch = Patch(96, 64, 0.36 * wearer.stature / 1.7, wearer.stature * _ARM)
    body = _sleeve_fabric(top)
    layer = weave(body, patch, "sleeve_l" if left else "sleeve_r")
    u, v = patch.around(), patch.down()
    outside = np.abs(u - np.float32(0.75 if left else 0.25))
    if top.layout in ("raglan",) and body is not top.second:
        paint(layer, top.second.base, np.ones((1, 1)))
    elif top.layout in ("yoke", "shoulders"):
        paint(layer, top.second.base, 1 - edge(v, 0.2 if top.layout == "shoulders" else 0.12, 0.02))
    elif top.layout == "chest":
        paint(layer, top.second.base, line(v, 0.28, 0.11, 0.02))
    _quilt(layer, patch, top)
    if top.lines:
        stripes = band(
            outside * np.float32(patch.girth) / np.float32(0.02) + np.float32(0.5 if top.lines % 2 else 0.0),
            0.5,
            0.3,
        )
        paint(
            layer,
            top.line_colour,
            stripes * (outside * np.float32(patch.girth) < 0.02 * top.lines * 0.5 + 0.002),
        )
    if top.reflectors:
        paint(layer, _SILVER, line(v, end * 0.6, 0.045, 0.015))
    if end > 0.9 or top.trimmed:
        cuff = top.trim if top.trimmed else scaled(body.base, 0.86)
        paint(layer, cuff, edge(v, end - 0.06, 0.012))
    elif 0.5 < end <= 0.82 and top.kind not in ("blouse", "dress"):  # rolled up
        paint(layer, scaled(body.base, 0.82), line(v, end - 0.03, 0.035, 0.01) * np.float32(0.7))
    seed = numpy_generator(outfit.seed, "folds", "sleeve_l" if left else "sleeve_r")
    amount = 0.07 + 1.2 * min(outfit.cut.top_looseness, 0.04)
    shade(layer, limb_folds(seed, patch, 0.5, amount, end))
    shade(layer, 1 - np.float32(0.16) * hollow(outside, 0.5, 0.16) * hollow(v, 0.0, 0.25))  # towards the body
    return layer


def arm(outfit: Outfit, wearer: Wearer) -> Layer:
    """Bare arms, (64, 48, 3), with a watch where one is worn."""
    patch = Patch(64, 48, 0.28, wearer.stature * _ARM)
    layer = _skin(outfit, patch, "arm")
    if outfit.watch is not None:
        paint(layer, outfit.watch, line(patch.down(), 0.95, 0.022, 0.012))
    shade(layer, 1 - np.float32(0.22) * hollow(patch.down(), outfit.cut.sleeve_length + 0.01, 0.02))
    return layer


def hand(outfit: Outfit) -> Layer:
    """Both hands, wrist to fingertips, (24, 32, 3)."""
    patch = Patch(24, 32, 0.2, 0.19)
    if outfit.gloves is not None:
        return plain(patch, outfit.gloves)
    layer = _skin(outfit, patch, "hand")
    v, u = patch.down(), patch.around()
    paint(
        layer,
        scaled(outfit.complexion.skin, 0.72),
        band(u * 8, 0.2, 0.3) * edge(v, 0.55, 0.06) * np.float32(0.5),
    )
    return layer


def hip(outfit: Outfit, wearer: Wearer) -> Layer:
    """Trousers from the waist to the crotch, (48, 144, 3)."""
    lower = outfit.lower
    patch = Patch(48, 144, girth(wearer) * 1.02, wearer.stature * _WAIST_TO_CROTCH)
    layer = weave(lower.fabric, patch)
    u, v = patch.around(), patch.down()
    side = np.abs(np.abs(u - np.float32(0.5)) - np.float32(0.25))
    dark = np.asarray(lower.fabric.base, dtype=np.float32) * np.float32(0.6)
    fade = lower.fabric.wash * 0.25
    if lower.pockets:
        slant = line(side + (v - np.float32(0.35)) * np.float32(0.06), 0.035, 0.004, 0.008) * line(
            v, 0.4, 0.25, 0.05
        )
        paint(layer, dark, slant * np.float32(0.7))
        back = np.abs(np.abs(u - np.float32(0.5)) - np.float32(0.42))
        rim = np.maximum(
            line(back, 0.05, 0.003, 0.007) * line(v, 0.6, 0.22, 0.04),
            line(v, 0.4, 0.012, 0.02) * (back < 0.05),
        )
        paint(layer, dark, rim * np.float32(0.6))
        paint(layer, dark, line(u, 0.5, 0.004, 0.008) * np.float32(0.5))
    if fade:
        paint(
            layer,
            (176, 184, 194),
            hollow(v, 1.0, 0.5) * np.float32(fade) * hollow(np.abs(u - np.float32(0.5)), 0.12, 0.14),
        )
    if lower.lines:
        _side_lines(layer, patch, side, outfit)
    waistband = lower.belt if lower.belt is not None else scaled(lower.fabric.base, 0.85)
    paint(layer, waistband, 1 - edge(v, 0.15, 0.03))
    if lower.belt is not None:
        paint(layer, outfit.top.hardware, (1 - edge(v, 0.15, 0.03)) * line(u, 0.5, 0.017, 0.01))
    else:
        shade(layer, 1 - np.float32(0.2) * hollow(v, 0.16, 0.03))
    creases = limb_folds(numpy_generator(outfit.seed, "folds", "hip"), patch, 0.95, 0.07, 0.95)
    shade(layer, creases * (1 - np.float32(0.2) * hollow(v, 1.0, 0.35) * hollow(u, 0.5, 0.08)))
    return layer


def leg(outfit: Outfit, wearer: Wearer, left: bool) -> Layer:
    """One trouser leg, crotch to ankle, (128, 80, 3)."""
    lower, cut = outfit.lower, outfit.cut
    name = "leg_l" if left else "leg_r"
    patch = Patch(
        128, 80, 0.5 * wearer.stature / 1.7, (wearer.stature * _LEG), top=wearer.stature * _WAIST_TO_CROTCH
    )
    layer = weave(lower.fabric, patch, name)
    u, v = patch.around(), patch.down()
    # `lower_length` counts from the waist; a leg begins at the crotch.
    end = float(np.clip((cut.lower_length - 0.24) / 0.76, 0.0, 1.0))
    outside = np.abs(u - np.float32(0.75 if left else 0.25))
    base = np.asarray(lower.fabric.base, dtype=np.float32)
    if lower.pockets:
        paint(layer, base * np.float32(0.62), line(outside, 0.0, 0.012, 0.014) * np.float32(0.5))
    if lower.fabric.wash:
        thigh = hollow(v, 0.25, 0.22) + np.float32(0.7) * hollow(v, 0.62, 0.14)
        worn = thigh * hollow(np.abs(u - np.float32(0.5)), 0.0, 0.16) * np.float32(0.5 * lower.fabric.wash)
        paint(layer, base * np.float32(0.4) + np.float32(120), worn)
    if lower.torn:
        generator = numpy_generator(lower.fabric.seed, "torn", name)
        tear = edge(noise(generator, patch.rows, patch.columns, (24, 6)), 1.5 - lower.torn, 0.2)
        hole = tear * hollow(v, 0.48, 0.13) * hollow(u, 0.5, 0.2)
        paint(layer, outfit.complexion.skin, hole)
    if lower.thigh_pockets:
        rim = np.maximum(
            line(v, 0.32, 0.006, 0.01) * (outside < 0.16),
            line(outside, 0.16, 0.008, 0.012) * line(v, 0.42, 0.1, 0.02),
        )
        paint(layer, base * np.float32(0.55), rim * np.float32(0.8))
        shade(layer, 1 - np.float32(0.12) * (outside < 0.16) * line(v, 0.34, 0.02, 0.02))
    if lower.lines:
        _side_lines(layer, patch, outside, outfit)
    if lower.turn_up:
        paint(
            layer,
            base * np.float32(0.5) + np.float32(100),
            edge(v, end - lower.turn_up / (wearer.stature * _LEG), 0.012) * np.float32(0.7),
        )
    elif lower.kind in ("joggers", "track-trousers"):
        shade(layer, 1 - np.float32(0.2) * edge(v, end - 0.05, 0.01))
    if outfit.top.reflectors and outfit.style == "work":
        paint(layer, _SILVER, line(v, 0.72, 0.03, 0.012))
    if lower.kind == "suit-trousers":  # the crease
        shade(layer, 1 + np.float32(0.1) * hollow(u, 0.5, 0.02))
    tight = cut.lower_width < 0.1
    amount = 0.04 if tight else 0.07 + 0.07 * cut.lower_width
    shade(layer, limb_folds(numpy_generator(outfit.seed, "folds", name), patch, 0.5, amount, end))
    inside = np.abs(u - np.float32(0.25 if left else 0.75))
    shade(layer, 1 - np.float32(0.22) * hollow(inside, 0.0, 0.16) * hollow(v, 0.0, 0.3))
    return layer


def bare_leg(outfit: Outfit, wearer: Wearer) -> Layer:
    """Both legs where no trousers are: skin, tights, socks, (96, 48, 3)."""
    return _bare(outfit, Patch(96, 48, 0.44, (wearer.stature * _LEG)))


def skirt(outfit: Outfit, wearer: Wearer) -> Layer:
    """Skirt, or a dress from the waist down, (96, 160, 3)."""
    lower = outfit.lower
    wide = 1.0 + 0.7 * outfit.cut.lower_width
    patch = Patch(
        96,
        160,
        girth(wearer) * wide,
        wearer.stature * _WAIST_TO_ANKLE * outfit.cut.lower_length,
        top=wearer.stature * _NECK_TO_WAIST,
    )
    layer = weave(lower.fabric, patch, "skirt" if outfit.cut.lower == "skirt" else "")
    v = patch.down()
    if outfit.cut.lower == "dress" and outfit.top.layout == "lower":
        paint(layer, outfit.top.second.base, np.ones((1, 1)))
    if outfit.top.trimmed and outfit.cut.lower == "dress":
        paint(layer, outfit.top.trim, edge(v, 0.93, 0.02))
    belted = lower.belt is not None or outfit.cut.lower == "skirt"
    if belted:
        colour = lower.belt if lower.belt is not None else scaled(lower.fabric.base, 0.8)
        paint(layer, colour, 1 - edge(v, 0.03 / patch.length, 0.015))
    amount = 0.06 + 0.1 * outfit.cut.lower_width
    shade(layer, drape(numpy_generator(outfit.seed, "folds", "skirt"), patch, lower.pleats, amount))
    shade(layer, 1 - np.float32(0.1) * hollow(v, 1.0, 0.02))
    return layer


def collar(outfit: Outfit) -> Layer:
    """The collar, (16, 64, 3)."""
    top = outfit.top
    patch = Patch(16, 64, 0.45, 0.07)
    layer = plain(patch, top.trim) if top.trimmed else weave(top.fabric, patch, "collar")
    v, u = patch.down(), patch.around()
    shade(
        layer,
        np.float32(1.04)
        - np.float32(0.2) * (1 - edge(v, 0.3, 0.3))
        - np.float32(0.25) * hollow(u, 0.5, 0.02),
    )
    if outfit.cut.collar == "turtleneck":
        shade(layer, 1 + np.float32(0.08) * np.cos(u * np.float32(2 * np.pi * 24)))
    return layer


def scarf(outfit: Outfit) -> Layer:
    """The scarf, (24, 96, 3)."""
    patch = Patch(24, 96, 0.7, 0.17)
    layer = weave(outfit.scarf, patch)
    generator = numpy_generator(outfit.seed, "folds", "scarf")
    shade(layer, 1 + np.float32(0.14) * noise(generator, 24, 96, (6, 8)))
    return layer


def shoe(outfit: Outfit) -> Layer:
    """Both shoes, (40, 64, 3): u 0.5 the toes, v 0.85 to 1 the sole."""
    item = outfit.shoe
    patch = Patch(40, 64, 0.65, 0.14)
    generator = numpy_generator(item.seed, "shoe")
    layer = plain(patch, item.upper)
    u, v, front = patch.around(), patch.down(), patch.from_front()
    second = np.asarray(item.second, dtype=np.float32)
    if item.style == "trainer":
        kind = int(generator.integers(4))
        if kind == 0:  # a sweep along the side
            side = np.abs(np.abs(u - np.float32(0.5)) - np.float32(0.25))
            paint(layer, second, line(v, 0.55 - side * 1.5, 0.06, 0.05) * (side < 0.16))
        elif kind == 1:
            paint(
                layer,
                second,
                band(front * 9, 0.4, 0.3) * line(v, 0.5, 0.22, 0.05) * ((front > 0.3) & (front < 0.7)),
            )
        elif kind == 2:
            paint(layer, second, edge(front, 0.7, 0.06))
        paint(
            layer,
            item.laces,
            band(v * 11, 0.45, 0.3) * (1 - edge(front, 0.13, 0.05)) * (1 - edge(v, 0.62, 0.05)),
        )
    elif item.style == "canvas":
        paint(layer, (226, 226, 220), (1 - edge(front, 0.2, 0.04)) * edge(v, 0.68, 0.04))
        paint(
            layer,
            item.laces,
            band(v * 9, 0.4, 0.3) * (1 - edge(front, 0.12, 0.04)) * (1 - edge(v, 0.6, 0.05)),
        )
    elif item.style in ("leather", "boot"):
        shade(layer, 1 + np.float32(0.2) * hollow(v, 0.55, 0.2) * hollow(front, 0.1, 0.25))
        if generator.random() < 0.5:
            paint(
                layer,
                scaled(item.upper, 0.5),
                band(v * 10, 0.4, 0.3) * (1 - edge(front, 0.1, 0.05)) * (1 - edge(v, 0.55, 0.05)),
            )
    elif item.style == "sandal":
        straps = np.maximum(line(front, 0.25, 0.09, 0.05), line(v, 0.3, 0.12, 0.06) * edge(front, 0.4, 0.1))
        foot = plain(patch, outfit.complexion.skin)
        shade(foot, 1 - np.float32(0.12) * hollow(v, 0.8, 0.2))
        if outfit.lower.hosiery in ("socks", "tights") and generator.random() < 0.3:
            foot[:] = np.asarray(outfit.lower.hosiery_colour, dtype=np.float32)
        paint(foot, item.upper, straps)
        layer = foot
    elif item.style == "heel":
        skin = _hosed(outfit, plain(patch, outfit.complexion.skin), np.ones((1, 1), dtype=np.float32))
        paint(layer, skin, (1 - edge(v, 0.45, 0.06)) * (1 - edge(front, 0.75, 0.1)))
    shade(layer, 1 - np.float32(0.25) * hollow(v, 0.84, 0.05))
    paint(layer, item.sole, edge(v, 0.85, 0.03))
    return layer


def bag(outfit: Outfit, item: Bag, seed_name: str, width: float, height: float) -> Layer:
    """A bag, (80, 112, 3); v above 0.9 are its straps."""
    patch = Patch(80, 112, width, height)
    layer = weave(item.fabric, patch)
    u, v, front = patch.around(), patch.down(), patch.from_front()
    base = np.asarray(item.fabric.base, dtype=np.float32)
    # Which side is outside depends on where the bag hangs: both sides have what a bag has.
    across = np.minimum(front, 1 - front)
    if item.pockets:
        paint(
            layer, item.second, edge(v, 0.5, 0.02) * (1 - edge(across, 0.3, 0.03)) * (1 - edge(v, 0.84, 0.02))
        )
        for pocket in range(item.pockets):
            paint(
                layer,
                base * np.float32(0.5),
                line(v, 0.2 + 0.3 * pocket / item.pockets, 0.008, 0.012) * (across < 0.34),
            )
        paint(layer, base * np.float32(0.45), line(v, 0.5, 0.01, 0.012) * (across < 0.3))
    else:
        paint(layer, item.second, 1 - edge(v, 0.3, 0.02))
        paint(layer, outfit.top.hardware, line(v, 0.32, 0.02, 0.02) * (across < 0.04))
    if item.print is not None:
        stamp(layer, patch, replace(item.print, u=0.0))
        stamp(layer, patch, replace(item.print, u=0.5))
    generator = numpy_generator(outfit.seed, "folds", seed_name)
    shade(
        layer,
        1 + np.float32(0.08) * noise(generator, 80, 112, (7, 9)) - np.float32(0.15) * hollow(v, 0.88, 0.05),
    )
    paint(layer, item.strap, edge(v, 0.9, 0.01))
    paint(
        layer,
        np.asarray(item.strap, dtype=np.float32) * np.float32(0.7),
        edge(v, 0.9, 0.01) * band(u * 6, 0.15, 0.1),
    )
    return layer


def umbrella(outfit: Outfit) -> Layer:
    """The umbrella, (64, 96, 3): v 0 the tip, 0.9 the rim, below that stick and handle."""
    patch = Patch(64, 96, 3.0, 0.6)
    layer = weave(replace(outfit.umbrella, period=outfit.umbrella.period * 3), patch)
    u, v = patch.around(), patch.down()
    shade(layer, 1 + np.float32(0.14) * (((u * 8) % 1) - np.float32(0.5)))
    paint(layer, (58, 56, 56), edge(v, 0.9, 0.01))
    return layer


def thing(outfit: Outfit) -> Layer:
    """What is pushed or pulled, (32, 32, 3): the upper half its paint, the lower half tyres and handles."""
    patch = Patch(32, 32, 1.0, 1.0)
    layer = plain(patch, outfit.thing)
    u, v = patch.around(), patch.down()
    paint(layer, scaled(outfit.thing, 0.7), band(u * 5, 0.2, 0.15) * (v < 0.5))
    paint(layer, scaled(outfit.thing_second, 0.5), edge(v, 0.5, 0.02))
    return layer


def _panels(layer: Layer, patch: Patch, top: Top) -> None:
    """Panels of the second fabric, with a seam's shadow along them."""
    if top.layout in ("whole", "sleeves"):
        return
    u, v = patch.around(), patch.down()
    side = np.abs(np.abs(u - np.float32(0.5)) - np.float32(0.25)) * np.float32(4)
    distance: npt.NDArray[np.float32] = {
        "raglan": np.float32(0.65) - np.float32(2.1) * v - side,
        "yoke": np.float32(0.22) - v + side * np.float32(0),
        "chest": np.float32(0.07) - np.abs(v - np.float32(0.36)) + side * np.float32(0),
        "halves": u - np.float32(0.5) + v * np.float32(0),
        "sides": np.float32(0.3) - side + v * np.float32(0),
        "lower": v - np.float32(0.55) + side * np.float32(0),
        "shoulders": np.float32(0.1) - v + side * np.float32(0),
    }[top.layout]
    mask = np.clip(distance * np.float32(60) + np.float32(0.5), 0, 1)
    paint(layer, top.second.base, mask)
    shade(layer, 1 - np.float32(0.1) * np.exp(-((distance * np.float32(70)) ** 2)))


def _quilt(layer: Layer, patch: Patch, top: Top) -> None:
    """The rolls of a down jacket."""
    if top.quilts:
        phase = (patch.metres_down() / np.float32(top.quilts)) % 1
        shade(
            layer,
            np.float32(0.74)
            + np.float32(0.36) * np.sin(phase * np.float32(np.pi)) ** np.float32(0.6)
            + patch.around() * 0,
        )


def _pockets(layer: Layer, patch: Patch, top: Top) -> None:
    if top.pockets == "none":
        return
    u, v = patch.around(), patch.down()
    across = np.abs(u - np.float32(0.5)) * np.float32(patch.girth)
    dark = np.asarray(top.fabric.base, dtype=np.float32) * np.float32(0.6)
    if top.pockets == "kangaroo":
        rim = np.maximum(
            line(v, 0.66, 0.006, 0.01) * (across < 0.1),
            line(across - (v - np.float32(0.66)) * np.float32(0.25), 0.1, 0.004, 0.006)
            * line(v, 0.79, 0.13, 0.02),
        )
    elif top.pockets == "chest":
        middle = np.abs((u - np.float32(0.59)) * np.float32(patch.girth))
        rim = np.maximum(
            line(v, 0.3, 0.006, 0.01) * (middle < 0.055),
            line(middle, 0.055, 0.003, 0.006) * line(v, 0.37, 0.07, 0.02),
        )
    else:
        middle = np.abs(across - np.float32(0.14))
        flap = line(v, 0.7, 0.035, 0.012) * (middle < 0.065)
        paint(layer, np.asarray(top.fabric.base, dtype=np.float32) * np.float32(0.86), flap)
        rim = line(v, 0.735, 0.007, 0.012) * (middle < 0.065)
    paint(layer, dark, rim * np.float32(0.75))


def _reflectors(layer: Layer, patch: Patch, top: Top) -> None:
    for number in range(top.reflectors):
        paint(layer, _SILVER, line(patch.metres_down(), 0.32 + 0.13 * number, 0.024, 0.008))
    if top.reflectors > 1 and top.kind == "high-visibility":
        across = np.abs(np.abs(patch.around() - np.float32(0.5)) * 2 - np.float32(0.3))
        upright = line(across % 1, 0.0, 0.03, 0.015)
        paint(layer, _SILVER, upright * (1 - edge(patch.metres_down(), 0.32, 0.01)))


def _closing(layer: Layer, patch: Patch, top: Top, across: Float32, metres: Float32) -> None:
    """A zip, a button border or a short placket, down the front."""
    dark = np.asarray(top.fabric.base, dtype=np.float32) * np.float32(0.6)
    reach = np.float32(0.16) if top.front == "placket" else np.float32(9.0)
    down = metres < reach
    if top.front == "zip":
        paint(layer, dark, line(across, 0.0, 0.011, 0.006) * np.float32(0.7) * down)
        paint(layer, top.hardware, line(across, 0.0, 0.0035, 0.005) * np.float32(0.8) * down)
        return
    paint(layer, dark, line(across, 0.016, 0.003, 0.006) * np.float32(0.55) * down)
    spot = np.hypot(across, (metres % np.float32(0.085)) - np.float32(0.0425))
    paint(
        layer,
        top.hardware,
        np.clip((np.float32(0.008) - spot) / np.float32(0.006) + np.float32(0.5), 0, 1) * down,
    )


def _neck(layer: Layer, patch: Patch, outfit: Outfit, front: Float32, v: Float32) -> None:
    top, cut = outfit.top, outfit.cut
    generator = numpy_generator(outfit.seed, "neck")
    if cut.collar == "none" and cut.hood == "none" and not cut.open_front:
        deep = float(generator.uniform(0.03, 0.07))
        if top.kind in ("tank", "dress", "blouse", "tunic"):
            deep = float(generator.uniform(0.06, 0.17))
        pointed = generator.random() < 0.25
        width = float(generator.uniform(0.22, 0.4))
        shape = np.abs(front / np.float32(width)) if pointed else (front / np.float32(width)) ** 2
        # The neckline is cut in front only: on the shoulders v is 0 all the way to the arm.
        depth = np.float32(deep) * (1 - shape)
        paint(layer, top.trim, np.clip((depth + np.float32(0.022) - v) * 60, 0, 1) * (shape < 1))
        paint(
            layer,
            _skin(outfit, patch, "neck"),
            np.clip((depth - v) * 60 + np.float32(0.5), 0, 1) * (shape < 1),
        )
    elif cut.collar == "shirt" and not cut.open_front:
        unbuttoned = 0.0 if top.tie is not None else float(generator.uniform(0.0, 0.14))
        opening = np.clip((np.float32(unbuttoned) - v - front * np.float32(1.2)) * 50, 0, 1)
        seen = top.kind in ("blazer", "coat", "jacket", "denim-jacket", "leather-jacket")
        paint(layer, top.inner.base if seen else outfit.complexion.skin, opening)
        shade(layer, 1 - np.float32(0.22) * hollow(v, 0.03, 0.04))
    if top.tie is not None and not cut.open_front:
        across = np.abs(patch.around() - np.float32(0.5)) * np.float32(patch.girth)
        if top.kind in ("blazer", "coat"):
            shirt = np.clip((np.float32(0.32) - v - front * np.float32(2.2)) * 40, 0, 1)
            paint(layer, top.inner.base, shirt)
            _tie(layer, patch, top.tie, across, 0.32)
        else:
            _tie(layer, patch, top.tie, across)
    elif top.kind in ("blazer",) and not cut.open_front:
        shirt = np.clip((np.float32(0.3) - v - front * np.float32(2.2)) * 40, 0, 1)
        paint(layer, top.inner.base, shirt)
    if top.kind in ("blazer", "coat"):  # lapels
        lapel = line(np.abs(front * np.float32(2.2) - (np.float32(0.42) - v)), 0.0, 0.012, 0.02) * (v < 0.42)
        paint(layer, np.asarray(top.fabric.base, dtype=np.float32) * np.float32(0.6), lapel * np.float32(0.6))


def _bare_neck(layer: Layer, outfit: Outfit, front: Float32, v: Float32, deep: float) -> None:
    paint(
        layer,
        outfit.complexion.skin,
        np.clip((np.float32(deep) * (1 - (front / np.float32(0.4)) ** 2) - v) * 50, 0, 1),
    )


def _tie(layer: Layer, patch: Patch, colour: Colour, across: Float32, end: float = 0.95) -> None:
    v = patch.down()
    width = np.float32(0.018) + np.float32(0.022) * v
    paint(
        layer,
        colour,
        np.clip((width - across) / np.float32(0.006) + np.float32(0.5), 0, 1) * (1 - edge(v, end, 0.02)),
    )
    shade(layer, 1 - np.float32(0.25) * hollow(v, 0.07, 0.02) * (across < 0.03))


def _sleeve_fabric(top: Top) -> Fabric:
    if top.layout in ("sleeves", "raglan"):
        return top.second
    if top.fabric.pattern == "gradient":
        # What runs down the torso does not start again on the arms.
        return replace(top.fabric, pattern="plain")
    return top.fabric


def _side_lines(layer: Layer, patch: Patch, side: Float32, outfit: Outfit) -> None:
    lower = outfit.lower
    metres = side * np.float32(patch.girth)
    if lower.lines == 1:
        mask = line(metres, 0.0, 0.014, 0.006)
    else:
        phase = metres / np.float32(0.022) + np.float32(0.5 if lower.lines % 2 else 0.0)
        mask = band(phase, 0.5, 0.3) * (metres < 0.011 * lower.lines)
    paint(layer, lower.line_colour, mask)


def _skin(outfit: Outfit, patch: Patch, name: str) -> Layer:
    """Skin with its uneven tone, warmer at joints."""
    layer = plain(patch, outfit.complexion.skin)
    generator = numpy_generator(outfit.complexion.seed, "skin", name)
    shade(layer, 1 + np.float32(0.03) * noise(generator, patch.rows, patch.columns, (5, 4)))
    return layer


def _bare(outfit: Outfit, patch: Patch) -> Layer:
    """A bare leg, crotch to ankle, with what stockings there are."""
    layer = _skin(outfit, patch, "leg")
    v, u = patch.down(), patch.around()
    knee = hollow(v, 0.5, 0.05) * hollow(u, 0.5, 0.14)
    shade(layer, 1 - np.float32(0.1) * knee - np.float32(0.08) * hollow(v, 0.0, 0.2))
    lower = outfit.lower
    if lower.hosiery == "tights":
        return _hosed(outfit, layer, np.ones((1, 1), dtype=np.float32))
    if lower.hosiery == "none":
        return layer
    # High enough that they look out of low shoes.
    height = 0.56 if lower.hosiery == "knee socks" else 0.9 if lower.hosiery_lines is None else 0.84
    paint(layer, lower.hosiery_colour, edge(v, height, 0.012))
    if lower.hosiery_lines is not None:
        paint(layer, lower.hosiery_lines, line(v, height + 0.03, 0.008, 0.008))
    return layer


def _hosed(outfit: Outfit, layer: Layer, mask: Mask) -> Layer:
    if outfit.lower.hosiery == "tights":
        paint(layer, outfit.lower.hosiery_colour, mask * np.float32(outfit.lower.opacity))
    return layer

"""Textures of what is worn below the waist: trousers, skirts, shoes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from omnireid.core.arrays import Float32
from omnireid.core.seeds import numpy_generator
from omnireid.synthetic.dress.bare import hosed
from omnireid.synthetic.dress.cloth import (
    Layer,
    Patch,
    band,
    edge,
    line,
    noise,
    paint,
    plain,
    shade,
)
from omnireid.synthetic.dress.colours import SILVER, scaled
from omnireid.synthetic.dress.fabrics import weave
from omnireid.synthetic.dress.folds import drape, hollow, limb_folds
from omnireid.synthetic.dress.outfit import Outfit
from omnireid.synthetic.dress.prints import stamp
from omnireid.synthetic.dress.wearer import (
    LEG,
    NECK_TO_WAIST,
    WAIST_TO_ANKLE,
    WAIST_TO_CROTCH,
    Wearer,
    girth,
)


def hip(outfit: Outfit, wearer: Wearer) -> Layer:
    """Trousers from the waist to the crotch, (48, 144, 3)."""
    lower = outfit.lower
    patch = Patch(48, 144, girth(wearer) * 1.02, wearer.stature * WAIST_TO_CROTCH)
    layer = weave(lower.fabric, patch)
    u, v = patch.around(), patch.down()
    side = np.abs(np.abs(u - 0.5) - 0.25)
    dark = np.asarray(lower.fabric.base, dtype=np.float32) * 0.6
    fade = lower.fabric.wash * 0.25
    if lower.pockets:
        slant = line(side + (v - 0.35) * 0.06, 0.035, 0.004, 0.008) * line(v, 0.4, 0.25, 0.05)
        paint(layer, dark, slant * 0.7)
        back = np.abs(np.abs(u - 0.5) - 0.42)
        rim = np.maximum(
            line(back, 0.05, 0.003, 0.007) * line(v, 0.6, 0.22, 0.04),
            line(v, 0.4, 0.012, 0.02) * (back < 0.05),
        )
        paint(layer, dark, rim * 0.6)
        paint(layer, dark, line(u, 0.5, 0.004, 0.008) * 0.5)
    if fade:
        paint(layer, (176, 184, 194), hollow(v, 1.0, 0.5) * fade * hollow(np.abs(u - 0.5), 0.12, 0.14))
    if lower.lines:
        _side_lines(layer, patch, side, outfit)
    waistband = lower.belt if lower.belt is not None else scaled(lower.fabric.base, 0.85)
    paint(layer, waistband, 1 - edge(v, 0.15, 0.03))
    if lower.belt is not None:
        paint(layer, outfit.top.hardware, (1 - edge(v, 0.15, 0.03)) * line(u, 0.5, 0.017, 0.01))
    else:
        shade(layer, 1 - 0.2 * hollow(v, 0.16, 0.03))
    creases = limb_folds(numpy_generator(outfit.seed, "folds", "hip"), patch, 0.95, 0.07, 0.95)
    shade(layer, creases * (1 - 0.2 * hollow(v, 1.0, 0.35) * hollow(u, 0.5, 0.08)))
    return layer


def leg(outfit: Outfit, wearer: Wearer, left: bool) -> Layer:
    """One trouser leg, crotch to ankle, (128, 80, 3)."""
    lower, cut = outfit.lower, outfit.cut
    name = "leg_l" if left else "leg_r"
    patch = Patch(
        128, 80, 0.5 * wearer.stature / 1.7, wearer.stature * LEG, top=wearer.stature * WAIST_TO_CROTCH
    )
    layer = weave(lower.fabric, patch, name)
    u, v = patch.around(), patch.down()
    # `lower_length` counts from the waist; a leg begins at the crotch.
    end = float(np.clip((cut.lower_length - 0.24) / 0.76, 0.0, 1.0))
    outside = np.abs(u - (0.75 if left else 0.25))
    base = np.asarray(lower.fabric.base, dtype=np.float32)
    if lower.pockets:
        paint(layer, base * 0.62, line(outside, 0.0, 0.012, 0.014) * 0.5)
    if lower.fabric.wash:
        thigh = hollow(v, 0.25, 0.22) + 0.7 * hollow(v, 0.62, 0.14)
        worn = thigh * hollow(np.abs(u - 0.5), 0.0, 0.16) * (0.5 * lower.fabric.wash)
        paint(layer, base * 0.4 + 120, worn)
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
        paint(layer, base * 0.55, rim * 0.8)
        shade(layer, 1 - 0.12 * line(v, 0.34, 0.02, 0.02) * (outside < 0.16))
    if lower.lines:
        _side_lines(layer, patch, outside, outfit)
    if lower.print is not None and left:
        stamp(layer, patch, replace(lower.print, u=0.62, v=0.12))
    if lower.turn_up:
        paint(layer, base * 0.5 + 100, edge(v, end - lower.turn_up / (wearer.stature * LEG), 0.012) * 0.7)
    elif lower.kind in ("joggers", "track-trousers"):
        shade(layer, 1 - 0.2 * edge(v, end - 0.05, 0.01))
    if outfit.top.reflectors and outfit.style == "work":
        paint(layer, SILVER, line(v, 0.72, 0.03, 0.012))
    if lower.kind == "suit-trousers":  # the crease
        shade(layer, 1 + 0.1 * hollow(u, 0.5, 0.02))
    tight = cut.lower_width < 0.1
    amount = 0.04 if tight else 0.07 + 0.07 * cut.lower_width
    shade(layer, limb_folds(numpy_generator(outfit.seed, "folds", name), patch, 0.5, amount, end))
    inside = np.abs(u - (0.25 if left else 0.75))
    shade(layer, 1 - 0.22 * hollow(inside, 0.0, 0.16) * hollow(v, 0.0, 0.3))
    return layer


def skirt(outfit: Outfit, wearer: Wearer) -> Layer:
    """Skirt, or a dress from the waist down, (96, 160, 3)."""
    lower = outfit.lower
    wide = 1.0 + 0.7 * outfit.cut.lower_width
    patch = Patch(
        96,
        160,
        girth(wearer) * wide,
        wearer.stature * WAIST_TO_ANKLE * outfit.cut.lower_length,
        top=wearer.stature * NECK_TO_WAIST,
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
    shade(layer, 1 - 0.1 * hollow(v, 1.0, 0.02))
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
            side = np.abs(np.abs(u - 0.5) - 0.25)
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
        shade(layer, 1 + 0.2 * hollow(v, 0.55, 0.2) * hollow(front, 0.1, 0.25))
        if generator.random() < 0.5:
            paint(
                layer,
                scaled(item.upper, 0.5),
                band(v * 10, 0.4, 0.3) * (1 - edge(front, 0.1, 0.05)) * (1 - edge(v, 0.55, 0.05)),
            )
    elif item.style == "sandal":
        straps = np.maximum(line(front, 0.25, 0.09, 0.05), line(v, 0.3, 0.12, 0.06) * edge(front, 0.4, 0.1))
        foot = plain(patch, outfit.complexion.skin)
        shade(foot, 1 - 0.12 * hollow(v, 0.8, 0.2))
        if outfit.lower.hosiery in ("socks", "tights") and generator.random() < 0.3:
            foot[:] = np.asarray(outfit.lower.hosiery_colour, dtype=np.float32)
        paint(foot, item.upper, straps)
        layer = foot
    elif item.style == "heel":
        skin = hosed(outfit, plain(patch, outfit.complexion.skin), np.ones((1, 1), dtype=np.float32))
        paint(layer, skin, (1 - edge(v, 0.45, 0.06)) * (1 - edge(front, 0.75, 0.1)))
    shade(layer, 1 - 0.25 * hollow(v, 0.84, 0.05))
    paint(layer, item.sole, edge(v, 0.85, 0.03))
    return layer


def _side_lines(layer: Layer, patch: Patch, side: Float32, outfit: Outfit) -> None:
    lower = outfit.lower
    metres = side * patch.girth
    if lower.lines == 1:
        mask = line(metres, 0.0, 0.014, 0.006)
    else:
        phase = metres / 0.022 + (0.5 if lower.lines % 2 else 0.0)
        mask = band(phase, 0.5, 0.3) * (metres < 0.011 * lower.lines)
    paint(layer, lower.line_colour, mask)

"""Textures of bare arms, hands and legs, and of what stockings are on them."""

from __future__ import annotations

import numpy as np

from omnireid.core.seeds import numpy_generator
from omnireid.synthetic.dress.cloth import (
    Layer,
    Mask,
    Patch,
    band,
    edge,
    line,
    noise,
    octaves,
    paint,
    plain,
    shade,
)
from omnireid.synthetic.dress.colours import scaled
from omnireid.synthetic.dress.folds import hollow
from omnireid.synthetic.dress.outfit import Outfit
from omnireid.synthetic.dress.wearer import (
    ARM,
    LEG,
    Wearer,
)


def arm(outfit: Outfit, wearer: Wearer) -> Layer:
    """Bare arms, (64, 48, 3), with a watch where one is worn."""
    patch = Patch(64, 48, 0.28, wearer.stature * ARM)
    layer = skin(outfit, patch, "arm")
    if outfit.complexion.tattoo:
        generator = numpy_generator(outfit.complexion.seed, "tattoo")
        drawn = octaves(generator, patch.rows, patch.columns, (8, 6), 3, 0.8)
        where = edge(
            noise(generator, patch.rows, patch.columns, (3, 2)), 1.2 - 2 * outfit.complexion.tattoo, 0.3
        )
        paint(layer, scaled(outfit.complexion.skin, 0.42), edge(drawn, 0.1, 0.3) * where * 0.7)
    if outfit.extras.watch is not None:
        paint(layer, outfit.extras.watch, line(patch.down(), 0.95, 0.022, 0.012))
    shade(layer, 1 - 0.22 * hollow(patch.down(), outfit.cut.sleeve_length + 0.01, 0.02))
    return layer


def hand(outfit: Outfit) -> Layer:
    """Both hands, wrist to fingertips, (24, 32, 3)."""
    patch = Patch(24, 32, 0.2, 0.19)
    if outfit.extras.gloves is not None:
        return plain(patch, outfit.extras.gloves)
    layer = skin(outfit, patch, "hand")
    v, u = patch.down(), patch.around()
    paint(layer, scaled(outfit.complexion.skin, 0.72), band(u * 8, 0.2, 0.3) * edge(v, 0.55, 0.06) * 0.5)
    return layer


def bare_leg(outfit: Outfit, wearer: Wearer) -> Layer:
    """Both legs where no trousers are: skin, tights, socks, (96, 48, 3)."""
    return bare_legs(outfit, Patch(96, 48, 0.44, wearer.stature * LEG))


def bare_legs(outfit: Outfit, patch: Patch) -> Layer:
    """A bare leg, crotch to ankle, with what stockings there are."""
    layer = skin(outfit, patch, "leg")
    v, u = patch.down(), patch.around()
    knee = hollow(v, 0.5, 0.05) * hollow(u, 0.5, 0.14)
    shade(layer, 1 - 0.1 * knee - 0.08 * hollow(v, 0.0, 0.2))
    lower = outfit.lower
    if lower.hosiery == "tights":
        return hosed(outfit, layer, np.ones((1, 1), dtype=np.float32))
    if lower.hosiery == "none":
        return layer
    # High enough that they look out of low shoes.
    height = 0.56 if lower.hosiery == "knee socks" else 0.9 if lower.hosiery_lines is None else 0.84
    paint(layer, lower.hosiery_colour, edge(v, height, 0.012))
    if lower.hosiery_lines is not None:
        paint(layer, lower.hosiery_lines, line(v, height + 0.03, 0.008, 0.008))
    return layer


def hosed(outfit: Outfit, layer: Layer, mask: Mask) -> Layer:
    if outfit.lower.hosiery == "tights":
        paint(layer, outfit.lower.hosiery_colour, mask * outfit.lower.opacity)
    return layer


def skin(outfit: Outfit, patch: Patch, name: str) -> Layer:
    """Skin with its uneven tone, warmer at joints."""
    layer = plain(patch, outfit.complexion.skin)
    generator = numpy_generator(outfit.complexion.seed, "skin", name)
    shade(layer, 1 + 0.03 * noise(generator, patch.rows, patch.columns, (5, 4)))
    return layer

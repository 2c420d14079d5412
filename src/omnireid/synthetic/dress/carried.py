"""Textures of scarves, bags, umbrellas, and of what is pushed or pulled."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from omnireid.core.seeds import numpy_generator
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
from omnireid.synthetic.dress.colours import scaled
from omnireid.synthetic.dress.fabrics import weave
from omnireid.synthetic.dress.folds import hollow
from omnireid.synthetic.dress.outfit import Bag, Outfit
from omnireid.synthetic.dress.prints import stamp


def scarf(outfit: Outfit) -> Layer:
    """The scarf, (24, 96, 3)."""
    patch = Patch(24, 96, 0.7, 0.17)
    layer = weave(outfit.scarf, patch)
    generator = numpy_generator(outfit.seed, "folds", "scarf")
    shade(layer, 1 + 0.14 * noise(generator, 24, 96, (6, 8)))
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
                layer, base * 0.5, line(v, 0.2 + 0.3 * pocket / item.pockets, 0.008, 0.012) * (across < 0.34)
            )
        paint(layer, base * 0.45, line(v, 0.5, 0.01, 0.012) * (across < 0.3))
    else:
        paint(layer, item.second, 1 - edge(v, 0.3, 0.02))
        paint(layer, outfit.top.hardware, line(v, 0.32, 0.02, 0.02) * (across < 0.04))
    if item.print is not None:
        stamp(layer, patch, replace(item.print, u=0.0))
        stamp(layer, patch, replace(item.print, u=0.5))
    generator = numpy_generator(outfit.seed, "folds", seed_name)
    shade(layer, 1 + 0.08 * noise(generator, 80, 112, (7, 9)) - 0.15 * hollow(v, 0.88, 0.05))
    paint(layer, item.strap, edge(v, 0.9, 0.01))
    paint(layer, np.asarray(item.strap, dtype=np.float32) * 0.7, edge(v, 0.9, 0.01) * band(u * 6, 0.15, 0.1))
    return layer


def umbrella(outfit: Outfit) -> Layer:
    """The umbrella, (64, 96, 3): v 0 the tip, 0.9 the rim, below that stick and handle."""
    patch = Patch(64, 96, 3.0, 0.6)
    layer = weave(replace(outfit.umbrella, period=outfit.umbrella.period * 3), patch)
    u, v = patch.around(), patch.down()
    shade(layer, 1 + 0.14 * (((u * 8) % 1) - 0.5))
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

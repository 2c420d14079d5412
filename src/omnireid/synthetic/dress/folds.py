"""Shading that is baked into cloth and skin: creases, drapes, and the dark of seams and hollows. All of it
is faint."""

from __future__ import annotations

import numpy as np

from omnireid.core.arrays import Float32
from omnireid.synthetic.dress.cloth import Mask, Patch, noise


def ridges(generator: np.random.Generator, patch: Patch, cells: tuple[float, float]) -> Mask:
    """Noise with sharp crests, about zero mean: how cloth creases."""
    field = noise(generator, patch.rows, patch.columns, cells)
    return np.asarray(0.8 - np.abs(field), dtype=np.float32)


def hollow(position: Float32, at: float, width: float) -> Float32:
    """1 at a place, falling off over `width`."""
    return np.asarray(np.exp(-(((position - at) / width) ** 2)), dtype=np.float32)


def torso_folds(generator: np.random.Generator, patch: Patch, looseness: float, stiff: float) -> Mask:
    """Factor about 1 for a top: creases at the waist and under the arms, drapes below the chest.

    Args:
        looseness: metres from the body, as `OutfitCut.top_looseness`. stiff: 0 jersey, 1 leather or wool.
    """
    v, u = patch.down(), patch.around()
    side = np.abs(np.abs(u - 0.5) - 0.25) * 4  # 0 at either side, 1 front and back
    waist = hollow(v, 0.72, 0.2)
    armpit = hollow(v, 0.3, 0.16) * hollow(side, 0.1, 0.45)
    amount = np.float32(0.05 + min(looseness, 0.05) * 1.5) * np.float32(1.0 - 0.45 * stiff)
    across = ridges(generator, patch, (patch.length / 0.05, 6)) * waist
    slanted = ridges(generator, patch, (patch.length / 0.07, 14)) * armpit
    down = noise(generator, patch.rows, patch.columns, (3, 16)) * np.clip(v * 1.3, 0, 1) * 0.6
    broad = noise(generator, patch.rows, patch.columns, (4, 6)) * 0.5
    factor = 1.0 + amount * (across + slanted + down + broad)
    factor -= 0.10 * hollow(v, 0.24, 0.09) * hollow(side, 0.0, 0.3)  # under the arm
    return np.asarray(factor * (1.0 - 0.12 * hollow(v, 1.0, 0.03)), dtype=np.float32)


def limb_folds(generator: np.random.Generator, patch: Patch, joint: float, amount: float, end: float) -> Mask:
    """Factor about 1 for a sleeve or a trouser leg: creases at its joint, and where it bunches at its end."""
    v = patch.down()
    creases = ridges(generator, patch, (patch.length / 0.045, 4))
    where = hollow(v, joint, 0.13) + 0.8 * hollow(v, end, 0.1) + 0.6 * hollow(v, 0.03, 0.12) + 0.2
    long = noise(generator, patch.rows, patch.columns, (3, 7)) * 0.5
    return np.asarray(1.0 + amount * (creases * where + long), dtype=np.float32)


def drape(generator: np.random.Generator, patch: Patch, pleats: int, amount: float) -> Mask:
    """Factor about 1 for a skirt: pleats if it has some, otherwise folds that widen downwards."""
    v, u = patch.down(), patch.around()
    if pleats:
        phase = (u * pleats) % 1
        return np.asarray(1.0 + (1.6 * amount) * (phase - 0.5) * np.clip(v * 4, 0, 1), dtype=np.float32)
    folds = noise(generator, patch.rows, patch.columns, (2, 18)) * np.clip(v * 1.2, 0, 1)
    return np.asarray(1.0 + amount * (folds + ridges(generator, patch, (5, 5)) * 0.5), dtype=np.float32)

"""Fabrics: what cloth looks like before it is cut, by pattern and finish.

A pattern is a function in `PATTERNS`; adding one is one function and one line. All sizes are metres, so a
check is as
wide on a sleeve as on the back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from omnireid.core.seeds import numpy_generator
from omnireid.synthetic.dress.cloth import (
    Layer,
    Mask,
    Patch,
    Sheet,
    band,
    edge,
    noise,
    octaves,
    paint,
    plain,
    ramp,
    shade,
    spot,
)
from omnireid.synthetic.dress.colours import Colour, scaled
from omnireid.synthetic.opencv import cv2


@dataclass(frozen=True, slots=True)
class Fabric:
    """What a garment is made of.

    Attributes:
        pattern: a name in `PATTERNS`.
        colours: the ground first, then what is drawn on it; four.
        period: metres after which the pattern repeats.
        duty: share of the period that the second colour takes, where there are bands.
        heather: strength of the melange of lighter and darker threads, 0 to 1.
        knit: strength of ribs or stitches, 0 to 1.
        wash: how faded and worn it is, 0 to 1.
        sheen: leather, satin, nylon: strength of the soft highlights, 0 to 1.
        seed: of everything in it that is left to chance.
    """

    pattern: str
    colours: tuple[Colour, Colour, Colour, Colour]
    period: float = 0.06
    duty: float = 0.4
    heather: float = 0.0
    knit: float = 0.0
    wash: float = 0.0
    sheen: float = 0.0
    seed: int = 0

    @property
    def base(self) -> Colour:
        """The colour that most of it has."""
        return self.colours[0]


def weave(fabric: Fabric, patch: Patch, part: str = "") -> Layer:
    """Cloth for a patch. Pieces of one garment with other `part` names have the same pattern, cut
    elsewhere."""
    layer = PATTERNS[fabric.pattern](fabric, patch, numpy_generator(fabric.seed, "pattern", part))
    return finish_cloth(layer, fabric, patch, numpy_generator(fabric.seed, "finish", part))


def finish_cloth(layer: Layer, fabric: Fabric, patch: Patch, generator: np.random.Generator) -> Layer:
    """Melange, ribs, wear and sheen over a pattern, in place."""
    rows, columns = patch.rows, patch.columns
    if fabric.heather:
        grain = cv2.GaussianBlur(generator.standard_normal((rows, columns), dtype=np.float32), (0, 0), 0.7)
        streaks = noise(generator, rows, columns, (rows / 1.5, columns / 5))
        shade(layer, 1.0 + (0.16 * fabric.heather) * (grain * 1.6 + streaks))
    if fabric.knit:
        ribs = np.cos(patch.around() * (2 * np.pi * patch.turns(0.022)))
        rows_of = np.cos(patch.metres_down() * (2 * np.pi / 0.03)) * 0.3
        shade(layer, 1.0 + (0.11 * fabric.knit) * (ribs + rows_of))
    if fabric.wash:
        worn = octaves(generator, rows, columns, (rows * patch.texel / 0.14, patch.girth / 0.12), 3, 0.6)
        light = np.asarray(scaled(fabric.base, 1.0), dtype=np.float32) * 0.45 + 112.0
        paint(layer, light, np.clip((0.20 * fabric.wash) * (worn + 0.6), 0, 0.65))
    if fabric.sheen:
        gleam = octaves(generator, rows, columns, (rows * patch.texel / 0.07, patch.girth / 0.16), 2, 0.7)
        paint(layer, (236, 238, 240), np.clip((0.14 * fabric.sheen) * (gleam - 0.35), 0, 0.5))
    return layer


def _on(patch: Patch, colour: Colour, *covers: tuple[Colour, npt.ArrayLike]) -> Layer:
    layer = plain(patch, colour)
    for over, mask in covers:
        paint(layer, over, mask)
    return layer


def _vertical(patch: Patch, period: float, duty: float, shift: float = 0.0) -> Mask:
    turns = patch.turns(period)
    return band(patch.around() * turns + shift, duty, turns / patch.columns)


def _horizontal(patch: Patch, period: float, duty: float, shift: float = 0.0) -> Mask:
    return band(patch.metres_down() / period + shift, duty, patch.texel / period)


def _plain(fabric: Fabric, patch: Patch, generator: np.random.Generator) -> Layer:
    return plain(patch, fabric.base)


def _stripes_across(fabric: Fabric, patch: Patch, generator: np.random.Generator) -> Layer:
    return _on(patch, fabric.base, (fabric.colours[1], _horizontal(patch, fabric.period, fabric.duty)))


def _stripes_of_two(fabric: Fabric, patch: Patch, generator: np.random.Generator) -> Layer:
    wide = _horizontal(patch, fabric.period * 2, fabric.duty * 0.8)
    narrow = _horizontal(patch, fabric.period * 2, fabric.duty * 0.25, 0.5)
    return _on(patch, fabric.base, (fabric.colours[1], wide), (fabric.colours[2], narrow))


def _stripes_down(fabric: Fabric, patch: Patch, generator: np.random.Generator) -> Layer:
    return _on(patch, fabric.base, (fabric.colours[1], _vertical(patch, fabric.period, fabric.duty)))


def _pinstripes(fabric: Fabric, patch: Patch, generator: np.random.Generator) -> Layer:
    return _on(patch, fabric.base, (fabric.colours[1], _vertical(patch, 0.028, 0.16) * 0.7))


def _gingham(fabric: Fabric, patch: Patch, generator: np.random.Generator) -> Layer:
    down, across = _vertical(patch, fabric.period, 0.5), _horizontal(patch, fabric.period, 0.5)
    return _on(patch, fabric.base, (fabric.colours[1], (down + across) * 0.5))


def _tartan(fabric: Fabric, patch: Patch, generator: np.random.Generator) -> Layer:
    """Bands of several widths, the same down and across, half covering where they cross."""
    layer = plain(patch, fabric.base)
    period = max(fabric.period, 0.05) * 1.6
    for colour, low, high, cover in (
        (fabric.colours[1], 0.22, 0.45, 0.62), (fabric.colours[2], 0.05, 0.14, 0.7), (fabric.colours[3],
        0.03, 0.08, 0.8),
    ):  # fmt: skip
        duty, shift = generator.uniform(low, high), generator.random()
        paint(layer, colour, _horizontal(patch, period, duty, shift) * cover)
        paint(layer, colour, _vertical(patch, period, duty, shift) * cover)
    return layer


def _windowpane(fabric: Fabric, patch: Patch, generator: np.random.Generator) -> Layer:
    lines = np.maximum(_vertical(patch, fabric.period, 0.1), _horizontal(patch, fabric.period, 0.1))
    return _on(patch, fabric.base, (fabric.colours[1], lines * 0.8))


def _argyle(fabric: Fabric, patch: Patch, generator: np.random.Generator) -> Layer:
    period = max(fabric.period, 0.06) * 1.3
    turns = patch.turns(period)
    x, y = patch.around() * turns, patch.metres_down() / (period * 1.5)
    inside = edge(0.5 - np.abs(x % 1 - 0.5) - np.abs(y % 1 - 0.5), 0.0, 0.08)
    crossing = np.maximum(band(x + y, 0.05, 0.05), band(x - y, 0.05, 0.05))
    return _on(patch, fabric.base, (fabric.colours[1], inside), (fabric.colours[2], crossing * 0.7))


def _dots(fabric: Fabric, patch: Patch, generator: np.random.Generator) -> Layer:
    turns = patch.turns(fabric.period)
    y = patch.metres_down() / fabric.period
    x = patch.around() * turns + (np.floor(y) % 2) * 0.5
    radius = np.hypot(x % 1 - 0.5, y % 1 - 0.5)
    dots = spot(radius, 0.12 + 0.3 * fabric.duty, max(patch.texel / fabric.period, 0.05))
    return _on(patch, fabric.base, (fabric.colours[1], dots))


def _herringbone(fabric: Fabric, patch: Patch, generator: np.random.Generator) -> Layer:
    turns = patch.turns(0.05)
    x, y = patch.around() * turns, patch.metres_down() / 0.035
    slant = band(y + np.abs(x % 1 - 0.5) * 1.6, 0.5, patch.texel / 0.035)
    return _on(patch, fabric.base, (fabric.colours[1], slant * 0.45))


def _houndstooth(fabric: Fabric, patch: Patch, generator: np.random.Generator) -> Layer:
    period = max(0.03, fabric.period * 0.6)
    turns = patch.turns(period)
    x, y = (patch.around() * turns) % 1, (patch.metres_down() / period) % 1
    square = (x < 0.5) & (y < 0.5)
    fringe = ((x + y) % 0.5 < 0.25) & ((x < 0.5) ^ (y < 0.5))
    teeth = cv2.GaussianBlur((square | fringe).astype(np.float32), (3, 3), 0)
    return _on(patch, fabric.base, (fabric.colours[1], np.asarray(teeth, dtype=np.float32)))


def _zigzag(fabric: Fabric, patch: Patch, generator: np.random.Generator) -> Layer:
    period = max(fabric.period, 0.05)
    x, y = patch.around() * patch.turns(period * 1.4), patch.metres_down() / period
    wave = np.abs(x % 1 - 0.5) * 1.2
    first, second = (
        band(y + wave, fabric.duty, patch.texel / period),
        band(y + wave + 0.5, 0.15, patch.texel / period),
    )
    return _on(patch, fabric.base, (fabric.colours[1], first), (fabric.colours[2], second))


def _gradient(fabric: Fabric, patch: Patch, generator: np.random.Generator) -> Layer:
    middle, width = generator.uniform(0.3, 0.8), generator.uniform(0.15, 0.8)
    return _on(patch, fabric.base, (fabric.colours[1], edge(patch.down(), middle, width)))


def _tie_dye(fabric: Fabric, patch: Patch, generator: np.random.Generator) -> Layer:
    warp = octaves(generator, patch.rows, patch.columns, (4, 5), 3, 0.6)
    x = (patch.around() - generator.uniform(0.4, 0.6)) * patch.girth
    y = patch.metres_down() - 0.3
    radius = np.hypot(x, y)
    swirl = 0.5 + 0.5 * np.sin(radius * 26 + np.arctan2(y, x) + warp * 0.9)
    return ramp(np.asarray(swirl, dtype=np.float32), fabric.colours)


def _camouflage(fabric: Fabric, patch: Patch, generator: np.random.Generator) -> Layer:
    cells = (patch.length / 0.11, patch.girth / 0.13)
    layer = plain(patch, fabric.base)
    for colour, above in ((fabric.colours[1], 0.3), (fabric.colours[2], 0.6), (fabric.colours[3], 1.0)):
        paint(layer, colour, edge(octaves(generator, patch.rows, patch.columns, cells, 2, 0.5), above, 0.2))
    return layer


def _denim(fabric: Fabric, patch: Patch, generator: np.random.Generator) -> Layer:
    layer = plain(patch, fabric.base)
    twill = cv2.GaussianBlur(
        generator.standard_normal((patch.rows, patch.columns), dtype=np.float32), (0, 0), 0.8
    )
    shade(layer, 1.0 + 0.08 * twill)
    return layer


def _floral(fabric: Fabric, patch: Patch, generator: np.random.Generator) -> Layer:
    sheet = Sheet(patch.rows, patch.columns, fabric.base)
    across, down = patch.columns / patch.girth, 1 / patch.texel
    size = float(np.clip(fabric.period, 0.02, 0.12))
    count = int(np.clip(patch.girth * patch.length / (size * size) * 0.55, 4, 90))
    places = generator.random((count, 2))
    turns = generator.random((count, 2))
    petals = int(generator.integers(4, 7))
    for (u, v), (turn, which) in zip(places, turns, strict=True):
        x, y = u * patch.columns, v * patch.rows
        radius = size * (0.25 + 0.2 * which)
        colour = fabric.colours[1 + int(which * 3) % 2]
        leaf = (
            x + across * radius * 1.2 * np.cos(6.28 * turn),
            y + down * radius * 1.2 * np.sin(6.28 * turn),
        )
        sheet.ellipse(leaf, (across * radius * 0.8, down * radius * 0.3), 360 * turn, fabric.colours[3])
        for petal in range(petals):
            angle = 2 * np.pi * (petal / petals + turn)
            at = (x + across * radius * 0.55 * np.cos(angle), y + down * radius * 0.55 * np.sin(angle))
            sheet.ellipse(
                at, (across * radius * 0.45, down * radius * 0.38), float(np.degrees(angle)), colour
            )
        sheet.ellipse((x, y), (across * radius * 0.25, down * radius * 0.25), 0, fabric.colours[2])
    return sheet.picture.astype(np.float32)


def _leaves(fabric: Fabric, patch: Patch, generator: np.random.Generator) -> Layer:
    sheet = Sheet(patch.rows, patch.columns, fabric.base)
    across, down = patch.columns / patch.girth, 1 / patch.texel
    size = float(np.clip(fabric.period * 1.4, 0.04, 0.2))
    count = int(np.clip(patch.girth * patch.length / (size * size) * 1.2, 4, 90))
    drawn = generator.random((count, 4))
    for u, v, turn, which in drawn:
        colour = scaled(fabric.colours[1 + int(which * 3)], 0.8 + 0.4 * (which * 3 % 1))
        axes = (across * size * 0.5, down * size * (0.10 + 0.1 * which))
        sheet.ellipse((u * patch.columns, v * patch.rows), axes, 360 * turn, colour)
    return sheet.picture.astype(np.float32)


def _animal(fabric: Fabric, patch: Patch, generator: np.random.Generator) -> Layer:
    """Spots with a darker rim, or tiger's lines."""
    layer = plain(patch, fabric.base)
    if fabric.duty > 0.4:
        field = noise(generator, patch.rows, patch.columns, (patch.length / 0.045, patch.girth / 0.045))
        paint(layer, fabric.colours[2], edge(field, 0.9, 0.4))
        paint(layer, fabric.colours[1], edge(0.35 - np.abs(field - 0.75), 0.0, 0.3))
    else:
        field = octaves(
            generator, patch.rows, patch.columns, (patch.length / 0.05, patch.girth / 0.3), 2, 0.6
        )
        paint(layer, fabric.colours[1], edge(0.35 - np.abs(field), 0.0, 0.3))
    return layer


def _cells(fabric: Fabric, patch: Patch, generator: np.random.Generator) -> Layer:
    """Voronoi cells in shades of the four colours."""
    size = max(fabric.period, 0.04)
    count = int(np.clip(patch.girth * patch.length / (size * size), 6, 400))
    seeds = np.full((patch.rows, patch.columns), 1, dtype=np.uint8)
    at = (generator.random((count, 2)) * (patch.rows, patch.columns)).astype(np.intp)
    seeds[at[:, 0], at[:, 1]] = 0
    distance, labels = cv2.distanceTransformWithLabels(seeds, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    choice = generator.integers(0, 4, count + 1)
    tone = generator.uniform(0.75, 1.2, (count + 1, 1))
    table = (np.asarray(fabric.colours)[choice] * tone).astype(np.float32)
    layer = table[np.minimum(labels, count)]
    if fabric.duty > 0.45:  # ridges between the cells
        shade(layer, np.clip(1.15 - distance / (distance.max() + 1e-3) * 0.6, 0.4, 1.2))
    return np.asarray(np.clip(layer, 0, 255), dtype=np.float32)


def _clouds(fabric: Fabric, patch: Patch, generator: np.random.Generator) -> Layer:
    """Fractal noise, coloured along the four colours."""
    cells = (max(patch.length / (fabric.period * 5), 1.5), max(patch.girth / (fabric.period * 5), 2))
    field = octaves(generator, patch.rows, patch.columns, cells, 5, generator.uniform(0.45, 0.8))
    return ramp(0.5 + 0.27 * field, fabric.colours)


def _marble(fabric: Fabric, patch: Patch, generator: np.random.Generator) -> Layer:
    field = octaves(generator, patch.rows, patch.columns, (4, 5), 4, 0.55)
    turns = patch.turns(max(fabric.period * 3, 0.15))
    angle = generator.uniform(-3, 3)
    y = patch.metres_down() * (6.28 / max(fabric.period * 3, 0.15) * angle / 3)
    wave = np.sin(patch.around() * (2 * np.pi * turns) + y + field * generator.uniform(1, 4))
    return ramp(np.asarray(0.5 + 0.5 * wave, dtype=np.float32), fabric.colours)


def _collage(fabric: Fabric, patch: Patch, generator: np.random.Generator) -> Layer:
    """Large shapes over each other, as a poster has them."""
    sheet = Sheet(patch.rows, patch.columns, fabric.base)
    across, down = patch.columns / patch.girth, 1 / patch.texel
    count = int(generator.integers(8, 36))
    drawn = generator.random((count, 7))
    for u, v, kind, size, turn, which, tone in drawn:
        colour = scaled(fabric.colours[int(which * 4)], 0.6 + 0.8 * tone)
        centre = (u * patch.columns, v * patch.rows)
        reach = 0.02 + 0.16 * size * size
        if kind < 0.35:
            sheet.ellipse(centre, (across * reach, down * reach * (0.3 + 0.7 * tone)), 360 * turn, colour)
        elif kind < 0.8:
            corners = 3 + int(tone * 4)
            angles = 2 * np.pi * (np.arange(corners) / corners + turn)
            points = np.stack(
                [centre[0] + across * reach * np.cos(angles), centre[1] + down * reach * np.sin(angles)],
                axis=1,
            )
            sheet.polygon(points, colour)
        else:
            angles = 6.28 * turn + np.array([0.0, 0.9, 0.1, 1.2])
            steps = np.cumsum(
                np.stack([across * np.cos(angles), down * np.sin(angles)], axis=1) * reach, axis=0
            )
            sheet.strokes(steps + centre, colour, 1 + int(tone * 4))
    return sheet.picture.astype(np.float32)


def _photograph(fabric: Fabric, patch: Patch, generator: np.random.Generator) -> Layer:
    """What a photograph on cloth has: light that falls off, large soft shapes, fine texture in some of
    them."""
    rows, columns = patch.rows, patch.columns
    soft = octaves(generator, rows, columns, (2, 3), 3, 0.55)
    layer = ramp(0.5 + 0.3 * soft, fabric.colours)
    other = ramp(
        0.5 + 0.3 * octaves(generator, rows, columns, (5, 7), 4, 0.75),
        (fabric.colours[2], fabric.colours[1], fabric.colours[3]),
    )
    mask = edge(octaves(generator, rows, columns, (2, 3), 4, 0.45), generator.normal(0.0, 0.5), 0.12)
    paint(layer, other, mask)
    horizon = edge(
        patch.down() + 0.04 * noise(generator, rows, columns, (3, 6)), generator.uniform(0.3, 0.9), 0.06
    )
    paint(layer, np.asarray(fabric.colours[int(generator.integers(4))], dtype=np.float32), horizon * 0.6)
    shade(layer, 1.0 + 0.15 * noise(generator, rows, columns, (2, 2)))
    return layer


def _patchwork(fabric: Fabric, patch: Patch, generator: np.random.Generator) -> Layer:
    size = max(fabric.period * 2, 0.1)
    down, around = max(1, round(patch.length / size)), patch.turns(size)
    colours = np.asarray(fabric.colours)[generator.integers(0, 4, (down, around))]
    tone = generator.uniform(0.8, 1.15, (down, around, 1))
    small = np.clip(colours * tone, 0, 255).astype(np.float32)
    return np.asarray(
        cv2.resize(small, (patch.columns, patch.rows), interpolation=cv2.INTER_NEAREST), dtype=np.float32
    )


def _scatter(fabric: Fabric, patch: Patch, generator: np.random.Generator) -> Layer:
    """One small motif again and again, turned and shifted: stars, birds, boats as blots."""
    sheet = Sheet(patch.rows, patch.columns, fabric.base)
    across, down = patch.columns / patch.girth, 1 / patch.texel
    size = float(np.clip(fabric.period, 0.03, 0.12))
    corners = int(generator.integers(5, 11))
    radii = generator.uniform(0.25, 1.0, corners)
    angles = 2 * np.pi * np.arange(corners) / corners
    rows, columns = max(1, round(patch.length / (size * 1.7))), patch.turns(size * 1.7)
    jitter = generator.normal(0, 0.12, (rows, columns, 3))
    for row in range(rows):
        for column in range(columns):
            dx, dy, turn = jitter[row, column]
            x = (column + 0.5 + 0.5 * (row % 2) + dx) / columns % 1 * patch.columns
            y = (row + 0.5 + dy) / rows * patch.rows
            turned = angles + turn * 4
            points = np.stack(
                [
                    x + across * size * 0.5 * radii * np.cos(turned),
                    y + down * size * 0.5 * radii * np.sin(turned),
                ],
                axis=1,
            )
            sheet.polygon(points, fabric.colours[1 + (row + column) % 2])
    return sheet.picture.astype(np.float32)


Pattern = Callable[[Fabric, Patch, np.random.Generator], Layer]

PATTERNS: dict[str, Pattern] = {
    "plain": _plain,
    "stripes-across": _stripes_across,
    "stripes-of-two": _stripes_of_two,
    "stripes-down": _stripes_down,
    "pinstripes": _pinstripes,
    "gingham": _gingham,
    "tartan": _tartan,
    "windowpane": _windowpane,
    "argyle": _argyle,
    "dots": _dots,
    "herringbone": _herringbone,
    "houndstooth": _houndstooth,
    "zigzag": _zigzag,
    "gradient": _gradient,
    "tie-dye": _tie_dye,
    "camouflage": _camouflage,
    "denim": _denim,
    "floral": _floral,
    "leaves": _leaves,
    "animal": _animal,
    "cells": _cells,
    "clouds": _clouds,
    "marble": _marble,
    "collage": _collage,
    "photograph": _photograph,
    "patchwork": _patchwork,
    "scatter": _scatter,
}

# Patterns as rich as a picture: what RandPerson dresses everybody in (Wang et al., ACM MM 2020).
RICH = (
    "tie-dye",
    "cells",
    "clouds",
    "marble",
    "collage",
    "photograph",
    "patchwork",
    "scatter",
    "floral",
    "leaves",
)

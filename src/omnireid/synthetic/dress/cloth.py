"""A piece of cloth in texels and metres, and the few brushes that everything on it is drawn with.

A layer is (rows, columns, 3) float32 sRGB, 0 to 255. Columns run around the body: the middle one is the
front, the first and last meet at the back, and they grow to the person's left. Rows run down.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from omnireid.core.arrays import Float32, UInt8
from omnireid.synthetic.dress.colours import Colour
from omnireid.synthetic.opencv import cv2

Layer = Float32
Mask = Float32

_SHIFT = 4
_WHOLE = 1 << _SHIFT


@dataclass(frozen=True, slots=True)
class Patch:
    """A piece's texels and its size in metres; `top` is how far below the shoulder or the waist it begins."""

    rows: int
    columns: int
    girth: float
    length: float
    top: float = 0.0

    def around(self) -> Float32:
        """(1, columns) u, 0 to 1; 0.5 is the front."""
        return ((np.arange(self.columns, dtype=np.float32) + 0.5) / np.float32(self.columns))[None, :]

    def down(self) -> Float32:
        """(rows, 1) v, 0 to 1."""
        return ((np.arange(self.rows, dtype=np.float32) + 0.5) / np.float32(self.rows))[:, None]

    def from_front(self) -> Float32:
        """(1, columns) distance from the front, 0 to 1 at the back."""
        return np.asarray(np.abs(self.around() - 0.5) * 2, dtype=np.float32)

    def metres_down(self) -> Float32:
        """(rows, 1) metres below the garment's top."""
        return self.down() * self.length + self.top

    def turns(self, period: float) -> int:
        """How often a pattern of `period` metres goes around, a whole number so that its ends meet."""
        return max(1, round(self.girth / period))

    @property
    def texel(self) -> float:
        """Metres that one row covers."""
        return self.length / self.rows


def plain(patch: Patch, colour: Colour) -> Layer:
    """A layer of one colour."""
    layer = np.empty((patch.rows, patch.columns, 3), dtype=np.float32)
    layer[:] = np.asarray(colour, dtype=np.float32)
    return layer


def paint(layer: Layer, colour: npt.ArrayLike, mask: npt.ArrayLike) -> None:
    """Lay a colour, or another layer, over `layer` in place; `mask` broadcasts to its rows and columns, 0
    to 1."""
    share = np.asarray(mask, dtype=np.float32)
    if not share.any():
        return
    laid = np.asarray(colour, dtype=np.float32)
    # One colour after the other: NumPy is slow along an axis of three.
    for c in range(3):
        plane = layer[:, :, c]
        plane += share * (laid[..., c] - plane)


def shade(layer: Layer, factor: npt.ArrayLike) -> None:
    """Multiply a layer in place; `factor` broadcasts to its rows and columns."""
    layer *= np.asarray(factor, dtype=np.float32)[:, :, None]


def band(phase: npt.ArrayLike, duty: float, texel: float) -> Mask:
    """Cover of a band of width `duty` in every period of `phase`.

    Its edges are as soft as a texel is wide (`texel`, in periods); what is finer than the texture can show
    is its mean.
    """
    distance = np.abs((np.asarray(phase, dtype=np.float32) % 1) - 0.5)
    if texel > 0.6:
        return np.full(distance.shape, duty, dtype=np.float32)
    return _cover((duty * 0.5 - distance) / max(texel, 1e-3) + 0.5)


def edge(position: npt.ArrayLike, at: npt.ArrayLike, width: float) -> Mask:
    """0 above `at`, 1 below it, soft over `width`."""
    return _cover((np.asarray(position, dtype=np.float32) - np.asarray(at, dtype=np.float32)) / width + 0.5)


def line(position: npt.ArrayLike, at: npt.ArrayLike, half: float, soft: float) -> Mask:
    """1 within `half` of `at`, soft over `soft` outside."""
    distance = np.abs(np.asarray(position, dtype=np.float32) - np.asarray(at, dtype=np.float32))
    return _cover((half - distance) / max(soft, 1e-4) + 0.5)


def spot(distance: npt.ArrayLike, radius: float, soft: float) -> Mask:
    """1 where `distance` is less than `radius`, soft over `soft`."""
    return _cover((radius - np.asarray(distance, dtype=np.float32)) / soft + 0.5)


def _cover(share: npt.ArrayLike) -> Mask:
    return np.asarray(np.clip(share, 0, 1), dtype=np.float32)


def noise(generator: np.random.Generator, rows: int, columns: int, cells: tuple[float, float]) -> Mask:
    """(rows, columns) smooth noise, zero mean, unit deviation, whose left and right ends meet.

    `cells` is about how many grains there are down and around.
    """
    down, around = max(2, round(cells[0])), max(2, round(cells[1]))
    down, around = min(down, rows), min(around, columns)
    coarse = generator.standard_normal((down, around), dtype=np.float32)
    if around >= columns and down >= rows:
        return coarse
    padding = min(2, around)
    wrapped = np.concatenate([coarse[:, around - padding :], coarse, coarse[:, :padding]], axis=1)
    # Texels per grain are whole, so that the padding can be cut off again.
    per_grain = -(-columns // around)
    wide = cv2.resize(wrapped, (per_grain * (around + 2 * padding), rows), interpolation=cv2.INTER_CUBIC)
    middle = wide[:, per_grain * padding : per_grain * (padding + around)]
    if middle.shape[1] != columns:
        middle = cv2.resize(middle, (columns, rows), interpolation=cv2.INTER_LINEAR)
    mean, deviation = cv2.meanStdDev(middle)
    scale = np.float32(1.0 / (float(deviation[0, 0]) + 1e-6))
    return np.asarray((middle - np.float32(mean[0, 0])) * scale, dtype=np.float32)


def octaves(
    generator: np.random.Generator,
    rows: int,
    columns: int,
    cells: tuple[float, float],
    count: int,
    fall: float,
) -> Mask:
    """Noise of `count` octaves, each finer by two and weaker by `fall`; zero mean, about unit deviation."""
    field = np.zeros((rows, columns), dtype=np.float32)
    weight, total = 1.0, 0.0
    for octave in range(count):
        field += weight * noise(generator, rows, columns, (cells[0] * 2**octave, cells[1] * 2**octave))
        total += weight * weight
        weight *= fall
    return field * np.float32(total**-0.5)


def ramp(field: Mask, colours: Sequence[Colour]) -> Layer:
    """Colour a field (0 to 1) along a row of colours."""
    steps = 256
    at = np.linspace(0.0, 1.0, len(colours))
    table = np.stack(
        [np.interp(np.linspace(0, 1, steps), at, [colour[c] for colour in colours]) for c in range(3)],
        axis=-1,
    ).astype(np.float32)
    index = np.clip(field * (steps - 1), 0, steps - 1).astype(np.intp)
    return np.asarray(table[index], dtype=np.float32)


class Sheet:
    """A uint8 picture of the cloth for shapes that OpenCV draws; what leaves it on one side comes in on the
    other."""

    def __init__(self, rows: int, columns: int, colour: Colour) -> None:
        self.picture: UInt8 = np.empty((rows, columns, 3), dtype=np.uint8)
        self.picture[:] = _bytes(colour)

    def _copies(self, x: float, reach: float) -> list[float]:
        columns = self.picture.shape[1]
        copies = [x]
        if x - reach < 0:
            copies.append(x + columns)
        if x + reach > columns:
            copies.append(x - columns)
        return copies

    def polygon(self, points: npt.ArrayLike, colour: Colour) -> None:
        """Fill a polygon, (N, 2) texels."""
        corners = np.asarray(points, dtype=np.float32)
        middle = float(corners[:, 0].mean())
        reach = float(np.abs(corners[:, 0] - middle).max())
        for copy in self._copies(middle, reach):
            moved = corners + np.array([copy - middle, 0.0], dtype=np.float32)
            cv2.fillPoly(self.picture, [_fixed(moved)], _bytes(colour), cv2.LINE_AA, _SHIFT)

    def ellipse(
        self, centre: tuple[float, float], axes: tuple[float, float], angle: float, colour: Colour
    ) -> None:
        """Fill an ellipse of half `axes` in texels, turned by `angle` degrees."""
        half = (max(int(axes[0] * _WHOLE), 4), max(int(axes[1] * _WHOLE), 4))
        for copy in self._copies(centre[0], max(axes)):
            at = (int(copy * _WHOLE), int(centre[1] * _WHOLE))
            cv2.ellipse(self.picture, at, half, angle, 0, 360, _bytes(colour), -1, cv2.LINE_AA, _SHIFT)

    def strokes(self, points: npt.ArrayLike, colour: Colour, width: int) -> None:
        """Draw a line through (N, 2) texels."""
        corners = np.asarray(points, dtype=np.float32)
        middle = float(corners[:, 0].mean())
        reach = float(np.abs(corners[:, 0] - middle).max())
        for copy in self._copies(middle, reach):
            moved = corners + np.array([copy - middle, 0.0], dtype=np.float32)
            cv2.polylines(
                self.picture, [_fixed(moved)], False, _bytes(colour), max(width, 1), cv2.LINE_AA, _SHIFT
            )


def _fixed(points: Float32) -> npt.NDArray[np.int32]:
    return np.round(points * _WHOLE).astype(np.int32)


def _bytes(colour: Colour) -> tuple[int, int, int]:
    return int(colour[0]), int(colour[1]), int(colour[2])


def finish(layer: Layer) -> UInt8:
    """A layer as the texture that leaves: uint8 sRGB."""
    return np.asarray(np.clip(layer + 0.5, 0, 255), dtype=np.uint8)

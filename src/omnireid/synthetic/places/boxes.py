"""Boxes as a detector makes them: with margins, shifts and cuts, inside the picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from omnireid.core.arrays import Float64


@dataclass(frozen=True, slots=True)
class Box:
    """A box in a camera's picture, pixels."""

    left: float
    top: float
    width: float
    height: float

    @classmethod
    def round(cls, pixels: Float64) -> Box:
        """The smallest box round (N, 2) pixels; those that are NaN are left out."""
        # A row for each side: along short axes NumPy is slow.
        sides = np.ascontiguousarray(pixels.T)
        low, high = np.nanmin(sides, axis=1), np.nanmax(sides, axis=1)
        return cls(float(low[0]), float(low[1]), float(high[0] - low[0]), float(high[1] - low[1]))

    def inside(self, width: int, height: int) -> Box:
        """The part of it that a picture of that size shows; at least one pixel."""
        left, top = min(max(self.left, 0.0), width - 1.0), min(max(self.top, 0.0), height - 1.0)
        right = min(max(self.left + self.width, left + 1.0), float(width))
        bottom = min(max(self.top + self.height, top + 1.0), float(height))
        return Box(left, top, right - left, bottom - top)


@dataclass(frozen=True, slots=True)
class Detector:
    """How one box errs, in shares of the true box's height and width; negative margins cut.

    Attributes:
        top, bottom, side: margins. `shift`: sideways, in shares of the height.
        shape: width over height that the detector gives all its boxes; 0: as the body is.
    """

    top: float
    bottom: float
    side: float
    shift: float
    shape: float

    @classmethod
    def draw(cls, generator: np.random.Generator, *, part: bool = False) -> Detector:
        """Draw the errors of one box; `part` cuts it badly, as junk boxes are."""
        normal = generator.normal
        top, bottom = normal(0.03, 0.03), normal(0.03, 0.03)
        side, shift = normal(0.08, 0.10), normal(0.0, 0.025)
        cut, amount = generator.random(), generator.uniform(0.06, 0.28)
        shape = generator.uniform(0.36, 0.52) if generator.random() < 0.65 else 0.0
        if cut < 0.06:
            bottom = -amount
        elif cut < 0.08:
            top = -0.4 * amount
        elif cut < 0.11:
            shift += 0.5 * amount * float(generator.choice([-1, 1]))
        elif cut < 0.14:
            top, bottom, side = top + 0.5 * amount, bottom + 0.5 * amount, side + amount
        if part:
            top, bottom = ((-0.55, 0.05), (0.05, -0.6), (-0.3, -0.4))[int(cut * 3)]
            shift += 0.8 * (amount - 0.16)
        return cls(float(top), float(bottom), float(np.clip(side, -0.1, 0.4)), float(shift), shape)

    def box(self, true: Box) -> Box:
        """The box that it gives for a body's."""
        top = true.top - self.top * true.height
        height = max(2.0, true.height * (1.0 + self.top + self.bottom))
        middle = true.left + 0.5 * true.width + self.shift * true.height
        if self.shape:
            width = self.shape * height
        else:
            width = float(np.clip(true.width * (1.0 + 2.0 * self.side), 0.32 * height, 0.72 * height))
        return Box(middle - 0.5 * width, top, width, height)

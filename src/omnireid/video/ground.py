"""Where on the floor a camera's pixel lies: metres of a floor that several cameras may share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from omnireid.core.arrays import Float64
from omnireid.core.errors import InputError

_ROUNDS = 20
_ROWS, _COLUMNS = 181, 13


@dataclass(frozen=True, slots=True)
class Lens:
    """Focal lengths and centre in pixels, and (k1, k2) of OpenCV's radial distortion."""

    focal: tuple[float, float]
    centre: tuple[float, float]
    distortion: tuple[float, float] = (0.0, 0.0)

    def straight(self, pixels: Float64) -> Float64:
        """(N, 2) pixels to where rays meet the plane at depth 1, by fixed-point iteration."""
        bent = (pixels - np.array(self.centre)) / np.array(self.focal)
        k1, k2 = self.distortion
        flat = bent
        for _ in range(_ROUNDS):
            sq_radius = (flat * flat).sum(axis=1, keepdims=True)
            flat = bent / (1.0 + k1 * sq_radius + k2 * sq_radius * sq_radius)
        return np.asarray(flat)


@dataclass(frozen=True, slots=True, eq=False)
class Ground:
    """The floor as one camera sees it.

    Attributes:
        matrix: (3, 3) float64, from pixels (with a lens: from its straight rays) to metres, homogeneous; the
            last of its results is above 0 where the floor is seen.
        floor: Name of the floor; cameras of one floor share its metres.
        lens: None where pixels are taken as straight.
        size: Height and width of the picture that pixels are of; None: of whatever is read.
    """

    matrix: Float64
    floor: str = ""
    lens: Lens | None = None
    size: tuple[int, int] | None = None

    def at(self, pixels: npt.ArrayLike) -> Float64:
        """(N, 2) pixels to (N, 2) float64 metres; NaN where no floor is seen, as in the sky."""
        points = np.asarray(pixels, np.float64)
        flat = points if self.lens is None else self.lens.straight(points)
        lifted = np.column_stack([flat, np.ones(len(flat))]) @ self.matrix.T
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(lifted[:, 2:] > 1e-9, lifted[:, :2] / lifted[:, 2:], np.nan)

    def footprint(self, size: tuple[int, int], pixel_m: float = 0.1) -> Float64:
        """The floor that a picture shows, as far as a pixel is at most `pixel_m` metres of it.

        Args:
            size: Height and width of the picture.

        Returns:
            (N, 2) float64 metres, the corners of a polygon; none where no floor is seen.
        """
        height, width = self.size or size
        rows, columns = np.linspace(height, 0, _ROWS), np.linspace(0, width, _COLUMNS)
        sides: list[Float64] = []
        for column in columns:
            pixels = np.column_stack([np.full(_ROWS, column), rows])
            metres = self.at(pixels)
            above = self.at(pixels - [0.0, 1.0])
            is_near = np.hypot(*(above - metres).T) <= pixel_m
            sides.append(metres[: int(np.argmin(np.append(is_near, False)))])
        # Up the left side, along the farthest places, and down the right side.
        ends = [side[-1:] for side in sides[1:-1]]
        return np.concatenate([sides[0], *ends, sides[-1][::-1]])

    @classmethod
    def from_points(cls, points: Sequence[Sequence[float]], floor: str = "") -> Ground:
        """From four or more points (x, y of the picture in pixels, x, y of the floor in metres).

        Raises:
            InputError: Fewer than four, or so many on one line that they do not say where the floor is.

        Source: direct linear transform, Hartley and Zisserman, algorithm 4.2.
        """
        table = np.asarray(points, np.float64)
        if table.ndim != 2 or table.shape[1] != 4 or len(table) < 4:
            raise InputError(f"ground: expected four or more points (x, y, metres, metres), got {points!r}")
        scales = [_scaling(table[:, columns]) for columns in (slice(0, 2), slice(2, 4))]
        ends = [
            np.column_stack([table[:, columns], np.ones(len(table))]) @ scale.T
            for columns, scale in zip((slice(0, 2), slice(2, 4)), scales, strict=True)
        ]
        rows = []
        for (x, y, _), (u, v, _) in zip(*ends, strict=True):
            rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y, -u], [0, 0, 0, x, y, 1, -v * x, -v * y, -v]]
        _, sizes, directions = np.linalg.svd(np.array(rows))
        matrix = np.linalg.inv(scales[1]) @ directions[-1].reshape(3, 3) @ scales[0]
        depths = np.column_stack([table[:, :2], np.ones(len(table))]) @ matrix[2]
        if sizes[7] < 1e-6 * sizes[0] or not (np.abs(np.sign(depths).sum()) == len(depths)):
            raise InputError(
                f"ground: points {points!r} do not fix a floor; take four corners of a rectangle on it, no "
                "three of them on one line"
            )
        return cls(matrix * np.sign(depths[0]) / np.abs(depths).max(), floor)

    @classmethod
    def from_calibration(cls, camera: Mapping[str, Any], floor: str = "") -> Ground:
        """From a camera of a file that `omnireid synth --video` writes: the floor is at height 0.

        Raises:
            InputError: Something is missing or of another shape.
        """
        try:
            x, y, z = (float(value) for value in camera["position"])
            rotation = np.asarray(camera["rotation"], np.float64).reshape(3, 3)
            lens = Lens(
                *((float(a), float(b)) for a, b in (camera[key] for key in ("focal", "centre", "distortion")))
            )
            size = (int(camera["height"]), int(camera["width"]))
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"calibration of a camera: {error!r} is missing or not as expected") from error
        # The ray (x, y, 1) of the camera meets height 0 after −z / (its third part in the world).
        meet = np.array([[-z, 0.0, x], [0.0, -z, y], [0.0, 0.0, 1.0]])
        return cls((-meet if z > 0 else meet) @ rotation.T, floor, lens, size)


def _scaling(points: Float64) -> Float64:
    """What moves points to a mean of 0 and a size of 1."""
    middle = points.mean(axis=0)
    size = max(float(np.hypot(*(points - middle).T).mean()), 1e-12)
    return np.array([[1 / size, 0, -middle[0] / size], [0, 1 / size, -middle[1] / size], [0, 0, 1.0]])

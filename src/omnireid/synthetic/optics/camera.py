"""The camera as geometry: where it stands, which ray each pixel sees, where a point of the world appears.

OpenCV's convention: x to the right, y down, z into the picture; the centre of the first pixel is (0.5, 0.5).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from omnireid.core.arrays import AnyFloat, Float64
from omnireid.core.errors import InputError, ShapeError


@dataclass(frozen=True, slots=True, eq=False)
class Pinhole:
    """A pinhole camera whose lens bends rays by their distance from its axis.

    A point (x, y, z) of the camera's frame appears at focal · s · (x, y) / z + centre with
    s = 1 + k1 r² + k2 r⁴ and r the length of (x, y) / z.

    Attributes:
        position: (3,) float64, metres, in the world.
        rotation: (3, 3) float64; rotation @ (point − position) is the point in the camera's frame.
        focal: pixels, across and down. `centre`: the axis in the picture, pixels.
        width, height: of the picture, pixels.
        distortion: (k1, k2); negative k1 is a barrel, as wide lenses have it.

    Raises:
        ShapeError: a position or rotation of another shape.
        InputError: a picture without pixels, or no focal length.
    """

    position: Float64
    rotation: Float64
    focal: tuple[float, float]
    centre: tuple[float, float]
    width: int
    height: int
    distortion: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        if self.position.shape != (3,):
            raise ShapeError("position", expected=(3,), actual=self.position.shape)
        if self.rotation.shape != (3, 3):
            raise ShapeError("rotation", expected=(3, 3), actual=self.rotation.shape)
        if self.width < 1 or self.height < 1:
            raise InputError(f"a picture of {self.width}x{self.height} pixels: at least one each way")
        if min(self.focal) <= 0:
            raise InputError(f"focal {self.focal}: lengths above 0 are needed")

    @classmethod
    def look_at(
        cls,
        position: Float64,
        target: Float64,
        *,
        field_of_view: float,
        width: int,
        height: int,
        roll: float = 0.0,
        distortion: tuple[float, float] = (0.0, 0.0),
    ) -> Pinhole:
        """A camera whose axis goes through a point, with the horizon level unless it is rolled.

        Args:
            position, target: (3,) metres. Not one above the other.
            field_of_view: radians from the left to the right edge, without the distortion.
            roll: radians; above 0 the picture's right side hangs lower in the world.
        """
        position = np.asarray(position, np.float64)
        forward = np.asarray(target, np.float64) - position
        level = np.cross(forward, (0.0, 0.0, 1.0))
        if not np.linalg.norm(level) > 1e-9 * np.linalg.norm(forward):
            raise InputError("a camera that looks straight up or down has no level: move the target a little")
        forward = forward / np.linalg.norm(forward)
        right = level / np.linalg.norm(level)
        down = np.cross(forward, right)
        right, down = (
            np.cos(roll) * right + np.sin(roll) * down,
            np.cos(roll) * down - np.sin(roll) * right,
        )
        focal = 0.5 * width / np.tan(0.5 * field_of_view)
        return cls(
            position=position,
            rotation=np.stack([right, down, forward]),
            focal=(float(focal), float(focal)),
            centre=(0.5 * width, 0.5 * height),
            width=width,
            height=height,
            distortion=distortion,
        )

    def seen_from_here(self, points: AnyFloat) -> Float64:
        """(N, 3) float64 points of the world in the camera's frame."""
        from omnireid.synthetic.optics.kernels import turn

        here = np.empty((len(points), 3))
        turn(np.ascontiguousarray(points), self.position, self.rotation, here)
        return here

    def project(self, points: AnyFloat) -> tuple[Float64, Float64]:
        """Where points of the world appear.

        Args:
            points: (N, 3) float, metres.

        Returns:
            (N, 2) float64 pixels, NaN where no ray of the lens meets the point (behind the camera, or so far
            from the axis that the distortion's formula folds back); (N,) float64 depths along the axis.
        """
        from omnireid.synthetic.optics.kernels import appear

        here = self.seen_from_here(points)
        pixels = np.empty((len(here), 2))
        appear(here, self.focal, self.centre, *self.distortion, self.widest_ray, pixels)
        return pixels, here[:, 2]

    @property
    def widest_ray(self) -> float:
        """Distance from the axis at depth 1 from which on the lens sees nothing: its formula folds back."""
        return _widest_ray(*self.distortion)

    def rays(self, samples: int = 1) -> tuple[Float64, Float64]:
        """Rays through the picture, each going to (x, y, 1) in the camera's frame.

        Args:
            samples: rays per pixel and direction, evenly spread.

        Returns:
            x and y, which broadcast to (height · samples, width · samples) float64; NaN where the lens sees
            nothing.
        """
        columns = (np.arange(self.width * samples) + 0.5) / samples
        rows = (np.arange(self.height * samples) + 0.5) / samples
        x = ((columns - self.centre[0]) / self.focal[0])[None, :]
        y = ((rows - self.centre[1]) / self.focal[1])[:, None]
        if self.distortion == (0.0, 0.0):
            return x, y
        from omnireid.synthetic.optics.kernels import straighten

        shape = (len(rows), len(columns))
        straight = np.empty((2, *shape))
        straighten(x[0], y[:, 0], self.distortion[0], self.distortion[1], self.widest_ray, straight)
        return straight[0], straight[1]

    def points(self, pixels: AnyFloat, depth: AnyFloat) -> Float64:
        """The inverse of `project`: (N, 3) float64 points of the world.

        Args:
            pixels: (N, 2) float. `depth`: (N,) float, metres along the axis.
        """
        pixels = np.asarray(pixels, np.float64)
        bent = (pixels - np.array(self.centre)) / np.array(self.focal)
        from omnireid.synthetic.optics.kernels import straight_share

        shares = [
            straight_share(float(np.hypot(x, y)), self.distortion[0], self.distortion[1], self.widest_ray)
            for x, y in bent
        ]
        rays = np.column_stack([bent * np.array(shares).reshape(-1, 1), np.ones(len(bent))])
        return np.asarray((rays * np.asarray(depth)[:, None]) @ self.rotation + self.position)

    def window(
        self, left: float, top: float, width: float, height: float, out_width: int, out_height: int
    ) -> Pinhole:
        """The camera that sees a part of this one's picture at another scale: what a crop shows.

        Args:
            left, top, width, height: the part, in pixels; it may lie outside the picture.
            out_width, out_height: pixels of the new picture.
        """
        if width <= 0 or height <= 0:
            raise InputError(f"a window of {width}x{height} pixels: sides above 0 are needed")
        across, down = out_width / width, out_height / height
        return replace(
            self,
            focal=(self.focal[0] * across, self.focal[1] * down),
            centre=((self.centre[0] - left) * across, (self.centre[1] - top) * down),
            width=out_width,
            height=out_height,
        )


@lru_cache(maxsize=64)
def _widest_ray(k1: float, k2: float) -> float:
    squares = [
        root.real
        for root in np.roots([5.0 * k2, 3.0 * k1, 1.0] if k2 else [3.0 * k1, 1.0] if k1 else [1.0])
        if abs(root.imag) < 1e-12 and root.real > 0
    ]
    return float(np.sqrt(min(squares))) if squares else float("inf")

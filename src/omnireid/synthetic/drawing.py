"""The one thing that is drawn: a textured, shaded solid of revolution, seen from the side, anti-aliased.

Limbs, torsos, heads, skirts and bags are all lofts: an axis on the picture, a half width along it, and a
texture wrapped around it. The texture's columns run around the body, so a logo on the chest disappears when
the person turns away, as it must.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from omnireid.core.arrays import Float32, UInt8
from omnireid.synthetic.opencv import cv2

Canvas = Float32
Texture = UInt8

_PROFILE_STEPS = 128
_ANGLE_STEPS = 256
_SINES = np.linspace(-1.0, 1.0, _ANGLE_STEPS, dtype=np.float32)
_ANGLES = np.arcsin(_SINES)


@dataclass(frozen=True, slots=True)
class Light:
    """How a solid is lit: `shade` (256,) float32 by position across it, `folds` (h, w) float32 of creases."""

    shade: Float32
    folds: Float32


def make_light(azimuth: float, ambient: float, diffuse: float, folds: Float32) -> Light:
    """Light from `azimuth` (radians; 0 behind the viewer, positive from the right)."""
    lambert = np.clip(np.cos(_ANGLES - azimuth), 0.0, None)
    rim = 1.0 - 0.22 * np.abs(_SINES) ** 6
    return Light(shade=((ambient + diffuse * lambert) * rim).astype(np.float32), folds=folds)


@dataclass(frozen=True, slots=True)
class Loft:
    """A solid of revolution on the picture.

    Attributes:
        start, end: pixel positions of texture row 0 and of the last row.
        at, half: control points of the half width in pixels along the axis (0 to 1, ascending).
        texture: (h, w, 3) uint8 RGB; the middle column is the body's front, columns run to its left.
        heading: radians by which the body is turned.
        cap_start, cap_end: how round the ends are, as a share of the half width there (0 cuts flat).
        creases: strength of the folds.
    """

    start: tuple[float, float]
    end: tuple[float, float]
    at: tuple[float, ...]
    half: tuple[float, ...]
    texture: Texture
    heading: float
    cap_start: float = 1.0
    cap_end: float = 1.0
    creases: float = 1.0


def draw_loft(canvas: Canvas, loft: Loft, light: Light) -> None:
    """Paint a loft onto `canvas` (H, W, 3) float32 RGB, in place; what lies outside is clipped."""
    height, width = canvas.shape[:2]
    (x0, y0), (x1, y1) = loft.start, loft.end
    length = max(float(np.hypot(x1 - x0, y1 - y0)), 1.0)
    down_x, down_y = ((x1 - x0) / length, (y1 - y0) / length) if length > 1.0 else (0.0, 1.0)
    first = -loft.cap_start * loft.half[0] / length
    last = 1.0 + loft.cap_end * loft.half[-1] / length
    profile = _profile(loft, first, last)

    reach = max(loft.half) + 1.5
    ends_x = (x0 + down_x * first * length, x0 + down_x * last * length)
    ends_y = (y0 + down_y * first * length, y0 + down_y * last * length)
    side_x, side_y = reach * abs(down_y) + 1.0, reach * abs(down_x) + 1.0
    left, right = max(int(min(ends_x) - side_x), 0), min(int(max(ends_x) + side_x) + 2, width)
    top, bottom = max(int(min(ends_y) - side_y), 0), min(int(max(ends_y) + side_y) + 2, height)
    if left >= right or top >= bottom:
        return

    xs = np.arange(left, right, dtype=np.float32)[None, :] - np.float32(x0)
    ys = np.arange(top, bottom, dtype=np.float32)[:, None] - np.float32(y0)
    along = xs * np.float32(down_x / length) + ys * np.float32(down_y / length)
    across = xs * np.float32(down_y) - ys * np.float32(down_x)
    steps = (along - np.float32(first)) * np.float32((_PROFILE_STEPS - 1) / (last - first)) + np.float32(1.5)
    # One step beyond either end of the profile lies outside the solid.
    half = profile.take(steps.astype(np.int32), mode="clip")
    alpha = np.clip(half - np.abs(across) + np.float32(0.5), 0.0, 1.0)
    if not alpha.any():
        return

    middle = np.float32((_ANGLE_STEPS - 1) / 2)
    np.maximum(half, np.float32(0.5), out=half)
    across /= half
    index = (across * middle + middle).astype(np.int32)
    rows, columns = loft.texture.shape[:2]
    turns = (_ANGLES - np.float32(loft.heading)) / np.float32(2 * np.pi) + np.float32(0.5)
    column = (turns * np.float32(columns) - np.float32(0.5)).take(index, mode="clip")
    row = np.clip(along, 0.0, 1.0) * np.float32(rows - 1)
    colours = cv2.remap(loft.texture, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)

    shade = light.shade.take(index, mode="clip")
    if loft.creases:
        shade *= 1.0 + np.float32(loft.creases) * light.folds[top:bottom, left:right]
    patch = canvas[top:bottom, left:right]
    lit = colours * shade[:, :, None]
    lit -= patch
    lit *= alpha[:, :, None]
    patch += lit


def _profile(loft: Loft, first: float, last: float) -> Float32:
    """Half width from `first` to `last` along the axis, padded on both sides by one step of nothing."""
    along = np.linspace(first, last, _PROFILE_STEPS)
    half = np.interp(along, loft.at, loft.half)
    if first < 0:
        before = along < 0
        half[before] *= np.sqrt(1.0 - np.minimum(along[before] / first, 1.0) ** 2)
    if last > 1:
        after = along > 1
        half[after] *= np.sqrt(1.0 - np.minimum((along[after] - 1.0) / (last - 1.0), 1.0) ** 2)
    # A half width of nothing must not leave a hairline.
    half[half < 0.25] = -2.0
    padded = np.full(_PROFILE_STEPS + 2, -2.0, dtype=np.float32)
    padded[1:-1] = half
    return padded


def draw_ground_shadow(
    canvas: Canvas, centre: tuple[float, float], radii: tuple[float, float], strength: float
) -> None:
    """Darken a soft ellipse under the feet, in place."""
    height, width = canvas.shape[:2]
    left, right = max(int(centre[0] - radii[0]), 0), min(int(centre[0] + radii[0]) + 1, width)
    top, bottom = max(int(centre[1] - radii[1]), 0), min(int(centre[1] + radii[1]) + 1, height)
    if left >= right or top >= bottom:
        return
    xs = (np.arange(left, right, dtype=np.float32)[None, :] - np.float32(centre[0])) / np.float32(radii[0])
    ys = (np.arange(top, bottom, dtype=np.float32)[:, None] - np.float32(centre[1])) / np.float32(radii[1])
    dark = np.clip(1.0 - xs * xs - ys * ys, 0.0, 1.0)
    canvas[top:bottom, left:right] *= (1.0 - np.float32(strength) * dark)[:, :, None]


def smooth_noise(generator: np.random.Generator, rows: int, columns: int, cells: float) -> Float32:
    """(rows, columns) float32 noise, zero mean, unit deviation; about `cells` grains across."""
    coarse_columns = max(2, round(cells))
    coarse_rows = max(2, round(cells * rows / columns))
    coarse = generator.standard_normal((coarse_rows, coarse_columns), dtype=np.float32)
    noise = cv2.resize(coarse, (columns, rows), interpolation=cv2.INTER_CUBIC)
    return np.asarray((noise - noise.mean()) / (noise.std() + 1e-6), dtype=np.float32)

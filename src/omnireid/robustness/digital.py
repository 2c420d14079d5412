"""Digital: contrast, saturation, elastic deformation, pixelation and JPEG."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from omnireid.core.arrays import Float32, Float64, UInt8
from omnireid.core.compiled import compiled
from omnireid.core.images import Crop
from omnireid.robustness.extras import cv2
from omnireid.robustness.filters import gaussian, resize, to_bytes

_LEVELS = np.arange(256) / 255.0


def contrast(crop: Crop, rng: np.random.Generator, scale: float) -> Crop:
    means = np.mean(crop / 255.0, axis=(0, 1))
    tables = to_bytes((_LEVELS[:, None] - means) * scale + means)
    return np.asarray(cv2.LUT(crop, tables[None]), np.uint8)


def saturate(crop: Crop, rng: np.random.Generator, scale: float, shift: float) -> Crop:
    return change_hsv(crop, float(scale), float(shift), 0.0)


def change_hsv(crop: Crop, saturation_scale: float, saturation_shift: float, value_shift: float) -> Crop:
    """Change saturation and value, each clipped to [0, 1], and go back to RGB."""
    flat = np.ascontiguousarray(crop).reshape(-1, 3)
    return _change_hsv(flat, saturation_scale, saturation_shift, value_shift).reshape(crop.shape)


@compiled
def _change_hsv(crop: UInt8, saturation_scale: float, saturation_shift: float, value_shift: float) -> UInt8:
    out = np.empty_like(crop)
    for i in range(len(crop)):
        red, green, blue = crop[i, 0] / 255.0, crop[i, 1] / 255.0, crop[i, 2] / 255.0
        value = max(red, green, blue)
        spread = value - min(red, green, blue)
        hue, saturation = 0.0, 0.0
        if spread > 0.0:
            saturation = spread / value
            # Where channels tie, scikit-image lets the later one decide.
            if blue == value:
                hue = 4.0 + (red - green) / spread
            elif green == value:
                hue = 2.0 + (blue - red) / spread
            else:
                hue = (green - blue) / spread
            hue = (hue / 6.0) % 1.0
        saturation = min(max(saturation * saturation_scale + saturation_shift, 0.0), 1.0)
        value = min(max(value + value_shift, 0.0), 1.0)
        sector = int(hue * 6.0)
        part = hue * 6.0 - sector
        low = value * (1.0 - saturation)
        falling = value * (1.0 - part * saturation)
        rising = value * (1.0 - (1.0 - part) * saturation)
        sector %= 6
        if sector == 0:
            red, green, blue = value, rising, low
        elif sector == 1:
            red, green, blue = falling, value, low
        elif sector == 2:
            red, green, blue = low, value, rising
        elif sector == 3:
            red, green, blue = low, falling, value
        elif sector == 4:
            red, green, blue = rising, low, value
        else:
            red, green, blue = value, low, falling
        out[i, 0], out[i, 1], out[i, 2] = (
            np.uint8(red * 255.0),
            np.uint8(green * 255.0),
            np.uint8(blue * 255.0),
        )
    return out


def elastic_transform(crop: Crop, rng: np.random.Generator, strength: float) -> Crop:
    height, width, _ = crop.shape
    largest = height * 0.005
    raw = rng.uniform(-largest, largest, size=(height, width, 2))
    shifts = gaussian(raw, height * 0.01, width * 0.01, truncate=3, mirror=True) * strength
    return _warp(crop, _LEVELS.astype(np.float32), shifts)


@compiled
def _warp(crop: UInt8, intensities: Float32, shifts: Float64) -> UInt8:
    """Take pixel (y, x) from (y, x) + shift, linearly interpolated; borders reflect (d c b a | a b c d).

    The result is rounded to float32 before it is truncated, as published: so flat areas keep their level.
    """
    height, width, channels = crop.shape
    out = np.empty_like(crop)
    for y in range(height):
        for x in range(width):
            source_y, source_x = y + shifts[y, x, 1], x + shifts[y, x, 0]
            floor_y, floor_x = int(np.floor(source_y)), int(np.floor(source_x))
            part_y, part_x = source_y - floor_y, source_x - floor_x
            y0, y1 = _reflect(floor_y, height), _reflect(floor_y + 1, height)
            x0, x1 = _reflect(floor_x, width), _reflect(floor_x + 1, width)
            for c in range(channels):
                upper = intensities[crop[y0, x0, c]] * (1.0 - part_x) + intensities[crop[y0, x1, c]] * part_x
                lower = intensities[crop[y1, x0, c]] * (1.0 - part_x) + intensities[crop[y1, x1, c]] * part_x
                intensity = np.float32(upper * (1.0 - part_y) + lower * part_y)
                out[y, x, c] = np.uint8(intensity * np.float32(255.0))
    return out


@compiled
def _reflect(position: int, size: int) -> int:
    position %= 2 * size
    return min(position, 2 * size - 1 - position)


def pixelate(crop: Crop, rng: np.random.Generator, factor: float) -> Crop:
    height, width, _ = crop.shape
    small = resize(crop, max(int(height * factor), 1), max(int(width * factor), 1), Image.Resampling.BOX)
    return resize(small, height, width, Image.Resampling.NEAREST)


def jpeg_compression(crop: Crop, rng: np.random.Generator, quality: float) -> Crop:
    stream = io.BytesIO()
    Image.fromarray(crop).save(stream, "JPEG", quality=int(quality))
    return np.array(Image.open(stream))

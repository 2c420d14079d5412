"""What several corruptions are made of: Gaussian filter, zoom, smear, and back to bytes.

All work on (H, W, C) float64 and keep the order of operations of the libraries behind the published
corruptions (SciPy, NumPy): floats are truncated to bytes, so that a flat area of level 80 becomes 79 or 80 by
the last bit of a sum.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from PIL import Image

from omnireid.core.arrays import AnyFloat, Float64, Int64, UInt8
from omnireid.core.compiled import compiled
from omnireid.core.images import Crop


def to_bytes(intensities: AnyFloat) -> Crop:
    """Clip to [0, 1], scale to [0, 255] and truncate, in the precision given.

    Where the published code is in float32, a product just below a level may round up to it.
    """
    if intensities.dtype == np.float32:
        return np.asarray(np.clip(intensities, 0, 1) * np.float32(255)).astype(np.uint8)
    return _to_bytes(np.ascontiguousarray(intensities).ravel()).reshape(intensities.shape)


@compiled
def _to_bytes(values: AnyFloat) -> UInt8:
    out = np.empty(values.size, np.uint8)
    for i in range(values.size):
        out[i] = np.uint8(min(max(values[i], 0.0), 1.0) * 255.0)
    return out


def gaussian(
    image: Float64, sigma_y: float, sigma_x: float, *, truncate: float = 4.0, mirror: bool = False
) -> Float64:
    """Gaussian filter, bit for bit as `scipy.ndimage.gaussian_filter` on x86.

    Args:
        image: (H, W, C) float64.
        sigma_y, sigma_x: standard deviations in pixels.
        truncate: radius of the kernel in standard deviations.
        mirror: borders reflect (d c b a | a b c d) instead of repeating the last pixel.
    """
    height, width, channels = image.shape
    weights_y, weights_x = _gaussian_weights(sigma_y, truncate), _gaussian_weights(sigma_x, truncate)
    rows = _with_border(height, len(weights_y) - 1, mirror)
    columns = _with_border(width, len(weights_x) - 1, mirror)
    flat = np.ascontiguousarray(image).reshape(height, width * channels)
    return _separable(flat, channels, rows, columns, weights_y, weights_x).reshape(image.shape)


@lru_cache(maxsize=256)
def _gaussian_weights(sigma: float, truncate: float) -> Float64:
    """Right half of the kernel, from its centre outwards."""
    radius = int(truncate * sigma + 0.5)
    # math.exp, not np.exp: NumPy's vector forms differ in the last bit between processors and releases.
    weights = np.array([math.exp(-0.5 / (sigma * sigma) * (i * i)) for i in range(-radius, radius + 1)])
    return np.ascontiguousarray((weights / weights.sum())[radius:])


@lru_cache(maxsize=256)
def _with_border(size: int, radius: int, mirror: bool) -> Int64:
    """Index of the pixel that stands at −radius … size + radius − 1."""
    positions = np.arange(-radius, size + radius)
    if not mirror:
        return np.clip(positions, 0, size - 1)
    positions %= 2 * size
    return np.minimum(positions, 2 * size - 1 - positions)


@compiled
def _separable(
    image: Float64, channels: int, rows: Int64, columns: Int64, weights_y: Float64, weights_x: Float64
) -> Float64:
    height, length = image.shape
    radius_y, radius_x = weights_y.size - 1, weights_x.size - 1
    line = np.empty(length)
    padded = np.empty(columns.size * channels)
    out = np.empty_like(image)
    for y in range(height):
        middle = image[rows[y + radius_y]]
        for i in range(length):
            line[i] = middle[i] * weights_y[0]
        # From the outermost pair inwards, as SciPy sums a symmetric kernel.
        for j in range(radius_y, 0, -1):
            above, below, weight = image[rows[y + radius_y - j]], image[rows[y + radius_y + j]], weights_y[j]
            for i in range(length):
                line[i] += (above[i] + below[i]) * weight
        for x in range(columns.size):
            for c in range(channels):
                padded[x * channels + c] = line[columns[x] * channels + c]
        target = out[y]
        centre = radius_x * channels
        for i in range(length):
            target[i] = padded[centre + i] * weights_x[0]
        for j in range(radius_x, 0, -1):
            left, right, weight = centre - j * channels, centre + j * channels, weights_x[j]
            for i in range(length):
                target[i] += (padded[left + i] + padded[right + i]) * weight
    return out


def zoom(image: Float64, factor: float, *, crop: bool) -> Float64:
    """Enlarge the middle by linear interpolation, as `scipy.ndimage.zoom` (order 1) of the cut-out.

    Args:
        image: (H, W, C) float64, of which the middle ⌈H / factor⌉ × ⌈W / factor⌉ pixels are enlarged.
        crop: return the top left (H, W, C); otherwise all, which may be somewhat larger.
    """
    height, width, channels = image.shape
    top, top_weight, bottom_weight = _linear_taps(height, factor, crop)
    left, left_weight, right_weight = _linear_taps(width, factor, crop)
    flat = np.ascontiguousarray(image).reshape(height, width * channels)
    zoomed = _interpolate(flat, channels, top, top_weight, bottom_weight, left, left_weight, right_weight)
    return zoomed.reshape(len(top), len(left), channels)


@lru_cache(maxsize=1024)
def _linear_taps(size: int, factor: float, crop: bool) -> tuple[Int64, Float64, Float64]:
    """For every position of the enlarged axis: its left neighbour, and the weights of left and right."""
    cut = math.ceil(size / factor)
    enlarged = round(cut * factor)
    step = (cut - 1) / (enlarged - 1) if enlarged > 1 else 1.0
    positions = np.arange(min(enlarged, size) if crop else enlarged) * step
    left = np.minimum(np.floor(positions).astype(np.int64), max(cut - 2, 0))
    right_weight = positions - left
    left_weight = 1.0 - right_weight
    # Rounding may push the last position past the end, where SciPy puts nothing.
    outside = positions > cut - 1
    start = (size - cut) // 2
    return left + start, np.where(outside, 0.0, left_weight), np.where(outside, 0.0, right_weight)


@compiled
def _interpolate(
    image: Float64,
    channels: int,
    top: Int64,
    top_weight: Float64,
    bottom_weight: Float64,
    left: Int64,
    left_weight: Float64,
    right_weight: Float64,
) -> Float64:
    height, length = image.shape
    upper, lower = np.empty(length), np.empty(length)
    out = np.empty((top.size, left.size * channels))
    for y in range(top.size):
        # Weighted by row first, then by column, and summed in this order: as SciPy does.
        above, below = image[top[y]], image[min(top[y] + 1, height - 1)]
        for i in range(length):
            upper[i] = above[i] * top_weight[y]
            lower[i] = below[i] * bottom_weight[y]
        for x in range(left.size):
            near, far = left_weight[x], right_weight[x]
            i = left[x] * channels
            j = min(i + channels, length - channels)
            for c in range(channels):
                total = upper[i + c] * near + upper[j + c] * far
                out[y, x * channels + c] = total + lower[i + c] * near + lower[j + c] * far
    return out


def smear(image: Float64, radius: int, sigma: float, angle: float) -> Float64:
    """Motion blur: the sum of shifted copies along a line, weighted by one half of a Gaussian.

    Where a shift leaves the image, the sum stops: small images come out darker, as published.

    Args:
        image: (H, W, C) float64.
        radius, sigma: 2 · radius + 1 copies; σ of their weights.
        angle: angle of the line, in degrees.
    """
    height, width, channels = image.shape
    count = 2 * radius + 1
    density = math.sqrt(2 * math.pi) * sigma  # cancels, but for the last bit
    weights = np.array([math.exp(-(i * i) / (2 * sigma**2)) / density for i in range(count)])
    weights /= weights.sum()
    sine, cosine = math.sin(math.radians(angle)), math.cos(math.radians(angle))
    shifts = [(-math.ceil(i * sine - 0.5), -math.ceil(i * cosine - 0.5)) for i in range(count)]
    inside = 0
    while inside < count and abs(shifts[inside][0]) < height and abs(shifts[inside][1]) < width:
        inside += 1
    flat = np.ascontiguousarray(image).reshape(height, width * channels)
    return _smear(flat, channels, weights, np.array(shifts[:inside], np.int64)).reshape(image.shape)


@compiled
def _smear(image: Float64, channels: int, weights: Float64, shifts: Int64) -> Float64:
    height, length = image.shape
    margin = np.abs(shifts[:, 1]).max() * channels
    padded = np.empty((height, length + 2 * margin))
    for y in range(height):
        for i in range(margin):
            padded[y, i] = image[y, i % channels]
            padded[y, margin + length + i] = image[y, length - channels + i % channels]
        padded[y, margin : margin + length] = image[y]
    out = np.zeros_like(image)
    for y in range(height):
        target = out[y]
        for j in range(len(shifts)):
            source = padded[min(max(y - shifts[j, 0], 0), height - 1)]
            start = margin - shifts[j, 1] * channels
            weight = weights[j]
            for i in range(length):
                target[i] += weight * source[start + i]
    return out


def resize(crop: Crop, height: int, width: int, resampling: Image.Resampling) -> Crop:
    """Resize with Pillow, columns first: Pillow 13 chooses the order, earlier ones went this way."""
    narrow = Image.fromarray(crop).resize((width, crop.shape[0]), resampling)
    return np.array(narrow.resize((width, height), resampling))

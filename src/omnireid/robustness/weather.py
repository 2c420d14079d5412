"""Weather: snow, fog, brightness, spatter and rain; frost has a file of its own."""

from __future__ import annotations

import numpy as np
from PIL import Image

from omnireid.core.arrays import Bool, Float32, Float64
from omnireid.core.compiled import compiled
from omnireid.core.images import Crop
from omnireid.robustness.digital import change_hsv
from omnireid.robustness.extras import cv2
from omnireid.robustness.filters import gaussian, resize, smear, to_bytes, zoom


def snow(
    crop: Crop,
    rng: np.random.Generator,
    flake: tuple[float, float, float, float],
    motion: tuple[float, float],
    keep: float,
) -> Crop:
    (mean, deviation, factor, threshold), (radius, sigma) = flake, motion
    height, width, _ = crop.shape
    flakes = zoom(rng.normal(mean, deviation, size=(height, width, 1)), float(factor), crop=False)
    flakes[flakes < threshold] = 0
    flakes = smear(np.clip(flakes, 0, 1), int(radius), sigma, rng.uniform(-135, -45))
    flakes = np.round(flakes * 255)[:height, :width] / 255.0

    intensities = crop.astype(np.float32) / np.float32(255)
    grey = cv2.cvtColor(intensities, cv2.COLOR_RGB2GRAY)[..., None]
    whitened = keep * intensities + (1 - keep) * np.maximum(intensities, grey * 1.5 + 0.5)
    return to_bytes(whitened + flakes + np.rot90(flakes, k=2))


def fog(crop: Crop, rng: np.random.Generator, strength: float, decay: float) -> Crop:
    height, width, channels = crop.shape
    size = 1 << (max(height, width, channels) - 1).bit_length()
    density = _plasma(rng.uniform(-1.0, 1.0, size=size * size), size, float(decay))[:height, :width, None]
    intensities = crop / 255.0
    brightest = intensities.max()
    return to_bytes((intensities + strength * density) * brightest / (brightest + strength))


@compiled
def _plasma(uniforms: Float64, size: int, decay: float) -> Float64:
    """Diamond-square height map on a torus, scaled to [0, 1].

    Args:
        uniforms: size² numbers in [−1, 1).
        size: side length, a power of two.
        decay: the decay from one scale to the next, the deviation shrinks by its square.
    """
    out = np.zeros((size, size))
    used = 0
    amplitude = 100.0 * 100.0
    step = size
    while step >= 2:
        half = step // 2
        for y in range(0, size, step):
            below = (y + step) % size
            for x in range(0, size, step):
                right = (x + step) % size
                corners = out[y, x] + out[below, x] + out[y, right] + out[below, right]
                out[y + half, x + half] = corners / 4 + amplitude * uniforms[used]
                used += 1
        for y in range(0, size, step):
            below, above = (y + step) % size, (y - half) % size
            for x in range(0, size, step):
                right, left = (x + step) % size, (x - half) % size
                centre = out[y + half, x + half]
                sides = out[above, x + half] + centre + out[y, x] + out[y, right]
                out[y, x + half] = sides / 4 + amplitude * uniforms[used]
                sides = out[y + half, left] + centre + out[y, x] + out[below, x]
                out[y + half, x] = sides / 4 + amplitude * uniforms[used + 1]
                used += 2
        step = half
        amplitude /= decay * decay
    lowest = out.min()
    scale = 1.0 / (out.max() - lowest)
    for y in range(size):
        for x in range(size):
            out[y, x] = (out[y, x] - lowest) * scale
    return out


def brightness(crop: Crop, rng: np.random.Generator, shift: float) -> Crop:
    return change_hsv(crop, 1.0, 0.0, shift)


def spatter(
    crop: Crop,
    rng: np.random.Generator,
    mean: float,
    deviation: float,
    sigma: float,
    threshold: float,
    strength: float,
    kind: float,
) -> Crop:
    height, width, _ = crop.shape
    liquid = gaussian(rng.normal(mean, deviation, size=(height, width, 1)), sigma, sigma)[..., 0]
    intensities = crop.astype(np.float32) / np.float32(255)
    if kind == 0:
        return _water(intensities, np.where(liquid < threshold, 0.0, liquid), strength)
    return _mud(intensities, liquid > threshold, strength)


_WATER = np.array([175, 238, 238], np.float32) / 255
_MUD = np.array([63, 42, 20]) / 255


def _water(intensities: Float32, liquid: Float64, strength: float) -> Crop:
    levels = np.minimum(liquid * 255, 255).astype(np.uint8)
    distance = cv2.distanceTransform(255 - cv2.Canny(levels, 50, 150), cv2.DIST_L2, 5)
    distance = cv2.blur(np.minimum(distance, 20), (3, 3)).astype(np.uint8)
    distance = cv2.equalizeHist(distance)
    relief = np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]])
    distance = cv2.blur(cv2.filter2D(distance, cv2.CV_8U, relief), (3, 3))
    drops = levels * distance.astype(np.float32)
    largest = drops.max()
    if largest == 0:
        # The published code divides by zero here: a picture without a drop becomes black.
        return np.zeros(intensities.shape, np.uint8)
    drops *= np.float32(strength) / largest
    return to_bytes(intensities + drops[..., None] * _WATER)


def _mud(intensities: Float32, wet: Bool, sigma: float) -> Crop:
    cover = gaussian(wet[..., None].astype(np.float64), sigma, sigma)
    cover[cover < 0.8] = 0
    return to_bytes(intensities * (1 - cover) + _MUD * cover)


def rain(
    crop: Crop,
    rng: np.random.Generator,
    pixels_per_drop: float,
    length: float,
    blur: float,
    brightness: float,
) -> Crop:
    height, width, _ = crop.shape
    if height <= 60:
        # A drop must fit. The published code leaves the picture enlarged; here it is brought back.
        enlarged = resize(crop, 65, max(int(width * (65.0 / height)), 1), Image.Resampling.BICUBIC)
        rained = rain(enlarged, rng, pixels_per_drop, length, blur, brightness)
        return resize(rained, height, width, Image.Resampling.BICUBIC)
    picture = crop.copy()
    # Truncated towards 0. It limits where drops start; they are all drawn with a slant of 10.
    slant = int(rng.uniform(-10, 10))
    count = height * width // int(pixels_per_drop)
    starts_x = rng.integers(min(slant, 0), max(width - max(slant, 0), 0), size=count, endpoint=True)
    starts_y = rng.integers(0, height - int(length), size=count, endpoint=True)
    for x, y in zip(starts_x.tolist(), starts_y.tolist(), strict=True):
        cv2.line(picture, (x, y), (x + 10, y + int(length)), (200, 200, 200), 1)
    blurred = cv2.blur(picture, (int(blur), int(blur)))
    # There and back in 8 bits: the published code goes through HLS, where it changes nothing, and rounds.
    rounded = cv2.cvtColor(cv2.cvtColor(blurred, cv2.COLOR_RGB2HLS), cv2.COLOR_HLS2RGB)
    darker = np.clip(np.arange(256, dtype=np.float32) + np.float32(brightness * 255), 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(rounded, darker), np.uint8)

"""Compiled loops of the sensor. Import them inside functions.

All is float32, step by step as NumPy would do it, but in one pass over the picture.
"""

# numba infers the types of compiled functions; mypy does not know its rules.
# mypy: ignore-errors

from __future__ import annotations

from typing import Any

import numpy as np

from omnireid.core import compiled as numba_settings

# The types inside are numba's: to mypy, compiled loops take and return anything.
compiled: Any = numba_settings.compiled


@compiled
def mix_noise(noise, common, own):
    """Change (H, W, 3) float32 in place: `common` of each pixel's mean, `own` of what differs from it."""
    for row in range(noise.shape[0]):
        for column in range(noise.shape[1]):
            red, green, blue = noise[row, column, 0], noise[row, column, 1], noise[row, column, 2]
            mean = (red + green + blue) / np.float32(3.0)
            noise[row, column, 0] = common * mean + own * (red - mean)
            noise[row, column, 1] = common * mean + own * (green - mean)
            noise[row, column, 2] = common * mean + own * (blue - mean)


@compiled
def develop(light, noise, gains, settings, curve, levels):
    """Fill (H, W, 3) float32 levels from light: veil, vignette, exposure, noise, balance, saturation, curve.

    Args:
        gains: (3,) of the balance.
        settings: shares of the light that are kept and scattered, half of the vignette, exposure, what the
            noise is multiplied by, squares of its deviations by light and without it, saturation.
        curve: (N,) levels by the root of light.
    """
    kept, scattered, half_vignette, exposure, gain, shot, read, saturation = settings
    height, width = light.shape[:2]
    zero, one, most = np.float32(0.0), np.float32(1.0), np.float32(4.0)
    steps, half = np.float32(len(curve) - 1), np.float32(0.5)
    veil = np.zeros(3, np.float32)
    for row in range(height):
        for column in range(width):
            for c in range(3):
                veil[c] += light[row, column, c]
    for c in range(3):
        veil[c] = scattered * (veil[c] / np.float32(height * width))
    x = np.linspace(-1.0, 1.0, width).astype(np.float32)
    y = np.linspace(-1.0, 1.0, height).astype(np.float32)
    for row in range(height):
        for column in range(width):
            edge = one - half_vignette * (x[column] * x[column] + y[row] * y[row])
            for c in range(3):
                value = (kept * light[row, column, c] + veil[c]) * edge
                value = min(max(value * exposure, zero), most)
                value += noise[row, column, c] * gain * np.sqrt(shot * value + read)
                levels[row, column, c] = value * gains[c]
            red, green, blue = levels[row, column, 0], levels[row, column, 1], levels[row, column, 2]
            if saturation != one:
                grey = np.float32(0.2126) * red + np.float32(0.7152) * green + np.float32(0.0722) * blue
                red = grey + saturation * (red - grey)
                green = grey + saturation * (green - grey)
                blue = grey + saturation * (blue - grey)
            levels[row, column, 0] = curve[int(np.sqrt(min(max(red, zero), one)) * steps + half)]
            levels[row, column, 1] = curve[int(np.sqrt(min(max(green, zero), one)) * steps + half)]
            levels[row, column, 2] = curve[int(np.sqrt(min(max(blue, zero), one)) * steps + half)]

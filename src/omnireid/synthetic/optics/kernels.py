"""Compiled loops of the renderer. They release the GIL and hold no state. Import them inside functions.

Light is linear float32; textures are 8-bit sRGB and go through a table of 256 levels.
"""

# numba infers the types of compiled functions; mypy does not know its rules.
# mypy: ignore-errors

from __future__ import annotations

from typing import Any

import numpy as np

from omnireid.core import compiled as numba_settings

# The types inside are numba's: to mypy, compiled loops take and return anything.
compiled: Any = numba_settings.compiled


def _linear_levels():
    levels = np.arange(256, dtype=np.float64) / 255.0
    curve = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
    return curve.astype(np.float32)


def _srgb_levels():
    light = np.arange(STEPS + 1, dtype=np.float64) / STEPS
    curve = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.rint(255.0 * curve).astype(np.uint8)


# sRGB (IEC 61966-2-1) to linear light, and back: steps so small that every level of the dark end is met.
STEPS = 8192
LINEAR = _linear_levels()
SRGB = _srgb_levels()


@compiled
def add_face_normals(vertices, faces, normals):
    """Fill (V, 3) zeros with unit normals: sums of the faces' normals, each as long as its face is large."""
    for face in range(len(faces)):
        a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
        px, py, pz = vertices[a, 0], vertices[a, 1], vertices[a, 2]
        ux, uy, uz = vertices[b, 0] - px, vertices[b, 1] - py, vertices[b, 2] - pz
        vx, vy, vz = vertices[c, 0] - px, vertices[c, 1] - py, vertices[c, 2] - pz
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        for corner in range(3):
            vertex = faces[face, corner]
            normals[vertex, 0] += nx
            normals[vertex, 1] += ny
            normals[vertex, 2] += nz
    for vertex in range(len(normals)):
        x, y, z = normals[vertex, 0], normals[vertex, 1], normals[vertex, 2]
        length = np.sqrt(x * x + y * y + z * z)
        if length > 0.0:
            normals[vertex, 0] = x / length
            normals[vertex, 1] = y / length
            normals[vertex, 2] = z / length
        else:
            normals[vertex, 2] = 1.0


@compiled
def halve_picture(picture, half):
    """Fill (h, w, 4) uint8 with means of 2×2 texels of (H, W, 4): of linear light, weighted by alpha."""
    height, width = picture.shape[0], picture.shape[1]
    for row in range(half.shape[0]):
        top = min(2 * row, height - 1)
        bottom = min(2 * row + 1, height - 1)
        for column in range(half.shape[1]):
            left = min(2 * column, width - 1)
            right = min(2 * column + 1, width - 1)
            alpha, weight, red, green, blue = 0, 0.0, 0.0, 0.0, 0.0
            for y in (top, bottom):
                for x in (left, right):
                    opacity = picture[y, x, 3]
                    alpha += opacity
                    share = opacity + 0.001
                    weight += share
                    red += share * LINEAR[picture[y, x, 0]]
                    green += share * LINEAR[picture[y, x, 1]]
                    blue += share * LINEAR[picture[y, x, 2]]
            half[row, column, 0] = SRGB[int(red / weight * STEPS + 0.5)]
            half[row, column, 1] = SRGB[int(green / weight * STEPS + 0.5)]
            half[row, column, 2] = SRGB[int(blue / weight * STEPS + 0.5)]
            half[row, column, 3] = (alpha + 2) // 4

"""Compiled loops of the body. numba is imported with this module: import it inside functions."""

from __future__ import annotations

import numpy as np

from omnireid.core.arrays import Float32, Int64
from omnireid.core.compiled import compiled


@compiled
def skin(
    vertices: Float32,
    normals: Float32,
    bones: Int64,
    weights: Float32,
    rotations: Float32,
    offsets: Float32,
    moved: Float32,
    turned: Float32,
) -> None:
    """Linear blend skinning: vertex v goes to the weighted mean of `rotations[b] @ v + offsets[b]`.

    Args:
        vertices, normals: (V, 3) float32. bones: (V, 4) int64. weights: (V, 4) float32, sum 1.
        rotations: (B, 3, 3) float32. offsets: (B, 3) float32.
        moved, turned: (V, 3) float32, written.
    """
    for v in range(len(vertices)):
        x, y, z = vertices[v, 0], vertices[v, 1], vertices[v, 2]
        p, q, r = normals[v, 0], normals[v, 1], normals[v, 2]
        mx = my = mz = nx = ny = nz = np.float32(0)
        for i in range(4):
            w = weights[v, i]
            if w == 0:
                continue
            b = bones[v, i]
            t = rotations[b]
            o = offsets[b]
            mx += w * (t[0, 0] * x + t[0, 1] * y + t[0, 2] * z + o[0])
            my += w * (t[1, 0] * x + t[1, 1] * y + t[1, 2] * z + o[1])
            mz += w * (t[2, 0] * x + t[2, 1] * y + t[2, 2] * z + o[2])
            nx += w * (t[0, 0] * p + t[0, 1] * q + t[0, 2] * r)
            ny += w * (t[1, 0] * p + t[1, 1] * q + t[1, 2] * r)
            nz += w * (t[2, 0] * p + t[2, 1] * q + t[2, 2] * r)
        length = np.sqrt(nx * nx + ny * ny + nz * nz)
        scale = np.float32(1) / max(length, np.float32(1e-12))
        moved[v, 0], moved[v, 1], moved[v, 2] = mx, my, mz
        turned[v, 0], turned[v, 1], turned[v, 2] = nx * scale, ny * scale, nz * scale

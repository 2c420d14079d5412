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
# For what takes many arrays: handing them over costs more than the work.
inlined: Any = numba_settings.inlined


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


@compiled
def turn(points, origin, rotation, turned):
    """Fill (V, 3) float64 with rotation @ (point − origin); return each coordinate's lowest and highest."""
    low, high = np.full(3, np.inf), np.full(3, -np.inf)
    for point in range(len(points)):
        x = np.float64(points[point, 0]) - origin[0]
        y = np.float64(points[point, 1]) - origin[1]
        z = np.float64(points[point, 2]) - origin[2]
        for axis in range(3):
            value = rotation[axis, 0] * x + rotation[axis, 1] * y + rotation[axis, 2] * z
            turned[point, axis] = value
            low[axis], high[axis] = min(low[axis], value), max(high[axis], value)
    return low, high


@compiled
def appear(here, focal, centre, k1, k2, widest, pixels):
    """Fill (V, 2) with where points (V, 3) of the camera's frame appear; NaN where no ray meets them."""
    for point in range(len(here)):
        depth = here[point, 2]
        x, y = here[point, 0] / depth, here[point, 1] / depth
        square = x * x + y * y
        if not (depth > 0.0 and square < widest * widest):
            pixels[point] = np.nan
            continue
        stretch = 1.0 + k1 * square + k2 * square * square
        pixels[point, 0] = x * stretch * focal[0] + centre[0]
        pixels[point, 1] = y * stretch * focal[1] + centre[1]


@compiled
def straight_share(bent, k1, k2, widest):
    """A straight ray's distance from the axis over the bent one's; NaN: no ray is bent so."""
    if bent == 0.0:
        return 1.0
    if bent >= widest * (1.0 + widest * widest * (k1 + k2 * widest * widest)):
        return np.nan
    # Newton from the side where the curve is steep enough never to leave the range that the lens sees.
    radius = min(bent, widest)
    for _ in range(20):
        square = radius * radius
        slope = 1.0 + square * (3.0 * k1 + 5.0 * k2 * square)
        step = (radius * (1.0 + square * (k1 + k2 * square)) - bent) / max(slope, 1e-3)
        radius = min(max(radius - step, 0.0), widest)
        if abs(step) < 1e-7:  # the next one would be about its square
            break
    return radius / bent


@compiled
def straighten(x, y, k1, k2, widest, straight):
    """Fill (2, H, W) with the straight rays of bent ones whose (W,) x and (H,) y are given."""
    for row in range(len(y)):
        for column in range(len(x)):
            share = straight_share(np.sqrt(x[column] * x[column] + y[row] * y[row]), k1, k2, widest)
            straight[0, row, column] = x[column] * share
            straight[1, row, column] = y[row] * share


@compiled
def bilinear(texels, start, height, width, u, v):
    """Linear RGB of a level between its texels, for u and v from 0 up to 1."""
    x, y = u * width - 0.5, v * height - 0.5
    left, top = int(np.floor(x)), int(np.floor(y))
    right_share, lower_share = np.float32(x - left), np.float32(y - top)
    right, bottom = left + 1, top + 1
    # The texture repeats. Comparisons, because divisions took half of the time of a picture.
    left = left + width if left < 0 else left
    right = right - width if right >= width else right
    top = top + height if top < 0 else top
    bottom = bottom - height if bottom >= height else bottom
    red, green, blue = np.float32(0.0), np.float32(0.0), np.float32(0.0)
    upper_share, left_share = np.float32(1.0) - lower_share, np.float32(1.0) - right_share
    for texel, share in (
        (start + top * width + left, upper_share * left_share),
        (start + top * width + right, upper_share * right_share),
        (start + bottom * width + left, lower_share * left_share),
        (start + bottom * width + right, lower_share * right_share),
    ):
        red += share * LINEAR[texels[texel, 0]]
        green += share * LINEAR[texels[texel, 1]]
        blue += share * LINEAR[texels[texel, 2]]
    return red, green, blue


@inlined
def texture_colour(bank, row, u, v, level):
    """Linear RGB of a texture at a level between two of its halved copies."""
    texels, starts, heights, widths = bank[0], bank[1], bank[2], bank[3]
    level = min(max(level, 0.0), bank[4][row] - 1.0)
    u, v = u - np.floor(u), v - np.floor(v)
    finer = int(level)
    share = np.float32(level - finer)
    red, green, blue = bilinear(texels, starts[row, finer], heights[row, finer], widths[row, finer], u, v)
    if share > 0.0:
        coarser = finer + 1
        red2, green2, blue2 = bilinear(
            texels, starts[row, coarser], heights[row, coarser], widths[row, coarser], u, v
        )
        red += share * (red2 - red)
        green += share * (green2 - green)
        blue += share * (blue2 - blue)
    return red, green, blue


@inlined
def is_hole(bank, row, u, v, level):
    """Whether the nearest texel of the nearest level is a hole."""
    nearest = int(min(max(level, 0.0), bank[4][row] - 1.0) + 0.5)
    height, width = bank[2][row, nearest], bank[3][row, nearest]
    x, y = int((u - np.floor(u)) * width), int((v - np.floor(v)) * height)
    return bank[0][bank[1][row, nearest] + min(y, height - 1) * width + min(x, width - 1), 3] < 128


@inlined
def texels_per_metre(bank, row, uvs, face, sq_area):
    """How dense a texture lies on a face: the root of texels per square metre. `sq_area`: (2 · area)²."""
    u0, v0 = uvs[face, 0, 0], uvs[face, 0, 1]
    span = (uvs[face, 1, 0] - u0) * (uvs[face, 2, 1] - v0) - (uvs[face, 2, 0] - u0) * (uvs[face, 1, 1] - v0)
    texels = abs(span) * bank[2][row, 0] * bank[3][row, 0]
    return np.sqrt(texels / max(np.sqrt(sq_area), 1e-12))


@compiled
def draw_reach(places, corner, texel, faces, uvs, textures, bank, reach):
    """Fill a shadow map: the largest third coordinate over each texel's centre.

    Args:
        places: (V, 3) float64 metres across, along and towards the light.
        corner: (2,) where the map begins across and along. `texel`: metres.
        reach: (R, C) float32, −inf where nothing is yet.
    """
    rows, columns = reach.shape
    at = np.empty((len(places), 2))
    for place in range(len(places)):
        for axis in range(2):
            at[place, axis] = (places[place, axis] - corner[axis]) / texel
    for face in range(len(faces)):
        a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
        ax, ay, bx, by, cx, cy = at[a, 0], at[a, 1], at[b, 0], at[b, 1], at[c, 0], at[c, 1]
        area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
        if area == 0.0:
            continue
        side = 1.0 if area > 0.0 else -1.0
        row_holes = textures[face]
        holes = bank[5][row_holes]
        left = max(int(np.ceil(min(ax, bx, cx) - 0.5)), 0)
        right = min(int(np.floor(max(ax, bx, cx) - 0.5)), columns - 1)
        top = max(int(np.ceil(min(ay, by, cy) - 0.5)), 0)
        bottom = min(int(np.floor(max(ay, by, cy) - 0.5)), rows - 1)
        for row in range(top, bottom + 1):
            y = row + 0.5
            for column in range(left, right + 1):
                x = column + 0.5
                share_a = (bx - x) * (cy - y) - (cx - x) * (by - y)
                if share_a * side < 0.0:
                    continue
                share_b = (cx - x) * (ay - y) - (ax - x) * (cy - y)
                if share_b * side < 0.0:
                    continue
                share_a, share_b = share_a / area, share_b / area
                share_c = 1.0 - share_a - share_b
                if share_c < 0.0:
                    continue
                height = share_a * places[a, 2] + share_b * places[b, 2] + share_c * places[c, 2]
                if height <= reach[row, column]:
                    continue
                if holes:
                    uv = uvs[face]
                    u = share_a * uv[0, 0] + share_b * uv[1, 0] + share_c * uv[2, 0]
                    v = share_a * uv[0, 1] + share_b * uv[1, 1] + share_c * uv[2, 1]
                    if is_hole(bank, row_holes, u, v, 0.0):
                        continue
                reach[row, column] = height


@compiled
def draw_faces(here, faces, uvs, textures, bank, x_of, y_of, lens, ids, depth):
    """Fill the visibility buffer: for each sample the face it sees and how deep that is.

    A sample's ray (x, y, 1) meets the triangle a, b, c of the camera's frame where its three products with
    b × c, c × a and a × b have one sign; over their sum they are the shares of the corners, exact in
    perspective and without clipping (Olano and Greer 1997). Two faces with a common edge get the same product
    with opposite signs: no gaps.

    Args:
        here: (V, 3) float64, vertices in the camera's frame.
        x_of, y_of: rays of the samples; one row or one column where that is enough.
        lens: focal lengths and centre in samples, k1, k2, the widest ray, the nearest depth that is drawn.
        ids: (H, W) int32, rows of `faces`. `depth`: (H, W) float32, what is nearer than this is drawn.
    """
    focal_x, focal_y, centre_x, centre_y, k1, k2, widest, near = lens
    rows, columns = ids.shape
    x_step, y_step = int(x_of.shape[0] > 1), int(y_of.shape[1] > 1)
    for face in range(len(faces)):
        a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
        ax, ay, az = here[a, 0], here[a, 1], here[a, 2]
        bx, by, bz = here[b, 0], here[b, 1], here[b, 2]
        cx, cy, cz = here[c, 0], here[c, 1], here[c, 2]
        if az <= near and bz <= near and cz <= near:
            continue
        left, right, top, bottom = np.inf, -np.inf, np.inf, -np.inf
        for corner in range(3):
            if corner == 0:
                px, py, pz, qx, qy, qz = ax, ay, az, bx, by, bz
            elif corner == 1:
                px, py, pz, qx, qy, qz = bx, by, bz, cx, cy, cz
            else:
                px, py, pz, qx, qy, qz = cx, cy, cz, ax, ay, az
            if pz >= near:
                left, right = min(left, px / pz), max(right, px / pz)
                top, bottom = min(top, py / pz), max(bottom, py / pz)
            if (pz < near) != (qz < near):
                share = (near - pz) / (qz - pz)
                x, y = (px + share * (qx - px)) / near, (py + share * (qy - py)) / near
                left, right, top, bottom = min(left, x), max(right, x), min(top, y), max(bottom, y)
        if k1 != 0.0 or k2 != 0.0:
            inner_x, inner_y = max(left, -right, 0.0), max(top, -bottom, 0.0)
            inner = inner_x * inner_x + inner_y * inner_y
            if inner >= widest * widest:
                continue
            outer_x, outer_y = max(-left, right), max(-top, bottom)
            outer = min(outer_x * outer_x + outer_y * outer_y, widest * widest)
            small = 1.0 + min(k1 * inner, k1 * outer) + min(k2 * inner * inner, k2 * outer * outer)
            large = 1.0 + max(k1 * inner, k1 * outer) + max(k2 * inner * inner, k2 * outer * outer)
            left, right = min(left * small, left * large), max(right * small, right * large)
            top, bottom = min(top * small, top * large), max(bottom * small, bottom * large)
        # Clamped before they become whole numbers: what is close may project far beyond their range.
        first_column = int(np.ceil(min(max(focal_x * left + centre_x - 0.500001, 0.0), columns)))
        last_column = int(np.floor(min(max(focal_x * right + centre_x - 0.499999, -1.0), columns - 1.0)))
        first_row = int(np.ceil(min(max(focal_y * top + centre_y - 0.500001, 0.0), rows)))
        last_row = int(np.floor(min(max(focal_y * bottom + centre_y - 0.499999, -1.0), rows - 1.0)))
        if first_column > last_column or first_row > last_row:
            continue
        # Products of two corners, for the edge between them.
        ux, uy, uz = by * cz - bz * cy, bz * cx - bx * cz, bx * cy - by * cx
        vx, vy, vz = cy * az - cz * ay, cz * ax - cx * az, cx * ay - cy * ax
        wx, wy, wz = ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx
        volume = ax * ux + ay * uy + az * uz
        if volume == 0.0:
            continue
        if volume < 0.0:
            volume = -volume
            ux, uy, uz, vx, vy, vz, wx, wy, wz = -ux, -uy, -uz, -vx, -vy, -vz, -wx, -wy, -wz
        texture = textures[face]
        holes = bank[5][texture]
        density = 0.0
        if holes:
            nx, ny, nz = ux + vx + wx, uy + vy + wy, uz + vz + wz
            density = texels_per_metre(bank, texture, uvs, face, nx * nx + ny * ny + nz * nz) / focal_x
        for row in range(first_row, last_row + 1):
            for column in range(first_column, last_column + 1):
                x, y = x_of[row * x_step, column], y_of[row, column * y_step]
                u = ux * x + uy * y + uz
                v = vx * x + vy * y + vz
                w = wx * x + wy * y + wz
                if not (u >= 0.0 and v >= 0.0 and w >= 0.0):
                    continue
                total = u + v + w
                z = np.float32(volume / total)
                if not (z > near and z < depth[row, column]):
                    continue
                if holes:
                    uv = uvs[face]
                    across = (u * uv[0, 0] + v * uv[1, 0] + w * uv[2, 0]) / total
                    down = (u * uv[0, 1] + v * uv[1, 1] + w * uv[2, 1]) / total
                    if is_hole(bank, texture, across, down, np.log2(max(density * z, 1e-6))):
                        continue
                depth[row, column] = z
                ids[row, column] = face


@inlined
def lit_share(maps, x, y, z, nx, ny, nz):
    """Share of a light's rays that reach a point: 0 in shadow, 1 in the open; edges two texels wide.

    (nx, ny, nz): the face's unit normal on the side that is looked at. The point is moved along it by as much
    as the map's texels can be wrong on a slope.
    """
    reach, _, starts, sizes, frames, corners, texels = maps
    share = 1.0
    for number in range(len(starts)):
        frame = frames[number]
        texel = texels[number]
        cosine = nx * frame[2, 0] + ny * frame[2, 1] + nz * frame[2, 2]
        lift = 2.2 * texel * np.sqrt(max(1.0 - cosine * cosine, 0.0))
        px, py, pz = x + lift * nx, y + lift * ny, z + lift * nz
        column = (frame[0, 0] * px + frame[0, 1] * py + frame[0, 2] * pz - corners[number, 0]) / texel - 1.0
        row = (frame[1, 0] * px + frame[1, 1] * py + frame[1, 2] * pz - corners[number, 1]) / texel - 1.0
        rows, columns = sizes[number, 0], sizes[number, 1]
        if not (column >= 0.0 and row >= 0.0 and column < columns - 3 and row < rows - 3):
            continue
        height = frame[2, 0] * px + frame[2, 1] * py + frame[2, 2] * pz + 0.5 * texel
        left, top = int(column), int(row)
        across, down = column - left, row - top
        lit = 0.0
        for i in range(3):
            weight_row = 1.0 - down if i == 0 else (1.0 if i == 1 else down)
            start = starts[number] + (top + i) * columns + left
            line = 0.0
            if reach[start] <= height:
                line += 1.0 - across
            if reach[start + 1] <= height:
                line += 1.0
            if reach[start + 2] <= height:
                line += across
            lit += weight_row * line
        share *= 0.25 * lit
    return share


# Directions and distances (metres, rising) at which a point looks for what stands between it and the sky.
AROUND = np.stack([np.cos(np.arange(8) * np.pi / 4 + 0.2), np.sin(np.arange(8) * np.pi / 4 + 0.2)], axis=1)
DISTANCES = (0.06, 0.16, 0.40)


@compiled
def spread(reach, radius, nearby):
    """Fill (R, C) float32 with the largest reach within a square of 2 · radius + 1 texels."""
    rows, columns = reach.shape
    along = np.empty_like(reach)
    for row in range(rows):
        for column in range(columns):
            largest = reach[row, column]
            for other in range(max(column - radius, 0), min(column + radius + 1, columns)):
                largest = max(largest, reach[row, other])
            along[row, column] = largest
    for row in range(rows):
        nearby[row] = along[row]
        for other in range(max(row - radius, 0), min(row + radius + 1, rows)):
            for column in range(columns):
                nearby[row, column] = max(nearby[row, column], along[other, column])


@inlined
def open_share(maps, x, y, z, nx, ny, nz):
    """Share of the sky's light that bodies around leave to a point with the unit normal (nx, ny, nz)."""
    reach, nearby, starts, sizes, frames, corners, texels = maps
    share = 1.0
    for number in range(len(starts)):
        frame, texel = frames[number], texels[number]
        rows, columns = sizes[number, 0], sizes[number, 1]
        column = (frame[0, 0] * x + frame[0, 1] * y + frame[0, 2] * z - corners[number, 0]) / texel
        row = (frame[1, 0] * x + frame[1, 1] * y + frame[1, 2] * z - corners[number, 1]) / texel
        if not (column >= 0.0 and row >= 0.0 and column < columns and row < rows):
            continue
        if nearby[starts[number] + int(row) * columns + int(column)] < z + 0.02:
            continue
        blocked, weights = 0.0, 1e-6
        upward = max(nz, 0.0)
        for way in range(8):
            dx, dy = AROUND[way, 0], AROUND[way, 1]
            weight = upward + max(nx * dx + ny * dy, 0.0)
            weights += weight
            if weight < 0.05:
                continue
            along, across = frame[1, 0] * dx + frame[1, 1] * dy, frame[0, 0] * dx + frame[0, 1] * dy
            steepest = 0.0
            for step in range(3):
                distance = DISTANCES[step]
                i, j = int(row + along * distance / texel), int(column + across * distance / texel)
                if i >= 0 and j >= 0 and i < rows and j < columns:
                    steepest = max(steepest, (reach[starts[number] + i * columns + j] - z - 0.02) / distance)
            square = steepest * steepest
            blocked += weight * square / (1.0 + square)
        share *= 1.0 - blocked / weights
    return share


@compiled
def shade(
    here, vertices, normals, faces, uvs, textures, owners, bank, view, x_of, y_of, ids, samples, depth_of,
    light, lamps, own_sun, own_sky, other_sun, has_behind, behind, out,
):  # fmt: skip
    """Light what each sample sees and add the samples of a pixel up. A face is lit once in each pixel.

    Args:
        view: the nine numbers of the camera's rotation, row after row, and its position's three.
        samples: per pixel and direction. `depth_of`: (H, W) of samples.
        light: towards the sun, sun, sky, ground, backdrop and towards the open sky, three numbers each; then
            shadow, occlusion and the focal length in pixels.
        lamps: (L, 6) float64: place and colour.
        own_sun, own_sky: maps of what is drawn here. `other_sun`: of what stands around.
        behind: colour, sunlight, depth, owners of the picture that this one is drawn over.
        out: colour, sunlight, depth, owners to fill.
    """
    colour, sunlight, depth, owner_of = out
    height, width = depth.shape
    x_step, y_step = int(x_of.shape[0] > 1), int(y_of.shape[1] > 1)
    num_samples = samples * samples
    r00, r01, r02, r10, r11, r12, r20, r21, r22, eye_x, eye_y, eye_z = view
    towards, sun, sky, ground, backdrop, open_side, shadow, occlusion, focal = light
    sun_x, sun_y, sun_z = towards
    has_sun = sun[0] + sun[1] + sun[2] > 0.0
    prepared = -1
    for row in range(height):
        for column in range(width):
            red, green, blue = 0.0, 0.0, 0.0
            sun_red, sun_green, sun_blue = 0.0, 0.0, 0.0
            empty, most = 0, 0
            ray_x, ray_y = 0.0, 0.0
            first_i, first_j = row * samples, column * samples
            for i in range(first_i, first_i + samples):
                for j in range(first_j, first_j + samples):
                    empty += ids[i, j] < 0
            if empty == num_samples:
                # Most of a frame is nothing but the place: the mean of the rays lies between two of them.
                i, j = first_i + samples - 1, first_j + samples - 1
                ray_x = 0.5 * empty * (x_of[first_i * x_step, first_j] + x_of[i * x_step, j])
                ray_y = 0.5 * empty * (y_of[first_i, first_j * y_step] + y_of[i, j * y_step])
            for sample in range(0 if empty == num_samples else num_samples):
                i, j = row * samples + sample // samples, column * samples + sample % samples
                face = ids[i, j]
                x, y = x_of[i * x_step, j], y_of[i, j * y_step]
                if face < 0:
                    ray_x += x
                    ray_y += y
                    continue
                count, seen = 1, False
                for earlier in range(sample):
                    if ids[row * samples + earlier // samples, column * samples + earlier % samples] == face:
                        seen = True
                        break
                if seen:
                    continue
                for later in range(sample + 1, num_samples):
                    i2, j2 = row * samples + later // samples, column * samples + later % samples
                    if ids[i2, j2] == face:
                        count += 1
                        x += x_of[i2 * x_step, j2]
                        y += y_of[i2, j2 * y_step]
                x, y = x / count, y / count
                if count > most:
                    most = count
                    owner_of[row, column] = owners[face]
                    depth[row, column] = depth_of[i, j]
                if face != prepared:
                    # Neighbours see the same face more often than not.
                    prepared = face
                    a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
                    ax, ay, az = here[a, 0], here[a, 1], here[a, 2]
                    bx, by, bz = here[b, 0], here[b, 1], here[b, 2]
                    cx, cy, cz = here[c, 0], here[c, 1], here[c, 2]
                    ux, uy, uz = by * cz - bz * cy, bz * cx - bx * cz, bx * cy - by * cx
                    vx, vy, vz = cy * az - cz * ay, cz * ax - cx * az, cx * ay - cy * ax
                    wx, wy, wz = ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx
                    fx, fy, fz = ux + vx + wx, uy + vy + wy, uz + vz + wz
                    volume = ax * ux + ay * uy + az * uz
                    sq_area = fx * fx + fy * fy + fz * fz
                    face_length = np.sqrt(sq_area)
                    # The face's own normal in the world.
                    world_x = (r00 * fx + r10 * fy + r20 * fz) / face_length
                    world_y = (r01 * fx + r11 * fy + r21 * fz) / face_length
                    world_z = (r02 * fx + r12 * fy + r22 * fz) / face_length
                    texture = textures[face]
                    density = texels_per_metre(bank, texture, uvs, face, sq_area)
                    glow, gloss = bank[6][texture], bank[7][texture]
                share_a, share_b = ux * x + uy * y + uz, vx * x + vy * y + vz
                share_c = wx * x + wy * y + wz
                total = share_a + share_b + share_c
                z = volume / total
                share_a, share_b, share_c = share_a / total, share_b / total, share_c / total
                ray = np.sqrt(x * x + y * y + 1.0)
                facing = -(fx * x + fy * y + fz) / (face_length * ray)
                side = 1.0 if facing >= 0.0 else -1.0
                facing = abs(facing)
                # On the side that is looked at.
                gx, gy, gz = side * world_x, side * world_y, side * world_z
                nx = share_a * normals[a, 0] + share_b * normals[b, 0] + share_c * normals[c, 0]
                ny = share_a * normals[a, 1] + share_b * normals[b, 1] + share_c * normals[c, 1]
                nz = share_a * normals[a, 2] + share_b * normals[b, 2] + share_c * normals[c, 2]
                length = side * max(np.sqrt(nx * nx + ny * ny + nz * nz), 1e-9)
                nx, ny, nz = nx / length, ny / length, nz / length
                px = share_a * vertices[a, 0] + share_b * vertices[b, 0] + share_c * vertices[c, 0]
                py = share_a * vertices[a, 1] + share_b * vertices[b, 1] + share_c * vertices[c, 1]
                pz = share_a * vertices[a, 2] + share_b * vertices[b, 2] + share_c * vertices[c, 2]
                footprint = density * z / (focal * np.sqrt(max(facing, 0.1)))
                base_red, base_green, base_blue = texture_colour(
                    bank,
                    texture,
                    share_a * uvs[face, 0, 0] + share_b * uvs[face, 1, 0] + share_c * uvs[face, 2, 0],
                    share_a * uvs[face, 0, 1] + share_b * uvs[face, 1, 1] + share_c * uvs[face, 2, 1],
                    np.log2(max(footprint, 1e-6)),
                )
                direct, shine = 0.0, 0.0
                if has_sun:
                    direct = nx * sun_x + ny * sun_y + nz * sun_z
                    if direct > 0.0:
                        lit = lit_share(own_sun, px, py, pz, gx, gy, gz)
                        if lit > 0.0:
                            lit *= lit_share(other_sun, px, py, pz, gx, gy, gz)
                        lit = 1.0 - shadow * (1.0 - lit)
                        direct *= lit
                        if gloss > 0.0:
                            # Half way between the sun and the eye.
                            hx = sun_x - (r00 * x + r10 * y + r20) / ray
                            hy = sun_y - (r01 * x + r11 * y + r21) / ray
                            hz = sun_z - (r02 * x + r12 * y + r22) / ray
                            half = (nx * hx + ny * hy + nz * hz) / np.sqrt(hx * hx + hy * hy + hz * hz)
                            shine = lit * gloss * max(half, 0.0) ** 32
                    else:
                        direct = 0.0
                up = 0.5 + 0.5 * (nx * open_side[0] + ny * open_side[1] + nz * open_side[2])
                around = 1.0
                if occlusion > 0.0:
                    around = 1.0 - occlusion * (1.0 - open_share(own_sky, px, py, pz, nx, ny, nz))
                # Smooth surfaces throw back more of the sky when they are seen from the side.
                mirror = gloss * (0.04 + 0.5 * (1.0 - facing) ** 5)
                light_red = around * (up * sky[0] + (1.0 - up) * ground[0])
                light_green = around * (up * sky[1] + (1.0 - up) * ground[1])
                light_blue = around * (up * sky[2] + (1.0 - up) * ground[2])
                for lamp in range(len(lamps)):
                    lx, ly, lz = lamps[lamp, 0] - px, lamps[lamp, 1] - py, lamps[lamp, 2] - pz
                    square = max(lx * lx + ly * ly + lz * lz, 0.01)
                    power = around * max(nx * lx + ny * ly + nz * lz, 0.0) / (square * np.sqrt(square))
                    light_red += power * lamps[lamp, 3]
                    light_green += power * lamps[lamp, 4]
                    light_blue += power * lamps[lamp, 5]
                direct_red = (base_red * direct + shine) * sun[0]
                direct_green = (base_green * direct + shine) * sun[1]
                direct_blue = (base_blue * direct + shine) * sun[2]
                mirror *= around
                red += count * (direct_red + base_red * (light_red + glow) + mirror * sky[0])
                green += count * (direct_green + base_green * (light_green + glow) + mirror * sky[1])
                blue += count * (direct_blue + base_blue * (light_blue + glow) + mirror * sky[2])
                sun_red += count * direct_red
                sun_green += count * direct_green
                sun_blue += count * direct_blue
            if empty > 0:
                back_red, back_green, back_blue = backdrop[0], backdrop[1], backdrop[2]
                lit_red, lit_green, lit_blue = 0.0, 0.0, 0.0
                back_depth, back_owner = np.float32(np.inf), np.int32(0)
                if has_behind:
                    back_red, back_green, back_blue = (
                        np.float64(behind[0][row, column, 0]),
                        np.float64(behind[0][row, column, 1]),
                        np.float64(behind[0][row, column, 2]),
                    )
                    lit_red, lit_green, lit_blue = (
                        np.float64(behind[1][row, column, 0]),
                        np.float64(behind[1][row, column, 1]),
                        np.float64(behind[1][row, column, 2]),
                    )
                    back_depth, back_owner = behind[2][row, column], behind[3][row, column]
                    if back_depth < np.inf:
                        x, y = back_depth * ray_x / empty, back_depth * ray_y / empty
                        px = r00 * x + r10 * y + r20 * back_depth + eye_x
                        py = r01 * x + r11 * y + r21 * back_depth + eye_y
                        pz = r02 * x + r12 * y + r22 * back_depth + eye_z
                        lit = 1.0
                        if lit_red + lit_green + lit_blue > 0.0:
                            lit = 1.0 - shadow * (1.0 - lit_share(own_sun, px, py, pz, 0.0, 0.0, 1.0))
                        around = 1.0
                        if occlusion > 0.0:
                            around = 1.0 - occlusion * (1.0 - open_share(own_sky, px, py, pz, 0.0, 0.0, 1.0))
                        if lit < 1.0 or around < 1.0:
                            back_red = around * (back_red - lit_red) + lit * lit_red
                            back_green = around * (back_green - lit_green) + lit * lit_green
                            back_blue = around * (back_blue - lit_blue) + lit * lit_blue
                            lit_red, lit_green, lit_blue = lit * lit_red, lit * lit_green, lit * lit_blue
                red, green, blue = (
                    red + empty * back_red,
                    green + empty * back_green,
                    blue + empty * back_blue,
                )
                sun_red, sun_green, sun_blue = (
                    sun_red + empty * lit_red,
                    sun_green + empty * lit_green,
                    sun_blue + empty * lit_blue,
                )
                if empty >= most:
                    depth[row, column], owner_of[row, column] = back_depth, back_owner
            colour[row, column, 0] = red / num_samples
            colour[row, column, 1] = green / num_samples
            colour[row, column, 2] = blue / num_samples
            sunlight[row, column, 0] = sun_red / num_samples
            sunlight[row, column, 1] = sun_green / num_samples
            sunlight[row, column, 2] = sun_blue / num_samples

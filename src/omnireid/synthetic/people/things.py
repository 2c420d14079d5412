"""What people carry, wear on the back, push and pull: solids, bound to bones or to frames of their own."""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np

from omnireid.core.arrays import Float64
from omnireid.synthetic.people.garments import Tailor
from omnireid.synthetic.people.outfit import Slot
from omnireid.synthetic.people.pieces import Piece, directions, rigid, tube
from omnireid.synthetic.people.rigged import FRAMES, Skeleton

_Point: TypeAlias = Float64 | tuple[float, float, float]
_HUB: Final = 0.33  # radius of a bicycle's wheel
BIKE_SIDE: Final = 0.40  # metres to the left of who pushes it


def things(tailor: Tailor) -> list[Piece]:
    """All things that the cut names."""
    cut, body = tailor.cut, tailor.body
    grips = Skeleton.of(body).grips
    first = len(body.assets.bones)
    frame = {name: first + row for row, name in enumerate(FRAMES)}
    hand = cut.hand_side[0]
    other = "l" if hand == "r" else "r"
    pieces: list[Piece] = []
    if cut.backpack:
        pieces += _backpack(tailor)
    if cut.shoulder_bag:
        pieces += _shoulder_bag(tailor)
    if cut.umbrella == "open":
        pieces += _umbrella(grips[hand], frame[f"held_{hand}"], body.scale)
        hand = other
    elif cut.umbrella == "closed":
        pieces.append(_closed_umbrella(grips[hand], frame[f"held_{hand}"]))
        hand = other
    if cut.handbag:
        pieces += _handbag(grips[hand], frame[f"held_{hand}"], cut.handbag, body.scale)
    if cut.pushed == "trolley":
        pieces += _trolley(frame["hauled"], body.scale)
    elif cut.pushed == "bicycle":
        pieces += _bicycle(frame["ground"])
    return pieces


def box(
    slot: Slot,
    centre: _Point,
    size: _Point,
    bone: int,
    *,
    v: tuple[float, float] = (0.0, 0.88),
    power: float = 0.35,
    taper: float = 1.0,
) -> Piece:
    """A rounded box of three extents, narrower at its top by `taper`; `power` 0 is sharp, 1 an ellipse."""
    u = np.arange(12) / 12
    facing = directions(u)
    outline = np.sign(facing) * np.abs(facing) ** power * np.asarray(size[:2]) / 2
    levels = np.array([1.0, 0.93, 0.5, 0.0, -0.5, -0.93, -1.0])
    shrink = np.array([0.72, 0.95, 1.0, 1.0, 1.0, 0.95, 0.72]) * np.interp(levels, [-1, 1], [1, taper])
    rings = np.empty((len(levels), 12, 3))
    for row, (level, share) in enumerate(zip(levels, shrink, strict=True)):
        rings[row, :, :2] = np.asarray(centre[:2]) + outline * share
        rings[row, :, 2] = centre[2] + level * size[2] / 2
    rows = np.linspace(v[0], v[1], len(levels))
    return tube(slot, rings, rigid(bone, rings.shape[0] * 12), v=rows, cap_top=True, cap_end=True)


def rod(
    slot: Slot,
    start: _Point,
    end: _Point,
    radius: float,
    bone: int,
    v: float = 0.95,
    sides: int = 5,
) -> Piece:
    """A round bar between two points; its texture is that of one v."""
    a, b = np.asarray(start, float), np.asarray(end, float)
    axis = (b - a) / np.linalg.norm(b - a)
    first = np.cross(axis, [0, 0, 1.0] if abs(axis[2]) < 0.9 else [1.0, 0, 0])
    first /= np.linalg.norm(first)
    second = np.cross(first, axis)
    angles = 2 * np.pi * np.arange(sides) / sides
    ring = np.outer(np.cos(angles), first) + np.outer(np.sin(angles), second)
    rings = np.stack([a + ring * radius, b + ring * radius])
    return tube(slot, rings, rigid(bone, 2 * sides), v=np.array([v, v]), cap_top=True, cap_end=True)


def wheel(
    slot: Slot, centre: _Point, radius: float, thick: float, bone: int, v: float, sides: int = 16
) -> Piece:
    """A tyre that rolls forward."""
    angles = 2 * np.pi * np.arange(sides) / sides
    spoke = np.stack([np.cos(angles), np.zeros(sides), -np.sin(angles)], 1)
    rings = np.stack(
        [
            np.asarray(centre) + spoke * (radius + dr) + [0, dy, 0]
            for dr, dy in (
                (-thick, -thick * 0.6),
                (0.0, -thick * 0.5),
                (0.0, thick * 0.5),
                (-thick, thick * 0.6),
                (-thick, -thick * 0.6),
            )
        ]
    )
    return tube(slot, rings[::-1], rigid(bone, rings.shape[0] * sides), v=np.full(5, v))


def strip(
    tailor: Tailor, slot: Slot, path: Float64, width: float, v: tuple[float, float], across: Float64
) -> Piece:
    """A strap along points (N, 3), wide along the directions `across` (N, 3), that follows the body."""
    half = across * (width / 2)
    rings = np.stack([path + half, path - half], 1)
    number = len(path)
    skin = tailor.skin_near(rings.reshape(-1, 3), np.zeros(number), 2)
    front = tube(slot, rings, skin, closed=False, v=np.linspace(v[0], v[1], number))
    # Outwards, whichever way the path runs.
    a, b, c = (front.vertices[front.faces[:, k]] for k in range(3))
    spine = np.array([tailor.body.at["spine_3"][0], 0.0, tailor.body.at["spine_3"][2] - 0.1])
    inward = ((np.cross(b - a, c - a)) * ((a + b + c) / 3 - spine)).sum(1) < 0
    faces = np.where(inward[:, None], front.faces[:, ::-1], front.faces)
    return Piece(slot, front.vertices, faces, front.uvs, front.bones, front.weights)


def surface_x(tailor: Tailor, y: float, z: float, front: bool) -> float:
    """x of the clothed trunk's front or back."""
    rows = tailor.suit_rows[tailor.chart.arm[tailor.suit_rows] < 0.4]
    points = tailor.body.points[rows]
    near = points[(np.abs(points[:, 1] - y) < 0.045) & (np.abs(points[:, 2] - z) < 0.045), 0]
    ease = tailor.cut.top_looseness + 0.014
    if not len(near):
        return float(tailor.envelope.ring(z)[0][0])
    return float(near.max() + ease if front else near.min() - ease)


def over_shoulder(tailor: Tailor, y: float, angles: Float64) -> Float64:
    """(N, 3) points on the clothed trunk, `y` from the middle; angles 0 in front, π/2 up, π behind."""
    chart, rows = tailor.chart, tailor.suit_rows
    near = (np.abs(tailor.top[rows, 1] - y) < 0.03) & (chart.arm[rows] < 0.6) & (chart.collar[rows] > 0.04)
    points = tailor.top[rows[near]]
    middle = tailor.body.at["spine_3"][[0, 2]] + [0.02, 0.02]
    offset = points[:, [0, 2]] - middle
    own, reach = np.arctan2(offset[:, 1], offset[:, 0]), np.hypot(offset[:, 0], offset[:, 1])
    apart = np.abs((own[None] - angles[:, None] + np.pi) % (2 * np.pi) - np.pi)
    nearness = np.exp(-0.5 * (apart / np.maximum(0.12, np.sort(apart, axis=1)[:, 1:2])) ** 2)
    radii = (nearness * reach).sum(1) / nearness.sum(1) + 0.014
    return np.column_stack(
        [middle[0] + np.cos(angles) * radii, np.full(len(angles), y), middle[1] + np.sin(angles) * radii]
    )


def _backpack(tailor: Tailor) -> list[Piece]:
    body, size = tailor.body, tailor.body.scale
    big = tailor.cut.backpack
    depth, width, height = 0.16 * big * size, 0.29 * big**0.5 * size, 0.44 * big * size
    top = float(body.at["upperarm_l"][2]) + 0.02 * size
    middle = top - height / 2
    back = min(
        surface_x(tailor, 0.0, z, False) for z in (top - 0.06, middle, max(top - height + 0.05, middle - 0.1))
    )
    spine = body.assets.bone("spine_3")
    pack = box(
        "bag", (back - depth / 2 + 0.01, 0.0, middle), (depth, width, height), spine, power=0.45, taper=0.86
    )
    pocket = box(
        "bag",
        (back - depth - 0.005, 0.0, middle - 0.22 * height),
        (0.07 * big, width * 0.7, height * 0.42),
        spine,
        v=(0.5, 0.85),
        power=0.45,
    )
    pieces = [pack, pocket]
    for sign in (1, -1):
        y = sign * 0.095 * size
        arc = over_shoulder(tailor, y, np.deg2rad([165, 140, 115, 95, 75, 55, 35, 10, -15, -35]))
        chest = float(arc[-1, 2])
        side = sign * 0.15 * size
        front = surface_x(tailor, side * 0.8, chest - 0.05, True) - 0.02
        loop = [
            (front, side * 0.85, chest - 0.04),
            (0.5 * (front + back) + 0.01, side, chest - 0.07),
            (back + 0.02, side * 0.8, chest - 0.09),
        ]
        path = np.concatenate([arc, loop])
        across = np.tile([0.0, 1.0, 0.0], (len(path), 1))
        across[-3:] = [[0.2, 0.5 * sign, 0.8], [0.0, 0.0, 1.0], [0.0, 0.0, 1.0]]
        across /= np.linalg.norm(across, axis=1, keepdims=True)
        pieces.append(strip(tailor, "bag", path, 0.055 * size, (0.92, 0.98), across))
    return pieces


def _shoulder_bag(tailor: Tailor) -> list[Piece]:
    body, size = tailor.body, tailor.body.scale
    big = tailor.cut.shoulder_bag
    sign = 1 if tailor.cut.bag_side == "left" else -1
    z = body.height_of(0.16)
    axis, radii = tailor.envelope.draped(tailor.cut.top_looseness + 0.015, 0.1).ring(z)
    y = sign * (float(radii[7]) + 0.055 * big)
    bone = body.assets.bone("pelvis")
    bag = box(
        "bag", (axis[0] - 0.02, y, z), (0.34 * big * size, 0.11 * big, 0.27 * big * size), bone, power=0.4
    )
    shoulder = -sign * 0.075 * size
    peak = over_shoulder(tailor, shoulder, np.deg2rad([90.0]))[0]
    over = float(peak[2])
    top = z + 0.12 * big * size
    pieces = [bag]
    for front in (True, False):
        t = np.linspace(0, 1, 9)
        path = np.empty((9, 3))
        for k, s in enumerate(t):
            py = shoulder + (y - sign * 0.05 - shoulder) * s
            pz = over + (top - over) * s
            px = surface_x(tailor, float(np.clip(py, -0.15, 0.15)), pz, front)
            ends = np.clip(min(s / 0.12, (1 - s) / 0.2), 0, 1)
            middle = float(peak[0]) + (axis[0] - float(peak[0])) * s
            path[k] = middle + (px - middle) * max(ends, 0.25 if s > 0.5 else 0.0), py, pz
        direction = np.gradient(path, axis=0)
        outward = np.column_stack([np.full(9, 1.0 if front else -1.0), np.zeros(9), np.zeros(9)])
        across = np.cross(direction, outward)
        across /= np.linalg.norm(across, axis=1, keepdims=True)
        across[0] = [1.0, 0.0, 0.0]
        pieces.append(strip(tailor, "bag", path, 0.035 * size, (0.92, 0.98), across))
    return pieces


def _handbag(grip: Float64, frame: int, big: float, scale: float) -> list[Piece]:
    height, drop = 0.25 * big, 0.10 * big
    size = (0.34 * big, 0.11 * big, height)
    del scale
    bag = box("handbag", (grip[0], grip[1], grip[2] - drop - height / 2), size, frame, power=0.4, taper=0.85)
    pieces = [bag]
    for y in (-0.03 * big, 0.03 * big):
        for x in (-0.09 * big, 0.09 * big):
            pieces.append(
                rod(
                    "handbag",
                    (grip[0] + x, grip[1] + y, grip[2] - drop),
                    (grip[0] + 0.3 * x, grip[1], grip[2]),
                    0.007,
                    frame,
                    sides=4,
                )
            )
    return pieces


def _umbrella(grip: Float64, frame: int, scale: float) -> list[Piece]:
    u = np.arange(16) / 16
    facing = directions(u)
    top = grip + np.array([0.02, 0, 0.66 * scale])
    rows = []
    for share, fall in ((0.03, 0.0), (0.35, 0.03), (0.7, 0.11), (1.0, 0.235)):
        ribs = 1 - 0.05 * share * (np.arange(16) % 2)
        rows.append(
            np.column_stack([top[:2] + facing * (0.52 * share * ribs)[:, None], np.full(16, top[2] - fall)])
        )
    rings = np.stack(rows)
    canopy = tube("umbrella", rings, rigid(frame, 64), v=np.array([0.02, 0.3, 0.62, 0.9]), cap_top=True)
    faces = np.concatenate([canopy.faces, canopy.faces[:, ::-1] + len(canopy.vertices)])
    inside = canopy.vertices - [0, 0, 0.004]
    canopy = Piece(
        "umbrella",
        np.concatenate([canopy.vertices, inside]),
        faces,
        np.concatenate([canopy.uvs, canopy.uvs]),
        np.concatenate([canopy.bones] * 2),
        np.concatenate([canopy.weights] * 2),
    )
    stick = rod("umbrella", grip - np.array([0, 0, 0.08]), top + np.array([0, 0, 0.03]), 0.008, frame, 0.96)
    return [canopy, stick]


def _closed_umbrella(grip: Float64, frame: int) -> Piece:
    u = np.arange(8) / 8
    rows = []
    for z, radius in ((0.10, 0.014), (-0.02, 0.014), (-0.05, 0.032), (-0.45, 0.028), (-0.60, 0.008)):
        rows.append(np.column_stack([grip[:2] + directions(u) * radius, np.full(8, grip[2] + z)]))
    # The tip of a closed umbrella points down: its texture runs from the handle.
    return tube(
        "umbrella", np.stack(rows), rigid(frame, 40), v=np.array([0.98, 0.95, 0.88, 0.3, 0.02]), cap_top=True
    )


def _trolley(frame: int, scale: float) -> list[Piece]:
    reach = 0.98 * scale
    body = box("thing", (0.0, 0.0, 0.36), (0.24, 0.40, 0.58), frame, v=(0.0, 0.48), power=0.3)
    pieces: list[Piece] = [body]
    for y in (-0.09, 0.09):
        pieces.append(rod("thing", (0.10, y, 0.6), (0.10, y, reach), 0.009, frame, 0.8, 4))
    pieces.append(rod("thing", (0.10, -0.10, reach), (0.10, 0.10, reach), 0.014, frame, 0.9, 5))
    for y in (-0.17, 0.17):
        pieces.append(wheel("thing", (0.08, y, 0.045), 0.045, 0.03, frame, 0.9, 8))
    return pieces


def _bicycle(frame: int) -> list[Piece]:
    y = BIKE_SIDE
    rear, front = (-0.42, y, _HUB), (0.62, y, _HUB)
    seat, head, pedals = (-0.18, y, 0.86), (0.40, y, 0.90), (-0.02, y, 0.29)
    low_head = (0.44, y, 0.74)
    pieces = [wheel("thing", hub, _HUB, 0.035, frame, 0.9) for hub in (rear, front)]
    bars = [
        (pedals, seat, 0.018),
        (seat, head, 0.018),
        (pedals, low_head, 0.02),
        (rear, pedals, 0.012),
        (rear, (seat[0] + 0.04, y, seat[2] - 0.1), 0.011),
        (head, low_head, 0.02),
        (low_head, front, 0.015),
    ]
    pieces += [rod("thing", a, b, radius, frame, 0.25) for a, b, radius in bars]
    grey = [
        (seat, (-0.20, y, 0.95), 0.014),
        (head, (0.38, y, 0.99), 0.014),
        ((0.36, y - 0.29, 1.0), (0.36, y + 0.29, 1.0), 0.013),
        ((-0.02, y - 0.12, 0.20), (-0.02, y + 0.12, 0.38), 0.015),
    ]
    pieces += [rod("thing", a, b, radius, frame, 0.8) for a, b, radius in grey]
    for hub in (rear, front):  # spokes: four thin bars stand for all
        for angle in np.arange(4) * np.pi / 4:
            tip = np.array([np.cos(angle), 0, np.sin(angle)]) * (_HUB - 0.03)
            pieces.append(rod("thing", np.array(hub) - tip, np.array(hub) + tip, 0.003, frame, 0.7, 3))
    pieces.append(box("thing", (-0.20, y, 0.96), (0.27, 0.14, 0.05), frame, v=(0.9, 0.95), power=0.7))
    return pieces

"""Garments as textures: what is wrapped around each part of the body.

A texture is (rows, columns, 3) uint8 RGB. Rows run down the part, columns around it from the back over the
right side (−90°), the front (the middle column) and the left side (+90°) to the back again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from omnireid.core.arrays import Float32
from omnireid.synthetic.drawing import Texture, smooth_noise
from omnireid.synthetic.opencv import cv2
from omnireid.synthetic.palette import Colour
from omnireid.synthetic.person import Fabric, Logo, Person

TORSO_LENGTH = 0.33
_TORSO_SIZE, _LIMB_SIZE, _HEAD_SIZE = (96, 240), (48, 64), (64, 128)
_TORSO_GIRTH, _ARM_GIRTH, _LEG_GIRTH = 0.62, 0.19, 0.32
_ARM_SEGMENT, _LEG_SEGMENT = 0.16, 0.24

Layer = Float32


@dataclass(frozen=True, slots=True)
class Wardrobe:
    """The textures of one identity. `arms` is (upper arm, forearm), `legs` (thigh, shin)."""

    torso: Texture
    arms: tuple[Texture, Texture]
    legs: tuple[Texture, Texture]
    skirt: Texture | None
    head: Texture
    hair: Texture
    hat: Texture
    skin: Texture
    shoe: Texture
    bag: Texture
    scarf: Texture | None
    hood: Texture


def make_wardrobe(person: Person) -> Wardrobe:
    """Weave every texture of one identity; a pure function of the person."""
    upper = person.upper
    skin = _plain(person.body.skin, _LIMB_SIZE)
    return Wardrobe(
        torso=_finish(_torso(person)),
        arms=_arms(person),
        legs=_legs(person),
        skirt=_finish(_skirt(person)) if upper.skirt or person.lower.kind == "skirt" else None,
        head=_finish(_head(person)),
        hair=_finish(_hair(person)),
        hat=_finish(_plain(person.head.hat_colour, _LIMB_SIZE)),
        skin=_finish(skin),
        shoe=_finish(_shoe(person)),
        bag=_finish(_bag(person)),
        scarf=None if person.head.scarf is None else _finish(_plain(person.head.scarf, (8, 16))),
        hood=_finish(_weave(upper.fabric, _LIMB_SIZE, 0.05, 0.3) * 0.88),
    )


def _finish(layer: Layer) -> Texture:
    return np.asarray(np.clip(layer + 0.5, 0, 255), dtype=np.uint8)


def _plain(colour: Colour, size: tuple[int, int]) -> Layer:
    return np.broadcast_to(np.array(colour, dtype=np.float32), (*size, 3)).copy()


def _around(columns: int) -> Float32:
    """(1, columns) azimuth in radians."""
    return np.asarray(((np.arange(columns) + 0.5) / columns - 0.5) * 2 * np.pi, dtype=np.float32)[None, :]


def _down(rows: int) -> Float32:
    """(rows, 1) position along the part, 0 to 1."""
    return np.asarray((np.arange(rows) + 0.5) / rows, dtype=np.float32)[:, None]


def _over(layer: Layer, colour: npt.ArrayLike, mask: npt.ArrayLike) -> None:
    share = np.broadcast_to(mask, layer.shape[:2]).astype(np.float32)[:, :, None]
    layer += share * (np.asarray(colour, dtype=np.float32) - layer)


def _weave(fabric: Fabric, size: tuple[int, int], length: float, girth: float) -> Layer:
    """Cloth of `length` × `girth` (shares of the stature), drawn twice as fine and averaged."""
    rows, columns = size[0] * 2, size[1] * 2
    period = 0.30 / fabric.scale
    repeats = max(1, round(girth / period))
    share = _down(rows)
    y = share * (length / period)
    x = (np.arange(columns, dtype=np.float32)[None, :] + 0.5) / columns * repeats
    generator = np.random.Generator(np.random.PCG64(fabric.noise_seed))
    layer = _plain(fabric.base, (rows, columns))
    if fabric.pattern == "stripes-h":
        _over(layer, fabric.accent, y % 1 < 0.42)
    elif fabric.pattern == "stripes-v":
        _over(layer, fabric.accent, x % 1 < 0.36)
    elif fabric.pattern == "checks":
        _over(layer, fabric.accent, 0.5 * (y % 1 < 0.5) + 0.5 * (x % 1 < 0.5))
    elif fabric.pattern == "dots":
        _over(layer, fabric.accent, np.hypot(x % 1 - 0.5, y % 1 - 0.5) < 0.27)
    elif fabric.pattern == "gradient":
        _over(layer, fabric.accent, np.clip(share * 1.4 - 0.3, 0, 1) * 0.8)
    elif fabric.pattern == "block":
        _over(layer, fabric.accent, share < 0.42)
    elif fabric.pattern == "band":
        _over(layer, fabric.accent, (share > 0.34) & (share < 0.34 + 0.9 / fabric.scale))
    elif fabric.pattern == "noise":
        layer *= (1.0 + 0.13 * smooth_noise(generator, rows, columns, columns / 4))[:, :, None]
    elif fabric.pattern == "denim":
        layer *= (1.0 + 0.07 * smooth_noise(generator, rows, columns, columns / 2))[:, :, None]
        worn = np.cos(_around(columns)) ** 4 * np.sin(np.pi * share) * 0.25
        layer += worn[:, :, None] * (170.0 - layer)
    elif fabric.pattern == "camouflage":
        _over(layer, [0.55 * c for c in fabric.base], smooth_noise(generator, rows, columns, 7) > 0.5)
        _over(layer, (128, 118, 84), smooth_noise(generator, rows, columns, 6) > 0.7)
    return np.asarray(cv2.resize(layer, (size[1], size[0]), interpolation=cv2.INTER_AREA), dtype=np.float32)


def _torso(person: Person) -> Layer:
    upper, lower, body = person.upper, person.lower, person.body
    rows, columns = _TORSO_SIZE
    layer = _weave(upper.fabric, _TORSO_SIZE, TORSO_LENGTH, _TORSO_GIRTH)
    azimuth, share = _around(columns), _down(rows)
    front = np.abs(azimuth)
    dark = np.asarray(upper.fabric.base, dtype=np.float32) * 0.55
    if upper.kind in ("jacket", "coat"):
        shirt = _weave(upper.inner, _TORSO_SIZE, TORSO_LENGTH, _TORSO_GIRTH)
        gap = (0.20 + 0.34 * (upper.looseness - 0.98) / 0.18) * (1.15 - 0.6 * (share - 0.25) ** 2)
        if upper.kind == "coat":
            gap = np.where(share < 0.38, 0.55 * (0.38 - share) / 0.38, 0.0)
        _over(layer, shirt, np.clip((gap - front) * 24, 0, 1))
        _over(layer, dark, np.clip(1.0 - np.abs(front - gap) * 16, 0, 1) * 0.8)
    elif upper.kind == "hoodie":
        _over(layer, dark, (np.abs(azimuth) < 0.9) & (np.abs(share - 0.72) < 0.012))
        _over(layer, dark * 1.2, np.clip(1 - front * 22, 0, 1) * 0.7)
    for logo in upper.logos:
        _stamp(layer, logo)
    neckline = {"dress": 0.12, "t-shirt": 0.07, "vest": 0.13}.get(upper.kind, 0.045)
    _over(layer, body.skin, np.clip((neckline - share - 0.06 * (front / 0.7) ** 2) * 40, 0, 1))
    if upper.kind != "dress" and upper.skirt == 0:
        trousers = _weave(lower.fabric, _TORSO_SIZE, TORSO_LENGTH, _TORSO_GIRTH)
        _over(layer, trousers, share > upper.hem)
        _over(layer, (30, 27, 26), (share > upper.hem) & (share < upper.hem + 0.035))
    elif upper.kind == "coat":
        _over(layer, dark, np.abs(share - 0.74) < 0.018)
    if person.bag.kind == "backpack":
        strap = np.clip(1.0 - np.abs(front - 0.62) * 8, 0, 1) > 0.35
        _over(layer, np.asarray(person.bag.colour) * 0.8, strap & (share < 0.62))
    if person.bag.kind == "shoulder":
        # Over the far shoulder, across the chest and the back, to the hip where the bag hangs.
        middle = person.bag.side * (share * 2.2 - 0.85)
        lateral = np.where(front < np.pi / 2, azimuth, np.sign(azimuth) * (np.pi - front))
        _over(layer, np.asarray(person.bag.colour) * 0.8, np.abs(lateral - middle) < 0.11)
    return layer


def _stamp(layer: Layer, logo: Logo) -> None:
    """Print a logo onto a torso texture."""
    rows, columns = layer.shape[:2]
    turned = (_around(columns) - logo.azimuth + np.pi) % (2 * np.pi) - np.pi
    half = logo.size * 0.5
    x = turned * 0.1 / (half * TORSO_LENGTH)
    y = (_down(rows) - logo.height) / half
    radius = np.hypot(x, y)
    ax, ay = np.abs(x), np.abs(y)
    inside = {
        "disc": radius < 0.9,
        "square": np.maximum(ax, ay) < 0.8,
        "triangle": (y < 0.8) & (ax < (y + 0.9) * 0.55),
        "cross": (np.minimum(ax, ay) < 0.28) & (np.maximum(ax, ay) < 0.95),
        "ring": (radius < 0.95) & (radius > 0.55),
        "bar": (ax < 1.3) & (ay < 0.3),
        "diamond": ax + ay < 1.0,
        "letters": (ax < 1.3) & (ay < 0.42) & ((x * 1.9) % 1 < 0.62),
    }[logo.shape]
    _over(layer, logo.colour, inside)


def _cover(layer: Layer, skin: Colour, covered: float) -> None:
    """Bare what a sleeve or a trouser leg does not cover."""
    _over(layer, skin, _down(layer.shape[0]) > covered)


def _arms(person: Person) -> tuple[Texture, Texture]:
    upper = person.upper
    fabric = upper.fabric
    if fabric.pattern in ("block", "band"):
        # What is set across the chest does not go on over the sleeves.
        fabric = replace(
            fabric, pattern="plain", base=fabric.accent if fabric.pattern == "block" else fabric.base
        )
    pieces = []
    for segment in (0, 1):
        layer = _weave(fabric, _LIMB_SIZE, _ARM_SEGMENT, _ARM_GIRTH)
        if upper.sleeve_stripe is not None:
            # Both sides of the sleeve, so that the same texture serves either arm.
            side = np.abs(np.abs(_around(_LIMB_SIZE[1])) - np.pi / 2)
            lines = (side * (1.1 * upper.sleeve_stripes)) % 1 < 0.55
            _over(layer, upper.sleeve_stripe, lines & (side < 0.55))
        if segment == 1 and upper.sleeve >= 2:
            _over(layer, np.asarray(upper.fabric.base, dtype=np.float32) * 0.7, _down(_LIMB_SIZE[0]) > 0.93)
        _cover(layer, person.body.skin, upper.sleeve - segment)
        pieces.append(_finish(layer))
    return pieces[0], pieces[1]


def _legs(person: Person) -> tuple[Texture, Texture]:
    lower = person.lower
    cover = lower.cover if lower.kind != "skirt" else 0.0
    pieces = []
    for segment in (0, 1):
        layer = _weave(lower.fabric, _LIMB_SIZE, _LEG_SEGMENT, _LEG_GIRTH)
        if lower.side_stripe is not None:
            side = np.abs(np.abs(_around(_LIMB_SIZE[1])) - np.pi / 2)
            _over(layer, lower.side_stripe, side < 0.28)
        _cover(layer, person.body.skin, cover - segment)
        if segment == 1 and person.boots and cover < 2:
            _over(layer, person.shoe, _down(_LIMB_SIZE[0]) > 0.6)
        pieces.append(_finish(layer))
    return pieces[0], pieces[1]


def _skirt(person: Person) -> Layer:
    upper, lower = person.upper, person.lower
    fabric = upper.fabric if upper.skirt else lower.fabric
    length = upper.skirt if upper.skirt else 0.24 * lower.cover
    layer = _weave(fabric, _TORSO_SIZE, max(length, 0.1), _TORSO_GIRTH)
    if fabric.pattern in ("block", "band"):
        layer = _plain(fabric.base, _TORSO_SIZE)
    pleats = 1.0 + 0.10 * np.sin(_around(_TORSO_SIZE[1]) * 11) * _down(_TORSO_SIZE[0])
    layer *= pleats[:, :, None]
    if upper.kind == "coat":
        front = np.abs(_around(_TORSO_SIZE[1]))
        _over(layer, np.asarray(fabric.base, dtype=np.float32) * 0.5, np.clip(1 - front * 18, 0, 1))
    return layer


def _head(person: Person) -> Layer:
    """Face in front; hair as far as the style reaches. Rows: crown to chin."""
    head, body = person.head, person.body
    rows, columns = _HEAD_SIZE
    layer = _plain(body.skin, _HEAD_SIZE)
    front, share = np.abs(_around(columns)), _down(rows)
    skin = np.asarray(body.skin, dtype=np.float32)
    eyes = (np.abs(front - 0.42) < 0.15) & (np.abs(share - 0.50) < 0.035)
    _over(layer, skin * 0.35, eyes)
    _over(layer, skin * 0.55, (np.abs(front - 0.42) < 0.22) & (np.abs(share - 0.42) < 0.02))
    _over(layer, skin * 0.82, (front < 0.12) & (np.abs(share - 0.63) < 0.07))
    _over(layer, (150, 70, 66), ((front < 0.30) & (np.abs(share - 0.78) < 0.025)) * 0.7)
    if head.beard:
        _over(
            layer,
            head.hair_colour,
            ((share > 0.66) & (front < 1.5) & ~((front < 0.3) & (np.abs(share - 0.78) < 0.03))) * 0.85,
        )
    if head.glasses:
        frame = (np.abs(np.hypot((front - 0.42) / 0.30, (share - 0.50) / 0.10) - 1.0) < 0.30) | (
            (np.abs(share - 0.49) < 0.02) & (front > 0.7) & (front < 1.6)
        )
        _over(layer, (26, 26, 28), frame)
    ear = (np.abs(front - 1.6) < 0.14) & (np.abs(share - 0.54) < 0.09)
    if head.hair != "bald":
        line = {"buzz": 0.22, "short": 0.27, "afro": 0.30}.get(head.hair, 0.24)
        behind = {"buzz": 0.62, "short": 0.68, "bun": 0.66, "ponytail": 0.7, "afro": 0.8}.get(head.hair, 1.1)
        turn = np.clip((front - 0.85) / 0.75, 0.0, 1.0)
        _over(
            layer,
            head.hair_colour,
            (share < line + (behind - line) * turn) * (0.75 if head.hair == "buzz" else 1.0),
        )
    if head.hair in ("short", "buzz", "bald", "bun", "ponytail"):
        _over(layer, skin * 0.86, ear)
    return layer


def _hair(person: Person) -> Layer:
    layer = _plain(person.head.hair_colour, _LIMB_SIZE)
    layer *= (1.0 + 0.12 * np.sin(_around(_LIMB_SIZE[1]) * 9))[:, :, None]
    return layer


def _shoe(person: Person) -> Layer:
    # A foot lies: its axis runs from heel to toe, so "around" is up, side, sole.
    layer = _plain(person.shoe, (24, 32))
    _over(layer, np.asarray(person.shoe, dtype=np.float32) * 0.7, _down(24) < 0.25)
    return layer


def _bag(person: Person) -> Layer:
    bag = person.bag
    layer = _plain(bag.colour, _LIMB_SIZE)
    share = _down(_LIMB_SIZE[0])
    base = np.asarray(bag.colour, dtype=np.float32)
    _over(layer, base * 0.6, np.abs(share - 0.45) < 0.03)
    if bag.size > 0.95:
        _over(layer, bag.accent, (np.abs(share - 0.68) < 0.09) & np.ones((1, _LIMB_SIZE[1]), dtype=bool))
    return layer

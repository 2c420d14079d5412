"""What the solids of a place are covered with: procedural pictures, each drawn from its own generator.

Every function takes a generator and returns (H, W, 3) uint8 sRGB, or (H, W, 4) where it has holes (alpha 0).
Those of the ground and of walls repeat without a seam.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from omnireid.core.arrays import AnyFloat, Float32, UInt8
from omnireid.synthetic import palette
from omnireid.synthetic.opencv import cv2

Maker = Callable[[np.random.Generator], UInt8]

_SIZE = 128


def seamless_noise(generator: np.random.Generator, size: int, cells: int) -> Float32:
    """(size, size) float32 noise without a seam: zero mean, unit deviation, `cells` grains across."""
    grid = generator.standard_normal((cells, cells), dtype=np.float32)
    margin = 2
    wrapped = np.pad(grid, margin, mode="wrap")
    scale = size / cells
    large = cv2.resize(
        wrapped, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA
    )
    start = round(margin * scale)
    noise = large[start : start + size, start : start + size]
    return np.asarray((noise - noise.mean()) / (noise.std() + 1e-6), dtype=np.float32)


def _rough(
    generator: np.random.Generator, colour: npt.ArrayLike, spread: float, size: int = _SIZE
) -> Float32:
    """A colour with large stains, small ones and grain."""
    tone = (
        0.5 * seamless_noise(generator, size, 4)
        + 0.5 * seamless_noise(generator, size, 16)
        + 0.7 * generator.standard_normal((size, size), dtype=np.float32)
    )
    base = np.asarray(colour, dtype=np.float32)
    return np.asarray(base * (1.0 + np.float32(spread) * tone)[:, :, None], dtype=np.float32)


def _bytes(picture: AnyFloat) -> UInt8:
    return np.clip(picture, 0, 255).astype(np.uint8)


def tint(generator: np.random.Generator, low: float, high: float, spread: float = 8.0) -> Float32:
    """A muted colour between two grey levels."""
    warm = generator.normal(0.0, spread)
    colour = generator.uniform(low, high) + np.array([warm, 0.2 * warm, -warm]) + generator.normal(0, 3, 3)
    return np.clip(colour, 6, 245).astype(np.float32)


def vivid(generator: np.random.Generator) -> Float32:
    """A saturated colour, as signs and shop fronts have them."""
    hsv = np.array([[[generator.uniform(0, 180), generator.uniform(60, 225), generator.uniform(60, 235)]]])
    return np.asarray(cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2RGB)[0, 0], dtype=np.float32)


def asphalt(generator: np.random.Generator) -> UInt8:
    picture = _rough(generator, tint(generator, 62, 135, 2.5), 0.07)
    for _ in range(int(generator.integers(0, 3))):
        points = np.cumsum(generator.normal(0, 14, (9, 2)), axis=0) + generator.uniform(0, _SIZE, 2)
        cv2.polylines(picture, [points.astype(np.int32)], False, (45.0, 45.0, 46.0), 1, cv2.LINE_AA)
    return _bytes(picture)


def concrete(generator: np.random.Generator) -> UInt8:
    return _bytes(_rough(generator, tint(generator, 105, 200, 3), 0.05))


def gravel(generator: np.random.Generator) -> UInt8:
    return _bytes(_rough(generator, tint(generator, 110, 180, 6) + np.array([8, 0, -8]), 0.11))


def grass(generator: np.random.Generator) -> UInt8:
    base = np.array([generator.uniform(60, 120), generator.uniform(90, 130), generator.uniform(35, 70)])
    picture = _rough(generator, base, 0.13)
    dry = np.clip(seamless_noise(generator, _SIZE, 6), 0, 2)[:, :, None]
    return _bytes(picture + dry * np.array([16.0, 8.0, 0.0], dtype=np.float32))


def slabs(generator: np.random.Generator) -> UInt8:
    """Paving or tiles: 2 to 8 of them across, with joints."""
    across = int(generator.choice([2, 4, 4, 8]))
    down = across * int(generator.choice([1, 1, 2]))
    picture = _rough(generator, tint(generator, 95, 220, 3.5), generator.uniform(0.01, 0.05))
    tones = generator.normal(1.0, generator.uniform(0.01, 0.09), (down, across)).astype(np.float32)
    if generator.random() < 0.25:
        tones[(np.add.outer(np.arange(down), np.arange(across)) % 2) == 0] *= np.float32(
            generator.uniform(0.35, 0.85)
        )
    high, wide = _SIZE // down, _SIZE // across
    picture *= np.repeat(np.repeat(tones, high, 0), wide, 1)[:, :, None]
    joint = np.float32(generator.choice([0.6, 0.75, 0.85, 1.15]))
    picture[::high] *= joint
    picture[:, ::wide] *= joint
    return _bytes(picture)


def bricks(generator: np.random.Generator) -> UInt8:
    courses = int(generator.choice([8, 16]))
    high, wide = _SIZE // courses, 2 * _SIZE // courses
    kinds = ((150, 84, 66), (170, 120, 90), (188, 170, 140), (112, 74, 64), (140, 136, 130))
    base = np.array(kinds[int(generator.integers(len(kinds)))], dtype=np.float32)
    picture = _rough(generator, base * np.float32(generator.uniform(0.75, 1.2)), 0.05)
    joint = tint(generator, 90, 190, 3)
    for course in range(courses):
        tones = np.repeat(generator.normal(1.0, 0.09, _SIZE // wide), wide).astype(np.float32)
        shift = (course % 2) * wide // 2
        rows = slice(course * high, (course + 1) * high)
        picture[rows] *= np.roll(tones, shift)[None, :, None]
        picture[course * high] = joint
        for x in range(0, _SIZE, wide):
            picture[rows, (x + shift) % _SIZE] = joint
    return _bytes(picture)


def plaster(generator: np.random.Generator) -> UInt8:
    picture = _rough(generator, tint(generator, 120, 235, 5), 0.025)
    return _bytes(picture * (1.0 + 0.05 * seamless_noise(generator, _SIZE, 3)[:, :, None]))


def panels(generator: np.random.Generator) -> UInt8:
    """Metal, stone or wooden panels with narrow gaps."""
    picture = _rough(generator, tint(generator, 60, 215, 10), 0.02)
    across, down = int(generator.choice([1, 2, 4, 8])), int(generator.choice([1, 2, 4]))
    for x in range(0, _SIZE, _SIZE // across):
        picture[:, x : x + 2] *= 0.6
    for y in range(0, _SIZE, _SIZE // down):
        picture[y : y + 2] *= 0.6
    return _bytes(picture)


def wood(generator: np.random.Generator) -> UInt8:
    base = np.array([150, 108, 70], dtype=np.float32) * np.float32(generator.uniform(0.4, 1.35))
    picture = _rough(generator, base, 0.03)
    picture *= 1.0 + 0.08 * seamless_noise(generator, _SIZE, 24).mean(axis=0)[None, :, None] * 3
    picture[:, :: _SIZE // int(generator.choice([2, 4, 8]))] *= 0.6
    return _bytes(picture)


def facade(generator: np.random.Generator) -> UInt8:
    """A storey's grid of windows: 128 × 128 for two storeys of three or four windows."""
    wall = (bricks, plaster, panels, concrete)[int(generator.integers(4))](generator).astype(np.float32)
    picture: Float32 = np.asarray(cv2.resize(wall, (2 * _SIZE, 2 * _SIZE)), dtype=np.float32)
    across, down = int(generator.integers(2, 6)), int(generator.integers(1, 4))
    wide, high = 2 * _SIZE / across, 2 * _SIZE / down
    w, h = generator.uniform(0.35, 0.8), generator.uniform(0.4, 0.75)
    frame = tint(generator, 40, 235, 8)
    for i in range(across):
        for j in range(down):
            x0, y0 = int((i + 0.5 - w / 2) * wide), int((j + 0.5 - h / 2) * high)
            x1, y1 = int((i + 0.5 + w / 2) * wide), int((j + 0.5 + h / 2) * high)
            pane = tint(generator, 20, 120, 10) + np.array([0.0, 4.0, 12.0], dtype=np.float32)
            if generator.random() < 0.1:
                pane = np.array([230.0, 205.0, 150.0], dtype=np.float32)
            shade = np.linspace(1.25, 0.8, max(y1 - y0, 1), dtype=np.float32)
            picture[y0:y1, x0:x1] = pane * shade[:, None, None]
            cv2.rectangle(picture, (x0, y0), (x1, y1), tuple(frame.tolist()), 3)
            cv2.line(picture, ((x0 + x1) // 2, y0), ((x0 + x1) // 2, y1), tuple(frame.tolist()), 2)
    return _bytes(picture)


def shop_window(generator: np.random.Generator) -> UInt8:
    """A window with goods behind it, under a sign with letters."""
    picture = np.empty((_SIZE, 2 * _SIZE, 3), dtype=np.float32)
    picture[:] = tint(generator, 25, 170, 14)
    for _ in range(int(generator.integers(8, 30))):
        x, y = int(generator.integers(0, 2 * _SIZE)), int(generator.integers(28, _SIZE))
        w, h = int(generator.integers(5, 32)), int(generator.integers(5, 50))
        colour = vivid(generator) if generator.random() < 0.5 else tint(generator, 20, 240, 15)
        if generator.random() < 0.7:
            picture[y : y + h, x : x + w] = colour
        else:
            cv2.ellipse(picture, (x, y), (w // 2, h // 2), 0, 0, 360, tuple(colour.tolist()), -1, cv2.LINE_AA)
    gleam = np.linspace(-1, 1, 2 * _SIZE, dtype=np.float32)[None, :] + np.linspace(
        -1, 1, _SIZE, dtype=np.float32
    ).reshape(-1, 1)
    band = np.exp(-((gleam - np.float32(generator.uniform(-1, 1))) ** 2) / 0.05)[:, :, None]
    picture += np.float32(generator.uniform(0, 70)) * band
    frame = tuple(tint(generator, 20, 220, 6).tolist())
    for x in np.linspace(0, 2 * _SIZE, int(generator.integers(2, 5)) + 1):
        cv2.line(picture, (int(x), 24), (int(x), _SIZE), frame, 3)
    picture[:26] = vivid(generator) if generator.random() < 0.7 else tint(generator, 20, 230)
    _letters(picture[:26], generator, rows=1)
    picture[-12:] = tint(generator, 40, 150)
    return _bytes(picture)


def _letters(picture: Float32, generator: np.random.Generator, rows: int) -> None:
    """Strokes that look like writing from afar, in place."""
    height, width = picture.shape[:2]
    ground = float(picture.mean())
    ink = tint(generator, 200, 250) if ground < 130 else tint(generator, 10, 60)
    high = max(3, int(height / rows * 0.55))
    for row in range(rows):
        y = int((row + 0.25) * height / rows)
        x, end = int(width * generator.uniform(0.05, 0.25)), width * generator.uniform(0.6, 0.95)
        while x < end:
            w = int(generator.integers(2, max(3, high)))
            kind = generator.random()
            if kind < 0.6:
                picture[y : y + high, x : x + max(1, w // 3)] = ink
            if kind > 0.3:
                level = y + int(generator.integers(0, max(1, high - 1)))
                picture[level : level + max(1, high // 5), x : x + w] = ink
            x += w + max(1, high // 4)


def poster(generator: np.random.Generator) -> UInt8:
    """An advertisement: a ground, shapes and writing."""
    picture = np.empty((_SIZE, 96, 3), dtype=np.float32)
    top, bottom = vivid(generator), vivid(generator)
    picture[:] = top + (bottom - top) * np.linspace(0, 1, _SIZE, dtype=np.float32)[:, None, None]
    for _ in range(int(generator.integers(1, 7))):
        centre = (int(generator.integers(0, 96)), int(generator.integers(0, _SIZE)))
        axes = (int(generator.integers(4, 40)), int(generator.integers(4, 44)))
        colour = tuple((vivid(generator) if generator.random() < 0.7 else tint(generator, 10, 250)).tolist())
        cv2.ellipse(picture, centre, axes, generator.uniform(0, 180), 0, 360, colour, -1, cv2.LINE_AA)
    first = int(generator.integers(0, 90))
    _letters(picture[first : first + 34], generator, rows=int(generator.integers(1, 4)))
    cv2.rectangle(picture, (0, 0), (95, _SIZE - 1), tuple(tint(generator, 20, 235).tolist()), 4)
    return _bytes(picture)


def sign(generator: np.random.Generator) -> UInt8:
    """A direction sign or a board of departures."""
    picture = np.empty((48, _SIZE, 3), dtype=np.float32)
    picture[:] = vivid(generator) if generator.random() < 0.5 else tint(generator, 10, 240)
    _letters(picture, generator, rows=int(generator.integers(1, 5)))
    return _bytes(picture)


def door(generator: np.random.Generator) -> UInt8:
    colour = tint(generator, 30, 210, 18) if generator.random() < 0.7 else vivid(generator)
    picture = _rough(generator, colour, 0.02)
    cv2.rectangle(picture, (0, 0), (_SIZE - 1, _SIZE - 1), tuple(tint(generator, 20, 220).tolist()), 7)
    if generator.random() < 0.5:
        pane = tuple((tint(generator, 30, 150) + np.array([0, 6, 14], dtype=np.float32)).tolist())
        cv2.rectangle(picture, (26, 16), (_SIZE - 26, int(generator.integers(50, 112))), pane, -1)
    if generator.random() < 0.4:
        picture[:, _SIZE // 2 - 1 : _SIZE // 2 + 2] *= 0.4
    cv2.circle(picture, (_SIZE - 18, 70), 4, (190.0, 190.0, 180.0), -1)
    return _bytes(picture)


def glass(generator: np.random.Generator) -> UInt8:
    """A front of glass: what it mirrors, in large soft shapes, and its frame."""
    picture = np.empty((_SIZE, _SIZE, 3), dtype=np.float32)
    base = tint(generator, 40, 150, 6) + np.array([-4.0, 4.0, 12.0], dtype=np.float32)
    picture[:] = base * (1.0 + 0.25 * seamless_noise(generator, _SIZE, 4))[:, :, None]
    frame = tint(generator, 25, 210)
    for x in range(0, _SIZE, int(generator.choice([32, 64, 128]))):
        picture[:, x : x + 4] = frame
    for y in range(0, _SIZE, int(generator.choice([64, 128]))):
        picture[y : y + 4] = frame
    return _bytes(picture)


def shelf(generator: np.random.Generator) -> UInt8:
    """Goods on boards."""
    picture = np.empty((_SIZE, 2 * _SIZE, 3), dtype=np.float32)
    picture[:] = tint(generator, 30, 120)
    boards = int(generator.integers(3, 6))
    board = tint(generator, 90, 235)
    for row in range(boards):
        bottom = (row + 1) * _SIZE // boards
        x = 0
        while x < 2 * _SIZE:
            w = int(generator.integers(4, 18))
            h = int(_SIZE / boards * generator.uniform(0.4, 0.85))
            colour = vivid(generator)
            for _ in range(int(generator.integers(1, 5))):
                picture[bottom - h : bottom, x : x + w - 1] = colour
                picture[bottom - h // 2 : bottom - h // 4, x + 1 : x + w - 2] = 235 - 0.5 * colour
                x += w
        picture[bottom - 4 : bottom] = board
    return _bytes(picture)


def ceiling(generator: np.random.Generator) -> UInt8:
    picture = _rough(generator, tint(generator, 150, 225, 4), 0.015)
    picture[::32] *= 0.8
    picture[:, ::32] *= 0.8
    picture[32:64, 40:88] = 255
    return _bytes(picture)


def foliage(generator: np.random.Generator) -> UInt8:
    """Leaves with holes between them, (128, 128, 4)."""
    green = np.array([generator.uniform(40, 110), generator.uniform(70, 120), generator.uniform(25, 60)])
    picture = _rough(generator, green, 0.22)
    y, x = np.mgrid[-1 : 1 : _SIZE * 1j, -1 : 1 : _SIZE * 1j]
    cover = seamless_noise(generator, _SIZE, 14) + 0.8 * seamless_noise(generator, _SIZE, 30)
    solid = (1.9 - 2.6 * np.hypot(x, y) ** 2 + cover) > 0
    return np.dstack([_bytes(picture), np.where(solid, 255, 0).astype(np.uint8)])


def hedge(generator: np.random.Generator) -> UInt8:
    """A dense wall of leaves."""
    green = np.array([generator.uniform(35, 90), generator.uniform(60, 105), generator.uniform(25, 55)])
    return _bytes(_rough(generator, green, 0.24))


def bark(generator: np.random.Generator) -> UInt8:
    picture = _rough(generator, tint(generator, 55, 120, 10), 0.12, 64)
    return _bytes(picture * (1.0 + 0.2 * seamless_noise(generator, 64, 16).mean(axis=0)[None, :, None] * 3))


def railing(generator: np.random.Generator) -> UInt8:
    """Bars with holes between them, (64, 64, 4)."""
    picture = np.zeros((64, 64, 4), dtype=np.uint8)
    colour = tint(generator, 25, 200, 8).astype(np.uint8)
    step = int(generator.choice([8, 16]))
    wide = int(generator.integers(1, 4))
    for x in range(0, 64, step):
        picture[:, x : x + wide] = (*colour, 255)
    picture[:5] = picture[-5:] = (*colour, 255)
    return picture


def paint(generator: np.random.Generator) -> UInt8:
    """Lacquer of a car, a bin, a post: one colour, lighter above."""
    if generator.random() < 0.7:
        colour = np.asarray(palette.pick(generator, palette.UPPER_SHARES), dtype=np.float32)
    else:
        colour = vivid(generator)
    shade = np.linspace(1.15, 0.75, 32, dtype=np.float32)[:, None, None]
    return _bytes(np.broadcast_to(colour * shade, (32, 32, 3)))


def car_side(generator: np.random.Generator) -> UInt8:
    """A car from its side, with holes round its outline, (64, 192, 4)."""
    colour = paint(generator)[8, 0].astype(np.float32)
    picture = np.zeros((64, 192, 4), dtype=np.float32)
    roof, tail = generator.uniform(2, 8), generator.uniform(4, 40)
    body = np.array(
        [
            (2, 52), (2, 32), (12, 26), (46, 23), (66, roof),
            (190 - tail - 18, roof), (190 - tail, 22), (189, 28), (190, 52),
        ]
    )  # fmt: skip
    cv2.fillPoly(picture, [body.astype(np.int32)], (*colour.tolist(), 255.0))
    dark = (28.0, 34.0, 42.0, 255.0)
    cv2.fillPoly(picture, [np.array([(53, 23), (69, roof + 3), (104, roof + 3), (104, 23)], np.int32)], dark)
    end = 190 - tail - 20
    cv2.fillPoly(
        picture, [np.array([(109, 23), (109, roof + 3), (end, roof + 3), (end + 12, 23)], np.int32)], dark
    )
    picture[44:52, 4:188, :3] *= 0.7
    for x in (38, 152):
        cv2.circle(picture, (x, 49), 14, (22.0, 22.0, 24.0, 255.0), -1)
        cv2.circle(picture, (x, 49), 8, (140.0, 140.0, 144.0, 255.0), -1)
    return _bytes(picture)


def lamp(generator: np.random.Generator) -> UInt8:
    del generator
    return np.full((8, 8, 3), 255, dtype=np.uint8)


def metal(generator: np.random.Generator) -> UInt8:
    return _bytes(_rough(generator, tint(generator, 35, 170, 4), 0.03, 32))


SURFACES: dict[str, Maker] = {
    maker.__name__: maker
    for maker in (
        asphalt, concrete, gravel, grass, slabs, bricks, plaster, panels, wood, facade, shop_window, poster,
        sign, door, glass, shelf, ceiling, foliage, hedge, bark, railing, paint, car_side, lamp, metal,
    )
}  # fmt: skip

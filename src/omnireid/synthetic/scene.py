"""The place a camera watches: a wall or greenery behind, the ground in front, and clutter between them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from omnireid.core.arrays import Float32, Float64, Int32, UInt8
from omnireid.synthetic import palette
from omnireid.synthetic.drawing import smooth_noise
from omnireid.synthetic.opencv import cv2

SCENE_KINDS = ("street", "corridor", "park", "station", "plaza", "parking")
SCENE_HEIGHT, SCENE_WIDTH = 448, 1280
# A person of a 256-pixel box stands with the feet on this row of the scene.
WALK_ROW = 400

Picture = UInt8


@dataclass(frozen=True, slots=True)
class Scene:
    """`picture` is (SCENE_HEIGHT, SCENE_WIDTH, 3) uint8 RGB."""

    kind: str
    picture: Picture

    def window(self, x: float, y: float, scale: float, height: int, width: int) -> Float32:
        """The part behind a box whose feet stand at scene pixel (x, y): (height, width, 3) float32.

        `scale` is scene pixels per box pixel. Beyond its edges the scene is mirrored.
        """
        shift = np.array([[scale, 0.0, x - 0.5 * width * scale], [0.0, scale, y - 0.95 * height * scale]])
        return cv2.warpAffine(
            self.picture,
            shift,
            (width, height),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REFLECT_101,
        ).astype(np.float32)


def make_scene(generator: np.random.Generator, kind: str, elevation: float) -> Scene:
    """Paint a scene; the higher the camera, the more of it is ground."""
    horizon = int(np.clip(WALK_ROW - 40 - 560 * elevation, 90, WALK_ROW - 70))
    wall, ground = _PAINTERS[kind](generator, horizon)
    picture = np.empty((SCENE_HEIGHT, SCENE_WIDTH, 3), dtype=np.float32)
    picture[:horizon] = wall
    picture[horizon:] = ground
    _contact_shadow(picture, horizon)
    _add_clutter(generator, picture, kind, horizon)
    picture *= (1.0 + 0.05 * smooth_noise(generator, SCENE_HEIGHT, SCENE_WIDTH, 14))[:, :, None]
    picture += 3.0 * generator.standard_normal((SCENE_HEIGHT, SCENE_WIDTH, 1), dtype=np.float32)
    return Scene(kind=kind, picture=np.clip(picture, 0, 255).astype(np.uint8))


def _fill(rows: int, colour: npt.ArrayLike) -> Float32:
    return np.broadcast_to(np.asarray(colour, dtype=np.float32), (rows, SCENE_WIDTH, 3)).copy()


def _tint(generator: np.random.Generator, low: float, high: float, spread: float = 14.0) -> Float64:
    """A muted colour between two grey levels."""
    return np.clip(generator.uniform(low, high) + generator.normal(0, spread, 3), 10, 240)


def _bricks(layer: Float32, generator: np.random.Generator, height: int, width: int, joint: float) -> None:
    """Courses of bricks or tiles with darker or lighter joints, in place."""
    rows = layer.shape[0]
    for course, y in enumerate(range(0, rows, height)):
        shift = (course % 2) * width // 2
        starts = np.arange(-shift, SCENE_WIDTH, width)
        tones = np.repeat(generator.normal(1.0, 0.06, len(starts)), width)[shift if shift else 0 :][
            :SCENE_WIDTH
        ]
        tones = np.pad(tones, (0, SCENE_WIDTH - len(tones)), mode="edge")
        layer[y : y + height] *= tones[None, :, None].astype(np.float32)
        layer[y : y + 1] *= joint
        for x in starts:
            if x >= 0:
                layer[y : y + height, x : x + 1] *= joint


def _paving(
    generator: np.random.Generator, rows: int, colour: npt.ArrayLike, cell: int, contrast: float
) -> Float32:
    """Ground of square slabs in perspective."""
    size = 512
    flat = np.ones((size, size), dtype=np.float32)
    cells = size // cell + 1
    tones = generator.normal(1.0, contrast, (cells, cells)).astype(np.float32)
    flat *= np.repeat(np.repeat(tones, cell, 0), cell, 1)[:size, :size]
    flat[::cell] *= 0.78
    flat[:, ::cell] *= 0.78
    source = np.array([[0, 0], [size, 0], [size, size], [0, size]], dtype=np.float32)
    middle, far, near = SCENE_WIDTH / 2, 0.62 * SCENE_WIDTH, 1.1 * SCENE_WIDTH
    target = np.array(
        [[middle - far, 0], [middle + far, 0], [middle + near, rows], [middle - near, rows]], dtype=np.float32
    )
    matrix = cv2.getPerspectiveTransform(source, target)
    ground = cv2.warpPerspective(
        flat, matrix, (SCENE_WIDTH, rows), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REFLECT_101
    )
    return _fill(rows, colour) * ground[:, :, None]


def _rectangle(picture: Float32, x: int, y: int, width: int, height: int, colour: npt.ArrayLike) -> None:
    x0, y0 = max(x, 0), max(y, 0)
    if x + width > x0 and y + height > y0:
        picture[y0 : y + height, x0 : x + width] = np.asarray(colour, dtype=np.float32)


def _street(generator: np.random.Generator, horizon: int) -> tuple[Float32, Float32]:
    wall = _fill(horizon, _tint(generator, 110, 170, 18) * np.array([1.08, 0.96, 0.88]))
    _bricks(wall, generator, 9, 22, 0.8)
    x = 20
    while x < SCENE_WIDTH:
        width = int(generator.integers(50, 110))
        if generator.random() < 0.7:
            _rectangle(wall, x, max(horizon - 210, 6), width, min(120, horizon - 50), (60, 70, 82))
            _rectangle(
                wall,
                x + 4,
                max(horizon - 206, 10),
                width // 2 - 6,
                min(112, horizon - 58),
                _tint(generator, 70, 130),
            )
        else:
            _rectangle(
                wall, x, max(horizon - 180, 0), width, 180, palette.pick(generator, palette.BAG_SHARES)
            )
        x += width + int(generator.integers(30, 90))
    ground = _paving(generator, SCENE_HEIGHT - horizon, _tint(generator, 105, 160, 6), 32, 0.05)
    kerb = int(0.7 * (SCENE_HEIGHT - horizon))
    ground[kerb:] *= 0.62
    ground[kerb : kerb + 6] *= 1.7
    return wall, ground


def _corridor(generator: np.random.Generator, horizon: int) -> tuple[Float32, Float32]:
    paint = _tint(generator, 165, 215, 8)
    wall = _fill(horizon, paint)
    wall[: horizon // 2] *= 1.06
    band = _tint(generator, 80, 150, 26)
    wall[int(horizon * 0.62) : int(horizon * 0.66)] = band
    for x in range(int(generator.integers(10, 90)), SCENE_WIDTH, int(generator.integers(170, 240))):
        if generator.random() < 0.6:
            _rectangle(
                wall, x, max(horizon - 205, 0), 88, 205, np.array((130, 94, 62)) * generator.uniform(0.6, 1.4)
            )
            _rectangle(wall, x + 74, horizon - 100, 6, 12, (190, 190, 180))
        else:
            _rectangle(
                wall,
                x,
                max(horizon - 190, 4),
                110,
                min(75, horizon // 2),
                palette.pick(generator, palette.ACCENT_SHARES),
            )
    wall[-7:] = paint * 0.45
    ground = _paving(generator, SCENE_HEIGHT - horizon, _tint(generator, 120, 170, 8), 64, 0.02)
    gloss = np.linspace(0.35, 0.0, SCENE_HEIGHT - horizon, dtype=np.float32)[:, None, None]
    mirror = cv2.GaussianBlur(wall[::-1][: SCENE_HEIGHT - horizon], (0, 0), 5)
    ground[: len(mirror)] += gloss[: len(mirror)] * (mirror - ground[: len(mirror)])
    return wall, ground


def _park(generator: np.random.Generator, horizon: int) -> tuple[Float32, Float32]:
    wall = _fill(horizon, (58, 82, 46))
    leaves = smooth_noise(generator, horizon, SCENE_WIDTH, 120) * 0.7 + smooth_noise(
        generator, horizon, SCENE_WIDTH, 36
    )
    wall *= (1.0 + 0.28 * leaves)[:, :, None]
    sky = smooth_noise(generator, horizon, SCENE_WIDTH, 22) + np.linspace(1.2, -2.5, horizon)[:, None]
    wall[sky > 1.0] = (196, 206, 214)
    for x in generator.integers(0, SCENE_WIDTH, 9):
        trunk = int(generator.integers(9, 24))
        wall[:, int(x) : int(x) + trunk] = np.array((74, 60, 46)) * generator.uniform(0.7, 1.2)
    rows = SCENE_HEIGHT - horizon
    ground = _fill(rows, (92, 112, 58))
    ground *= (
        1.0
        + 0.14 * smooth_noise(generator, rows, SCENE_WIDTH, 260)
        + 0.10 * smooth_noise(generator, rows, SCENE_WIDTH, 40)
    )[:, :, None]
    top = int(rows * generator.uniform(0.35, 0.6))
    ground[top : top + int(rows * 0.34)] = (
        np.array((164, 150, 124))
        * (1.0 + 0.05 * smooth_noise(generator, int(rows * 0.34), SCENE_WIDTH, 300))[:, :, None]
    )
    return wall, ground


def _station(generator: np.random.Generator, horizon: int) -> tuple[Float32, Float32]:
    wall = _fill(horizon, _tint(generator, 175, 215, 7))
    _bricks(wall, generator, 18, 18, 0.72)
    x = int(generator.integers(0, 120))
    while x < SCENE_WIDTH:
        width = int(generator.integers(70, 150))
        top = max(horizon - 200, 5)
        _rectangle(wall, x, top, width, min(110, horizon - 60), palette.pick(generator, palette.UPPER_SHARES))
        _rectangle(
            wall, x + width // 5, top + 15, width // 2, 30, palette.pick(generator, palette.ACCENT_SHARES)
        )
        x += width + int(generator.integers(60, 200))
    ground = _paving(generator, SCENE_HEIGHT - horizon, _tint(generator, 90, 140, 5), 24, 0.09)
    stripe = int(0.8 * (SCENE_HEIGHT - horizon))
    ground[stripe : stripe + 9] = (205, 176, 60)
    return wall, ground


def _plaza(generator: np.random.Generator, horizon: int) -> tuple[Float32, Float32]:
    wall = _fill(horizon, (96, 112, 124))
    shine = np.linspace(1.35, 0.8, horizon, dtype=np.float32)[:, None, None]
    wall *= shine * (1.0 + 0.18 * smooth_noise(generator, horizon, SCENE_WIDTH, 18))[:, :, None]
    for x in range(int(generator.integers(0, 60)), SCENE_WIDTH, 96):
        wall[:, x : x + 7] = (70, 72, 76)
    for x in generator.integers(0, SCENE_WIDTH - 130, 5):
        _rectangle(
            wall,
            int(x),
            max(horizon - 150, 0),
            int(generator.integers(50, 120)),
            150,
            palette.pick(generator, palette.UPPER_SHARES),
        )
    return wall, _paving(generator, SCENE_HEIGHT - horizon, _tint(generator, 150, 195, 7), 42, 0.12)


def _parking(generator: np.random.Generator, horizon: int) -> tuple[Float32, Float32]:
    wall = _fill(horizon, _tint(generator, 130, 170, 5))
    wall *= (1.0 + 0.06 * smooth_noise(generator, horizon, SCENE_WIDTH, 30))[:, :, None]
    for x in range(0, SCENE_WIDTH, 160):
        wall[:, x : x + 3] *= 0.7
    rows = SCENE_HEIGHT - horizon
    ground = _fill(rows, _tint(generator, 62, 96, 4))
    ground *= (1.0 + 0.07 * smooth_noise(generator, rows, SCENE_WIDTH, 400))[:, :, None]
    for x in range(int(generator.integers(0, 100)), SCENE_WIDTH, 150):
        corner = np.array([[x, 0], [x + 9, 0], [x + 75, rows], [x + 58, rows]], dtype=np.int32)
        cv2.fillPoly(ground, [corner], (196.0, 196.0, 186.0), cv2.LINE_AA)
    return wall, ground


_PAINTERS = {
    "street": _street,
    "corridor": _corridor,
    "park": _park,
    "station": _station,
    "plaza": _plaza,
    "parking": _parking,
}


def _contact_shadow(picture: Float32, horizon: int) -> None:
    picture[horizon : horizon + 14] *= np.linspace(0.6, 1.0, 14, dtype=np.float32)[:, None, None]


def _add_clutter(generator: np.random.Generator, picture: Float32, kind: str, horizon: int) -> None:
    """Things that stand about: poles, bins, boxes, benches, parked cars, bushes."""
    indoors = kind in ("corridor", "station")
    for _ in range(int(generator.integers(7, 13))):
        x = int(generator.integers(0, SCENE_WIDTH - 60))
        foot = int(generator.integers(horizon + 4, max(horizon + 8, WALK_ROW - 50)))
        reach = 0.5 + 0.5 * (foot - horizon) / (WALK_ROW - horizon)
        thing = str(
            generator.choice(
                ["pole", "bin", "box", "bench"] if indoors else ["pole", "bin", "car", "bush", "bench"]
            )
        )
        if thing == "pole":
            _rectangle(picture, x, 0, max(3, int(9 * reach)), foot, _tint(generator, 60, 150))
        elif thing in ("bin", "box"):
            side = int(generator.integers(26, 60) * reach)
            _rectangle(picture, x, foot - side, side, side, palette.pick(generator, palette.UPPER_SHARES))
            _rectangle(picture, x, foot - side, side, max(2, side // 7), _tint(generator, 40, 90))
        elif thing == "bench":
            _rectangle(picture, x, foot - int(44 * reach), int(110 * reach), int(10 * reach), (112, 82, 54))
            _rectangle(picture, x, foot - int(26 * reach), int(110 * reach), int(8 * reach), (104, 76, 50))
            _rectangle(picture, x + 6, foot - int(20 * reach), 5, int(20 * reach), (50, 50, 52))
            _rectangle(picture, x + int(98 * reach), foot - int(20 * reach), 5, int(20 * reach), (50, 50, 52))
        elif thing == "car":
            _car(picture, x, foot, reach, palette.pick(generator, palette.UPPER_SHARES))
        else:
            for _leaf in range(14):
                centre = (
                    x + int(generator.normal(30, 22)),
                    foot - int(abs(generator.normal(22, 14)) * reach),
                )
                green = np.array((66, 92, 50)) * generator.uniform(0.6, 1.4)
                cv2.circle(
                    picture, centre, int(generator.integers(8, 20)), tuple(green.tolist()), -1, cv2.LINE_AA
                )


def _car(picture: Float32, x: int, foot: int, reach: float, colour: palette.Colour) -> None:
    def place(points: list[tuple[float, float]]) -> Int32:
        return np.array([(x + px * reach, foot - py * reach) for px, py in points], dtype=np.int32)

    body = place([(0, 16), (6, 52), (60, 60), (92, 92), (188, 92), (222, 58), (262, 50), (266, 16)])
    cv2.fillPoly(picture, [body], colour, cv2.LINE_AA)
    cv2.fillPoly(
        picture, [place([(74, 60), (97, 87), (136, 87), (136, 60)])], (54.0, 64.0, 74.0), cv2.LINE_AA
    )
    cv2.fillPoly(
        picture, [place([(142, 60), (142, 87), (184, 87), (208, 60)])], (54.0, 64.0, 74.0), cv2.LINE_AA
    )
    for wheel in (56, 212):
        centre = place([(wheel, 18)])[0]
        cv2.circle(
            picture, (int(centre[0]), int(centre[1])), int(20 * reach), (30.0, 30.0, 32.0), -1, cv2.LINE_AA
        )
        cv2.circle(
            picture, (int(centre[0]), int(centre[1])), int(9 * reach), (128.0, 128.0, 130.0), -1, cv2.LINE_AA
        )

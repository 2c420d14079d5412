"""What is printed on or sewn to a garment: emblems, glyphs that are no words, numbers, pictures."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from omnireid.core.arrays import UInt8
from omnireid.core.seeds import numpy_generator
from omnireid.synthetic.dress.cloth import Layer, Mask, Patch, Sheet, edge, noise, paint
from omnireid.synthetic.dress.fabrics import RICH, Fabric, weave
from omnireid.synthetic.dress.outfit import Print
from omnireid.synthetic.opencv import cv2

_SUPER = 2  # drawn twice as fine, then averaged


def stamp(layer: Layer, patch: Patch, printed: Print) -> None:
    """Put a print onto a patch's layer, in place. What would leave the patch is cut off."""
    height = max(2, round(printed.height / patch.length * patch.rows))
    width = max(2, min(round(printed.width / patch.girth * patch.columns), patch.columns))
    generator = numpy_generator(printed.seed, "print", printed.kind)
    picture, mask = PRINTS[printed.kind](printed, height, width, generator)
    top = round(printed.v * patch.rows) - height // 2
    first, last = max(top, 0), min(top + height, patch.rows)
    if first >= last:
        return
    left = round(printed.u * patch.columns) - width // 2
    columns = np.arange(left, left + width) % patch.columns
    region = layer[first:last, columns]
    paint(region, picture[first - top : last - top], mask[first - top : last - top])
    layer[first:last, columns] = region


Drawn = tuple[Layer, Mask]
Drawer = Callable[[Print, int, int, np.random.Generator], Drawn]


def _flat(printed: Print, mask: Mask) -> Drawn:
    return np.broadcast_to(np.asarray(printed.colours[0], dtype=np.float32), (*mask.shape, 3)), mask


def _grid(height: int, width: int) -> tuple[Mask, Mask]:
    y = (np.arange(height, dtype=np.float32)[:, None] + 0.5) * (2 / height) - 1
    x = (np.arange(width, dtype=np.float32)[None, :] + 0.5) * (2 / width) - 1
    return np.asarray(x, dtype=np.float32), np.asarray(y, dtype=np.float32)


def _inside(distance: npt.ArrayLike, height: int) -> Mask:
    """Cover of what is nearer than 0, soft over a texel."""
    return np.asarray(np.clip(0.5 - np.asarray(distance) * (height / 2), 0, 1), dtype=np.float32)


def _disc(printed: Print, height: int, width: int, generator: np.random.Generator) -> Drawn:
    x, y = _grid(height, width)
    return _flat(printed, _inside(np.hypot(x, y) - 0.95, height))


def _ring(printed: Print, height: int, width: int, generator: np.random.Generator) -> Drawn:
    x, y = _grid(height, width)
    return _flat(printed, _inside(np.abs(np.hypot(x, y) - 0.75) - 0.2, height))


def _square(printed: Print, height: int, width: int, generator: np.random.Generator) -> Drawn:
    picture, mask = _text(printed, height, width, generator)
    ground = np.broadcast_to(np.asarray(printed.colours[1], dtype=np.float32), picture.shape).copy()
    paint(ground, picture, mask)
    return ground, np.ones((height, width), dtype=np.float32)


def _triangle(printed: Print, height: int, width: int, generator: np.random.Generator) -> Drawn:
    x, y = _grid(height, width)
    if generator.random() < 0.5:
        y = -y
    return _flat(printed, _inside(np.maximum(np.abs(x) - (y + 1) * 0.5, y - 0.95), height))


def _star(printed: Print, height: int, width: int, generator: np.random.Generator) -> Drawn:
    x, y = _grid(height, width)
    points = int(generator.integers(4, 9))
    angle = np.arctan2(x, -y) * points
    return _flat(printed, _inside(np.hypot(x, y) - (0.66 + 0.32 * np.cos(angle)), height))


def _cross(printed: Print, height: int, width: int, generator: np.random.Generator) -> Drawn:
    x, y = _grid(height, width)
    arm = generator.uniform(0.15, 0.4)
    return _flat(printed, _inside(np.minimum(np.abs(x), np.abs(y)) - arm, height))


def _bar(printed: Print, height: int, width: int, generator: np.random.Generator) -> Drawn:
    _, y = _grid(height, width)
    return _flat(
        printed, np.broadcast_to(_inside(np.abs(y) - generator.uniform(0.3, 1), height), (height, width))
    )


def _blot(printed: Print, height: int, width: int, generator: np.random.Generator) -> Drawn:
    x, y = _grid(height, width)
    field = noise(generator, height, width, (4, 4)) * 0.3
    mask = _inside(np.hypot(x, y) - 0.7 + field, height)
    picture = np.broadcast_to(np.asarray(printed.colours[0], dtype=np.float32), (height, width, 3)).copy()
    paint(picture, printed.colours[1], edge(noise(generator, height, width, (5, 5)), 0.3, 0.2))
    return picture, mask


def _canvas(height: int, width: int) -> UInt8:
    return np.zeros((height * _SUPER, width * _SUPER), dtype=np.uint8)


def _averaged(canvas: UInt8) -> Mask:
    small = cv2.resize(
        canvas, (canvas.shape[1] // _SUPER, canvas.shape[0] // _SUPER), interpolation=cv2.INTER_AREA
    )
    return np.asarray(small, dtype=np.float32) * (1 / 255)


def _glyphs(
    canvas: UInt8, top: float, height: float, generator: np.random.Generator, left: float, right: float
) -> None:
    """A row of strokes that look like letters."""
    slant = float(generator.choice([0.0, 0.0, 0.25]))
    stroke = max(1, round(height * generator.uniform(0.12, 0.3)))
    advance = height * generator.uniform(0.55, 0.95)
    x = left
    while x + advance * 0.8 <= right:
        strokes = int(generator.integers(1, 4))
        corners = generator.integers(0, 3, (strokes, 3, 2)) / 2
        for points in corners:
            at = points * (advance * 0.68, height * 0.84) + (x, top + height * 0.08)
            at[:, 0] += slant * (top + height - at[:, 1])
            cv2.polylines(canvas, [np.round(at).astype(np.int32)], False, 255, stroke, cv2.LINE_8)
        x += advance * (1.5 if generator.random() < 0.12 else 1.0)


def _text(printed: Print, height: int, width: int, generator: np.random.Generator) -> Drawn:
    canvas = _canvas(height, width)
    rows, columns = canvas.shape
    count = int(generator.integers(1, 4))
    sizes = generator.uniform(0.5, 1.5, count)
    sizes *= rows / sizes.sum()
    top = 0.0
    for size in sizes:
        margin = columns * float(generator.choice([0.0, 0.0, 0.12, 0.25]))
        _glyphs(canvas, top, size * 0.86, generator, margin, columns - margin)
        top += size
    return _flat(printed, _averaged(canvas))


def _lines(printed: Print, height: int, width: int, generator: np.random.Generator) -> Drawn:
    canvas = _canvas(height, width)
    rows, columns = canvas.shape
    count = int(generator.integers(3, 8))
    for row in range(count):
        indent = columns * 0.2 * generator.random()
        _glyphs(canvas, row * rows / count, rows / count * 0.8, generator, indent, columns - indent)
    return _flat(printed, _averaged(canvas))


def _number(printed: Print, height: int, width: int, generator: np.random.Generator) -> Drawn:
    canvas = _canvas(height, width)
    text = str(int(generator.integers(1, 100)))
    thickness = max(2, canvas.shape[0] // 9)
    (wide, high), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 1.0, 1)
    scale = min(canvas.shape[1] * 0.86 / wide, canvas.shape[0] * 0.8 / high)
    at = (int((canvas.shape[1] - wide * scale) / 2), int((canvas.shape[0] + high * scale) / 2))
    cv2.putText(canvas, text, at, cv2.FONT_HERSHEY_SIMPLEX, scale, 255, thickness, cv2.LINE_AA)
    return _flat(printed, _averaged(canvas))


def _badge(printed: Print, height: int, width: int, generator: np.random.Generator) -> Drawn:
    x, y = _grid(height, width)
    picture = np.broadcast_to(np.asarray(printed.colours[0], dtype=np.float32), (height, width, 3)).copy()
    paint(picture, printed.colours[1], _inside(np.hypot(x * 2, y * 2) - 0.9, height))
    return picture, _inside(np.hypot(x, y) - 0.95, height) if generator.random() < 0.5 else np.ones(
        (height, width), dtype=np.float32
    )


def _picture(printed: Print, height: int, width: int, generator: np.random.Generator) -> Drawn:
    """A rectangle or a disc of a rich pattern."""
    pattern = RICH[int(generator.integers(len(RICH)))]
    inks = (*printed.colours, printed.colours[int(generator.integers(3))])
    fabric = Fabric(pattern, inks, generator.uniform(0.02, 0.06), seed=printed.seed)
    picture = weave(fabric, Patch(height, width, printed.width, printed.height))
    x, y = _grid(height, width)
    round_one = generator.random() < 0.3
    return picture, _inside(np.hypot(x, y) - 0.95, height) if round_one else np.ones(
        (height, width), dtype=np.float32
    )


def _figure(printed: Print, height: int, width: int, generator: np.random.Generator) -> Drawn:
    """A few shapes that overlap, as an animal or a face drawn with three inks."""
    sheet, cover = Sheet(height, width, printed.colours[0]), Sheet(height, width, (0, 0, 0))
    drawn = generator.random((int(generator.integers(3, 9)), 6))
    for u, v, wide, high, turn, ink in drawn:
        centre = ((0.25 + 0.5 * u) * width, (0.2 + 0.6 * v) * height)
        axes = ((0.06 + 0.26 * wide) * width, (0.06 + 0.26 * high) * height)
        sheet.ellipse(centre, axes, 360 * turn, printed.colours[int(ink * 3)])
        cover.ellipse(centre, axes, 360 * turn, (255, 255, 255))
    return sheet.picture.astype(np.float32), cover.picture[:, :, 0].astype(np.float32) * (1 / 255)


PRINTS: dict[str, Drawer] = {
    "disc": _disc,
    "ring": _ring,
    "square": _square,
    "triangle": _triangle,
    "star": _star,
    "cross": _cross,
    "bar": _bar,
    "blot": _blot,
    "text": _text,
    "lines": _lines,
    "number": _number,
    "badge": _badge,
    "picture": _picture,
    "figure": _figure,
}

"""One picture of one person by one camera: a pure function of (seed, pid, camera, index)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from omnireid.core.arrays import Float32, UInt8
from omnireid.core.seeds import numpy_generator
from omnireid.synthetic.camera import Camera, encode_jpeg, expose, make_cameras
from omnireid.synthetic.clothing import Wardrobe, make_wardrobe
from omnireid.synthetic.drawing import Canvas, Light, draw_ground_shadow, make_light, smooth_noise
from omnireid.synthetic.figure import Figure
from omnireid.synthetic.options import RenderOptions, World
from omnireid.synthetic.parts import draw_figure
from omnireid.synthetic.person import Person, draw_person
from omnireid.synthetic.pose import draw_pose
from omnireid.synthetic.scene import SCENE_WIDTH, WALK_ROW

# People of the street who belong to no identity of the dataset; they pass in front and behind.
_NUM_PASSERS = 40
_FOLD_BANK = 512


@lru_cache(maxsize=4)
def _cameras(seed: int, num_cameras: int) -> tuple[Camera, ...]:
    return make_cameras(seed, num_cameras)


@lru_cache(maxsize=64)
def _dressed(seed: int, group: str, number: int) -> tuple[Person, Wardrobe]:
    person = draw_person(numpy_generator(seed, group, number))
    return person, make_wardrobe(person)


@lru_cache(maxsize=2)
def _folds(seed: int) -> Float32:
    generator = numpy_generator(seed, "folds")
    coarse = smooth_noise(generator, _FOLD_BANK, _FOLD_BANK, 40)
    fine = smooth_noise(generator, _FOLD_BANK, _FOLD_BANK, 100)
    return 0.055 * coarse + 0.03 * fine


def render_crop(world: World, pid: int, camid: int, index: int, *, content: str = "person") -> UInt8:
    """Draw one picture, before compression.

    Args:
        camid: zero-based camera.
        content: "person"; "background", the same picture without the person; "part", a box that cuts
            the person badly, as junk boxes do.

    Returns:
        (height, width, 3) uint8 RGB.
    """
    return _picture(world, pid, camid, index, content)[0]


def render_jpeg(world: World, pid: int, camid: int, index: int, *, content: str = "person") -> bytes:
    """The same picture as JPEG bytes at the camera's quality."""
    picture, camera, generator = _picture(world, pid, camid, index, content)
    return encode_jpeg(camera, picture, generator)


def _picture(
    world: World, pid: int, camid: int, index: int, content: str
) -> tuple[UInt8, Camera, np.random.Generator]:
    camera = _cameras(world.seed, world.num_cameras)[camid]
    # What surrounds the person draws from a stream of its own: nothing in it depends on who is shown.
    around = numpy_generator(world.seed, "around", pid, camid, index)
    canvas = camera.scene.window(
        x=around.uniform(0, SCENE_WIDTH),
        y=float(WALK_ROW + around.normal(0, 14)),
        scale=around.uniform(0.75, 1.25) * 256 / world.height,
        height=world.height,
        width=world.width,
    )
    light = _light(world, camera, around)
    box = _Box.draw(around, part=content == "part")
    passers = int(around.random() < 0.24)
    for _ in range(passers):
        _draw_passer(world, camera, canvas, light, around, nearer=False)
    if content != "background":
        _draw_subject(
            world, camera, canvas, light, pid, numpy_generator(world.seed, "pose", pid, camid, index), box
        )
    if around.random() < camera.occlusion:
        _occlude(world, camera, canvas, light, around)
    _uneven_light(canvas, around)
    return expose(camera, canvas, around), camera, around


@dataclass(frozen=True, slots=True)
class _Box:
    """A detector's imperfect box, in shares of the true body: margins (negative cuts) and shift."""

    top: float
    bottom: float
    shift: float
    stretch: float

    @classmethod
    def draw(cls, generator: np.random.Generator, part: bool) -> _Box:
        top, bottom = generator.normal(0.035, 0.025), generator.normal(0.035, 0.025)
        shift, stretch = generator.normal(0.0, 0.05), generator.normal(1.0, 0.05)
        cut = generator.random()
        amount = generator.uniform(0.08, 0.25)
        if cut < 0.05:
            bottom = -amount
        elif cut < 0.065:
            top = -0.4 * amount
        if part:
            top, bottom = ((-0.55, 0.05), (0.05, -0.6), (-0.3, -0.4))[int(cut * 3)]
            shift += 1.6 * (amount - 0.16)
        return cls(
            top=float(top),
            bottom=float(bottom),
            shift=float(shift),
            stretch=float(np.clip(stretch, 0.88, 1.12)),
        )


def _light(world: World, camera: Camera, generator: np.random.Generator) -> Light:
    folds = _folds(world.seed)
    y, x = generator.integers(0, _FOLD_BANK, 2)
    rows = np.arange(y, y + world.height) % _FOLD_BANK
    columns = np.arange(x, x + world.width) % _FOLD_BANK
    return make_light(
        camera.light_azimuth + generator.normal(0.0, 0.35),
        camera.ambient,
        camera.diffuse,
        folds[rows[:, None], columns[None, :]],
    )


def _draw_subject(
    world: World,
    camera: Camera,
    canvas: Canvas,
    light: Light,
    pid: int,
    generator: np.random.Generator,
    box: _Box,
) -> None:
    person, wardrobe = _dressed(world.seed, "person", pid)
    heading = camera.headings[int(generator.integers(len(camera.headings)))] + float(
        generator.normal(0.0, 0.30)
    )
    figure = Figure(person, wardrobe, draw_pose(generator, heading), camera.view)
    extent = figure.extent
    body_height = extent.bottom - extent.top
    scale = world.height / (body_height * (1.0 + box.top + box.bottom))
    middle = 0.5 * (extent.left + extent.right)
    x = world.width * (0.5 + box.shift) - middle * scale
    y = (box.top * body_height - extent.top) * scale
    figure.place(scale, x, y)
    draw_ground_shadow(
        canvas, (x + 0.02 * scale, y), (0.20 * scale, 0.05 * scale), 0.2 + 0.5 * camera.diffuse
    )
    draw_figure(canvas, figure, light)


def _draw_passer(
    world: World, camera: Camera, canvas: Canvas, light: Light, generator: np.random.Generator, nearer: bool
) -> None:
    person, wardrobe = _dressed(world.seed, "passer", int(generator.integers(_NUM_PASSERS)))
    heading = camera.headings[int(generator.integers(len(camera.headings)))]
    figure = Figure(person, wardrobe, draw_pose(generator, heading), camera.view)
    side = float(generator.choice([-1.0, 1.0]))
    size = float(generator.uniform(0.95, 1.2) if nearer else generator.uniform(0.55, 0.85))
    away = float(generator.uniform(0.40, 0.62) if nearer else generator.uniform(0.15, 0.5))
    foot = 0.96 + (0.14 * (size - 0.9) if nearer else -0.30 * (1.0 - size))
    figure.place(
        0.92 * size * world.height / max(-figure.extent.top, 0.3),
        world.width * (0.5 + side * away),
        foot * world.height,
    )
    draw_figure(canvas, figure, light)


def _occlude(
    world: World, camera: Camera, canvas: Canvas, light: Light, generator: np.random.Generator
) -> None:
    """Put something in front: a passer-by, a pole, or something low such as a bin, a hedge or a barrier."""
    height, width = world.height, world.width
    what = generator.random()
    colour = np.float32(generator.uniform(50, 170)) + generator.normal(0, 16, 3).astype(np.float32)
    position, size = generator.uniform(0.12, 0.88), generator.uniform(0.0, 1.0)
    if what < 0.5:
        _draw_passer(world, camera, canvas, light, generator, nearer=True)
    elif what < 0.75:
        # Beside the middle: a post that hides the whole of a person leaves nothing to recognise.
        position += 0.12 if position > 0.5 else -0.12
        half = (0.03 + 0.05 * size) * width
        left, right = max(int(position * width - half), 0), int(position * width + half) + 1
        across = np.linspace(-1, 1, right - left, dtype=np.float32)[: canvas[:, left:right].shape[1]]
        canvas[:, left:right] = (1.0 - 0.45 * across**2)[None, :, None] * colour
    else:
        top = int((0.68 + 0.20 * size) * height)
        canvas[top:] = colour * np.linspace(1.1, 0.7, height - top, dtype=np.float32)[:, None, None]
        canvas[top : top + 3] *= 1.25


def _uneven_light(canvas: Canvas, generator: np.random.Generator) -> None:
    """Light that falls off across the box, and now and then the edge of a shadow."""
    height, width = canvas.shape[:2]
    slope_x, slope_y = generator.normal(0.0, 0.08, 2)
    edge, dark, tilt = generator.uniform(0.2, 0.9), generator.uniform(0.60, 0.85), generator.normal(0.0, 0.25)
    shaded, below = generator.random() < 0.16, generator.random() < 0.5
    xs = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    ys = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    gain = 1.0 + np.float32(slope_x) * xs + np.float32(slope_y) * ys
    if shaded:
        distance = (ys + np.float32(tilt) * xs - np.float32(2 * edge - 1)) * (1.0 if below else -1.0)
        gain = gain * (1.0 - np.float32(1.0 - dark) * np.clip(distance * 12 + 0.5, 0, 1))
    canvas *= np.asarray(gain, dtype=np.float32)[:, :, None]


class _FlatStyle:
    """Figures painted in front of a picture, as a style of datasets."""

    version = 1
    description = "Procedurally drawn pedestrians seen by a procedurally drawn camera network."

    def jpeg(self, options: RenderOptions, subject: int, camid: int, index: int, content: str) -> bytes:
        return render_jpeg(options.world, subject, camid, index, content=content)


STYLE = _FlatStyle()

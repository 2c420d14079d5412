"""Who passes which camera when: visits to the rendered camera network, for galleries and demonstrations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from omnireid.core.errors import InputError
from omnireid.core.seeds import numpy_generator

if TYPE_CHECKING:
    from omnireid.synthetic.options import World

DAY_S = 86_400.0
FRAME_S = 0.5

_OPENS_S, _CLOSES_S = 7 * 3600.0, 20 * 3600.0
_WALK_S = (20.0, 240.0)
_LINGER_S = (0.0, 5400.0)


@dataclass(frozen=True, slots=True)
class SeenCrop:
    """One crop of a visit, to be drawn by `render_jpeg(world, pid, camid, index)`.

    Attributes:
        tracklet: "p<pid>-<number>": one walk past one camera.
        time: seconds after the first midnight.
    """

    pid: int
    camid: int
    index: int
    tracklet: str
    time: float


def camera_names(world: World) -> tuple[str, ...]:
    """A name for each camera, by the place it looks at: "1 station", "2 parking"."""
    # Cameras are drawn, which needs OpenCV; visits are not.
    from omnireid.synthetic.camera import make_cameras

    cameras = make_cameras(world.seed, world.num_cameras)
    return tuple(f"{number} {camera.scene.kind}" for number, camera in enumerate(cameras, start=1))


def plan_visits(
    world: World,
    *,
    first_pid: int,
    num_people: int,
    num_days: int = 3,
    frames: int = 4,
    visits_a_day: float = 0.8,
) -> tuple[SeenCrop, ...]:
    """Visits of some people, each a walk past some of the cameras in the order they stand in.

    A visitor comes in at a random moment between 7:00 and 20:00, is missed by a camera now and then, walks
    for 20 s to 4 min from one to the next, may linger on the way, and turns round at the end or leaves
    there. Everybody comes at least once.

    Args:
        world: its seed also draws the visits, one stream for each person.
        first_pid: people are first_pid … first_pid + num_people − 1.
        frames: crops of each walk past a camera, half a second apart.
        visits_a_day: mean number of visits of a person (Poisson).

    Returns:
        In order of time.

    Raises:
        InputError: a count below 1.
    """
    for name, value in (("num_people", num_people), ("num_days", num_days), ("frames", frames)):
        if value < 1:
            raise InputError(f"{name}: at least 1, got {value}")
    crops: list[SeenCrop] = []
    for pid in range(first_pid, first_pid + num_people):
        generator = numpy_generator(world.seed, "visits", pid)
        starts = _starts(generator, num_days, visits_a_day)
        walks = [walk for start in starts for walk in _route(generator, world.num_cameras, start)]
        for number, (camid, time) in enumerate(walks):
            crops += [
                # Frames of one walk get indices of their own: no picture is drawn twice.
                SeenCrop(pid, camid, number * frames + f, f"p{pid}-{number:02d}", time + f * FRAME_S)
                for f in range(frames)
            ]
    return tuple(sorted(crops, key=lambda crop: (crop.time, crop.pid)))


def _starts(generator: np.random.Generator, num_days: int, visits_a_day: float) -> list[float]:
    days = np.repeat(np.arange(num_days), generator.poisson(visits_a_day, num_days))
    if days.size == 0:
        days = generator.integers(0, num_days, 1)
    return [float(day * DAY_S + generator.uniform(_OPENS_S, _CLOSES_S)) for day in days]


def _route(generator: np.random.Generator, num_cameras: int, time: float) -> list[tuple[int, float]]:
    """Cameras and times of one visit; at least one camera."""
    reach = int(generator.integers(1, num_cameras + 1))
    way = list(range(reach))
    if generator.random() < 0.5:
        way += way[-2::-1]
    if generator.random() < 0.5:
        way = [num_cameras - 1 - camid for camid in way]
    seen = [camid for camid in way if generator.random() > 0.15] or way[:1]
    walks = []
    for step, camid in enumerate(seen):
        if step:
            time += generator.uniform(*_WALK_S)
            if generator.random() < 0.3:
                time += generator.uniform(*_LINGER_S)
        walks.append((camid, float(time)))
    return walks

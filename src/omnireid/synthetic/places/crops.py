"""Crops of people in places: each a pure function of the options, the person, the camera and an index.

No minute is simulated for a crop: a spot on one of the place's ways is drawn, where the camera sees it, and
the person walks or stands there. Of the place and of whoever is near, only the window round the person is
drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from omnireid.core.arrays import Float64
from omnireid.core.seeds import derive_seed, numpy_generator
from omnireid.synthetic.mesh import Mesh
from omnireid.synthetic.optics.camera import Pinhole
from omnireid.synthetic.optics.light import Shadows, cast_shadows
from omnireid.synthetic.optics.render import Rendered, render, visible
from omnireid.synthetic.optics.sensor import SensorSettings
from omnireid.synthetic.options import MAX_MIXED_WORLDS, RenderOptions
from omnireid.synthetic.places.boxes import Detector
from omnireid.synthetic.places.cast import Actor, cast
from omnireid.synthetic.places.network import Network, PlacedCamera, make_network, metered
from omnireid.synthetic.places.stage import Standing, box_of, draw_people, not_hidden

# People of the street who belong to no identity of the dataset.
_NUM_PASSERS = 48
_SUBJECT = 1
# Of a person less than this is seldom seen, and less than the other never: who stands in front steps aside.
_MOSTLY_SEEN = 0.75
_LEAST_SEEN = 0.45
_SELDOM = 0.15
_TRIES = 6


@dataclass(frozen=True, slots=True)
class Sighting:
    """What is around a person in one picture; nothing in it depends on who it is.

    Attributes:
        point: where the person is, metres. `heading`: where the person's way leads, radians.
        light: which of the place's hours.
        others: (number of a passer, point, heading) of whoever is near.
    """

    point: tuple[float, float]
    heading: float
    light: int
    detector: Detector
    others: tuple[tuple[int, tuple[float, float], float], ...]


@lru_cache(maxsize=MAX_MIXED_WORLDS)
def _network(seed: int, number: int, num_cameras: int) -> Network:
    return make_network(seed, number, num_cameras)


@lru_cache(maxsize=16 * MAX_MIXED_WORLDS)
def _shadows(seed: int, number: int, num_cameras: int, place: int, light: int) -> Shadows:
    network = _network(seed, number, num_cameras)
    here = network.places[place]
    if here.indoor:
        # The strong light of a room comes through its walls.
        return Shadows()
    return cast_shadows(here.mesh, here.bank, network.lights[place][light], texel=0.06, sky=False)


def draw_sighting(
    generator: np.random.Generator, network: Network, camera: PlacedCamera, *, part: bool
) -> Sighting:
    """Draw where a person is seen by a camera, in what light, and with whom around."""
    place, spots = network.places[camera.place], camera.spots
    # Sizes evenly rather than places: far spots are more than near ones.
    order = np.argsort(spots.heights, kind="stable")
    share = generator.beta(1.2, 1.0) if generator.random() < 0.5 else generator.random()
    number = int(order[min(int(share * len(order)), len(order) - 1)])
    point = spots.points[number]
    jittered = point + generator.normal(0.0, 0.25, 2)
    if place.is_free(jittered[None], 0.2)[0]:
        point = jittered
    heading = float(spots.headings[number] + generator.normal(0.0, 0.2))
    return Sighting(
        point=(float(point[0]), float(point[1])),
        heading=heading,
        light=int(generator.integers(len(network.lights[camera.place]))),
        detector=Detector.draw(generator, part=part),
        others=_draw_others(generator, network, camera, point, heading),
    )


def _draw_others(
    generator: np.random.Generator, network: Network, camera: PlacedCamera, point: Float64, heading: float
) -> tuple[tuple[int, tuple[float, float], float], ...]:
    towards = camera.pinhole.position[:2] - point
    towards /= max(float(np.hypot(*towards)), 1e-6)
    across = np.array([-towards[1], towards[0]])
    others = []
    for share, kind in ((0.10, "front"), (0.22, "behind"), (0.16, "behind"), (0.12, "beside")):
        side, near, far = float(generator.choice([-1.0, 1.0])), generator.random(), generator.random()
        turn, passer, present = (
            generator.random(),
            int(generator.integers(_NUM_PASSERS)),
            generator.random() < share,
        )
        if kind == "front":
            spot = point + towards * (0.5 + 1.3 * far) + side * across * (0.22 + 0.4 * near)
        elif kind == "behind":
            spot = point - towards * (0.5 + 4.0 * far) + side * across * (0.15 + 1.0 * near)
        else:
            spot = point + side * (0.5 + 0.35 * near) * np.array([-np.sin(heading), np.cos(heading)])
        facing = heading if kind == "beside" else heading + np.pi * int(turn * 4) / 2
        if present and network.places[camera.place].is_free(spot[None], 0.15)[0]:
            others.append((passer, (float(spot[0]), float(spot[1])), float(facing)))
    return tuple(others)


class _MeshStyle:
    """Bodies of triangles in places of three dimensions, as a style of datasets."""

    version = 2
    description = "Procedurally made pedestrians in places of three dimensions, seen by a camera network."

    def jpeg(self, options: RenderOptions, subject: int, camid: int, index: int, content: str) -> bytes:
        return render_crop(options, subject, camid, index, content=content)


STYLE = _MeshStyle()


def render_crop(
    options: RenderOptions,
    subject: int,
    camid: int,
    index: int,
    *,
    content: str = "person",
    actor: Actor | None = None,
) -> bytes:
    """Draw one picture, as JPEG.

    Args:
        camid: zero-based camera.
        content: "person"; "background", the same place without the person; "part", a box that cuts the
            person badly, as junk boxes do.
        actor: who is seen in place of the person that `subject` is; around it nothing changes.
    """
    community = subject // options.people_per_world if options.people_per_world else 0
    number = community
    if options.mixed_worlds:
        number = derive_seed(options.seed, "world", subject, camid) % options.mixed_worlds
    world = (options.seed, number, options.num_cameras)
    network = _network(*world)
    camera = network.cameras[camid]
    place, hours = network.places[camera.place], network.lights[camera.place]
    around = numpy_generator(options.seed, "sighting", subject, camid, index)
    actor = actor or cast(options.seed, "person", subject, community)
    pose = actor.draw_pose(numpy_generator(options.seed, "pose", subject, camid, index))
    least = _LEAST_SEEN if around.random() < _SELDOM else _MOSTLY_SEEN
    for _ in range(_TRIES):
        sighting = draw_sighting(around, network, camera, part=content == "part")
        light, shadows = hours[sighting.light], _shadows(*world, camera.place, sighting.light)
        body = actor.stand(pose, sighting.point, sighting.heading, _SUBJECT)
        true = box_of(camera.pinhole, actor, body)
        if true is None:
            continue
        box = sighting.detector.box(true).inside(camera.pinhole.width, camera.pinhole.height)
        window = camera.pinhole.window(
            box.left, box.top, box.width, box.height, options.width, options.height
        )
        behind = render(place.mesh, place.bank, window, light, shadows=shadows)
        subject_alone = [(actor, body)] if content != "background" else []
        others = [
            _stand_other(options.seed, other, owner)
            for owner, other in enumerate(sighting.others, _SUBJECT + 1)
        ]
        picture = draw_people(behind, window, light, shadows, [*subject_alone, *others])
        if content != "person" or _seen(picture, window, actor, body) > least:
            break
        if others:
            picture = draw_people(behind, window, light, shadows, subject_alone)
            if _seen(picture, window, actor, body) > least:
                break
    settings = _settings(*world, camid, sighting.light)
    return camera.sensor.crop(picture.colour, settings, box.height / options.height, around)


@lru_cache(maxsize=32 * MAX_MIXED_WORLDS)
def _settings(seed: int, number: int, num_cameras: int, camid: int, light: int) -> SensorSettings:
    network = _network(seed, number, num_cameras)
    camera = network.cameras[camid]
    return metered(network, camera, light, _shadows(seed, number, num_cameras, camera.place, light))


def _seen(picture: Rendered, window: Pinhole, actor: Actor, body: Mesh) -> float:
    """The share of what the box holds of the person that nothing stands before, on every other pixel."""
    half = window.window(0, 0, window.width, window.height, window.width // 2, window.height // 2)
    owners, depth = visible(body, actor.bank, half)
    every_other = slice(0, 2 * half.height, 2), slice(0, 2 * half.width, 2)
    return not_hidden(owners, depth, picture.owners[every_other], picture.depth[every_other])


def _stand_other(seed: int, other: tuple[int, tuple[float, float], float], owner: int) -> Standing:
    number, point, heading = other
    # The same passers are in all worlds, each dressed for an occasion of their own.
    actor = cast(seed, "passer", number, -1 - number)
    # A passer's pose at a point is always the same.
    generator = numpy_generator(seed, "passing", number, round(1000 * point[0]), round(1000 * point[1]))
    return actor, actor.stand(actor.draw_pose(generator), point, heading, owner)

"""A camera network: where cameras hang, what lenses and sensors they have, and where they see people."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from omnireid.core.arrays import Float32, Float64
from omnireid.core.errors import InputError
from omnireid.core.seeds import numpy_generator
from omnireid.synthetic.optics.camera import Pinhole
from omnireid.synthetic.optics.light import Lighting, Shadows
from omnireid.synthetic.optics.render import render, visible
from omnireid.synthetic.optics.sensor import SensorSettings
from omnireid.synthetic.places.daylight import draw_lights
from omnireid.synthetic.places.place import PLACE_KINDS, Place, make_place
from omnireid.synthetic.places.sensors import Sensor, draw_sensors

STATURE = 1.72
_RESOLUTIONS = ((640, 480), (704, 576), (800, 600), (1280, 720), (1280, 960), (1920, 1080))
_LEAST_HEIGHT = 64  # of a person, in pixels of the sensor
_MOST_LEAN = np.radians(15.0)
_ENOUGH_SPOTS = 40
_TOO_NEAR, _MOST_NEAR = 2.0, 0.15
_TRIES = 40
# Of the spots of whichever of two overlapping cameras sees fewer.
_LEAST_SHARED = 0.3


@dataclass(frozen=True, slots=True, eq=False)
class Spots:
    """Where a camera sees people whole on their ways.

    Attributes:
        points: (N, 2) float64, metres.
        headings: (N,) float64, radians: where the way leads.
        heights: (N,) float64, pixels of the sensor that a person is high there.
    """

    points: Float64
    headings: Float64
    heights: Float64


@dataclass(frozen=True, slots=True, eq=False)
class PlacedCamera:
    """Attributes:
    place: number of the place it hangs in.
    """

    place: int
    pinhole: Pinhole
    sensor: Sensor
    spots: Spots


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """Places, the light that each is seen in at different hours, and the cameras in them."""

    places: tuple[Place, ...]
    lights: tuple[tuple[Lighting, ...], ...]
    cameras: tuple[PlacedCamera, ...]


def make_network(
    seed: int,
    number: int,
    num_cameras: int,
    *,
    num_places: int | None = None,
    size: tuple[int, int] | None = None,
    overlap: bool = False,
) -> Network:
    """Draw places and hang cameras in them.

    Args:
        seed, number: of the dataset, and which of its worlds.
        num_places: 1 to num_cameras; by default about half as many as cameras.
        size: width and height of every sensor in pixels; drawn for each by default.
        overlap: whether all cameras of a place see ground that its first one sees.

    Raises:
        InputError: fewer than one camera or place, or more places than cameras.
    """
    generator = numpy_generator(seed, "network", number)
    if num_places is None:
        num_places = (
            int(generator.integers((num_cameras + 2) // 3, num_cameras + 1)) if num_cameras > 1 else 1
        )
    if not 1 <= num_places <= num_cameras:
        raise InputError(f"num_places: 1 to {num_cameras}, got {num_places}")
    kinds = [PLACE_KINDS[k] for k in generator.permutation(len(PLACE_KINDS))]
    sensors = draw_sensors(generator, num_cameras)
    home = generator.permutation(np.arange(num_cameras) % num_places)
    places: list[Place] = []
    cameras: dict[int, PlacedCamera] = {}
    for index in range(num_places):
        mine = np.flatnonzero(home == index)
        for attempt in range(_TRIES):
            draw = numpy_generator(seed, "place", number, index, attempt)
            place = make_place(draw, kinds[(index + attempt) % len(kinds)])
            hung = _hang_all(draw, place, size, len(mine), overlap) if place.ways else None
            if hung is not None:
                break
        else:  # pragma: no cover (never seen)
            raise AssertionError(f"no place with a view in {_TRIES} tries")
        places.append(place)
        for camid, camera in zip(mine, hung, strict=True):
            cameras[int(camid)] = PlacedCamera(index, camera[0], sensors[int(camid)], camera[1])
    lights = tuple(
        draw_lights(numpy_generator(seed, "lights", number, i), place) for i, place in enumerate(places)
    )
    return Network(tuple(places), lights, tuple(cameras[camid] for camid in range(num_cameras)))


def _hang_all(
    generator: np.random.Generator, place: Place, size: tuple[int, int] | None, count: int, overlap: bool
) -> list[tuple[Pinhole, Spots]] | None:
    """A place's cameras; None if one was not found."""
    hung: list[tuple[Pinhole, Spots]] = []
    for _ in range(count):
        camera = _hang(generator, place, size, hung[0][1] if overlap and hung else None)
        if camera is None:
            return None
        hung.append(camera)
    return hung


def _hang(
    generator: np.random.Generator, place: Place, size: tuple[int, int] | None, common: Spots | None
) -> tuple[Pinhole, Spots] | None:
    """A camera that sees people well, and of `common` ground enough; None if no try found one."""
    points, headings = way_points(place)
    aims = points if common is None else common.points
    length, width = place.ground.size
    margin = -0.15 if place.indoor else 2.5
    highest = min(7.0, place.ground.ceiling - 0.15)
    for _ in range(_TRIES):
        target = aims[int(generator.integers(len(aims)))]
        away, turn = generator.uniform(3.5, 15.0), generator.uniform(0, 2 * np.pi)
        spot = target + away * np.array([np.cos(turn), np.sin(turn)])
        height = float(
            np.clip(generator.choice([2.4, 2.8, 3.4, 4.5, 6.0]) + generator.normal(0, 0.3), 2.2, highest)
        )
        inside = -margin <= spot[0] <= length + margin and -margin <= spot[1] <= width + margin
        if not inside or any(footprint.covers(spot[None], 0.3)[0] for footprint in place.footprints):
            continue
        pixels = size or _RESOLUTIONS[int(generator.integers(len(_RESOLUTIONS)))]
        wide = float(np.radians(generator.uniform(35, 85)))
        # Rays at the corners are bent inwards by an eighth at most: no lens folds back within its picture.
        corner = np.tan(0.5 * wide) * np.hypot(1.0, pixels[1] / pixels[0])
        barrel = float(-0.12 * generator.uniform(0, 1) / corner**2)
        pinhole = Pinhole.look_at(
            np.array([*spot, height]),
            np.array([*target, generator.normal(0.9, 0.25)]),
            field_of_view=wide,
            width=pixels[0],
            height=pixels[1],
            roll=generator.normal(0.0, 0.02),
            distortion=(barrel, 0.0),
        )
        spots = visible_spots(place, pinhole, points, headings)
        if len(spots.points) < _ENOUGH_SPOTS or not _is_open(place, pinhole):
            continue
        if common is None or shared_share(spots, common) >= _LEAST_SHARED:
            return pinhole, spots
    return None


def shared_share(spots_a: Spots, spots_b: Spots) -> float:
    """Share of the spots that two cameras of one place both see, of those of whichever sees fewer; 0 to 1."""
    a, b = ({tuple(point) for point in spots.points} for spots in (spots_a, spots_b))
    return len(a & b) / max(min(len(a), len(b)), 1)


def _is_open(place: Place, pinhole: Pinhole) -> bool:
    """Whether little stands right before the lens."""
    small = pinhole.window(0, 0, pinhole.width, pinhole.height, 64, 48)
    return float((static_depth(place, small) < _TOO_NEAR).mean()) < _MOST_NEAR


def way_points(place: Place) -> tuple[Float64, Float64]:
    """All points of a place's ways and where they lead: (N, 2) float64 metres, (N,) float64 radians."""
    points = np.concatenate([way[1:-1] for way in place.ways])
    steps = np.concatenate([way[2:] - way[:-2] for way in place.ways])
    return points, np.arctan2(steps[:, 1], steps[:, 0])


def visible_spots(place: Place, pinhole: Pinhole, points: Float64, headings: Float64) -> Spots:
    """Those points at which a camera sees a person whole, large enough, and not behind something."""
    feet, depth = pinhole.project(np.column_stack([points, np.zeros(len(points))]))
    heads, _ = pinhole.project(np.column_stack([points, np.full(len(points), STATURE)]))
    heights = np.hypot(*(feet - heads).T)
    inside = depth > 1.0
    for ends in (feet, heads):
        # NaN, where the lens sees nothing, is not inside.
        inside &= (
            (ends[:, 0] > 0) & (ends[:, 0] < pinhole.width) & (ends[:, 1] > 0) & (ends[:, 1] < pinhole.height)
        )
    # Of a small picture, a seventh.
    inside &= heights >= min(_LEAST_HEIGHT, pinhole.height / 7)
    # Near the corners of wide pictures people lean; beyond this, detectors miss them.
    with np.errstate(invalid="ignore"):
        inside &= np.abs(np.arctan2(feet[:, 0] - heads[:, 0], feet[:, 1] - heads[:, 1])) < _MOST_LEAN
    seen = np.flatnonzero(inside)
    if len(seen):
        small = pinhole.window(
            0, 0, pinhole.width, pinhole.height, 160, round(160 * pinhole.height / pinhole.width)
        )
        surface = static_depth(place, small)
        votes = np.zeros(len(seen), dtype=np.int64)
        for level in (0.35, 1.0, 1.6):
            at, away = small.project(np.column_stack([points[seen], np.full(len(seen), level)]))
            column = np.clip(at[:, 0].astype(np.int64), 0, small.width - 1)
            row = np.clip(at[:, 1].astype(np.int64), 0, small.height - 1)
            votes += surface[row, column] > away - 0.3
        seen = seen[votes >= 2]
    return Spots(points[seen], headings[seen], heights[seen])


def metered(network: Network, camera: PlacedCamera, light: int, shadows: Shadows) -> SensorSettings:
    """The settings that a camera chooses at an hour, `light` by number, when `shadows` are in its place."""
    place, pinhole = network.places[camera.place], camera.pinhole
    small = pinhole.window(0, 0, pinhole.width, pinhole.height, 64, 48)
    picture = render(
        place.mesh, place.bank, small, network.lights[camera.place][light], shadows=shadows, samples=1
    )
    return camera.sensor.metered(picture.colour)


def static_depth(place: Place, pinhole: Pinhole) -> Float32:
    """(H, W) float32: how far the place's surfaces are along the view, infinite where there is sky."""
    return visible(place.mesh, place.bank, pinhole)[1]

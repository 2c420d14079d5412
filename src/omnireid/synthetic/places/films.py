"""Films of a camera network, with the truth about every frame.

A folder for each camera holds its film and, in the form of the MOT challenge, its truth; `world.json` says
how the cameras stand, and `site.yaml` is what `omnireid track --site` reads. Who is where is a pure function
of the seed, so every camera films by itself.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from rich.console import Console

from omnireid.core.arrays import UInt8
from omnireid.core.errors import InputError, MissingExtraError
from omnireid.core.files import write_text
from omnireid.core.machine import available_cores
from omnireid.core.seeds import numpy_generator
from omnireid.synthetic.optics.light import Shadows, cast_shadows
from omnireid.synthetic.optics.render import Rendered, render
from omnireid.synthetic.options import FilmOptions
from omnireid.synthetic.places.boxes import Box
from omnireid.synthetic.places.cast import cast
from omnireid.synthetic.places.network import Network, PlacedCamera, make_network, metered
from omnireid.synthetic.places.stage import Standing, box_of, draw_people, seen_share
from omnireid.synthetic.places.walks import Walks, plan_walks
from omnireid.synthetic.production import claim, finish, in_processes

VERSION = 1
FILM_NAME = "film.mp4"
# People whose box is smaller, or of whom less is in the picture, are not in the truth.
_LEAST_HEIGHT = 12
_LEAST_SHARE = 0.05
_NEAREST = 0.6
_FARTHEST = 45.0


@dataclass(frozen=True, slots=True)
class Appearance:
    """A person in a frame.

    Attributes:
        pid: from 1.
        box: of the whole body, though some of it may be hidden or beyond the picture; pixels.
        share: of the silhouette that is seen: neither hidden nor beyond the picture, 0 to 1.
        point: on the ground, metres. `heading`: radians.
    """

    pid: int
    box: Box
    share: float
    point: tuple[float, float]
    heading: float


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """`picture` is (H, W, 3) uint8 RGB; `appearances` in order of pid."""

    picture: UInt8
    appearances: tuple[Appearance, ...]


def film_network(options: FilmOptions) -> Network:
    """The places and cameras of films."""
    size, places = (options.width, options.height), options.num_places
    return make_network(
        options.seed, 0, options.num_cameras, num_places=places, size=size, overlap=options.overlap
    )


def film_walks(options: FilmOptions, network: Network) -> Walks:
    """Who is where while it is filmed."""
    return plan_walks(options.seed, network.places, options.num_people, options.minutes * 60)


def film(options: FilmOptions, camid: int) -> Iterator[Frame]:
    """What one camera sees, frame by frame; each is drawn when it is asked for.

    Args:
        camid: zero-based camera.

    Raises:
        InputError: no such camera.
    """
    if not 0 <= camid < options.num_cameras:
        raise InputError(f"camid: 0 to {options.num_cameras - 1}, got {camid}")
    network, walks = _world(options)
    camera = network.cameras[camid]
    place, hour = network.places[camera.place], _hour(options, network, camera)
    light = network.lights[camera.place][hour]
    ground = Shadows() if place.indoor else cast_shadows(place.mesh, place.bank, light, texel=0.03, sky=False)
    behind = render(place.mesh, place.bank, camera.pinhole, light, shadows=ground)
    settings = metered(network, camera, hour, ground)
    noise = numpy_generator(options.seed, "film", camid)
    for number in range(options.num_frames):
        people = _people_before(options, camera, walks, number / options.fps)
        standing = [person.standing for person in people]
        picture = draw_people(behind, camera.pinhole, light, ground, standing, samples=2)
        yield Frame(
            picture=camera.sensor.frame(picture.colour, settings, noise),
            appearances=tuple(_appearances(camera, picture, people)),
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Present:
    pid: int
    point: tuple[float, float]
    heading: float
    standing: Standing
    box: Box


@lru_cache(maxsize=1)
def _world(options: FilmOptions) -> tuple[Network, Walks]:
    network = film_network(options)
    return network, film_walks(options, network)


def _hour(options: FilmOptions, network: Network, camera: PlacedCamera) -> int:
    """All cameras of a place film at the same hour."""
    generator = numpy_generator(options.seed, "hour", camera.place)
    return int(generator.integers(len(network.lights[camera.place])))


def _people_before(
    options: FilmOptions, camera: PlacedCamera, walks: Walks, seconds: float
) -> list[_Present]:
    """Whom the lens may show at a moment, those with pids 1, 2, … in order."""
    pinhole = camera.pinhole
    people = []
    for number in range(walks.groups.size):
        moment = walks.at(number, seconds)
        if moment.place != camera.place:
            continue
        middle = pinhole.seen_from_here(np.array([[*moment.point, 0.9]]))[0]
        if not _NEAREST < middle[2] < _FARTHEST or abs(middle[0]) > 3.0 * middle[2] + 2.0:
            continue
        actor = cast(options.seed, "person", number + 1, 0)
        pose = actor.pose_of(moment)
        body = actor.stand(pose, moment.point, moment.heading, number + 1)
        box = box_of(pinhole, actor, body)
        if box is None or box.height < _LEAST_HEIGHT or not _overlaps(box, pinhole.width, pinhole.height):
            continue
        people.append(_Present(number + 1, moment.point, moment.heading, (actor, body), box))
    return people


def _overlaps(box: Box, width: int, height: int) -> bool:
    return box.left < width and box.top < height and box.left + box.width > 0 and box.top + box.height > 0


def _appearances(camera: PlacedCamera, picture: Rendered, people: list[_Present]) -> Iterator[Appearance]:
    for person in people:
        share = seen_share(picture, camera.pinhole, *person.standing, person.box)
        if share >= _LEAST_SHARE:
            yield Appearance(person.pid, person.box, share, person.point, person.heading)


def render_films(
    root: str | os.PathLike[str],
    options: FilmOptions = FilmOptions(),
    *,
    workers: int | None = None,
    console: Console | None = None,
) -> tuple[str, ...]:
    """Film a network into `root`, or complete what was interrupted there.

    Args:
        root: a new or empty folder, or one that holds these very films, whole or begun.
        workers: processes, one camera each at a time; None takes the cores available. With more than 1, a
            script must call this under `if __name__ == "__main__":`.
        console: where a progress bar is shown; None shows none.

    Returns:
        The films' paths in `root`, in order of camera.

    Raises:
        InputError: workers out of range.
        MissingExtraError: PyAV is not installed.
        DatasetError: `root` holds something else, or films of other options.
        StorageError: the disk is full or cannot be written.
    """
    _pyav()
    cores = available_cores()
    workers = cores if workers is None else workers
    if workers < 1:
        raise InputError(f"workers: at least 1, got {workers}")
    folder = Path(root)
    names = tuple(f"c{camid + 1}" for camid in range(options.num_cameras))
    if not claim(folder, {"renderer_version": VERSION, "options": asdict(options)}):
        network = film_network(options)
        write_text(folder / "world.json", json.dumps(_calibration(network, names), indent=2) + "\n")
        sources = {name: {"source": f"{name}/{FILM_NAME}"} for name in names}
        site = {"calibration": "world.json", "cameras": sources}
        write_text(folder / "site.yaml", yaml.safe_dump(site, sort_keys=False))
        begun = [camid for camid, name in enumerate(names) if not (folder / name / "seqinfo.ini").is_file()]
        in_processes(
            film_camera,
            [(str(folder), options, camid, names[camid]) for camid in begun],
            workers=min(workers, cores),
            console=console,
            title="Filming",
            total=len(begun) * options.num_frames,
        )
        finish(folder, _card(options))
    return tuple(f"{name}/{FILM_NAME}" for name in names)


def film_camera(folder: str, options: FilmOptions, camid: int, name: str) -> Iterator[int]:
    """Write one camera's film and truth; yields 1 for each frame. `seqinfo.ini` comes last."""
    av = _pyav()
    home = Path(folder) / name
    (home / "gt").mkdir(parents=True, exist_ok=True)
    rows = []
    sensor = _world(options)[0].cameras[camid].sensor
    with av.open(str(home / FILM_NAME), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(options.fps).limit_denominator(1001))
        stream.width, stream.height, stream.pix_fmt = options.width, options.height, "yuv420p"
        # One thread: with more, the bytes depend on how many there are.
        stream.thread_count = 1
        stream.options = {"crf": str(sensor.crf), "preset": "veryfast"}
        for number, frame in enumerate(film(options, camid), start=1):
            rows += [_gt_row(number, appearance) for appearance in frame.appearances]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame.picture, format="rgb24")))
            yield 1
        container.mux(stream.encode())
    write_text(home / "gt" / "gt.txt", "".join(rows))
    write_text(home / "seqinfo.ini", _seqinfo(options, name))


def _gt_row(number: int, appearance: Appearance) -> str:
    box = appearance.box
    # MOT counts pixels from 1. The last two are the place on the ground; most readers take nine columns.
    fields = (
        number, appearance.pid, f"{box.left + 1:.2f}", f"{box.top + 1:.2f}", f"{box.width:.2f}",
        f"{box.height:.2f}", 1, 1, f"{appearance.share:.3f}", f"{appearance.point[0]:.3f}",
        f"{appearance.point[1]:.3f}",
    )  # fmt: skip
    return ",".join(map(str, fields)) + "\n"


def _seqinfo(options: FilmOptions, name: str) -> str:
    return (
        f"[Sequence]\nname={name}\nimDir={FILM_NAME}\nframeRate={options.fps:g}\n"
        f"seqLength={options.num_frames}\n"
        f"imWidth={options.width}\nimHeight={options.height}\nimExt=.mp4\n"
    )


def _calibration(network: Network, names: tuple[str, ...]) -> dict[str, object]:
    """Where the cameras stand: x_camera = rotation · (x_world − position), pixels by OpenCV's model."""
    return {
        "units": "metres; z up, the ground at z = 0; pixel centres at .5",
        "places": [
            {"kind": place.kind, "length": place.ground.size[0], "width": place.ground.size[1]}
            for place in network.places
        ],
        "cameras": {
            name: {
                "place": camera.place,
                "position": camera.pinhole.position.tolist(),
                "rotation": camera.pinhole.rotation.tolist(),
                "focal": list(camera.pinhole.focal),
                "centre": list(camera.pinhole.centre),
                "distortion": list(camera.pinhole.distortion),
                "width": camera.pinhole.width,
                "height": camera.pinhole.height,
            }
            for name, camera in zip(names, network.cameras, strict=True)
        },
    }


def _card(options: FilmOptions) -> dict[str, object]:
    return {
        "name": "films of rendered people",
        "description": "Procedurally made pedestrians in places of three dimensions, as cameras see them.",
        "licence": "CC0-1.0",
        "people": "No real person is shown or was used. Results on this data say nothing about real people.",
        "layout": "one folder a camera: film.mp4, gt/gt.txt (MOT, with x and y on the ground), seqinfo.ini",
        "renderer_version": VERSION,
        "options": asdict(options),
    }


def _pyav() -> Any:
    try:
        import av
    except ImportError as error:
        raise MissingExtraError("films", "video") from error
    return av

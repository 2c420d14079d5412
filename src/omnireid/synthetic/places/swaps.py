"""People who change clothes, and strangers in the same clothes: a complete design for measuring both.

A group has two people and two sets of clothes (top and lower garment), and each person is seen in both, by
every camera of one network. What surrounds them is drawn anew for every picture.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from rich.console import Console

from omnireid.core.files import write_bytes
from omnireid.core.machine import available_cores
from omnireid.core.seeds import numpy_generator
from omnireid.synthetic.dress import Outfit, change_clothes, draw_dress_code, draw_outfit, put_on
from omnireid.synthetic.dress.outfit import BODY_FIELDS
from omnireid.synthetic.options import RenderOptions, SwapOptions
from omnireid.synthetic.people import Shape, draw_shape
from omnireid.synthetic.places.cast import actor_of
from omnireid.synthetic.places.crops import render_crop
from omnireid.synthetic.production import claim, finish, in_processes

VERSION = 1
_SUBJECTS = 1_000_000  # far from those of datasets: other surroundings than theirs
_TRIES = 50


@dataclass(frozen=True, slots=True)
class SwapPicture:
    """A picture, and which of its group's two people is seen in which of their clothes, by which camera."""

    path: str
    group: int
    person: int
    clothes: int
    camid: int


@dataclass(frozen=True, slots=True)
class Quartet:
    """Two people and two sets of clothes.

    Attributes:
        shapes: of the two people.
        outfits: person → clothes → what is worn; shoes and bags are drawn for each.
    """

    shapes: tuple[Shape, Shape]
    outfits: tuple[tuple[Outfit, Outfit], tuple[Outfit, Outfit]]


def draw_quartet(seed: int, group: int) -> Quartet:
    """Draw a group; its people are of one sex, so that either may wear the other's clothes."""
    generator = numpy_generator(seed, "quartet", group)
    code = draw_dress_code(numpy_generator(seed, "dress code of quartets", group))
    first = draw_shape(generator)
    second = draw_shape(generator)
    for _ in range(_TRIES):
        if (second.gender > 0.5) == (first.gender > 0.5) and (second.age < 14) == (first.age < 14):
            break
        second = draw_shape(generator)
    own = draw_outfit(generator, first, code)
    changed = change_clothes(generator, first, own, code)
    lent, lent_changed = (put_on(generator, second, clothes, code) for clothes in (own, changed))
    # `put_on` draws a new person each time; both times it is the same one.
    body = {name: getattr(lent.cut, name) for name in (*BODY_FIELDS, "glasses")}
    extras = replace(lent_changed.extras, glasses=lent.extras.glasses, shades=lent.extras.shades)
    cut = replace(lent_changed.cut, **body)
    again = replace(lent_changed, complexion=lent.complexion, cut=cut, extras=extras)
    return Quartet((first, second), ((own, changed), (lent, again)))


def render_swaps(
    root: str | os.PathLike[str],
    options: SwapOptions = SwapOptions(),
    *,
    workers: int | None = None,
    console: Console | None = None,
) -> tuple[SwapPicture, ...]:
    """Render the design into a folder, or complete one that was interrupted there.

    Raises:
        DatasetError: `root` holds something else, or a design of other options.
        StorageError: the disk is full or cannot be written.
    """
    folder = Path(root)
    pictures = tuple(_plan(folder, options))
    wanted: dict[str, object] = {"renderer_version": VERSION, "options": asdict(options)}
    if not claim(folder, wanted):
        missing = {picture.group for picture in pictures if not Path(picture.path).is_file()}
        arguments = [(str(folder), options, group) for group in sorted(missing)]
        cores = available_cores()
        in_processes(
            render_group,
            arguments,
            workers=min(workers or cores, cores),
            console=console,
            title="Rendering changed clothes",
            total=len(missing) * 4 * options.num_cameras,
        )
        finish(folder, {"name": "people who change clothes", "licence": "CC0-1.0", **wanted})
    return pictures


def render_group(folder: str, options: SwapOptions, group: int) -> Iterator[int]:
    """Render and write a group's pictures, one at a time; yields 1 for each."""
    quartet = draw_quartet(options.seed, group)
    look = RenderOptions(
        seed=options.seed,
        num_cameras=options.num_cameras,
        height=options.height,
        width=options.width,
        style="mesh",
    )
    pictures = [picture for picture in _plan(Path(folder), options) if picture.group == group]
    # Actors one after the other: each is built once.
    for person in (0, 1):
        for clothes in (0, 1):
            movement = numpy_generator(options.seed, "movement", group, person)
            actor = actor_of(movement, quartet.shapes[person], quartet.outfits[person][clothes])
            subject = _SUBJECTS + 4 * group + 2 * person + clothes
            for picture in pictures:
                if (picture.person, picture.clothes) == (person, clothes):
                    content = render_crop(look, subject, picture.camid, 0, actor=actor)
                    write_bytes(Path(picture.path), content, durable=False)
                    yield 1


def _plan(folder: Path, options: SwapOptions) -> Iterator[SwapPicture]:
    for group in range(options.num_groups):
        for person in (0, 1):
            for clothes in (0, 1):
                for camid in range(options.num_cameras):
                    name = f"{group:04d}_{'ab'[person]}{clothes + 1}_c{camid + 1}.jpg"
                    yield SwapPicture(str(folder / name), group, person, clothes, camid)

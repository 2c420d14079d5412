"""A contact sheet: some people of a dataset, a row each, by camera."""

from __future__ import annotations

import itertools
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from omnireid.core.cameras import camera_name
from omnireid.core.errors import ImageError, InputError
from omnireid.core.files import atomic_write
from omnireid.core.images import decode
from omnireid.core.seeds import numpy_generator
from omnireid.core.types import Dataset, Sample

WARNING = "These pictures may show real people: do not publish this sheet."

_CELL_HEIGHT = 144
_GAP = 6
_MARGIN = 16
_LABEL_WIDTH = 78
_CAPTION = 20
_HEADER = 56
_INK, _FAINT, _PAPER = (32, 32, 32), (110, 110, 110), (255, 255, 255)
# Okabe and Ito's colours, which people who see fewer colours tell apart too.
_CAMERA_COLOURS = (
    (0, 114, 178),
    (230, 159, 0),
    (0, 158, 115),
    (204, 121, 167),
    (86, 180, 233),
    (213, 94, 0),
    (240, 228, 66),
)


@dataclass(frozen=True, slots=True)
class SheetRow:
    """One person: "train" or "test", the pid, and pictures with their camids in camera order."""

    part: str
    pid: int
    pictures: tuple[tuple[int, str], ...]


def choose_rows(
    dataset: Dataset,
    *,
    seed: int = 0,
    num_people: int = 8,
    pictures_per_person: int = 10,
    distractors: frozenset[int] = frozenset(),
) -> list[SheetRow]:
    """Draw people, and pictures of each from as many cameras as there are.

    People seen by several cameras are preferred; half are of train and half of query and gallery, where
    there are both. The draw depends on the seed and on the dataset's names and pids alone.

    Raises:
        InputError: nothing to show.
    """
    if num_people < 1 or pictures_per_person < 1:
        raise InputError(f"nothing to show: {num_people} people, {pictures_per_person} pictures of each")
    parts = {"train": tuple(dataset.train), "test": (*dataset.query, *dataset.gallery)}
    people = {part: _by_person(samples, distractors) for part, samples in parts.items()}
    people = {part: cameras for part, cameras in people.items() if cameras}
    if not people:
        raise InputError(f"{dataset.root}: no person to show")
    rows = []
    for number, (part, pictures_of) in enumerate(people.items()):
        rng = numpy_generator(seed, "contact sheet", dataset.name, part)
        several = [pid for pid, cameras in pictures_of.items() if len(cameras) > 1]
        wanted = num_people // len(people) + (number < num_people % len(people))
        pids = sorted(several if len(several) >= wanted else pictures_of)
        chosen = rng.choice(len(pids), size=min(wanted, len(pids)), replace=False)
        for pid in sorted(pids[index] for index in chosen):
            drawn = _in_turns(pictures_of[pid], pictures_per_person, rng)
            rows.append(SheetRow(part, pid, tuple(drawn)))
    return rows


def _by_person(
    samples: tuple[Sample, ...], distractors: frozenset[int]
) -> dict[int, dict[int, dict[str, None]]]:
    """Pictures by pid and camid, each once, in order."""
    people: dict[int, dict[int, dict[str, None]]] = defaultdict(lambda: defaultdict(dict))
    for sample in samples:
        if sample.pid not in distractors:
            people[sample.pid][sample.camid].update(dict.fromkeys(sample.frames or (sample.path,)))
    return people


def _in_turns(
    cameras: dict[int, dict[str, None]], number: int, rng: np.random.Generator
) -> list[tuple[int, str]]:
    """Pictures taken from the cameras in turns, in the order of cameras and of the dataset."""
    shuffled = [
        [(camid, int(index)) for index in rng.permutation(len(paths))]
        for camid, paths in sorted(cameras.items())
    ]
    turns = itertools.chain.from_iterable(itertools.zip_longest(*shuffled))
    drawn = sorted(list(filter(None, turns))[:number])
    paths_of = {camid: list(paths) for camid, paths in cameras.items()}
    return [(camid, paths_of[camid][index]) for camid, index in drawn]


def draw_contact_sheet(
    dataset: Dataset,
    *,
    seed: int = 0,
    num_people: int = 8,
    pictures_per_person: int = 10,
    distractors: frozenset[int] = frozenset(),
) -> Image.Image:
    """Draw the people that `choose_rows` draws, labelled with pid and camid.

    Returns:
        RGB; pictures that cannot be decoded are grey boxes that say so.

    Raises:
        InputError: nothing to show.
    """
    rows = choose_rows(
        dataset,
        seed=seed,
        num_people=num_people,
        pictures_per_person=pictures_per_person,
        distractors=distractors,
    )
    pictures = {path: _open(path) for row in rows for _, path in row.pictures}
    ratios = [picture.width / picture.height for picture in pictures.values() if picture]
    width = round(_CELL_HEIGHT * float(np.clip(np.median(ratios or [0.5]), 0.3, 1.5)))
    across = max(len(row.pictures) for row in rows)
    row_height = _CELL_HEIGHT + _CAPTION + _GAP
    sheet = Image.new(
        "RGB",
        (
            max(2 * _MARGIN + _LABEL_WIDTH + across * (width + _GAP) - _GAP, 460),
            _HEADER + len(rows) * row_height + _MARGIN,
        ),
        _PAPER,
    )
    draw = ImageDraw.Draw(sheet)
    large, small = ImageFont.load_default(size=16), ImageFont.load_default(size=12)
    which = f", split {dataset.partition.index}" if dataset.partition else ""
    people = f"{len(rows)} people" if len(rows) > 1 else "one person"
    draw.text((_MARGIN, 10), f"{dataset.name}{which}: {people}, drawn with seed {seed}", _INK, large)
    draw.text((_MARGIN, 33), WARNING, _FAINT, small)
    for number, row in enumerate(rows):
        top = _HEADER + number * row_height
        draw.text((_MARGIN, top + 4), f"pid {row.pid}", _INK, large)
        draw.text((_MARGIN, top + 26), row.part, _FAINT, small)
        for column, (camid, path) in enumerate(row.pictures):
            left = _MARGIN + _LABEL_WIDTH + column * (width + _GAP)
            name = camera_name(camid, dataset.camera_names)
            _draw_cell(sheet, draw, pictures[path], (left, top, width), camid, name, small)
    return sheet


def save_contact_sheet(sheet: Image.Image, path: Path) -> None:
    """Write as PNG.

    Raises:
        StorageError: the file cannot be written.
    """
    with atomic_write(path) as stream:
        sheet.save(stream, "PNG")


def _open(path: str) -> Image.Image | None:
    try:
        return Image.fromarray(decode(path))
    except ImageError:
        return None


def _draw_cell(
    sheet: Image.Image,
    draw: ImageDraw.ImageDraw,
    picture: Image.Image | None,
    position: tuple[int, int, int],
    camid: int,
    name: str,
    font: ImageFont.ImageFont | ImageFont.FreeTypeFont,
) -> None:
    left, top, width = position
    bottom = top + _CELL_HEIGHT
    if picture is None:
        draw.rectangle((left, top, left + width - 1, bottom - 1), (225, 225, 225))
        draw.text((left + width / 2, top + _CELL_HEIGHT / 2), "unreadable", _FAINT, font, anchor="mm")
    else:
        scale = min(width / picture.width, _CELL_HEIGHT / picture.height)
        size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        # On the line where the camera's colour begins, whatever the shape.
        sheet.paste(
            picture.resize(size, Image.Resampling.BICUBIC), (left + (width - size[0]) // 2, bottom - size[1])
        )
    if camid >= 0:
        draw.rectangle((left, bottom, left + width - 1, bottom + 2), _CAMERA_COLOURS[camid % 7])
        draw.text((left + width / 2, bottom + 10), name, _FAINT, font, anchor="mm")

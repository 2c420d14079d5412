"""A gallery to try: rendered people who walked past the rendered cameras in the last days."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from omnireid.core.errors import InputError
from omnireid.core.files import write_bytes, write_text
from omnireid.core.images import decode
from omnireid.core.progress import progress_bar
from omnireid.data.datasets import read_dataset
from omnireid.data.loading import Reading
from omnireid.evaluation.calibration import Calibration, calibration_path
from omnireid.experiment.calibration import calibrate_labelled
from omnireid.gallery.gallery import Gallery
from omnireid.gallery.items import Item
from omnireid.inference.embedder import Embedder
from omnireid.inference.lookup import find_weights
from omnireid.inference.options import DEFAULT_MODEL
from omnireid.synthetic.crop import render_jpeg
from omnireid.synthetic.options import World
from omnireid.synthetic.visits import DAY_S, SeenCrop, camera_names, plan_visits

STATE_NAME = "demo.json"

# Nobody of the quick start's own people, whom the model and its calibration have seen.
FIRST_PID = 1001
NUM_STRANGERS = 3
NAMES = ("Ada", "Bo", "Cleo", "Dov", "Eli", "Fay", "Gus", "Hana", "Ivo", "Jun", "Kaja", "Lev")

_BATCH = 256


@dataclass(frozen=True, slots=True)
class Demo:
    """What `omnireid serve` needs, and pictures to search for.

    Attributes:
        pictures: folder of pictures that are not in the gallery: of people who are, and of strangers.
    """

    model: Path
    calibration: Path
    gallery: Path
    pictures: Path


def prepare_demo(
    out: str | os.PathLike[str],
    *,
    run: str | os.PathLike[str] | None,
    world: World,
    num_people: int = 60,
    num_days: int = 3,
    now: float,
    console: Console | None = None,
) -> Demo:
    """Fill a gallery with visits of people whom a model never saw: the one that ships, or the quick start's.

    Four fifths of the people are known by an identity, twelve of them by a name; the others have tracklets
    only. One person was enrolled as two, for somebody to merge. What is there already is kept, so the second
    call is quick, and an interrupted one goes on.

    Args:
        out: folder for the gallery and the pictures.
        run: folder of `omnireid run` on rendered people: model.safetensors and data/, by which the model is
            calibrated where it is not; None takes the weights that ship, and their calibration.
        world: the world that the run's people were rendered in; the demo's cameras are the same.
        now: Unix seconds; the visits end at the last midnight (UTC) before.

    Raises:
        InputError: `out` holds a demo of another model.
        WeightsError: no weights ship.
    """
    folder = Path(out)
    weights = find_weights(DEFAULT_MODEL) if run is None else Path(run) / "model.safetensors"
    embedder = Embedder.open(weights)
    calibration = calibration_path(weights)
    if run is not None and not calibration.is_file():
        people = read_dataset("market-layout", Path(run) / "data")
        calibrate_labelled(embedder, people, reading=Reading(console=console)).calibration.save(calibration)
    Calibration.load(calibration, embedder.sha256)
    demo = Demo(weights, calibration, folder / "gallery", folder / "try")
    wanted = {"model": embedder.sha256, "people": num_people, "days": num_days, "seed": world.seed}
    state = _state(folder, wanted, start=(now // DAY_S - num_days) * DAY_S)
    if not state["filled"]:
        _fill(demo, embedder, world, state, console)
        _write_pictures(demo.pictures, world, num_people)
        write_text(folder / STATE_NAME, json.dumps({**state, "filled": True}, indent=2) + "\n")
    return demo


def _state(folder: Path, wanted: dict[str, Any], start: float) -> dict[str, Any]:
    """What the folder holds, or a new state in it. The start stays: the same visits must keep their times."""
    file = folder / STATE_NAME
    if not file.is_file():
        state = {**wanted, "start": start, "filled": False}
        write_text(file, json.dumps(state, indent=2) + "\n")
        return state
    kept: dict[str, Any] = json.loads(file.read_text())
    other = [key for key, value in wanted.items() if kept.get(key) != value]
    if other:
        raise InputError(
            f"{folder}: holds a demo with another {', '.join(other)}; delete the folder, or choose another "
            "with --out"
        )
    return kept


def _fill(
    demo: Demo, embedder: Embedder, world: World, state: dict[str, Any], console: Console | None
) -> None:
    crops = plan_visits(world, first_pid=FIRST_PID, num_people=state["people"], num_days=state["days"])
    names, model = camera_names(world), embedder.ref
    with Gallery.open(str(demo.gallery), actor="demo") as gallery, progress_bar(console) as progress:
        task = progress.add_task("Filling the gallery", total=len(crops))
        for begin in range(0, len(crops), _BATCH):
            batch = crops[begin : begin + _BATCH]
            pictures = [render_jpeg(world, crop.pid, crop.camid, crop.index) for crop in batch]
            items = [
                Item(
                    camera=names[crop.camid],
                    time=state["start"] + crop.time,
                    identity=identity_of(crop, state["people"], state["days"]),
                    tracklet=crop.tracklet,
                    source=f"rendered/{crop.tracklet}/{crop.index:03d}.jpg",
                    thumbnail=picture,
                )
                for crop, picture in zip(batch, pictures, strict=True)
            ]
            embeddings = embedder.embed([decode(picture) for picture in pictures])
            gallery.enrol(items, embeddings, model=model)
            progress.advance(task, len(batch))
        known = sorted(
            {name for crop in crops if (name := identity_of(crop, state["people"], state["days"]))}
        )
        for identity, name in zip(known, NAMES, strict=False):
            gallery.name_identity(identity, name)


def identity_of(crop: SeenCrop, num_people: int, num_days: int) -> str | None:
    """The identity a crop is enrolled with: the truth, or what somebody has yet to find out."""
    number = crop.pid - FIRST_PID
    if number % 5 == 1:
        return None
    is_last_day = crop.time >= (num_days - 1) * DAY_S
    if number % 5 == 3 and is_last_day:
        return None
    if number == 0 and crop.camid % 2:
        return _identity(num_people)  # Ada, enrolled as somebody else by every other camera
    return _identity(number)


def _identity(number: int) -> str:
    return f"person-{number + 1:03d}"


def _write_pictures(folder: Path, world: World, num_people: int) -> None:
    """Pictures that no visit holds: of every tenth person by each camera in turn, and of strangers."""
    generator = np.random.default_rng(world.seed)
    for turn, number in enumerate(range(0, num_people, max(num_people // 6, 1))):
        picture = render_jpeg(world, FIRST_PID + number, turn % world.num_cameras, 10_000 + turn)
        write_bytes(folder / f"seen_{_identity(number)}.jpg", picture)
    for number in range(NUM_STRANGERS):
        camid = int(generator.integers(world.num_cameras))
        picture = render_jpeg(world, FIRST_PID + num_people + number, camid, 0)
        write_bytes(folder / f"stranger_{number + 1}.jpg", picture)

"""What the main job adds where people are rendered: times, a calibration, and pictures to try."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from omnireid.core.errors import InputError
from omnireid.core.files import write_bytes
from omnireid.core.types import Dataset, Split
from omnireid.data.loading import Reading
from omnireid.evaluation.calibration import Calibration, calibration_path
from omnireid.experiment.calibration import calibrate_labelled
from omnireid.inference.embedder import Embedder
from omnireid.synthetic.crop import render_jpeg
from omnireid.synthetic.dataset import render_dataset
from omnireid.synthetic.options import RenderOptions

# Enough people for the quick start to learn what to look at, few enough to render in half a minute.
QUICKSTART = RenderOptions(height=128, width=64)
MOST_CALIBRATION_PIDS = 800
_FOR_EACH_TEST_PID = 8
FRAMES_PER_S = 25


def timed(dataset: Dataset) -> Dataset:
    """The dataset with times in its gallery: seconds, from the frame numbers in the renderer's file names."""
    samples = []
    for sample in dataset.gallery:
        frame = re.search(r"s1_(\d{6})_", sample.path)
        samples.append(sample if frame is None else replace(sample, time=int(frame[1]) / FRAMES_PER_S))
    return replace(dataset, gallery=Split(dataset.gallery.name, tuple(samples)))


def calibrate_on_others(
    weights: Path,
    folder: Path,
    options: RenderOptions,
    *,
    device: str = "auto",
    threads: int | None = None,
    console: Console | None = None,
) -> Calibration:
    """Calibrate on people of the same world who were neither trained nor tested on, unless it is done.

    Args:
        weights: beside them the calibration is written.
        folder: gets `calibration/`, the pictures of these people, and `try/`, two pictures by two cameras of
            somebody who is in none of the datasets.
        options: What the dataset was rendered with.

    Raises:
        InputError: the model cannot tell these people apart.
    """
    others = replace(
        options,
        num_train_pids=0,
        num_test_pids=min(MOST_CALIBRATION_PIDS, _FOR_EACH_TEST_PID * options.num_test_pids),
        crops_per_camera=2,
        num_distractors=0,
        num_junk=0,
        first_pid=options.next_pid,
    )
    for number, camid in enumerate((0, options.num_cameras - 1), start=1):
        picture = render_jpeg(options.world, others.next_pid, camid, 0)
        write_bytes(folder / "try" / f"visitor_{number}.jpg", picture)
    embedder = Embedder.open(weights, device=device, threads=threads)
    target = calibration_path(weights)
    try:
        # Of a run that was resumed, perhaps the user's own.
        return Calibration.load(target, embedder.sha256)
    except InputError:
        # None, or of weights that are gone.
        target.unlink(missing_ok=True)
    people = render_dataset(folder / "calibration", others, console=console)
    calibration = calibrate_labelled(embedder, people, reading=Reading(console=console)).calibration
    calibration.save(target)
    return calibration

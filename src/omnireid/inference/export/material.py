"""What the parity gate compares on where the caller has little or nothing: crops and rendered people."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
from rich.console import Console

from omnireid.core.card import InputSpec
from omnireid.core.errors import InputError
from omnireid.core.machine import available_cores
from omnireid.core.progress import progress_bar
from omnireid.core.types import Dataset, Sample
from omnireid.data.loading import CropLoader
from omnireid.inference.backends.protocol import Crops
from omnireid.inference.export.parity import MIN_CALIBRATION, MIN_CROPS
from omnireid.inference.sources import collect_samples

_AT_ONCE = 64


def render_people(
    folder: str | os.PathLike[str], *, seed: int, calibrates: bool, console: Console | None = None
) -> Dataset:
    """Render a small labelled dataset into a folder: 256 pictures of 32 people in four cameras.

    To calibrate int8, twice as many people, and as many others in the train split.

    Raises:
        MissingExtraError: OpenCV is not installed.
    """
    from omnireid.synthetic.dataset import render_dataset
    from omnireid.synthetic.options import RenderOptions

    return render_dataset(
        folder,
        RenderOptions(
            seed=seed,
            num_train_pids=64 if calibrates else 0,
            num_test_pids=64 if calibrates else 32,
            crops_per_camera=2,
            num_distractors=0,
            num_junk=0,
        ),
        console=console,
    )


def choose_crops(
    source: str | Dataset, spec: InputSpec, *, calibrates: bool, console: Console | None = None
) -> tuple[Crops, str]:
    """Load the pictures to compare on, evenly from all that there are.

    Args:
        source: folder, pattern or manifest; or a dataset, of which the train split is taken to calibrate
            where it has enough, so that none of them is ranked later.
        calibrates: whether some of them are needed to calibrate int8.

    Returns:
        256 crops, to calibrate 288 to 512, of the card's size; and where they come from, for the proof.

    Raises:
        InputError: fewer pictures than that.
        ImageError: a picture that cannot be decoded.
    """
    wanted = MIN_CROPS * 2 if calibrates else MIN_CROPS
    least = MIN_CROPS + MIN_CALIBRATION if calibrates else MIN_CROPS
    if isinstance(source, str):
        samples: Sequence[Sample] = collect_samples(source)
        name = source
    elif calibrates and len(source.train) >= least:
        samples, name = source.train.samples, f"{source.name}, train"
    else:
        samples = (*source.query.samples, *source.gallery.samples)
        name = f"{source.name}, query and gallery"
    if len(samples) < least:
        to_what = "calibrate and compare on" if calibrates else "compare on"
        raise InputError(f"{name}: {len(samples)} pictures, and {least} are needed to {to_what}")
    wanted = min(wanted, len(samples))
    places = np.linspace(0, len(samples) - 1, wanted).round().astype(int)
    chosen = [samples[index] for index in places]
    loader = CropLoader(chosen, spec, threads=available_cores(), on_bad="error")
    parts = []
    with progress_bar(console) as progress:
        task = progress.add_task("loading crops", total=wanted)
        for batch in loader.load(
            range(start, min(start + _AT_ONCE, wanted)) for start in range(0, wanted, _AT_ONCE)
        ):
            parts.append(batch.crops)
            progress.advance(task, len(batch.crops))
    return np.concatenate(parts), f"{name}: {wanted} of {len(samples):,}"

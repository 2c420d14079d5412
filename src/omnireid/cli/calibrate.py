"""`omnireid calibrate`: what a model's scores mean, from labelled pictures or unlabelled tracklets."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated, Optional

import typer

from omnireid.cli import options
from omnireid.cli.console import stderr, stdout
from omnireid.cli.opening import open_embedder


class Whitening(str, Enum):
    NONE = "none"
    CENTRE = "centre"
    ZCA = "zca"


class CalibrationSplit(str, Enum):
    TEST = "test"
    TRAIN = "train"


def calibrate(
    model: options.Model,
    data: Annotated[
        Optional[str],  # noqa: UP045 (evaluated at run time, on Python 3.10 too)
        typer.Option("--data", help="Labelled dataset or layout; see 'omnireid data list'."),
    ] = None,
    root: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--root", help="Folder of the dataset, or the manifest file."),
    ] = None,
    tracklets: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            "--tracklets", help="Instead of --data: table of crops, or sequences in MOTChallenge format."
        ),
    ] = None,
    out: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--out", "-o", help="File to write; by default MODEL.calibration.json.", dir_okay=False),
    ] = None,
    false_alarm_rate: Annotated[
        Optional[list[float]],  # noqa: UP045
        typer.Option(
            "--false-alarm-rate",
            help="Share of pairs of two people that may be taken for one; may be given several times. "
            "By default 0.1, 0.01 and 0.001.",
        ),
    ] = None,
    miss_rate: Annotated[
        float,
        typer.Option("--miss-rate", help="Share of pairs of one person that may be taken for two."),
    ] = 0.05,
    whitening: Annotated[
        Whitening,
        typer.Option("--whitening", help="Spread a compressed range of scores; costs half of the people."),
    ] = Whitening.NONE,
    split: Annotated[
        CalibrationSplit,
        typer.Option("--split", help="Of --data: query and gallery, or train if the model never saw it."),
    ] = CalibrationSplit.TEST,
    frames: Annotated[
        int,
        typer.Option(
            "--frames", min=2, max=options.LARGEST, help="Of each tracklet, evenly over its length."
        ),
    ] = 8,
    max_pairs: Annotated[
        int,
        typer.Option(
            "--max-pairs", min=1_000, max=options.LARGEST, help="Pairs of two people to draw at most."
        ),
    ] = 500_000,
    protocol: options.Protocol = None,
    split_id: options.SplitId = None,
    no_check_counts: options.AnyCounts = False,
    extract: options.Extract = False,
    seed: options.Seed = 0,
    batch_size: options.BatchSize = 64,
    backend: options.BackendName = options.Backend.AUTO,
    device: options.Device = "auto",
    threads: options.Threads = None,
    on_bad: options.Bad = options.OnBad.ERROR,
) -> None:
    """Fit score → probability and thresholds for wanted false-alarm rates; write them beside the model.

    From labelled pictures (--data, --root), or from unlabelled tracklets (--tracklets): frames of one
    tracklet are the same person, tracklets seen together are different people. Never use pictures that the
    model was trained on.
    """
    from omnireid.core.errors import ConfigError
    from omnireid.data.datasets import read_dataset
    from omnireid.data.tracklets import read_tracklets
    from omnireid.evaluation.calibration import FALSE_ALARM_RATES, calibration_path
    from omnireid.experiment.calibration import (
        CalibrationOptions,
        calibrate_labelled,
        calibrate_tracklets,
    )
    from omnireid.inference.lookup import find_weights
    from omnireid.report.calibration import calibration_lines, write_calibration_page

    if (data is None) == (tracklets is None) or (data is None) != (root is None):
        raise ConfigError("give either --data and --root, or --tracklets")
    if tracklets is None:
        options.refuse("without --tracklets", "frames")
    else:
        options.refuse("with --tracklets", "split", "protocol", "split_id")
    wanted = CalibrationOptions(
        false_alarm_rates=tuple(false_alarm_rate or FALSE_ALARM_RATES),
        miss_rate=miss_rate,
        whitening=whitening.value,
        max_pairs=max_pairs,
        seed=seed,
    )
    weights = find_weights(model)
    target = out or calibration_path(weights)
    # Read before the model is opened: a wrong path should not cost that time.
    found = read_tracklets(tracklets) if tracklets is not None else ()
    dataset = None
    if data is not None and root is not None:
        dataset = read_dataset(
            data,
            root,
            check_counts=not no_check_counts,
            protocol=protocol.value if protocol else None,
            split_id=options.one_split(split_id),
            extract=extract,
            console=stderr,
        )
    embedder = open_embedder(
        weights, backend=backend.value, device=device, threads=threads, batch_size=batch_size
    )
    if dataset is not None:
        run = calibrate_labelled(
            embedder, dataset, wanted, split=split.value, on_bad=on_bad.value, console=stderr
        )
    else:
        run = calibrate_tracklets(
            embedder,
            found,
            wanted,
            source=str(tracklets),
            num_frames=frames,
            on_bad=on_bad.value,
            console=stderr,
        )
    for file in run.skipped:
        stderr.print(f"skipped {file.path}: {file.reason}")
    page = target.with_name(target.name.removesuffix(".json") + ".html")
    write_calibration_page(page, run.calibration, run.histogram)
    run.calibration.save(target)
    if run.calibration.whitening is not None:
        stderr.print(
            "note: a whitening fits the cameras it was made from; with others its thresholds may be far off "
            "(docs/guides/deciding/tracklets.md)",
        )
    for line in calibration_lines(run.calibration.record):
        stdout.print(line)
    stdout.print(f"calibration: {target}\npage:        {page}")

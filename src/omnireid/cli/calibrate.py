"""`omnireid calibrate`: what a model's scores mean, from labelled pictures or unlabelled tracklets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from omnireid.cli import options
from omnireid.cli.console import stderr, stdout
from omnireid.cli.opening import open_embedder
from omnireid.evaluation.options import (
    FRAMES_PER_TRACKLET,
    CalibrationOptions,
    CalibrationSplit,
    WhiteningChoice,
)


@dataclass(frozen=True)
class FitOptions(CalibrationOptions):
    """What is fitted."""

    false_alarm_rates: Annotated[
        list[float],
        typer.Option(
            "--false-alarm-rate",
            help="Share of pairs of two people that may be taken for one; may be given several times.",
        ),
    ] = CalibrationOptions.false_alarm_rates  # type: ignore[assignment]
    miss_rate: Annotated[
        float, typer.Option("--miss-rate", help="Share of pairs of one person that may be taken for two.")
    ] = CalibrationOptions.miss_rate
    whitening: Annotated[
        WhiteningChoice,
        typer.Option("--whitening", help="Spread a compressed range of scores; costs half of the people."),
    ] = CalibrationOptions.whitening
    max_pairs: Annotated[
        int,
        typer.Option(
            "--max-pairs", min=1_000, max=options.LARGEST, help="Pairs of two people to draw at most."
        ),
    ] = CalibrationOptions.max_pairs
    seed: options.Seed = CalibrationOptions.seed


def calibrate(
    model: options.Model,
    data: Annotated[str | None, options.DATA] = None,
    root: Annotated[Path | None, options.ROOT] = None,
    tracklets: Annotated[
        Path | None,
        typer.Option(
            "--tracklets", help="Instead of --data: table of crops, or sequences in MOTChallenge format."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="File to write; by default MODEL.calibration.json.", dir_okay=False),
    ] = None,
    fit: FitOptions = FitOptions(),
    split: Annotated[
        CalibrationSplit,
        typer.Option("--split", help="Of --data: query and gallery, or train if the model never saw it."),
    ] = "test",
    frames: Annotated[
        int,
        typer.Option(
            "--frames", min=2, max=options.LARGEST, help="Of each tracklet, evenly over its length."
        ),
    ] = FRAMES_PER_TRACKLET,
    reading: options.ScoredDatasetOptions = options.ScoredDatasetOptions(),
    engine: options.BatchEngineOptions = options.BatchEngineOptions(),
    on_bad: options.Bad = "error",
) -> None:
    """Fit score → probability and thresholds for wanted false-alarm rates; write them beside the model.

    From labelled pictures (--data, --root), or from unlabelled tracklets (--tracklets): frames of one
    tracklet are the same person, tracklets seen together are different people. Never use pictures that the
    model was trained on.
    """
    from omnireid.core.errors import ConfigError
    from omnireid.data.loading import Reading
    from omnireid.data.tracklets import read_tracklets
    from omnireid.evaluation.calibration import calibration_path
    from omnireid.experiment.calibration import (
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
    weights = find_weights(model)
    target = out or calibration_path(weights)
    # Read before the model is opened: a wrong path should not cost that time.
    found = read_tracklets(tracklets) if tracklets is not None else ()
    dataset = None
    if data is not None and root is not None:
        dataset = reading.read(data, root)
    embedder = open_embedder(weights, engine)
    pictures = Reading(on_bad=on_bad, console=stderr)
    if dataset is not None:
        run = calibrate_labelled(embedder, dataset, fit, split=split, reading=pictures)
    else:
        run = calibrate_tracklets(
            embedder,
            found,
            fit,
            source=str(tracklets),
            num_frames=frames,
            reading=pictures,
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

"""`omnireid calibrate`: what a model's scores mean, from labelled pictures or unlabelled tracklets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from omnireid.cli import options
from omnireid.cli.console import stderr, stdout
from omnireid.core.errors import ConfigError
from omnireid.evaluation.options import (
    FRAMES_PER_TRACKLET,
    CalibrationOptions,
    CalibrationSplit,
    WhiteningChoice,
)
from omnireid.inference.options import DEFAULT_MODEL


@dataclass(frozen=True)
class FitOptions(CalibrationOptions):
    """What is fitted."""

    false_alarm_rates: Annotated[
        list[float],
        typer.Option(
            "--false-alarm-rate",
            help="Share of pairs of two people that may be taken for one; may be given several times.",
        ),
    ] = CalibrationOptions.false_alarm_rates  # type: ignore[assignment]  # Typer repeats lists; `App` freezes them
    miss_rate: Annotated[
        float, typer.Option(help="Share of pairs of one person that may be taken for two.")
    ] = CalibrationOptions.miss_rate
    whitening: Annotated[
        WhiteningChoice, typer.Option(help="Spread a compressed range of scores; costs half of the people.")
    ] = CalibrationOptions.whitening
    max_pairs: Annotated[
        int, typer.Option(min=1_000, max=options.LARGEST, help="Pairs of two people to draw at most.")
    ] = CalibrationOptions.max_pairs
    seed: options.Seed = CalibrationOptions.seed


def calibrate(
    model: options.Model = DEFAULT_MODEL,
    data: Annotated[str | None, options.DATA] = None,
    root: Annotated[Path | None, options.ROOT] = None,
    tracklets: Annotated[
        Path | None,
        typer.Option(help="Instead of --data: table of crops, or sequences in MOTChallenge format."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="File to write; by default MODEL.calibration.json.", dir_okay=False),
    ] = None,
    fit: FitOptions = FitOptions(),
    split: Annotated[
        CalibrationSplit,
        typer.Option(help="Of --data: query and gallery, or train if the model never saw it."),
    ] = "test",
    frames: Annotated[
        int, typer.Option(min=2, max=options.LARGEST, help="Of each tracklet, evenly over its length.")
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
    from omnireid.data.loading import Reading
    from omnireid.experiment.calibration import calibrate as calibrate_model
    from omnireid.report.calibration import calibration_lines

    if (data is None) == (tracklets is None) or (data is None) != (root is None):
        raise ConfigError("give either --data and --root, or --tracklets")
    if tracklets is None:
        options.refuse("without --tracklets", "frames")
    else:
        options.refuse("with --tracklets", "split", "protocol", "split_id")
    source = tracklets if data is None or root is None else reading.read(data, root)
    assert source is not None
    done = calibrate_model(
        model,
        source,
        out,
        fit,
        split=split,
        num_frames=frames,
        engine=engine,
        reading=Reading(on_bad=on_bad, console=stderr),
    )
    for file in done.run.skipped:
        stderr.print(f"skipped {file.path}: {file.reason}")
    calibration = done.run.calibration
    if calibration.whitening is not None:
        stderr.print(
            "note: a whitening fits the cameras it was made from; with others its thresholds may be far off "
            "(docs/guides/deciding/tracklets.md)",
        )
    for line in calibration_lines(calibration.record):
        stdout.print(line)
    stdout.print(f"calibration: {done.file}\npage:        {done.page}")

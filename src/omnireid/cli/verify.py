"""`omnireid verify`: do two pictures show the same person?"""

from __future__ import annotations

from typing import Annotated

import typer

from omnireid.cli import options
from omnireid.cli.console import stderr, stdout
from omnireid.cli.opening import open_embedder


def verify(
    first: Annotated[str, typer.Argument(help="Picture of a person.")],
    second: Annotated[str, typer.Argument(help="Another picture of a person.")],
    model: options.Model,
    calibration: options.CalibrationFile = None,
    false_alarm_rate: Annotated[
        float | None,
        typer.Option(
            "--false-alarm-rate",
            help="One that was calibrated; by default the lowest that could be measured.",
        ),
    ] = None,
    prior: Annotated[
        float | None,
        typer.Option("--prior", help="Share of such pairs that are of one person; by default one half."),
    ] = None,
    engine: options.EngineOptions = options.EngineOptions(),
) -> None:
    """Score two pictures; with a calibration also say how probable, decide, and name the error behind it."""
    from omnireid.core.errors import ConfigError
    from omnireid.core.images import decode
    from omnireid.core.vectors import unit_rows
    from omnireid.evaluation.calibration import Calibration, calibration_path, find_calibration
    from omnireid.evaluation.whitening import unit_cosines
    from omnireid.inference.lookup import find_weights
    from omnireid.report.calibration import verification_lines

    weights = find_weights(model)
    calibration = find_calibration(weights, calibration)
    if calibration is None and options.given("false_alarm_rate", "prior"):
        raise ConfigError(
            f"without a calibration there is only a score; --false-alarm-rate and --prior need one. "
            f"{calibration_path(weights).name} does not exist: run 'omnireid calibrate --model {model} …'"
        )
    crops = [decode(first), decode(second)]
    embedder = open_embedder(weights, engine)
    known = None if calibration is None else Calibration.load(calibration, embedder.sha256)
    rows = embedder.embed(crops)
    a, b = unit_rows(rows) if known is None else known.transform(rows)
    score = float(unit_cosines(a[None], b)[0])
    if known is None:
        stdout.print(f"score        {score:.4f} (cosine similarity; 1 is identical)")
        stderr.print(
            "no calibration: what this score means for this model is not known. "
            f"Make one: omnireid calibrate --model {model} …",
        )
        return
    for line in verification_lines(known, score, rate=false_alarm_rate, prior=prior):
        stdout.print(line)
    stdout.print(f"calibration  {calibration}")

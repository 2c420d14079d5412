"""`omnireid verify`: do two pictures show the same person?"""

from __future__ import annotations

from typing import Annotated

import typer

from omnireid.cli import options
from omnireid.cli.console import stderr, stdout
from omnireid.inference.options import DEFAULT_MODEL


def verify(
    first: Annotated[str, typer.Argument(help="Picture of a person.")],
    second: Annotated[str, typer.Argument(help="Another picture of a person.")],
    model: options.Model = DEFAULT_MODEL,
    calibration: options.CalibrationFile = None,
    false_alarm_rate: Annotated[
        float | None,
        typer.Option(help="One that was calibrated; by default the lowest that could be measured."),
    ] = None,
    prior: Annotated[
        float | None, typer.Option(help="Share of such pairs that are of one person; by default one half.")
    ] = None,
    engine: options.EngineOptions = options.EngineOptions(),
) -> None:
    """Score two pictures; with a calibration also say how probable, decide, and name the error behind it."""
    from omnireid.experiment.verification import verify as verify_pair
    from omnireid.report.calibration import verification_lines

    answer = verify_pair(
        first,
        second,
        model,
        calibration=calibration,
        false_alarm_rate=false_alarm_rate,
        prior=prior,
        engine=engine,
        console=stderr,
    )
    if answer.calibration is None:
        stdout.print(f"score        {answer.score:.4f} (cosine similarity; 1 is identical)")
        stderr.print(
            "no calibration: what this score means for this model is not known. "
            f"Make one: omnireid calibrate --model {model} …",
        )
        return
    for line in verification_lines(answer.calibration, answer.score, rate=false_alarm_rate, prior=prior):
        stdout.print(line)
    stdout.print(f"calibration  {answer.file}")

"""Do two pictures show the same person?"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from omnireid.core.display import short_repr
from omnireid.core.errors import ConfigError
from omnireid.core.images import decode
from omnireid.core.vectors import unit_rows
from omnireid.evaluation.calibration import EVEN, Calibration, Decision, calibration_path, find_calibration
from omnireid.evaluation.whitening import unit_cosines
from omnireid.experiment.opening import open_model
from omnireid.inference.lookup import find_weights
from omnireid.inference.options import Engine


@dataclass(frozen=True)
class Verification:
    """What a model says of two pictures. Without a calibration there is only the score.

    Attributes:
        score: Cosine similarity, 1 where they are identical; whitened first where the calibration says so.
        probability: That both show one person.
        decision: At the wanted false-alarm rate.
        calibration: What the score's meaning comes from, and `file`, where it lies.
    """

    score: float
    probability: float | None = None
    decision: Decision | None = None
    calibration: Calibration | None = None
    file: Path | None = None

    __repr__ = short_repr


def verify(
    first: str | os.PathLike[str],
    second: str | os.PathLike[str],
    model: str | os.PathLike[str],
    *,
    calibration: str | os.PathLike[str] | None = None,
    false_alarm_rate: float | None = None,
    prior: float | None = None,
    engine: Engine = Engine(),
    console: Console | None = None,
) -> Verification:
    """Score two pictures; with a calibration also say how probable it is, and decide.

    Args:
        first, second: Pictures of a person each.
        model: A model file, or the name of pulled weights.
        calibration: By default the file beside the model, where there is one.
        false_alarm_rate: One that was calibrated; by default the lowest that could be measured.
        prior: Share of such pairs that are of one person; by default one half.
        engine: What runs the model.
        console: Where remarks on the model are shown.

    Raises:
        ConfigError: A rate or a prior, and no calibration.
        ImageError, WeightsError, InputError: A picture, the model or the calibration is of no use.
    """
    weights = find_weights(model)
    file = find_calibration(weights, calibration)
    if file is None and (false_alarm_rate is not None or prior is not None):
        raise ConfigError(
            "without a calibration there is only a score; a false-alarm rate and a prior need one. "
            f"{calibration_path(weights).name} does not exist: run 'omnireid calibrate --model {model} …'"
        )
    crops = [decode(first), decode(second)]
    embedder = open_model(weights, engine, console=console)
    known = None if file is None else Calibration.load(file, embedder.sha256)
    rows = embedder.embed(crops)
    a, b = unit_rows(rows) if known is None else known.transform(rows)
    score = float(unit_cosines(a[None], b)[0])
    if known is None:
        return Verification(score)
    return Verification(
        score,
        float(known.probability(score, prior=EVEN if prior is None else prior)),
        known.decide(score, rate=false_alarm_rate),
        known,
        file,
    )

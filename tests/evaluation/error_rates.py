"""What a threshold does to pairs of people that it was not chosen on."""

from __future__ import annotations

from omnireid.core.arrays import Float64
from omnireid.core.errors import InputError
from omnireid.evaluation.calibration_pairs import CalibrationPairs
from omnireid.evaluation.thresholds import NUM_RESAMPLES, ErrorKind, _People


def error_rate(
    error: ErrorKind, scores: Float64, pairs: CalibrationPairs, threshold: float, *, seed: int = 0
) -> tuple[float, tuple[float, float]]:
    """Rate of one kind of error at a given threshold and its 95 % interval, on people of whatever choice.

    Args:
        error: what is counted.
        scores: (P,) float64 similarity of each pair.
        threshold: a pair is taken for one person from this score on.

    Raises:
        InputError: there is no pair of that kind.
    """
    chosen = pairs.same == (error == "miss")
    if not chosen.any():
        raise InputError(f"{error} rate: no pairs to count it on")
    is_error = scores[chosen] < threshold if error == "miss" else scores[chosen] >= threshold
    people = _People(pairs.select(chosen), error)
    drawn = [float(weights @ is_error) for weights in people.resampled(seed, NUM_RESAMPLES)]
    observed = float(is_error.mean())
    return observed, people.interval(observed, drawn)

"""Ours against the published code's results: equal bytes without chance, equal statistics with it.

The reference is made by benchmarks/corruption_reference.py; benchmarks/corruption_fidelity.py is the full
comparison, whose table is in docs/benchmarks/corruptions.md. This one takes fewer crops and draws.
"""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from omnireid.core.images import Crop
from omnireid.core.seeds import numpy_generator
from omnireid.robustness.corruptions import corrupt
from omnireid.robustness.suite import CORRUPTIONS, SEVERITIES

# Draws per crop: the more a draw moves the picture's statistics, the more.
DRAWS = {
    "gaussian_noise": 4,
    "shot_noise": 4,
    "impulse_noise": 4,
    "speckle_noise": 4,
    "glass_blur": 6,
    "motion_blur": 40,
    "snow": 16,
    "frost": 40,
    "fog": 40,
    "spatter": 40,
    "rain": 16,
    "elastic_transform": 8,
}
WITHOUT_CHANCE = [name for name in CORRUPTIONS if name not in DRAWS]


def measure(crop: Crop) -> tuple[float, float, float]:
    levels = crop.astype(np.float64)
    gradient = np.mean(np.diff(levels, axis=0) ** 2) + np.mean(np.diff(levels, axis=1) ** 2)
    return float(levels.mean()), float(levels.std()), float(gradient)


@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize("name", WITHOUT_CHANCE)
def test_without_chance_every_byte_is_the_published_one(
    name: str, severity: int, crops: list[Crop], reference
) -> None:
    found = hashlib.sha256()
    for crop in crops:
        found.update(corrupt(crop, name, severity, np.random.default_rng(0)).tobytes())
    if found.hexdigest() != reference.sha256[f"{name}-{severity}"]:
        # The next best: the same statistics, for another build of OpenCV or libjpeg.
        expected = reference.statistics(name, severity)[0]
        values = [measure(corrupt(crop, name, severity, np.random.default_rng(0))) for crop in crops]
        np.testing.assert_allclose(np.mean(values, axis=0), expected.mean(axis=0), rtol=2e-4)
        pytest.fail("other bytes than the published code's, with the same statistics")


class GivenAngle(np.random.Generator):
    """Draws the angle that it was made with."""

    def __init__(self, angle: float) -> None:
        super().__init__(np.random.PCG64(0))
        self.angle = angle

    def uniform(self, low: float, high: float) -> float:  # type: ignore[override]
        assert (low, high) == (-45, 45)
        return self.angle


@pytest.mark.parametrize("severity", SEVERITIES)
def test_motion_blur_by_a_given_angle_is_the_published_one(
    severity: int, crops: list[Crop], reference
) -> None:
    keys = [key for key in reference.sha256 if key.startswith(f"motion_blur-{severity}-")]
    assert len(keys) == 7
    for key in keys:
        rng = GivenAngle(float(key.removeprefix(f"motion_blur-{severity}-")))
        found = b"".join(corrupt(crop, "motion_blur", severity, rng).tobytes() for crop in crops)
        assert hashlib.sha256(found).hexdigest() == reference.sha256[key], key


@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize("name", DRAWS)
def test_with_chance_the_statistics_are_the_published_ones(
    name: str, severity: int, crops: list[Crop], reference
) -> None:
    chosen = range(0, len(crops), 6)
    draws = np.array(
        [
            [measure(corrupt(crops[number], name, severity, rng)) for _ in range(DRAWS[name])]
            for number in chosen
            for rng in [numpy_generator(1, name, severity, number)]
        ]
    )
    halves = reference.statistics(name, severity)[:, list(chosen)]
    expected = halves.mean(axis=(0, 1))
    # Standard errors of both means, from the scatter of our draws.
    variance = draws.var(axis=1, ddof=1).mean(axis=0) / len(chosen)
    error = np.sqrt(variance / DRAWS[name] + variance / (2 * reference.draws[name]))
    difference = np.abs(draws.mean(axis=(0, 1)) - expected)
    # Only frost's overlays are other pictures than the published ones.
    tolerance = 0.008 if name == "frost" else 0.002
    assert (difference < tolerance * expected + 3.5 * error).all(), difference / expected

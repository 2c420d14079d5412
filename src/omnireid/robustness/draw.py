"""Which corruption a picture gets, and with which random numbers: a function of seed, round and key.

So a result does not change with workers, order or machine, and nothing needs to be stored. The published
protocol draws afresh at every evaluation: that is another seed, taken from the system and kept in the record.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from omnireid.core.images import Crop
from omnireid.core.seeds import derive_seed, numpy_generator
from omnireid.robustness.corruptions import corrupt
from omnireid.robustness.suite import CORRUPTIONS, SEVERITIES


@dataclass(frozen=True, slots=True)
class Draw:
    """One of the twenty corruptions at one of the five severities."""

    name: str
    severity: int


def fresh_seed() -> int:
    """A 63-bit seed from the system: the published protocol's fresh draw, in a form that can be repeated."""
    return secrets.randbits(63)


def draw(seed: int, round: int, key: str) -> Draw:
    """Corruption and severity of one picture in one round, uniform over the 20 × 5.

    Args:
        seed: seed of the evaluation.
        round: 0, 1, 2, … of the evaluations that are averaged.
        key: the picture's path relative to the dataset's root, with forward slashes, so that every machine
            calls it the same.

    Source: Chen et al., arXiv 2111.00880 (both drawn uniformly and independently for every picture).
    """
    # 63 bits: the remainder favours no cell by more than 1e-17.
    cell = derive_seed(seed, "corruption", round, key) % (len(CORRUPTIONS) * len(SEVERITIES))
    return Draw(CORRUPTIONS[cell // len(SEVERITIES)], SEVERITIES[cell % len(SEVERITIES)])


def corrupt_sample(crop: Crop, key: str, *, seed: int, round: int, draw: Draw | None = None) -> Crop:
    """Corrupt one picture of a dataset; depends on the picture and (seed, round, key) alone.

    Args:
        crop: (H, W, 3) uint8 RGB at its native size, before resizing; not changed.
        key, seed, round: as in `draw`.
        draw: this corruption and severity instead of the drawn one, for a table of each of them.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        InputError, ShapeError, MissingExtraError: as `corrupt`.
    """
    chosen = draw or _draw(seed, round, key)
    rng = numpy_generator(seed, "pixels", round, key, chosen.name, chosen.severity)
    return corrupt(crop, chosen.name, chosen.severity, rng)


_draw = draw  # corrupt_sample's argument hides the function

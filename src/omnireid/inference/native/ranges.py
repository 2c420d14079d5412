"""int8: what the bytes of maps stand for, by channel, and weights in bytes that know of it.

A map that is stored has no value below 0, because a ReLU made it, so that a byte is a whole number of the
channel's unit, without a zero point. Units cost nothing while a network runs: what reads a map has them in
its weights, and what writes one in its bias and in what sums are multiplied by. Weights are signed bytes,
each output with its own factor.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from omnireid.core.arrays import Float64
from omnireid.core.errors import WeightsError

_MOST = 255
_MOST_OF_A_WEIGHT = 127
_SMALLEST_SHARE = 0.4  # of the largest channel's unit: few crops do not show all that a quiet channel may do
_HEADROOM = 1.2  # above what was seen: what is cut off costs far more than coarser steps

_EXPORT = "omnireid export --format safetensors --precision int8"


@dataclass(frozen=True)
class Range:
    """What was seen in one map, by channel, (C,): the largest values and the means."""

    high: Float64
    mean: Float64


Ranges = Mapping[str, Range]
"""Of all maps that a network keeps. They have the names of `FusedOSNet`'s modules that give them; the maximum
after the 7×7 is "stem", the sum of a block's gated streams "….gate"."""


def from_header(stored: Mapping[str, tuple[list[float], list[float]]], *, source: object) -> dict[str, Range]:
    """Ranges as the header of a weight file holds them.

    Raises:
        WeightsError: They are something else; names the source.
    """
    try:
        ranges = {name: Range(*np.array(seen, np.float64)) for name, seen in stored.items()}
        if all(seen.high.ndim == 1 and seen.high.size and _is_usable(seen) for seen in ranges.values()):
            return ranges
    except (AttributeError, TypeError, ValueError):
        pass
    raise WeightsError(f"{source}: the ranges in its header are damaged; write it again: {_EXPORT}")


def _is_usable(seen: Range) -> bool:
    return bool(np.isfinite(seen.high).all() and np.isfinite(seen.mean).all() and (seen.high >= 0).all())


@dataclass(frozen=True)
class Scale:
    """Channels of a map, padded, (C,): what 1 of a byte stands for, and the mean value."""

    unit: Float64
    mean: Float64

    def and_then(self, other: Scale) -> Scale:
        """Channels of two maps, one after the other."""
        return Scale(np.concatenate([self.unit, other.unit]), np.concatenate([self.mean, other.mean]))


def scale_of(seen: Range, channels: int) -> Scale:
    """The scale of a map, padded to `channels`."""
    high = np.maximum(seen.high, _SMALLEST_SHARE * seen.high.max())
    more = channels - len(high)
    unit = np.where(high > 0, _HEADROOM * high, 1.0) / _MOST
    return Scale(np.pad(unit, (0, more), constant_values=1.0), np.pad(seen.mean, (0, more)))


def to_bytes(weight: Float64, scale: Scale) -> tuple[npt.NDArray[np.int8], Float64, Float64]:
    """(O, runs, length) weights for inputs of a scale.

    Returns:
        The weights in signed bytes; (O,) what 1 of a sum stands for; (O,) what sums lose by rounding where
        inputs have their means, to be given back by the bias.
    """
    scaled = weight * scale.unit
    factor = np.abs(scaled).max(axis=(1, 2)) / _MOST_OF_A_WEIGHT
    factor = np.where(factor > 0, factor, 1.0)
    whole = np.rint(scaled / factor[:, None, None])
    lost = weight - whole * factor[:, None, None] / scale.unit
    return whole.astype(np.int8), factor, np.asarray((lost * scale.mean).sum(axis=(1, 2)))

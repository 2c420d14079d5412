"""Which frames of a tracklet are looked at, and tracklets taken apart into pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from omnireid.core.arrays import Int64
from omnireid.core.errors import InputError, UnknownNameError
from omnireid.core.types import Sample, Split

Sampling = Literal["evenly", "random", "all"]
Pooling = Literal["mean", "max"]


@dataclass(frozen=True, slots=True)
class FrameSampling:
    """How a tracklet becomes one embedding. The defaults are those of torchreid.

    Attributes:
        num_frames: frames looked at; "all" has no use for it.
        sampling: see `sample_frames`.
        pooling: what is taken over the frames' embeddings, value by value, before any normalisation.

    Raises:
        InputError: less than one frame.
        UnknownNameError: an unknown sampling or pooling.
    """

    num_frames: int = 15
    sampling: Sampling = "evenly"
    pooling: Pooling = "mean"

    def __post_init__(self) -> None:
        _check(self.num_frames, self.sampling)
        if self.pooling not in get_args(Pooling):
            raise UnknownNameError("pooling", self.pooling, get_args(Pooling))

    def __str__(self) -> str:
        """For records: "15 evenly, mean"."""
        frames = "all" if self.sampling == "all" else f"{self.num_frames} {self.sampling}"
        return f"{frames}, {self.pooling}"


def sample_frames(
    num_available: int,
    num_frames: int = 15,
    how: Sampling = "evenly",
    rng: np.random.Generator | None = None,
) -> Int64:
    """Choose frames of a tracklet, in ascending order.

    - "evenly": every s-th frame from the first, s = num_available // num_frames; the remainder at the end
      stays out. A tracklet that is shorter gives all its frames, then its last one until there are enough.
    - "random": drawn without replacement; with replacement where the tracklet is shorter.
    - "all": every frame, whatever `num_frames`.

    Example: 35 frames, 15 wanted: 0, 2, 4, …, 28. Three frames, five wanted: 0, 1, 2, 2, 2.

    Args:
        num_available: frames of the tracklet.
        num_frames: how many to choose.
        rng: what "random" draws from.

    Returns:
        (num_frames,) int64 positions, or (num_available,) for "all".

    Raises:
        InputError: a number below 1, or "random" without `rng`.
        UnknownNameError: an unknown `how`.

    Source: torchreid's `VideoDataset`, whose random draws have no seed.
    """
    _check(num_frames, how)
    if num_available < 1:
        raise InputError(f"num_available: expected at least 1, got {num_available}")
    if how == "all":
        return np.arange(num_available)
    if how == "random":
        if rng is None:
            raise InputError("rng: 'random' needs a generator to draw from")
        return np.sort(rng.choice(num_available, num_frames, replace=num_available < num_frames))
    step = max(1, num_available // num_frames)
    return np.minimum(step * np.arange(num_frames), num_available - 1)


def flatten(split: Split, num_frames: int | None = None) -> Split:
    """Take tracklets apart: every frame becomes a picture of its own, for a network that looks at pictures.

    Args:
        split: tracklets; pictures among them stay as they are.
        num_frames: this many of each tracklet, taken evenly and none twice; every frame when None.

    Raises:
        InputError: less than one frame.
    """
    pictures: list[Sample] = []
    for sample in split:
        if not sample.frames:
            pictures.append(sample)
            continue
        chosen = sample.frames
        if num_frames is not None:
            places = sample_frames(len(sample.frames), num_frames)
            chosen = tuple(sample.frames[place] for place in dict.fromkeys(places.tolist()))
        pictures += [Sample(path, sample.pid, sample.camid, dsetid=sample.dsetid) for path in chosen]
    return Split(split.name, tuple(pictures))


def _check(num_frames: int, how: str) -> None:
    if num_frames < 1:
        raise InputError(f"num_frames: expected at least 1, got {num_frames}")
    if how not in get_args(Sampling):
        raise UnknownNameError("frame sampling", how, get_args(Sampling))

"""Which frames of a tracklet are looked at, and tracklets taken apart into pictures."""

from __future__ import annotations

import numpy as np

from omnireid.core.arrays import Int64
from omnireid.core.errors import InputError
from omnireid.core.types import Sample, Split
from omnireid.data.options import Sampling, check_frames


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
    check_frames(num_frames, how)
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
            chosen = tuple(sample.frames[index] for index in dict.fromkeys(places.tolist()))
        pictures += [Sample(path, sample.pid, sample.camid, dsetid=sample.dsetid) for path in chosen]
    return Split(split.name, tuple(pictures))

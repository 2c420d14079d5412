"""What is taken of data: choices and their defaults."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from omnireid.core.errors import InputError, UnknownNameError

Sampling = Literal["evenly", "random", "all"]
Pooling = Literal["mean", "max"]


@dataclass(frozen=True)
class FrameSampling:
    """How a tracklet becomes one embedding. The defaults are those of torchreid.

    Attributes:
        num_frames: frames looked at; "all" has no use for it.
        sampling: see `frames.sample_frames`.
        pooling: what is taken over the frames' embeddings, value by value, before any normalisation.

    Raises:
        InputError: less than one frame.
        UnknownNameError: an unknown sampling or pooling.
    """

    num_frames: int = 15
    sampling: Sampling = "evenly"
    pooling: Pooling = "mean"

    def __post_init__(self) -> None:
        check_frames(self.num_frames, self.sampling)
        if self.pooling not in get_args(Pooling):
            raise UnknownNameError("pooling", self.pooling, get_args(Pooling))

    def __str__(self) -> str:
        """For records: "15 evenly, mean"."""
        frames = "all" if self.sampling == "all" else f"{self.num_frames} {self.sampling}"
        return f"{frames}, {self.pooling}"


def check_frames(num_frames: int, how: str) -> None:
    """Refuse what `FrameSampling` and `frames.sample_frames` cannot take.

    Raises:
        InputError: Less than one frame.
        UnknownNameError: An unknown sampling.
    """
    if num_frames < 1:
        raise InputError(f"num_frames: expected at least 1, got {num_frames}")
    if how not in get_args(Sampling):
        raise UnknownNameError("frame sampling", how, get_args(Sampling))

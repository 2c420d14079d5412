"""What is taken of data: choices and their defaults."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Literal, get_args

from omnireid.core.errors import ConfigError, InputError, UnknownNameError
from omnireid.core.options import Protocol

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


@dataclass(frozen=True)
class Sources:
    """Which datasets are trained on, which are evaluated on, and how all of them are read.

    Attributes:
        data: Names to train on, together: "market1501", or "market1501+dukemtmcreid".
        roots: One folder that holds all of them, or one for each, in their order.
        targets: Names to evaluate on, each apart; None takes `data`.
        target_roots: As `roots`, for `targets`; None takes `roots`.
        combine_all: Whether query and gallery are trained on too, without distractors.
        split_id: Random split of a benchmark, or "all", one after the other; None takes the first.
        protocol: How queries are scored; None takes what each dataset states.
        check_counts: Whether sizes must be those on the datasets' cards.
        extract: Whether archives are unpacked that lie where folders should be.

    Raises:
        ConfigError: `target_roots` without `targets`; a folder that is not in a list.
    """

    data: str
    roots: Sequence[str | PathLike[str]]
    targets: str | None = None
    target_roots: Sequence[str | PathLike[str]] | None = None
    combine_all: bool = False
    split_id: int | Literal["all"] | None = None
    protocol: Protocol | None = None
    check_counts: bool = True
    extract: bool = False

    def __post_init__(self) -> None:
        for name in ("roots", "target_roots"):
            if isinstance(getattr(self, name), (str, PathLike)):
                raise ConfigError(
                    f"{name}: expected a list of folders, got {getattr(self, name)!r}; write [folder]"
                )
        if self.targets is None and self.target_roots:
            raise ConfigError("--target-root belongs to --target: give both")

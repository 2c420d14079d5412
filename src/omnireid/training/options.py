"""How a training run goes about its work: options and their defaults."""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Console

from omnireid.core.options import OnBad
from omnireid.training.processes import Rank


@dataclass(frozen=True)
class RunOptions:
    """What a run depends on besides its recipe and its data.

    Attributes:
        device: "auto" (CUDA, then MPS, then the CPU), "cpu", "cuda", "cuda:1" or "mps".
        threads: Threads that decode; None takes one per core.
        resume: Go on from the checkpoint in the folder; a recipe with more epochs extends the run.
        overwrite: Replace an older run in the folder.
        on_bad: What is done with a picture that cannot be decoded.
        devices: How many devices of this machine share each batch, with a process each; under torchrun it
            has started them.
    """

    device: str = "auto"
    threads: int | None = None
    resume: bool = False
    overwrite: bool = False
    on_bad: OnBad = "error"
    devices: int = 1


@dataclass(frozen=True)
class LoopOptions(RunOptions):
    """What the training loop goes by besides.

    Attributes:
        cache_bytes: Memory for decoded pictures, of all processes on this machine together.
        console: Where progress is shown; nothing is shown when None.
        rank: Which of several processes this one is; `experiment.training` starts them.
        evaluated_on: What epochs are evaluated on, for card and record of the best weights.
    """

    cache_bytes: int = 2 << 30
    console: Console | None = None
    rank: Rank = Rank()
    evaluated_on: str = ""

"""A training run by the workers of a Ray cluster, by Ray Train (docs/decisions/0039-ray.md)."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from omnireid.core.errors import OmniReIDError, TrainingError, WorkerError
from omnireid.core.progress import message_console
from omnireid.experiment.options import Workers
from omnireid.experiment.workers import connected, not_there, shares_at_once
from omnireid.training.processes import Rank

_Result = TypeVar("_Result")


def train_on_ray(work: Callable[..., _Result], workers: Workers) -> _Result:
    """Do the same work in all workers at once, and give what the first of them returns.

    Each worker finds its environment as torchrun would have made it, and works in the folder of this command.

    Args:
        work: Is given `console`: where the first worker shows progress, None for the others. It is pickled,
            and so has to be a function of a module, or a `functools.partial` of one.
        workers: How many there are, and where.

    Raises:
        MissingExtraError: Ray is not installed.
        InputError: No cluster at that address, or no room in it for so many workers.
        WorkerError: What a worker could not do, in its words.
        TrainingError: A worker was killed, or its machine has gone.
    """
    with (
        connected(workers.address, shows_output=True),
        # Ray Train keeps notes of its own, which a run of ours does not need: --resume reads its checkpoint.
        tempfile.TemporaryDirectory(prefix="omnireid-ray-") as notes,
    ):
        from ray.train import LoggingConfig, RunConfig, ScalingConfig
        from ray.train.torch import TorchConfig, TorchTrainer

        from omnireid.training.together import LONGEST_WAIT

        count, cpus = shares_at_once(workers)
        trainer = TorchTrainer(
            partial(_do, work, Path.cwd()),  # type: ignore[arg-type]
            torch_config=TorchConfig(timeout_s=int(LONGEST_WAIT.total_seconds())),
            scaling_config=ScalingConfig(
                num_workers=count,
                use_gpu=workers.gpus > 0,
                resources_per_worker={"CPU": cpus, **({"GPU": workers.gpus} if workers.gpus else {})},
            ),
            run_config=RunConfig(
                name="omnireid",
                storage_path=notes,
                logging_config=LoggingConfig(log_level="CRITICAL"),  # type: ignore[call-arg]
            ),
        )
        result: _Result = _result(trainer)
        return result


def _do(work: Callable[..., _Result], folder: Path) -> _Result | None:
    """What each worker runs."""
    try:
        os.chdir(folder)
    except OSError:
        raise not_there(folder) from None
    os.environ["TORCHELASTIC_RUN_ID"] = "ray"
    leads = Rank.of_torchrun().leads
    try:
        done = work(console=message_console() if leads else None)
    except OmniReIDError as error:
        # Not as it is: some errors take other arguments than their text, and are not put together again.
        raise WorkerError(str(error)) from None
    return done if leads else None


def _result(trainer: Any) -> Any:
    from ray.train import TrainingFailedError

    try:
        return trainer.fit().return_value
    except TrainingFailedError as error:
        for failure in getattr(error, "worker_failures", {}).values():
            if isinstance(failure, OmniReIDError):
                raise failure from None
        reason = str(error).strip().rpartition("\n")[2]
        raise TrainingError(
            f"a worker failed or was killed ({reason}), and the others were ended. Only the epoch that was "
            "running is lost: the same command with --resume goes on (in place of --overwrite), also with "
            "another number of --workers"
        ) from error

"""Tasks that do not depend on each other, done by a Ray cluster (docs/decisions/0039-ray.md)."""

from __future__ import annotations

import json
import logging
import os
import platform
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from omnireid.core.errors import InputError, OmniReIDError, WorkerError
from omnireid.core.extras import require
from omnireid.core.machine import available_cores
from omnireid.experiment.options import Workers

Do = Callable[[str], Any]
"""What does one task, by its name, and says what came of it: what JSON can hold."""

# Tasks are names, and what comes of them a few numbers: Ray asks for no less.
_OBJECT_STORE_BYTES = 100 << 20
_ANSWER_S = 10


def not_there(path: Path) -> InputError:
    """Of a worker: it does not see a file or folder of the command."""
    return InputError(f"{path}: not there on {platform.node()}; all machines of the cluster must see it")


def named_elsewhere(model: str | os.PathLike[str]) -> str:
    """How workers, which have another working folder, call a model: a file by its whole path."""
    return str(Path(model).absolute() if Path(model).exists() else model)


def another_model(name: str) -> InputError:
    """Of a worker: its model is not that of the command."""
    return InputError(f"{name}: another model on {platform.node()} than where the command was given")


def worker_threads() -> int:
    """How many threads a worker has: Ray says it by this variable."""
    return int(os.environ.get("OMP_NUM_THREADS", "1"))


def do_on_ray(open_worker: Callable[[], Do], tasks: Sequence[str], workers: Workers) -> Iterator[Any]:
    """Do tasks on a cluster, each in one of its workers.

    A worker that is killed is started again, and its task is done once more: tasks must bear that.

    Args:
        open_worker: Called once in each worker: opens models and the like. It is pickled, and so has to be a
            function of a module, or a `functools.partial` of one.
        tasks: Names.
        workers: How many there are, and where.

    Yields:
        What came of each task, as they end.

    Raises:
        MissingExtraError: Ray is not installed.
        InputError: No cluster at that address.
        WorkerError: What a worker could not do, in its words.
    """
    require("ray")
    if tasks:
        with connected(workers.address):
            yield from _done(open_worker, tasks, workers)


@contextmanager
def connected(address: str | None, *, shows_output: bool = False) -> Iterator[None]:
    """Be part of a Ray cluster, or start one here, while the block lasts.

    Args:
        shows_output: Whether what workers print is printed here.

    Raises:
        MissingExtraError, InputError, WorkerError: As `do_on_ray`.
    """
    require("ray")
    # Nothing is reported to Ray's makers, and its own log goes to its own files.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if not shows_output:  # Its processes say aloud that they were told to be quiet.
        os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    import ray

    _connect(address, shows_output)
    try:
        yield
    finally:
        ray.shutdown()


def _connect(address: str | None, shows_output: bool) -> None:
    import ray

    own: dict[str, Any] = {
        "num_cpus": available_cores(),
        "include_dashboard": False,
        "object_store_memory": _OBJECT_STORE_BYTES,
    }
    try:
        if address not in (None, "auto"):
            # Ray itself would try for minutes.
            host, _, port = address.rpartition(":")
            socket.create_connection((host, int(port)), timeout=_ANSWER_S).close()
        ray.init(
            address=address or "local",
            log_to_driver=shows_output,
            logging_level=logging.ERROR,
            # Ray's own warnings would come between what workers print.
            logging_config=ray.LoggingConfig(log_level="ERROR") if shows_output else None,
            **({} if address else own),
        )
    except Exception as error:  # Ray raises bare ones, too
        reason = str(error).partition("\n")[0]
        if address is None:
            raise WorkerError(f"Ray did not start here ({reason}); its logs are in /tmp/ray") from error
        raise InputError(
            f"--address {address}: no Ray cluster answers there ({reason}); start one: ray start --head on "
            "one machine, ray start --address HOST:6379 on the others"
        ) from error


def _done(open_worker: Callable[[], Do], tasks: Sequence[str], workers: Workers) -> Iterator[Any]:
    import ray
    import ray.data

    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = context.print_on_execution_start = False
    count, cpus = _shares(workers)
    # A block for each task: a worker takes it, and what came of it is known, apart from all others.
    dataset = ray.data.from_items([{"task": task} for task in tasks], override_num_blocks=len(tasks))
    done = dataset.map_batches(
        _Worker,
        batch_size=1,
        # None waits behind another one while a worker is free.
        compute=ray.data.ActorPoolStrategy(size=min(count, len(tasks)), max_tasks_in_flight_per_actor=1),
        fn_constructor_args=(open_worker,),
        num_cpus=cpus,
        num_gpus=workers.gpus,
    )
    for row in done.iter_rows():
        outcome = json.loads(row["outcome"])
        if "error" in outcome:
            raise WorkerError(outcome["error"])
        yield outcome["value"]


def _shares(workers: Workers) -> tuple[int, int]:
    """How many workers there are, and cores for each: all of a machine, or an equal part for each GPU.

    Raises:
        InputError: The cluster has no machine for one.
    """
    pairs = _fitting(workers)
    cpus = workers.cpus or max(1, min(int(machine["CPU"] // fits) for machine, fits in pairs))
    if workers.count is not None:
        return workers.count, cpus
    if workers.gpus:
        return sum(fits for _, fits in pairs), cpus
    return max(1, sum(int(machine["CPU"] // cpus) for machine, _ in pairs)), cpus


def shares_at_once(workers: Workers) -> tuple[int, int]:
    """As `_shares`, of workers that wait for each other, and so must have room all at once: with fewer cores.

    Raises:
        InputError: As `_shares`; there is no room for so many.
    """
    count, cpus = _shares(workers)
    pairs = _fitting(workers)

    def room(cpus: int) -> int:
        by_cpu = ((int(machine["CPU"] // cpus), fits) for machine, fits in pairs)
        return sum(min(cores, fits) if workers.gpus else cores for cores, fits in by_cpu)

    while workers.cpus is None and cpus > 1 and room(cpus) < count:
        cpus -= 1
    if room(cpus) < count:
        raise InputError(
            f"--workers {count}: the cluster has room for {room(cpus)} at once; give fewer, or fewer "
            "--worker-cpus or --worker-gpus"
        )
    return count, cpus


def _fitting(workers: Workers) -> list[tuple[dict[str, Any], int]]:
    """Resources of the machines that have room for a worker, and for how many: one, or one for each GPU."""
    import ray

    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    machines = [node["Resources"] for node in nodes if node["Alive"] and node["Resources"].get("CPU")]
    if not machines:
        raise InputError("--engine ray: the cluster has no machine with a processor for work")
    fitting = [int(machine.get("GPU", 0) // workers.gpus) if workers.gpus else 1 for machine in machines]
    if not any(fitting):
        raise InputError("--engine ray: no machine of the cluster has a GPU; give --device cpu")
    return [(machine, fits) for machine, fits in zip(machines, fitting, strict=True) if fits]


class _Worker:
    """What Ray keeps alive on a machine."""

    def __init__(self, open_worker: Callable[[], Do]) -> None:
        self._open = open_worker
        self._do: Do | None = None

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[str]]:
        (task,) = batch["task"]
        try:
            # Not before: an error of ours in a constructor would be one of Ray's.
            do = self._do = self._do or self._open()
            outcome = {"value": do(str(task))}
        except OmniReIDError as error:
            outcome = {"error": str(error)}
        return {"outcome": [json.dumps(outcome)]}

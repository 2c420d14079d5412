"""Several processes that train together: what each is, and how they are started and watched."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import socket
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, TypeVar

from omnireid.core.errors import ConfigError, OmniReIDError, TrainingError
from omnireid.core.machine import available_cores

_Result = TypeVar("_Result")

# How long the others may take to say why they ended, once one has.
_LAST_WORDS_S = 2.0


@dataclass(frozen=True)
class Rank:
    """Which of the processes of a training run this one is.

    Attributes:
        index: 0 to size − 1. The first writes what the run leaves.
        size: processes on all nodes together.
        local_size: processes on this node.
        by_torchrun: whether torchrun started it; then nobody holds the folder of the run for it.
    """

    index: int = 0
    size: int = 1
    local_size: int = 1
    by_torchrun: bool = False

    @classmethod
    def of_torchrun(cls) -> Rank:
        """As torchrun says in the environment; the only process where there is no torchrun."""
        if "TORCHELASTIC_RUN_ID" not in os.environ:
            return cls()
        names = ("RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE")
        index, size, local_size = (int(os.environ[name]) for name in names)
        return cls(index, size, local_size, by_torchrun=True)

    @property
    def leads(self) -> bool:
        """Whether it is the one that writes, and speaks."""
        return self.index == 0

    @property
    def chance(self) -> tuple[int, ...]:
        """What sets this process's chance apart from that of the others."""
        return () if self.size == 1 else (self.index,)

    def share(self, threads: int | None) -> int:
        """Threads of this process: as many as asked for, or its part of the cores."""
        return threads or max(1, available_cores() // self.local_size)


def launch(work: Callable[[Rank], _Result], devices: int) -> _Result:
    """Do the same work in several new processes on this machine, and give what the first of them returns.

    As soon as one fails, the others are ended. All end with this process.

    Args:
        work: can be pickled; finds its environment as torch.distributed wants it.

    Raises:
        OmniReIDError: of the same kind as the work raised.
        TrainingError: a process was killed.
        RuntimeError: the work raised something else; the message is its traceback.
    """
    context = multiprocessing.get_context("spawn")
    port = _free_port()
    with tempfile.TemporaryDirectory(prefix="omnireid-train-") as folder:
        outcomes = [Path(folder, str(index)) for index in range(devices)]
        processes = [
            context.Process(target=_do, args=(work, Rank(index, devices, devices), port, outcome))
            for index, outcome in enumerate(outcomes)
        ]
        try:
            for process in processes:
                process.start()
            _watch(processes)
            codes = enumerate(process.exitcode for process in processes)
            killed = {index: -code for index, code in codes if code is not None and code < 0}
        finally:
            _end(processes)
        result: _Result = _outcome(outcomes, killed)
        return result


def _do(work: Callable[[Rank], object], rank: Rank, port: int, outcome: Path) -> None:
    """What each process runs; leaves (whether it succeeded, result or error) in `outcome`."""
    os.environ.update(
        RANK=str(rank.index),
        LOCAL_RANK=str(rank.index),
        WORLD_SIZE=str(rank.size),
        LOCAL_WORLD_SIZE=str(rank.local_size),
        NODE_RANK="0",
        MASTER_ADDR="127.0.0.1",
        MASTER_PORT=str(port),
    )
    threading.Thread(target=_end_with_parent, daemon=True).start()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    said: tuple[object, object]
    try:
        result = work(rank)
        said = (None, result if rank.leads else None)
    except KeyboardInterrupt:
        sys.exit(130)
    except OmniReIDError as error:
        said = (type(error), str(error))
    except Exception:
        said = (RuntimeError, f"process {rank.index + 1} of {rank.size}:\n{traceback.format_exc()}")
    written = outcome.with_suffix(".part")
    written.write_bytes(pickle.dumps(said))
    written.rename(outcome)
    sys.exit(said[0] is not None)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _watch(processes: Sequence[BaseProcess]) -> None:
    """Wait until all have ended, or one has failed and the others had time to say so."""
    # Looked at once a turn: one that ends after the look is among those waited for, and ends the wait.
    while not any(codes := [process.exitcode for process in processes]):
        running = [process.sentinel for process, code in zip(processes, codes, strict=True) if code is None]
        if not running:
            return
        connection.wait(running)
    for process in processes:
        process.join(_LAST_WORDS_S / len(processes))


def _end(processes: Sequence[BaseProcess]) -> None:
    started = [process for process in processes if process.pid is not None]
    for process in started:
        process.terminate()
    for process in started:
        process.join(_LAST_WORDS_S)
        process.kill()
        process.join()


def _outcome(outcomes: Sequence[Path], killed: dict[int, int]) -> Any:
    """What the first process said; or the error of the one that failed first, which others met in turn."""
    written = sorted((path for path in outcomes if path.is_file()), key=lambda path: path.stat().st_mtime_ns)
    said = {path: pickle.loads(path.read_bytes()) for path in written}  # noqa: S301 (our own processes')
    errors = [(kind, text) for kind, text in said.values() if kind is not None]
    errors.sort(key=lambda error: error[0] is RuntimeError)
    # Libraries abort a process whose partners are gone: what one of these had to say comes first.
    if killed and all(kind is RuntimeError for kind, _ in errors):
        index, number = next(iter(killed.items()))
        memory = ", as the system does where memory ends" if number == signal.SIGKILL else ""
        raise TrainingError(
            f"process {index + 1} of {len(outcomes)} was killed by {signal.Signals(number).name}{memory}, "
            "and the others were ended. Only the epoch that was running is lost: the same command with "
            "--resume goes on (in place of --overwrite), also with another number of --devices"
        )
    for kind, text in errors:
        # Not by its own constructor: some take other arguments than their text.
        error = kind.__new__(kind, text)
        Exception.__init__(error, text)
        raise error
    if len(said) < len(outcomes):
        raise KeyboardInterrupt
    return said[outcomes[0]][1]


def refuse_torchrun(command: str) -> None:
    """Refuse to be started by torchrun, where only a part of the work is for several processes.

    Raises:
        ConfigError: says what starts them.
    """
    if Rank.of_torchrun().size > 1:
        raise ConfigError(
            f"omnireid {command} starts its processes itself: give --devices, without torchrun. On several "
            "machines torchrun starts 'omnireid train'"
        )


def check_devices(devices: int, device: str, rank: Rank) -> None:
    """Refuse a number of devices that cannot be.

    Raises:
        ConfigError: below 1; not what torchrun started; several of a device that was named by its number, or
            of Apple's GPU, of which there is one.
    """
    if devices < 1:
        raise ConfigError(f"devices: at least 1, got {devices}")
    if rank.by_torchrun and devices not in (1, rank.local_size):
        raise ConfigError(
            f"--devices {devices}: torchrun started {rank.local_size} processes on this node; leave "
            "--devices out"
        )
    if max(devices, rank.local_size) > 1 and ":" in device:
        raise ConfigError(f"--devices {devices} --device {device}: name the kind of device without a number")


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])

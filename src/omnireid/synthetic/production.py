"""How a rendered dataset comes to be on disk: a claimed folder, processes that fill it, a card at the end."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from rich.console import Console

from omnireid.core.errors import DatasetError, OmniReIDError
from omnireid.core.files import write_text
from omnireid.core.progress import progress_bar
from omnireid.synthetic.opencv import cv2

CARD_NAME = "card.json"
PLAN_NAME = ".rendering.json"
_LOOK_S = 0.2


def claim(folder: Path, wanted: dict[str, object]) -> bool:
    """True where this dataset is already whole; else mark the folder as this dataset's.

    Args:
        wanted: what the dataset is: `renderer_version` and `options`.

    Raises:
        DatasetError: the folder holds something else.
    """
    for name, whole in ((CARD_NAME, True), (PLAN_NAME, False)):
        marker = folder / name
        if not marker.is_file():
            continue
        try:
            stated = json.loads(marker.read_text())
            stated = {key: stated.get(key) for key in wanted}
        except (ValueError, AttributeError) as error:
            raise DatasetError(
                f"{marker}: not written by the renderer; choose another folder or empty it"
            ) from error
        if stated != wanted:
            raise DatasetError(
                f"{folder} holds another rendered dataset ({_difference(stated, wanted)}); "
                "choose another folder or delete it"
            )
        return whole
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DatasetError(f"{folder} is not empty and holds no rendered dataset; choose a new folder")
    write_text(folder / PLAN_NAME, json.dumps(wanted, indent=2) + "\n")
    return False


def _difference(stated: dict[str, object], wanted: dict[str, object]) -> str:
    options, others = wanted["options"], stated["options"]
    assert isinstance(options, dict)
    if not isinstance(others, dict):
        return f"of renderer version {stated['renderer_version']}, this is {wanted['renderer_version']}"
    usual = "the default"
    keys = [*options, *(key for key in others if key not in options)]
    differences = [
        f"{key} {others.get(key, usual)}, not {options.get(key, usual)}"
        for key in keys
        if others.get(key, usual) != options.get(key, usual)
    ]
    if differences:
        return "; ".join(differences)
    return f"of renderer version {stated['renderer_version']}, this is {wanted['renderer_version']}"


def finish(folder: Path, card: dict[str, object]) -> None:
    """Write the card, after which the dataset is whole."""
    if hasattr(os, "sync"):
        # One flush for all files, before the card says that they are there.
        os.sync()
    write_text(folder / CARD_NAME, json.dumps(card, indent=2) + "\n")
    (folder / PLAN_NAME).unlink(missing_ok=True)


def in_processes(
    work: Callable[..., Iterator[int]],
    arguments: Sequence[tuple[Any, ...]],
    *,
    workers: int,
    console: Console | None,
    title: str,
    total: int,
) -> None:
    """Do pieces of work and show how much of `total` is done; what interrupts it ends each at its next step.

    Args:
        work: a function of a module, as other processes import it, that yields how much each step did.
        arguments: of each piece.
        workers: 1 works in this process.

    Raises:
        OmniReIDError: a process ended unexpectedly.
    """
    with progress_bar(console) as progress:
        task = progress.add_task(title, total=total)
        if workers == 1 or len(arguments) <= 1:
            for each in arguments:
                for done in work(*each):
                    progress.advance(task, done)
            return
        context = multiprocessing.get_context("spawn")
        count, stop = context.Value("q", 0), context.Value("b", 0)
        pool = ProcessPoolExecutor(
            min(workers, len(arguments)), context, initializer=_start_worker, initargs=(count, stop)
        )
        try:
            pending = {pool.submit(_work_through, work, each) for each in arguments}
            while pending:
                finished, pending = wait(pending, timeout=_LOOK_S, return_when=FIRST_COMPLETED)
                for future in finished:
                    future.result()
                progress.update(task, completed=count.value)
        except BrokenProcessPool as error:
            raise OmniReIDError(
                "a rendering process ended unexpectedly: out of memory, killed, or a script without "
                "'if __name__ == \"__main__\":'. Run it again to complete the dataset, or use workers=1"
            ) from error
        finally:
            stop.value = 1
            pool.shutdown(wait=True, cancel_futures=True)


# Of a worker: what it shares with the process that waits for it.
_shared: list[Any] = []


def _start_worker(count: Any, stop: Any) -> None:
    # Ctrl-C reaches the whole group; the parent alone decides, so that steps under way end whole.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(1)
    _shared[:] = [count, stop]


def _work_through(work: Callable[..., Iterator[int]], arguments: tuple[Any, ...]) -> None:
    count, stop = _shared
    for done in work(*arguments):
        with count.get_lock():
            count.value += done
        if stop.value:
            return

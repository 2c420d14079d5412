"""The folder of a run: one process at a time, and a run is replaced only when that is asked for."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from omnireid.core.errors import InputError, StorageError, TrainingError
from omnireid.core.files import write_failure
from omnireid.training.checkpoint import CHECKPOINT

WEIGHTS = "model.safetensors"
BEST_WEIGHTS = "best.safetensors"
LOCK = ".lock"
TEACHER = "teacher.npz"
FOUND = "found.yaml"

# What would be lost if another run began in its place.
_RESULTS = (
    CHECKPOINT,
    WEIGHTS,
    BEST_WEIGHTS,
    "history.jsonl",
    "result.json",
    "report.html",
    "queries.csv",
    "identities.csv",
    "split.csv",
    "embeddings.parquet",
    "overview.html",
    FOUND,
)
# What a run leaves before its first epoch ends. A gallery is nothing of these: people may be enrolled in it,
# and it refuses another model's embeddings.
_TRACES = ("recipe.json", "tensorboard", "bad_batch.json")


@contextmanager
def only_writer(run_dir: Path) -> Iterator[None]:
    """Make the folder, and keep every other thread and process out of it while the block lasts.

    The thread that holds it may ask for it again.

    Raises:
        StorageError: the folder cannot be made or written.
        TrainingError: somebody else trains in it.
    """
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
        # One lock object for a path, so that the main job and the training inside it share it.
        lock = FileLock(run_dir / LOCK, is_singleton=True)
        lock.acquire(timeout=0)
    except Timeout as error:
        raise TrainingError(
            f"{run_dir}: another process trains in this folder; choose another --out"
        ) from error
    except OSError as error:
        raise StorageError(f"cannot write {run_dir}: {write_failure(error)}") from error
    try:
        yield
    finally:
        lock.release()


def check_run_folder(run_dir: Path, *, resume: bool, overwrite: bool) -> None:
    """Refuse to begin a run where it would replace or mix with something.

    What an attempt left that never finished an epoch is in nobody's way.

    Raises:
        InputError: the folder holds a run and neither flag says what to do with it, or both do; it holds
            something that is no run.
    """
    if resume and overwrite:
        raise InputError("--resume goes on with a run and --overwrite replaces it: give one of them")
    if holds_results(run_dir) and not (resume or overwrite):
        raise InputError(
            f"{run_dir}: holds a run already; --resume goes on with it, --overwrite replaces it, "
            "another --out keeps it"
        )
    entries = {entry.name for entry in run_dir.iterdir()} if run_dir.is_dir() else set()
    rendered = any((run_dir / "data" / name).is_file() for name in ("card.json", ".rendering.json"))
    if entries and not rendered and not entries & {LOCK, TEACHER, *_RESULTS, *_TRACES}:
        raise InputError(f"{run_dir}: not empty, and not a run of ours; choose another --out")


def holds_results(run_dir: Path) -> bool:
    """Whether a run got so far in this folder that something would be lost with it."""
    return any((run_dir / name).exists() for name in _RESULTS)


def clear_run_folder(run_dir: Path) -> None:
    """Remove what an older run left. Rendered data and files of others stay."""
    for name in (*_RESULTS, *_TRACES):
        path = run_dir / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)

"""Checkpoints: everything a run needs to go on as if it had never stopped."""

from __future__ import annotations

import io
import pickle
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch

from omnireid.core.errors import TrainingError
from omnireid.core.files import write_bytes

_FORMAT = 1


@dataclass(frozen=True)
class Checkpoint:
    """State at the end of an epoch.

    Random numbers need no state: every draw is a function of (seed, epoch, step).

    Attributes:
        epochs_done: epochs finished.
        model, optimiser, augmentation: state dicts.
        history: one row per finished epoch.
        recipe: the recipe as plain values.
        data_digest: which samples, in which order, with which labels.
    """

    epochs_done: int
    model: dict[str, Any]
    optimiser: dict[str, Any]
    augmentation: dict[str, Any]
    history: list[dict[str, float]]
    recipe: dict[str, Any]
    data_digest: str


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Replace `path` atomically: kill -9 leaves the last epoch's checkpoint or this one.

    Raises:
        StorageError: the disk is full or the folder cannot be written; the old checkpoint is kept.
    """
    state = {item.name: getattr(checkpoint, item.name) for item in fields(checkpoint)}
    # Into memory first: torch's writer hides a full disk behind errors of its own.
    content = io.BytesIO()
    torch.save({"format": _FORMAT, **state}, content)
    write_bytes(path, content.getvalue())


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint without executing anything in it.

    Raises:
        TrainingError: missing, damaged, or not a training checkpoint of this version.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise TrainingError(f"{path}: no checkpoint to resume from") from error
    except (RuntimeError, EOFError, OSError, ValueError, pickle.UnpicklingError) as error:
        raise TrainingError(
            f"{path}: damaged or not a checkpoint ({error}); start again without --resume"
        ) from error
    if not isinstance(state, dict) or state.pop("format", None) != _FORMAT:
        raise TrainingError(
            f"{path}: not a training checkpoint of this version; start again without --resume"
        )
    return Checkpoint(**state)


def check_resumable(checkpoint: Checkpoint, recipe: dict[str, Any], data_digest: str) -> None:
    """Refuse to go on with another recipe or other data than the run began with.

    Raises:
        TrainingError: names what differs.
    """
    differing = [
        key for key in sorted({*recipe, *checkpoint.recipe}) if recipe.get(key) != checkpoint.recipe.get(key)
    ]
    if differing:
        was = {key: checkpoint.recipe.get(key) for key in differing}
        raise TrainingError(
            f"cannot resume: the run began with another {', '.join(differing)} ({was}); "
            "use the same recipe and options, or start again in another folder"
        )
    if data_digest != checkpoint.data_digest:
        raise TrainingError(
            "cannot resume: the training samples are not the ones the run began with "
            "(files added, removed or renumbered); start again in another folder"
        )

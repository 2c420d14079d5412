"""Checkpoints: everything a run needs to go on as if it had never stopped."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from omnireid.core.errors import TrainingError, WeightsError
from omnireid.models.run_checkpoint import read_run_state, write_run_state

CHECKPOINT = "checkpoint.pt"

# The first is of no use any more when a run goes on; the second does not decide the weights.
_MAY_DIFFER = ("initial_weights", "evaluation")
_START_AGAIN = "start again with --overwrite, or in another --out"


@dataclass(frozen=True)
class Checkpoint:
    """State at the end of an epoch.

    Random numbers need no state: every draw is a function of (seed, epoch, step).

    Attributes:
        epochs_done: epochs finished.
        model, optimiser, augmentation: state dicts.
        history: one row per finished epoch.
        recipe: the recipe as plain values.
        data_digest: digest of the samples, their order and their labels.
        training_data: what the card says the weights were trained on.
        evaluation_due: whether the evaluation after the last epoch is still to be made.
        average: state dict of the running average of the weights, where the recipe asks for one.
        extensions: (epochs done, epochs planned until then) for each time the run was made longer.
        precision: how losses are scaled in float16; empty in other precisions.
    """

    epochs_done: int
    model: dict[str, Any]
    optimiser: dict[str, Any]
    augmentation: dict[str, Any]
    history: list[dict[str, float]]
    recipe: dict[str, Any]
    data_digest: str
    training_data: str = ""
    evaluation_due: bool = False
    extensions: tuple[tuple[int, int], ...] = ()
    average: dict[str, Any] = field(default_factory=dict)
    precision: dict[str, Any] = field(default_factory=dict)


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Replace `path` atomically, with a hash over its content.

    Raises:
        StorageError: the disk is full or the folder cannot be written; the old checkpoint is kept.
    """
    write_run_state(path, {item.name: getattr(checkpoint, item.name) for item in fields(checkpoint)})


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint without executing anything in it.

    Raises:
        TrainingError: missing, damaged, or not a training checkpoint of this version.
    """
    if not path.is_file():
        raise TrainingError(f"{path}: no checkpoint to resume from; start without --resume")
    try:
        state = read_run_state(path)
    except WeightsError as error:
        raise TrainingError(f"{error}; {_START_AGAIN}") from error
    try:
        return Checkpoint(**state)
    except TypeError as error:
        raise TrainingError(f"{path}: not a checkpoint of this version; {_START_AGAIN}") from error


def check_resumable(path: Path, checkpoint: Checkpoint, recipe: dict[str, Any], data_digest: str) -> None:
    """Refuse to go on with another recipe or other data than the run began with.

    More epochs extend the run; how often and how it is evaluated may change.

    Raises:
        TrainingError: names what differs.
    """
    began_with = checkpoint.recipe
    differing = [
        key
        for key in sorted({*recipe, *began_with})
        if key not in _MAY_DIFFER
        and recipe.get(key) != began_with.get(key)
        and not (key == "epochs" and recipe[key] > began_with[key])
    ]
    if differing:
        was = {key: began_with.get(key) for key in differing}
        raise TrainingError(
            f"cannot resume: the run began with another {', '.join(differing)} ({was}); use the same recipe "
            "and options (epochs can be raised, evaluation changed), or start another run in another folder, "
            f"from these weights with --init {path}"
        )
    if data_digest != checkpoint.data_digest:
        raise TrainingError(
            "cannot resume: the training samples are not the ones the run began with "
            "(files added, removed or renumbered); start again in another folder"
        )


def digest_of(samples: tuple[Any, ...]) -> str:
    """Which samples, in which order: file name, pid, camera and attributes, not the folder they lie in."""
    digest = hashlib.sha256()
    for sample in samples:
        attributes = f"\x1f{sample.attributes}" if sample.attributes else ""
        digest.update(f"{Path(sample.path).name}\x1f{sample.pid}\x1f{sample.camid}{attributes}\n".encode())
    return digest.hexdigest()

"""The checkpoint of a training run as a file: state with a hash over it, and the network in it.

The file is a torch archive (zip). Its hash stands in the archive's comment, because torch checks none of the
archive's own check sums. Files from before the hash are read without one.
"""

from __future__ import annotations

import hashlib
import io
import os
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omnireid.core.card import InputSpec, ModelCard
from omnireid.core.errors import MissingExtraError, OmniReIDError, WeightsError
from omnireid.core.files import write_bytes
from omnireid.models.cards import model_card
from omnireid.models.registry import architecture_config
from omnireid.models.weight_header import WeightHeader, arrays_sha256, require_file

if TYPE_CHECKING:
    from torch import Tensor

FORMAT = 2
_FORMATS = (1, 2)
_MARK = b"sha256="
_COMMENT_SIZE = len(_MARK) + 64
_COMMENT_LENGTH = struct.pack("<H", _COMMENT_SIZE)
_END_OF_ARCHIVE = b"PK\x05\x06"
_BACKBONE, _CLASSIFIER, _AVERAGED = "backbone.", "classifier.weight", "module."


def write_run_state(path: Path, state: Mapping[str, Any]) -> None:
    """Replace `path` atomically: kill -9 leaves the old checkpoint or this one.

    Raises:
        StorageError: the disk is full or the folder cannot be written; the old checkpoint is kept.
    """
    import torch

    # Into memory first: torch's writer hides a full disk behind errors of its own.
    stream = io.BytesIO()
    torch.save({"format": FORMAT, **state}, stream)
    # A zip archive ends with the length of its comment.
    body = stream.getvalue()[:-2] + _COMMENT_LENGTH
    write_bytes(path, body + _MARK + hashlib.sha256(body).hexdigest().encode())


def read_run_state(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What `write_run_state` was given, read without executing anything in it.

    Raises:
        WeightsError: missing, damaged, or not the checkpoint of a run.
        MissingExtraError: torch is not installed.
    """
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError(f"{path}: reading the checkpoint of a training run", "train") from error
    require_file(path)
    content = Path(path).read_bytes()
    body, comment = content[:-_COMMENT_SIZE], content[-_COMMENT_SIZE:]
    end = content.rfind(_END_OF_ARCHIVE)
    # By either sign: one may be what is damaged or cut off.
    has_hash = comment.startswith(_MARK) or content[end + 20 : end + 22] == _COMMENT_LENGTH
    if has_hash and comment != _MARK + hashlib.sha256(body).hexdigest().encode():
        raise WeightsError(f"{path}: damaged: the content does not have the hash that the file states")
    try:
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many types on damaged files.
        raise WeightsError(f"{path}: damaged or not a checkpoint") from error
    if not isinstance(state, dict) or state.pop("format", None) not in _FORMATS:
        raise WeightsError(f"{path}: not the checkpoint of a training run of this version")
    return state


def is_run_checkpoint(path: str | os.PathLike[str]) -> bool:
    """Whether a file is a run's checkpoint, by its archive's comment and names. Imports no torch."""
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.comment.startswith(_MARK):
                return True
            names = [name for name in archive.namelist() if name.endswith("/data.pkl")]
            return any(b"data_digest" in archive.read(name) for name in names)
    except (OSError, EOFError, ValueError, RuntimeError, zipfile.BadZipFile):
        return False  # damaged, or no archive: whoever opens it says so


def read_run_weights(path: str | os.PathLike[str]) -> tuple[WeightHeader, dict[str, Tensor]]:
    """The network in a run's checkpoint: what the header of its weight file would say, and its state dict.

    Raises:
        WeightsError: missing, damaged, or not the checkpoint of a run.
        MissingExtraError: torch is not installed.
    """
    state = read_run_state(path)
    try:
        recipe, average = state["recipe"], state.get("average", {})
        # The average is what the run would end with.
        values = {key.removeprefix(_AVERAGED): value for key, value in average.items()} or state["model"]
        weights = {
            key.removeprefix(_BACKBONE): value.contiguous()
            for key, value in values.items()
            if key.startswith(_BACKBONE)
        }
        card = trained_card(
            recipe,
            training_data=state.get("training_data", ""),
            training_pids=len(values[_CLASSIFIER]),
            notes=f"Weights after epoch {state['epochs_done']} of {recipe['epochs']}.",
        )
        config = architecture_config(recipe["model"]).with_overrides(recipe["model_options"])
    except (KeyError, TypeError, AttributeError, ValueError, OmniReIDError) as error:
        raise WeightsError(f"{path}: damaged, or not the checkpoint of a training run ({error!r})") from error
    arrays = {key: value.numpy() for key, value in weights.items()}
    return WeightHeader(card, config, arrays_sha256(arrays)), weights


def trained_card(
    recipe: Mapping[str, Any], *, training_data: str, training_pids: int, notes: str = ""
) -> ModelCard:
    """The card of what a recipe trained.

    Args:
        recipe: the recipe as plain values.
        training_data: what it was trained on.
        training_pids: number of identities.
    """
    return model_card(recipe["model"]).model_copy(
        update={
            "name": f"{recipe['model']}_{recipe['name']}",
            "input": InputSpec.model_validate(recipe["input"]),
            "licence": "as the training data allows",
            "origin": f"trained with recipe {recipe['name']}, seed {recipe['seed']}",
            "training_data": training_data,
            "training_pids": training_pids,
            "recipe": recipe["name"],
            "metrics": (),
            "notes": notes,
        }
    )

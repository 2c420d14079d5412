"""From what a user calls a model to the file that holds it."""

from __future__ import annotations

import os
from pathlib import Path

from omnireid.core.errors import MissingExtraError, WeightsError
from omnireid.models.cards import hub_file
from omnireid.models.pull import pull
from omnireid.models.shipped import list_makings, shipped_file

CHECKPOINT_SUFFIXES = (".pth", ".pt", ".tar", ".ckpt", ".bin")
_MODEL_SUFFIXES = (".onnx", ".safetensors", *CHECKPOINT_SUFFIXES)


def find_weights(model: str | os.PathLike[str]) -> Path:
    """The file that `model` names: a path, weights that ship, or published ones that were pulled.

    Pulled weights are checkpoints; they are converted once, to safetensors beside the pulled file.
    Nothing is fetched here.

    Raises:
        WeightsError: no such file, or no weights of that name; says how to get them.
        UnknownNameError: neither a file nor a known name.
        MissingExtraError: pulled weights are to be converted, and torch is not installed.
    """
    path = Path(model)
    if path.is_file():
        return path
    if path.is_dir():
        raise WeightsError(f"{path}: is a folder; name the model file in it (.onnx or .safetensors)")
    if path.suffix in _MODEL_SUFFIXES or path.name != str(model):
        raise WeightsError(f"{path}: no such model file")
    name = str(model)
    if (shipped := shipped_file(name)) is not None:
        return shipped
    if name in list_makings():
        raise WeightsError(
            f"{name}: this OmniReID comes without these weights; name a model (--model), or make them: "
            f"omnireid models reproduce {name}"
        )
    try:
        checkpoint = pull(name, offline=True)
    except WeightsError as error:
        if hub_file(name) is None:
            raise
        raise WeightsError(f"{name}: fetch it first: omnireid models pull {name}. ({error})") from error
    converted = checkpoint.with_name(f"{name}.safetensors")
    if not converted.is_file():
        _convert(checkpoint, converted)
    return converted


def _convert(checkpoint: Path, converted: Path) -> None:
    try:
        from omnireid.models.convert import read_foreign
        from omnireid.models.weights import save_weights
    except ImportError as error:
        raise MissingExtraError(f"converting {checkpoint.name}", "train") from error
    save_weights(converted, *read_foreign(checkpoint))

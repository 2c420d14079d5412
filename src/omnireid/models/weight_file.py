"""Reading a weight file: safetensors with the model card inside. Imports no torch."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from omnireid.core.card import ModelCard
from omnireid.core.errors import OmniReIDError, PluginError, WeightsError
from omnireid.models.registry import FAMILIES
from omnireid.models.run_checkpoint import is_run_checkpoint, read_run_weights
from omnireid.models.weight_header import METADATA_KEY, WeightHeader, arrays_sha256, require_file

_FAMILY_OF_OLD_FILES = "osnet"

_OTHER_FORMATS = (
    (b"PK\x03\x04", "a PyTorch checkpoint"),
    (b"\x80", "a pickle (an old PyTorch checkpoint?)"),
    (b"\x08", "perhaps an ONNX model"),
)


def read_header(path: str | os.PathLike[str]) -> WeightHeader:
    """Read a weight file's header without its weights; of a run's checkpoint, what stands for one.

    Raises:
        WeightsError: missing, truncated, another format, or without a card.
    """
    from safetensors import SafetensorError, safe_open

    require_file(path)
    if is_run_checkpoint(path):
        return read_run_weights(path)[0]
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise WeightsError(_not_safetensors(Path(path), error)) from error
    if METADATA_KEY not in metadata:
        raise WeightsError(
            f"{path}: no model card inside, so input size, colour normalisation and origin are not known. "
            f"{_convert(path)} reads it and gives it a card"
        )
    return _parse(metadata[METADATA_KEY], source=str(path))


def has_card(path: str | os.PathLike[str]) -> bool:
    """Whether a file is safetensors with a header of ours, whatever that says."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            return METADATA_KEY in (file.metadata() or {})
    except (SafetensorError, OSError):
        return False


def read_card(path: str | os.PathLike[str]) -> ModelCard:
    """The model card of a weight file; errors as `read_header`."""
    return read_header(path).card


def read_arrays(path: str | os.PathLike[str]) -> tuple[WeightHeader, dict[str, npt.NDArray[Any]]]:
    """Read a weight file without torch: its header, and its weights under the published key names.

    Weights that are stored in float16 come as float32.

    Raises:
        WeightsError: missing, truncated or damaged, another format, or without a card.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    if is_run_checkpoint(path):
        header, state = read_run_weights(path)
        return header, {key: value.numpy() for key, value in state.items()}
    header = read_header(path)
    try:
        arrays = load_file(path)
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path}: damaged or truncated ({error})") from error
    if arrays_sha256(arrays) != header.tensors_sha256:
        raise WeightsError(f"{path}: damaged: the weights do not have the hash that the file states")
    return header, {
        key: array.astype(np.float32) if array.dtype == np.float16 else array for key, array in arrays.items()
    }


def _parse(text: str, *, source: str) -> WeightHeader:
    try:
        content: dict[str, Any] = json.loads(text)
        card, config, digest = content["card"], content["config"], content["tensors_sha256"]
        family = content.get("family", _FAMILY_OF_OLD_FILES)
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise WeightsError(f"{source}: the header cannot be used ({error!r})") from error
    try:
        return WeightHeader(
            card=ModelCard.from_json(json.dumps(card), source=source),
            config=FAMILIES.get(str(family)).default.with_overrides(config),
            tensors_sha256=str(digest),
            ranges=content.get("ranges"),
        )
    except (WeightsError, PluginError):
        raise
    except (OmniReIDError, TypeError, AttributeError) as error:
        raise WeightsError(f"{source}: written for another version of OmniReID: {error}") from error


def _convert(path: str | os.PathLike[str]) -> str:
    name = Path(path).name.partition(".")[0]
    return f"omnireid models convert {path} --out {name}_converted.safetensors"


def _not_safetensors(path: Path, error: Exception) -> str:
    with path.open("rb") as stream:
        start = stream.read(4)
    for magic, what in _OTHER_FORMATS:
        if start.startswith(magic) and path.suffix != ".safetensors":
            return f"{path}: not a safetensors file, but {what}; convert it first: {_convert(path)}"
    return f"{path}: damaged, truncated or not a safetensors file ({error})"

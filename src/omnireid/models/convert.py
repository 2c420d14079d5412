"""Published PyTorch checkpoints (`.pth`, `.pth.tar`, `.pt`) as state dicts with a card.

A checkpoint is a pickle, and a pickle is a program. It is read with `torch.load(weights_only=True)`, which
knows tensors and plain containers only and runs nothing. The one thing more that is allowed are NumPy scalars
and their dtypes, because torchreid's training loop stores the rank-1 of an epoch as one.
"""

from __future__ import annotations

import os
import pickle
import re
import tarfile
import threading
import warnings
import zipfile
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from omnireid.core.card import ModelCard
from omnireid.core.errors import UnsafeWeightsError, WeightsError
from omnireid.core.files import sha256_file
from omnireid.models.cards import list_models, model_card
from omnireid.models.config import ARCHITECTURES, architecture_config
from omnireid.models.osnet import blank_network
from omnireid.models.state_dict import CLASSIFIER_PREFIX, check_state_dict, name_some, without_classifier
from omnireid.models.weight_file import require_file

_WRAPPER_PREFIX = "module."
_NESTED_UNDER = "state_dict"

# torch's list of allowed names belongs to the process: two threads must not change it at once.
_READING = threading.Lock()


def convert_checkpoint(
    path: str | os.PathLike[str], architecture: str | None = None
) -> tuple[dict[str, Tensor], ModelCard]:
    """Read a published checkpoint.

    The state dict may lie bare or under `state_dict`, and its keys may carry the `module.` of DataParallel.
    Its classifier may have any size: it is dropped, and the card states its number of classes.

    Args:
        path: the checkpoint.
        architecture: what it must be; None infers it from keys and shapes.

    Returns:
        The backbone's state dict (float32), which fits `build_model(card.architecture)` exactly, and a card:
        the published one where the file's hash is known, else one that says what is not known.

    Raises:
        UnsafeWeightsError: the file could only be read by executing code in it; names what it asked for.
        WeightsError: missing, damaged, no checkpoint, not an OSNet, or not of the stated architecture.
        UnknownNameError: `architecture` is not known.
    """
    require_file(path)
    source = Path(path)
    state = _state_dict(_load_safely(source), source)
    classifier = state.get(f"{CLASSIFIER_PREFIX}weight")
    backbone = without_classifier(state)
    inferred = _infer_architecture(backbone, source)
    name = architecture or inferred
    expected = blank_network(architecture_config(name)).state_dict()
    where = str(source) if name == inferred else f"{source} (it looks like {inferred}, {name} was asked for)"
    check_state_dict(expected, backbone, source=where)
    values = {key: _plain_values(key, backbone[key], source) for key in expected}
    num_classes = None if classifier is None else int(classifier.shape[0])
    return values, _card(source, name, num_classes)


def _load_safely(source: Path) -> Any:
    try:
        with _READING, _harmless_numpy(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns of archives and protocols that are refused below.
            return torch.load(source, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        wanted = _wanted_global(str(error))
        if wanted is not None:
            raise UnsafeWeightsError(
                f"{source}: refused, because reading it would run code: it asks for {wanted}. "
                "Ask for a file that holds the state dict only: torch.save(model.state_dict(), ...)"
            ) from error
        raise WeightsError(f"{source}: damaged, or not a PyTorch checkpoint") from error
    except Exception as error:  # torch raises many types on damaged files and on archives with programs.
        kind = _archive_of_code(source)
        if kind is not None:
            raise UnsafeWeightsError(
                f"{source}: refused, because {kind}. Save the state dict of the network instead: "
                "torch.save(model.state_dict(), ...)"
            ) from error
        raise WeightsError(f"{source}: damaged, truncated or not a PyTorch checkpoint") from error


def _harmless_numpy() -> AbstractContextManager[None]:
    """Allow NumPy scalars of plain number types while the block lasts; nothing stays allowed after it."""
    from numpy._core.multiarray import scalar

    numbers = (np.float64, np.float32, np.float16, np.int64, np.int32, np.bool_)
    allowed: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
        np.dtype,
        *(type(np.dtype(number)) for number in numbers),
        scalar,
        # NumPy before 2.0 wrote the same function under this name.
        (scalar, "numpy.core.multiarray.scalar"),
    ]
    # What somebody else has allowed stays allowed: torch would take it away at the end of the block.
    already = torch.serialization.get_safe_globals()
    return torch.serialization.safe_globals([entry for entry in allowed if entry not in already])


def _wanted_global(message: str) -> str | None:
    """What the pickle asked for, from torch's message."""
    found = re.search(r"GLOBAL (\S+)", message) or re.search(r"function (\S+)", message)
    return found.group(1) if found else None


def _archive_of_code(source: Path) -> str | None:
    if zipfile.is_zipfile(source):
        with zipfile.ZipFile(source) as archive:
            if any(name.endswith("/constants.pkl") for name in archive.namelist()):
                return "it is a TorchScript archive, a program with weights"
    elif tarfile.is_tarfile(source):
        return "it is a tar checkpoint of PyTorch before 0.1.10, which cannot be read without running it"
    return None


def _state_dict(content: Any, source: Path) -> dict[str, Tensor]:
    if isinstance(content, Mapping) and _NESTED_UNDER in content:
        content = content[_NESTED_UNDER]
    if not isinstance(content, Mapping) or not content:
        raise WeightsError(f"{source}: no state dict inside, but {type(content).__name__}")
    strange = [str(key) for key, value in content.items() if not isinstance(value, Tensor)]
    if strange:
        raise WeightsError(
            f"{source}: no state dict, neither bare nor under {_NESTED_UNDER!r}; "
            f"not tensors: {name_some(strange)}"
        )
    keys = [str(key) for key in content]
    wrapped = all(key.startswith(_WRAPPER_PREFIX) for key in keys)
    return {key.removeprefix(_WRAPPER_PREFIX) if wrapped else key: content[key] for key in keys}


def _infer_architecture(backbone: Mapping[str, Tensor], source: Path) -> str:
    """From the family's key names and the stem's width; the caller checks everything else."""
    family = "osnet"
    if any(key.startswith("pool2.") for key in backbone):
        family = "osnet_ain"
    elif "conv2.0.IN.weight" in backbone:
        family = "osnet_ibn"
    stem = backbone.get("conv1.conv.weight")
    for name, config in ARCHITECTURES.items():
        same_family = name.rpartition("_x")[0] == family
        if same_family and stem is not None and stem.shape[:1] == config.channels[:1]:
            return name
    keys = name_some(backbone)
    raise WeightsError(f"{source}: not a checkpoint of a known OSNet (its keys: {keys})")


def _plain_values(key: str, value: Tensor, source: Path) -> Tensor:
    if not value.is_floating_point():
        return value.clone()
    if not torch.isfinite(value).all():
        raise WeightsError(f"{source}: damaged: {key} holds NaN or infinity")
    return value.detach().to(torch.float32, copy=True).contiguous()


def _card(source: Path, architecture: str, num_classes: int | None) -> ModelCard:
    sha256 = sha256_file(source)
    for name in list_models():
        if model_card(name).sha256 == sha256:
            return model_card(name)
    dropped = f" A classifier of {num_classes} classes was dropped." if num_classes is not None else ""
    return model_card(architecture).model_copy(
        update={
            "name": source.name.partition(".pth")[0].removesuffix(".pt"),
            "licence": "unknown",
            "origin": source.name,
            "training_data": "unknown",
            "training_pids": num_classes,
            "sha256": sha256,
            "notes": f"Converted from {source.name}; nothing but its weights is known.{dropped}",
        }
    )

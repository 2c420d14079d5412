"""The header of a weight file, and the hash of its weights. Imports no torch.

The metadata holds one entry, `omnireid`, so that the same weights and card always make the same bytes
(safetensors writes several entries in no fixed order).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from omnireid.core.card import ModelCard
from omnireid.core.errors import WeightsError
from omnireid.models.network_config import NetworkConfig

METADATA_KEY = "omnireid"


@dataclass(frozen=True)
class WeightHeader:
    """What a weight file says of itself.

    Attributes:
        card: the model card.
        config: the network the weights belong to.
        tensors_sha256: hash of the weights, see `arrays_sha256`.
        ranges: what int8 of our engine needs to know of the network's maps: name → largest values and means,
            by channel; None where nobody measured them.
    """

    card: ModelCard
    config: NetworkConfig
    tensors_sha256: str
    ranges: dict[str, tuple[list[float], list[float]]] | None = None

    def to_metadata(self) -> dict[str, str]:
        """The safetensors metadata."""
        content: dict[str, Any] = {
            "card": self.card.model_dump(mode="json", exclude_none=True),
            "family": self.config.family,
            "config": self.config.to_dict(),
            "tensors_sha256": self.tensors_sha256,
        }
        if self.ranges is not None:
            content["ranges"] = self.ranges
        return {METADATA_KEY: json.dumps(content, sort_keys=True)}


def arrays_sha256(arrays: Mapping[str, npt.NDArray[Any]]) -> str:
    """Hash over the names, types, shapes and values of a state dict, in the order of the names.

    Types are named as torch names them, so that both ways to read a file give one hash.
    """
    digest = hashlib.sha256()
    for key in sorted(arrays):
        array = np.ascontiguousarray(arrays[key]).reshape(arrays[key].shape)
        digest.update(f"{key} torch.{array.dtype} {array.shape}\n".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def require_file(path: str | os.PathLike[str]) -> None:
    """Refuse what is no readable, non-empty file.

    Raises:
        WeightsError: names the file and the reason.
    """
    file = Path(path)
    if not file.exists():
        raise WeightsError(f"{file}: no such file")
    if not file.is_file():
        raise WeightsError(f"{file}: a folder, not a weight file")
    if file.stat().st_size == 0:
        raise WeightsError(f"{file}: the file is empty")

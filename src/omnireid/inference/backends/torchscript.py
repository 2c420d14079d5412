"""TorchScript: our exports, on any device torch knows."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from omnireid.core.card import ModelCard
from omnireid.core.errors import MissingExtraError, WeightsError
from omnireid.core.files import sha256_file
from omnireid.inference.backends.protocol import Crops, Embeddings, FeatureMaps, check_crops
from omnireid.inference.backends.table import Opening
from omnireid.inference.backends.torch_eager import check_torch, choose_device
from omnireid.inference.export.metadata import read_metadata

try:
    import torch
except ImportError as error:
    raise MissingExtraError("the torchscript backend", "train") from error


class TorchScriptBackend:
    """A `.torchscript` file. torch's thread count belongs to the process, so it is no option here."""

    name = "torchscript"
    calls_side_by_side = None

    def __init__(self, path: str | os.PathLike[str], *, device: str = "auto") -> None:
        """Load a file.

        Args:
            path: written by `omnireid export --format torchscript`.
            device: "auto" (cuda, then mps, then cpu), "cpu", "cuda", "cuda:1", "mps".

        Raises:
            WeightsError: missing, damaged, or without our metadata.
            InputError: a device that is not there.
        """
        metadata = read_metadata(path)
        if metadata is None:
            raise WeightsError(
                f"{path}: no TorchScript module with a model card; write it with "
                "omnireid export --format torchscript"
            )
        self.device = choose_device(device)
        self._process = os.getpid()
        check_torch(self.device, self._process)
        self.card: ModelCard = metadata.card.model_copy(update={"sha256": sha256_file(path)})
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # torch marks TorchScript as old
                self._module: Any = torch.jit.load(  # type: ignore[no-untyped-call]
                    os.fspath(path), map_location=self.device
                )
        except RuntimeError as error:
            reason = str(error).strip().partition("\n")[0]
            raise WeightsError(f"{path}: torch cannot open it ({reason})") from error

    def embed(self, crops: Crops) -> Embeddings:
        """(N, H, W, 3) uint8 RGB → (N, D) float32.

        Raises:
            ShapeError, InputError: crops of another shape or dtype.
        """
        return self._run(crops, 0)

    def feature_maps(self, crops: Crops) -> FeatureMaps:
        """(N, H, W, 3) uint8 RGB → (N, C, h, w) float32."""
        return self._run(crops, 1)

    def _run(self, crops: Crops, output: int) -> np.ndarray:
        check_torch(self.device, self._process)
        check_crops(crops, self.card)
        # torch has no answer for none: what one black crop gives, cut to no rows.
        fed = crops if len(crops) else np.zeros((1, *crops.shape[1:]), np.uint8)
        with torch.inference_mode():
            results = self._module(torch.from_numpy(np.ascontiguousarray(fed)).to(self.device))
        rows: np.ndarray = results[output].float().cpu().numpy()
        return rows[: len(crops)]


def open_file(path: Path, how: Opening) -> TorchScriptBackend:
    """A model file in this engine, as the table of engines opens it."""
    return TorchScriptBackend(path, device=how.device)

"""A network on an NVIDIA GPU in our kernels, see `omnireid.inference.fused.gpu`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from omnireid.core.card import ModelCard
from omnireid.core.errors import MissingExtraError
from omnireid.core.files import sha256_file
from omnireid.core.forking import check_process
from omnireid.inference.backends.protocol import Crops, Embeddings, FeatureMaps, check_crops
from omnireid.inference.backends.table import Opening
from omnireid.inference.backends.tiny_weights import TINY
from omnireid.inference.fused.fold import fold

try:
    import torch

    from omnireid.inference.fused.gpu import LARGEST_BATCH, Engine, GpuOSNet, GpuPrecision
except ImportError as error:
    raise MissingExtraError("the GPU backend", "gpu") from error

if TYPE_CHECKING:
    from omnireid.models.network import Network


class GpuBackend:
    """An OSNet folded and brought to a GPU. Several threads may share it.

    Attributes:
        device: "cuda" or "cuda:1".
        engine: what runs it: "triton", "compile" or "eager".
    """

    name = "gpu"
    calls_side_by_side = None

    def __init__(
        self,
        model: Network,
        card: ModelCard,
        *,
        device: str = "cuda",
        precision: GpuPrecision = "bf16",
        engine: Engine | Literal["auto"] = "auto",
        tune: bool = True,
        largest_batch: int = LARGEST_BATCH,
    ) -> None:
        """Fold a copy of a network; the network itself is neither moved nor changed.

        Args:
            card: its card.
            device, precision, engine, tune, largest_batch: as `GpuOSNet`.

        Raises:
            ConfigError: the network has no fast form, see `fold.check_foldable`.
            InputError, UnknownNameError, MissingExtraError: as `GpuOSNet`.
        """
        self.card = card
        self._process = os.getpid()
        self.device = device
        state = {name: values.detach().cpu().float().numpy() for name, values in model.state_dict().items()}
        self._network = GpuOSNet(
            fold(state, model.config),
            card.input,
            device=device,
            precision=precision,
            engine=engine,
            tune=tune,
            largest_batch=largest_batch,
        )
        self.engine = self._network.engine

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        *,
        device: str = "cuda",
        precision: GpuPrecision = "bf16",
        engine: Engine | Literal["auto"] = "auto",
        tune: bool = True,
        largest_batch: int = LARGEST_BATCH,
    ) -> GpuBackend:
        """Load safetensors with a card. Weights below 1e-20 in size become zero, as in every backend.

        Raises:
            WeightsError: the file is missing, damaged, has no card, or does not fit its architecture.
            ConfigError, InputError, UnknownNameError, MissingExtraError: as the constructor.
        """
        from omnireid.models.weights import load_weights

        model, card = load_weights(path)
        with torch.no_grad():
            for weight in model.parameters():
                weight[weight.abs() < TINY] = 0
        return cls(
            model,
            card.model_copy(update={"sha256": sha256_file(path)}),
            device=device,
            precision=precision,
            engine=engine,
            tune=tune,
            largest_batch=largest_batch,
        )

    def embed(self, crops: Crops) -> Embeddings:
        """(N, H, W, 3) uint8 RGB → (N, D) float32, not normalised.

        Raises:
            ShapeError, InputError: crops of another shape or dtype.
        """
        check_process(self._process, self.card.name, "open it in the child")
        check_crops(crops, self.card)
        return self._network.embed(crops)

    def feature_maps(self, crops: Crops) -> FeatureMaps:
        """(N, H, W, 3) uint8 RGB → (N, C, h, w) float32."""
        check_process(self._process, self.card.name, "open it in the child")
        check_crops(crops, self.card)
        return np.asarray(self._network.feature_maps(crops), np.float32)


def open_file(path: Path, how: Opening) -> GpuBackend:
    """A model file in this engine, as the table of engines opens it."""
    device = "cuda" if how.device == "auto" else how.device
    precision: Any = how.precision or "bf16"
    return GpuBackend.open(path, device=device, precision=precision)

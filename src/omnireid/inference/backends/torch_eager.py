"""torch: the readable network as it was trained, on any device torch knows."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from omnireid.core.card import ModelCard
from omnireid.core.errors import InputError, MissingExtraError
from omnireid.core.files import sha256_file
from omnireid.core.forking import ForkError, check_process
from omnireid.inference.backends.protocol import Crops, Embeddings, FeatureMaps, check_crops
from omnireid.inference.backends.table import Opening
from omnireid.inference.backends.tiny_weights import TINY

try:
    import torch
except ImportError as error:
    raise MissingExtraError("the torch backend", "train") from error

if TYPE_CHECKING:
    from omnireid.models.network import Network


_several_threads_in: int | None = None
"""The process in which torch has first run for us on several threads."""


class TorchBackend:
    """A network of any family in evaluation mode.

    torch's thread count belongs to the process (`torch.set_num_threads`, `OMP_NUM_THREADS`), so it is no
    option here.
    """

    name = "torch"
    calls_side_by_side = None

    def __init__(self, model: Network, card: ModelCard, *, device: str = "auto") -> None:
        """Take a network over: it is moved to the device and put into evaluation mode.

        Args:
            model: gives (N, D) embeddings and `feature_maps`.
            card: its card.
            device: "auto" (cuda, then mps, then cpu), "cpu", "cuda", "cuda:1", "mps".

        Raises:
            InputError: a device that is not there.
        """
        self.card = card
        self.device = choose_device(device)
        self._process = os.getpid()
        check_torch(self.device, self._process)
        self._model = model.to(self.device).eval()
        scale, shift = card.input.scale_shift()
        self._scale = torch.from_numpy(scale).to(self.device)[:, None, None]
        self._shift = torch.from_numpy(shift).to(self.device)[:, None, None]

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, device: str = "auto") -> TorchBackend:
        """Load safetensors with a card. Weights below 1e-20 in size become zero, see `tiny_weights`.

        Raises:
            WeightsError: the file is missing, damaged, has no card, or does not fit its architecture.
        """
        from omnireid.models.weights import load_weights

        check_torch("cpu", os.getpid())
        model, card = load_weights(path)
        with torch.no_grad():
            for weight in model.parameters():
                weight[weight.abs() < TINY] = 0
        return cls(model, card.model_copy(update={"sha256": sha256_file(path)}), device=device)

    def embed(self, crops: Crops) -> Embeddings:
        """(N, H, W, 3) uint8 RGB → (N, D) float32, not normalised.

        Raises:
            ShapeError, InputError: crops of another shape or dtype.
        """
        check_torch(self.device, self._process)
        check_crops(crops, self.card)
        if len(crops) == 0:
            return np.zeros((0, self.card.embedding_size), np.float32)
        with torch.inference_mode():
            embeddings: torch.Tensor = self._model(self._images(crops))
        return embeddings.float().cpu().numpy()

    def feature_maps(self, crops: Crops) -> FeatureMaps:
        """(N, H, W, 3) uint8 RGB → (N, C, h, w) float32."""
        check_torch(self.device, self._process)
        check_crops(crops, self.card)
        blank = np.zeros((1, *crops.shape[1:]), np.uint8)
        with torch.inference_mode():
            maps: torch.Tensor = self._model.feature_maps(self._images(crops if len(crops) else blank))
        return maps[: len(crops)].float().cpu().numpy()

    def _images(self, crops: Crops) -> torch.Tensor:
        # The bytes travel to the device, not four times as many floats. Same operations, in the same
        # order and precision, as core.images.normalise.
        images = torch.from_numpy(np.ascontiguousarray(crops)).to(self.device)
        images = images.permute(0, 3, 1, 2).contiguous().float()
        return images.mul_(self._scale).add_(self._shift)


def check_torch(device: str, made_in: int) -> None:
    """Refuse what would wait for ever in a child of `fork`.

    torch's threads belong to the process: a network opened in a child waits for those of the parent too.

    Raises:
        ForkError: the network lies on a GPU and was brought there by another process; or torch is to use
            several threads, as it did in a process that this one was forked from.
    """
    global _several_threads_in
    if device != "cpu":
        check_process(made_in, "a network on a GPU", "open it in the child")
    if torch.get_num_threads() > 1:
        _several_threads_in = _several_threads_in or os.getpid()
        if _several_threads_in != os.getpid():
            raise ForkError("the threads of torch", "call torch.set_num_threads(1) in the child")


def choose_device(device: str) -> str:
    """The device that `device` means here.

    Raises:
        InputError: not a device, or one this machine or this build of torch does not have.
    """
    if device == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        wanted = torch.device(device)
    except RuntimeError as error:
        raise InputError(f"device {device!r}: expected 'auto', 'cpu', 'cuda', 'cuda:N' or 'mps'") from error
    if wanted.type == "cuda" and (wanted.index or 0) >= torch.cuda.device_count():
        raise InputError(f"device {device!r}: torch finds {torch.cuda.device_count()} CUDA devices here")
    if wanted.type == "mps" and not torch.backends.mps.is_available():
        raise InputError(f"device {device!r}: torch finds no Apple GPU here")
    if wanted.type not in ("cpu", "cuda", "mps"):
        raise InputError(f"device {device!r}: expected 'auto', 'cpu', 'cuda', 'cuda:N' or 'mps'")
    return device


def open_file(path: Path, how: Opening) -> TorchBackend:
    """A model file in this engine, as the table of engines opens it."""
    return TorchBackend.open(path, device=how.device)

"""What an inference engine must offer, and the one check of what goes into it."""

from __future__ import annotations

from typing import Protocol, TypeGuard

import numpy as np

from omnireid.core.arrays import Float32, UInt8
from omnireid.core.card import ModelCard
from omnireid.core.errors import InputError, ShapeError
from omnireid.core.images import no_pixel

Crops = UInt8
Embeddings = Float32
FeatureMaps = Float32


class Backend(Protocol):
    """An engine with one model in it.

    Attributes:
        name: its name as `--backend` takes it.
        device: "cpu", "cuda", "cuda:1", "mps".
        card: the model's card; `card.input` states the size of the crops, `card.embedding_size` is D.

        calls_side_by_side: how many calls of one thread each fill the cores, of an engine whose calls can be
            told how many threads to use (`ToldBackend`); None where every call takes all it can get.

    Both methods may be called by several threads at once.
    """

    @property
    def name(self) -> str: ...

    @property
    def device(self) -> str: ...

    @property
    def card(self) -> ModelCard: ...

    @property
    def calls_side_by_side(self) -> int | None: ...

    def embed(self, crops: Crops) -> Embeddings:
        """(N, H, W, 3) uint8 RGB of the card's size, in one batch → (N, D) float32, not normalised."""
        ...

    def feature_maps(self, crops: Crops) -> FeatureMaps | None:
        """(N, H, W, 3) uint8 RGB → (N, C, h, w) float32, what the global average pool takes.

        None where the model does not give its activations away.
        """
        ...


class ToldBackend(Backend, Protocol):
    """An engine whose calls can be told how many threads to use, so that others run beside them."""

    def embed(self, crops: Crops, *, threads: int | None = None) -> Embeddings:
        """As `Backend.embed`; all of the engine's threads when None."""
        ...


def can_be_told(backend: Backend) -> TypeGuard[ToldBackend]:
    """Whether a call of this engine can be told how many threads to use."""
    return backend.calls_side_by_side is not None


def check_crops(crops: Crops, card: ModelCard) -> None:
    """Refuse what is not (N, H, W, 3) uint8 of the card's input size.

    Raises:
        ShapeError: another rank, channel order or size.
        InputError: another dtype.
    """
    if not isinstance(crops, np.ndarray):
        raise InputError(f"crops: expected an array (N, H, W, 3) of uint8 RGB, got {type(crops).__name__}")
    if crops.ndim == 4 and len(crops) > 0 and crops.size == 0:
        raise InputError(no_pixel("crops", *crops.shape[1:3]))
    expected = f"(N, {card.input.height}, {card.input.width}, 3)"
    if crops.ndim != 4 or crops.shape[1:] != (card.input.height, card.input.width, 3):
        raise ShapeError("crops", expected=expected, actual=crops.shape)
    if crops.dtype != np.uint8:
        raise InputError(f"crops: expected uint8 RGB (0 to 255), not normalised; got {crops.dtype}")

"""Test-time flip: an engine that embeds each crop and its mirror image."""

from __future__ import annotations

import numpy as np

from omnireid.core.card import ModelCard
from omnireid.core.vectors import unit_rows
from omnireid.inference.backends.protocol import Backend, Crops, Embeddings, FeatureMaps


class MirroredBackend:
    """An embedding is the mean of those of a crop and of its mirror image. Twice the work.

    Args:
        backend: the engine that embeds both.
        is_normalised: whether its embeddings are of unit length; the means are then, too.

    Source: how figures of BoT and its successors are often given (Luo et al., CVPRW 2019; fast-reid).
    """

    calls_side_by_side = None

    def __init__(self, backend: Backend, *, is_normalised: bool = False) -> None:
        self._backend = backend
        self._is_normalised = is_normalised
        self.name = f"{backend.name} + mirror image"
        self.device = backend.device

    @property
    def card(self) -> ModelCard:
        return self._backend.card

    def embed(self, crops: Crops) -> Embeddings:
        """(N, H, W, 3) uint8 RGB of the card's size → (N, D) float32."""
        mirrored = np.ascontiguousarray(crops[:, :, ::-1])
        rows = np.float32(0.5) * (self._backend.embed(crops) + self._backend.embed(mirrored))
        return unit_rows(rows, keep_zero=True) if self._is_normalised else rows

    def feature_maps(self, crops: Crops) -> FeatureMaps | None:
        """Those of the crops themselves."""
        return self._backend.feature_maps(crops)

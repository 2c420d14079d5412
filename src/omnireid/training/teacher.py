"""What a teacher says of the training pictures, on the device that trains."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from omnireid.core.arrays import Float32
from omnireid.core.errors import ShapeError
from omnireid.losses.table import Taught


class Teacher:
    """Another network's embeddings of every training picture, and their mean for each identity.

    The pictures as they are: what augmentation does to them, the teacher does not see.

    Args:
        embeddings: (N, E) of unit norm.
        labels: (N,) int64.

    Raises:
        ShapeError: another number of embeddings than of pictures.
    """

    def __init__(self, embeddings: Float32, labels: Tensor, device: torch.device) -> None:
        if embeddings.ndim != 2 or len(embeddings) != len(labels):
            raise ShapeError("teacher", expected=(len(labels), "E"), actual=embeddings.shape)
        self._embeddings = torch.from_numpy(embeddings)
        sums = torch.zeros(int(labels.max()) + 1, embeddings.shape[1]).index_add_(0, labels, self._embeddings)
        self._prototypes = F.normalize(sums, dim=1).to(device)
        self._device = device

    def rows(self, indices: Tensor) -> Tensor:
        """(n, E) of these pictures."""
        return self._embeddings[indices].to(self._device, non_blocking=True)

    def taught(self, embeddings: Tensor) -> Taught:
        """What losses get of a whole batch's rows."""
        return Taught(embeddings, self._prototypes)

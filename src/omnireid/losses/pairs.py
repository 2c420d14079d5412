"""What losses that compare the embeddings of a batch have in common."""

from __future__ import annotations

import torch
from torch import Tensor

from omnireid.core.errors import ShapeError


def check_labelled(embeddings: Tensor, labels: Tensor) -> Tensor:
    """The embeddings, in float32 where they are of half precision.

    Args:
        embeddings: (N, D) float, N at least 1.
        labels: (N,) integers.

    Raises:
        ShapeError: another shape.
    """
    if embeddings.ndim != 2 or len(embeddings) == 0:
        raise ShapeError("embeddings", expected="(N, D)", actual=tuple(embeddings.shape))
    if labels.shape != embeddings.shape[:1]:
        raise ShapeError("labels", expected=(len(embeddings),), actual=tuple(labels.shape))
    return embeddings.to(torch.promote_types(embeddings.dtype, torch.float32))

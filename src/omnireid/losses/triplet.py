"""Triplet loss with the hardest positive and negative of the batch."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from omnireid.core.errors import ConfigError
from omnireid.losses.pairs import check_labelled
from omnireid.losses.table import Loss


def hard_triplet_loss(embeddings: Tensor, labels: Tensor, margin: float | None) -> Tensor:
    """Batch-hard triplet loss: mean over anchors of max(0, margin + d(a, p) − d(a, n)).

    With a soft margin log(1 + exp(d(a, p) − d(a, n))), which goes on pulling where a margin has been reached.
    p is the farthest crop of the anchor's identity, n the closest of another; d is the Euclidean distance.
    An anchor that is alone in its identity has d(a, p) = 0. A batch of one identity has no triplet: its loss
    is 0 and moves nothing.

    Distances are taken from differences, not from ‖a‖² + ‖b‖² − 2ab, which in float32 loses everything where
    embeddings share a large offset. Half-precision embeddings are compared in float32.

    Args:
        embeddings: (N, D) float.
        labels: (N,) integers; equal means the same identity.
        margin: at least 0; None is the soft margin.

    Returns:
        () float32, or float64 for float64 embeddings.

    Raises:
        ShapeError: embeddings or labels of another shape.

    Source: Hermans et al., "In Defense of the Triplet Loss for Person Re-Identification", 2017.
    """
    embeddings = check_labelled(embeddings, labels)
    same_NN = labels[:, None] == labels[None, :]
    if same_NN.all():
        return embeddings.sum() * 0.0
    positive, negative = _hardest(embeddings.detach(), same_NN)
    dist_positive = torch.linalg.vector_norm(embeddings - embeddings[positive], dim=1)
    dist_negative = torch.linalg.vector_norm(embeddings - embeddings[negative], dim=1)
    if margin is None:
        return F.softplus(dist_positive - dist_negative).mean()
    return torch.relu(margin + dist_positive - dist_negative).mean()


def _hardest(embeddings: Tensor, same_NN: Tensor) -> tuple[Tensor, Tensor]:
    """(N,) indices of each anchor's farthest positive and closest negative."""
    dist_NN = torch.cdist(embeddings, embeddings, compute_mode="donot_use_mm_for_euclid_dist")
    positive = dist_NN.masked_fill(~same_NN, -torch.inf).argmax(dim=1)
    negative = dist_NN.masked_fill(same_NN, torch.inf).argmin(dim=1)
    return positive, negative


def make(num_pids: int, *, margin: float) -> Loss:
    """`hard_triplet_loss`, as the table of losses makes it."""
    if not margin >= 0:
        raise ConfigError(f"margin: at least 0, got {margin}")
    return lambda batch: hard_triplet_loss(batch.embeddings, batch.labels, margin)


def make_soft(num_pids: int) -> Loss:
    """`hard_triplet_loss` with a soft margin, as the table of losses makes it."""
    return lambda batch: hard_triplet_loss(batch.embeddings, batch.labels, None)

"""Weighted cross entropy over the attributes of a picture, each there or not."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from omnireid.core.errors import ShapeError
from omnireid.losses.table import Loss


def weighted_sigmoid_cross_entropy(logits: Tensor, labels: Tensor, shares: Tensor) -> Tensor:
    """Mean over pictures and attributes of −w·log p, where p is the predicted probability of what is true.

    The rarer an attribute is in training, the more a picture with it counts: with the share r of pictures
    that have it, w = exp(1 − r) for them and exp(r) for the others.

    Args:
        logits: (N, A) float.
        labels: (N, A) float, 1 where a picture has an attribute, else 0.
        shares: (A,) float, r.

    Returns:
        () float.

    Raises:
        ShapeError: labels or shares of another shape.

    Source: Li et al., "Multi-attribute Learning for Pedestrian Attribute Recognition" (DeepMAR), ACPR 2015,
    eq. 2 and 3 with σ = 1; the sum over attributes is a mean here.
    """
    if labels.shape != logits.shape:
        raise ShapeError("labels", expected=tuple(logits.shape), actual=tuple(labels.shape))
    if shares.shape != logits.shape[1:]:
        raise ShapeError("shares", expected=tuple(logits.shape[1:]), actual=tuple(shares.shape))
    weights = torch.where(labels > 0, torch.exp(1 - shares), torch.exp(shares))
    return F.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype), weights.to(logits.dtype))


def make(num_pids: int, *, shares: Tensor) -> Loss:
    """The loss of `num_pids` attributes, as the table of losses makes it."""
    return lambda batch: weighted_sigmoid_cross_entropy(
        batch.logits, batch.labels, shares.to(batch.logits.device)
    )

"""Cross entropy over the training identities."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from omnireid.core.errors import ConfigError, ShapeError
from omnireid.losses.table import Loss


def smoothed_cross_entropy(logits: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    """Cross entropy against (1 − ε)·one-hot + ε/K, averaged over the batch.

    Args:
        logits: (N, K) float, K the identities of the training split.
        labels: (N,) int64 in 0…K − 1.
        smoothing: ε in [0, 1); 0 is plain cross entropy.

    Returns:
        () float.

    Raises:
        ShapeError: logits or labels of another shape.

    Source: Szegedy et al., CVPR 2016; ε = 0.1 in OSNet's training.
    """
    if logits.ndim != 2:
        raise ShapeError("logits", expected=("N", "K"), actual=tuple(logits.shape))
    if labels.shape != logits.shape[:1]:
        raise ShapeError("labels", expected=(logits.shape[0],), actual=tuple(labels.shape))
    return F.cross_entropy(logits, labels, label_smoothing=smoothing)


def make(num_pids: int, *, label_smoothing: float) -> Loss:
    """`smoothed_cross_entropy`, as the table of losses makes it."""
    if not 0 <= label_smoothing < 1:
        raise ConfigError(f"smoothing: in [0, 1), got {label_smoothing}")
    return lambda batch: smoothed_cross_entropy(batch.logits, batch.labels, label_smoothing)

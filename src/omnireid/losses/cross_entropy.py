"""Cross entropy over the training identities."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from omnireid.core.errors import ConfigError, ShapeError
from omnireid.losses.table import Loss


class CrossEntropyLabelSmooth(nn.Module):
    """Cross entropy against (1 − ε)·one-hot + ε/K, averaged over the batch.

    Args:
        num_classes: K, identities of the training split.
        smoothing: ε in [0, 1); 0 is plain cross entropy.

    Source: Szegedy et al., CVPR 2016; ε = 0.1 in OSNet's training.
    """

    def __init__(self, num_classes: int, smoothing: float = 0.1) -> None:
        super().__init__()
        if num_classes < 1:
            raise ConfigError(f"num_classes: at least 1, got {num_classes}")
        if not 0 <= smoothing < 1:
            raise ConfigError(f"smoothing: in [0, 1), got {smoothing}")
        self.num_classes = num_classes
        self.smoothing = smoothing

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Loss of one batch.

        Args:
            logits: (N, num_classes) float.
            labels: (N,) int64 in 0…num_classes − 1.

        Returns:
            () float.

        Raises:
            ShapeError: logits or labels of another shape.
        """
        if logits.ndim != 2 or logits.shape[1] != self.num_classes:
            raise ShapeError("logits", expected=("N", self.num_classes), actual=tuple(logits.shape))
        if labels.shape != logits.shape[:1]:
            raise ShapeError("labels", expected=(logits.shape[0],), actual=tuple(labels.shape))
        return F.cross_entropy(logits, labels, label_smoothing=self.smoothing)


def make(num_pids: int, *, label_smoothing: float) -> Loss:
    """`CrossEntropyLabelSmooth`, as the table of losses makes it."""
    loss = CrossEntropyLabelSmooth(num_pids, smoothing=label_smoothing)
    return lambda batch: loss(batch.logits, batch.labels)

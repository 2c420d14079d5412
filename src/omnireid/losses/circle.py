"""Circle loss over the pairs of a batch."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from omnireid.core.errors import ConfigError
from omnireid.losses.pairs import check_labelled
from omnireid.losses.table import Loss


class CircleLoss(nn.Module):
    """Mean over anchors of log(1 + Σₙ exp(γ αₙ (sₙ − m)) · Σₚ exp(−γ αₚ (sₚ − 1 + m))).

    s are cosine similarities to the crops of other identities (n) and to the other crops of its own (p);
    αₙ = max(0, sₙ + m) and αₚ = max(0, 1 + m − sₚ) pull hardest what is farthest from its goal, and have no
    gradient. An anchor without a positive or without a negative counts as 0. Half-precision embeddings are
    compared in float32.

    Args:
        margin: m in [0, 1].
        scale: γ, above 0.

    Source: Sun et al., "Circle Loss", CVPR 2020, eqs. 6 and 8 to 10; m = 0.25 as there, γ = 64 as fast-reid.
    """

    def __init__(self, margin: float = 0.25, scale: float = 64.0) -> None:
        super().__init__()
        if not 0 <= margin <= 1:
            raise ConfigError(f"circle: margin in [0, 1], got {margin}")
        if not scale > 0:
            raise ConfigError(f"circle: scale above 0, got {scale}")
        self.margin = margin
        self.scale = scale

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Loss of one batch.

        Args:
            embeddings: (N, D) float, of any length.
            labels: (N,) integers; equal means the same identity.

        Returns:
            () float32, or float64 for float64 embeddings.

        Raises:
            ShapeError: embeddings or labels of another shape.
        """
        embeddings = check_labelled(embeddings, labels)
        unit = F.normalize(embeddings)
        sim_NN = unit @ unit.T
        same_NN = labels[:, None] == labels[None, :]
        positive_NN = same_NN & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
        pull_NN = torch.relu(1 + self.margin - sim_NN.detach()) * (sim_NN - 1 + self.margin)
        push_NN = torch.relu(sim_NN.detach() + self.margin) * (sim_NN - self.margin)
        # An empty sum is exp(−∞). What is masked must not meet a gradient of its own: 0 · ∞ is NaN.
        nothing = torch.finfo(sim_NN.dtype).min / 4
        sum_p = (-self.scale * pull_NN).masked_fill(~positive_NN, nothing).logsumexp(dim=1)
        sum_n = (self.scale * push_NN).masked_fill(same_NN, nothing).logsumexp(dim=1)
        return F.softplus(sum_p + sum_n).mean()


def make(num_pids: int, *, margin: float, scale: float) -> Loss:
    """`CircleLoss`, as the table of losses makes it."""
    loss = CircleLoss(margin=margin, scale=scale)
    return lambda batch: loss(batch.embeddings, batch.labels)

"""Circle loss over the pairs of a batch."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from omnireid.core.errors import ConfigError
from omnireid.losses.pairs import check_labelled
from omnireid.losses.table import Loss


def circle_loss(embeddings: Tensor, labels: Tensor, *, margin: float, scale: float) -> Tensor:
    """Mean over anchors of log(1 + Σₙ exp(γ αₙ (sₙ − m)) · Σₚ exp(−γ αₚ (sₚ − 1 + m))).

    s are cosine similarities to the crops of other identities (n) and to the other crops of its own (p);
    αₙ = max(0, sₙ + m) and αₚ = max(0, 1 + m − sₚ) pull hardest what is farthest from its goal, and have no
    gradient. An anchor without a positive or without a negative counts as 0. Half-precision embeddings are
    compared in float32.

    Args:
        embeddings: (N, D) float, of any length.
        labels: (N,) integers; equal means the same identity.
        margin: m in [0, 1].
        scale: γ, above 0.

    Returns:
        () float32, or float64 for float64 embeddings.

    Raises:
        ShapeError: embeddings or labels of another shape.

    Source: Sun et al., "Circle Loss", CVPR 2020, eqs. 6 and 8 to 10; m = 0.25 as there, γ = 64 as fast-reid.
    """
    embeddings = check_labelled(embeddings, labels)
    unit = F.normalize(embeddings)
    sim_NN = unit @ unit.T
    same_NN = labels[:, None] == labels[None, :]
    positive_NN = same_NN & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    pull_NN = torch.relu(1 + margin - sim_NN.detach()) * (sim_NN - 1 + margin)
    push_NN = torch.relu(sim_NN.detach() + margin) * (sim_NN - margin)
    # An empty sum is exp(−∞). What is masked must not meet a gradient of its own: 0 · ∞ is NaN.
    nothing = torch.finfo(sim_NN.dtype).min / 4
    sum_p = (-scale * pull_NN).masked_fill(~positive_NN, nothing).logsumexp(dim=1)
    sum_n = (scale * push_NN).masked_fill(same_NN, nothing).logsumexp(dim=1)
    return F.softplus(sum_p + sum_n).mean()


def make(num_pids: int, *, margin: float, scale: float) -> Loss:
    """`circle_loss`, as the table of losses makes it."""
    if not 0 <= margin <= 1:
        raise ConfigError(f"circle: margin in [0, 1], got {margin}")
    if not scale > 0:
        raise ConfigError(f"circle: scale above 0, got {scale}")
    return lambda batch: circle_loss(batch.embeddings, batch.labels, margin=margin, scale=scale)

"""What a network can learn from another one's embeddings of the same pictures."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from omnireid.core.errors import ConfigError, ShapeError
from omnireid.losses.table import Loss, LossBatch, Taught


class FeatureLoss(nn.Module):
    """Mean over the batch of 1 − cos(P·x, t), x the embedding and t the teacher's.

    P is a matrix that is learned with the network: the teacher's coordinates need not be the network's,
    nor as many, nor of one sign. It begins as a part of the identity.

    Args:
        num_pids: plays no part.
        embedding_size, teacher_size: D and E.

    Source: hints of Romero et al., "FitNets", ICLR 2015, on the last layer and by angle.
    """

    def __init__(self, num_pids: int, *, embedding_size: int, teacher_size: int) -> None:
        super().__init__()
        self.projection = nn.Parameter(torch.eye(teacher_size, embedding_size))

    def forward(self, batch: LossBatch) -> Tensor:
        """Loss of one batch, () float32. Gradients flow into the embeddings and P."""
        teacher = _taught(batch).embeddings
        _check(batch.embeddings, teacher)
        projected = F.linear(batch.embeddings.float(), self.projection)
        return (1 - F.cosine_similarity(projected, teacher)).mean()


def distance_loss(embeddings: Tensor, teacher: Tensor) -> Tensor:
    """Huber loss between all pairs' Euclidean distances, those of either side divided by their mean.

    Args:
        embeddings: (N, D) float; teacher: (N, E) float, of any size.

    Returns:
        () float32; 0 for a single picture. Gradients flow into the embeddings.

    Source: Park et al., "Relational Knowledge Distillation", CVPR 2019, eqs. 4 to 6.
    """
    _check(embeddings, teacher)
    if len(embeddings) < 2:
        return embeddings.float().sum() * 0.0
    return F.smooth_l1_loss(_relative_distances(embeddings.float()), _relative_distances(teacher.float()))


def angle_loss(embeddings: Tensor, teacher: Tensor) -> Tensor:
    """Huber loss between the cosines of all angles that three pictures make.

    Args:
        embeddings: (N, D) float; teacher: (N, E) float, of any size. Memory grows with N²·(N + D):
            9 MB at N 64 and D 512.

    Returns:
        () float32. Gradients flow into the embeddings.

    Source: Park et al., "Relational Knowledge Distillation", CVPR 2019, eqs. 7 and 8.
    """
    _check(embeddings, teacher)
    return F.smooth_l1_loss(_angles(embeddings.float()), _angles(teacher.float()))


def logit_loss(logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:
    """T² · KL(softmax(teacher/T) ‖ softmax(logits/T)), averaged over the batch.

    Args:
        logits, teacher_logits: (N, C) float.

    Source: Hinton et al., "Distilling the Knowledge in a Neural Network", 2015.
    """
    if logits.shape != teacher_logits.shape:
        raise ShapeError("teacher_logits", expected=tuple(logits.shape), actual=tuple(teacher_logits.shape))
    student, teacher = (
        F.log_softmax(values.float() / temperature, dim=1) for values in (logits, teacher_logits)
    )
    return temperature**2 * F.kl_div(student, teacher, log_target=True, reduction="batchmean")


def _check(embeddings: Tensor, teacher: Tensor) -> None:
    if embeddings.ndim != 2:
        raise ShapeError("embeddings", expected=("N", "D"), actual=tuple(embeddings.shape))
    if teacher.ndim != 2 or len(teacher) != len(embeddings):
        raise ShapeError("teacher", expected=(len(embeddings), "E"), actual=tuple(teacher.shape))


def _relative_distances(rows: Tensor) -> Tensor:
    """(N·(N−1)/2,) distances over their mean."""
    distances = F.pdist(rows)
    return distances / distances.mean().clamp_min(1e-12)


def _angles(rows: Tensor) -> Tensor:
    """(N, N, N): at i, j, k the cosine between k − i and j − i; 0 where two are the same."""
    directions = F.normalize(rows[None] - rows[:, None], dim=2)
    return directions @ directions.transpose(1, 2)


def make_distances(num_pids: int) -> Loss:
    """`distance_loss`, as the table of losses makes it."""
    return lambda batch: distance_loss(batch.embeddings, _taught(batch).embeddings)


def make_angles(num_pids: int) -> Loss:
    """`angle_loss`, as the table of losses makes it."""
    return lambda batch: angle_loss(batch.embeddings, _taught(batch).embeddings)


def make_logits(num_pids: int, *, scale: float, temperature: float) -> Loss:
    """`logit_loss` against scale · cosine to each identity's prototype, as the table of losses makes it."""
    if not (scale > 0 and temperature > 0):
        raise ConfigError(f"teacher_logits: scale and temperature above 0, got {scale} and {temperature}")

    def loss(batch: LossBatch) -> Tensor:
        taught = _taught(batch)
        return logit_loss(batch.logits, scale * taught.embeddings @ taught.prototypes.T, temperature)

    return loss


def make_mutual(num_pids: int, *, temperature: float) -> Loss:
    """`logit_loss` against what the network beside it predicts, as the table of losses makes it.

    Source: Zhang et al., "Deep Mutual Learning", CVPR 2018.
    """
    if not temperature > 0:
        raise ConfigError(f"mutual: a temperature above 0, got {temperature}")

    def loss(batch: LossBatch) -> Tensor:
        assert batch.peer_logits is not None
        return logit_loss(batch.logits, batch.peer_logits, temperature)

    return loss


def _taught(batch: LossBatch) -> Taught:
    assert batch.taught is not None
    return batch.taught

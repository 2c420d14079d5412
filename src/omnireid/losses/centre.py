"""Centre loss: each identity's embeddings near their centre."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from omnireid.core.errors import ConfigError, ShapeError
from omnireid.losses.pairs import check_labelled
from omnireid.losses.table import LossBatch


class CentreLoss(nn.Module):
    """½ · mean over the batch of ‖x − c‖², c the centre of the crop's identity.

    The centres learn from no gradient. After each batch in training, the centre of an identity that was in it
    moves by `rate` · Σ (x − c) / (1 + n), over its n crops. They are part of the checkpoint.

    Args:
        num_pids: identities; their centres begin at 0.
        embedding_size: D.
        rate: in (0, 1].

    Source: Wen et al., "A Discriminative Feature Learning Approach for Deep Face Recognition", ECCV 2016,
    eqs. 2 to 4, with rate 0.5. The sum there is a mean here, so that its weight does not depend on the batch.
    """

    centres: Tensor

    def __init__(self, num_pids: int, *, embedding_size: int, rate: float) -> None:
        super().__init__()
        if not 0 < rate <= 1:
            raise ConfigError(f"centre: rate in (0, 1], got {rate}")
        self.rate = rate
        self.register_buffer("centres", torch.zeros(num_pids, embedding_size))

    def forward(self, batch: LossBatch) -> Tensor:
        """Loss of one batch, () float32.

        Raises:
            ShapeError: embeddings of another size, or labels of another number.
        """
        embeddings = check_labelled(batch.embeddings, batch.labels)
        if embeddings.shape[1] != self.centres.shape[1]:
            raise ShapeError("embeddings", expected=("N", self.centres.shape[1]), actual=embeddings.shape)
        # A copy: the centres move before gradients are taken.
        away = embeddings - self.centres[batch.labels]
        if self.training:
            self._move(away.detach(), batch.labels)
        return 0.5 * away.square().sum(dim=1).mean()

    def _move(self, away: Tensor, labels: Tensor) -> None:
        total = torch.zeros_like(self.centres).index_add_(0, labels, away.to(self.centres.dtype))
        count = torch.bincount(labels, minlength=len(self.centres))[:, None]
        self.centres += self.rate * total / (1 + count)

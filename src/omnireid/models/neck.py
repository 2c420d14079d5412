"""What stands between feature maps and embeddings: GeM pooling and the BNNeck."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from omnireid.models.network_config import SMALLEST_POOLED


def generalised_mean(feature_maps: Tensor, power: float) -> Tensor:
    """GeM: (mean of max(x, 1e-6)^p)^(1/p) over each map; the mean where p is 1, the maximum where p → ∞.

    Half-precision maps are raised to their power in float32.

    Args:
        feature_maps: (N, C, h, w), not negative.
        power: p, at least 1.

    Returns:
        (N, C) of the maps' type.

    Source: Radenović et al., "Fine-tuning CNN Image Retrieval with No Human Annotation", TPAMI 2019, eq. 3.
    Its power is learned, from 3 on; here it is a number of the configuration, which every engine knows.
    """
    if power == 1:
        return feature_maps.mean(dim=(2, 3))
    values = feature_maps.to(torch.promote_types(feature_maps.dtype, torch.float32))
    raised = values.clamp(min=SMALLEST_POOLED).pow(power)
    return raised.mean(dim=(2, 3)).pow(1 / power).to(feature_maps.dtype)


class BNNeck(nn.BatchNorm1d):
    """Batch norm between the vectors that distances are learned in and the classifier; its shift rests at 0.

    What comes out is the embedding: it is what is searched with. Without a shift, and with a classifier
    without one, classes are told apart by directions, as cosine distance tells embeddings.

    Source: Luo et al., "Bag of Tricks and a Strong Baseline for Deep Person Re-identification", CVPRW 2019.
    """

    def __init__(self, size: int) -> None:
        super().__init__(size)
        # Under the name that folding and weight files know, but nothing that an optimiser moves.
        del self.bias
        self.register_buffer("bias", torch.zeros(size))

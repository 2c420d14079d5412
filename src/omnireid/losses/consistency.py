"""How far a network's predictions on several views of the same crops are apart."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from omnireid.core.errors import ShapeError
from omnireid.losses.table import Loss


def jensen_shannon(logits_VNC: Tensor) -> Tensor:
    """Jensen-Shannon divergence between the class predictions on V views, averaged over the batch.

    For each crop, with p_v the softmax over its v-th view and m = mean of the p_v: mean over v of
    KL(p_v ‖ m) = Σ p_v · log(p_v / m). It is 0 where all views are predicted alike and at most log V.
    Half-precision logits are compared in float32.

    Args:
        logits_VNC: (V, N, C) float.

    Returns:
        () float32, or float64 for float64 logits. Gradients flow into every view.

    Raises:
        ShapeError: logits of another shape, or no views, crops or classes.

    Source: Hendrycks et al., "AugMix", ICLR 2020, with three views and weight 12; CIL (Chen et al., NeurIPS
    2021 Datasets and Benchmarks) takes it over. Both bound m from below by 1e-7; logarithms need no bound.
    """
    if logits_VNC.ndim != 3 or logits_VNC.numel() == 0:
        raise ShapeError("logits", expected=("V", "N", "C"), actual=tuple(logits_VNC.shape))
    if logits_VNC.dtype != torch.float64:
        logits_VNC = logits_VNC.float()
    log_p_VNC = logits_VNC.log_softmax(dim=2)
    log_m_NC = log_p_VNC.logsumexp(dim=0) - math.log(len(log_p_VNC))
    return (log_p_VNC.exp() * (log_p_VNC - log_m_NC)).sum(dim=2).mean()


def make(num_pids: int) -> Loss:
    """`jensen_shannon` between a crop and its views, as the table of losses makes it."""
    return lambda batch: jensen_shannon(batch.logits_VNC)

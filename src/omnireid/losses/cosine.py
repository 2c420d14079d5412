"""Cosine softmax: cross entropy over cosines with a margin for the true class (CosFace, ArcFace)."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from omnireid.core.errors import ConfigError, ShapeError
from omnireid.losses.table import Loss, LossBatch


def cosface_logits(cosines: Tensor, labels: Tensor, *, scale: float, margin: float) -> Tensor:
    """s · cos θ, and s · (cos θ − m) for the true class.

    Args:
        cosines: (N, C) float in −1…1.
        labels: (N,) int64 in 0…C − 1.

    Returns:
        (N, C), of the type of `cosines`.

    Source: Wang et al., "CosFace", CVPR 2018, eq. 4.
    """
    _check(cosines, labels)
    true = F.one_hot(labels, cosines.shape[1]).to(cosines.dtype)
    return scale * (cosines - margin * true)


def arcface_logits(cosines: Tensor, labels: Tensor, *, scale: float, margin: float) -> Tensor:
    """s · cos θ, and s · cos(θ + m) for the true class.

    Where θ + m would pass π, after which the cosine rises again, stands cos θ − m · sin m.

    Args, returns: as `cosface_logits`.

    Source: Deng et al., "ArcFace", CVPR 2019, eq. 3; the straight line beyond π is that of the authors' code.
    """
    _check(cosines, labels)
    true = cosines.gather(1, labels[:, None])
    # The root has no gradient at ±1.
    sine = (1 - true.square()).clamp(min=1e-12).sqrt()
    moved = true * math.cos(margin) - sine * math.sin(margin)
    moved = torch.where(true > -math.cos(margin), moved, true - margin * math.sin(margin))
    return scale * cosines.scatter(1, labels[:, None], moved)


def _check(cosines: Tensor, labels: Tensor) -> None:
    if cosines.ndim != 2 or len(cosines) == 0:
        raise ShapeError("cosines", expected=("N", "C"), actual=tuple(cosines.shape))
    if labels.shape != cosines.shape[:1]:
        raise ShapeError("labels", expected=(len(cosines),), actual=tuple(labels.shape))


def _make(
    name: str, logits: Callable[..., Tensor], *, scale: float, margin: float, label_smoothing: float
) -> Loss:
    if not scale > 0:
        raise ConfigError(f"{name}: scale above 0, got {scale}")
    if not 0 <= margin < math.pi / 2:
        raise ConfigError(f"{name}: margin in [0, π/2), got {margin}")
    if not 0 <= label_smoothing < 1:
        raise ConfigError(f"{name}: label_smoothing in [0, 1), got {label_smoothing}")

    def loss(batch: LossBatch) -> Tensor:
        cosines = F.linear(F.normalize(batch.necked.float()), F.normalize(batch.class_weights.float()))
        given = logits(cosines, batch.labels, scale=scale, margin=margin)
        return F.cross_entropy(given, batch.labels, label_smoothing=label_smoothing)

    return loss


def make_cosface(num_pids: int, **options: float) -> Loss:
    """CosFace of embeddings and class weights, as the table of losses makes it."""
    return _make("cosface", cosface_logits, **options)


def make_arcface(num_pids: int, **options: float) -> Loss:
    """ArcFace of embeddings and class weights, as the table of losses makes it."""
    return _make("arcface", arcface_logits, **options)

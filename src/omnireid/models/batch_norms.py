"""Batch norms that were folded into their convolutions, and statistics for them.

A folded norm is a scale of 1, a shift, mean 0 and variance 1. That gives the same embeddings, but training
normalises by each batch's own statistics: the first step would put other activations in the place of those
that the convolutions behind it expect, and nothing of the network would be left.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from omnireid.core.errors import WeightsError
from omnireid.models.network import Network
from omnireid.models.registry import blank_network

_BatchNorm = nn.BatchNorm1d | nn.BatchNorm2d


def folded_norms(network: nn.Module) -> list[str]:
    """Names of the batch norms whose mean and variance are those of no data.

    The norms of a network that was never trained are none of them: their scale is 1 and their shift 0.
    """
    return [
        name
        for name, norm in network.named_modules()
        if isinstance(norm, _BatchNorm) and _is_neutral(norm) and not _is_fresh(norm)
    ]


def folded_note(network: nn.Module) -> list[str]:
    """What a card says of folded norms; nothing where there are none."""
    folded = len(folded_norms(network))
    if not folded:
        return []
    return [f"{folded} batch norms are folded into their convolutions; training measures statistics first."]


def restore_statistics(network: Network, batches: Iterable[Tensor]) -> int:
    """Give folded batch norms the statistics of these pictures, and leave what the network computes as it is.

    With mean m and variance v of what reaches a norm, its scale becomes √(v + ε) times what it was and its
    shift takes m along: the same function to rounding, and now also the one that training computes. Nothing
    that reaches a norm changes on the way, so one pass serves all of them.

    The layer before it gets the scale of a fresh one, which its norm takes off again. Folding leaves weights
    some 25 times as large as training made them (published ×0.25), and behind a norm a step turns weights by
    the inverse square of their size: they would hardly learn.

    Args:
        network: changed in place, and left in evaluation mode.
        batches: (N, 3, H, W) as training gives them, at least one of two or more pictures.

    Returns:
        How many norms were folded.

    Raises:
        WeightsError: what reaches a norm is not finite.
    """
    names = folded_norms(network)
    moments: dict[str, list[Tensor]] = {name: [] for name in names}

    def measure(name: str, values: Tensor) -> None:
        by_channel = values.detach().float().transpose(0, 1).flatten(1)
        # The mean over batches of a batch's own variance: what running statistics converge to.
        variance, mean = torch.var_mean(by_channel, dim=1)
        # On the CPU, as not every device has doubles.
        moments[name].append(torch.stack([mean, variance]).cpu().double())

    handles = [
        network.get_submodule(name).register_forward_pre_hook(
            lambda _, inputs, name=name: measure(name, inputs[0])
        )
        for name in names
    ]
    network.eval()
    try:
        with torch.no_grad():
            for pictures in batches:
                network(pictures)
    finally:
        for handle in handles:
            handle.remove()
    fresh = blank_network(network.config)
    for name in names:
        mean, variance = torch.stack(moments[name]).mean(0)
        if not (mean.isfinite().all() and variance.isfinite().all()):
            raise WeightsError(f"batch norm {name}: what reaches it on the training pictures is not finite")
        layer, norm = _layer_and_norm(network, name)
        fresh_layer, _ = _layer_and_norm(fresh, name)
        size = _size(layer)
        _set_statistics(layer, norm, mean, variance, factor=_size(fresh_layer) / size if size else 1.0)
    return len(names)


def _layer_and_norm(network: Network, name: str) -> tuple[nn.Module, nn.Module]:
    """A norm and the layer that its parent has before it."""
    parent, _, last = name.rpartition(".")
    children = dict(network.get_submodule(parent).named_children())
    before = list(children)[list(children).index(last) - 1]
    return children[before], children[last]


def _size(layer: nn.Module) -> float:
    return float(layer.get_parameter("weight").detach().square().mean().sqrt())


def _is_neutral(norm: _BatchNorm) -> bool:
    mean, variance = norm.running_mean, norm.running_var
    if mean is None or variance is None:
        return False
    # A folded norm that lost its ε has a variance of 1 - ε.
    return bool((mean == 0).all() and ((variance - 1).abs() < 1e-4).all())


def _is_fresh(norm: _BatchNorm) -> bool:
    return not norm.affine or bool((norm.weight == 1).all() and (norm.bias == 0).all())


@torch.no_grad()
def _set_statistics(
    layer: nn.Module, norm: nn.Module, mean: Tensor, variance: Tensor, *, factor: float
) -> None:
    """Scale the layer by a factor, and give its norm what then reaches it; the two compute what they did."""
    assert isinstance(norm, _BatchNorm)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    weight, bias, old_mean, old_variance = (
        values.cpu().double() for values in (norm.weight, norm.bias, norm.running_mean, norm.running_var)
    )
    slope = weight / (old_variance + norm.eps).sqrt()
    norm.bias.copy_(bias + slope * (mean - old_mean))
    norm.weight.copy_(slope / factor * (factor**2 * variance + norm.eps).sqrt())
    norm.running_mean.copy_(factor * mean)
    norm.running_var.copy_(factor**2 * variance)
    for values in layer.parameters():
        values.mul_(factor)

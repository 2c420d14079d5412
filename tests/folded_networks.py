"""Networks whose batch norms are folded into their convolutions, as exporters leave them."""

from __future__ import annotations

import copy

import torch
from torch import nn

from omnireid.models.osnet import ConvNorm, Lite3x3, OSNet
from omnireid.models.registry import build_model


def trained_network(architecture: str, pictures: torch.Tensor) -> OSNet:
    """Drawn weights with the statistics of these pictures and norms that differ from channel to channel."""
    generator = torch.Generator().manual_seed(3)
    network = build_model(architecture)
    network.initialise(generator)
    with torch.no_grad():
        for norm in network.modules():
            if isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d):
                norm.weight.copy_(0.5 + torch.rand(norm.weight.shape, generator=generator))
                norm.bias.copy_(0.3 * torch.randn(norm.bias.shape, generator=generator))
                norm.momentum = 1.0
        network.train()(pictures)
    for norm in network.modules():
        if isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d):
            norm.momentum = 0.1
    return network.eval()


@torch.no_grad()
def folded(network: OSNet) -> OSNet:
    """The same function with every batch norm in the weights before it; what is left of a norm is a shift."""
    network = copy.deepcopy(network)
    pairs: list[tuple[nn.Module, nn.Module | None]] = [(network.fc[0], network.fc[1])]
    for module in network.modules():
        if isinstance(module, ConvNorm):
            pairs.append((module.conv, module.bn))
        elif isinstance(module, Lite3x3):
            pairs.append((module.conv2, module.bn))
    for linear, norm in pairs:
        if not isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d):
            continue
        slope = norm.weight / (norm.running_var + norm.eps).sqrt()
        linear.weight.mul_(slope.reshape(-1, *[1] * (linear.weight.ndim - 1)))
        norm.bias.sub_(slope * norm.running_mean)
        if isinstance(linear, nn.Linear):
            norm.bias.add_(slope * linear.bias)
            linear.bias.zero_()
        norm.weight.fill_(1)
        norm.running_mean.zero_()
        norm.running_var.fill_(1 - norm.eps)
    return network

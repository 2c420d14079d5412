"""Parameters and multiply-adds, counted as OSNet's paper counts them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from omnireid.core.errors import InputError
from omnireid.models.network import Network
from omnireid.models.registry import blank_network


@dataclass(frozen=True)
class StageComplexity:
    """One row of the paper's Table 1."""

    parameters: int
    mult_adds: int


@dataclass(frozen=True)
class Complexity:
    """What a network costs for one image.

    Attributes:
        parameters: learned values, each counted once however often it is used.
        mult_adds: multiply-adds of convolutions and linear layers, a bias being one per output value; a gate
            counts once for every stream it is applied to. Normalisation, ReLU and pooling are not counted.
        stages: the same for each row of the paper's Table 1; see `Network.stages`.
    """

    parameters: int
    mult_adds: int
    stages: dict[str, StageComplexity]


def complexity(model: Network, height: int = 256, width: int = 128) -> Complexity:
    """Count a network at one input size, on a copy that has no hooks of the caller's.

    Raises:
        InputError: the input is smaller than the network's 16-fold reduction.

    Source: Zhou et al., ICCV 2019, Tables 1 and 6, whose 16 figures this rule reproduces.
    """
    if height < 16 or width < 16:
        raise InputError(f"input size {height}×{width}: at least 16×16")
    probe = blank_network(model.config).eval()
    mult_adds = dict.fromkeys(probe.stages(), 0)

    def count(stage: str, per_value: int, _layer: nn.Module, _input: object, output: Tensor) -> None:
        mult_adds[stage] += output.numel() * per_value

    for stage, module in probe.stages().items():
        for layer in module.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                per_value = math.prod(layer.weight.shape[1:]) + (layer.bias is not None)
                layer.register_forward_hook(partial(count, stage, per_value))
    with torch.no_grad():
        probe(torch.zeros(1, 3, height, width))

    stages = {
        name: StageComplexity(sum(p.numel() for p in module.parameters()), mult_adds[name])
        for name, module in probe.stages().items()
    }
    return Complexity(
        parameters=sum(p.numel() for p in model.parameters()),
        mult_adds=sum(mult_adds.values()),
        stages=stages,
    )

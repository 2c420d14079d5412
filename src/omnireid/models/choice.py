"""Layers among which training chooses: differentiable architecture search, as OSNet-AIN was found.

Source: Zhou et al., "Learning Generalisable Omni-Scale Representations for Person Re-Identification", TPAMI
2021; the form of the weights, their start and the norms without scale as in the authors' code (torchreid,
projects/OSNet_AIN).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

_SMALLEST = 1e-12
"""Of weights whose logarithm is taken."""


class Choice(nn.Module):
    """One of several candidate layers.

    In training it gives Σ pₖ · candidateₖ(x), with p = softmax((log max(w, 0) + g) / λ): w is learned with
    everything else, g is Gumbel noise (one draw for a batch) and λ the temperature. At a high temperature p
    is nearly even, at a low one it is nearly one candidate, drawn in proportion to w. In evaluation it gives
    the candidate whose w is largest: the network that would be built of what has been learned.

    Args:
        candidates: by name; all take and give the same shapes.

    Attributes:
        weights: w, (K,), from 1 on. A candidate whose weight has fallen to 0 is out.
    """

    def __init__(self, candidates: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.candidates = nn.ModuleDict(candidates)
        self.weights = nn.Parameter(torch.ones(len(candidates)))
        self._noise = torch.zeros(len(candidates))
        self._temperature = 1.0

    def draw(self, temperature: float, generator: torch.Generator) -> None:
        """Set the temperature, and draw the noise of the next step (on the CPU, the same on every device)."""
        # Minus the logarithm of an exponentially distributed number is Gumbel distributed.
        exponential = torch.empty(len(self.candidates)).exponential_(generator=generator)
        self._noise = -exponential.clamp(min=_SMALLEST).log()
        self._temperature = temperature

    def sampled(self) -> Tensor:
        """p, (K,): the candidates' parts in the step that was drawn last."""
        logits = self.weights.relu().clamp(min=_SMALLEST).log() + self._noise.to(self.weights.device)
        return torch.softmax(logits / self._temperature, dim=0)

    @torch.no_grad()
    def shares(self) -> dict[str, float]:
        """How probable each candidate is: the weights, scaled to a sum of 1."""
        weights = self.weights.relu().clamp(min=_SMALLEST)
        return dict(zip(self.candidates, (weights / weights.sum()).tolist(), strict=True))

    @property
    def chosen(self) -> str:
        """The most probable candidate; the first of several."""
        return list(self.candidates)[int(self.weights.argmax())]

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            chosen: Tensor = self.candidates[self.chosen](x)
            return chosen
        first, *others = zip(self.sampled(), self.candidates.values(), strict=True)
        total: Tensor = first[0] * first[1](x)
        for part, layer in others:
            total = total + part * layer(x)
        return total


def choices(network: nn.Module) -> dict[str, Choice]:
    """The choices of a network by the names of their modules, in order."""
    return {name: module for name, module in network.named_modules() if isinstance(module, Choice)}


def without_affine(network: nn.Module) -> None:
    """Take scale and shift from each norm, so that no candidate wins by the scale of its own norm."""
    for norm in network.modules():
        if isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d | nn.InstanceNorm2d):
            norm.affine = False
            for name in ("weight", "bias"):
                delattr(norm, name)
                norm.register_parameter(name, None)

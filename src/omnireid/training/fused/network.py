"""Training an OSNet through the fused kernels where they know the way, and as it is written elsewhere."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from omnireid.models.fusion import AggregationGate
from omnireid.models.osnet import ConvNorm, OSBlock, OSNet
from omnireid.training.fused.block import FusedBlock
from omnireid.training.fused.plan import BlockPlan
from omnireid.training.fused.stem import FusedPointwise, FusedPool
from omnireid.training.fused.workers import Workers


def fuse_training(network: nn.Module, threads: int) -> int:
    """Have an OSNet's blocks, stem and 1×1 layers compute training steps by compiled kernels.

    Modules, parameters and state dict stay as they are, and so does what is computed, to rounding. Steps in
    evaluation mode, with a frozen norm, without gradients, under autocast, of another type than float32 or
    on another device than the CPU go through the network as it is written.

    Args:
        network: any network; of others than OSNet, and of one that is searched, nothing is changed.
        threads: how many work on a batch. The result does not depend on it.

    Returns:
        How many parts have fused steps.
    """
    if not isinstance(network, OSNet) or network.config.is_searched:
        return 0
    workers = Workers(threads)
    steps: list[tuple[nn.Module, str, _Step]] = [
        (block, "forward", _BlockStep(block, workers))
        for block in network.modules()
        if isinstance(block, OSBlock) and _is_known(block)
    ]
    steps += [
        (layer, "forward", _PointwiseStep(layer, workers))
        for layer in _between_blocks(network)
        if _all_sixteens(layer.conv) and layer.bn is not None
    ]
    if network.conv1.conv.out_channels % 16 == 0 and network.config.stem_stride == 4:
        steps.append((network, "stem", _StemStep(network, workers)))
    for module, name, step in steps:
        # In place of the class's method; no module, so that the state dict stays as it is.
        module.__dict__[name] = step
    return len(steps)


def _between_blocks(network: OSNet) -> list[ConvNorm]:
    """The 1×1s of the transitions, and conv5."""
    inside = {
        id(part) for block in network.modules() if isinstance(block, OSBlock) for part in block.modules()
    }
    return [
        layer
        for layer in network.modules()
        if isinstance(layer, ConvNorm) and id(layer) not in inside and layer.conv.kernel_size == (1, 1)
    ]


def _is_known(block: OSBlock) -> bool:
    gate = block.gate
    return (
        block.is_lite
        and isinstance(gate, AggregationGate)
        and gate.fc1.in_channels == gate.fc2.out_channels
        and block.placement in ("none", "inside")
        and _all_sixteens(block.conv1.conv, outputs=False)
        and _all_sixteens(block.conv3.conv, inputs=False)
    )


def _all_sixteens(conv: nn.Conv2d, *, inputs: bool = True, outputs: bool = True) -> bool:
    return not (inputs and conv.in_channels % 16) and not (outputs and conv.out_channels % 16)


class _Step:
    """A part of a network with another way to compute it; as `forward` is called."""

    def __init__(self, module: nn.Module, workers: Workers) -> None:
        self._module, self._workers = module, workers

    def _is_due(self, x: Tensor, norms: Iterable[nn.Module | None]) -> bool:
        return (
            torch.is_grad_enabled()
            and x.device.type == "cpu"
            and x.dtype == torch.float32
            and not torch.is_autocast_enabled("cpu")
            and not torch.compiler.is_compiling()
            and x.shape[2] * x.shape[3] > 1
            and all(_uses_batch(norm) for norm in norms)
        )


class _BlockStep(_Step):
    def __init__(self, block: OSBlock, workers: Workers) -> None:
        super().__init__(block, workers)
        self._plan = BlockPlan(block)

    def __call__(self, x: Tensor) -> Tensor:
        plan = self._plan
        if not self._is_due(x, plan.norms()):
            return OSBlock.forward(plan.block, x)
        return _applied(FusedBlock, x, plan, self._workers, *plan.parameters())


class _PointwiseStep(_Step):
    _module: ConvNorm

    def __call__(self, x: Tensor) -> Tensor:
        layer = self._module
        if not self._is_due(x, (layer.bn,)):
            return ConvNorm.forward(layer, x)
        return _applied(FusedPointwise, x, layer, self._workers, *layer.parameters())


class _StemStep(_Step):
    _module: OSNet

    def __call__(self, images: Tensor) -> Tensor:
        stem = self._module.conv1
        if not self._is_due(images, (stem.bn,)):
            return OSNet.stem(self._module, images)
        assert stem.bn is not None
        return _applied(FusedPool, stem.conv(images), stem.bn, self._workers, *stem.bn.parameters())


def _applied(function: type[torch.autograd.Function], x: Tensor, *arguments: Any) -> Tensor:
    apply: Any = function.apply
    result: Tensor = apply(x, *arguments)
    return result


def _uses_batch(norm: nn.Module | None) -> bool:
    """Whether a norm is one of the known kinds that goes by the batch's own statistics."""
    if type(norm) is nn.BatchNorm2d:
        return norm.training and norm.affine and norm.track_running_stats and norm.momentum is not None
    return type(norm) is nn.InstanceNorm2d and norm.affine and not norm.track_running_stats

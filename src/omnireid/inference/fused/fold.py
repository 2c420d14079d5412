"""OSNet's weights with every batch norm folded into the convolution before it. Imports no torch.

All fast forms start here. A batch norm in evaluation is a scale and a shift per channel: the scale goes into
the convolution's weights, the shift becomes its bias. Folding is done in float64.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from omnireid.core.arrays import AnyFloat, Float64
from omnireid.core.errors import ConfigError
from omnireid.models.network_config import NetworkConfig
from omnireid.models.osnet_config import OSNetConfig, Placement

Weights = Float64

NORM_EPSILON = 1e-5
"""Of every batch and instance norm of the family."""


@dataclass(frozen=True)
class Convolution:
    """`weight` (O, I, k, k) and `bias` (O,)."""

    weight: Weights
    bias: Weights


@dataclass(frozen=True)
class InstanceNorm:
    """`weight` and `bias` (C,), which follow each picture's channels brought to mean 0 and variance 1."""

    weight: Weights
    bias: Weights


@dataclass(frozen=True)
class Lite:
    """Lite 3×3: `pointwise` (C, C) without bias, `depthwise` (C, 3, 3), `bias` (C,), then ReLU."""

    pointwise: Weights
    depthwise: Weights
    bias: Weights


@dataclass(frozen=True)
class Gate:
    """The shared gate: means → `reduce` (h, C) and (h,) → ReLU → `restore` (C, h) and (C,) → sigmoid."""

    reduce: Weights
    reduce_bias: Weights
    restore: Weights
    restore_bias: Weights


@dataclass(frozen=True)
class Block:
    """An omni-scale block.

    Attributes:
        reduce: 1×1 to the bottleneck, then ReLU.
        streams: the Lite 3×3 layers of each stream.
        gate: weighs the streams' channels before they are added.
        restore: 1×1 to the block's width, no ReLU.
        shortcut: 1×1 where input and output differ in width, else None.
        inside, after: instance norms on the residual branch, and after the addition; or None.
    """

    reduce: Convolution
    streams: tuple[tuple[Lite, ...], ...]
    gate: Gate
    restore: Convolution
    shortcut: Convolution | None
    inside: InstanceNorm | None
    after: InstanceNorm | None


@dataclass(frozen=True)
class FoldedOSNet:
    """A network in evaluation mode.

    Attributes:
        stem: 7×7, stride 2; then `stem_norm` where there is one, then ReLU.
        stages: blocks of conv2, conv3 and conv4.
        transitions: the 1×1 convolutions with ReLU that stand before the 2×2 mean after conv2 and conv3; the
            mean after conv3 is missing where `config.last_stride` is 1.
        head: conv5, 1×1 with ReLU.
        embedding: (D, C, 1, 1), on conv5's means (of `config.pooling_power`), then ReLU unless it is a neck.
    """

    config: OSNetConfig
    stem: Convolution
    stem_norm: InstanceNorm | None
    stages: tuple[tuple[Block, ...], ...]
    transitions: tuple[Convolution, Convolution]
    head: Convolution
    embedding: Convolution


def check_foldable(config: NetworkConfig) -> OSNetConfig:
    """Refuse what has no fast form: other families, the paper's ablations, its CIFAR and attribute networks.

    Returns:
        The same configuration.

    Raises:
        ConfigError: no OSNet, no Lite 3×3, no unified gate, two instance norms in a block, a searched
            block, or another stem or pool.
    """
    if not isinstance(config, OSNetConfig):
        raise ConfigError(f"family {config.family!r}: fast forms exist for OSNets only; run it in torch")
    if not config.lite:
        raise ConfigError("lite=False: fast forms exist for Lite 3×3 only; run this network in torch")
    if config.fusion != "unified_gate":
        raise ConfigError(
            f"fusion={config.fusion!r}: fast forms exist for the unified gate only; run this network in torch"
        )
    if config.stem_stride != 4:
        raise ConfigError(
            f"stem_stride {config.stem_stride}: there is no fast form; run this network in torch"
        )
    if config.pooling != "mean":
        raise ConfigError(f"pooling {config.pooling!r}: there is no fast form; run this network in torch")
    for placement in ("both", "searched"):
        if any(placement in stage for stage in config.instance_norm):
            raise ConfigError(
                f"instance_norm {placement!r}: there is no fast form; run this network in torch"
            )
    return config


def fold(state: Mapping[str, AnyFloat], config: NetworkConfig) -> FoldedOSNet:
    """Fold a state dict.

    Args:
        state: the backbone's weights under the published key names, as checked against `config`.
        config: the network they belong to.

    Raises:
        ConfigError: the network has no fast form, see `check_foldable`.
    """
    return _Folding(state, check_foldable(config)).network()


class _Folding:
    def __init__(self, state: Mapping[str, AnyFloat], config: OSNetConfig) -> None:
        self._state = state
        self._config = config
        self._names_pools = config.layout == "osnet_ain"

    def network(self) -> FoldedOSNet:
        config = self._config
        stages = tuple(
            tuple(
                self._block(f"conv{stage + 2}.{index}", placement)
                for index, placement in enumerate(config.placements(stage))
            )
            for stage in range(3)
        )
        stem_has_batch_norm = config.stem_norm == "batch"
        return FoldedOSNet(
            config=config,
            stem=self._convolution("conv1.conv", "conv1.bn" if stem_has_batch_norm else None),
            stem_norm=None if stem_has_batch_norm else self._instance_norm("conv1.bn"),
            stages=stages,
            transitions=(self._transition(0), self._transition(1)),
            head=self._convolution("conv5.conv", "conv5.bn"),
            embedding=self._embedding(),
        )

    def _transition(self, stage: int) -> Convolution:
        name = (
            f"pool{stage + 2}.0" if self._names_pools else f"conv{stage + 2}.{self._config.blocks[stage]}.0"
        )
        return self._convolution(f"{name}.conv", f"{name}.bn")

    def _block(self, name: str, placement: Placement) -> Block:
        inside = placement == "inside"
        has_shortcut = f"{name}.downsample.conv.weight" in self._state
        return Block(
            reduce=self._convolution(f"{name}.conv1.conv", f"{name}.conv1.bn"),
            streams=tuple(
                tuple(self._lite(layer) for layer in self._stream_layers(name, stream, depth))
                for stream, depth in enumerate(self._config.stream_depths)
            ),
            gate=self._gate(f"{name}.gate"),
            restore=self._convolution(f"{name}.conv3.conv", None if inside else f"{name}.conv3.bn"),
            shortcut=(
                self._convolution(f"{name}.downsample.conv", f"{name}.downsample.bn")
                if has_shortcut
                else None
            ),
            inside=self._instance_norm(f"{name}.IN") if inside else None,
            after=self._instance_norm(f"{name}.IN") if placement == "after" else None,
        )

    def _stream_layers(self, block: str, stream: int, depth: int) -> list[str]:
        if self._names_pools:
            return [f"{block}.conv2.{stream}.layers.{layer}" for layer in range(depth)]
        name = f"{block}.conv2{'abcd'[stream]}"
        return [name] if depth == 1 else [f"{name}.{layer}" for layer in range(depth)]

    def _lite(self, name: str) -> Lite:
        scale, shift = self._scale_shift(f"{name}.bn")
        depthwise = self._array(f"{name}.conv2.weight")[:, 0]
        return Lite(
            pointwise=self._array(f"{name}.conv1.weight")[:, :, 0, 0],
            depthwise=depthwise * scale[:, None, None],
            bias=shift,
        )

    def _gate(self, name: str) -> Gate:
        return Gate(
            reduce=self._array(f"{name}.fc1.weight")[:, :, 0, 0],
            reduce_bias=self._array(f"{name}.fc1.bias"),
            restore=self._array(f"{name}.fc2.weight")[:, :, 0, 0],
            restore_bias=self._array(f"{name}.fc2.bias"),
        )

    def _embedding(self) -> Convolution:
        scale, shift = self._scale_shift("fc.1")
        return Convolution(
            weight=(self._array("fc.0.weight") * scale[:, None])[:, :, None, None],
            bias=self._array("fc.0.bias") * scale + shift,
        )

    def _convolution(self, name: str, batch_norm: str | None) -> Convolution:
        weight = self._array(f"{name}.weight")
        if batch_norm is None:
            return Convolution(weight, np.zeros(len(weight)))
        scale, shift = self._scale_shift(batch_norm)
        return Convolution(weight * scale[:, None, None, None], shift)

    def _scale_shift(self, name: str) -> tuple[Weights, Weights]:
        deviation = np.sqrt(self._array(f"{name}.running_var") + NORM_EPSILON)
        scale = self._array(f"{name}.weight") / deviation
        return scale, self._array(f"{name}.bias") - self._array(f"{name}.running_mean") * scale

    def _instance_norm(self, name: str) -> InstanceNorm:
        return InstanceNorm(self._array(f"{name}.weight"), self._array(f"{name}.bias"))

    def _array(self, name: str) -> Weights:
        return np.asarray(self._state[name], np.float64)

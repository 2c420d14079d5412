"""OSNet with folded batch norms as a torch module for inference, its streams batched by depth or one by one.

Batched, all streams of a block compute their first Lite 3×3 together, then those of depth two and more their
second, and so on: a block takes as many steps as its deepest stream has layers, not as many as all streams
have. That is right where starting an operation is what costs, on a GPU. One by one, a stream's activations
stay in the processor's cache from layer to layer: ONNX Runtime and OpenVINO are up to 1.4 times faster so.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np

from omnireid.core.arrays import Float64
from omnireid.core.errors import MissingExtraError
from omnireid.inference.fused.fold import (
    NORM_EPSILON,
    Block,
    Convolution,
    FoldedOSNet,
    Gate,
    InstanceNorm,
    Lite,
    fold,
)

try:
    import torch
    import torch.nn.functional as F
    from torch import Tensor, nn
except ImportError as error:
    raise MissingExtraError("the fused torch module", "train") from error

from omnireid.models.neck import generalised_mean
from omnireid.models.network import Network

_Array = Float64
_Layer = TypeVar("_Layer", nn.Conv2d, nn.Linear)


def fold_module(model: Network) -> FoldedOSNet:
    """Fold a network's present weights; it is neither moved nor changed.

    Raises:
        ConfigError: the network has no fast form, see `fold.check_foldable`.
    """
    state = {name: value.detach().double().cpu().numpy() for name, value in model.state_dict().items()}
    return fold(state, model.config)


class FusedOSNet(nn.Module):
    """An OSNet in evaluation mode: (N, 3, H, W) normalised RGB → (N, D) embeddings, as the readable `OSNet`.

    It cannot be trained: batch norms are folded into convolutions. In float64 it equals the network it was
    made from to rounding. `half()`, `bfloat16()`, `to(memory_format=torch.channels_last)`, `torch.compile`
    and `torch.onnx.export` work as on any module.

    Args:
        folded: the weights, see `fold` and `fold_module`.
        batch_streams: whether the streams of a block are batched by depth or computed one by one.
        dtype: type of weights, images and embeddings.
    """

    def __init__(
        self, folded: FoldedOSNet, *, batch_streams: bool = True, dtype: torch.dtype = torch.float32
    ) -> None:
        super().__init__()
        self.config = folded.config
        # In front of an instance norm a bias does nothing.
        self.stem = _conv2d(folded.stem.weight, None if folded.stem_norm else folded.stem.bias, stride=2)
        self.stem_norm = None if folded.stem_norm is None else _Norm(folded.stem_norm)
        self.stages = nn.ModuleList(
            nn.Sequential(*(FusedBlock(block, batch_streams=batch_streams) for block in blocks))
            for blocks in folded.stages
        )
        self.transitions = nn.ModuleList(_pointwise(transition) for transition in folded.transitions)
        self.conv5 = _pointwise(folded.head)
        self.head = _linear(folded.embedding.weight[:, :, 0, 0], folded.embedding.bias)
        self.to(dtype).requires_grad_(False).eval()

    def feature_maps(self, images: Tensor) -> Tensor:
        """conv5's output: (N, 3, H, W) → (N, channels[3], H/16, W/16), not negative; H/8, W/8 with
        `last_stride` 1.
        """
        x = self.stem(images)
        x = F.relu(x if self.stem_norm is None else self.stem_norm(x))
        x = F.max_pool2d(x, 3, stride=2, padding=1)
        strides = (2, self.config.last_stride)
        for stage, transition, stride in zip(self.stages, self.transitions, strides, strict=False):
            x = F.relu(transition(stage(x)))
            x = F.avg_pool2d(x, stride, stride=stride) if stride > 1 else x
        return F.relu(self.conv5(self.stages[-1](x)))

    def embedding(self, feature_maps: Tensor) -> Tensor:
        """What `feature_maps` gives → (N, D), not L2-normalised; not negative without a neck."""
        embedding = self.head(generalised_mean(feature_maps, self.config.pooling_power))
        return embedding if self.config.neck else F.relu(embedding)

    def forward(self, images: Tensor) -> Tensor:
        return self.embedding(self.feature_maps(images))


class FusedBlock(nn.Module):
    """An omni-scale block: reduce, streams, gates, restore and shortcut.

    With batched streams, and where nothing stands between restore and the addition, a 1×1 shortcut is part of
    restore: one product over the gated streams and the block's input side by side. CPU runtimes add while
    they convolve; there it would only cost the copy.
    """

    def __init__(self, block: Block, *, batch_streams: bool) -> None:
        super().__init__()
        self.reduce = _pointwise(block.reduce)
        groups = [block.streams] if batch_streams else [(stream,) for stream in block.streams]
        self.streams = nn.ModuleList(_Streams(group) for group in groups)
        self.gate = _Gate(block.gate)
        restore, shortcut = block.restore, block.shortcut
        self.merged = batch_streams and shortcut is not None and block.inside is None
        if self.merged and shortcut is not None:
            restore, shortcut = _side_by_side(restore, shortcut), None
        self.restore = _pointwise(restore, bias=block.inside is None)
        self.shortcut = None if shortcut is None else _pointwise(shortcut)
        self.inside = None if block.inside is None else _Norm(block.inside)
        self.after = None if block.after is None else _Norm(block.after)

    def forward(self, x: Tensor) -> Tensor:
        reduced = F.relu(self.reduce(x))
        total: Tensor | None = None
        for streams in self.streams:
            total = self.gate(streams(reduced), total)
        assert total is not None
        if self.merged:
            out = self.restore(torch.cat((total, x), dim=1))
        else:
            out = self.restore(total)
            if self.inside is not None:
                out = self.inside(out)
            out = out + (x if self.shortcut is None else self.shortcut(x))
        return F.relu(out if self.after is None else self.after(out))


class _Streams(nn.Module):
    """Streams that are computed together, level by level.

    (N, C, H, W) → the streams that end at each level, side by side: tensors (N, k·C, H, W). Which stream is
    which need not be known afterwards: all have the same gate, and they are added.
    """

    def __init__(self, streams: tuple[tuple[Lite, ...], ...]) -> None:
        super().__init__()
        # Deepest first, so that those that go on are always the first channels.
        ordered = sorted(streams, key=len, reverse=True)
        layers = [
            [stream[depth] for stream in ordered if len(stream) > depth] for depth in range(len(ordered[0]))
        ]
        self.levels = nn.ModuleList(
            _Level(level, shared_input=depth == 0) for depth, level in enumerate(layers)
        )
        self._widths = [len(level) * len(level[0].bias) for level in layers]

    def forward(self, x: Tensor) -> list[Tensor]:
        ended = []
        for level, width, continued in zip(self.levels, self._widths, [*self._widths[1:], 0], strict=True):
            x = level(x)
            if continued < width:
                ended.append(x[:, continued:] if continued else x)
                x = x[:, :continued]
        return ended


class _Level(nn.Module):
    """One Lite 3×3 of each of several streams.

    Args:
        shared_input: whether all take the same (N, C, H, W), or each its own C channels of (N, T·C, H, W).
    """

    def __init__(self, layers: list[Lite], *, shared_input: bool) -> None:
        super().__init__()
        pointwise = np.concatenate([layer.pointwise for layer in layers])[:, :, None, None]
        self.pointwise = _conv2d(pointwise, groups=1 if shared_input else len(layers))
        depthwise = np.concatenate([layer.depthwise for layer in layers])[:, None]
        bias = np.concatenate([layer.bias for layer in layers])
        self.depthwise = _conv2d(depthwise, bias, groups=len(depthwise))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.depthwise(self.pointwise(x)))


class _Gate(nn.Module):
    """Σₜ G(xₜ) ⊙ xₜ; G is evaluated in one product for the means of all streams that are given."""

    def __init__(self, gate: Gate) -> None:
        super().__init__()
        self.reduce = _conv2d(gate.reduce[:, :, None, None], gate.reduce_bias)
        self.restore = _conv2d(gate.restore[:, :, None, None], gate.restore_bias)
        self._channels = gate.reduce.shape[1]

    def forward(self, ended: list[Tensor], total: Tensor | None) -> Tensor:
        """Add the gated streams, tensors (N, k·C, H, W), to what is there already, (N, C, H, W)."""
        streams = [stream for x in ended for stream in self._apart(x)]
        weights = self._weights([_means(x) for x in ended], len(streams))
        for stream, weight in zip(streams, weights, strict=True):
            total = stream * weight if total is None else torch.addcmul(total, stream, weight)
        assert total is not None
        return total

    def _weights(self, means: list[Tensor], num_streams: int) -> list[Tensor]:
        """Means (N, k·C, 1, 1) → for each stream (N, C, 1, 1) in (0, 1)."""
        if num_streams == 1:
            return [self._evaluate(means[0])]
        # Streams become more pictures of the batch.
        means_NTC = torch.cat(means, dim=1)
        weights = self._evaluate(means_NTC.reshape(-1, self._channels, 1, 1))
        return self._apart(weights.reshape(-1, num_streams * self._channels, 1, 1))

    def _evaluate(self, means: Tensor) -> Tensor:
        return torch.sigmoid(self.restore(F.relu(self.reduce(means))))

    def _apart(self, x: Tensor) -> list[Tensor]:
        return [x] if x.shape[1] == self._channels else list(torch.split(x, self._channels, dim=1))


class _Norm(nn.Module):
    """Instance normalisation."""

    def __init__(self, norm: InstanceNorm) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.from_numpy(norm.weight))
        self.bias = nn.Parameter(torch.from_numpy(norm.bias))

    def forward(self, x: Tensor) -> Tensor:
        return F.instance_norm(x, weight=self.weight, bias=self.bias, eps=NORM_EPSILON)


def _side_by_side(restore: Convolution, shortcut: Convolution) -> Convolution:
    """One convolution of concatenated inputs that is the sum of two."""
    weight = np.concatenate([restore.weight, shortcut.weight], axis=1)
    return Convolution(weight, restore.bias + shortcut.bias)


def _means(x: Tensor) -> Tensor:
    return F.adaptive_avg_pool2d(x, 1)


def _pointwise(convolution: Convolution, *, bias: bool = True) -> nn.Conv2d:
    return _conv2d(convolution.weight, convolution.bias if bias else None)


def _conv2d(weight: _Array, bias: _Array | None = None, *, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    outputs, inputs, size, _ = weight.shape
    # Made without memory: drawing weights that are then replaced would move torch's generator.
    layer = nn.Conv2d(
        inputs * groups,
        outputs,
        size,
        stride=stride,
        padding=size // 2,
        groups=groups,
        bias=bias is not None,
        device="meta",
    )
    return _with_values(layer, weight, bias)


def _linear(weight: _Array, bias: _Array) -> nn.Linear:
    outputs, inputs = weight.shape
    return _with_values(nn.Linear(inputs, outputs, device="meta"), weight, bias)


def _with_values(layer: _Layer, weight: _Array, bias: _Array | None) -> _Layer:
    layer.weight = nn.Parameter(torch.from_numpy(weight))
    if bias is not None:
        layer.bias = nn.Parameter(torch.from_numpy(bias))
    return layer

"""OSNet with its streams batched by depth, as a torch module for inference.

All streams of a block compute their first Lite 3×3 together, then those of depth two and more their second, and
so on: a block needs as many steps as its deepest stream has layers, not as many as all streams together.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt

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

from omnireid.models.osnet import OSNet

Array = npt.NDArray[np.float64]


def fold_module(model: OSNet) -> FoldedOSNet:
    """Fold a network's present weights; it is neither moved nor changed.

    Raises:
        ConfigError: the network has no fast form, see `fold.check_foldable`.
    """
    state = {name: value.detach().double().cpu().numpy() for name, value in model.state_dict().items()}
    return fold(state, model.config)


class FusedOSNet(nn.Module):
    """An OSNet in evaluation mode: (N, 3, H, W) normalised RGB → (N, D) embeddings, as the readable `OSNet`.

    It cannot be trained: batch norms are folded into convolutions. In float64 it equals the network it was made
    from to rounding. `half()`, `bfloat16()`, `to(memory_format=torch.channels_last)`, `torch.compile` and
    `torch.onnx.export` work as on any module.

    Args:
        folded: the weights, see `fold` and `fold_module`.
        dtype: of weights, images and embeddings.
    """

    def __init__(self, folded: FoldedOSNet, *, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.config = folded.config
        self.stem = _conv2d(folded.stem.weight, None if folded.stem_norm else folded.stem.bias, stride=2)
        self.stem_norm = None if folded.stem_norm is None else _Norm(folded.stem_norm)
        self.stages = nn.ModuleList(
            nn.Sequential(*(FusedBlock(block) for block in blocks)) for blocks in folded.stages
        )
        self.transitions = nn.ModuleList(_pointwise(transition) for transition in folded.transitions)
        self.head = _pointwise(folded.head)
        self.embed = _pointwise(folded.embedding)
        self.to(dtype).requires_grad_(False).eval()

    def feature_maps(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) → (N, channels[3], H/16, W/16), not negative."""
        x = self.stem(images)
        x = F.relu(x if self.stem_norm is None else self.stem_norm(x))
        x = F.max_pool2d(x, 3, stride=2, padding=1)
        for stage, transition in zip(self.stages, self.transitions, strict=False):
            x = F.avg_pool2d(F.relu(transition(stage(x))), 2, stride=2)
        return F.relu(self.head(self.stages[-1](x)))

    def embedding(self, feature_maps: Tensor) -> Tensor:
        """What `feature_maps` gives → (N, D), not negative and not L2-normalised."""
        return F.relu(self.embed(_means(feature_maps))).flatten(1)

    def forward(self, images: Tensor) -> Tensor:
        return self.embedding(self.feature_maps(images))


class FusedBlock(nn.Module):
    """An omni-scale block: reduce, levels of Lite 3×3, gates, restore and shortcut.

    Where nothing stands between restore and the addition, a 1×1 shortcut is part of restore: one product over the
    gated streams and the block's input side by side.
    """

    def __init__(self, block: Block) -> None:
        super().__init__()
        self.reduce = _pointwise(block.reduce)
        self.levels = nn.ModuleList(_levels(block.streams))
        # What the next level still works on; the rest of a level's channels are streams that end there.
        widths = [level.out_channels for level in self.levels]
        self._continued = (*widths[1:], 0)
        self.gate = _Gate(block.gate, num_streams=len(block.streams))
        self.merged = block.shortcut is not None and block.inside is None
        if self.merged:
            assert block.shortcut is not None
            self.restore = _pointwise(_side_by_side(block.restore, block.shortcut))
            self.shortcut = None
        else:
            # In front of an instance norm a bias does nothing.
            self.restore = _pointwise(block.restore, bias=block.inside is None)
            self.shortcut = None if block.shortcut is None else _pointwise(block.shortcut)
        self.inside = None if block.inside is None else _Norm(block.inside)
        self.after = None if block.after is None else _Norm(block.after)

    def forward(self, x: Tensor) -> Tensor:
        gated = self.gate(self._streams(F.relu(self.reduce(x))))
        if self.merged:
            out = self.restore(torch.cat((gated, x), dim=1))
        else:
            out = self.restore(gated)
            if self.inside is not None:
                out = self.inside(out)
            out = out + (x if self.shortcut is None else self.shortcut(x))
        return F.relu(out if self.after is None else self.after(out))

    def _streams(self, x: Tensor) -> list[Tensor]:
        """(N, C, H, W) → tensors (N, k·C, H, W), together all streams: those that end at each level."""
        ended = []
        for level, continued in zip(self.levels, self._continued, strict=True):
            x = level(x)
            if continued < x.shape[1]:
                ended.append(x[:, continued:])
            x = x[:, :continued]
        return ended


class _Level(nn.Module):
    """The Lite 3×3 at one depth of all streams that reach it.

    Args:
        layers: deepest stream first.
        shared_input: whether all streams take the same (N, C, H, W), or each its own C of (N, T·C, H, W).
    """

    def __init__(self, layers: list[Lite], *, shared_input: bool) -> None:
        super().__init__()
        self.pointwise = _conv2d(
            np.concatenate([layer.pointwise for layer in layers])[:, :, None, None],
            groups=1 if shared_input else len(layers),
        )
        depthwise = np.concatenate([layer.depthwise for layer in layers])[:, None]
        bias = np.concatenate([layer.bias for layer in layers])
        self.depthwise = _conv2d(depthwise, bias, groups=len(depthwise))
        self.out_channels = len(depthwise)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.depthwise(self.pointwise(x)))


class _Gate(nn.Module):
    """Σₜ G(xₜ) ⊙ xₜ; G is evaluated once, for the means of all streams."""

    def __init__(self, gate: Gate, *, num_streams: int) -> None:
        super().__init__()
        self.reduce = _linear(gate.reduce, gate.reduce_bias)
        self.restore = _linear(gate.restore, gate.restore_bias)
        self._shape = (-1, num_streams, gate.reduce.shape[1])

    def forward(self, ended: list[Tensor]) -> Tensor:
        means_NTC = torch.cat([_means(x) for x in ended], dim=1).reshape(self._shape)
        weights_NTC = torch.sigmoid(self.restore(F.relu(self.reduce(means_NTC))))
        streams = [stream for x in ended for stream in x.split(self._shape[2], dim=1)]
        weights = weights_NTC[..., None, None].unbind(1)
        total = streams[0] * weights[0]
        for stream, weight in zip(streams[1:], weights[1:], strict=True):
            total = torch.addcmul(total, stream, weight)
        return total


class _Norm(nn.Module):
    """Instance normalisation."""

    def __init__(self, norm: InstanceNorm) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.from_numpy(norm.weight))
        self.bias = nn.Parameter(torch.from_numpy(norm.bias))

    def forward(self, x: Tensor) -> Tensor:
        return F.instance_norm(x, weight=self.weight, bias=self.bias, eps=NORM_EPSILON)


def _levels(streams: tuple[tuple[Lite, ...], ...]) -> list[_Level]:
    # Deepest first, so that the streams that go on are always the first channels. Which stream is which need
    # not be known afterwards: all have the same gate, and they are added.
    ordered = sorted(streams, key=len, reverse=True)
    return [
        _Level([stream[depth] for stream in ordered if len(stream) > depth], shared_input=depth == 0)
        for depth in range(len(ordered[0]))
    ]


def _side_by_side(restore: Convolution, shortcut: Convolution) -> Convolution:
    """One convolution of concatenated inputs that is the sum of two."""
    weight = np.concatenate([restore.weight, shortcut.weight], axis=1)
    return Convolution(weight, restore.bias + shortcut.bias)


def _means(x: Tensor) -> Tensor:
    return F.adaptive_avg_pool2d(x, 1)


def _pointwise(convolution: Convolution, *, bias: bool = True) -> nn.Conv2d:
    return _conv2d(convolution.weight, convolution.bias if bias else None)


def _conv2d(weight: Array, bias: Array | None = None, *, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    outputs, inputs, size, _ = weight.shape
    # Made without memory: drawing weights that are replaced would move torch's generator.
    convolution = nn.Conv2d(
        inputs * groups,
        outputs,
        size,
        stride=stride,
        padding=size // 2,
        groups=groups,
        bias=bias is not None,
        device="meta",
    )
    return _with_values(convolution, weight, bias)


def _linear(weight: Array, bias: Array) -> nn.Linear:
    outputs, inputs = weight.shape
    return _with_values(nn.Linear(inputs, outputs, device="meta"), weight, bias)


def _with_values(module: nn.Module, weight: Array, bias: Array | None) -> nn.Module:
    module.weight = nn.Parameter(torch.from_numpy(weight))
    if bias is not None:
        module.bias = nn.Parameter(torch.from_numpy(bias))
    return module

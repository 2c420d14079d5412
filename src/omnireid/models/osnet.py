"""OSNet, OSNet-IBN and OSNet-AIN as their papers draw them.

The state dict has the key names of the published checkpoints, without the identity classifier.
Sources: Zhou et al., "Omni-Scale Feature Learning for Person Re-Identification", ICCV 2019;
Zhou et al., "Learning Generalisable Omni-Scale Representations for Person Re-Identification", TPAMI 2021.
Layers are counted as in the paper: a "Lite 3×3" is one layer.
"""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

from omnireid.models.choice import Choice, without_affine
from omnireid.models.fusion import make_fusion
from omnireid.models.neck import BNNeck
from omnireid.models.network import Network
from omnireid.models.osnet_config import BOTTLENECK, CANDIDATES, OSNetConfig, Placement

__all__ = ["ConvNorm", "Lite3x3", "OSBlock", "OSNet", "OSNetConfig"]


class ConvNorm(nn.Module):
    """k×k convolution, then batch or instance normalisation (or none), then ReLU (or none)."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        stride: int = 1,
        norm: str = "batch",
        relu: bool = True,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            in_channels, out_channels, kernel_size, stride=stride, padding=kernel_size // 2, bias=False
        )
        # `bn` in the published checkpoints, whichever normalisation it is.
        self.bn: nn.Module | None = None
        if norm == "batch":
            self.bn = nn.BatchNorm2d(out_channels)
        elif norm == "instance":
            self.bn = nn.InstanceNorm2d(out_channels, affine=True)
        self.relu = nn.ReLU(inplace=True) if relu else None

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        if self.bn is not None:
            x = self.bn(x)
        return x if self.relu is None else cast(Tensor, self.relu(x))


class Lite3x3(nn.Module):
    """Lite 3×3 (Figure 3): 1×1, then depthwise 3×3, then batch norm and ReLU; nothing between the two."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 1, bias=False)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.bn = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.relu(self.bn(self.conv2(self.conv1(x)))))


class Stream(nn.Module):
    """A stream as OSNet-AIN's checkpoints name it: `layers.0`, `layers.1`, …"""

    def __init__(self, layers: list[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.layers(x))


class OSBlock(nn.Module):
    """Omni-scale block (Figure 4): reduce, T streams, fuse, restore, add the shortcut, ReLU.

    Args:
        in_channels, out_channels: the shortcut is a 1×1 convolution with batch norm where they differ.
        placement: where instance normalisation stands, see `OSNetConfig.instance_norm`.
    """

    def __init__(
        self, in_channels: int, out_channels: int, config: OSNetConfig, placement: Placement = "none"
    ) -> None:
        super().__init__()
        mid = out_channels // BOTTLENECK
        num_streams = len(config.stream_depths)
        fused = mid * num_streams if config.fusion == "concatenation" else mid
        inside = placement in ("inside", "both")

        self.placement = placement
        self.is_lite = config.lite
        self.conv1 = ConvNorm(in_channels, mid, 1)
        self._add_streams(mid, config)
        self.gate = make_fusion(config.fusion, mid, num_streams)
        self.conv3 = ConvNorm(fused, out_channels, 1, norm="none" if inside else "batch", relu=False)
        self.downsample = (
            ConvNorm(in_channels, out_channels, 1, relu=False) if in_channels != out_channels else None
        )
        # Published blocks have at most one instance norm, always named `IN`; the second one is ours.
        self.IN = nn.InstanceNorm2d(out_channels, affine=True) if placement != "none" else None
        self.IN_after = nn.InstanceNorm2d(out_channels, affine=True) if placement == "both" else None
        self.relu = nn.ReLU(inplace=True)

    def _add_streams(self, channels: int, config: OSNetConfig) -> None:
        layer = Lite3x3 if config.lite else _full3x3
        chains = [[layer(channels) for _ in range(depth)] for depth in config.stream_depths]
        self._stream_names: tuple[str, ...] = ()
        if config.layout == "osnet_ain":
            self.conv2 = nn.ModuleList(Stream(chain) for chain in chains)
            return
        for letter, chain in zip("abcd", chains, strict=False):
            name = f"conv2{letter}"
            self.add_module(name, chain[0] if len(chain) == 1 else nn.Sequential(*chain))
            self._stream_names += (name,)

    def streams(self) -> list[nn.Module]:
        """The T streams, in the order of `OSNetConfig.stream_depths`."""
        if self._stream_names:
            return [self.get_submodule(name) for name in self._stream_names]
        return list(self.conv2)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        reduced = self.conv1(x)
        residual = self.conv3(self.gate([stream(reduced) for stream in self.streams()]))
        if self.IN is not None and self.placement != "after":
            residual = self.IN(residual)
        out = residual + shortcut
        if self.IN is not None and self.placement == "after":
            out = self.IN(out)
        if self.IN_after is not None:
            out = self.IN_after(out)
        return cast(Tensor, self.relu(out))


def _block(in_channels: int, out_channels: int, config: OSNetConfig, placement: Placement) -> nn.Module:
    if placement != "searched":
        return OSBlock(in_channels, out_channels, config, placement)
    return Choice({name: OSBlock(in_channels, out_channels, config, name) for name in CANDIDATES})


def _full3x3(channels: int) -> nn.Module:
    """Ablation 2: a standard 3×3 convolution in the place of a Lite 3×3."""
    return ConvNorm(channels, channels, 3)


class OSNet(Network):
    """The network of Table 1: (N, 3, H, W) normalised RGB → (N, embedding_size) embeddings.

    Embeddings are returned in training and in evaluation alike; `IdentityClassifier` owns the classifier.
    They are not L2-normalised; not negative, as the head ends in a ReLU, unless it ends in a BNNeck.
    """

    config: OSNetConfig

    def __init__(self, config: OSNetConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or OSNetConfig()
        stem, *widths = config.channels

        halves = config.stem_stride == 4
        self.conv1 = ConvNorm(3, stem, 7, stride=2 if halves else 1, norm=config.stem_norm)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1) if halves else nn.Identity()
        self.conv2, self.pool2 = self._stage(0, stem, widths[0], transition=True)
        self.conv3, self.pool3 = self._stage(1, widths[0], widths[1], transition=True)
        self.conv4, _ = self._stage(2, widths[1], widths[2], transition=False)
        self.conv5 = ConvNorm(widths[2], widths[2], 1)
        size = config.embedding_size
        behind = [BNNeck(size)] if config.neck else [nn.BatchNorm1d(size), nn.ReLU()]
        self.fc = nn.Sequential(nn.Linear(widths[2], size), *behind)
        if config.is_searched:
            without_affine(self)
        self.initialise()

    def _stage(
        self, stage: int, in_channels: int, out_channels: int, *, transition: bool
    ) -> tuple[nn.Sequential, nn.Module]:
        """The blocks of a stage and the transition that halves its height and width.

        OSNet's checkpoints count the transition as the last layer of the stage, OSNet-AIN's name it apart.
        """
        placements = self.config.placements(stage)
        blocks = nn.Sequential(
            *(
                _block(in_channels if index == 0 else out_channels, out_channels, self.config, placement)
                for index, placement in enumerate(placements)
            )
        )
        if not transition:
            return blocks, nn.Identity()
        stride = self.config.last_stride if stage == 1 else 2
        halve = nn.Sequential(ConvNorm(out_channels, out_channels, 1), nn.AvgPool2d(stride, stride=stride))
        if self.config.layout == "osnet_ain":
            return blocks, halve
        return blocks.append(halve), nn.Identity()

    def stages(self) -> dict[str, nn.Module]:
        """The rows of Table 1 that have weights, in order: conv1, conv2, transition2, …, conv5, fc."""
        stages: dict[str, nn.Module] = {"conv1": self.conv1}
        for name, pool in (("2", self.pool2), ("3", self.pool3)):
            stage = cast(nn.Sequential, getattr(self, f"conv{name}"))
            apart = not isinstance(pool, nn.Identity)
            stages[f"conv{name}"] = stage if apart else stage[:-1]
            stages[f"transition{name}"] = pool if apart else stage[-1]
        return stages | {"conv4": self.conv4, "conv5": self.conv5, "fc": self.fc}

    def found_instance_norm(self) -> tuple[tuple[Placement, ...], ...]:
        """`OSNetConfig.instance_norm` with the most probable candidate of each searched block."""
        stages = [self.config.placements(number) for number in range(3)]
        return tuple(
            tuple(
                cast(Placement, block.chosen) if isinstance(block, Choice) else placement
                for block, placement in zip(stage, placements, strict=False)
            )
            for stage, placements in zip((self.conv2, self.conv3, self.conv4), stages, strict=True)
        )

    @property
    def head(self) -> nn.Module:
        return self.fc

    def head_and_neck(self) -> tuple[nn.Module, nn.Module]:
        return (self.fc[:-1], self.fc[-1]) if self.config.neck else (self.fc, nn.Identity())

    def stem(self, images: Tensor) -> Tensor:
        """What the blocks take: (N, 3, H, W) → (N, channels[0], H/4, W/4); H, W with `stem_stride` 1."""
        return cast(Tensor, self.maxpool(self.conv1(images)))

    def feature_maps(self, images: Tensor) -> Tensor:
        """conv5's output: (N, 3, H, W) → (N, channels[3], H/16, W/16), not negative.

        Twice as high and wide with `last_stride` 1, four times with `stem_stride` 1.
        """
        x = self.pool2(self.conv2(self.stem(images)))
        x = self.pool3(self.conv3(x))
        return cast(Tensor, self.conv5(self.conv4(x)))

    def pool(self, feature_maps: Tensor) -> Tensor:
        if self.config.pooling == "max":
            return feature_maps.amax(dim=(2, 3))
        return super().pool(feature_maps)

"""ResNet with bottleneck blocks, with the key names of torchvision's published weights, without its `fc`.

Source: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, Table 1 and Figure 5 (right). As
in torchvision, a block that halves its input does so in the 3×3 convolution.
"""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

from omnireid.models.neck import BNNeck
from omnireid.models.network import Network
from omnireid.models.resnet_config import EXPANSION, WIDTHS, ResNetConfig


def _conv(in_channels: int, out_channels: int, size: int, *, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, size, stride=stride, padding=size // 2, bias=False)


class Bottleneck(nn.Module):
    """1×1 to `width` channels, 3×3, 1×1 to four times as many; then the shortcut is added, and ReLU.

    Args:
        in_channels: the shortcut is a 1×1 convolution with batch norm where the block changes these or
            halves the map, else the input itself.
        stride: stride of the 3×3 convolution.
    """

    def __init__(self, in_channels: int, width: int, *, stride: int) -> None:
        super().__init__()
        out_channels = EXPANSION * width
        self.conv1, self.bn1 = _conv(in_channels, width, 1), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = _conv(width, width, 3, stride=stride), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = _conv(width, out_channels, 1), nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Module | None = None
        if stride != 1 or in_channels != out_channels:
            self.downsample = nn.Sequential(
                _conv(in_channels, out_channels, 1, stride=stride), nn.BatchNorm2d(out_channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        return cast(Tensor, self.relu(self.bn3(self.conv3(x)) + shortcut))


class ResNet(Network):
    """(N, 3, H, W) normalised RGB → (N, 2048): the last block's map, pooled; not negative without a neck."""

    config: ResNetConfig

    def __init__(self, config: ResNetConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or ResNetConfig()
        self.conv1, self.bn1 = _conv(3, WIDTHS[0], 7, stride=2), nn.BatchNorm2d(WIDTHS[0])
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        channels = WIDTHS[0]
        strides = (1, 2, 2, config.last_stride)
        for number, (width, count, stride) in enumerate(zip(WIDTHS, config.blocks, strides, strict=True), 1):
            blocks = [Bottleneck(channels, width, stride=stride)]
            channels = EXPANSION * width
            blocks += [Bottleneck(channels, width, stride=1) for _ in range(count - 1)]
            self.add_module(f"layer{number}", nn.Sequential(*blocks))
        self.neck = BNNeck(config.embedding_size) if config.neck else nn.Identity()
        self.initialise()

    @property
    def head(self) -> nn.Module:
        return self.neck

    def head_and_neck(self) -> tuple[nn.Module, nn.Module]:
        return nn.Identity(), self.neck

    def stages(self) -> dict[str, nn.Module]:
        """The rows of Table 1: conv1, then conv2_x to conv5_x as layer1 to layer4; the neck, where it is."""
        layers = {f"layer{number}": self.get_submodule(f"layer{number}") for number in range(1, 5)}
        neck = {"neck": self.neck} if self.config.neck else {}
        return {"conv1": nn.Sequential(self.conv1, self.bn1), **layers, **neck}

    def feature_maps(self, images: Tensor) -> Tensor:
        """layer4's output: (N, 3, H, W) → (N, 2048, H/32, W/32), H/16 × W/16 with `last_stride` 1."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        for number in range(1, 5):
            x = self.get_submodule(f"layer{number}")(x)
        return cast(Tensor, x)

"""What makes one ResNet differ from another, its cards, and the family. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from omnireid.core.card import ModelCard
from omnireid.core.errors import ConfigError
from omnireid.core.sockets import later
from omnireid.models.family import NetworkFamily, Shapes
from omnireid.models.network_config import NetworkConfig, check_head

EXPANSION = 4
"""A block gives four times the channels that it works on."""

WIDTHS = (64, 128, 256, 512)
"""Channels that the blocks of layer1 to layer4 work on."""


@dataclass(frozen=True)
class ResNetConfig(NetworkConfig):
    """A ResNet of bottleneck blocks whose embedding is the global pool, 2048 values.

    Attributes:
        blocks: number of blocks in layer1 to layer4; (3, 4, 6, 3) is ResNet-50.
        last_stride: stride of layer4. 2 as in the paper: maps of H/32 × W/32; 1 keeps H/16 × W/16, which
            re-identification gains from (Sun et al., ECCV 2018; Luo et al., CVPRW 2019).
        neck: whether a BNNeck follows the pool.
        pooling_power: p of the generalised mean over the last maps (GeM); 1 is their mean.

    Raises:
        ConfigError: a value that makes no network.
    """

    family: ClassVar[str] = "resnet"

    blocks: tuple[int, int, int, int] = (3, 4, 6, 3)
    last_stride: int = 2
    neck: bool = False
    pooling_power: float = 1.0

    def __post_init__(self) -> None:
        counts = self.blocks if isinstance(self.blocks, tuple) else ()
        if len(counts) != len(WIDTHS) or not all(type(count) is int and count > 0 for count in counts):
            raise ConfigError(f"blocks: four positive whole numbers expected, got {self.blocks!r}")
        check_head(self.neck, self.pooling_power, self.last_stride)

    @property
    def embedding_size(self) -> int:
        return EXPANSION * WIDTHS[-1]

    def takes_weights_of(self, other: NetworkConfig) -> bool:
        """Whatever their stride and pool, to which no weight belongs; a missing neck begins afresh.

        ImageNet's were trained with stride 2.
        """
        return isinstance(other, ResNetConfig) and other.blocks == self.blocks and other.neck <= self.neck


ARCHITECTURES = {"resnet50": ResNetConfig()}

_PAPER = "He et al., Deep Residual Learning for Image Recognition, CVPR 2016, arXiv:1512.03385"
_PUBLISHED = {"resnet50_imagenet": "resnet50-0676ba61.pth", "resnet50_imagenet_v2": "resnet50-11ad3fa6.pth"}


def cards() -> Iterator[ModelCard]:
    """ResNet-50, then the two sets of weights that torchvision publishes for it."""
    card = ModelCard(
        name="resnet50",
        architecture="resnet50",
        embedding_size=ResNetConfig().embedding_size,
        num_parameters=23_508_032,
        paper=_PAPER,
        notes="Architecture without weights: train it, from ImageNet's weights as a rule.",
    )
    yield card
    for name, file in _PUBLISHED.items():
        yield card.model_copy(
            update={
                "name": name,
                "licence": "BSD-3-Clause (torchvision); ImageNet is for research only",
                "origin": f"https://download.pytorch.org/models/{file}",
                "training_data": "ImageNet-1K (objects, not persons: to start training from)",
                "recipe": "torchvision, https://docs.pytorch.org/vision/stable/models.html",
                "notes": "",
            }
        )


def _recognise(shapes: Shapes) -> str | None:
    """By the blocks of each layer; whoever loads the weights checks everything else."""
    blocks = tuple(
        len({key.split(".")[1] for key in shapes if key.startswith(f"layer{number}.")})
        for number in range(1, len(WIDTHS) + 1)
    )
    known = (name for name, config in ARCHITECTURES.items() if config.blocks == blocks)
    return next(known, None) if "layer1.0.conv3.weight" in shapes else None


RESNET = NetworkFamily(
    name="resnet",
    title="a ResNet",
    architectures=ARCHITECTURES,
    build=later("omnireid.models.resnet:ResNet"),
    cards=cards,
    landmark="layer4.0.conv1.weight",
    classifier=("classifier", "fc"),
    recognise=_recognise,
)

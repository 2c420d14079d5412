"""What makes one OSNet differ from another, the nine published ones, and their family. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

from omnireid.core.errors import ConfigError, UnknownNameError, WeightsError
from omnireid.core.sockets import later
from omnireid.models.family import NetworkFamily, Shapes
from omnireid.models.network_config import NetworkConfig, check_head

Fusion = Literal["unified_gate", "separate_gates", "scalar_gate", "fixed_gates", "addition", "concatenation"]
StemNorm = Literal["batch", "instance"]
Pooling = Literal["mean", "max"]
Placement = Literal["none", "inside", "after", "both", "searched"]
KeyLayout = Literal["osnet", "osnet_ain"]

BOTTLENECK = 4
"""A block works on a quarter of its output channels."""

MAX_STREAMS = 4

CANDIDATES: tuple[Placement, ...] = ("none", "inside", "after", "both")
"""What a searched block chooses among."""


@dataclass(frozen=True)
class OSNetConfig(NetworkConfig):
    """One network of the OSNet family. The defaults are OSNet x1.0.

    Attributes:
        channels: output channels of stem, conv2, conv3 and conv4; the width multiplier scales all four.
        blocks: number of blocks in conv2, conv3 and conv4.
        stream_depths: Lite 3×3 layers on each parallel stream of a block, one to four streams. Stream depth t
            sees (2t+1)² pixels. Equal depths are the ResNeXt-like ablation.
        lite: Lite 3×3 (1×1 then depthwise 3×3); False takes standard 3×3 convolutions.
        fusion: how a block joins its streams, see `omnireid.models.fusion`.
        stem_norm: normalisation after the 7×7 convolution.
        stem_stride: 4, as drawn: the 7×7 convolution and the max pool halve each side. 1 does neither, for
            pictures of 32×32: maps four times as high and wide, and sixteen times the work behind it.
        instance_norm: per stage (conv2, conv3, conv4) and per block, where instance normalisation stands:
            "inside" the residual branch in place of its batch norm, "after" the addition, "both", or "none".
            A block that is "searched" is all four, among which training chooses (`choice.py`); then no norm
            has scale and shift. () means none anywhere.
        embedding_size: size of the embedding; not scaled by the width multiplier.
        neck: whether the head's batch norm is a BNNeck, with nothing behind it; published heads have a ReLU.
        pooling: what is taken over the last maps; "max" for attributes.
        pooling_power: p of the generalised mean over the last maps (GeM); 1 is their mean.
        last_stride: 1 leaves out the 2×2 mean between conv3 and conv4: maps of H/8 × W/8 instead of
            H/16 × W/16, and four times the work in conv4 and conv5.
        layout: which published checkpoints' key names the state dict has: those of OSNet and OSNet-IBN, or
            those of OSNet-AIN.

    Raises:
        ConfigError: a value that makes no network; names the field.
    """

    family: ClassVar[str] = "osnet"

    channels: tuple[int, int, int, int] = (64, 256, 384, 512)
    blocks: tuple[int, int, int] = (2, 2, 2)
    stream_depths: tuple[int, ...] = (1, 2, 3, 4)
    lite: bool = True
    fusion: Fusion = "unified_gate"
    stem_norm: StemNorm = "batch"
    stem_stride: int = 4
    instance_norm: tuple[tuple[Placement, ...], ...] = ()
    embedding_size: int = 512
    layout: KeyLayout = "osnet"
    neck: bool = False
    pooling: Pooling = "mean"
    pooling_power: float = 1.0
    last_stride: int = 2

    def __post_init__(self) -> None:
        _check_counts("channels", self.channels, length=4)
        _check_counts("blocks", self.blocks, length=3)
        _check_counts("stream_depths", self.stream_depths)
        _check_counts("embedding_size", (self.embedding_size,))
        if not 1 <= len(self.stream_depths) <= MAX_STREAMS:
            raise ConfigError(f"stream_depths: 1 to {MAX_STREAMS} streams, got {len(self.stream_depths)}")
        if any(width % BOTTLENECK for width in self.channels[1:]):
            raise ConfigError(
                f"channels: conv2, conv3, conv4 must divide by {BOTTLENECK}, got {self.channels}"
            )
        if not isinstance(self.lite, bool):
            raise ConfigError(f"lite: true or false, got {self.lite!r}")
        _check_choice("fusion", self.fusion, Fusion)
        _check_choice("stem_norm", self.stem_norm, StemNorm)
        _check_choice("pooling", self.pooling, Pooling)
        if type(self.stem_stride) is not int or self.stem_stride not in (1, 4):
            raise ConfigError(f"stem_stride: 1 or 4, got {self.stem_stride!r}")
        _check_choice("layout", self.layout, KeyLayout)
        check_head(self.neck, self.pooling_power, self.last_stride)
        if self.pooling == "max" and self.pooling_power != 1:
            raise ConfigError(f"pooling_power {self.pooling_power}: a maximum has none; set pooling to mean")
        self._check_instance_norm()

    def _check_instance_norm(self) -> None:
        if self.instance_norm == ():
            return
        if not isinstance(self.instance_norm, tuple) or not all(
            isinstance(stage, tuple) for stage in self.instance_norm
        ):
            raise ConfigError(f"instance_norm: a tuple per stage, got {self.instance_norm!r}")
        lengths = tuple(len(stage) for stage in self.instance_norm)
        if lengths != self.blocks:
            raise ConfigError(f"instance_norm: one placement per block, blocks {self.blocks}, got {lengths}")
        for placement in (placement for stage in self.instance_norm for placement in stage):
            _check_choice("instance_norm", placement, Placement)

    @property
    def is_searched(self) -> bool:
        """Whether training chooses where instance normalisation stands in any block."""
        return any("searched" in stage for stage in self.instance_norm)

    def takes_weights_of(self, other: NetworkConfig) -> bool:
        """Whatever their strides and pool, to which no weight belongs, and whether or not a ReLU followed."""
        if not isinstance(other, OSNetConfig):
            return False
        names = ("stem_stride", "last_stride", "pooling", "pooling_power", "neck")
        return self == other.with_overrides({name: getattr(self, name) for name in names})

    def placements(self, stage: int) -> tuple[Placement, ...]:
        """Where instance normalisation stands in the blocks of a stage (0 is conv2)."""
        if self.instance_norm:
            return self.instance_norm[stage]
        nowhere: Placement = "none"
        return (nowhere,) * self.blocks[stage]


def _check_counts(name: str, counts: Any, *, length: int | None = None) -> None:
    whole = isinstance(counts, tuple) and all(type(count) is int and count > 0 for count in counts)
    if not whole or (length is not None and len(counts) != length):
        wanted = "positive whole numbers" if length is None else f"{length} positive whole numbers"
        raise ConfigError(f"{name}: {wanted} expected, got {counts!r}")


def _check_choice(name: str, value: Any, choices: Any) -> None:
    if value not in get_args(choices):
        raise UnknownNameError(name, str(value), get_args(choices))


_WIDTHS: dict[str, tuple[int, int, int, int]] = {
    "x1_0": (64, 256, 384, 512),
    "x0_75": (48, 192, 288, 384),
    "x0_5": (32, 128, 192, 256),
    "x0_25": (16, 64, 96, 128),
}

# Found by the authors' differentiable search (Zhou et al., TPAMI 2021).
_AIN_PLACEMENTS: tuple[tuple[Placement, ...], ...] = (
    ("inside", "inside"),
    ("none", "inside"),
    ("inside", "none"),
)

ARCHITECTURES: dict[str, OSNetConfig] = {
    **{f"osnet_{width}": OSNetConfig(channels=channels) for width, channels in _WIDTHS.items()},
    "osnet_ibn_x1_0": OSNetConfig(
        stem_norm="instance", instance_norm=(("after", "after"), ("none", "none"), ("none", "none"))
    ),
    **{
        f"osnet_ain_{width}": OSNetConfig(
            channels=channels, stem_norm="instance", instance_norm=_AIN_PLACEMENTS, layout="osnet_ain"
        )
        for width, channels in _WIDTHS.items()
    },
}


def _recognise(shapes: Shapes) -> str | None:
    """From the variant's key names and the stem's width; whoever loads the weights checks everything else."""
    if not any(key.startswith("fc.") for key in shapes):
        raise WeightsError(
            "an OSNet without the layer behind its pooling (fc), as fast-reid builds it; its embeddings come "
            "from a head of another kind, which no network here has"
        )
    variant = "osnet"
    if any(key.startswith("pool2.") for key in shapes):
        variant = "osnet_ain"
    elif "conv2.0.IN.weight" in shapes:
        variant = "osnet_ibn"
    stem = shapes.get("conv1.conv.weight", ())[:1]
    for name, config in ARCHITECTURES.items():
        if name.rpartition("_x")[0] == variant and stem == config.channels[:1]:
            return name
    return None


OSNET = NetworkFamily(
    name="osnet",
    title="an OSNet",
    architectures=ARCHITECTURES,
    build=later("omnireid.models.osnet:OSNet"),
    cards=later("omnireid.models.osnet_cards:cards"),
    hub_files=later("omnireid.models.osnet_cards:hub_files"),
    landmark="conv5.conv.weight",
    recognise=_recognise,
)

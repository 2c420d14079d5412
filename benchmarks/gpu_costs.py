"""What OSNet costs on a GPU, counted before it was run there: bytes, operations, launches, and their time.

python benchmarks/gpu_costs.py prints the tables of docs/benchmarks/gpu.md. Imports no torch.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

from omnireid.models.osnet_config import BOTTLENECK, OSNetConfig
from omnireid.models.registry import architecture_config

MODELS = ("osnet_x1_0", "osnet_x0_25")
BATCHES = (1, 8, 32, 256, 1024)
HEIGHT, WIDTH = 256, 128


@dataclass(frozen=True)
class Chip:
    """Ceilings.

    Attributes:
        launch_s: the least time of a kernel that waits for the one before it in a CUDA graph (assumed).
        call_s: what torch spends on the host for one operation (assumed).
    """

    name: str
    bytes_per_s: float
    matrix_flops: float
    vector_flops: float
    launch_s: float = 2.5e-6
    call_s: float = 7e-6


# Copy and bf16 product as measured on such a machine; float32 by the vendor's sheet.
H200 = Chip("NVIDIA H200", bytes_per_s=4.3e12, matrix_flops=788e12, vector_flops=67e12)

# Shares of the ceilings that kernels of this kind are expected to reach: products have few channels.
EXPECTED_SHARE = {"bytes": 0.75, "matrix": 0.4, "vector": 0.3}


@dataclass(frozen=True)
class Cost:
    """Of one layer.

    Attributes:
        launches: kernels.
        bytes: of activations read and written, for each picture.
        weights: bytes of weights, for each batch.
        mult_adds: the layer's own, as the paper counts them but without biases.
        products: multiply-adds that the tensor cores do, with repeats and idle lanes.
        others: multiply-adds that ordinary cores do.
    """

    name: str
    launches: int
    bytes: float
    weights: float
    mult_adds: float
    products: float
    others: float = 0.0

    def seconds(self, batch: int, chip: Chip, *, expected: bool) -> float:
        """The largest of what moving, multiplying and launching take."""
        share = EXPECTED_SHARE if expected else dict.fromkeys(EXPECTED_SHARE, 1.0)
        return max(
            (batch * self.bytes + self.weights) / (chip.bytes_per_s * share["bytes"]),
            batch * 2 * self.products / (chip.matrix_flops * share["matrix"]),
            batch * 2 * self.others / (chip.vector_flops * share["vector"]),
            self.launches * chip.launch_s if expected else 0.0,
        )


@dataclass(frozen=True)
class Shape:
    """A stage's feature maps: pixels of one picture, and channels in the block's bottleneck and outside."""

    pixels: int
    mid: int
    out: int


def ours(config: OSNetConfig, batch: int, element: int = 2) -> list[Cost]:
    """Our kernels; `element` bytes a value. The batch decides the streams' tiles, as in `lite_tiles`."""
    costs = []
    pixels = HEIGHT // 2 * (WIDTH // 2)
    stem = config.channels[0]
    costs.append(
        Cost("conv1", 1, HEIGHT * WIDTH * 3 + pixels * stem * element, 224 * stem * element,
             pixels * 147 * stem, pixels * 224 * stem)
    )  # fmt: skip
    costs.append(Cost("maxpool", 1, pixels * stem * element * 5 / 4, 0, 0, 0, pixels / 4 * stem * 9))
    channels = stem
    for stage, shape in enumerate(_stages(config)):
        size = shape.pixels * element
        rows = 2 if batch * shape.pixels <= 8192 else 8
        repeats = 3 * (rows + 2) / rows * _idle(shape.mid)
        for block in range(config.blocks[stage]):
            name = f"conv{stage + 2}.{block}"
            reduce = shape.pixels * channels * shape.mid
            costs.append(
                Cost(
                    f"{name} reduce",
                    1,
                    size * (channels + shape.mid),
                    channels * shape.mid * element,
                    reduce,
                    reduce,
                )
            )
            for level in range(max(config.stream_depths)):
                streams = sum(depth > level for depth in config.stream_depths)
                read = (1 if level == 0 else streams) * size * shape.mid
                pointwise = streams * shape.pixels * shape.mid**2
                depthwise = streams * shape.pixels * shape.mid * 9
                costs.append(
                    Cost(f"{name} level {level + 1}", 1, read + streams * size * shape.mid,
                         streams * shape.mid * (shape.mid * element + 40), pointwise + depthwise,
                         pointwise * repeats, depthwise * (rows + 2) / rows)
                )  # fmt: skip
            gate = len(config.stream_depths) * 2 * shape.mid * max(1, shape.mid // 16)
            sums = 4 * len(config.stream_depths) * shape.mid * shape.pixels / (rows * 32)
            costs.append(
                Cost(f"{name} gate", 1, sums, 8 * shape.mid * max(1, shape.mid // 16), gate, 0, gate)
            )
            has_shortcut = channels != shape.out
            restore = shape.pixels * shape.out * (shape.mid + has_shortcut * channels)
            costs.append(
                Cost(f"{name} restore", 1,
                     size * (len(config.stream_depths) * shape.mid + channels + shape.out),
                     restore / shape.pixels * element, restore, restore,
                     shape.pixels * shape.mid * len(config.stream_depths))
            )  # fmt: skip
            channels = shape.out
        if stage < 2:
            product = shape.pixels * channels**2
            costs.append(
                Cost(
                    f"transition{stage + 2}",
                    1,
                    size * channels * 5 / 4,
                    channels**2 * element,
                    product,
                    product,
                )
            )
    last = _stages(config)[-1]
    product = last.pixels * channels**2
    costs.append(Cost("conv5", 1, last.pixels * channels * element, channels**2 * element, product, product))
    product = channels * config.embedding_size
    costs.append(Cost("fc", 1, (channels + config.embedding_size) * 4, product * element, product, product))
    return costs


def compiled(config: OSNetConfig, element: int = 2) -> list[Cost]:
    """The folded network as a compiler is expected to run it, all but its convolutions fused.

    1×1 and depthwise convolutions are kernels of their own, with bias and ReLU in their ends.
    """
    return [
        _apart(cost, passes=2 if "level" in cost.name else 1, launches=2 if "level" in cost.name else 1)
        for cost in _separate_streams(config, element)
    ]


def eager(config: OSNetConfig, element: int = 4) -> list[Cost]:
    """torch as torchreid's users run it: one kernel, and one pass over its maps, for every operation."""
    costs = []
    for cost in _separate_streams(config, element):
        # Lite 3×3: 1×1, depthwise, batch norm, ReLU. Elsewhere convolution, norm and ReLU.
        passes = 4 if "level" in cost.name else 3
        costs.append(_apart(cost, passes=passes, launches=passes))
    return costs


def _separate_streams(config: OSNetConfig, element: int) -> Iterator[Cost]:
    """One cost for each Lite 3×3 and each gate, without repeats; gates read the maps for their means too."""
    shapes = {f"conv{stage + 2}": shape for stage, shape in enumerate(_stages(config))}
    for cost in ours(config, 1, element):
        stage, _, layer = cost.name.partition(".")
        if stage not in shapes:
            yield cost
            continue
        size = shapes[stage].pixels * shapes[stage].mid * element
        index, _, kind = layer.partition(" ")
        if kind.startswith("level"):
            level = int(kind.split()[1])
            for stream in range(sum(depth >= level for depth in config.stream_depths)):
                pointwise = shapes[stage].pixels * shapes[stage].mid ** 2
                depthwise = shapes[stage].pixels * shapes[stage].mid * 9
                yield Cost(f"{stage}.{index} level {level}.{stream}", 1, 2 * size, 0, pointwise + depthwise,
                           pointwise, depthwise)  # fmt: skip
        elif kind == "gate":
            for stream in range(len(config.stream_depths)):
                # Mean, two products, their activations, and the gated stream.
                yield Cost(
                    f"{stage}.{index} gate {stream}", 2, size, 0, cost.mult_adds / 4, 0, cost.others / 4
                )
        else:
            yield cost


def _apart(cost: Cost, *, passes: int, launches: int) -> Cost:
    return Cost(
        cost.name,
        launches * cost.launches,
        passes * cost.bytes,
        cost.weights,
        cost.mult_adds,
        cost.products,
        cost.others,
    )


def _stages(config: OSNetConfig) -> list[Shape]:
    return [
        Shape(HEIGHT // 4 // 2**stage * (WIDTH // 4 // 2**stage), out // BOTTLENECK, out)
        for stage, out in enumerate(config.channels[1:])
    ]


def _idle(channels: int) -> float:
    """What idle lanes add to a stream's product: input channels go by 16, output channels by up to 64."""
    block = min(64, max(16, 1 << (channels - 1).bit_length()))
    return -(-channels // block) * block * -(-channels // 16) * 16 / channels**2


def seconds(costs: list[Cost], batch: int, chip: Chip, *, expected: bool) -> float:
    """Of one batch, the network alone."""
    return sum(cost.seconds(batch, chip, expected=expected) for cost in costs)


def predictions(model: str, batch: int, chip: Chip = H200) -> dict[str, float]:
    """Seconds of a batch: the floor of our form, and what ours, a compiler and eager are expected to take."""
    config = architecture_config(model)
    slow = eager(config)
    host = sum(cost.launches for cost in slow) * chip.call_s
    return {
        "floor": seconds(ours(config, batch), batch, chip, expected=False),
        "ours": seconds(ours(config, batch), batch, chip, expected=True),
        "compiled": seconds(compiled(config), batch, chip, expected=True),
        "eager": max(host, seconds(slow, batch, chip, expected=True)),
    }


def layer_table(model: str) -> str:
    """Markdown: each stage's bytes and operations for one picture in bf16 at 256×128, and launches."""
    config = architecture_config(model)
    rows = [
        "| layer | launches | MB moved | M mult-adds | … done by tensor cores | … by other cores |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    groups: dict[str, list[Cost]] = {}
    for cost in ours(config, 256):
        stage, _, kind = cost.name.partition(" ")
        key = stage if not kind else f"{stage.split('.')[0]} {kind.split()[0].replace('level', 'streams')}"
        groups.setdefault(key, []).append(cost)
    for name, costs in [*groups.items(), ("**all**", ours(config, 256))]:
        rows.append(
            f"| {name} | {sum(c.launches for c in costs)} | {sum(c.bytes for c in costs) / 1e6:.2f} | "
            f"{sum(c.mult_adds for c in costs) / 1e6:.1f} | {sum(c.products for c in costs) / 1e6:.1f} | "
            f"{sum(c.others for c in costs) / 1e6:.1f} |"
        )
    return "\n".join(rows)


def prediction_table(model: str) -> str:
    """Markdown: milliseconds of a batch and pictures a second."""
    rows = [
        "| batch | floor of our form | ours | compiled | eager | ours to compiled | ours to eager |",
        "|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for batch in BATCHES:
        times = predictions(model, batch)
        cells = [
            f"{times[form] * 1e3:.3f} ms · {batch / times[form]:,.0f}/s"
            for form in ("floor", "ours", "compiled", "eager")
        ]
        ratios = [f"{times[form] / times['ours']:.1f}" for form in ("compiled", "eager")]
        rows.append(f"| {batch} | {' | '.join(cells + ratios)} |")
    return "\n".join(rows)


def main() -> None:
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    for model in MODELS:
        config = architecture_config(model)
        print(f"## {model}\n\n{layer_table(model)}\n")
        print(f"Launches: ours {sum(c.launches for c in ours(config, 256))}, "
              f"compiled {sum(c.launches for c in compiled(config))}, "
              f"eager {sum(c.launches for c in eager(config))}.\n\n{prediction_table(model)}\n")  # fmt: skip


if __name__ == "__main__":
    main()

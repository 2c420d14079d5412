"""OSNet as a list of kernel launches over one workspace, for one batch size and one picture size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from omnireid.core.errors import InputError
from omnireid.inference.fused import triton_kernels as kernels
from omnireid.inference.fused.fold import NORM_EPSILON
from omnireid.inference.fused.triton_tiles import (
    SMALLEST,
    Choose,
    Step,
    Tile,
    element_tiles,
    first_tile,
    lite_tiles,
    power_of_two,
    product_tiles,
)
from omnireid.inference.fused.triton_weights import STEM_TAPS, BlockWeights, NetworkWeights, Norm, Product

_MAX_ELEMENTS = 2**31 - 1


class Plan:
    """A network ready to run on one batch.

    Attributes:
        crops: (N, H, W, 3) uint8, contiguous: what `run` reads.
        embeddings: (N, D) float32: what `run` writes.
        maps: (N, h, w, C) float32, written where they were asked for, else empty.
        steps: the launches, in order.
    """

    def __init__(
        self, weights: NetworkWeights, crops: Tensor, *, maps: bool = False, choose: Choose = first_tile
    ) -> None:
        """Allocate the workspace and choose tiles.

        Args:
            crops: the buffer that crops will lie in; its shape and device are the plan's.
            maps: keep conv5's feature maps.
            choose: takes one of a step's tiles.

        Raises:
            InputError: a batch whose activations cannot be counted in 31 bits.
        """
        self.crops = crops
        self.steps: list[Step] = []
        self._weights = weights
        self._choose = choose
        self._slabs: dict[tuple[int, ...], Tensor] = {}
        self._pictures, height, width = crops.shape[:3]
        # float32 means float32: tensor cores would round its factors to 10 bits.
        # float32 as three products of its 10-bit parts on tensor cores: nearly exact, as one would not be.
        # Without tensor cores ("ieee") the factors would spill from the registers.
        self._precision = "tf32x3" if weights.dtype == torch.float32 else "tf32"

        x, height, width = self._stem(height, width)
        for stage, stage_weights in enumerate(weights.stages):
            for index, block in enumerate(stage_weights):
                x = self._block(f"conv{stage + 2}.{index}", x, block, height, width)
            if stage < len(weights.transitions):
                name = f"transition{stage + 2}"
                x, height, width = self._transition(name, x, weights.transitions[stage], height, width)
        self.maps, sums, blocks = self._head(x, height, width, maps=maps)
        self.embeddings = self._embedding(sums, height * width, blocks)

    def run(self) -> None:
        """Launch everything, on the current stream."""
        for step in self.steps:
            step.launch()

    def _add(self, key: str, candidates: Sequence[Tile], make: Callable[[Tile], Step]) -> Tile:
        tile = self._choose(key, candidates, make)
        self.steps.append(make(tile))
        return tile

    def _empty(self, *shape: int, dtype: torch.dtype | None = None) -> Tensor:
        tensor = torch.empty(shape, dtype=dtype or self._weights.dtype, device=self.crops.device)
        if tensor.numel() > _MAX_ELEMENTS:
            height, width = self.crops.shape[1:3]
            raise InputError(
                f"{self._pictures} crops of {height}×{width} in one batch need {tensor.numel():,} "
                f"activations at once; at most {_MAX_ELEMENTS:,}: use smaller batches"
            )
        return tensor

    def _floats(self, *shape: int) -> Tensor:
        return self._empty(*shape, dtype=torch.float32)

    def _moments(self, blocks: int, channels: int, *, wanted: bool) -> Tensor:
        return self._floats(self._pictures, blocks, 2, channels) if wanted else self._floats(1)

    def _stem(self, height: int, width: int) -> tuple[Tensor, int, int]:
        weights, norm = self._weights.stem, self._weights.stem_norm
        channels = len(weights.bias)
        out_height, out_width = (height + 1) // 2, (width + 1) // 2
        pixels = out_height * out_width
        out = self._empty(self._pictures, pixels, channels)
        candidates = product_tiles(self._pictures * pixels, channels, SMALLEST)
        smallest = min(tile["BLOCK_M"] for tile in candidates)
        moments = self._moments(_blocks(pixels, smallest), channels, wanted=norm is not None)

        def make(tile: Tile) -> Step:
            return Step(
                "conv1",
                kernels.stem_kernel,
                (self._pictures, _blocks(pixels, tile["BLOCK_M"]), _blocks(channels, tile["BLOCK_N"])),
                (
                    self.crops,
                    weights.weight,
                    weights.bias,
                    out,
                    moments,
                    height,
                    width,
                    out_height,
                    out_width,
                ),
                {
                    "TAPS": STEM_TAPS,
                    "OUT": channels,
                    "RELU": norm is None,
                    "MOMENTS": norm is not None,
                    "PRECISION": self._precision,
                },
                {name: size for name, size in tile.items() if name != "BLOCK_K"},
            )

        tile = self._add(f"conv1 {pixels}", candidates, make)
        scale_shift = self._norm("conv1", norm, moments, pixels, tile["BLOCK_M"])
        return self._max_pool(out, scale_shift, out_height, out_width)

    def _max_pool(
        self, x: Tensor, scale_shift: Tensor | None, height: int, width: int
    ) -> tuple[Tensor, int, int]:
        channels = x.shape[2]
        out_height, out_width = (height + 1) // 2, (width + 1) // 2
        pixels = out_height * out_width
        out = self._empty(self._pictures, pixels, channels)
        normed = scale_shift is not None
        # A kernel takes a pointer even where it does not follow it.
        coefficients = self._floats(1) if scale_shift is None else scale_shift

        def make(tile: Tile) -> Step:
            return Step(
                "maxpool",
                kernels.max_pool_kernel,
                (self._pictures, _blocks(pixels, tile["BLOCK_M"]), _blocks(channels, tile["BLOCK_N"])),
                (x, coefficients, out, height, width, out_height, out_width),
                {"C": channels, "NORM": normed},
                tile,
            )

        self._add(f"maxpool {pixels}", element_tiles(channels), make)
        return out, out_height, out_width

    def _norm(
        self, name: str, norm: Norm | None, moments: Tensor, pixels: int, block_pixels: int
    ) -> Tensor | None:
        if norm is None:
            return None
        channels = len(norm.weight)
        scale_shift = self._floats(self._pictures, 2, channels)
        tile = {"BLOCK_C": min(128, power_of_two(channels)), "num_warps": 4, "num_stages": 1}
        step = Step(
            f"{name} norm",
            kernels.norm_kernel,
            (self._pictures, _blocks(channels, tile["BLOCK_C"])),
            (
                moments,
                norm.weight,
                norm.bias,
                scale_shift,
                pixels,
                _blocks(pixels, block_pixels),
                block_pixels,
            ),
            {"EPSILON": NORM_EPSILON, "C": channels},
            tile,
        )
        self.steps.append(step)
        return scale_shift

    def _block(self, name: str, x: Tensor, weights: BlockWeights, height: int, width: int) -> Tensor:
        pixels = height * width
        channels = weights.pointwise.shape[1]
        slabs = self._stream_slabs(pixels, channels)
        self._reduce(name, x, weights.reduce, slabs[-1])
        sums, tiles = self._streams(name, slabs, weights, height, width)
        gates = self._gate(name, sums, weights, pixels, tiles)
        return self._restore(name, slabs, gates, x, weights, pixels)

    def _stream_slabs(self, pixels: int, channels: int) -> Tensor:
        """(2T + 1, N, pixels, C), shared by a stage's blocks.

        A stream's last layer writes slab t, the one before it slab T + t, the one before that slab t again;
        the last slab is what all streams start from.
        """
        shape = (2 * len(self._weights.stream_depths) + 1, self._pictures, pixels, channels)
        if shape not in self._slabs:
            self._slabs[shape] = self._empty(*shape)
        return self._slabs[shape]

    def _reduce(self, name: str, x: Tensor, weights: Product, out: Tensor) -> None:
        depth, channels = weights.weight.shape
        pixels = self._pictures * x.shape[1]

        def make(tile: Tile) -> Step:
            return Step(
                f"{name} reduce",
                kernels.reduce_kernel,
                (_blocks(pixels, tile["BLOCK_M"]), _blocks(channels, tile["BLOCK_N"])),
                (x, weights.weight, weights.bias, out, pixels),
                {"IN": depth, "OUT": channels, "PRECISION": self._precision},
                tile,
            )

        self._add(f"reduce {x.shape[1]} {depth} {channels}", product_tiles(pixels, channels, depth), make)

    def _streams(
        self, name: str, slabs: Tensor, weights: BlockWeights, height: int, width: int
    ) -> tuple[Tensor, int]:
        """Every level of the streams: sums (T, tiles of all pictures, C), and tiles of one picture."""
        depths = self._weights.stream_depths
        channels = slabs.shape[3]
        candidates = lite_tiles(self._pictures * height * width, height, width, channels)
        most = max(_tiles(tile, height, width) for tile in candidates)
        sums = self._floats(len(depths), self._pictures * most, channels)

        def make(level: int, streams: Tensor, tile: Tile) -> Step:
            strips, parts = _blocks(height, tile["ROWS"]), _blocks(width, tile["COLUMNS"])
            tiles = self._pictures * strips * parts
            return Step(
                f"{name} level {level + 1}",
                kernels.lite_kernel,
                (_blocks(tiles, tile["TILES"]), len(streams), _blocks(channels, tile["BLOCK_C"])),
                (
                    slabs, streams, weights.pointwise, weights.depthwise, weights.lite_bias, sums,
                    slabs[0].numel(), height, width, strips, parts, tiles,
                ),
                {"C": channels, "PRECISION": self._precision},
                tile,
            )  # fmt: skip

        levels = [self._level(level) for level in range(max(depths))]
        # One tile for all levels: the gate adds up their sums.
        tile = self._choose(
            f"streams {height} {width} {channels}", candidates, lambda tile: make(0, levels[0], tile)
        )
        self.steps.extend(make(level, streams, tile) for level, streams in enumerate(levels))
        return sums, _tiles(tile, height, width)

    def _level(self, level: int) -> Tensor:
        """(streams, 4) int32 of a level: layer, slab read, slab written, row of the sums or −1."""
        depths = self._weights.stream_depths
        num_streams = len(depths)
        rows = []
        for stream, depth in enumerate(depths):
            if level < depth:
                pair = (stream, num_streams + stream)
                left = depth - 1 - level
                read = 2 * num_streams if level == 0 else pair[(left + 1) % 2]
                rows.append((sum(depths[:stream]) + level, read, pair[left % 2], stream if left == 0 else -1))
        return torch.tensor(rows, dtype=torch.int32, device=self.crops.device)

    def _gate(self, name: str, sums: Tensor, weights: BlockWeights, pixels: int, tiles: int) -> Tensor:
        num_streams, _, channels = sums.shape
        hidden = len(weights.gate[1])
        gates = self._floats(num_streams, self._pictures, channels)
        tile = {
            "BLOCK_T": min(16, power_of_two(tiles)),
            "BLOCK_C": power_of_two(channels),
            "BLOCK_H": power_of_two(hidden),
            "num_warps": 4,
            "num_stages": 1,
        }
        step = Step(
            f"{name} gate",
            kernels.gate_kernel,
            (self._pictures, num_streams),
            (sums, *weights.gate, gates, pixels, self._pictures, tiles),
            {"C": channels, "HIDDEN": hidden},
            tile,
        )
        self.steps.append(step)
        return gates

    def _restore(
        self, name: str, slabs: Tensor, gates: Tensor, x: Tensor, weights: BlockWeights, pixels: int
    ) -> Tensor:
        depth, channels = weights.restore.weight.shape
        out = self._empty(self._pictures, pixels, channels)
        norm = weights.inside or weights.after
        shortcut = "identity" if weights.shortcut is None else "convolution"
        # A kernel takes a pointer even where it does not follow it.
        convolution = weights.shortcut or weights.restore
        here = "none" if weights.inside else shortcut
        candidates = product_tiles(self._pictures * pixels, channels, depth)
        smallest = min(tile["BLOCK_M"] for tile in candidates)
        moments = self._moments(_blocks(pixels, smallest), channels, wanted=norm is not None)
        product = {"IN": x.shape[2], "OUT": channels, "PRECISION": self._precision}

        def grid(tile: Tile) -> tuple[int, int, int]:
            return self._pictures, _blocks(pixels, tile["BLOCK_M"]), _blocks(channels, tile["BLOCK_N"])

        def make(tile: Tile) -> Step:
            constants: dict[str, Any] = {
                "T": len(gates), "C": depth, "SHORTCUT": here,
                "RELU": norm is None, "MOMENTS": norm is not None,
            }  # fmt: skip
            return Step(
                f"{name} restore",
                kernels.restore_kernel,
                grid(tile),
                (
                    slabs, gates, weights.restore.weight, x, convolution.weight, weights.restore.bias, out,
                    moments, slabs[0].numel(), pixels, self._pictures,
                ),
                constants | product,
                tile,
            )  # fmt: skip

        tile = self._add(f"restore {pixels} {depth} {channels} {here} {x.shape[2]}", candidates, make)
        scale_shift = self._norm(name, norm, moments, pixels, tile["BLOCK_M"])
        if scale_shift is None:
            return out
        then = shortcut if weights.inside else "none"
        normalised = self._empty(self._pictures, pixels, channels)

        def make_norm(tile: Tile) -> Step:
            return Step(
                f"{name} normalise",
                kernels.normalise_kernel,
                grid(tile),
                (out, scale_shift, x, convolution.weight, convolution.bias, normalised, pixels),
                {"SHORTCUT": then} | product,
                tile,
            )

        self._add(f"normalise {pixels} {channels} {then} {x.shape[2]}", candidates, make_norm)
        return normalised

    def _transition(
        self, name: str, x: Tensor, weights: Product, height: int, width: int
    ) -> tuple[Tensor, int, int]:
        channels = x.shape[2]
        pixels = (height // 2) * (width // 2)
        out = self._empty(self._pictures, pixels, channels)

        def make(tile: Tile) -> Step:
            return Step(
                name,
                kernels.transition_kernel,
                (self._pictures, _blocks(4 * pixels, tile["BLOCK_M"]), _blocks(channels, tile["BLOCK_N"])),
                (x, weights.weight, weights.bias, out, height, width),
                {"C": channels, "PRECISION": self._precision},
                tile,
            )

        candidates = product_tiles(self._pictures * 4 * pixels, channels, channels)
        self._add(f"transition {pixels} {channels}", candidates, make)
        return out, height // 2, width // 2

    def _head(self, x: Tensor, height: int, width: int, *, maps: bool) -> tuple[Tensor, Tensor, int]:
        """Feature maps, sums of blocks of pixels, and how many blocks a picture has."""
        weights, pixels = self._weights.head, height * width
        depth, channels = weights.weight.shape
        candidates = product_tiles(self._pictures * pixels, channels, depth)
        smallest = min(tile["BLOCK_M"] for tile in candidates)
        sums = self._floats(self._pictures, _blocks(pixels, smallest), channels)
        out = self._floats(self._pictures if maps else 0, height, width, channels)

        def make(tile: Tile) -> Step:
            return Step(
                "conv5",
                kernels.head_kernel,
                (self._pictures, _blocks(pixels, tile["BLOCK_M"]), _blocks(channels, tile["BLOCK_N"])),
                (x, weights.weight, weights.bias, out, sums, pixels),
                {"IN": depth, "OUT": channels, "MAPS": maps, "PRECISION": self._precision},
                tile,
            )

        tile = self._add(f"conv5 {pixels}", candidates, make)
        return out, sums, _blocks(pixels, tile["BLOCK_M"])

    def _embedding(self, sums: Tensor, pixels: int, blocks: int) -> Tensor:
        weights = self._weights.embedding
        depth, size = weights.weight.shape
        out = self._floats(self._pictures, size)

        def make(tile: Tile) -> Step:
            return Step(
                "fc",
                kernels.embedding_kernel,
                (_blocks(self._pictures, tile["BLOCK_M"]), _blocks(size, tile["BLOCK_N"])),
                (sums, weights.weight, weights.bias, out, self._pictures, pixels, blocks),
                {"IN": depth, "OUT": size, "PRECISION": self._precision},
                tile,
            )

        self._add("fc", product_tiles(self._pictures, size, depth), make)
        return out


def _blocks(count: int, size: int) -> int:
    return -(-count // size)


def _tiles(tile: Tile, height: int, width: int) -> int:
    return _blocks(height, tile["ROWS"]) * _blocks(width, tile["COLUMNS"])

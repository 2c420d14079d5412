"""Which tile sizes the kernels may take, best guess first, and how the best is found by timing."""

# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import triton

Tile = dict[str, int]
"""Block sizes of a kernel, `num_warps` and `num_stages`."""

SMALLEST = 16
"""Of any side of a matrix product on tensor cores."""

_FEW_PIXELS = 8192
"""Up to this many pixels in a batch small tiles come first: the chip has more multiprocessors than work."""


_LAUNCHES, _REPLAYS = 10, 5


@dataclass(frozen=True)
class Step:
    """One launch of one kernel."""

    name: str
    kernel: Any
    grid: tuple[int, ...]
    arguments: tuple[Any, ...]
    constants: dict[str, Any]
    tile: Tile

    def launch(self) -> None:
        self.kernel[self.grid](*self.arguments, **self.constants, **self.tile)


Choose = Callable[[str, Sequence[Tile], Callable[[Tile], Step]], Tile]
"""From a key, which equal work shares, candidates, and the step that a tile would give, to the tile taken."""


def first_tile(key: str, candidates: Sequence[Tile], make: Callable[[Tile], Step]) -> Tile:
    """The best guess, without timing."""
    return candidates[0]


class TimedTiles:
    """Times every candidate once per key, inside a CUDA graph, so that launches cost nothing.

    A candidate that the device refuses (more shared memory or registers than it has) is passed over.
    """

    def __init__(self) -> None:
        self.chosen: dict[str, Tile] = {}

    def __call__(self, key: str, candidates: Sequence[Tile], make: Callable[[Tile], Step]) -> Tile:
        if key not in self.chosen:
            timed = [(self._milliseconds(make(tile)), index) for index, tile in enumerate(candidates)]
            self.chosen[key] = candidates[min(timed)[1]]
        return self.chosen[key]

    def _milliseconds(self, step: Step) -> float:
        try:
            step.launch()
        except triton.runtime.errors.OutOfResources:
            return float("inf")
        torch.cuda.synchronize()
        began, ended = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        graph = torch.cuda.CUDAGraph()
        times: list[float] = []
        with torch.cuda.stream(torch.cuda.Stream()):
            # Other threads may use the device meanwhile.
            graph.capture_begin(capture_error_mode="thread_local")
            for _ in range(_LAUNCHES):
                step.launch()
            graph.capture_end()
            for _ in range(_REPLAYS):
                began.record()
                graph.replay()
                ended.record()
                ended.synchronize()
                times.append(began.elapsed_time(ended))
        return min(times)


def power_of_two(count: int) -> int:
    """The smallest that is not less than `count`, and at least 1."""
    return 1 << max(0, count - 1).bit_length()


def depth_block(channels: int) -> int:
    """Channels that a product takes at a time: the fewest idle lanes, then the fewest rounds."""
    return min((64, 32, SMALLEST), key=lambda block: (-(-channels // block) * block, -block))


def split_depth(channels: int) -> tuple[int, int]:
    """All channels as one block, or as two where that leaves fewer lanes idle: 96 is 64 and 32, not 128."""
    one = max(SMALLEST, power_of_two(channels))
    first = one // 2
    rest = max(SMALLEST, power_of_two(channels - first))
    return (first, rest) if first >= SMALLEST and first + rest < one else (one, 0)


def product_tiles(pixels: int, channels: int, depth: int) -> list[Tile]:
    """Of kernels that multiply (pixels, depth) by (depth, channels)."""
    widest = max(SMALLEST, power_of_two(channels))
    small = [(32, 32, 4), (16, 32, 2), (16, 64, 4), (32, 64, 4), (64, 64, 4)]
    large = [(128, 128, 8), (64, 256, 8), (128, 64, 4), (64, 128, 4), (64, 64, 4)]
    tiles = small if pixels <= _FEW_PIXELS else large
    found = []
    for block_m, block_n, num_warps in tiles:
        tile = {
            "BLOCK_M": block_m,
            "BLOCK_N": min(block_n, widest),
            "BLOCK_K": depth_block(depth),
            "num_warps": num_warps,
            "num_stages": 3,
        }
        if tile not in found:
            found.append(tile)
    return found


def lite_tiles(pixels: int, height: int, width: int, channels: int) -> list[Tile]:
    """Of the Lite 3×3 kernel; `pixels` in the whole batch."""
    columns = min(32, power_of_two(width))
    widest = max(SMALLEST, power_of_two(channels))
    depth, rest = split_depth(channels)
    # (rows of a tile, positions of a program, channels, warps)
    small = [(2, 32, 64, 4), (2, 32, 32, 4), (1, 32, 64, 4), (4, 32, 64, 4), (2, 16, 64, 4)]
    large = [(8, 32, 64, 4), (16, 32, 64, 4), (8, 64, 64, 8), (8, 64, 32, 4), (8, 64, 64, 4), (4, 32, 64, 4)]
    found = []
    for rows, positions, block, num_warps in small if pixels <= _FEW_PIXELS else large:
        tile = {
            "ROWS": min(rows, height),
            "COLUMNS": columns,
            "TILES": max(1, positions // columns),
            "BLOCK_C": min(block, widest),
            "BLOCK_K": depth,
            "REST_K": rest,
            "num_warps": num_warps,
            "num_stages": 2,
        }
        if tile not in found:
            found.append(tile)
    return found


def element_tiles(channels: int) -> list[Tile]:
    """Of kernels without a product."""
    widest = min(128, power_of_two(channels))
    return [
        {"BLOCK_M": max(1, size // widest), "BLOCK_N": widest, "num_warps": 4, "num_stages": 1}
        for size in (1024, 512, 2048)
    ]

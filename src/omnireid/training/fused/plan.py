"""What of a block stays the same from step to step."""

from __future__ import annotations

import numpy as np
from torch import Tensor, nn

from omnireid.core.arrays import Int64
from omnireid.models.osnet import Lite3x3, OSBlock


class BlockPlan:
    """The layers of a block in the kernels' order, and which of them are made together.

    Maps are counted: 0 is the block's first 1×1, then the Lite 3×3 of each stream after the other.

    Attributes:
        layers: all Lite 3×3.
        last_layers: of each stream the map of its last layer.
        jobs_forward, jobs_backward: for each level what `lite_forward` and `lite_backward` take.
    """

    def __init__(self, block: OSBlock) -> None:
        self.block = block
        chains = [
            [part for part in stream.modules() if isinstance(part, Lite3x3)] for stream in block.streams()
        ]
        self.layers = [layer for chain in chains for layer in chain]
        depths = [len(chain) for chain in chains]
        first = [1 + sum(depths[:stream]) for stream in range(len(depths))]
        streams = list(zip(first, depths, strict=True))
        self.last_layers: Int64 = np.array([start + depth - 1 for start, depth in streams])
        levels = range(max(depths))
        self.jobs_forward: list[Int64] = [
            np.array(
                [
                    (0 if level == 0 else start + level - 1, start + level)
                    for start, depth in streams
                    if level < depth
                ]
            )
            for level in levels
        ]
        self.jobs_backward: list[Int64] = []
        shared = left = len(depths)  # the place of the gradient of what all streams read
        for level in levels:
            jobs: list[tuple[int, ...]] = []
            for stream, (start, depth) in enumerate(streams):
                layer, from_gate = start + depth - 1 - level, int(level == 0)
                if level + 1 < depth:
                    jobs.append((stream, layer - 1, layer, from_gate, stream, 0, 1))
                elif level + 1 == depth:
                    jobs.append((stream, 0, layer, from_gate, shared, int(left < shared), int(left == 1)))
                    left -= 1
            self.jobs_backward.append(np.array(jobs))

    def norms(self) -> list[nn.Module]:
        """Of the first 1×1, of the layers, the last one, and the shortcut's."""
        block = self.block
        last = block.IN if block.placement == "inside" else block.conv3.bn
        shortcut = [] if block.downsample is None else [block.downsample.bn]
        norms = [block.conv1.bn, *(layer.bn for layer in self.layers), last, *shortcut]
        return [norm for norm in norms if norm is not None]

    def parameters(self) -> list[Tensor]:
        """In the order in which `FusedBlock` gives their gradients."""
        block, norms = self.block, self.norms()
        modules: list[nn.Module] = [block.conv1.conv, norms[0]]
        for layer in self.layers:
            modules += [layer.conv1, layer.conv2, layer.bn]
        modules += [*block.gate.children(), block.conv3.conv, norms[1 + len(self.layers)]]
        if block.downsample is not None:
            modules += [block.downsample.conv, norms[-1]]
        return [value for module in modules for value in module.parameters(recurse=False)]

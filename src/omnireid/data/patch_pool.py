"""The store of picture patches that random patch pastes from."""

from __future__ import annotations

import math
from collections import deque

import torch
from torch import Tensor

from omnireid.core.errors import InputError


class PatchPool:
    """The latest patches, oldest out first, within a number and a memory budget.

    Patches are (h, w, 3) uint8 tensors on the device they came from.
    """

    def __init__(self, max_patches: int, max_bytes: int) -> None:
        self.max_patches = max_patches
        self.max_bytes = max_bytes
        self.num_bytes = 0
        self._patches: deque[Tensor] = deque()

    def __len__(self) -> int:
        return len(self._patches)

    def __getitem__(self, index: int) -> Tensor:
        return self._patches[index]

    def append(self, patch: Tensor) -> None:
        self._patches.append(patch)
        self.num_bytes += patch.numel()
        while len(self._patches) > self.max_patches or self.num_bytes > self.max_bytes:
            self.num_bytes -= self._patches.popleft().numel()

    def state_dict(self) -> dict[str, Tensor]:
        """`sizes` (P, 2) int32 heights and widths; `pixels` uint8, all patches end to end. On the CPU."""
        sizes = torch.tensor([patch.shape[:2] for patch in self._patches], dtype=torch.int32).reshape(-1, 2)
        pixels = [patch.reshape(-1).cpu() for patch in self._patches]
        return {"sizes": sizes, "pixels": torch.cat(pixels) if pixels else torch.empty(0, dtype=torch.uint8)}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Replace the content by a saved one.

        Raises:
            InputError: the sizes and pixels do not fit each other.
        """
        sizes = [(int(height), int(width)) for height, width in state["sizes"]]
        lengths = [height * width * 3 for height, width in sizes]
        if sum(lengths) != state["pixels"].numel():
            raise InputError(
                f"patch pool: sizes ask for {sum(lengths):,} bytes, got {state['pixels'].numel():,}"
            )
        self._patches.clear()
        self.num_bytes = 0
        for pixels, (height, width) in zip(torch.split(state["pixels"], lengths), sizes, strict=True):
            self.append(pixels.view(height, width, 3).clone())


def rotate(patch: Tensor, degrees: float) -> Tensor:
    """Rotate about the centre, counter-clockwise, nearest pixel, same size; corners become black.

    Args:
        patch: (h, w, 3) uint8.
    """
    height, width = patch.shape[:2]
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    y = (torch.arange(height, device=patch.device) + (0.5 - height / 2))[:, None]
    x = (torch.arange(width, device=patch.device) + (0.5 - width / 2))[None]
    source_x = (cosine * x - sine * y + width / 2).floor_().long()
    source_y = (sine * x + cosine * y + height / 2).floor_().long()
    inside = (source_x >= 0) & (source_x < width) & (source_y >= 0) & (source_y < height)
    flat = source_y.clamp_(0, height - 1) * width + source_x.clamp_(0, width - 1)
    return patch.reshape(-1, 3)[flat] * inside[:, :, None]

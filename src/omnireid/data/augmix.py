"""AugMix: a picture mixed with three random chains of simple operations, batched.

Nine operations make the chains. Four change levels (autocontrast, equalize, posterize, solarize): a table
for each channel. Five move pixels (rotate, shear, translate): an affine map. None of the nine is among the
corruptions that the -C benchmarks test with. AugMix's full set also holds colour, contrast, brightness and
sharpness, which are, or nearly: with them a network would be tested on what it was trained on.

Source: Hendrycks et al., "AugMix", ICLR 2020; the set of nine, severity, width, depth and mixing
coefficients as Chen et al., "Benchmarks for Corruption Invariant Person Re-identification" (CIL), NeurIPS
2021 Datasets and Benchmarks, use them, which is AugMix's own setting for CIFAR. The operations are
Pillow's, to within one level.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

LEVEL_OPERATIONS = ("autocontrast", "equalize", "posterize", "solarize")
AFFINE_OPERATIONS = ("rotate", "shear_x", "shear_y", "translate_x", "translate_y")
OPERATIONS = LEVEL_OPERATIONS + AFFINE_OPERATIONS
NOTHING = -1  # in the place of an operation that a shorter chain does not have

WIDTH = 3  # chains
MAX_DEPTH = 3  # operations in a chain: 1, 2 or 3
SEVERITY = 3  # levels are drawn from 0.1…SEVERITY, of 10
LOWEST_LEVEL = 0.1

# What level 10 would be.
MAX_POSTERIZED_BITS = 4
MAX_SOLARIZED = 256
MAX_DEGREES = 30
MAX_SHEAR = 0.3
MAX_TRANSLATION = 1 / 3  # of the width or the height

# Pictures per pass on a CPU: with their chains, sixteen of 256×128 are 5 MB.
_BLOCK = 16
# Above the error of interpolating in float32: a whole level must not be cut to the one below.
_ROUNDING_ROOM = 1 / 64


class Mixture(NamedTuple):
    """What happens to each of N pictures. On the CPU.

    operations: (N, WIDTH, MAX_DEPTH) index into `OPERATIONS`, or `NOTHING`.
    levels: (N, WIDTH, MAX_DEPTH) strength of 10; an affine operation goes the other way where it is negative.
    weights: (N, WIDTH) of the chains among each other, ~ Dirichlet(1, 1, 1).
    share: (N,) of all chains against the untouched picture, ~ Beta(1, 1).
    """

    operations: Tensor
    levels: Tensor
    weights: Tensor
    share: Tensor


def draw_mixture(n: int, generator: torch.Generator) -> Mixture:
    """Chance for `n` pictures."""
    shape = (n, WIDTH, MAX_DEPTH)
    operations = torch.randint(len(OPERATIONS), shape, generator=generator)
    depths = torch.randint(1, MAX_DEPTH + 1, (n, WIDTH), generator=generator)
    operations[torch.arange(MAX_DEPTH) >= depths[:, :, None]] = NOTHING
    levels = LOWEST_LEVEL + (SEVERITY - LOWEST_LEVEL) * torch.rand(shape, generator=generator)
    signs = 1 - 2 * torch.randint(2, shape, generator=generator)
    # Dirichlet(1, 1, 1) is three exponentials over their sum.
    exponentials = -torch.log1p(-torch.rand(n, WIDTH, generator=generator, dtype=torch.float64))
    weights = (exponentials / exponentials.sum(dim=1, keepdim=True)).float()
    return Mixture(operations, levels * signs, weights, torch.rand(n, generator=generator))


def augmix(crops: Tensor, mixture: Mixture) -> Tensor:
    """(1 − share) · picture + share · Σ weight · chain, rounded.

    Args:
        crops: (N, H, W, 3) uint8; left unchanged.
        mixture: for N pictures.

    Returns:
        (N, H, W, 3) uint8.
    """
    mixed = torch.empty_like(crops)
    block = _BLOCK if crops.device.type == "cpu" else max(len(crops), 1)
    for start in range(0, len(crops), block):
        part = slice(start, start + block)
        mixed[part] = _augmix_block(crops[part], Mixture(*(values[part] for values in mixture)))
    return mixed


def _augmix_block(crops: Tensor, mixture: Mixture) -> Tensor:
    chains = crops.repeat_interleave(WIDTH, dim=0)
    for depth in range(MAX_DEPTH):
        operations = mixture.operations[:, :, depth].flatten().tolist()
        levels = mixture.levels[:, :, depth].flatten().tolist()
        _apply_(chains, operations, levels)
    chains = chains.view(len(crops), WIDTH, *crops.shape[1:])
    weights = (mixture.share[:, None] * mixture.weights).to(crops.device)
    mixed = crops * (1 - mixture.share).to(crops.device)[:, None, None, None]
    for chain in range(WIDTH):
        mixed += chains[:, chain] * weights[:, chain, None, None, None]
    return mixed.round_().to(torch.uint8)


def _apply_(chains: Tensor, operations: list[int], levels: list[float]) -> None:
    """One operation on each of (M, H, W, 3) pictures, in place."""
    by_table = [place for place, index in enumerate(operations) if 0 <= index < len(LEVEL_OPERATIONS)]
    by_map = [place for place, index in enumerate(operations) if index >= len(LEVEL_OPERATIONS)]
    for places, change in ((by_table, change_levels), (by_map, move_pixels)):
        if not places:
            continue
        # index_select and single copies: several times faster here than reading and writing by a list.
        crops = chains.index_select(0, torch.tensor(places, dtype=torch.long, device=chains.device))
        changed = change(crops, [(OPERATIONS[operations[place]], levels[place]) for place in places])
        for place, picture in zip(places, changed, strict=True):
            chains[place] = picture


def change_levels(crops: Tensor, chosen: list[tuple[str, float]]) -> Tensor:
    """Look every value up in a table made for its picture and channel.

    Args:
        crops: (M, H, W, 3) uint8.
        chosen: M pairs of a level operation and its level.

    Returns:
        (M, H, W, 3) uint8.
    """
    m = len(crops)
    rows = torch.arange(3 * m, device=crops.device).view(m, 1, 3)
    codes = crops.reshape(m, -1, 3).long().add_(256 * rows)
    counts_M3L = torch.bincount(codes.flatten(), minlength=3 * m * 256).view(m, 3, 256)
    tables_M3L = torch.empty_like(counts_M3L, dtype=torch.uint8)
    for operation in LEVEL_OPERATIONS:
        places = [place for place, (name, _) in enumerate(chosen) if name == operation]
        if operation == "autocontrast":
            tables_M3L[places] = autocontrast_tables(counts_M3L[places])
        elif operation == "equalize":
            tables_M3L[places] = equalize_tables(counts_M3L[places])
        else:
            for place in places:
                tables_M3L[place] = fixed_table(operation, chosen[place][1]).to(crops.device)
    return tables_M3L.flatten().index_select(0, codes.flatten()).view(crops.shape)


def autocontrast_tables(counts: Tensor) -> Tensor:
    """Stretch each channel so that its darkest value becomes 0 and its lightest 255.

    Args:
        counts: (M, 3, 256) int64, how often each value occurs.

    Returns:
        (M, 3, 256) uint8. A channel of one value stays.
    """
    levels = torch.arange(256, device=counts.device)
    darkest, lightest = _first(counts), 255 - _first(counts.flip(2))
    span = lightest - darkest
    stretched = ((levels - darkest) * 255 // span.clamp(min=1)).clamp(0, 255)
    return torch.where(span == 0, levels, stretched).to(torch.uint8)


def equalize_tables(counts: Tensor) -> Tensor:
    """Spread each channel's values so that all levels become about equally frequent.

    Args:
        counts: (M, 3, 256) int64, how often each value occurs.

    Returns:
        (M, 3, 256) uint8. A channel with fewer than 255 pixels below its lightest value stays.
    """
    lightest = 255 - _first(counts.flip(2))
    below = counts.cumsum(dim=2) - counts
    step = below.gather(2, lightest) // 255
    spread = ((step // 2 + below) // step.clamp(min=1)).clamp(max=255)
    levels = torch.arange(256, device=counts.device)
    return torch.where(step == 0, levels, spread).to(torch.uint8)


def fixed_table(operation: str, level: float) -> Tensor:
    """(256,) uint8: posterize drops the lowest bits; solarize inverts the lightest values."""
    levels = torch.arange(256)
    if operation == "posterize":
        kept_bits = MAX_POSTERIZED_BITS - int(abs(level) * MAX_POSTERIZED_BITS / 10)
        return (levels & ~(2 ** (8 - kept_bits) - 1)).to(torch.uint8)
    threshold = MAX_SOLARIZED - int(abs(level) * MAX_SOLARIZED / 10)
    return torch.where(levels < threshold, levels, 255 - levels).to(torch.uint8)


def affine_coefficients(operation: str, level: float, *, size: tuple[int, int]) -> tuple[float, ...]:
    """(a, b, c, d, e, f): the output at (x, y) shows the input at (a·x + b·y + c, d·x + e·y + f).

    Args:
        size: height and width. Degrees and translations are whole numbers.
    """
    height, width = size
    if operation == "shear_x":
        return (1, MAX_SHEAR * level / 10, 0, 0, 1, 0)
    if operation == "shear_y":
        return (1, 0, 0, MAX_SHEAR * level / 10, 1, 0)
    if operation == "translate_x":
        return (1, 0, int(level * (MAX_TRANSLATION * width) / 10), 0, 1, 0)
    if operation == "translate_y":
        return (1, 0, 0, 0, 1, int(level * (MAX_TRANSLATION * height) / 10))
    angle = math.radians(int(level * MAX_DEGREES / 10))
    cosine, sine = math.cos(angle), math.sin(angle)
    x, y = width / 2, height / 2
    return (cosine, -sine, x - cosine * x + sine * y, sine, cosine, y - sine * x - cosine * y)


def move_pixels(crops: Tensor, chosen: list[tuple[str, float]]) -> Tensor:
    """Affine map of each picture, bilinear; what comes from outside is black.

    Args:
        crops: (M, H, W, 3) uint8.
        chosen: M pairs of an affine operation and its level.

    Returns:
        (M, H, W, 3) uint8.
    """
    height, width = crops.shape[1:3]
    rows = [affine_coefficients(*one, size=(height, width)) for one in chosen]
    a, b, c, d, e, f = torch.tensor(rows, device=crops.device).view(-1, 6).T[:, :, None, None]
    x = torch.arange(width, device=crops.device) + 0.5
    y = torch.arange(height, device=crops.device)[:, None] + 0.5
    source_x, source_y = a * x + b * y + c, d * x + e * y + f
    inside = (source_x >= 0) & (source_x < width) & (source_y >= 0) & (source_y < height)
    # Between the outermost pixel centres and the edge, the outermost pixel.
    grid = torch.empty((*inside.shape, 2), device=crops.device)
    grid[..., 0] = source_x.clamp_(0.5, width - 0.5).mul_(2 / width).sub_(1)
    grid[..., 1] = source_y.clamp_(0.5, height - 0.5).mul_(2 / height).sub_(1)
    moved = F.grid_sample(crops.permute(0, 3, 1, 2).float(), grid, mode="bilinear", align_corners=False)
    return moved.add_(_ROUNDING_ROOM).to(torch.uint8).permute(0, 2, 3, 1) * inside[..., None]


def _first(counts: Tensor) -> Tensor:
    """(M, 3, 1) the first value that occurs."""
    return (counts > 0).int().argmax(dim=2, keepdim=True)

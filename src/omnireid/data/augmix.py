"""AugMix: a picture mixed with three random chains of simple operations, batched.

Nine operations make the chains: autocontrast, equalize, posterize, solarize, rotate, and shear and translate
along both axes. None of them is among the corruptions that the -C benchmarks test with. AugMix's full set
also holds colour, contrast, brightness and sharpness, which are, or nearly: with them a network would be
tested on what it was trained on.

Source: Hendrycks et al., "AugMix", ICLR 2020; the set of nine, severity, width, depth and mixing
coefficients as Chen et al., "Benchmarks for Corruption Invariant Person Re-identification" (CIL), NeurIPS
2021 Datasets and Benchmarks, use them, which is AugMix's own setting for CIFAR. The operations are
Pillow's, to within one level.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

NOTHING = -1  # in the place of an operation that a shorter chain does not have

WIDTH = 3  # chains
MAX_DEPTH = 3  # operations in a chain: 1, 2 or 3
SEVERITY = 3  # levels are drawn from 0.1…SEVERITY, of 10
LOWEST_LEVEL = 0.1
TRIVIAL_SEVERITY = 5  # of 10, where an operation stands alone

# What level 10 would be.
MAX_POSTERIZED_BITS = 4
MAX_SOLARIZED = 256
MAX_DEGREES = 30
MAX_SHEAR = 0.3
MAX_TRANSLATION = 1 / 3  # of the width or the height

# Pictures per pass on a CPU; with their chains, 32 of 256×128 are 13 MB.
_BLOCK = 32
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
        mixture: the mixture for N pictures.

    Returns:
        (N, H, W, 3) uint8.
    """
    mixed = torch.empty_like(crops)
    block = _BLOCK if crops.device.type == "cpu" else max(len(crops), 1)
    for start in range(0, len(crops), block):
        part = slice(start, start + block)
        mixed[part] = _augmix_block(crops[part], Mixture(*(values[part] for values in mixture)))
    return mixed


def trivial_augment(crops: Tensor, generator: torch.Generator) -> Tensor:
    """One operation on each picture, or none, at a strength of its own: at most half of level 10.

    Args:
        crops: (N, H, W, 3) uint8; left unchanged.
        generator: on the CPU.

    Returns:
        (N, H, W, 3) uint8.

    Source: Müller and Hutter, "TrivialAugment", ICCV 2021, which does as well as learned policies
    (AutoAugment); with the nine operations here, and half its range, because a person fills the picture.
    """
    n = len(crops)
    operations = torch.randint(NOTHING, len(OPERATIONS), (n,), generator=generator)
    levels = LOWEST_LEVEL + (TRIVIAL_SEVERITY - LOWEST_LEVEL) * torch.rand(n, generator=generator)
    signs = 1 - 2 * torch.randint(2, (n,), generator=generator)
    changed = crops.clone()
    _apply_(changed, operations.tolist(), (levels * signs).tolist())
    return changed


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
        mixed.addcmul_(chains[:, chain].float(), weights[:, chain, None, None, None])
    return mixed.round_().to(torch.uint8)


def _apply_(chains: Tensor, operations: list[int], levels: list[float]) -> None:
    """One operation on each of (M, H, W, 3) pictures, in place."""
    for index, operation in enumerate(OPERATIONS.values()):
        places = [row for row, wanted in enumerate(operations) if wanted == index]
        if not places:
            continue
        # index_select and single copies: several times faster here than reading and writing by a list.
        chosen = chains.index_select(0, torch.tensor(places, device=chains.device))
        changed = operation(chosen, [levels[row] for row in places])
        for row, picture in zip(places, changed, strict=True):
            chains[row] = picture


# The operations: (M, H, W, 3) uint8 and M levels in, (M, H, W, 3) uint8 out; the input is left unchanged.


def autocontrast(crops: Tensor, levels: list[float]) -> Tensor:
    """Stretch each channel: its darkest value becomes 0, its lightest 255. A channel of one value stays."""
    codes, counts = _histograms(crops)
    values = torch.arange(256, device=crops.device)
    darkest, lightest = _first(counts), 255 - _first(counts.flip(2))
    span = lightest - darkest
    stretched = ((values - darkest) * 255 // span.clamp(min=1)).clamp(0, 255)
    return _look_up(codes, torch.where(span == 0, values, stretched)).view(crops.shape)


def equalize(crops: Tensor, levels: list[float]) -> Tensor:
    """Spread each channel's values so that all become about equally frequent.

    A channel with fewer than 255 pixels below its lightest value stays.
    """
    codes, counts = _histograms(crops)
    values = torch.arange(256, device=crops.device)
    below = counts.cumsum(dim=2) - counts
    step = below.gather(2, 255 - _first(counts.flip(2))) // 255
    spread = ((step // 2 + below) // step.clamp(min=1)).clamp(max=255)
    return _look_up(codes, torch.where(step == 0, values, spread)).view(crops.shape)


def posterize(crops: Tensor, levels: list[float]) -> Tensor:
    """Keep the highest bits only: 4, or 3."""
    kept = [MAX_POSTERIZED_BITS - int(abs(level) * MAX_POSTERIZED_BITS / 10) for level in levels]
    return crops & _per_picture([256 - (1 << (8 - bits)) for bits in kept], crops)


def solarize(crops: Tensor, levels: list[float]) -> Tensor:
    """Invert the lightest values."""
    threshold = [MAX_SOLARIZED - int(abs(level) * MAX_SOLARIZED / 10) for level in levels]
    return torch.where(crops < _per_picture(threshold, crops), crops, 255 - crops)


def rotate(crops: Tensor, levels: list[float]) -> Tensor:
    """By whole degrees about the centre, counter-clockwise where the level is positive."""
    x, y = crops.shape[2] / 2, crops.shape[1] / 2
    rows = []
    for level in levels:
        angle = math.radians(int(level * MAX_DEGREES / 10))
        cosine, sine = math.cos(angle), math.sin(angle)
        rows.append((cosine, -sine, x - cosine * x + sine * y, sine, cosine, y - sine * x - cosine * y))
    return _move_pixels(crops, rows)


def shear_x(crops: Tensor, levels: list[float]) -> Tensor:
    return _move_pixels(crops, [(1, MAX_SHEAR * level / 10, 0, 0, 1, 0) for level in levels])


def shear_y(crops: Tensor, levels: list[float]) -> Tensor:
    return _move_pixels(crops, [(1, 0, 0, MAX_SHEAR * level / 10, 1, 0) for level in levels])


def translate_x(crops: Tensor, levels: list[float]) -> Tensor:
    """By whole pixels, to the left where the level is positive."""
    return _translate(crops, levels, axis=1)


def translate_y(crops: Tensor, levels: list[float]) -> Tensor:
    """By whole pixels, upwards where the level is positive."""
    return _translate(crops, levels, axis=0)


OPERATIONS: dict[str, Callable[[Tensor, list[float]], Tensor]] = {
    operation.__name__: operation
    for operation in (
        autocontrast,
        equalize,
        posterize,
        solarize,
        rotate,
        shear_x,
        shear_y,
        translate_x,
        translate_y,
    )
}


def _histograms(crops: Tensor) -> tuple[Tensor, Tensor]:
    """(M·H·W·3,) codes of picture, channel and value; (M, 3, 256) how often each occurs."""
    m = len(crops)
    rows = torch.arange(3 * m, device=crops.device).view(m, 1, 3)
    codes = crops.reshape(m, -1, 3).long().add_(256 * rows).flatten()
    return codes, torch.bincount(codes, minlength=3 * m * 256).view(m, 3, 256)


def _look_up(codes: Tensor, tables_M3L: Tensor) -> Tensor:
    return tables_M3L.to(torch.uint8).flatten().index_select(0, codes)


def _first(counts: Tensor) -> Tensor:
    """(M, 3, 1) the first value that occurs."""
    return (counts > 0).int().argmax(dim=2, keepdim=True)


def _per_picture(values: list[int], crops: Tensor) -> Tensor:
    return torch.tensor(values, dtype=torch.uint8, device=crops.device)[:, None, None, None]


def _translate(crops: Tensor, levels: list[float], *, axis: int) -> Tensor:
    moved = torch.zeros_like(crops)
    length = crops.shape[1 + axis]
    for out, crop, level in zip(moved, crops, levels, strict=True):
        shift = int(level * (MAX_TRANSLATION * length) / 10)
        rest = length - abs(shift)
        out.narrow(axis, max(-shift, 0), rest).copy_(crop.narrow(axis, max(shift, 0), rest))
    return moved


def _move_pixels(crops: Tensor, rows: Sequence[tuple[float, ...]]) -> Tensor:
    """Affine map of each picture, bilinear; what comes from outside is black.

    Args:
        rows: M times (a, b, c, d, e, f): the output at (x, y) shows the input at (a·x + b·y + c,
            d·x + e·y + f), where pixel centres lie at halves.
    """
    height, width = crops.shape[1:3]
    a, b, c, d, e, f = torch.tensor(rows, device=crops.device).T[:, :, None, None]
    x = torch.arange(width, device=crops.device) + 0.5
    y = torch.arange(height, device=crops.device)[:, None] + 0.5
    source_x, source_y = a * x + b * y + c, d * x + e * y + f
    inside = (source_x >= 0) & (source_x < width) & (source_y >= 0) & (source_y < height)
    # Between the outermost pixel centres and the edge, the outermost pixel.
    grid = torch.empty((*inside.shape, 2), device=crops.device)
    grid[..., 0] = source_x.clamp_(0.5, width - 0.5).mul_(2 / width).sub_(1)
    grid[..., 1] = source_y.clamp_(0.5, height - 0.5).mul_(2 / height).sub_(1)
    moved = F.grid_sample(crops.permute(0, 3, 1, 2).float(), grid, mode="bilinear", align_corners=False)
    return moved.add_(_ROUNDING_ROOM).to(torch.uint8).permute(0, 2, 3, 1).mul_(inside[..., None])

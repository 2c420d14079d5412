"""Random boxes of a picture: filled, mixed with noise, or mixed with another part of it.

Three forms of erasing with boxes of the same distribution (Zhong et al., "Random Erasing Data
Augmentation", AAAI 2020): `erase_` fills, as the paper and torchreid do; `soft_erase_` and `mix_patches_`
let some of the picture through, as Chen et al. do ("Benchmarks for Corruption Invariant Person
Re-identification", CIL, NeurIPS 2021 Datasets and Benchmarks).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

ERASED_AREA = (0.02, 0.4)
ERASED_MIN_ASPECT = 0.3

_BOX_ATTEMPTS = 100


class Box(NamedTuple):
    top: int
    left: int
    height: int
    width: int


def draw_boxes(
    n: int,
    size: tuple[int, int],
    area: tuple[float, float],
    min_aspect: float,
    generator: torch.Generator,
) -> list[Box | None]:
    """Random boxes smaller than a picture of `size` (height, width).

    A share of the area and an aspect (height ÷ width, between `min_aspect` and its inverse) are
    drawn uniformly, up to a hundred times until the box fits; None where none did.
    """
    height, width = size
    share, aspect = torch.rand(2, n, _BOX_ATTEMPTS, generator=generator, dtype=torch.float64)
    target = (area[0] + (area[1] - area[0]) * share) * (height * width)
    aspect = min_aspect + (1 / min_aspect - min_aspect) * aspect
    heights, widths = (target * aspect).sqrt().round(), (target / aspect).sqrt().round()
    fits = (heights >= 1) & (heights < height) & (widths >= 1) & (widths < width)
    first = fits.int().argmax(dim=1, keepdim=True)
    tops, lefts = torch.rand(2, n, generator=generator, dtype=torch.float64).tolist()
    boxes: list[Box | None] = []
    for index, (does_fit, h, w) in enumerate(
        zip(
            fits.gather(1, first)[:, 0].tolist(),
            heights.gather(1, first)[:, 0].long().tolist(),
            widths.gather(1, first)[:, 0].long().tolist(),
            strict=True,
        )
    ):
        top, left = int(tops[index] * (height - h + 1)), int(lefts[index] * (width - w + 1))
        boxes.append(Box(top, left, h, w) if does_fit else None)
    return boxes


def erase_(
    images: Tensor, boxes: list[Box | None], chosen: list[bool], fill: tuple[float, float, float]
) -> None:
    """Fill a box of each chosen image (N, 3, H, W), in place.

    The fill is the normalisation mean, put in after normalisation: a grey near, but not at, the
    mean of the data. So does the reference, whose published results depend on it.
    """
    colour = torch.tensor(fill, dtype=images.dtype, device=images.device)[:, None, None]
    for image, box, is_chosen in zip(images, boxes, chosen, strict=True):
        if is_chosen and box is not None:
            image[:, box.top : box.top + box.height, box.left : box.left + box.width] = colour


def draw_shares(n: int, generator: torch.Generator) -> list[float]:
    """How much of a box is replaced, for each of `n` pictures: ~ Beta(0.5, 1), often little.

    Source: CIL's mixing coefficients. The square of a uniform number has this distribution.
    """
    return torch.rand(n, generator=generator, dtype=torch.float64).square_().tolist()


def soft_erase_(
    crops: Tensor,
    boxes: list[Box | None],
    chosen: list[bool],
    shares: list[float],
    generator: torch.Generator,
) -> None:
    """Mix a box of each chosen crop (N, H, W, 3) uint8 with noise, in place.

    (1 − share) · picture + share · noise, where the noise is N(0, 1) in every pixel and channel, on the
    scale on which a picture is 0…1. What leaves that scale wraps around (−1 becomes 255): CIL converts so,
    and publishes results that depend on it. From a share of about a half, the box is uniform noise.
    """
    for crop, box, is_chosen, share in zip(crops, boxes, chosen, shares, strict=True):
        if is_chosen and box is not None:
            part = part_of(crop, box)
            noise = torch.randn(part.shape, generator=generator).mul_(255 * share).to(crops.device)
            # By way of int16: a float below 0 or above 255 has no defined uint8.
            part.copy_(noise.add_(part, alpha=1 - share).to(torch.int16).to(torch.uint8))


def mix_patches_(
    crops: Tensor, boxes: list[Box | None], chosen: list[bool], shares: list[float], corners: Tensor
) -> None:
    """Mix a box of each chosen crop (N, H, W, 3) uint8 with another part of the same crop, in place.

    (1 − share) · box + share · other, where the other part has the box's size.

    Args:
        corners: (N, 2) in [0, 1); where the other part lies, from top and left to bottom and right.
    """
    height, width = crops.shape[1:3]
    for crop, box, is_chosen, share, (top, left) in zip(
        crops, boxes, chosen, shares, corners.tolist(), strict=True
    ):
        if is_chosen and box is not None:
            top, left = int(top * (height - box.height + 1)), int(left * (width - box.width + 1))
            other = part_of(crop, Box(top, left, box.height, box.width))
            part = part_of(crop, box)
            part.copy_((part * (1 - share)).add_(other, alpha=share).round_().to(torch.uint8))


def part_of(crop: Tensor, box: Box) -> Tensor:
    """The box of a crop (H, W, 3), as a view."""
    return crop[box.top : box.top + box.height, box.left : box.left + box.width]

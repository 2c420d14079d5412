"""Colours and sharpness as other cameras would have them, batched: what a network is not to rely on.

A network that learned a few cameras, or rendered ones, meets colours and sharpness that none of them had.
Five augmentations spread both far beyond the training data: `shift_colors_` is a camera with another tone
curve, white balance, saturation and hue; `grey_` one without colours; `coarsen_` a person farther away;
`set_levels_` a camera that crushes shadows and burns lights out, or one in haze; `sharpen_` one that
exaggerates edges.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

# Each is drawn from ±this at strength 1; where it is a factor, the logarithm is.
TONE = 0.5  # exponent of the tone curve, all channels
CHANNEL_TONE = 0.1  # and of each channel beside it
EXPOSURE = 0.35
WHITE_BALANCE = 0.2  # gain of each channel
SATURATION = 0.7
HUE = 0.06  # of a turn about the grey axis

# What becomes black and white, of 1, is drawn from these at strength 1: more contrast, seldom less.
BLACK = (-0.1, 0.25)
WHITE = (0.7, 1.1)
SHARPENING = 2.5  # the most

_LUMA = (0.299, 0.587, 0.114)
# Pictures per pass over floats on a CPU.
_BLOCK = 16


class ColorShift(NamedTuple):
    """Per picture, on the CPU: gain · (value / 255) ^ exponent of each channel, then a matrix over them.

    exponents, gains: (N, 3).
    matrices: (N, 3, 3); row i gives channel i of the result.
    """

    exponents: Tensor
    gains: Tensor
    matrices: Tensor


def draw_color_shift(n: int, generator: torch.Generator, strength: float = 1.0) -> ColorShift:
    """Chance for `n` pictures; every value is uniform in its range, which `strength` scales."""
    draws = strength * (2 * torch.rand(n, 10, generator=generator) - 1)
    exponents = (TONE * draws[:, :1] + CHANNEL_TONE * draws[:, 1:4]).exp()
    gains = (EXPOSURE * draws[:, 4:5] + WHITE_BALANCE * draws[:, 5:8]).exp()
    saturation = (SATURATION * draws[:, 8]).exp()
    return ColorShift(exponents, gains, color_matrices(saturation, 2 * math.pi * HUE * draws[:, 9]))


def color_matrices(saturation: Tensor, angle: Tensor) -> Tensor:
    """(N, 3, 3) that turn colours about the grey axis, then scale their distance from their luma.

    Args:
        saturation: (N,) 1 leaves it, 0 gives greys.
        angle: (N,) radians; a third of a turn makes red green, green blue and blue red.
    """
    cosine, sine = angle.cos()[:, None, None], angle.sin()[:, None, None]
    mean = torch.full((3, 3), 1 / 3)
    # Rodrigues' rotation about (1, 1, 1) / √3.
    cross = torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)
    turned = cosine * torch.eye(3) + (1 - cosine) * mean + sine * cross
    factor = saturation[:, None, None]
    luma = torch.tensor(_LUMA).expand(3, 3)
    return (factor * torch.eye(3) + (1 - factor) * luma) @ turned


def shift_colors_(crops: Tensor, shift: ColorShift) -> None:
    """Give each crop (N, H, W, 3) uint8 the colours of another camera, in place; rounded and clipped."""
    n = len(crops)
    block = _BLOCK if crops.device.type == "cpu" else max(n, 1)
    values_256 = torch.arange(256, device=crops.device) / 255
    for start in range(0, n, block):
        part = crops[start : start + block]
        exponents, gains, matrices = (values[start : start + block].to(crops.device) for values in shift)
        # Of 256 values each: a table costs half of what the power of every pixel does.
        curves = (values_256.pow(exponents[:, :, None]) * (255 * gains[:, :, None])).clamp_(0, 255)
        pixels = part.reshape(len(part), -1, 3).transpose(1, 2)
        toned = curves.gather(2, pixels.long())
        mixed = torch.bmm(matrices, toned).clamp_(0, 255).round_()
        part.copy_(mixed.transpose(1, 2).reshape(part.shape))


def grey_(crops: Tensor, chosen: list[bool]) -> None:
    """Replace the colours of the chosen crops (N, H, W, 3) uint8 by their luma, in place."""
    weights = torch.tensor(_LUMA, device=crops.device)
    for crop, is_chosen in zip(crops, chosen, strict=True):
        if is_chosen:
            crop.copy_((crop.float() @ weights).round_()[..., None].expand(crop.shape))


def coarsen_(crops: Tensor, chosen: list[bool], scales: Tensor) -> None:
    """Shrink the chosen crops (N, H, W, 3) uint8 and enlarge them again, in place.

    Args:
        scales: (N,) of height and width in (0, 1]; shrunk with antialiasing, enlarged bilinearly.
    """
    size = crops.shape[1:3]
    for crop, is_chosen, scale in zip(crops, chosen, scales.tolist(), strict=True):
        if not is_chosen:
            continue
        shrunk_size = tuple(max(round(scale * length), 1) for length in size)
        picture = crop.permute(2, 0, 1)[None].float()
        shrunk = F.interpolate(picture, shrunk_size, mode="bilinear", antialias=True, align_corners=False)
        enlarged = F.interpolate(shrunk, size, mode="bilinear", align_corners=False)
        crop.copy_(enlarged[0].permute(1, 2, 0).round_())


def draw_levels(n: int, generator: torch.Generator, strength: float = 1.0) -> tuple[Tensor, Tensor]:
    """Chance for `set_levels_`, (n,) each; `strength` scales the way of `BLACK` and `WHITE` from 0 and 1."""
    draws = torch.rand(n, 2, generator=generator)
    blacks = BLACK[0] + (BLACK[1] - BLACK[0]) * draws[:, 0]
    whites = WHITE[0] + (WHITE[1] - WHITE[0]) * draws[:, 1]
    return strength * blacks, 1 + strength * (whites - 1)


def set_levels_(crops: Tensor, chosen: list[bool], blacks: Tensor, whites: Tensor) -> None:
    """Stretch or squeeze the levels of the chosen crops (N, H, W, 3) uint8, in place.

    Args:
        blacks, whites: (N,) levels, of 1, that become black and white; what lies beyond is clipped.
    """
    for crop, is_chosen, black, white in zip(crops, chosen, blacks.tolist(), whites.tolist(), strict=True):
        if is_chosen:
            levels = crop.float().sub_(255 * black).mul_(1 / (white - black))
            crop.copy_(levels.clamp_(0, 255).round_())


def sharpen_(crops: Tensor, chosen: list[bool], amounts: Tensor) -> None:
    """Exaggerate the edges of the chosen crops (N, H, W, 3) uint8 as surveillance cameras do, in place.

    Unsharp masking: to a picture comes `amounts` (N,) times what a binomial blur of 5×5 pixels (standard
    deviation 1) takes from it.
    """
    for crop, is_chosen, amount in zip(crops, chosen, amounts.tolist(), strict=True):
        if is_chosen:
            picture = crop.float()
            sharp = picture.lerp(_blurred(_blurred(picture).transpose(0, 1)).transpose(0, 1), -amount)
            crop.copy_(sharp.clamp_(0, 255).round_())


def _blurred(picture: Tensor) -> Tensor:
    """Along the first axis, by the binomial kernel of five values; the borders are repeated."""
    length = len(picture)
    rows = torch.arange(-2, length + 2, device=picture.device).clamp_(0, length - 1)
    padded = picture[rows]
    first, second, middle, fourth, fifth = (padded[start : start + length] for start in range(5))
    return (first + fifth).add_(second + fourth, alpha=4).add_(middle, alpha=6).mul_(1 / 16)

"""Training augmentation, batched on the device that the crops lie on.

Five augmentations with the constants and the order of the reference implementation (torchreid's
transforms): flip, random crop, random patch, colour jitter, then normalisation, then erasing. Three
more against corruption, as CIL trains (Chen et al., NeurIPS 2021 Datasets and Benchmarks), come before the
jitter: soft erasing, patch mixing, then AugMix. Before AugMix come five for cameras that were never seen
(`appearance`): colours shifted or taken away, pictures coarsened, with other levels, sharpened; then, beside
AugMix, one of its operations alone (`trivial_augment`). And `translate`, as pictures of classes are moved.
All chance comes from one generator on the CPU, so that every device takes the same decisions.

Pictures stay uint8 with channels last until they are normalised: a quarter of the bytes to move,
and the network gets channels-last memory for nothing. docs/decisions/0002 measures the choice.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from omnireid.core.card import InputSpec
from omnireid.core.errors import InputError, ShapeError, UnknownNameError
from omnireid.data.appearance import (
    SHARPENING,
    coarsen_,
    draw_color_shift,
    draw_levels,
    grey_,
    set_levels_,
    sharpen_,
    shift_colors_,
)
from omnireid.data.augmix import augmix, draw_mixture, trivial_augment
from omnireid.data.erasing import (
    ERASED_AREA,
    ERASED_MIN_ASPECT,
    Box,
    draw_boxes,
    draw_shares,
    erase_,
    mix_patches_,
    part_of,
    soft_erase_,
)
from omnireid.data.patch_pool import PatchPool, rotate
from omnireid.data.strengths import Appearance

# In the order in which they are applied.
AUGMENTATIONS = (
    "flip",
    "translate",
    "random_crop",
    "random_patch",
    "soft_erase",
    "patch_mix",
    "color_shift",
    "grey",
    "coarsen",
    "levels",
    "sharpen",
    "trivial_augment",
    "augmix",
    "color_jitter",
    "random_erase",
)

# Of everything but translation, jitter, colour shift and AugMix, which always happen, and grey; also of a
# patch's flip and rotation.
PROBABILITY = 0.5
ENLARGEMENT = 1.125
TRANSLATION = 0.125
BRIGHTNESS = 0.2
CONTRAST = 0.15
PATCH_AREA = (0.01, 0.5)
PATCH_MIN_ASPECT = 0.1
PATCH_MAX_DEGREES = 10
PATCH_MIN_STORED = 100
PATCH_MAX_STORED = 50_000

_IN_PLACE = set(AUGMENTATIONS) - {"trivial_augment", "augmix", "color_jitter", "random_erase"}
_GREY = (0.299, 0.587, 0.114)
# Pictures per pass over floats on a CPU: sixteen of 256×128 (6 MB) stay in its last-level cache.
_BLOCK = 16


class Augmentation:
    """A chosen set of augmentations, followed by normalisation.

    Random patch keeps patches of earlier batches, so it has a state; `state_dict` and
    `load_state_dict` carry it over a resume. The reference holds up to 50,000 patches whatever
    their size (about a gigabyte at 256×128); here a byte budget bounds them too, and the oldest go
    first.
    """

    def __init__(
        self,
        names: Collection[str],
        spec: InputSpec,
        *,
        num_views: int = 1,
        appearance: Appearance = Appearance(),
        patch_pool_bytes: int = 64 * 2**20,
    ) -> None:
        """Prepare the augmentations `names` (any of `AUGMENTATIONS`; their order is fixed).

        Args:
            num_views: pictures to make of each crop. Of several, the first goes without AugMix and each
                other one gets a mixture of its own; everything else they share.
            appearance: how far colours are shifted, and so on.

        Raises:
            UnknownNameError: a name that is no augmentation.
            InputError: several views without AugMix, which would all be the same; or a patch pool that may
                not hold the hundred patches from which pasting starts.
        """
        for name in names:
            if name not in AUGMENTATIONS:
                raise UnknownNameError("augmentation", name, AUGMENTATIONS)
        if num_views < 1 or (num_views > 1 and "augmix" not in names):
            raise InputError(
                f"num_views: expected 1, or more with augmix (which makes them differ), got {num_views}"
            )
        largest_patch = int(PATCH_AREA[1] * spec.height * spec.width * 3)
        if "random_patch" in names and patch_pool_bytes < PATCH_MIN_STORED * largest_patch:
            raise InputError(
                f"patch_pool_bytes: expected at least {PATCH_MIN_STORED * largest_patch:,}, "
                f"got {patch_pool_bytes:,}"
            )
        self.names = tuple(name for name in AUGMENTATIONS if name in names)
        self.spec = spec
        self.num_views = num_views
        self.appearance = appearance
        self._pool = PatchPool(PATCH_MAX_STORED, patch_pool_bytes)

    def __call__(self, crops: Tensor, generator: torch.Generator) -> Tensor:
        """Augment and normalise one batch.

        Args:
            crops: (N, H, W, 3) uint8 RGB of the size of `spec`; left unchanged.
            generator: a generator on the CPU; the only source of chance.

        Returns:
            (num_views · N, 3, H, W) float32 on the device of `crops`, in channels-last memory: the first
            view of every crop, then the second of every crop, and so on.
        """
        size = (self.spec.height, self.spec.width)
        if crops.ndim != 4 or tuple(crops.shape[1:]) != (*size, 3):
            raise ShapeError("crops", expected=("N", *size, 3), actual=tuple(crops.shape))
        if crops.dtype != torch.uint8:
            raise InputError(f"crops: expected uint8, got {crops.dtype}")
        if _IN_PLACE & set(self.names):
            crops = crops.clone()
        n = len(crops)
        if "flip" in self.names:
            flip_(crops, _chosen(n, generator))
        if "translate" in self.names:
            translate_(crops, torch.rand(n, 2, generator=generator), self.spec.mean)
        if "random_crop" in self.names:
            crop_(crops, _chosen(n, generator), torch.rand(n, 2, generator=generator))
        if "random_patch" in self.names:
            paste_patches_(crops, self._pool, generator)
        if "soft_erase" in self.names:
            boxes, chosen = _erased(n, size, generator)
            soft_erase_(crops, boxes, chosen, draw_shares(n, generator), generator)
        if "patch_mix" in self.names:
            boxes, chosen = _erased(n, size, generator)
            corners = torch.rand(n, 2, generator=generator, dtype=torch.float64)
            mix_patches_(crops, boxes, chosen, draw_shares(n, generator), corners)
        if "color_shift" in self.names:
            shift_colors_(crops, draw_color_shift(n, generator, self.appearance.color_shift))
        if "grey" in self.names:
            grey_(crops, _chosen(n, generator, self.appearance.grey))
        if "coarsen" in self.names:
            least = self.appearance.coarsen
            scales = least + (1 - least) * torch.rand(n, generator=generator)
            coarsen_(crops, _chosen(n, generator), scales)
        if "levels" in self.names:
            blacks, whites = draw_levels(n, generator, self.appearance.levels)
            set_levels_(crops, _chosen(n, generator), blacks, whites)
        if "sharpen" in self.names:
            amounts = self.appearance.sharpen * SHARPENING * torch.rand(n, generator=generator)
            sharpen_(crops, _chosen(n, generator), amounts)
        if "trivial_augment" in self.names:
            crops = trivial_augment(crops, generator)
        if "augmix" in self.names:
            clean = [crops] if self.num_views > 1 else []
            mixed = [augmix(crops, draw_mixture(n, generator)) for _ in range(self.num_views - len(clean))]
            crops = torch.cat([*clean, *mixed])
        jitter = None
        if "color_jitter" in self.names:
            jitter = Jitter(*(values.repeat(self.num_views) for values in draw_jitter(n, generator)))
        images = normalise(crops, self.spec, jitter)
        if "random_erase" in self.names:
            boxes, chosen = _erased(n, size, generator)
            erase_(images, boxes * self.num_views, chosen * self.num_views, self.spec.mean)
        return images

    def state_dict(self) -> dict[str, Tensor]:
        """State on the CPU: empty without random patch."""
        return self._pool.state_dict() if "random_patch" in self.names else {}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take over a state.

        Raises:
            InputError: the state of other augmentations.
        """
        expected = set(self.state_dict())
        if set(state) != expected:
            raise InputError(f"augmentation state: expected keys {sorted(expected)}, got {sorted(state)}")
        if state:
            self._pool.load_state_dict(state)


def flip_(crops: Tensor, chosen: list[bool]) -> None:
    """Mirror the chosen crops (N, H, W, 3) left to right, in place."""
    for index, is_chosen in enumerate(chosen):
        if is_chosen:
            crops[index] = crops[index].flip(1)


def translate_(crops: Tensor, offsets: Tensor, mean: Sequence[float]) -> None:
    """Move each crop (N, H, W, 3) by up to an eighth of its size down or up and to a side, in place.

    Args:
        offsets: (N, 2) in [0, 1]; how far, from up and left to down and right, in whole pixels.
        mean: colour of what comes in, of 1.

    Source: padding by 4 pixels and cutting 32×32 out (He et al., "Identity Mappings", ECCV 2016).
    """
    most = torch.tensor([round(size * TRANSLATION) for size in crops.shape[1:3]])
    moves = (offsets * (2 * most + 1)).long().minimum(2 * most) - most
    colour = torch.tensor([round(255 * value) for value in mean], dtype=torch.uint8, device=crops.device)
    for index, (down, right) in enumerate(moves.tolist()):
        moved = crops[index].roll((down, right), (0, 1))
        moved[: max(down, 0)] = moved[len(moved) + min(down, 0) :] = colour
        moved[:, : max(right, 0)] = moved[:, moved.shape[1] + min(right, 0) :] = colour
        crops[index] = moved


def crop_(crops: Tensor, chosen: list[bool], offsets: Tensor) -> None:
    """Enlarge the chosen crops by 1.125 (bilinear) and cut the old size out of them, in place.

    Args:
        crops: (N, H, W, 3) uint8.
        offsets: (N, 2) in [0, 1]; where to cut, from top and left to bottom and right.
    """
    places = [index for index, is_chosen in enumerate(chosen) if is_chosen]
    if not places:
        return
    height, width = crops.shape[1:3]
    enlarged_size = (round(height * ENLARGEMENT), round(width * ENLARGEMENT))
    selected = crops[places].permute(0, 3, 1, 2)
    if selected.device.type != "cpu":  # where there is no uint8 kernel
        selected = selected.float()
    enlarged = F.interpolate(selected, size=enlarged_size, mode="bilinear", align_corners=False)
    if enlarged.dtype != torch.uint8:
        enlarged = enlarged.round_().to(torch.uint8)
    enlarged = enlarged.permute(0, 2, 3, 1)
    room = torch.tensor([enlarged_size[0] - height, enlarged_size[1] - width])
    corners = (offsets * room).round().long().tolist()
    for source, index in enumerate(places):
        top, left = corners[index]
        crops[index] = enlarged[source, top : top + height, left : left + width]


def paste_patches_(crops: Tensor, pool: PatchPool, generator: torch.Generator) -> None:
    """Store a patch of every crop, and paste a stored one on half of them, in place.

    A pasted patch is flipped with p 0.5 and rotated by −10…10 whole degrees with p 0.5. Pasting
    starts once the pool holds 100 patches.
    """
    n, height, width = crops.shape[:3]
    boxes = draw_boxes(n, (height, width), PATCH_AREA, PATCH_MIN_ASPECT, generator)
    chosen, flipped, rotated = (_chosen(n, generator) for _ in range(3))
    which, top_share, left_share = torch.rand(3, n, generator=generator, dtype=torch.float64).tolist()
    degrees = torch.randint(-PATCH_MAX_DEGREES, PATCH_MAX_DEGREES + 1, (n,), generator=generator).tolist()
    for index, box in enumerate(boxes):
        if box is not None:
            pool.append(part_of(crops[index], box).clone())
        if len(pool) < PATCH_MIN_STORED or not chosen[index]:
            continue
        patch = pool[int(which[index] * len(pool))].to(crops.device)
        if flipped[index]:
            patch = patch.flip(1)
        if rotated[index]:
            patch = rotate(patch, degrees[index])
        patch_height, patch_width = patch.shape[:2]
        top = int(top_share[index] * (height - patch_height + 1))
        left = int(left_share[index] * (width - patch_width + 1))
        part_of(crops[index], Box(top, left, patch_height, patch_width)).copy_(patch)


class Jitter(NamedTuple):
    """Per picture: factors around 1 and which comes first. Each (N,) on the CPU."""

    brightness: Tensor
    contrast: Tensor
    contrast_first: Tensor


def draw_jitter(n: int, generator: torch.Generator) -> Jitter:
    """Brightness 0.8…1.2 and contrast 0.85…1.15, in random order."""
    uniform = torch.rand(3, n, generator=generator)
    return Jitter(
        brightness=1 + BRIGHTNESS * (2 * uniform[0] - 1),
        contrast=1 + CONTRAST * (2 * uniform[1] - 1),
        contrast_first=uniform[2] < 0.5,
    )


def normalise(crops: Tensor, spec: InputSpec, jitter: Jitter | None) -> Tensor:
    """Jitter where wanted, then (x / 255 − mean) / std.

    Args:
        crops: (N, H, W, 3) uint8.

    Returns:
        (N, 3, H, W) float32 in channels-last memory. Between the steps of the jitter values are
        clipped to 0…255 but, unlike in a PIL pipeline, not rounded.
    """
    n, height, width = crops.shape[:3]
    device = crops.device
    # One row of pixels as one axis: the same arithmetic as on (H, W, 3), several times faster,
    # because the innermost axis is long enough for vector instructions.
    rows_in = crops.reshape(n, height, width * 3)
    rows_out = torch.empty((n, height, width * 3), dtype=torch.float32, device=device)
    scale, shift = (torch.from_numpy(values).to(device).repeat(width) for values in spec.scale_shift())
    block = _BLOCK if device.type == "cpu" else max(n, 1)
    for start in range(0, n, block):
        part = rows_out[start : start + block].copy_(rows_in[start : start + block])
        if jitter is not None:
            _jitter_(part, *(values[start : start + block].to(device) for values in jitter))
        part.mul_(scale).add_(shift)
    return rows_out.view(n, height, width, 3).permute(0, 3, 1, 2)


def _jitter_(rows: Tensor, brightness: Tensor, contrast: Tensor, contrast_first: Tensor) -> None:
    """Brightness and contrast on (N, H, 3·W) values 0…255, in place, per picture in its own order."""
    zeros = torch.zeros_like(contrast)
    # Contrast moves values away from the picture's mean grey: c·x + (1 − c)·mean.
    pull = torch.where(contrast_first, (1 - contrast) * _mean_grey(rows), zeros)
    factor = torch.where(contrast_first, contrast, brightness)
    rows.mul_(factor[:, None, None]).add_(pull[:, None, None]).clamp_(0, 255)
    pull = torch.where(contrast_first, zeros, (1 - contrast) * _mean_grey(rows))
    factor = torch.where(contrast_first, brightness, contrast)
    rows.mul_(factor[:, None, None]).add_(pull[:, None, None]).clamp_(0, 255)


def _mean_grey(rows: Tensor) -> Tensor:
    """(N,) mean luma of (N, H, 3·W) values."""
    weights = torch.tensor(_GREY, device=rows.device).repeat(rows.shape[2] // 3)
    return rows.mean(dim=1) @ weights / (rows.shape[2] // 3)


def _erased(n: int, size: tuple[int, int], generator: torch.Generator) -> tuple[list[Box | None], list[bool]]:
    return draw_boxes(n, size, ERASED_AREA, ERASED_MIN_ASPECT, generator), _chosen(n, generator)


def _chosen(n: int, generator: torch.Generator, probability: float = PROBABILITY) -> list[bool]:
    return (torch.rand(n, generator=generator) < probability).tolist()

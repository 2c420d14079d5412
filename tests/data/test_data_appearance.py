"""Colours and sharpness of other cameras, against Pillow, colour theory and a plain loop."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from omnireid.core.card import InputSpec
from omnireid.core.images import normalise
from omnireid.data import appearance
from omnireid.data.augmentation import Augmentation
from omnireid.data.strengths import Appearance

SPEC = InputSpec(height=64, width=32)
ALL = ("color_shift", "grey", "coarsen", "levels", "sharpen")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def crops(n: int = 6, seed: int = 0) -> torch.Tensor:
    small = np.random.default_rng(seed).integers(0, 256, (n, 8, 4, 3), dtype=np.uint8)
    enlarged = [np.asarray(Image.fromarray(one).resize((32, 64), Image.Resampling.BICUBIC)) for one in small]
    return torch.from_numpy(np.stack(enlarged))


def one(value: float) -> torch.Tensor:
    return torch.tensor([value])


def test_a_full_third_of_a_turn_makes_red_green_green_blue_and_blue_red() -> None:
    matrix = appearance.color_matrices(one(1.0), one(2 * math.pi / 3))[0]
    torch.testing.assert_close(matrix, torch.tensor([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]]), atol=1e-6, rtol=0)


def test_no_turn_and_full_saturation_change_nothing_and_greys_stay_grey_in_any_case() -> None:
    torch.testing.assert_close(appearance.color_matrices(one(1.0), one(0.0))[0], torch.eye(3))
    matrices = appearance.color_matrices(torch.rand(50, generator=generator()) * 2, torch.linspace(-3, 3, 50))
    torch.testing.assert_close(matrices.sum(2), torch.ones(50, 3))


def test_without_saturation_a_picture_is_its_luma_as_pillow_has_it() -> None:
    batch = crops()
    grey, unsaturated = batch.clone(), batch.clone()
    appearance.grey_(grey, [True] * 5 + [False])
    neutral = torch.ones(6, 3)
    matrices = appearance.color_matrices(torch.zeros(6), torch.zeros(6))
    appearance.shift_colors_(unsaturated, appearance.ColorShift(neutral, neutral, matrices))
    for picture, ours in zip(batch[:5], grey, strict=False):
        luma = np.asarray(Image.fromarray(picture.numpy()).convert("L"), dtype=int)
        assert np.abs(ours.numpy() - luma[..., None]).max() <= 1
    assert (grey[:5].int() - unsaturated[:5].int()).abs().max() <= 1
    assert torch.equal(grey[5], batch[5])


def test_shifted_colors_are_those_of_a_plain_loop() -> None:
    batch = crops(19)
    shift = appearance.draw_color_shift(len(batch), generator())
    shifted = batch.clone()
    appearance.shift_colors_(shifted, shift)
    for number, picture in enumerate(batch.numpy()):
        exponents, gains, matrix = (values[number].double().numpy() for values in shift)
        toned = np.clip(255 * gains * (picture / 255.0) ** exponents, 0, 255)
        expected = np.clip(np.einsum("ij,hwj->hwi", matrix, toned), 0, 255)
        assert np.abs(shifted[number].numpy() - expected).max() < 0.51


def test_shifts_are_spread_around_none() -> None:
    shift = appearance.draw_color_shift(4_000, generator())
    widest = appearance.TONE + appearance.CHANNEL_TONE
    assert shift.exponents.log().abs().max() <= widest
    assert shift.exponents.log().abs().max() > 0.95 * widest
    assert shift.gains.log().abs().max() <= appearance.EXPOSURE + appearance.WHITE_BALANCE
    for values in (shift.exponents, shift.gains):
        assert values.log().mean().abs() < 0.02
    # Channels of one picture differ less than pictures do.
    assert shift.exponents.log().std(dim=1).mean() < 0.3 * shift.exponents.log().std(dim=0).mean()


@pytest.mark.parametrize("scale", [0.3, 0.55, 1.0])
def test_a_coarsened_picture_is_pillows_shrunk_and_enlarged_again(scale: float) -> None:
    batch = crops()
    coarse = batch.clone()
    appearance.coarsen_(coarse, [True, False] * 3, torch.full((6,), scale))
    for number, (ours, picture) in enumerate(zip(coarse, batch, strict=True)):
        if number % 2:
            assert torch.equal(ours, picture)
            continue
        image = Image.fromarray(picture.numpy())
        shrunk = image.resize((round(32 * scale), round(64 * scale)), Image.Resampling.BILINEAR)
        expected = np.asarray(shrunk.resize((32, 64), Image.Resampling.BILINEAR), dtype=int)
        assert np.abs(ours.numpy() - expected).max() <= 2


def test_levels_are_those_of_a_plain_loop_and_clipped() -> None:
    batch = crops(5)
    stretched = batch.clone()
    blacks, whites = torch.tensor([0.0, 0.2, -0.1, 0.1, 0.2]), torch.tensor([1.0, 0.8, 1.1, 0.5, 0.8])
    appearance.set_levels_(stretched, [True] * 4 + [False], blacks, whites)
    for ours, picture, black, white in zip(stretched[:4], batch, blacks, whites, strict=False):
        expected = np.clip((picture.numpy() / 255.0 - black.item()) / (white.item() - black.item()), 0, 1)
        assert np.abs(ours.numpy() - 255 * expected).max() < 0.51
    assert torch.equal(stretched[0], batch[0])
    assert torch.equal(stretched[4], batch[4])


def test_sharpening_is_unsharp_masking_by_opencv() -> None:
    batch = crops(4)
    sharp = batch.clone()
    appearance.sharpen_(sharp, [True, True, True, False], torch.tensor([0.0, 0.7, 2.5, 1.0]))
    kernel = np.array([1, 4, 6, 4, 1]) / 16
    for ours, picture, amount in zip(sharp[:3], batch, (0.0, 0.7, 2.5), strict=False):
        levels = picture.numpy().astype(np.float32)
        blurred = cv2.sepFilter2D(levels, -1, kernel, kernel, borderType=cv2.BORDER_REPLICATE)
        expected = np.clip(levels + amount * (levels - blurred), 0, 255)
        assert np.abs(ours.numpy() - expected).max() < 0.51
    assert torch.equal(sharp[0], batch[0])
    assert torch.equal(sharp[3], batch[3])


def test_about_a_tenth_becomes_grey_and_the_input_is_left_alone() -> None:
    batch = crops(400)
    before = batch.clone()
    out = Augmentation(("grey",), SPEC)(batch, generator())
    assert torch.equal(batch, before)
    plain = torch.from_numpy(normalise(batch.numpy(), SPEC))
    changed = (out - plain).abs().amax(dim=(1, 2, 3)) > 1e-6
    assert 20 < changed.sum() < 60


def test_strengths_scale_what_is_drawn() -> None:
    weak, usual = (appearance.draw_color_shift(50, generator(), strength) for strength in (0.25, 1.0))
    torch.testing.assert_close(weak.exponents.log(), 0.25 * usual.exponents.log(), atol=1e-6, rtol=1e-4)
    torch.testing.assert_close(weak.gains.log(), 0.25 * usual.gains.log(), atol=1e-6, rtol=1e-4)
    for weak_levels, levels, neutral in zip(
        appearance.draw_levels(50, generator(), 0.25),
        appearance.draw_levels(50, generator()),
        (0, 1),
        strict=True,
    ):
        torch.testing.assert_close(weak_levels - neutral, 0.25 * (levels - neutral), atol=1e-6, rtol=1e-4)
    (most,) = (limit.le for limit in Appearance.model_fields["levels"].metadata if hasattr(limit, "le"))
    blacks, whites = appearance.draw_levels(10_000, generator(), most)
    assert (whites - blacks).min() > 0.1
    batch = crops(40)
    plain = torch.from_numpy(normalise(batch.numpy(), SPEC))
    nothing = Appearance(color_shift=0, grey=0, coarsen=1, levels=0, sharpen=0)
    out = Augmentation(ALL, SPEC, appearance=nothing)(batch, generator())
    torch.testing.assert_close(out, plain, atol=1e-5, rtol=0)
    everything = Augmentation(("grey",), SPEC, appearance=Appearance(grey=1))(batch, generator())
    spread = (
        everything * torch.tensor(SPEC.std)[:, None, None] + torch.tensor(SPEC.mean)[:, None, None]
    ).std(1)
    assert spread.max() < 1e-5


def test_together_they_are_a_function_of_the_generator_alone() -> None:
    batch = crops(8)
    augmentation = Augmentation(ALL, SPEC)
    first, again = (augmentation(batch, generator(3)) for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first, augmentation(batch, generator(4)))
    assert augmentation(batch[:0], generator()).shape == (0, 3, 64, 32)

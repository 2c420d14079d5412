"""Soft erasing and patch mixing against loops over single pixels; and the views of consistency training."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from omnireid.core.card import InputSpec
from omnireid.core.errors import InputError
from omnireid.core.images import normalise as normalise_numpy
from omnireid.data import augmentation as aug
from omnireid.data import erasing
from omnireid.data.erasing import Box

SPEC = InputSpec(height=64, width=32)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise_pictures(n: int, height: int = 64, width: int = 32, seed: int = 0) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.integers(0, 256, (n, height, width, 3), dtype=np.uint8))


def test_soft_erasing_equals_a_loop_over_pixels():
    crops = noise_pictures(5, 12, 9)
    boxes = [Box(1, 2, 4, 5), Box(0, 0, 11, 8), None, Box(3, 3, 2, 2), Box(5, 1, 7, 8)]
    chosen, shares = [True, True, True, False, True], [0.3, 0.9, 0.5, 0.5, 0.01]
    out = crops.clone()
    erasing.soft_erase_(out, boxes, chosen, shares, generator(3))

    expected = crops.numpy().copy()
    stream = generator(3)
    for picture, box, is_chosen, share in zip(expected, boxes, chosen, shares, strict=True):
        if box is None or not is_chosen:
            continue
        noise = torch.randn((box.height, box.width, 3), generator=stream).tolist()
        for y in range(box.height):
            for x in range(box.width):
                for channel in range(3):
                    old = picture[box.top + y, box.left + x, channel] / 255
                    value = 255 * ((1 - share) * old + share * noise[y][x][channel])
                    picture[box.top + y, box.left + x, channel] = math.trunc(value) % 256
    # Cut to whole levels: beside one, float32 and float64 may fall to different sides. Levels wrap.
    difference = (out.numpy().astype(int) - expected + 128) % 256 - 128
    assert np.abs(difference).max() <= 1
    assert (difference != 0).mean() < 0.01
    assert (out[0] != crops[0]).any()
    assert torch.equal(out[2:4], crops[2:4])


def test_a_box_replaced_whole_is_uniform_noise():
    """Which is what N(0, 1) wraps to: its first Fourier coefficient at 256 levels is below 1e-8."""
    crops = noise_pictures(1, 200, 200) // 8
    erasing.soft_erase_(crops, [Box(0, 0, 199, 199)], [True], [1.0], generator())
    counts = np.histogram(crops[0, :199, :199], bins=16, range=(0, 256))[0]
    np.testing.assert_allclose(counts / counts.mean(), 1, atol=0.06)


def test_patch_mixing_equals_a_loop_over_pixels():
    crops = noise_pictures(4, 12, 9)
    boxes = [Box(1, 2, 4, 5), Box(0, 0, 11, 8), None, Box(3, 3, 2, 2)]
    chosen, shares = [True, True, True, False], [0.3, 0.75, 0.5, 0.5]
    corners = torch.tensor([[0.99, 0.0], [0.5, 0.5], [0.1, 0.1], [0.2, 0.2]], dtype=torch.float64)
    out = crops.clone()
    erasing.mix_patches_(out, boxes, chosen, shares, corners)

    expected = crops.numpy().copy()
    for place, (top, left) in ((0, (8, 0)), (1, (1, 1))):
        box, share, picture = boxes[place], shares[place], crops[place].numpy().astype(float)
        for y in range(box.height):
            for x in range(box.width):
                for channel in range(3):
                    old = picture[box.top + y, box.left + x, channel]
                    other = picture[top + y, left + x, channel]
                    expected[place, box.top + y, box.left + x, channel] = round(
                        (1 - share) * old + share * other
                    )
    assert np.abs(out.numpy().astype(int) - expected).max() <= 1
    assert (out.numpy() != expected).mean() < 0.01
    assert torch.equal(out[2:], crops[2:])


def test_shares_are_beta_distributed():
    stats = pytest.importorskip("scipy.stats")
    shares = erasing.draw_shares(5000, generator())
    assert stats.kstest(shares, stats.beta(0.5, 1).cdf).pvalue > 0.01
    assert shares == erasing.draw_shares(5000, generator())


@pytest.mark.parametrize("name", ["soft_erase", "patch_mix"])
def test_half_of_the_pictures_are_erased_softly_within_a_box(name: str):
    crops = noise_pictures(300)
    before = crops.clone()
    out = aug.Augmentation((name,), SPEC)(crops, generator())
    assert torch.equal(crops, before)
    plain = torch.from_numpy(normalise_numpy(crops.numpy(), SPEC))
    changed = ~torch.isclose(out, plain, atol=1e-6)
    extents = []
    for mask in changed:
        if mask.any():
            rows, columns = mask.any(dim=0).nonzero().T
            extents.append((rows.max() - rows.min() + 1) * (columns.max() - columns.min() + 1) / (64 * 32))
    assert 110 < len(extents) < 190
    assert max(extents) < 0.42
    assert np.median(extents) > 0.1


ROBUST = ("flip", "soft_erase", "patch_mix", "augmix")


def test_the_first_view_is_the_crop_without_augmix_and_the_others_differ():
    crops = noise_pictures(10) // 2 + 60
    views = aug.Augmentation(ROBUST, SPEC, num_views=3)(crops, generator()).unflatten(0, (3, 10))
    without = aug.Augmentation(ROBUST[:-1], SPEC)(crops, generator())
    assert torch.equal(views[0], without)
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert all(not torch.equal(a, b) for a, b in zip(views[one], views[other], strict=True))


def test_views_share_everything_but_augmix(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(aug, "augmix", lambda crops, mixture: crops)
    augmentation = aug.Augmentation(aug.AUGMENTATIONS, SPEC, num_views=3)
    views = augmentation(noise_pictures(20), generator()).unflatten(0, (3, 20))
    assert torch.equal(views[0], views[1])
    assert torch.equal(views[0], views[2])


def test_a_single_view_is_augmix_itself():
    crops = noise_pictures(6)
    out = aug.Augmentation(("augmix",), SPEC)(crops, generator(4))
    expected = aug.augmix(crops, aug.draw_mixture(6, generator(4)))
    np.testing.assert_allclose(out.numpy(), normalise_numpy(expected.numpy(), SPEC), rtol=0, atol=1e-6)


def test_an_empty_batch_has_no_views():
    out = aug.Augmentation(aug.AUGMENTATIONS, SPEC, num_views=3)(noise_pictures(1)[:0], generator())
    assert out.shape == (0, 3, 64, 32)


def test_views_that_would_all_be_the_same_are_refused():
    with pytest.raises(InputError, match="num_views: expected 1, or more with augmix"):
        aug.Augmentation(("flip",), SPEC, num_views=3)
    with pytest.raises(InputError, match="got 0"):
        aug.Augmentation(("augmix",), SPEC, num_views=0)

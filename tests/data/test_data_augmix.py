"""AugMix against Pillow, one picture and one operation after another."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from omnireid.data import augmix as am
from omnireid.data.augmix import NOTHING, OPERATIONS, Mixture

NAMES = list(OPERATIONS)
CHANGE_VALUES = ("autocontrast", "equalize", "posterize", "solarize")
LEVELS = (0.1, 0.4, 1.3, 2.5, 2.99)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(n: int, height: int = 64, width: int = 32, seed: int = 0) -> torch.Tensor:
    """Smooth: turning noise would hide or invent differences."""
    small = np.random.default_rng(seed).integers(0, 256, (n, 8, 4, 3), dtype=np.uint8)
    return torch.from_numpy(
        np.stack([np.asarray(Image.fromarray(one).resize((width, height), Image.BICUBIC)) for one in small])
    )


def with_pillow(picture: np.ndarray, operation: str, level: float) -> np.ndarray:
    """What the operation means, written with Pillow; levels are out of 10."""
    image = Image.fromarray(picture)
    width, height = image.size
    moved = {
        "shear_x": (1, 0.03 * level, 0, 0, 1, 0),
        "shear_y": (1, 0, 0, 0.03 * level, 1, 0),
        "translate_x": (1, 0, int(level * width / 30), 0, 1, 0),
        "translate_y": (1, 0, 0, 0, 1, int(level * height / 30)),
    }
    if operation in moved:
        image = image.transform(image.size, Image.AFFINE, moved[operation], resample=Image.BILINEAR)
    elif operation == "rotate":
        image = image.rotate(int(3 * level), resample=Image.BILINEAR)
    elif operation == "posterize":
        image = ImageOps.posterize(image, 4 - int(0.4 * abs(level)))
    elif operation == "solarize":
        image = ImageOps.solarize(image, 256 - int(25.6 * abs(level)))
    else:
        image = getattr(ImageOps, operation)(image)
    return np.asarray(image)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("operation", CHANGE_VALUES)
def test_operations_on_values_equal_pillow(operation: str, level: float):
    crops = pictures(6)
    crops[1] = crops[1] // 4 + 90  # little contrast
    crops[2, :, :, 1] = 77  # a channel of one value
    crops[3] = torch.from_numpy(np.random.default_rng(1).integers(0, 256, (64, 32, 3), dtype=np.uint8))
    crops[4] = 200
    out = OPERATIONS[operation](crops, [level] * 6)
    expected = np.stack([with_pillow(one, operation, level) for one in crops.numpy()])
    if operation == "autocontrast":  # Pillow scales in floats, and can cut what should be 255 to 254
        assert np.abs(out.numpy().astype(int) - expected).max() <= 1
        expected = np.stack([autocontrast_in_integers(one) for one in crops.numpy()])
    np.testing.assert_array_equal(out.numpy(), expected)


def autocontrast_in_integers(picture: np.ndarray) -> np.ndarray:
    out = picture.copy()
    for channel in range(3):
        values = picture[..., channel].astype(int)
        if values.max() > values.min():
            out[..., channel] = (values - values.min()) * 255 // (values.max() - values.min())
    return out


def test_equalize_leaves_a_picture_that_is_too_small_to_spread():
    crops = pictures(2, height=16, width=8)  # 128 pixels: fewer than 255 steps
    assert torch.equal(am.equalize(crops, [1.0] * 2), crops)
    between = pictures(8, height=20, width=18, seed=2)  # 360 pixels: values beyond 255 are cut
    out = am.equalize(between, [1.0] * 8)
    expected = np.stack([with_pillow(one, "equalize", 1.0) for one in between.numpy()])
    np.testing.assert_array_equal(out.numpy(), expected)


@pytest.mark.parametrize("size", [(64, 32), (51, 23)])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("operation", NAMES[4:])
def test_operations_on_places_equal_pillow(operation: str, sign: int, size: tuple[int, int]):
    crops = pictures(len(LEVELS), *size)
    out = OPERATIONS[operation](crops, [sign * level for level in LEVELS])
    expected = np.stack(
        [with_pillow(one, operation, sign * level) for one, level in zip(crops.numpy(), LEVELS, strict=True)]
    )
    difference = np.abs(out.numpy().astype(int) - expected)
    # Pillow interpolates in double precision and cuts: a level apart where that falls beside a whole number.
    assert difference.max() <= (0 if operation.startswith("translate") else 1)
    assert (difference > 0).mean() < 0.03
    assert (out != crops).float().mean() > 0.2


def test_operations_of_a_batch_do_not_mix_their_pictures():
    crops = pictures(9)
    chains = crops.clone()
    am._apply_(chains, [8, 0, 4, NOTHING, 1, 3, 6, 2, 5], [2.0, 1.0, -2.9, 1.0, 1.0, 2.9, -1.5, 2.7, 2.2])
    for place, (index, level) in enumerate(
        zip([8, 0, 4, NOTHING, 1, 3, 6, 2, 5], [2.0, 1.0, -2.9, 1.0, 1.0, 2.9, -1.5, 2.7, 2.2], strict=True)
    ):
        one = crops[place].numpy()
        expected = one if index == NOTHING else with_pillow(one, NAMES[index], level)
        assert np.abs(chains[place].numpy().astype(int) - expected).max() <= 1


def mixed_by_hand(picture: np.ndarray, mixture: Mixture, place: int) -> np.ndarray:
    mixed = (1 - mixture.share[place].item()) * picture.astype(np.float64)
    for chain in range(3):
        one = picture
        for index, level in zip(
            mixture.operations[place, chain].tolist(), mixture.levels[place, chain].tolist(), strict=True
        ):
            if index != NOTHING:
                one = with_pillow(one, NAMES[index], level)
        mixed += mixture.share[place].item() * mixture.weights[place, chain].item() * one
    return np.rint(mixed)


def test_the_mixture_equals_one_by_hand():
    crops = pictures(40)
    before = crops.clone()
    mixture = am.draw_mixture(40, generator(1))
    out = am.augmix(crops, mixture)
    assert torch.equal(crops, before)
    expected = np.stack([mixed_by_hand(one, mixture, place) for place, one in enumerate(crops.numpy())])
    difference = np.abs(out.numpy() - expected)
    # A level's difference after a turn becomes a step of posterize or equalize: rare, then up to 32 levels.
    assert (difference > 1).mean() < 0.005
    assert difference.mean() < 0.05
    changed = np.abs(out.numpy().astype(int) - crops.numpy()).mean()
    assert changed > 5


def test_the_mixture_of_exact_operations_is_exact_to_rounding():
    exact = torch.tensor([NAMES.index(name) for name in (*CHANGE_VALUES, "translate_x")])
    drawn = am.draw_mixture(40, generator(2))
    operations = torch.where(drawn.operations == NOTHING, NOTHING, exact[drawn.operations % len(exact)])
    mixture = drawn._replace(operations=operations)
    crops = pictures(40)
    out = am.augmix(crops, mixture).numpy()
    expected = np.stack([mixed_by_hand(one, mixture, place) for place, one in enumerate(crops.numpy())])
    difference = np.abs(out - expected)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 1e-3


def test_a_share_of_nothing_leaves_the_picture_and_one_chain_alone_is_that_chain():
    crops = pictures(8)
    mixture = am.draw_mixture(8, generator())
    assert torch.equal(am.augmix(crops, mixture._replace(share=torch.zeros(8))), crops)
    operations = torch.full((8, 3, 3), NOTHING)
    operations[:, 1, 0] = NAMES.index("solarize")
    alone = Mixture(
        operations, torch.full((8, 3, 3), 2.9), torch.tensor([[0.0, 1, 0]] * 8), share=torch.ones(8)
    )
    expected = np.stack([with_pillow(one, "solarize", 2.9) for one in crops.numpy()])
    np.testing.assert_array_equal(am.augmix(crops, alone).numpy(), expected)


def test_chance_has_the_published_distributions_and_comes_from_the_generator():
    mixture = am.draw_mixture(4000, generator(5))
    again = am.draw_mixture(4000, generator(5))
    assert all(torch.equal(one, other) for one, other in zip(mixture, again, strict=True))
    assert not torch.equal(mixture.share, am.draw_mixture(4000, generator(6)).share)

    torch.testing.assert_close(mixture.weights.sum(dim=1), torch.ones(4000))
    assert (mixture.weights >= 0).all()
    # Dirichlet(1, 1, 1): mean 1/3, variance 1/18, and pairs correlate by −1/2.
    weights = mixture.weights.numpy()
    np.testing.assert_allclose(weights.mean(axis=0), 1 / 3, atol=0.015)
    np.testing.assert_allclose(weights.var(axis=0), 1 / 18, rtol=0.06)
    np.testing.assert_allclose(np.corrcoef(weights.T)[0, 1], -0.5, atol=0.04)
    # Beta(1, 1) is uniform.
    np.testing.assert_allclose(np.quantile(mixture.share, [0.25, 0.5, 0.75]), [0.25, 0.5, 0.75], atol=0.03)

    present = mixture.operations != NOTHING
    depths = present.sum(dim=2)
    np.testing.assert_allclose(np.bincount(depths.flatten())[1:] / 12000, 1 / 3, atol=0.02)
    assert (present.int().diff(dim=2) <= 0).all(), "a chain has no gaps"
    counts = np.bincount(mixture.operations[present])
    assert len(counts) == 9
    np.testing.assert_allclose(counts / counts.sum(), 1 / 9, atol=0.01)
    strengths = mixture.levels.abs()
    assert 0.1 <= strengths.min() < 0.11
    assert 2.99 < strengths.max() < 3
    assert abs(float((mixture.levels < 0).float().mean()) - 0.5) < 0.02


def test_the_size_of_a_pass_changes_nothing(monkeypatch: pytest.MonkeyPatch):
    crops, mixture = pictures(11), am.draw_mixture(11, generator())
    out = am.augmix(crops, mixture)
    monkeypatch.setattr(am, "_BLOCK", 3)
    assert torch.equal(am.augmix(crops, mixture), out)


def test_no_operation_is_a_corruption_of_the_benchmark():
    """FACTS D2, and what AugMix's full set would add."""
    tested = {
        *("gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise", "defocus_blur", "glass_blur"),
        *(
            "motion_blur",
            "zoom_blur",
            "gaussian_blur",
            "snow",
            "frost",
            "fog",
            "brightness",
            "spatter",
            "rain",
        ),
        *("contrast", "elastic_transform", "pixelate", "jpeg_compression", "saturate", "color", "sharpness"),
    }
    assert not tested & set(OPERATIONS)
    assert len(OPERATIONS) == 9


def test_trivial_augment_makes_one_operation_or_none_of_each_picture():
    crops = torch.from_numpy(np.random.default_rng(4).integers(0, 256, (60, 12, 8, 3), dtype=np.uint8))
    changed = am.trivial_augment(crops, torch.Generator().manual_seed(1))
    # By hand, one picture after the other, from the same chance.
    generator = torch.Generator().manual_seed(1)
    operations = torch.randint(NOTHING, len(OPERATIONS), (60,), generator=generator).tolist()
    levels = 0.1 + 4.9 * torch.rand(60, generator=generator)
    levels = (levels * (1 - 2 * torch.randint(2, (60,), generator=generator))).tolist()
    assert set(operations) == set(range(NOTHING, len(OPERATIONS)))
    for crop, picture, operation, level in zip(crops, changed, operations, levels, strict=True):
        expected = crop[None]
        if operation != NOTHING:
            expected = list(OPERATIONS.values())[operation](crop[None], [level])
        assert torch.equal(picture, expected[0])
    assert torch.equal(
        crops[0],
        torch.from_numpy(np.random.default_rng(4).integers(0, 256, (60, 12, 8, 3), dtype=np.uint8))[0],
    )

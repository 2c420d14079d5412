"""Each augmentation against a plain per-picture one written with Pillow or kornia."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance

from omnireid.core.card import InputSpec
from omnireid.core.errors import InputError, ShapeError, UnknownNameError
from omnireid.core.images import normalise as normalise_numpy
from omnireid.data import augmentation as aug
from omnireid.data.patch_pool import PatchPool, rotate

SPEC = InputSpec(height=64, width=32)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def crops(n: int = 8, seed: int = 0, spec: InputSpec = SPEC) -> torch.Tensor:
    """Smooth random pictures: resizing and rotating noise would hide or invent differences."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (n, 8, 4, 3), dtype=np.uint8)
    size = (spec.width, spec.height)
    return torch.from_numpy(
        np.stack(
            [np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC)) for picture in small]
        )
    )


def test_without_augmentations_it_is_the_preprocessing_of_inference():
    batch = crops(19)
    out = aug.Augmentation((), SPEC)(batch, generator())
    np.testing.assert_allclose(out.numpy(), normalise_numpy(batch.numpy(), SPEC), rtol=0, atol=1e-6)
    assert out.is_contiguous(memory_format=torch.channels_last)


def test_flip_mirrors_half_of_the_pictures_and_leaves_the_input_alone():
    batch = crops(200)
    before = batch.clone()
    out = aug.Augmentation(("flip",), SPEC)(batch, generator())
    assert torch.equal(batch, before)
    plain = torch.from_numpy(normalise_numpy(batch.numpy(), SPEC))
    same = [bool(torch.allclose(a, b, atol=1e-6)) for a, b in zip(out, plain, strict=True)]
    mirrored = [bool(torch.allclose(a, b.flip(2), atol=1e-6)) for a, b in zip(out, plain, strict=True)]
    assert all(one != other for one, other in zip(same, mirrored, strict=True))
    assert 70 < sum(mirrored) < 130


def test_flip_equals_kornia():
    kornia = pytest.importorskip("kornia")
    batch = crops()
    flipped = batch.clone()
    aug.flip_(flipped, [True] * len(batch))
    expected = kornia.geometry.transform.hflip(batch.permute(0, 3, 1, 2))
    assert torch.equal(flipped.permute(0, 3, 1, 2), expected)


@pytest.mark.parametrize("offset", [(0.0, 0.0), (1.0, 1.0), (0.3, 0.8)])
def test_crop_equals_pillow_resize_then_crop(offset):
    batch = crops()
    cut = batch.clone()
    aug.crop_(cut, [True] * len(batch), torch.tensor([offset] * len(batch)))
    top, left = round(offset[0] * 8), round(offset[1] * 4)
    for ours, picture in zip(cut, batch, strict=True):
        enlarged = Image.fromarray(picture.numpy()).resize((36, 72), Image.Resampling.BILINEAR)
        expected = np.asarray(enlarged.crop((left, top, left + 32, top + 64)), dtype=np.int64)
        # Both round in fixed point after each of two passes, with weights of different length.
        difference = np.abs(ours.numpy() - expected)
        assert difference.max() <= 2
        assert difference.mean() < 0.2


def test_crop_leaves_unchosen_pictures_alone():
    batch = crops()
    cut = batch.clone()
    aug.crop_(cut, [False, True] * 4, torch.rand(8, 2))
    assert torch.equal(cut[::2], batch[::2])
    assert not torch.equal(cut[1::2], batch[1::2])


def test_translation_pads_and_cuts_pixel_by_pixel():
    spec = InputSpec(height=32, width=16)
    batch = crops(40, spec=spec)
    offsets = torch.rand(40, 2, generator=generator(5))
    offsets[0], offsets[1] = torch.tensor([0.0, 1.0]), torch.tensor([1.0, 0.0])
    moved = batch.clone()
    aug.translate_(moved, offsets, spec.mean)
    colour = [round(255 * value) for value in spec.mean]
    seen = set()
    for picture, ours, offset in zip(batch.numpy(), moved.numpy(), offsets.tolist(), strict=True):
        # Padded by an eighth on each side; a window of the old size is cut out, one of 9 × 5.
        padded = np.empty((40, 20, 3), np.uint8)
        padded[:] = colour
        padded[4:36, 2:18] = picture
        top, left = 8 - min(int(offset[0] * 9), 8), 4 - min(int(offset[1] * 5), 4)
        assert np.array_equal(ours, padded[top : top + 32, left : left + 16])
        seen.add((top, left))
    assert {(8, 0), (0, 4)} <= seen
    assert len(seen) > 20


def test_translation_happens_to_every_picture_alike_on_each_call():
    batch = crops(64)
    augmentation = aug.Augmentation(("translate",), SPEC)
    plain, once, again = (
        aug.Augmentation((), SPEC)(batch, generator()),
        augmentation(batch, generator(1)),
        augmentation(batch, generator(1)),
    )
    assert torch.equal(once, again)
    # One of 17 × 9 places is where it was.
    assert sum(bool(torch.equal(a, b)) for a, b in zip(plain, once, strict=True)) <= 3


def test_jitter_equals_pillow_enhancers_in_both_orders():
    batch = crops(16)
    jitter = aug.draw_jitter(16, generator(3))
    assert 0 < jitter.contrast_first.sum() < 16
    out = aug.normalise(batch, SPEC, jitter)
    expected = []
    for place, picture in enumerate(batch):
        image = Image.fromarray(picture.numpy())
        steps = [
            (ImageEnhance.Brightness, float(jitter.brightness[place])),
            (ImageEnhance.Contrast, float(jitter.contrast[place])),
        ]
        if jitter.contrast_first[place]:
            steps.reverse()
        for enhancer, factor in steps:
            image = enhancer(image).enhance(factor)
        expected.append(np.asarray(image))
    wanted = normalise_numpy(np.stack(expected), SPEC)
    # Pillow rounds after each of two steps; one level is 1 / (255 · 0.224).
    assert np.abs(out.numpy() - wanted).max() <= 2.5 / (255 * 0.224)


def test_jitter_equals_kornia():
    kornia = pytest.importorskip("kornia")
    batch = crops(8)
    jitter = aug.draw_jitter(8, generator(5))._replace(contrast_first=torch.zeros(8, dtype=torch.bool))
    out = aug.normalise(batch, SPEC, jitter)
    images = batch.permute(0, 3, 1, 2).float() / 255
    images = kornia.enhance.adjust_brightness_accumulative(images, jitter.brightness)
    images = kornia.enhance.adjust_contrast_with_mean_subtraction(images, jitter.contrast)
    mean, std = (torch.tensor(values)[:, None, None] for values in (SPEC.mean, SPEC.std))
    torch.testing.assert_close(out, (images - mean) / std, rtol=0, atol=1e-4)


def test_jitter_factors_span_their_ranges():
    jitter = aug.draw_jitter(4000, generator())
    assert 0.8 <= jitter.brightness.min() < 0.81
    assert 1.19 < jitter.brightness.max() <= 1.2
    assert 0.85 <= jitter.contrast.min() < 0.86
    assert 1.14 < jitter.contrast.max() <= 1.15
    assert 0.45 < jitter.contrast_first.float().mean() < 0.55


@pytest.mark.parametrize(("area", "aspect"), [((0.02, 0.4), 0.3), ((0.01, 0.5), 0.1)])
def test_boxes_lie_inside_and_keep_area_and_aspect(area, aspect):
    boxes = aug.draw_boxes(3000, (256, 128), area, aspect, generator())
    assert None not in boxes
    box = np.array(boxes, dtype=np.float64)
    assert (box[:, :2] >= 0).all()
    assert (box[:, 0] + box[:, 2] <= 256).all()
    assert (box[:, 1] + box[:, 3] <= 128).all()
    assert (box[:, 2] < 256).all()
    assert (box[:, 3] < 128).all()
    share = box[:, 2] * box[:, 3] / (256 * 128)
    assert share.min() > area[0] * 0.9
    assert share.max() < area[1] * 1.05
    ratio = box[:, 2] / box[:, 3]
    assert ratio.min() > aspect * 0.8
    assert ratio.max() < 1 / aspect * 1.2
    # Corners reach both ends of the room that a box leaves.
    room = (256 - box[:, 2]) > 0
    assert (box[room, 0] == 0).any()
    assert (box[:, 0] + box[:, 2] == 256).any()


def test_boxes_have_the_distribution_of_a_plain_loop():
    """Mean height, width and area against the rejection loop written with Python's own random."""
    import math
    import random

    rng = random.Random(0)
    expected = []
    for _ in range(4000):
        while True:
            target = rng.uniform(0.02, 0.4) * 256 * 128
            ratio = rng.uniform(0.3, 1 / 0.3)
            h, w = round(math.sqrt(target * ratio)), round(math.sqrt(target / ratio))
            if w < 128 and h < 256:
                break
        expected.append((h, w, h * w))
    boxes = aug.draw_boxes(4000, (256, 128), (0.02, 0.4), 0.3, generator())
    ours = np.array([(box.height, box.width, box.height * box.width) for box in boxes if box])
    np.testing.assert_allclose(ours.mean(axis=0), np.mean(expected, axis=0), rtol=0.03)


def test_erasing_fills_boxes_with_the_mean_after_normalisation():
    batch = crops(300)
    out = aug.Augmentation(("random_erase",), SPEC)(batch, generator())
    plain = torch.from_numpy(normalise_numpy(batch.numpy(), SPEC))
    changed = ~torch.isclose(out, plain, atol=1e-6)
    num_erased = 0
    for image, mask in zip(out, changed, strict=True):
        if not mask.any():
            continue
        num_erased += 1
        rows, columns = mask.any(dim=0).nonzero().T
        box = image[:, rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        expected = torch.tensor(SPEC.mean)[:, None, None].expand_as(box)
        torch.testing.assert_close(box, expected, rtol=0, atol=1e-6)
    assert 110 < num_erased < 190


def test_erasing_fills_exactly_its_box():
    images = torch.zeros(3, 3, 8, 6)
    boxes = [aug.Box(1, 2, 4, 3), None, aug.Box(0, 0, 7, 5)]
    aug.erase_(images, boxes, [True, True, False], (0.1, 0.2, 0.3))
    expected = np.zeros((3, 3, 8, 6), np.float32)
    for channel, value in enumerate((0.1, 0.2, 0.3)):
        for row in (1, 2, 3, 4):
            for column in (2, 3, 4):
                expected[0, channel, row, column] = value
    np.testing.assert_array_equal(images.numpy(), expected)


@pytest.mark.parametrize("degrees", [-10, -3, 0, 1, 7, 10])
@pytest.mark.parametrize("size", [(40, 17), (9, 30), (1, 1), (20, 20)])
def test_rotation_equals_pillow(degrees, size):
    rng = np.random.default_rng(1)
    patch = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    ours = rotate(torch.from_numpy(patch), degrees).numpy()
    expected = np.asarray(Image.fromarray(patch).rotate(degrees))
    # Pixels on a rounding border may take their neighbour.
    assert (ours != expected).any(axis=2).mean() <= 0.01


def test_patches_are_pasted_once_a_hundred_are_stored():
    augmentation = aug.Augmentation(("random_patch",), SPEC)
    early = crops(99, seed=1)
    out = augmentation(early, generator(1))
    torch.testing.assert_close(out, torch.from_numpy(normalise_numpy(early.numpy(), SPEC)), rtol=0, atol=1e-6)
    later = crops(400, seed=2)
    out = augmentation(later, generator(2))
    plain = torch.from_numpy(normalise_numpy(later.numpy(), SPEC))
    num_pasted = sum(not torch.allclose(a, b, atol=1e-6) for a, b in zip(out, plain, strict=True))
    assert 160 < num_pasted < 240


def test_pasted_patches_come_from_other_pictures():
    """Pictures of one colour each: whatever is pasted is a stored colour, or a black corner."""
    colours = torch.arange(1, 201, dtype=torch.uint8)
    batch = colours[:, None, None, None].expand(200, 64, 32, 3).contiguous()
    pool = PatchPool(aug.PATCH_MAX_STORED, 2**26)
    aug.paste_patches_(batch, pool, generator())
    assert {int(value) for value in batch.unique()} <= {0, *range(1, 201)}
    foreign = (batch[:, :, :, 0] != colours[:, None, None]).any(dim=2).any(dim=1)
    assert not foreign[:99].any()
    assert 30 < int(foreign[99:].sum()) < 70


def test_the_pool_keeps_the_latest_within_its_budgets():
    pool = PatchPool(max_patches=5, max_bytes=100)
    for value in range(9):
        pool.append(torch.full((2, 2, 3), value, dtype=torch.uint8))
    assert [int(pool[place][0, 0, 0]) for place in range(len(pool))] == [4, 5, 6, 7, 8]
    pool.append(torch.zeros((6, 5, 3), dtype=torch.uint8))
    assert len(pool) == 1
    assert pool.num_bytes == 90


def test_a_resumed_augmentation_continues_bit_for_bit():
    straight, stopped = (aug.Augmentation(aug.AUGMENTATIONS, SPEC) for _ in range(2))
    for step in range(4):
        straight(crops(40, seed=step), generator(step))
        stopped(crops(40, seed=step), generator(step))
    resumed = aug.Augmentation(aug.AUGMENTATIONS, SPEC)
    resumed.load_state_dict(stopped.state_dict())
    for step in range(4, 7):
        batch = crops(40, seed=step)
        assert torch.equal(straight(batch, generator(step)), resumed(batch, generator(step)))


def test_state_survives_a_checkpoint_that_executes_nothing(tmp_path):
    augmentation = aug.Augmentation(("random_patch",), SPEC)
    augmentation(crops(120), generator())
    torch.save(augmentation.state_dict(), tmp_path / "state.pt")
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    aug.Augmentation(("random_patch",), SPEC).load_state_dict(state)
    with pytest.raises(InputError, match="sizes"):
        aug.Augmentation(("flip",), SPEC).load_state_dict(state)
    with pytest.raises(InputError, match="expected keys"):
        aug.Augmentation(("random_patch",), SPEC).load_state_dict({})
    with pytest.raises(InputError, match="bytes"):
        augmentation.load_state_dict({**state, "pixels": state["pixels"][1:]})


def test_same_generator_same_result_and_names_in_any_order():
    batch = crops(40)
    one = aug.Augmentation(("random_erase", "color_jitter", "flip"), SPEC)(batch, generator(9))
    two = aug.Augmentation(("flip", "random_erase", "color_jitter"), SPEC)(batch, generator(9))
    assert torch.equal(one, two)
    assert not torch.equal(one, aug.Augmentation(("flip",), SPEC)(batch, generator(9)))


def test_refusals_say_what_was_expected():
    with pytest.raises(UnknownNameError, match="did you mean 'random_erase'"):
        aug.Augmentation(("random_erasing",), SPEC)
    with pytest.raises(InputError, match="patch_pool_bytes"):
        aug.Augmentation(("random_patch",), SPEC, patch_pool_bytes=1000)
    augmentation = aug.Augmentation(("flip",), SPEC)
    with pytest.raises(ShapeError):
        augmentation(torch.zeros((2, 3, 64, 32), dtype=torch.uint8), generator())
    with pytest.raises(InputError, match="uint8"):
        augmentation(torch.zeros((2, 64, 32, 3)), generator())


def test_an_empty_batch_passes():
    out = aug.Augmentation(aug.AUGMENTATIONS, SPEC)(crops(1)[:0], generator())
    assert out.shape == (0, 3, 64, 32)

"""The compiled resize gives Pillow's bytes, whatever order Pillow resizes in."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from omnireid.core import resampling
from omnireid.core.card import InputSpec
from omnireid.core.images import load_crop
from omnireid.core.resampling import Resizer, resize_pixels

SIDE = st.integers(1, 90)
PILLOWS_RESIZE = Image.Image.resize


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    """Black and white dots: the largest sums, and rounding everywhere."""
    rng = np.random.default_rng(seed)
    levels = (
        rng.integers(0, 256, (height, width, 3)) if seed % 2 else rng.integers(0, 2, (height, width, 3)) * 255
    )
    return Image.fromarray(levels.astype(np.uint8))


def pillows(image: Image.Image, height: int, width: int) -> np.ndarray:
    return np.asarray(PILLOWS_RESIZE(image, (width, height), Image.Resampling.BILINEAR))


@pytest.fixture
def compiled_calls(monkeypatch) -> list[bool]:
    """The order of every compiled resize."""
    calls = []

    def counted(pixels, height, width, *, rows_first):
        calls.append(rows_first)
        return resize_pixels(pixels, height, width, rows_first=rows_first)

    monkeypatch.setattr(resampling, "resize_pixels", counted)
    return calls


@settings(deadline=None, max_examples=150)
@given(SIDE, SIDE, SIDE, SIDE, st.integers(0, 9))
def test_every_picture_is_pillows(width, height, new_width, new_height, seed):
    resizer = Resizer(new_height, new_width)
    for turn in range(4):
        image = noise(width, height, seed + turn)
        np.testing.assert_array_equal(resizer(image), pillows(image, new_height, new_width))


@settings(deadline=None, max_examples=100)
@given(SIDE, SIDE, SIDE, SIDE, st.integers(0, 9))
def test_one_direction_after_the_other(width, height, new_width, new_height, seed):
    """Both orders, against Pillow asked for one direction at a time."""
    image = noise(width, height, seed)
    pixels = np.frombuffer(image.tobytes("raw", "RGBX"), np.uint32).reshape(height, width)
    between = {True: (new_width, height), False: (width, new_height)}
    for rows_first, size in between.items():
        half_way = PILLOWS_RESIZE(image, size, Image.Resampling.BILINEAR)
        np.testing.assert_array_equal(
            resize_pixels(pixels, new_height, new_width, rows_first=rows_first),
            pillows(half_way, new_height, new_width),
        )


@pytest.mark.parametrize("size", [(64, 128), (128, 64), (128, 100), (100, 256), (400, 800), (300, 40)])
def test_from_the_third_picture_of_a_size_on_pillow_is_not_asked(size, compiled_calls, monkeypatch):
    resizer = Resizer(256, 128)
    resizer(noise(*size))
    assert compiled_calls == []
    resizer(noise(*size, seed=1))
    assert compiled_calls == [True, False]
    expected = pillows(noise(*size, seed=2), 256, 128)
    monkeypatch.delattr(Image.Image, "resize")
    np.testing.assert_array_equal(resizer(noise(*size, seed=2)), expected)
    assert len(compiled_calls) == 3


def test_a_flat_picture_settles_no_order(compiled_calls):
    resizer = Resizer(40, 20)
    for _ in range(3):
        resizer(Image.new("RGB", (30, 90), (1, 2, 3)))
    assert compiled_calls == [True, False] * 2
    for seed in range(3):
        resizer(noise(30, 90, seed))
    assert len(compiled_calls) == 8


def test_a_picture_that_fits_is_copied(compiled_calls):
    resizer = Resizer(40, 20)
    for seed in range(3):
        image = noise(20, 40, seed)
        crop = resizer(image)
        np.testing.assert_array_equal(crop, np.asarray(image))
        crop[0] = 0  # the caller's own
    assert compiled_calls == []


def test_a_pillow_that_resizes_otherwise_is_followed(compiled_calls, monkeypatch):
    def brighter(image, size, method):
        return Image.fromarray(np.asarray(PILLOWS_RESIZE(image, size, method)) // 2 + 7)

    monkeypatch.setattr(Image.Image, "resize", brighter)
    resizer = Resizer(40, 20)
    for seed in range(4):
        for size in ((30, 90), (10, 20)):
            image = noise(*size, seed)
            np.testing.assert_array_equal(resizer(image), pillows(image, 40, 20) // 2 + 7)
    assert compiled_calls == [True, False]


def test_threads_share_a_resizer():
    resizer = Resizer(64, 32)
    images = [noise(20 + seed % 3, 50 + seed % 2, seed) for seed in range(60)]
    with ThreadPoolExecutor(4) as pool:
        crops = list(pool.map(resizer, images))
    for crop, image in zip(crops, images, strict=True):
        np.testing.assert_array_equal(crop, pillows(image, 64, 32))


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_load_crop_gives_the_same_with_and_without(mode):
    spec = InputSpec(height=48, width=24)
    resizer = Resizer(48, 24)
    for seed in range(4):
        stream = io.BytesIO()
        noise(40, 80, seed).convert(mode).save(stream, "JPEG")
        np.testing.assert_array_equal(
            load_crop(stream.getvalue(), spec, resizer=resizer), load_crop(stream.getvalue(), spec)
        )

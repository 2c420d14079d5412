"""The steps that corruptions are made of, against SciPy, the standard library and plain loops."""

from __future__ import annotations

import colorsys
import math

import numpy as np
import pytest
from scipy import ndimage

from omnireid.core.arrays import Float64
from omnireid.robustness.blur import _scatter
from omnireid.robustness.digital import _LEVELS, _warp, change_hsv
from omnireid.robustness.filters import gaussian, resize, smear, to_bytes, zoom
from omnireid.robustness.frost import _texture
from omnireid.robustness.noise import (
    _gaussian_table,
    _impulse_table,
    _shot_table,
    _speckle_table,
    _transmit,
)
from omnireid.robustness.weather import _plasma, _water, rain


def noise_image(height: int, width: int, channels: int = 3, seed: int = 0) -> Float64:
    return np.random.default_rng(seed).uniform(size=(height, width, channels))


# Noise: the table's probabilities against drawing with NumPy as the published code does.


def chances(table: np.ndarray) -> np.ndarray:
    """P(output | input) that an alias table stands for."""
    found = np.zeros((256, 256))
    for level in range(256):
        keep = (table[:, level] >> 8) / 2**24
        alias = (table[:, level] & 255).astype(np.int64)
        found[:, level] += np.where(alias == level, 1.0, keep) / 256
        found[np.arange(256), alias] += np.where(alias == level, 0.0, 1 - keep) / 256
    return found


def drawn(name: str, parameter: float, level: int, count: int) -> np.ndarray:
    rng = np.random.default_rng(level)
    x = np.full(count, level) / 255.0
    if name == "gaussian":
        x = x + rng.normal(size=count, scale=parameter)
    elif name == "speckle":
        x = x + x * rng.normal(size=count, scale=parameter)
    elif name == "shot":
        x = rng.poisson(x * parameter) / float(parameter)
    else:
        flipped, salted = rng.random(count) < parameter, rng.random(count) < 0.5
        x = np.where(flipped, np.where(salted, 1.0, 0.0), x)
    return np.bincount(np.uint8(np.clip(x, 0, 1) * 255), minlength=256) / count


@pytest.mark.parametrize(
    ("name", "make", "parameter"),
    [
        ("gaussian", _gaussian_table, 0.08),
        ("gaussian", _gaussian_table, 0.38),
        ("speckle", _speckle_table, 0.15),
        ("speckle", _speckle_table, 0.6),
        ("shot", _shot_table, 60),
        ("shot", _shot_table, 3),
        ("impulse", _impulse_table, 0.27),
    ],
)
def test_noise_tables_hold_the_published_distribution(name: str, make, parameter: float) -> None:
    found, count = chances(make(parameter)), 100_000
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)
    for level in (0, 1, 2, 60, 127, 128, 200, 254, 255):
        expected = drawn(name, parameter, level, count)
        # Five deviations of a count, and room for the empty cells.
        room = 5 * np.sqrt(found[level] / count) + 1e-4
        assert (np.abs(found[level] - expected) < room).all()


def test_values_are_drawn_as_the_table_says() -> None:
    crop = np.full((300, 300, 3), 77, np.uint8)
    table = _gaussian_table(0.12)
    result = _transmit(crop, np.random.default_rng(0), table)
    found = np.bincount(result.ravel(), minlength=256) / result.size
    expected = chances(table)[77]
    assert (np.abs(found - expected) < 5 * np.sqrt(expected / result.size) + 1e-5).all()
    # Neighbouring values and channels are independent.
    levels = result.astype(float) - result.mean()
    assert abs((levels[1:] * levels[:-1]).mean() / levels.var()) < 0.01
    assert abs((levels[..., 1] * levels[..., 0]).mean() / levels.var()) < 0.015


# Filters: bit for bit what SciPy does, because truncation shows the last bit.


@pytest.mark.parametrize("size", [(1, 1), (5, 40), (33, 17), (64, 30)])
@pytest.mark.parametrize("sigma", [0.7, 1.0, 2.0, 6.0])
def test_gaussian_filter_equals_scipy(size: tuple[int, int], sigma: float) -> None:
    image = noise_image(*size)
    expected = ndimage.gaussian_filter(image, (sigma, sigma, 0), mode="nearest", truncate=4.0)
    found = gaussian(image, sigma, sigma)
    # SciPy's weights come from NumPy's exp, which differs in the last bit between machines.
    np.testing.assert_allclose(found, expected, rtol=1e-14)


def test_mirrored_gaussian_filter_equals_scipy() -> None:
    image = noise_image(40, 21, 2)
    expected = ndimage.gaussian_filter(image, (3.0, 0.6, 0), mode="reflect", truncate=3.0)
    np.testing.assert_allclose(gaussian(image, 3.0, 0.6, truncate=3.0, mirror=True), expected, rtol=1e-14)


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (128, 64), (61, 33)])
@pytest.mark.parametrize("factor", [1.0, 1.01, 1.1, 1.3, 2.5, 4.5])
def test_zoom_equals_scipy(size: tuple[int, int], factor: float) -> None:
    image = noise_image(*size)
    height, width = (math.ceil(side / factor) for side in size)
    top, left = (size[0] - height) // 2, (size[1] - width) // 2
    expected = ndimage.zoom(image[top : top + height, left : left + width], (factor, factor, 1), order=1)
    # Zoom blur's factors end at 1.3; snow's larger ones go with chance, where the last bit is nothing.
    tolerance = 0 if factor <= 1.3 else 1e-14
    np.testing.assert_allclose(zoom(image, factor, crop=False), expected, rtol=tolerance)
    np.testing.assert_allclose(zoom(image, factor, crop=True), expected[: size[0], : size[1]], rtol=tolerance)


@pytest.mark.parametrize("angle", [-45.0, -20.0, 0.0, 31.0, -90.0, -135.0])
@pytest.mark.parametrize("size", [(30, 25), (9, 60), (1, 1)])
def test_smear_equals_a_loop_over_pixels(size: tuple[int, int], angle: float) -> None:
    image, radius, sigma = noise_image(*size), 10, 3.0
    weights = np.exp(-(np.arange(21) ** 2) / (2 * sigma**2))
    weights /= weights.sum()
    expected = np.zeros_like(image)
    for i, weight in enumerate(weights):
        down = -math.ceil(i * math.sin(math.radians(angle)) - 0.5)
        right = -math.ceil(i * math.cos(math.radians(angle)) - 0.5)
        if abs(down) >= size[0] or abs(right) >= size[1]:
            break
        for y in range(size[0]):
            for x in range(size[1]):
                source_y = min(max(y - down, 0), size[0] - 1)
                source_x = min(max(x - right, 0), size[1] - 1)
                expected[y, x] += weight * image[source_y, source_x]
    np.testing.assert_allclose(smear(image, radius, sigma, angle), expected, rtol=1e-13)


def test_to_bytes_truncates_and_clips() -> None:
    values = np.array([-1.0, 0.0, 0.9 / 255, 1.0 / 255, 0.5, 254.99 / 255, 1.0, 7.0])
    assert to_bytes(values).tolist() == [0, 0, 0, 1, 127, 254, 255, 255]
    # A level divided by 255 comes back, in either precision.
    levels = np.arange(256)
    assert to_bytes(levels / 255.0).tolist() == levels.tolist()
    assert to_bytes(levels.astype(np.float32) / np.float32(255)).tolist() == levels.tolist()


def test_resizing_goes_by_columns_first() -> None:
    # Pillow's bicubic kernel overshoots, and each pass clips: the order shows beside hard edges.
    crop = np.zeros((128, 64, 3), np.uint8)
    crop[::7] = 255
    crop[:, ::5] = 255
    columns = resize(crop, 128, 65, 3)
    np.testing.assert_array_equal(resize(crop, 65, 65, 3), resize(columns, 65, 65, 3))


# Colour, glass, elastic, fog, rain, frost.


@pytest.mark.parametrize("change", [(0.3, 0.0, 0.0), (20.0, 0.2, 0.0), (1.0, 0.0, 0.3)])
def test_hsv_equals_the_standard_library(change: tuple[float, float, float]) -> None:
    scale, shift, value_shift = change
    rng = np.random.default_rng(0)
    crop = rng.integers(0, 256, size=(12, 12, 3), dtype=np.uint8)
    crop[0] = [(0, 0, 0), (255, 255, 255), (9, 9, 9), (200, 200, 10), (10, 200, 200), (200, 10, 200)] * 2
    found = change_hsv(crop, scale, shift, value_shift)
    for y, x in np.ndindex(12, 12):
        hue, saturation, value = colorsys.rgb_to_hsv(*(float(v) / 255 for v in crop[y, x]))
        saturation, value = min(max(saturation * scale + shift, 0), 1), min(max(value + value_shift, 0), 1)
        expected = np.array(colorsys.hsv_to_rgb(hue, saturation, value)) * 255
        # Truncation may fall to either side of a whole level.
        assert (np.abs(found[y, x] + 0.5 - expected) <= 0.5 + 1e-6).all()


@pytest.mark.parametrize("reach", [1, 4])
def test_scattering_copies_from_the_neighbourhood_last_pixel_first(reach: int) -> None:
    rng = np.random.default_rng(reach)
    image = rng.integers(0, 256, size=(20, 15, 3), dtype=np.uint8)
    words = rng.integers(0, 1 << 32, size=(2, 20 - 2 * reach, 15 - 2 * reach), dtype=np.uint32)
    expected, shifts = image.copy(), []
    for one_round in words:
        for row, y in enumerate(range(20 - reach, reach, -1)):
            for column, x in enumerate(range(15 - reach, reach, -1)):
                choice = int(one_round[row, column] / 2**32 * (2 * reach) ** 2)
                dy, dx = divmod(choice, 2 * reach)
                shifts.append((dy - reach, dx - reach))
                expected[y, x] = expected[y + dy - reach, x + dx - reach]
    _scatter(image, words, reach)
    np.testing.assert_array_equal(image, expected)
    assert set(shifts) <= {(dy, dx) for dy in range(-reach, reach) for dx in range(-reach, reach)}


def test_warp_equals_scipy() -> None:
    rng = np.random.default_rng(0)
    crop = rng.integers(0, 256, size=(30, 20, 3), dtype=np.uint8)
    shifts = rng.uniform(-6, 6, size=(30, 20, 2))
    levels = _LEVELS.astype(np.float32)
    y, x = np.mgrid[0:30, 0:20].astype(float)
    for c in range(3):
        expected = ndimage.map_coordinates(
            levels[crop[..., c]], [y + shifts[..., 1], x + shifts[..., 0]], order=1, mode="reflect"
        )
        found = _warp(crop, levels, shifts)[..., c]
        np.testing.assert_array_equal(found, (np.clip(expected, 0, 1) * np.float32(255)).astype(np.uint8))


def plasma_by_loops(uniforms: list[float], size: int, decay: float) -> np.ndarray:
    """Diamond-square on a torus, one point after the other, from its definition."""
    height, used, amplitude, step = {(0, 0): 0.0}, iter(uniforms), 10_000.0, size
    while step >= 2:
        half = step // 2
        for y in range(half, size, step):
            for x in range(half, size, step):
                around = [((y + i) % size, (x + j) % size) for i in (-half, half) for j in (-half, half)]
                height[y, x] = sum(height[p] for p in around) / 4 + amplitude * next(used)
        for y in range(0, size, step):
            for x in range(0, size, step):
                for point in ((y, x + half), (y + half, x)):
                    around = [
                        ((point[0] + i) % size, (point[1] + j) % size)
                        for i, j in ((-half, 0), (half, 0), (0, -half), (0, half))
                    ]
                    height[point] = sum(height[p] for p in around) / 4 + amplitude * next(used)
        amplitude /= decay**2
        step = half
    grid = np.array([[height[y, x] for x in range(size)] for y in range(size)])
    return (grid - grid.min()) / (grid.max() - grid.min())


def test_plasma_equals_diamond_square_by_its_definition() -> None:
    uniforms = np.random.default_rng(0).uniform(-1, 1, size=256)
    np.testing.assert_allclose(_plasma(uniforms, 16, 1.7), plasma_by_loops(uniforms.tolist(), 16, 1.7))


def test_rain_leaves_grey_drops_with_the_one_slant() -> None:
    crop = np.zeros((128, 64, 3), np.uint8)
    whole = 0
    for seed in range(20):
        # One drop, without blur and darkening.
        drop = rain(crop, np.random.default_rng(seed), 128 * 64, 60, 1, 0.0)
        y, x = np.nonzero(drop[..., 0] > 150)
        top, bottom = (y.min(), x[y.argmin()]), (y.max(), x[y.argmax()])
        if x.min() > 0 and x.max() < 63 and y.max() < 127:  # not cut by a border
            assert (bottom[0] - top[0], bottom[1] - top[1]) == (60, 10)
            whole += 1
        assert set(np.unique(drop)) == {0, 200}
    assert whole > 5


def test_frost_textures_look_like_the_published_ones_in_figures() -> None:
    """Mean RGB and its deviation of the five published overlays, enlarged; ours are made from noise."""
    published = [
        ((78, 149, 166), (27, 16, 15)),
        ((201, 205, 215), (21, 22, 23)),
        ((201, 205, 215), (21, 22, 23)),
        ((138, 153, 165), (28, 28, 30)),
        ((112, 123, 135), (44, 43, 41)),
    ]
    for number, (mean, deviation) in enumerate(published):
        texture = _texture(number).astype(float)
        assert texture.mean(axis=(0, 1)) == pytest.approx(mean, abs=5)
        assert texture.std(axis=(0, 1)) == pytest.approx(deviation, abs=9)


def test_water_without_a_drop_is_black_as_published() -> None:
    assert not _water(np.ones((20, 10, 3), np.float32), np.zeros((20, 10)), 0.6).any()


def test_water_leaves_dry_pixels_as_they_are() -> None:
    levels = np.random.default_rng(0).integers(0, 256, size=(60, 60, 3)).astype(np.float32)
    liquid = np.zeros((60, 60))
    liquid[5:20, 5:20] = 0.8
    result = _water(levels / np.float32(255), liquid, 0.6)
    np.testing.assert_array_equal(result[30:], levels[30:].astype(np.uint8))
    assert (result[5:20, 5:20] != levels[5:20, 5:20]).any()

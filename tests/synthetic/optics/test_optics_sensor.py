"""The sensor, against the sRGB standard, counted noise and what blur may not change."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from omnireid.core.arrays import Float32
from omnireid.core.errors import InputError, ShapeError
from omnireid.core.seeds import numpy_generator
from omnireid.synthetic.opencv import cv2
from omnireid.synthetic.optics.sensor import (
    SensorSettings,
    draw_sensor,
    encode_jpeg,
    expose,
    metered_balance,
    metered_exposure,
)

IDEAL = SensorSettings()


def _grey(light: float, size: int = 64) -> Float32:
    return np.full((size, size, 3), light, np.float32)


def test_an_ideal_camera_gives_the_levels_of_srgb() -> None:
    levels = np.arange(256)
    shares = levels / 255
    light = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    colour = np.repeat(light.astype(np.float32)[None, :, None], 3, axis=2)
    np.testing.assert_array_equal(expose(colour, IDEAL, numpy_generator(0))[0, :, 1], levels)


def test_exposure_and_balance_multiply_light() -> None:
    settings = SensorSettings(exposure=2.0, balance=(1.0, 0.5, 0.25))
    picture = expose(_grey(0.25), settings, numpy_generator(0))
    expected = [expose(_grey(light), IDEAL, numpy_generator(0))[0, 0, 0] for light in (0.5, 0.25, 0.125)]
    np.testing.assert_array_equal(picture[5, 5], expected)


def test_contrast_is_the_slope_at_the_middle() -> None:
    light = np.linspace(0, 1, 999, dtype=np.float32)[None, :, None].repeat(3, axis=2)
    plain, steep = (
        expose(light, SensorSettings(contrast=contrast), numpy_generator(0))[0, :, 0].astype(int)
        for contrast in (0.0, 2.0)
    )
    near = np.abs(plain - 127) < 12
    np.testing.assert_allclose(np.ptp(steep[near]) / np.ptp(plain[near]), 2.25, rtol=0.1)
    assert (np.diff(steep) >= 0).all()
    assert (steep[0], steep[-1]) == (0, 255)


def test_black_white_and_saturation() -> None:
    settings = SensorSettings(black=20, white=200)
    assert expose(_grey(0.0), settings, numpy_generator(0)).max() == 20
    assert expose(_grey(9.0), settings, numpy_generator(0)).min() == 200
    red = _grey(0.0)
    red[:, :, 0] = 0.5
    assert np.ptp(expose(red, SensorSettings(saturation=0.0), numpy_generator(0))[0, 0]) <= 1


@pytest.mark.parametrize(("grain", "colour_noise"), [(0.0, 1.0), (0.8, 1.0), (0.0, 0.3)])
def test_noise_has_the_deviation_that_was_asked_for(grain: float, colour_noise: float) -> None:
    settings = SensorSettings(shot_noise=0.04, read_noise=0.01, grain=grain, colour_noise=colour_noise)
    picture = expose(_grey(0.25, 256), settings, numpy_generator(1)).astype(np.float64) / 255
    light = np.where(picture <= 0.04045, picture / 12.92, ((picture + 0.055) / 1.055) ** 2.4)
    np.testing.assert_allclose(light.std(), np.sqrt(0.04**2 * 0.25 + 0.01**2), rtol=0.05)
    np.testing.assert_allclose(light.mean(), 0.25, rtol=0.01)
    own = (light - light.mean(axis=2, keepdims=True)).std()
    assert (own < 0.5 * light.std()) == (colour_noise < 0.5)


@pytest.mark.parametrize("blur", [{"defocus": 1.5}, {"motion": 9.0}])
def test_blur_spreads_light_and_loses_none(blur: dict[str, float]) -> None:
    colour = _grey(0.0)
    colour[30:34, 30:34] = 0.9
    picture = expose(colour, replace(IDEAL, **blur), numpy_generator(2)).astype(np.float64) / 255  # type: ignore[arg-type]
    light = np.where(picture <= 0.04045, picture / 12.92, ((picture + 0.055) / 1.055) ** 2.4)
    np.testing.assert_allclose(light.sum(), colour.sum(), rtol=0.12)
    assert (light[:, :, 0] > 0.01).sum() > 16


def test_a_small_sensor_sees_no_fine_pattern() -> None:
    colour = _grey(0.2)
    colour[::2] = 0.6
    picture = expose(colour, SensorSettings(resolution=0.5), numpy_generator(0))
    assert picture.shape == colour.shape
    np.testing.assert_array_equal(picture, expose(_grey(0.4), IDEAL, numpy_generator(0)))


def test_sharpening_exaggerates_edges_and_keeps_plains() -> None:
    colour = _grey(0.1)
    colour[:, 32:] = 0.4
    plain = expose(colour, IDEAL, numpy_generator(0)).astype(int)
    sharp = expose(colour, SensorSettings(sharpening=1.0), numpy_generator(0)).astype(int)
    assert sharp[5, 32, 0] > plain[5, 32, 0] + 10
    assert sharp[5, 31, 0] < plain[5, 31, 0] - 10
    assert sharp[5, 5, 0] == plain[5, 5, 0]


def test_the_meter_makes_the_mean_grey_and_spares_highlights() -> None:
    np.testing.assert_allclose(metered_exposure(_grey(0.05)), 3.6, rtol=1e-5)
    lamp = _grey(0.05)
    lamp[:16] = 5.0
    assert metered_exposure(lamp) * 5.0 <= 1.0
    assert metered_exposure(_grey(0.0)) == 1.0


def test_white_balance_takes_the_colour_of_the_light() -> None:
    lamplit = _grey(0.2) * np.array([1.2, 1.0, 0.5], np.float32)
    balanced = lamplit * np.array(metered_balance(lamplit, strength=1.0), np.float32)
    np.testing.assert_allclose(balanced[0, 0] / balanced[0, 0, 0], 1.0, rtol=1e-5)
    weights = np.array([0.2126, 0.7152, 0.0722])
    np.testing.assert_allclose(balanced[0, 0] @ weights, lamplit[0, 0] @ weights, rtol=1e-5)
    half = lamplit * np.array(metered_balance(lamplit, strength=0.5), np.float32)
    np.testing.assert_allclose((half[0, 0, 0] / half[0, 0, 2]) ** 2, 1.2 / 0.5, rtol=1e-5)
    assert metered_balance(_grey(0.0)) == (1.0, 1.0, 1.0)


def test_chance_is_the_generators() -> None:
    settings = draw_sensor(numpy_generator(3))
    colour = numpy_generator(4).random((40, 20, 3), dtype=np.float32)
    first, second = (expose(colour, settings, numpy_generator(5)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert (expose(colour, settings, numpy_generator(6)) != first).any()


def test_cameras_differ_in_everything_that_is_theirs() -> None:
    cameras = [draw_sensor(numpy_generator(0, camera)) for camera in range(8)]
    names = [part.name for part in fields(SensorSettings)]
    same = {name for name in names if len({getattr(camera, name) for camera in cameras}) == 1}
    assert same == {"exposure"}


def test_quality_decides_the_size_and_colours_stay_in_order() -> None:
    colour = numpy_generator(7).random((64, 64, 3)).astype(np.float32) * np.array([1, 0.2, 0.1], np.float32)
    picture = expose(colour, IDEAL, numpy_generator(0))
    sizes = [len(encode_jpeg(picture, SensorSettings(quality=(q, q)), numpy_generator(0))) for q in (30, 95)]
    assert 2 * sizes[0] < sizes[1]
    data = np.frombuffer(encode_jpeg(picture, IDEAL, numpy_generator(0)), np.uint8)
    decoded = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))[:, :, ::-1]
    np.testing.assert_allclose(decoded.mean(axis=(0, 1)), picture.mean(axis=(0, 1)), atol=2)


def test_settings_that_cannot_be_are_named() -> None:
    with pytest.raises(InputError, match=r"resolution: expected 0.01 to 1.0, got 2"):
        SensorSettings(resolution=2)
    with pytest.raises(InputError, match="black"):
        SensorSettings(black=200, white=100)
    with pytest.raises(InputError, match="quality"):
        SensorSettings(quality=(90, 20))
    with pytest.raises(ShapeError, match="colour"):
        expose(np.zeros((4, 4), np.float32), IDEAL, numpy_generator(0))

"""The corruptions as a whole: names, errors, odd sizes, and what they may not do."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from omnireid.core.errors import InputError, ShapeError, UnknownNameError
from omnireid.core.images import Crop
from omnireid.robustness.corruptions import corrupt
from omnireid.robustness.parameters import PARAMETERS
from omnireid.robustness.suite import CATEGORIES, CORRUPTIONS, SEVERITIES

WITHOUT_CHANCE = {
    "contrast",
    "brightness",
    "saturate",
    "pixelate",
    "jpeg_compression",
    "gaussian_blur",
    "defocus_blur",
    "zoom_blur",
}
SIZES = [(1, 1), (1, 9), (9, 1), (2, 2), (3, 200), (200, 3), (33, 17), (60, 30), (61, 5), (128, 64)]


def picture(height: int, width: int) -> Crop:
    return np.random.default_rng(0).integers(0, 256, size=(height, width, 3), dtype=np.uint8)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_every_corruption_has_parameters_for_five_severities() -> None:
    assert tuple(PARAMETERS) == CORRUPTIONS
    assert tuple(CATEGORIES) == CORRUPTIONS
    assert all(len(rows) == len(SEVERITIES) == 5 for rows in PARAMETERS.values())


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("name", CORRUPTIONS)
def test_any_size_keeps_its_shape_and_the_input_is_not_touched(name: str, size: tuple[int, int]) -> None:
    crop = picture(*size)
    before = crop.copy()
    crop.flags.writeable = False
    for severity in SEVERITIES:
        result = corrupt(crop, name, severity, rng())
        assert result.shape == crop.shape
        assert result.dtype == np.uint8
        assert not np.shares_memory(result, crop)
        result[:] = 0  # a caller may write to it
    np.testing.assert_array_equal(crop, before)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_large_pictures_and_uniform_ones_work(name: str) -> None:
    assert corrupt(picture(400, 300), name, 3, rng()).shape == (400, 300, 3)
    for level in (0, 255):
        crop = np.full((70, 40, 3), level, np.uint8)
        assert corrupt(crop, name, 5, rng()).shape == crop.shape


def test_a_picture_larger_than_every_frost_overlay_is_covered() -> None:
    crop = np.zeros((700, 1000, 3), np.uint8)
    frosted = [corrupt(crop, "frost", 1, rng(seed)) for seed in range(4)]
    # 0.4 of the overlays, which are bright nearly everywhere.
    assert all((picture > 5).mean() > 0.99 for picture in frosted)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_the_generator_decides_and_nothing_else(name: str, crops: list[Crop]) -> None:
    np.random.seed(1)  # noqa: NPY002 - the global state may not matter
    first = corrupt(crops[0], name, 3, rng(7))
    np.random.seed(2)  # noqa: NPY002
    np.testing.assert_array_equal(corrupt(crops[0], name, 3, rng(7)), first)
    others = [corrupt(crops[0], name, 3, rng(seed)) for seed in (8, 9)]
    assert any((other != first).any() for other in others) == (name not in WITHOUT_CHANCE)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_views_give_what_their_copies_give(name: str, crops: list[Crop]) -> None:
    for view in (crops[0][:, ::-1], crops[0][::2], crops[0].transpose(1, 0, 2), crops[0][..., ::-1]):
        expected = corrupt(view.copy(order="C"), name, 2, rng(3))
        np.testing.assert_array_equal(corrupt(view, name, 2, rng(3)), expected)


@pytest.mark.parametrize("name", [name for name in CORRUPTIONS if name != "saturate"])
def test_a_higher_severity_moves_the_picture_further(name: str, crops: list[Crop]) -> None:
    # Saturate goes down, then up; frost's and spatter's steps change kind, so ends are compared.
    def distance(severity: int) -> float:
        pairs = [(crop, corrupt(crop, name, severity, rng(seed))) for crop in crops[:4] for seed in range(6)]
        return float(np.mean([np.abs(a.astype(float) - b).mean() for a, b in pairs]))

    assert distance(5) > distance(1) > 0


def test_errors_name_what_is_wrong() -> None:
    crop = picture(8, 8)
    with pytest.raises(UnknownNameError, match="did you mean 'motion_blur'"):
        corrupt(crop, "motionblur", 1, rng())
    for severity in (0, 6, -1, 1.5, "1", None):
        with pytest.raises(InputError, match="severity: 1 to 5"):
            corrupt(crop, "fog", severity, rng())  # type: ignore[arg-type]
    with pytest.raises(InputError, match="Generator"):
        corrupt(crop, "fog", 1, np.random.RandomState(0))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="uint8"):
        corrupt(crop.astype(np.float32), "fog", 1, rng())  # type: ignore[arg-type]
    with pytest.raises(InputError, match="uint8"):
        corrupt("crop.png", "fog", 1, rng())  # type: ignore[arg-type]
    for shape in ((8, 8), (8, 8, 4), (1, 8, 8, 3)):
        with pytest.raises(ShapeError, match=r"crop: expected shape \(H, W, 3\)"):
            corrupt(np.zeros(shape, np.uint8), "fog", 1, rng())
    with pytest.raises(InputError, match="no pixel"):
        corrupt(np.zeros((0, 4, 3), np.uint8), "fog", 1, rng())


@pytest.mark.parametrize("missing", ["cv2", "scipy"])
def test_without_the_extra_names_are_known_and_corrupting_says_what_to_install(missing: str) -> None:
    code = f"""
import sys
sys.modules[{missing!r}] = None
import numpy as np
from omnireid.core.errors import MissingExtraError
from omnireid import CORRUPTIONS, corrupt, corrupt_sample
try:
    corrupt(np.zeros((4, 4, 3), np.uint8), CORRUPTIONS[0], 1, np.random.default_rng(0))
except MissingExtraError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr == ""
    assert "pip install 'omnireid[robustness]'" in done.stdout

"""Twenty corruptions at five severities, on one picture at its native size."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from omnireid.core.errors import InputError, ShapeError, UnknownNameError
from omnireid.core.images import Crop
from omnireid.robustness.parameters import PARAMETERS
from omnireid.robustness.suite import CATEGORIES, CORRUPTIONS, SEVERITIES

__all__ = ["CATEGORIES", "CORRUPTIONS", "SEVERITIES", "corrupt"]


def corrupt(crop: Crop, name: str, severity: int, rng: np.random.Generator) -> Crop:
    """Corrupt one picture, before it is resized.

    A function of its arguments and of the generator's state alone. Any number of threads may call it, each
    with a generator of its own. How close each one is to the published code is measured in
    docs/decisions/0005-corruptions.md.

    Args:
        crop: (H, W, 3) uint8 RGB of any size; not changed.
        name: one of CORRUPTIONS.
        severity: 1 to 5.
        rng: drawn from by the corruptions with chance in them.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        UnknownNameError: no such corruption.
        InputError: severity outside 1…5, no generator, or a crop that is not uint8 or has no pixel.
        ShapeError: the crop is not (H, W, 3).
        MissingExtraError: the extra 'robustness' is not installed.

    Source: Chen et al., arXiv 2111.00880; Hendrycks and Dietterich, ICLR 2019.
    """
    if name not in PARAMETERS:
        raise UnknownNameError("corruption", name, CORRUPTIONS)
    if severity not in SEVERITIES:
        raise InputError(f"severity: 1 to 5, got {severity!r}")
    if not isinstance(rng, np.random.Generator):
        raise InputError(f"rng: a numpy.random.Generator, got {type(rng).__name__}")
    if not isinstance(crop, np.ndarray) or crop.dtype != np.uint8:
        raise InputError(f"crop: a uint8 array, got {getattr(crop, 'dtype', type(crop).__name__)}")
    if crop.ndim != 3 or crop.shape[2] != 3:
        raise ShapeError("crop", expected="(H, W, 3)", actual=crop.shape)
    if crop.size == 0:
        raise InputError(f"crop: has no pixel (shape {crop.shape})")
    return _functions()[name](np.ascontiguousarray(crop), rng, *PARAMETERS[name][severity - 1])


@lru_cache(maxsize=1)
def _functions() -> dict[str, Callable[..., Crop]]:
    # Imported when first used: these need the extra.
    from omnireid.robustness import blur, digital, frost, noise, weather

    return {
        "gaussian_noise": noise.gaussian_noise,
        "shot_noise": noise.shot_noise,
        "impulse_noise": noise.impulse_noise,
        "speckle_noise": noise.speckle_noise,
        "defocus_blur": blur.defocus_blur,
        "glass_blur": blur.glass_blur,
        "motion_blur": blur.motion_blur,
        "zoom_blur": blur.zoom_blur,
        "gaussian_blur": blur.gaussian_blur,
        "snow": weather.snow,
        "frost": frost.frost,
        "fog": weather.fog,
        "brightness": weather.brightness,
        "spatter": weather.spatter,
        "rain": weather.rain,
        "contrast": digital.contrast,
        "elastic_transform": digital.elastic_transform,
        "pixelate": digital.pixelate,
        "jpeg_compression": digital.jpeg_compression,
        "saturate": digital.saturate,
    }

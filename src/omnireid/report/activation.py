"""Activation maps: where in the picture the network responds (OSNet paper, section 4.1, figure 6)."""

from __future__ import annotations

from typing import Literal

import numpy as np
from PIL import Image

from omnireid.core.arrays import AnyFloat, Float32, Float64, UInt8
from omnireid.core.errors import InputError, ShapeError

# Turbo (Anton Mikhailov, Google, Apache-2.0): from blue to red, in even steps.
_TURBO = (
    "30123b 351e59 392a74 3d368c 4041a3 434cb7 4457c8 4662d7 466ce4 4777ef 4681f7 458bfd 4195ff "
    "3c9ffd 35aaf9 2eb4f2 27bdea 21c7e0 1ccfd5 18d7ca 18dec0 1ae4b6 21eaac 2aefa1 36f394 43f786 "
    "53fa79 62fc6b 72fe5e 82ff52 90ff48 9dfe40 a8fc3a b3f836 bdf434 c8ef34 d1e935 dae236 e3db38 "
    "ead339 f1cb3a f6c33a faba39 fcb136 fea632 fe9b2d fd8f28 fc8323 f9771e f66b19 f25f14 ed540f "
    "e74a0c e14209 da3907 d33205 ca2a04 c12302 b71d02 ad1701 a11201 950d01 880802 7a0403"
)


def activation_map(
    feature_maps: AnyFloat, *, response: Literal["absolute", "square"] = "absolute"
) -> Float32:
    """Sum the channels of the last convolution and scale each map to unit L2 norm over its pixels.

    Args:
        feature_maps: (..., C, h, w) float.
        response: "absolute" sums absolute values as the paper says; "square" sums squares, which is
            what torchreid's tool draws and shows fewer, sharper spots.

    Returns:
        (..., h, w) float32, not negative. A map without any response stays zero.

    Raises:
        ShapeError: fewer than three axes.
        InputError: an unknown response, NaN or infinity.
    """
    features = np.asarray(feature_maps)
    if features.ndim < 3:
        raise ShapeError("feature_maps", expected="(..., C, h, w)", actual=features.shape)
    if not np.isfinite(features).all():
        raise InputError("feature_maps: hold NaN or infinity")
    if response == "absolute":
        maps = np.abs(features).sum(axis=-3, dtype=np.float64)
    elif response == "square":
        maps = np.square(features, dtype=np.float64).sum(axis=-3)
    else:
        raise InputError(f"response: expected 'absolute' or 'square', got {response!r}")
    norms = np.sqrt(np.square(maps).sum(axis=(-2, -1), keepdims=True))
    unit: Float64 = np.divide(maps, norms, out=np.zeros_like(maps), where=norms > 0)
    return unit.astype(np.float32)


def overlay(crop: UInt8, activation: AnyFloat, *, image_share: float = 0.5) -> UInt8:
    """Lay one map over its crop: stretched bilinearly, min–max scaled, coloured from blue to red.

    Args:
        crop: (H, W, 3) uint8 RGB.
        activation: (h, w) float.
        image_share: how much of the crop shows through, 0 to 1 (torchreid draws 0.3).

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        ShapeError: a crop or a map of another shape.
        InputError: `image_share` is outside 0 to 1.
    """
    if crop.ndim != 3 or crop.shape[2] != 3:
        raise ShapeError("crop", expected="(H, W, 3)", actual=crop.shape)
    if activation.ndim != 2:
        raise ShapeError("activation", expected="(h, w)", actual=activation.shape)
    if not 0 <= image_share <= 1:
        raise InputError(f"image_share: expected 0 to 1, got {image_share}")
    height, width = crop.shape[:2]
    small = Image.fromarray(np.asarray(activation, dtype=np.float32))
    stretched = np.asarray(small.resize((width, height), Image.Resampling.BILINEAR))
    span = float(stretched.max() - stretched.min())
    level = (stretched - stretched.min()) / span if span > 0 else np.zeros_like(stretched)
    ramp = np.array([list(bytes.fromhex(colour)) for colour in _TURBO.split()], np.float64)
    places = np.linspace(0.0, 1.0, len(ramp))
    coloured = np.stack([np.interp(level, places, ramp[:, channel]) for channel in range(3)], axis=-1)
    mixed: Float64 = np.rint(image_share * crop + (1 - image_share) * coloured)
    return mixed.astype(np.uint8)

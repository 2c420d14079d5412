"""Activation maps: where in the picture the network responds (OSNet paper, section 4.1, figure 6)."""

from __future__ import annotations

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


def activation_map(feature_maps: AnyFloat) -> Float32:
    """Sum absolute values of the last convolution's channels, and scale each map to unit L2 norm.

    Args:
        feature_maps: (..., C, h, w) float.

    Returns:
        (..., h, w) float32, not negative. A map without any response stays zero.

    Raises:
        ShapeError: fewer than three axes.
        InputError: NaN or infinity.
    """
    features = np.asarray(feature_maps)
    if features.ndim < 3:
        raise ShapeError("feature_maps", expected="(..., C, h, w)", actual=features.shape)
    if not np.isfinite(features).all():
        raise InputError("feature_maps: hold NaN or infinity")
    maps = np.abs(features).sum(axis=-3, dtype=np.float64)
    norms = np.sqrt(np.square(maps).sum(axis=(-2, -1), keepdims=True))
    unit: Float64 = np.divide(maps, norms, out=np.zeros_like(maps), where=norms > 0)
    return unit.astype(np.float32)


def overlay(crop: UInt8, activation: AnyFloat) -> UInt8:
    """Lay one map half over its crop: stretched bilinearly, min–max scaled, coloured from blue to red.

    Args:
        crop: (H, W, 3) uint8 RGB.
        activation: (h, w) float.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        ShapeError: a crop or a map of another shape.
    """
    if crop.ndim != 3 or crop.shape[2] != 3:
        raise ShapeError("crop", expected="(H, W, 3)", actual=crop.shape)
    if activation.ndim != 2:
        raise ShapeError("activation", expected="(h, w)", actual=activation.shape)
    height, width = crop.shape[:2]
    small = Image.fromarray(np.asarray(activation, dtype=np.float32))
    stretched = np.asarray(small.resize((width, height), Image.Resampling.BILINEAR))
    span = float(stretched.max() - stretched.min())
    level = (stretched - stretched.min()) / span if span > 0 else np.zeros_like(stretched)
    ramp = np.array([list(bytes.fromhex(colour)) for colour in _TURBO.split()], np.float64)
    places = np.linspace(0.0, 1.0, len(ramp))
    coloured = np.stack([np.interp(level, places, ramp[:, channel]) for channel in range(3)], axis=-1)
    mixed: Float64 = np.rint((crop + coloured) / 2)
    return mixed.astype(np.uint8)

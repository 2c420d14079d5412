"""What pictures a graph takes that does not say so: found out by what its first nodes make of plain colours.

Nodes in front of the first layer may normalise, and may change the order of the channels. Whatever
they are, together they make (x − mean) / deviation of each channel, and plain pictures of five colours show
it. The size of mean and deviation says whether pictures go from 0 to 255, from 0 to 1, or come normalised.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NoReturn

import numpy as np
import numpy.typing as npt

from omnireid.core.arrays import Float64, UInt8
from omnireid.core.card import IMAGENET_MEAN

Order = Literal["RGB", "BGR"]
Colours = tuple[float, float, float]

BEGINS_NETWORK = re.compile(
    "Conv(?!ert)|MatMul|Gemm|Einsum|Attention|Pool|Reduce|Instance|Layer|Group|MVN|MeanVariance|Quantize|Relu|Pad"
    "|Reshape|Flatten"
)
"""Layers, as ONNX and OpenVINO call them. What stands in front of the first one prepares pictures."""

PROBES = np.array([(0, 0, 0), (255, 0, 0), (0, 255, 0), (0, 0, 255), (64, 128, 192)], np.uint8)

# Of float16, which stores a deviation of 58 as a factor, and of one that computes with it.
_ROUNDING = 5e-3
# Published ImageNet means, Caffe's too, are this near to each other.
_SAME_MEAN = 0.02
_OTHER: dict[Order, Order] = {"RGB": "BGR", "BGR": "RGB"}


@dataclass(frozen=True, slots=True)
class Pictures:
    """What a graph is fed.

    Attributes:
        white: value of white, 255 or 1; None for pictures that we normalise as the card says.
        order: order of the channels.
        mean, std: RGB, of values from 0 to 1, where first nodes apply them.
        notes: how that is known, or what is not.
        is_known: whether it is known, or else what most files of the kind take.
    """

    white: float | None = None
    order: Order = "RGB"
    mean: Colours | None = None
    std: Colours | None = None
    notes: str = "RGB, normalised outside the graph with ImageNet mean and std."
    is_known: bool = True


FLOATS = Pictures(is_known=False)
BYTES = Pictures(255, notes="RGB bytes, normalised inside the graph.", is_known=False)


class UnclearError(Exception):
    """What first nodes do that no pictures explain."""


def find_out(
    first_nodes: Callable[[UInt8], npt.NDArray[Any]],
    otherwise: Pictures,
    hint: Pictures | None = None,
) -> Pictures:
    """What pictures a graph takes.

    Args:
        first_nodes: gives what they make of plain pictures of `PROBES`: five of three channels.
        otherwise: what it is fed where they say nothing.
        hint: what is known from elsewhere; it holds where they say nothing, or leave the order open.

    Raises:
        UnclearError: they do something else, or leave open in what order they are given the channels.
    """
    mean, std, is_reversed = _applied(first_nodes(PROBES))
    white = _white(mean, std)
    if white is None and not is_reversed:
        return hint or otherwise
    if white is not None and otherwise.white not in (None, white):
        _refuse(f"expect values from 0 to {white:g}, where the input takes bytes")
    shown = None if white is None else _order_of(mean / white)
    if shown is not None:
        order, reason = _OTHER[shown] if is_reversed else shown, "as the order of the means shows"
    elif hint is not None:
        order, reason = hint.order, hint.notes
    elif is_reversed:
        _refuse("turn the order of the channels round, and nothing shows in which one they are given")
    else:
        order, reason = "RGB", "which nothing shows"
    if white is None:
        return Pictures(order=order, notes=f"Normalised outside the graph; {order}, {reason}.")
    # A channel of the network is of another colour than that of the input where they are turned round.
    in_rgb = slice(None) if (order == "RGB") != is_reversed else slice(None, None, -1)
    return Pictures(
        white,
        order,
        _three(mean[in_rgb] / white),
        _three(std[in_rgb] / white),
        f"Its first nodes normalise pictures of 0 to {white:g} (mean and deviation {_listed(mean, std)}), "
        f"which it is therefore fed; {order}, {reason}.",
        is_known=shown is not None or hint is not None,
    )


def _applied(picture: npt.NDArray[Any]) -> tuple[Float64, Float64, bool]:
    """Mean and deviation of the network's channels, and whether they are the input's turned round."""
    values = np.asarray(picture, np.float64)
    channels = [axis for axis in (1, values.ndim - 1) if values.ndim == 4 and values.shape[axis] == 3]
    if len(values) != len(PROBES) or not channels or not np.isfinite(values).all():
        _refuse(f"make {list(values.shape)} of five plain pictures")
    pixels = np.moveaxis(values, channels[0], 1).reshape(len(PROBES), 3, -1)
    colours = pixels.mean(axis=2)
    black = colours[0]
    gains = (colours[1:4] - black).T / 255
    tolerance = _ROUNDING * np.abs(colours).max(initial=1e-9)
    if np.ptp(pixels, axis=2).max() > tolerance:
        _refuse("treat pixels differently by their place")
    if np.abs(gains @ PROBES[4] + black - colours[4]).max() > tolerance:
        _refuse("do more than a mean and a deviation explain")
    source = np.abs(gains).argmax(axis=1)
    gain = gains[np.arange(3), source]
    mixed = np.abs(gains).sum(axis=1) - np.abs(gain) > _ROUNDING * np.abs(gain)
    if source.tolist() not in ([0, 1, 2], [2, 1, 0]) or mixed.any() or (gain <= 0).any():
        _refuse("mix, drop or invert colours")
    return -black / gain, 1 / gain, bool(source[0] == 2)


def _white(mean: Float64, std: Float64) -> float | None:
    """The value of white in pictures that have this mean and deviation; None for normalised ones."""
    # Factors may be left to the convolution, so that a mean comes alone.
    is_mean_alone = np.abs(std - 1).max() < _ROUNDING

    def lie(values: Float64, low: float, high: float) -> bool:
        return bool((values >= low).all() and (values <= high).all())

    if (lie(std, 10, 300) and lie(mean, -1, 256)) or (is_mean_alone and lie(mean, 10, 256)):
        return 255
    if (lie(std, 0.05, 0.58) and lie(mean, -0.01, 1.01)) or (is_mean_alone and lie(mean, 0.2, 0.8)):
        return 1
    # A norm that was learned of pictures which were normalised before, or no norm.
    if not (lie(std, 0.58, 3) and lie(mean, -1.5, 1.5)):
        _refuse(f"subtract and divide by what fits no range of pictures ({_listed(mean, std)})")
    return None


def _order_of(mean: Float64) -> Order | None:
    """The order of channels with means like ImageNet's."""
    if np.abs(mean - IMAGENET_MEAN).max() < _SAME_MEAN:
        return "RGB"
    return "BGR" if np.abs(mean[::-1] - IMAGENET_MEAN).max() < _SAME_MEAN else None


def _listed(*vectors: Float64) -> str:
    return " and ".join(", ".join(f"{value:.4g}" for value in vector) for vector in vectors)


def _three(values: Float64) -> Colours:
    first, second, third = np.round(values, 6).tolist()
    return first, second, third


def _refuse(what: str) -> NoReturn:
    raise UnclearError(f"its first nodes {what}")

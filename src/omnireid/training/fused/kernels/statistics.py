"""From the sums of pictures to normalisations: in float64, picture after picture, whoever made the sums."""

from __future__ import annotations

from typing import Any

import numpy as np

from omnireid.core.compiled import compiled
from omnireid.inference.native.products import tile_width

Array = Any


@compiled
def batch_norm_forward(
    sums: Array, pixels: int, affine: Array, eps: float, norm: Array, running: tuple[Array, Array, float]
) -> None:
    """(N, 3, C) moments about the first pixel → (4, C) scale, shift, mean, inverse deviation.

    Pictures are joined as Chan et al. (1979) do it.

    Args:
        pixels: of one picture.
        affine: (2, C) gain and bias.
        running: mean and variance, without surplus channels, moved towards the batch's by the momentum.
    """
    running_mean, running_variance, momentum = running
    pictures, _, channels = sums.shape
    count = pictures * pixels
    for channel in range(channels):
        mean = 0.0
        for picture in range(pictures):
            mean += np.float64(sums[picture, 2, channel]) + np.float64(sums[picture, 0, channel]) / pixels
        mean /= pictures
        squares = 0.0
        for picture in range(pictures):
            total = np.float64(sums[picture, 0, channel])
            apart = np.float64(sums[picture, 2, channel]) + total / pixels - mean
            squares += np.float64(sums[picture, 1, channel]) - total * total / pixels + pixels * apart * apart
        variance = max(squares / count, 0.0)
        _write_norm(norm, channel, mean, variance + eps, affine)
        if channel < len(running_mean):
            running_mean[channel] += momentum * (mean - running_mean[channel])
            unbiased = variance * count / (count - 1)
            running_variance[channel] += momentum * (unbiased - running_variance[channel])


@compiled
def instance_norm_forward(sums: Array, pixels: int, affine: Array, eps: float, norms: Array) -> None:
    """As `batch_norm_forward`, for each picture by itself: (N, 4, C)."""
    pictures, _, channels = sums.shape
    for picture in range(pictures):
        for channel in range(channels):
            part = np.float64(sums[picture, 0, channel]) / pixels
            mean = np.float64(sums[picture, 2, channel]) + part
            variance = max(np.float64(sums[picture, 1, channel]) / pixels - part * part, 0.0)
            _write_norm(norms[picture], channel, mean, variance + eps, affine)


@compiled
def _write_norm(norm: Array, channel: int, mean: float, variance: float, affine: Array) -> None:
    inverse = 1.0 / np.sqrt(variance)
    norm[0, channel] = affine[0, channel] * inverse
    norm[1, channel] = affine[1, channel] - mean * affine[0, channel] * inverse
    norm[2, channel] = mean
    norm[3, channel] = inverse


@compiled
def batch_norm_backward(sums: Array, pixels: int, norm: Array, slope: Array, affine_gradient: Array) -> None:
    """(N, 2, C) Σ g and Σ g · (x − mean) → (4, C) a, m, k, mean (`Norm`), and (2, C) gain's and bias's."""
    pictures, _, channels = sums.shape
    count = pictures * pixels
    for channel in range(channels):
        total, along = 0.0, 0.0
        for picture in range(pictures):
            total += np.float64(sums[picture, 0, channel])
            along += np.float64(sums[picture, 1, channel])
        inverse = np.float64(norm[3, channel])
        _write_slope(slope, norm, channel, total / count, along * inverse * inverse / count)
        affine_gradient[0, channel] = along * inverse
        affine_gradient[1, channel] = total


@compiled
def instance_norm_backward(
    sums: Array, pixels: int, norms: Array, slopes: Array, affine_gradient: Array
) -> None:
    """As `batch_norm_backward`, for each picture by itself: (N, 4, C)."""
    pictures, _, channels = sums.shape
    for channel in range(channels):
        gain, bias = 0.0, 0.0
        for picture in range(pictures):
            total = np.float64(sums[picture, 0, channel])
            along = np.float64(sums[picture, 1, channel])
            inverse = np.float64(norms[picture, 3, channel])
            _write_slope(
                slopes[picture], norms[picture], channel, total / pixels, along * inverse * inverse / pixels
            )
            gain += along * inverse
            bias += total
        affine_gradient[0, channel] = gain
        affine_gradient[1, channel] = bias


@compiled
def _write_slope(slope: Array, norm: Array, channel: int, mean: float, along: float) -> None:
    slope[0, channel] = norm[0, channel]  # gain · inverse deviation
    slope[1, channel] = mean
    slope[2, channel] = along
    slope[3, channel] = norm[2, channel]


@compiled
def pack(
    weights: Array, strides: tuple[int, int], inputs: int, outputs: int, panel: Array, padded: int
) -> None:
    """Weights, flat with any strides of input and output, → tiles of 64, 48, 32 or 16 outputs for `product`.

    Args:
        panel: as many zeros as padded inputs · padded outputs.
        padded: outputs of the panel.
    """
    from_input, from_output = strides
    rows = len(panel) // padded
    done = 0
    at = 0
    while done < padded:
        width = tile_width(padded - done)
        for row in range(rows):
            for column in range(done, done + width):
                if row < inputs and column < outputs:
                    panel[at] = weights[row * from_input + column * from_output]
                else:
                    panel[at] = 0
                at += 1
        done += width

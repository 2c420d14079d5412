"""Pillow's bilinear resize in compiled loops: the same bytes in less than half of the time.

Import it where thousands of pictures are resized: importing numba takes as long as a thousand resizes.

Pillow resizes 8-bit pictures in integers, one direction after the other: weights are rounded to 22 binary
places, and what the first direction gives is rounded to bytes. Doing the same gives equal bytes. Which one
comes first depends on the size and on Pillow's version, so it is not assumed but observed, see `Resizer`.
"""

# numba infers the types of compiled functions; mypy does not know its rules.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from omnireid.core import compiled as numba_settings
from omnireid.core.arrays import Int32, UInt8

# To mypy, compiled loops take and return anything.
compiled: Any = numba_settings.compiled

_PLACES = 22
_HALF = 1 << (_PLACES - 1)

Pixels = npt.NDArray[np.uint32]
_Weights = tuple[npt.NDArray[np.uintp], Int32]


class Resizer:
    """Resizes pictures to one size, as `Image.resize` with bilinear interpolation. Threads may share it.

    Of each size the first picture is resized by Pillow alone. The next is resized in both orders too: the one
    that gives Pillow's bytes serves from then on. Should neither ever give them, all is left to Pillow.
    """

    def __init__(self, height: int, width: int) -> None:
        self._size = (width, height)
        self._is_exact = True
        self._seen: set[tuple[int, int]] = set()
        self._rows_first: dict[tuple[int, int], bool] = {}

    def __call__(self, image: Image.Image) -> UInt8:
        """RGB picture of any size → (height, width, 3) uint8 RGB."""
        rows_first = self._rows_first.get(image.size)
        if rows_first is not None and self._is_exact:
            return self._compiled(image, rows_first=rows_first)
        resized = np.array(image.resize(self._size, Image.Resampling.BILINEAR), dtype=np.uint8)
        # Trying costs two resizes more, which a size that never comes again would not earn back.
        # Of a picture that fits already, Pillow's copy is the quickest.
        if image.size in self._seen and image.size != self._size and self._is_exact:
            self._try_both_orders(image, resized)
        self._seen.add(image.size)
        return resized

    def _try_both_orders(self, image: Image.Image, resized: UInt8) -> None:
        equal = [
            order
            for order in (True, False)
            if np.array_equal(self._compiled(image, rows_first=order), resized)
        ]
        # Where only one direction changes, the orders are one. Else both agree on a flat picture, which tells
        # nothing: the next of this size will.
        one_direction = image.width == self._size[0] or image.height == self._size[1]
        if not equal:
            self._is_exact = False
        elif len(equal) == 1 or one_direction:
            self._rows_first[image.size] = equal[0]

    def _compiled(self, image: Image.Image, *, rows_first: bool) -> UInt8:
        width, height = self._size
        return resize_pixels(_pixels(image), height, width, rows_first=rows_first)


def _pixels(image: Image.Image) -> Pixels:
    # Pillow holds RGB in four bytes a pixel, so that this is its memory as it is.
    return np.frombuffer(image.tobytes("raw", "RGBX"), "<u4").reshape(image.height, image.width)


def resize_pixels(pixels: Pixels, height: int, width: int, *, rows_first: bool) -> UInt8:
    """Resize one picture.

    Args:
        pixels: (H, W) uint32; red in the lowest byte, then green, blue, and one that is not read.
        height, width: size of the result.
        rows_first: resize along rows, then along columns; or the other way round.

    Returns:
        (height, width, 3) uint8 RGB.

    Source: the fixed-point resampling of Pillow (`Resample.c`).
    """
    to_width = _weights(pixels.shape[1], width)
    to_height = _weights(pixels.shape[0], height)
    if rows_first:
        resized = _along_columns(_along_rows(pixels, *to_width), *to_height)
    else:
        resized = _along_rows(_along_columns(pixels, *to_height), *to_width)
    packed = np.empty((height, width, 3), np.uint8)
    _drop_fourth_byte(resized.reshape(-1), packed.reshape(-1))
    return packed


@lru_cache(maxsize=4096)
def _weights(size: int, new_size: int) -> _Weights:
    """First source pixel of every new one, (new_size,), and its weights, (new_size, taps).

    The floats are formed in Pillow's order, so that they round to the same integers.
    """
    scale = size / new_size
    support = max(scale, 1.0)
    centre = (np.arange(new_size) + 0.5) * scale
    first = np.maximum((centre - support + 0.5).astype(np.int64), 0)
    stop = np.minimum((centre + support + 0.5).astype(np.int64), size)
    taps = int((stop - first).max())
    # Every new pixel gets as many weights as the widest; the triangle makes those too many zero.
    base = np.minimum(first, size - taps)
    index = base[:, None] + np.arange(taps)
    floats = np.maximum(1.0 - np.abs((index - centre[:, None] + 0.5) * (1.0 / support)), 0.0)
    floats /= np.cumsum(floats, axis=1)[:, -1:]
    return base.astype(np.uintp), (floats * (1 << _PLACES) + 0.5).astype(np.int32)


@compiled
def _along_rows(pixels, first, weights):
    """(H, W) → (H, width): two channels share one multiplication, each sum staying below 2 to the 31."""
    num_rows = pixels.shape[0]
    width, taps = weights.shape
    resized = np.empty((num_rows, width), np.uint32)
    for y in range(num_rows):
        for x in range(width):
            start = first[x]
            red_blue = np.uint64(_HALF | (_HALF << 32))
            green = np.uint64(_HALF)
            for tap in range(taps):
                pixel = np.uint64(pixels[y, start + np.uintp(tap)])
                weight = np.uint64(weights[x, tap])
                red_blue += (
                    (pixel & np.uint64(0xFF)) | ((pixel & np.uint64(0xFF0000)) << np.uint64(16))
                ) * weight
                green += ((pixel >> np.uint64(8)) & np.uint64(0xFF)) * weight
            resized[y, x] = (
                ((red_blue & np.uint64(0xFFFFFFFF)) >> np.uint64(22))
                | ((green >> np.uint64(22)) << np.uint64(8))
                | ((red_blue >> np.uint64(54)) << np.uint64(16))
            )
    return resized


@compiled
def _along_columns(pixels, first, weights):
    """(H, W) → (height, W): whole rows of bytes, weighted and added."""
    width = pixels.shape[1]
    height, taps = weights.shape
    rows = pixels.view(np.uint8)
    resized = np.empty((height, 4 * width), np.uint8)
    sums = np.empty(4 * width, np.int32)
    for y in range(height):
        sums[:] = _HALF
        for tap in range(taps):
            row = rows[first[y] + np.uintp(tap)]
            weight = weights[y, tap]
            for x in range(4 * width):
                sums[x] += np.int32(np.int32(row[x]) * weight)
        for x in range(4 * width):
            resized[y, x] = np.uint8(sums[x] >> np.int32(_PLACES))
    return resized.view(np.uint32)


@compiled
def _drop_fourth_byte(pixels, packed):
    """(N,) uint32 → (3 · N,) bytes: four pixels into three words at a time."""
    words = packed[: len(packed) // 12 * 12].view(np.uint32)
    whole = len(words) // 3
    mask = np.uint32(0xFFFFFF)
    for group in range(whole):
        a = pixels[4 * group] & mask
        b = pixels[4 * group + 1] & mask
        c = pixels[4 * group + 2] & mask
        d = pixels[4 * group + 3] & mask
        words[3 * group] = a | (b << np.uint32(24))
        words[3 * group + 1] = (b >> np.uint32(8)) | (c << np.uint32(16))
        words[3 * group + 2] = (c >> np.uint32(16)) | (d << np.uint32(8))
    for index in range(4 * whole, len(pixels)):
        packed[3 * index] = pixels[index] & np.uint32(255)
        packed[3 * index + 1] = (pixels[index] >> np.uint32(8)) & np.uint32(255)
        packed[3 * index + 2] = (pixels[index] >> np.uint32(16)) & np.uint32(255)

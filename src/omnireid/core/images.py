"""Decode, resize, colour order and normalisation: the only place where they happen.

Wrong preprocessing is the most frequent silent error of re-identification. A picture is decoded to
RGB uint8 as a person sees it (EXIF rotation applied), resized with Pillow by the interpolation its
model card names, and normalised with the card's mean and standard deviation.
"""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from omnireid.core.arrays import Float32, UInt8
from omnireid.core.card import InputSpec
from omnireid.core.errors import ImageError, InputError, OmniReIDWarning, ShapeError
from omnireid.core.remote import read_file

if TYPE_CHECKING:
    from omnireid.core.resampling import Resizer

Crop = UInt8

MAX_PIXELS = 64_000_000
IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm"})

_DEEP_WHITE = 65_535
_NARROW = 8_192
_RANGES = (
    "Deep pictures are read over 0 to 65,535, whatever they use of it, so little of this one is left. Scale "
    "them to it or to 8 bits first, all by one range"
)

_RESAMPLING = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}

_MODE_WORDS = {
    "CMYK": "CMYK",
    "P": "palette",
    "I": "16-bit or 32-bit grey",
    "I;16": "16-bit grey",
    "I;16B": "16-bit grey",
    "F": "float grey",
    "RGBA": "transparency (dropped)",
    "LA": "transparency (dropped)",
    "1": "black and white",
}


def decode(source: str | os.PathLike[str] | bytes, *, max_pixels: int = MAX_PIXELS) -> Crop:
    """Decode one picture.

    Args:
        source: file, or the encoded bytes themselves.
        max_pixels: refuse larger pictures before decoding them (decompression bombs).

    Returns:
        (H, W, 3) uint8 RGB. EXIF rotation is applied; CMYK, palette and grey pictures are converted;
        transparency is dropped. Deeper pictures are scaled by one range for all, never by their own: 16 and
        32 bits from 0 … 65,535, floats from 0 … 1 where none is above 2, from 0 … 255 where none is above
        510, else from 0 … 65,535. One that uses less than an eighth of 0 … 65,535 (12 bits, thermal) keeps
        little of itself, which an `OmniReIDWarning` says.

    Raises:
        ImageError: missing, a directory, empty, truncated, too large, or no picture at all.
    """
    return np.array(_open_rgb(source, max_pixels), dtype=np.uint8)


def decode_drawing(content: bytes, *, max_pixels: int = MAX_PIXELS) -> Crop:
    """As `decode`, for drawings: what is transparent is white, as on paper.

    Raises:
        ImageError: as `decode`.
    """
    picture = decode(content, max_pixels=max_pixels)
    with Image.open(io.BytesIO(content)) as image:
        if not image.has_transparency_data:
            return picture
        upright = (ImageOps.exif_transpose(image) or image).convert("RGBA")
    paper = Image.new("RGBA", upright.size, "white")
    return np.array(Image.alpha_composite(paper, upright).convert("RGB"), dtype=np.uint8)


def _open_rgb(
    source: str | os.PathLike[str] | bytes, max_pixels: int, smallest: tuple[int, int] | None = None
) -> Image.Image:
    name = "<bytes>" if isinstance(source, bytes) else os.fspath(source)
    try:
        content = source if isinstance(source, bytes) else read_file(source)
    except FileNotFoundError as error:
        raise ImageError(name, "no such file") from error
    except IsADirectoryError as error:
        raise ImageError(name, "is a directory, not a picture") from error
    except OSError as error:
        raise ImageError(name, error.strerror or str(error)) from error
    except ValueError as error:  # a NUL in the name, which a table of pictures may hold
        raise ImageError(name, str(error)) from error
    if not content:
        raise ImageError(name, "the file is empty (0 bytes)")
    try:
        with Image.open(io.BytesIO(content)) as image:
            width, height = image.size
            if width * height == 0:
                raise ImageError(name, f"holds no pixel ({height}×{width})")
            if width * height > max_pixels:
                raise ImageError(name, f"{width}×{height} pixels exceed the limit of {max_pixels:,}")
            if smallest is not None:
                image.draft(None, smallest)  # of JPEG only; other formats ignore it
            return _to_rgb(image)
    except (ImageError, OmniReIDWarning):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(name, f"too many pixels, refused before decoding ({error})") from error
    except UnidentifiedImageError as error:
        raise ImageError(name, "not a picture that can be read (unknown format)") from error
    except Exception as error:  # Pillow's decoders raise many types on damaged data.
        raise ImageError(name, f"damaged or truncated ({error})") from error


def _to_rgb(image: Image.Image) -> Image.Image:
    is_deep = _is_deep(image)
    image.load()
    # Asked first, because exif_transpose copies even an upright picture.
    if image.getexif().get(ExifTags.Base.Orientation, 1) != 1:
        image = ImageOps.exif_transpose(image)
    if is_deep:
        image, note = _eight_bits(image)
        if note:
            warnings.warn(f"a picture holds {note}. {_RANGES}", OmniReIDWarning, stacklevel=2)
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")  # straight to RGB, Pillow warns
    return image if image.mode == "RGB" else image.convert("RGB")


def _is_deep(image: Image.Image) -> bool:
    """Whether it has more than eight bits. Of colours Pillow drops the others, so ask before it loads."""
    return image.mode[0] in "IF" or any(";16" in str(tile[3]) for tile in getattr(image, "tile", ()))


def _eight_bits(image: Image.Image) -> tuple[Image.Image, str]:
    """A deep picture in eight bits, and what to say where they hold little of it."""
    white = _DEEP_WHITE
    if image.mode[0] in "IF":
        levels = np.nan_to_num(np.asarray(image, dtype=np.float64), posinf=np.inf, neginf=-np.inf)
        if image.mode == "F":
            largest = levels.max(initial=0.0, where=np.isfinite(levels))
            # A little above is what resampling and calibration leave; it is clipped.
            white = next((candidate for candidate in (1, 255) if largest <= 2 * candidate), _DEEP_WHITE)
        # Pillow's own conversion clips at 255 instead of scaling.
        image = Image.fromarray(np.clip(np.rint(levels * (255.0 / white)), 0, 255).astype(np.uint8))
        low, high = (
            int(np.clip(level, 0, white)) for level in (levels.min(initial=white), levels.max(initial=0))
        )
    else:
        bytes_ = np.array(image.convert("RGB").getextrema())
        low, high = 256 * int(bytes_[:, 0].min()), 256 * int(bytes_[:, 1].max()) + 255
    if white < _DEEP_WHITE or low == high or high - low >= _NARROW:
        return image, ""
    # In powers of two, so that pictures of one camera say the same.
    step = 1 << (high - low).bit_length()
    first, last = low // step * step, min(white, (high // step + 1) * step - 1)
    return image, f"values {first:,} to {last:,} of {white:,}{': nearly black' if high < _NARROW else ''}"


def check_crop(crop: object, name: str = "crop") -> None:
    """Refuse what is no (H, W, 3) uint8 RGB array with at least one pixel.

    Args:
        name: what errors call it.

    Raises:
        ShapeError, InputError: names it, and what is wrong.
    """
    if not isinstance(crop, np.ndarray):
        hint = ""
        if isinstance(crop, (str, bytes, os.PathLike)):
            hint = "; decode it first (omnireid.core.images.decode), or embed files with embed_files"
        raise InputError(f"{name}: expected an array (H, W, 3) of uint8 RGB, got {type(crop).__name__}{hint}")
    if crop.ndim != 3 or crop.shape[2] != 3:
        raise ShapeError(name, expected="(H, W, 3)", actual=crop.shape)
    if crop.dtype != np.uint8:
        raise InputError(f"{name}: expected uint8 RGB (0 to 255), got {crop.dtype}")
    if crop.size == 0:
        raise InputError(no_pixel(name, *crop.shape[:2]))


def as_crop(crop: Crop | Image.Image, name: str = "crop") -> Crop:
    """An array that was checked, or a Pillow picture as `decode` would give it: (H, W, 3) uint8 RGB.

    Raises:
        ShapeError, InputError: as `check_crop`.
    """
    if isinstance(crop, Image.Image):
        crop = np.array(_to_rgb(crop), dtype=np.uint8)
    check_crop(crop, name)
    return crop


def no_pixel(name: str, height: int, width: int) -> str:
    """What is said of a crop without a pixel: NumPy makes one of a box that begins left of the picture."""
    return f"{name}: holds no pixel ({height}×{width}); was a box outside of the picture, or negative?"


def resize(crop: Crop | Image.Image, spec: InputSpec, name: str = "crop") -> Crop:
    """Resize one crop to the card's input size.

    Args:
        crop: (H, W, 3) uint8 RGB, or a Pillow picture.
        name: what errors call it.

    Returns:
        (spec.height, spec.width, 3) uint8 RGB; the same array where the size already fits.

    Raises:
        ShapeError, InputError: as `check_crop`.
    """
    crop = as_crop(crop, name)
    if crop.shape[:2] == (spec.height, spec.width):
        return crop
    return _resize(Image.fromarray(crop), spec)


def _resize(image: Image.Image, spec: InputSpec) -> Crop:
    # Pillow returns a copy where the size already fits.
    return np.array(image.resize((spec.width, spec.height), _RESAMPLING[spec.interpolation]), dtype=np.uint8)


def load_crop(
    source: str | os.PathLike[str] | bytes,
    spec: InputSpec,
    *,
    resizer: Resizer | None = None,
    scaled: bool = False,
    max_pixels: int = MAX_PIXELS,
) -> Crop:
    """Decode and resize: (spec.height, spec.width, 3) uint8 RGB.

    Args:
        source: file, or the encoded bytes themselves.
        resizer: a resizer of the spec's size; gives the same bytes as without, sooner where pictures are
            many.
        scaled: decode a JPEG at a half, quarter or eighth of its size where at least twice the spec's size is
            left. Not the same bytes: embeddings move (×0.25 of MSMT17, parts of real frames, 512×1024: cosine
            0.9998 in the median, 0.9989 at least).
        max_pixels: as `decode`.

    Raises:
        ImageError: as `decode`.
    """
    smallest = (2 * spec.width, 2 * spec.height) if scaled else None
    image = _open_rgb(source, max_pixels, smallest)
    return _resize(image, spec) if resizer is None else resizer(image)


def normalise(crops: UInt8, spec: InputSpec) -> Float32:
    """What a network without normalisation in its graph takes.

    Args:
        crops: (N, H, W, 3) uint8 RGB.

    Returns:
        (N, 3, H, W) float32, contiguous: ((x / 255) − mean) / std per channel.
    """
    if crops.ndim != 4 or crops.shape[3] != 3:
        raise ShapeError("crops", expected="(N, H, W, 3)", actual=crops.shape)
    scale, shift = spec.scale_shift()
    channels_first = np.ascontiguousarray(crops.transpose(0, 3, 1, 2)).astype(np.float32)
    channels_first *= scale[:, None, None]
    channels_first += shift[:, None, None]
    return channels_first


def picture_size(source: str | os.PathLike[str]) -> tuple[int, int]:
    """(width, height) as `decode` gives them, EXIF rotation applied. Reads the header only.

    Raises:
        ImageError: not a picture.
    """
    with _opened(source) as image:
        width, height = image.size
        # Of a PNG whose header has none, Pillow would decode all of it to look behind the pixels.
        has_exif = image.format != "PNG" or "exif" in image.info
        is_on_its_side = has_exif and image.getexif().get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)
    return (height, width) if is_on_its_side else (width, height)


def narrow_range(source: str | os.PathLike[str] | bytes) -> str:
    """What `decode` warns of: the part of its range that a deep picture uses, where that is little; else "".

    Raises:
        ImageError: not a picture.
    """
    with _opened(source) as image:
        return _eight_bits(image)[1] if _is_deep(image) else ""


def conversions(source: str | os.PathLike[str] | bytes) -> tuple[str, ...]:
    """What `decode` would convert about a picture, in words; empty for an upright 8-bit RGB one.

    Reads the header only. Grey pictures count as ordinary (infrared cameras write them).

    Raises:
        ImageError: not a picture.
    """
    modes = []
    with _opened(source) as image:
        if image.mode == "RGB" and _is_deep(image):
            modes.append("16-bit colour")
        if image.mode not in ("RGB", "L"):
            modes.append(_MODE_WORDS.get(image.mode, f"mode {image.mode}"))
        if image.getexif().get(ExifTags.Base.Orientation, 1) != 1:
            modes.append("rotated by EXIF")
        if getattr(image, "n_frames", 1) > 1:
            modes.append("several frames (the first is used)")
    return tuple(modes)


@contextmanager
def _opened(source: str | os.PathLike[str] | bytes) -> Iterator[Image.Image]:
    """A picture of which no more is read than is asked for; whatever is wrong with it is an `ImageError`."""
    name = "<bytes>" if isinstance(source, bytes) else os.fspath(source)
    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
            yield image
    except Exception as error:  # Pillow's parsers raise many types on damaged data.
        raise ImageError(name, f"not a picture that can be read ({error})") from error

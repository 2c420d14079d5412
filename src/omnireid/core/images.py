"""Decode, resize, colour order and normalisation: the only place where they happen.

Wrong preprocessing is the most frequent silent error of re-identification. A picture is decoded to
RGB uint8 as a person sees it (EXIF rotation applied), resized with Pillow by the interpolation its
model card names, and normalised with the card's mean and standard deviation.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from omnireid.core.card import InputSpec
from omnireid.core.errors import ImageError, InputError, ShapeError

if TYPE_CHECKING:
    from omnireid.core.resampling import Resizer

Crop = npt.NDArray[np.uint8]

MAX_PIXELS = 64_000_000
IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm"})

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
        (H, W, 3) uint8 RGB. EXIF rotation is applied; CMYK, palette, grey and 16-bit pictures are
        converted; transparency is dropped.

    Raises:
        ImageError: missing, a directory, empty, truncated, too large, or no picture at all.
    """
    return np.array(_open_rgb(source, max_pixels), dtype=np.uint8)


def _open_rgb(
    source: str | os.PathLike[str] | bytes, max_pixels: int, smallest: tuple[int, int] | None = None
) -> Image.Image:
    name = "<bytes>" if isinstance(source, bytes) else os.fspath(source)
    try:
        content = source if isinstance(source, bytes) else Path(source).read_bytes()
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
    except ImageError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(name, f"too many pixels, refused before decoding ({error})") from error
    except UnidentifiedImageError as error:
        raise ImageError(name, "not a picture that can be read (unknown format)") from error
    except Exception as error:  # Pillow's decoders raise many types on damaged data.
        raise ImageError(name, f"damaged or truncated ({error})") from error


def _to_rgb(image: Image.Image) -> Image.Image:
    image.load()
    # Asked first, because exif_transpose copies even an upright picture.
    if image.getexif().get(ExifTags.Base.Orientation, 1) != 1:
        image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I") or image.mode == "F":
        levels = np.nan_to_num(np.asarray(image, dtype=np.float64))
        # 16-bit greys: Pillow's own conversion clips at 255 instead of scaling.
        scale = 255.0 if image.mode == "F" and levels.max(initial=0.0) <= 1.0 else 255.0 / 65535.0
        return Image.fromarray(np.clip(np.rint(levels * scale), 0, 255).astype(np.uint8)).convert("RGB")
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")  # straight to RGB, Pillow warns
    return image if image.mode == "RGB" else image.convert("RGB")


def check_crop(crop: object, name: str = "crop") -> None:
    """Refuse what is no (H, W, 3) uint8 RGB array with at least one pixel.

    Args:
        name: what errors call it.

    Raises:
        ShapeError, InputError: names it, and what is wrong.
    """
    if not isinstance(crop, np.ndarray):
        hint = ""
        if isinstance(crop, Image.Image):
            hint = '; give np.asarray(picture.convert("RGB"))'
        elif isinstance(crop, (str, bytes, os.PathLike)):
            hint = "; decode it first (omnireid.core.images.decode), or embed files with embed_samples"
        raise InputError(f"{name}: expected an array (H, W, 3) of uint8 RGB, got {type(crop).__name__}{hint}")
    if crop.ndim != 3 or crop.shape[2] != 3:
        raise ShapeError(name, expected="(H, W, 3)", actual=crop.shape)
    if crop.dtype != np.uint8:
        raise InputError(f"{name}: expected uint8 RGB (0 to 255), got {crop.dtype}")
    if crop.size == 0:
        raise InputError(no_pixel(name, *crop.shape[:2]))


def no_pixel(name: str, height: int, width: int) -> str:
    """What is said of a crop without a pixel: NumPy makes one of a box that begins left of the picture."""
    return f"{name}: holds no pixel ({height}×{width}); was a box outside of the picture, or negative?"


def resize(crop: Crop, spec: InputSpec) -> Crop:
    """Resize one crop to the card's input size.

    Args:
        crop: (H, W, 3) uint8 RGB.

    Returns:
        (spec.height, spec.width, 3) uint8 RGB; the same array where the size already fits.

    Raises:
        ShapeError, InputError: as `check_crop`.
    """
    check_crop(crop)
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
        resizer: of the spec's size; gives the same bytes as without, sooner where pictures are many.
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


def normalise(crops: npt.NDArray[np.uint8], spec: InputSpec) -> npt.NDArray[np.float32]:
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
    try:
        with Image.open(source) as image:
            width, height = image.size
            # Of a PNG whose header has none, Pillow would decode all of it to look behind the pixels.
            has_exif = image.format != "PNG" or "exif" in image.info
            is_on_its_side = has_exif and image.getexif().get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)
    except Exception as error:  # Pillow's parsers raise many types on damaged data.
        raise ImageError(source, f"not a picture that can be read ({error})") from error
    return (height, width) if is_on_its_side else (width, height)


def conversions(source: str | os.PathLike[str] | bytes) -> tuple[str, ...]:
    """What `decode` would convert about a picture, in words; empty for an upright 8-bit RGB one.

    Reads the header only. Grey pictures count as ordinary (infrared cameras write them).

    Raises:
        ImageError: not a picture.
    """
    name = "<bytes>" if isinstance(source, bytes) else os.fspath(source)
    found = []
    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
            if image.mode not in ("RGB", "L"):
                found.append(_MODE_WORDS.get(image.mode, f"mode {image.mode}"))
            if image.getexif().get(ExifTags.Base.Orientation, 1) != 1:
                found.append("rotated by EXIF")
            if getattr(image, "n_frames", 1) > 1:
                found.append("several frames (the first is used)")
    except Exception as error:  # Pillow's parsers raise many types on damaged data.
        raise ImageError(name, f"not a picture that can be read ({error})") from error
    return tuple(found)

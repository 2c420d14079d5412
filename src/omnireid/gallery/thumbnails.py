"""The small picture of an item, that operators see and that a later model embeds."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from omnireid.core.images import Crop
from omnireid.gallery.items import MAX_THUMBNAIL

_SIZE = (256, 512)
_WAYS = [{"format": "JPEG", "quality": quality} for quality in (90, 75, 55)]


def make_thumbnail(crop: Crop) -> bytes:
    """A JPEG of our own making, without anything but its pixels, at most `MAX_THUMBNAIL` bytes.

    Args:
        crop: (H, W, 3) uint8 RGB of any size.
    """
    image = Image.fromarray(np.ascontiguousarray(crop))
    image.thumbnail(_SIZE)
    return encoded(image, MAX_THUMBNAIL, _WAYS)[0]


def encoded(
    image: Image.Image, most_bytes: int, ways: Sequence[Mapping[str, Any]]
) -> tuple[bytes, Image.Image]:
    """A picture as a file of at most so many bytes, and the picture: halved until one of the ways gives one.

    Args:
        ways: arguments of Pillow's `save`, the best first.
    """
    while True:
        for way in ways:
            stream = io.BytesIO()
            image.save(stream, **way)
            if stream.tell() <= most_bytes:
                return stream.getvalue(), image
        image = image.resize((max(1, image.width // 2), max(1, image.height // 2)))

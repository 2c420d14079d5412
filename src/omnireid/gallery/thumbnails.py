"""The small picture of an item, that operators see and that a later model embeds."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from omnireid.core.images import Crop
from omnireid.gallery.items import MAX_THUMBNAIL

_SIZE = (256, 512)
_QUALITIES = (90, 75, 55)


def make_thumbnail(crop: Crop) -> bytes:
    """A JPEG of our own making, without anything but its pixels, at most `MAX_THUMBNAIL` bytes.

    Args:
        crop: (H, W, 3) uint8 RGB of any size.
    """
    image = Image.fromarray(np.ascontiguousarray(crop))
    image.thumbnail(_SIZE)
    while True:
        for quality in _QUALITIES:
            stream = io.BytesIO()
            image.save(stream, "JPEG", quality=quality)
            if stream.tell() <= MAX_THUMBNAIL:
                return stream.getvalue()
        image = image.resize((max(1, image.width // 2), max(1, image.height // 2)))

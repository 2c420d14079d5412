"""Pictures inside the page: small JPEGs as data addresses, so that the file needs nothing beside it."""

from __future__ import annotations

import base64
import io

from PIL import Image

from omnireid.core.arrays import UInt8
from omnireid.core.errors import ImageError
from omnireid.core.images import decode

SIZE = (96, 192)
_QUALITY = 82


def data_address(crop: UInt8) -> str:
    """One (H, W, 3) uint8 RGB picture, shrunk to fit `SIZE`, as `data:image/jpeg;base64,…`."""
    image = Image.fromarray(crop)
    image.thumbnail(SIZE, Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=_QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode()


class Album:
    """The pictures of one report, decoded once each; what cannot be read is listed, and shown as a gap."""

    def __init__(self) -> None:
        self.unreadable: dict[str, str] = {}
        self._addresses: dict[str, str] = {}

    def crop(self, path: str) -> UInt8 | None:
        """(H, W, 3) uint8 RGB; None where the file cannot be read."""
        try:
            return decode(path)
        except ImageError as error:
            self.unreadable[path] = error.reason
            return None

    def address(self, path: str) -> str:
        """The picture's data address; empty where the file cannot be read."""
        if path not in self._addresses:
            crop = self.crop(path)
            self._addresses[path] = "" if crop is None else data_address(crop)
        return self._addresses[path]

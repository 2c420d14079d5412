"""Pictures as clients send them: decoded, cut, resized for the model, and kept small for the gallery."""

from __future__ import annotations

import base64
import binascii

from PIL import Image

from omnireid.core.card import InputSpec
from omnireid.core.errors import ImageError
from omnireid.core.images import Crop, decode, load_crop, resize
from omnireid.core.resampling import Resizer
from omnireid.gallery.thumbnails import make_thumbnail
from omnireid.server.problems import wrong
from omnireid.server.schemas import Region

_FROM_URL_ALPHABET = str.maketrans("-_", "+/")
_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM")


class Decoder:
    """Makes crops of one model's size. Threads may share it."""

    def __init__(self, spec: InputSpec, max_pixels: int) -> None:
        self._spec = spec
        self._max_pixels = max_pixels
        self._resizer = Resizer(spec.height, spec.width) if spec.interpolation == "bilinear" else None

    def crop(self, content: bytes) -> Crop:
        """A whole picture: (height, width, 3) uint8 RGB."""
        return load_crop(content, self._spec, resizer=self._resizer, max_pixels=self._max_pixels)

    def part(self, content: bytes, region: Region | None) -> Crop:
        """Decode a picture and cut a part out of it: (H, W, 3) uint8 RGB.

        Args:
            region: pixels of the upright picture; what lies outside is left out.

        Raises:
            ImageError: no picture, or the region lies outside of it.
        """
        picture = decode(content, max_pixels=self._max_pixels)
        if region is None:
            return picture
        height, width = picture.shape[:2]
        left, top = max(0, round(region.x)), max(0, round(region.y))
        right = min(width, round(region.x + region.width))
        bottom = min(height, round(region.y + region.height))
        if right <= left or bottom <= top:
            raise ImageError("region", f"holds no pixel of a picture of {width}×{height}")
        return picture[top:bottom, left:right]

    def fitted(self, part: Crop) -> Crop:
        """Resize to the model's size: (height, width, 3) uint8 RGB."""
        return resize(part, self._spec) if self._resizer is None else self._resizer(Image.fromarray(part))


class Picture:
    """One picture of a request.

    Args:
        content: the encoded picture, as bytes or base64.
        field: where it stands in the request.
        region: the part that is meant.
        wants_thumbnail: make a JPEG of the part too.
    """

    def __init__(
        self,
        content: bytes | str,
        *,
        field: str = "image",
        region: Region | None = None,
        wants_thumbnail: bool = False,
    ) -> None:
        self._content = content
        self._field = field
        self._region = region
        self._wants_thumbnail = wants_thumbnail
        self.thumbnail: bytes | None = None

    def prepare(self, decoder: Decoder) -> Crop:
        """(height, width, 3) uint8 RGB of the model's size; sets `thumbnail`.

        Raises:
            Problem: no picture, too large, or a region outside of it; names the field.
        """
        content = self.content()
        try:
            if self._region is None and not self._wants_thumbnail:
                return decoder.crop(content)
            part = decoder.part(content, self._region)
        except ImageError as error:
            field = self._field if error.source != "region" else _beside(self._field, "region")
            raise wrong(field, error.reason) from error
        if self._wants_thumbnail:
            self.thumbnail = make_thumbnail(part)
        return decoder.fitted(part)

    def part(self, decoder: Decoder) -> Crop:
        """The part that is meant, in its own size: (H, W, 3) uint8 RGB.

        Raises:
            Problem: as `prepare`.
        """
        try:
            return decoder.part(self.content(), self._region)
        except ImageError as error:
            raise wrong(self._field, error.reason) from error

    def content(self) -> bytes:
        """The encoded picture, of a kind that is read.

        Raises:
            Problem: not base64, or no such picture; names the field.
        """
        content = self._content
        if isinstance(content, str):
            try:
                content = _from_base64(content)
            except (binascii.Error, ValueError) as error:
                raise wrong(self._field, "not base64") from error
        if not is_picture(content):
            raise wrong(self._field, "not a JPEG, PNG, WebP or BMP picture")
        return content


def is_picture(content: bytes) -> bool:
    """Whether bytes begin as a picture of a kind that is read: JPEG, PNG, WebP or BMP.

    Pillow knows dozens of formats, some of which start other programs. Nobody's camera writes those.
    """
    return content.startswith(_SIGNATURES) or (content[:4] == b"RIFF" and content[8:12] == b"WEBP")


def _from_base64(text: str) -> bytes:
    """Bytes of base64, also as a `data:` URI, with line breaks, without padding, or in the alphabet for URLs.

    Raises:
        ValueError: it is something else.
    """
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        if text[:5].lower() == "data:":
            head, _, text = text.partition(",")
            if not head.lower().endswith(";base64"):
                raise
        text = "".join(text.split()).rstrip("=").translate(_FROM_URL_ALPHABET)
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)


def _beside(field: str, name: str) -> str:
    head, dot, _ = field.rpartition(".")
    return f"{head}{dot}{name}"

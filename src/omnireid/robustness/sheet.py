"""One picture under every corruption, to look at."""

from __future__ import annotations

import os

from PIL import Image, ImageDraw, ImageFont

from omnireid.core.files import atomic_write
from omnireid.core.images import Crop
from omnireid.robustness.draw import Draw, corrupt_sample
from omnireid.robustness.suite import CATEGORIES, CORRUPTIONS, SEVERITIES

_HEIGHT = 128
_GAP = 6
_LABEL = 18
_COLUMNS = 2  # of corruptions, each a row of severities


def write_sheet(crop: Crop, path: str | os.PathLike[str], *, seed: int = 0) -> None:
    """Draw the picture, then each corruption at severities 1 to 5, as a PNG file.

    Corrupted at native size, as everywhere, and only then scaled to the sheet.

    Args:
        crop: (H, W, 3) uint8 RGB.

    Raises:
        StorageError: the file cannot be written.
        MissingExtraError: the extra "robustness" is not installed.
    """
    width = max(1, round(crop.shape[1] * _HEIGHT / crop.shape[0]))
    cell, row = width + _GAP, _HEIGHT + _LABEL + _GAP
    block = cell * (1 + len(SEVERITIES)) + 3 * _GAP
    rows = -(-len(CORRUPTIONS) // _COLUMNS)
    sheet = Image.new("RGB", (block * _COLUMNS + _GAP, rows * row + _GAP), "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=13)
    for index, name in enumerate(CORRUPTIONS):
        left, top = (index // rows) * block + _GAP, (index % rows) * row + _GAP
        draw.text((left, top), f"{name} ({CATEGORIES[name]})", fill=(32, 32, 32), font=font)
        shown = [crop] + [
            corrupt_sample(crop, "sheet", seed=seed, round=0, draw=Draw(name, severity))
            for severity in SEVERITIES
        ]
        for column, picture in enumerate(shown):
            scaled = Image.fromarray(picture).resize((width, _HEIGHT), Image.Resampling.BICUBIC)
            sheet.paste(scaled, (left + column * cell, top + _LABEL))
    with atomic_write(path) as stream:
        sheet.save(stream, format="PNG", optimize=True)

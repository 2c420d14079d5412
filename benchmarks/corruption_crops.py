"""Renders the crops that the corruptions are compared on.

    python benchmarks/corruption_crops.py

Writes tests/robustness/crops.npz: 64 rendered people (no real person), as PNG files. The sizes are
mixed around Market-1501's 64×128 (width × height); some are too low for rain (60 rows or fewer), some
are large. Six are altered to hold what photographs hold and the renderer does not: saturated and
crushed areas, flat colour, all grey, and all levels side by side.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import numpy as np
from PIL import Image

from omnireid.core.images import Crop
from omnireid.core.seeds import numpy_generator
from omnireid.synthetic.crop import render_crop
from omnireid.synthetic.options import World

CROPS = Path(__file__).parents[1] / "tests" / "robustness" / "crops.npz"


def sizes() -> list[tuple[int, int]]:
    """(height, width) of the 64 crops."""
    generator = numpy_generator(3, "sizes")
    mixed = [(int(generator.integers(70, 220)), int(generator.integers(33, 90))) for _ in range(22)]
    low = [(int(generator.integers(45, 61)), int(generator.integers(22, 33))) for _ in range(4)]
    return [(128, 64)] * 34 + mixed + low + [(384, 128)] * 4


def altered(crop: Crop, number: int) -> Crop:
    """The crop with what the renderer lacks, for a few of the numbers."""
    crop = crop.copy()
    height, width = crop.shape[:2]
    if number == 3:
        return np.clip(crop * 2.2, 0, 255).astype(np.uint8)
    if number == 9:
        return (crop * 0.25).astype(np.uint8)
    if number == 15:
        crop[:, : width // 2] = (200, 30, 30)
    if number == 21:
        crop[: height // 4] = 255
        crop[-height // 4 :] = 0
    if number == 27:
        crop[:] = crop[..., 1:2]
    if number == 33:
        crop[:] = np.arange(height * width).reshape(height, width, 1) // (height * width // 256)
        crop[:, width // 2 :, 1] = 255 - crop[:, width // 2 :, 1]
    return crop


def main() -> None:
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    files = {}
    for number, (height, width) in enumerate(sizes()):
        world = World(seed=5, height=height, width=width)
        stream = io.BytesIO()
        crop = altered(render_crop(world, pid=number, camid=number % 4, index=0), number)
        Image.fromarray(crop).save(stream, "PNG", optimize=True)
        files[f"{number:02d}"] = np.frombuffer(stream.getvalue(), np.uint8)
    np.savez(CROPS, **files)
    print(f"{CROPS}: {len(files)} crops, {CROPS.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()

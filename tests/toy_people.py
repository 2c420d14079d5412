"""A dataset small enough to train on in a second: people are patches of colour."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def write_toy_people(root: Path, *, num_train: int = 6, num_test: int = 3, per_camera: int = 3) -> Path:
    """Two cameras, `per_camera` pictures each of 16×32 pixels, in Market-1501 layout."""
    for pid in range(1, num_train + num_test + 1):
        colours = np.random.default_rng(pid).integers(0, 256, (4, 1, 3))
        for camera in (1, 2):
            for index in range(per_camera):
                noise = np.random.default_rng([pid, camera, index]).normal(0, 12, (32, 16, 3))
                pixels = np.clip(np.repeat(np.repeat(colours, 8, 0), 16, 1) + noise + 10 * camera, 0, 255)
                if pid <= num_train:
                    folder = "bounding_box_train"
                else:
                    folder = "query" if index == 0 else "bounding_box_test"
                path = root / folder / f"{pid:04d}_c{camera}s1_{index:06d}_00.jpg"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels.astype(np.uint8)).save(path, quality=95)
    return root

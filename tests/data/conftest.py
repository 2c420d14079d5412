"""Miniature datasets, drawn on the spot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


def write_picture(path: Path, *, size: tuple[int, int] = (8, 16), seed: int = 0) -> Path:
    """A small picture of its own colour and pattern, as (width, height)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng([seed, *path.name.encode()])
    pixels = rng.integers(0, 256, (4, 2, 3), dtype=np.uint8)
    Image.fromarray(pixels).resize(size).save(path)
    return path


@pytest.fixture
def picture() -> Callable[..., Path]:
    return write_picture


@pytest.fixture
def market_root(tmp_path: Path) -> Path:
    """Three train people, two test people and a distractor, two cameras, in Market-1501 layout."""
    root = tmp_path / "mini"
    for folder, names in {
        "bounding_box_train": ["0003_c1s1_000001_00", "0003_c2s1_000001_00", "0005_c1s1_000001_00"],
        "query": ["0001_c1s1_000001_00", "0002_c2s1_000001_00"],
        "bounding_box_test": [
            "-1_c1s1_000009_00",
            "0000_c2s1_000001_00",
            "0001_c1s1_000002_00",
            "0001_c2s1_000001_00",
            "0002_c1s1_000001_00",
        ],
    }.items():
        for name in names:
            write_picture(root / folder / f"{name}.jpg")
    return root

"""Rendered data that several tests look at: rendered once."""

from __future__ import annotations

from pathlib import Path

import pytest

from omnireid.core.types import Dataset
from omnireid.synthetic.dataset import render_dataset
from omnireid.synthetic.options import RenderOptions

SMALL = {
    "seed": 11,
    "num_train_pids": 3,
    "num_test_pids": 4,
    "num_cameras": 3,
    "crops_per_camera": 2,
    "num_distractors": 5,
    "num_junk": 4,
    "height": 64,
    "width": 32,
}


@pytest.fixture(scope="session")
def small_options() -> dict[str, int]:
    return dict(SMALL)


@pytest.fixture(scope="session")
def small_dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return render_dataset(tmp_path_factory.mktemp("synthetic") / "small", RenderOptions(**SMALL), workers=1)


@pytest.fixture(scope="session")
def hundred_people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """100 test identities × 4 cameras × 3 pictures, the setting of the colour baseline."""
    root = tmp_path_factory.mktemp("synthetic") / "hundred"
    render_dataset(
        root,
        RenderOptions(seed=5, num_train_pids=0, num_test_pids=100, crops_per_camera=3, height=128, width=64),
    )
    return root

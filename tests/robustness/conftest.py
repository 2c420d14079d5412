"""The rendered crops and what the published code makes of them (benchmarks/corruption_reference.py)."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("cv2", reason="corrupting pictures needs OpenCV")
pytest.importorskip("scipy", reason="corrupting pictures needs SciPy")

from omnireid.core.images import Crop, decode

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def crops() -> list[Crop]:
    """64 rendered people of mixed sizes; shared and read-only."""
    with np.load(HERE / "crops.npz") as files:
        found = [decode(files[key].tobytes()) for key in sorted(files.files)]
    for crop in found:
        crop.flags.writeable = False
    return found


class Reference:
    """Statistics (halves, crops, 3) by name and severity, and hashes where there is no chance."""

    def __init__(self, path: Path) -> None:
        with np.load(path) as files:
            about = json.loads(str(files["about"]))
            self._statistics = {key: files[key].astype(np.float64) for key in files.files if key != "about"}
        self.sha256: dict[str, str] = about["sha256"]
        self.draws: dict[str, int] = about["draws_per_half"]

    def statistics(self, name: str, severity: int) -> np.ndarray:
        return self._statistics[f"{name}-{severity}"]


@pytest.fixture(scope="session")
def reference() -> Reference:
    return Reference(HERE / "reference.npz")

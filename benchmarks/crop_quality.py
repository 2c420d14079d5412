"""What bad crops do to a search and to a decision: one kind of damage at a time, queries only.

    python benchmarks/crop_quality.py [--run runs/quickstart]

`--run` is the folder of a finished `omnireid run`. Prints a table (docs/explanation/errors.md) and writes
benchmarks/results/crop_quality.json. The threshold is that of 1 % false alarms on undamaged pictures of two
cameras, of this gallery itself: what changes is the damage alone.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

from omnireid import Embedder
from omnireid.core.images import Crop, decode
from omnireid.core.record import EnvironmentRecord
from omnireid.data.datasets import read_dataset
from omnireid.robustness.corruptions import corrupt
from options import finished_run, run

RESULTS = Path(__file__).parent / "results" / "crop_quality.json"
FALSE_ALARM_RATE = 0.01
Damage = Callable[[Crop, np.random.Generator], Crop]


def shrunk(height: int) -> Damage:
    """As a camera sees somebody who is so many pixels tall."""

    def damage(crop: Crop, rng: np.random.Generator) -> Crop:
        size = (max(1, round(crop.shape[1] * height / crop.shape[0])), height)
        return np.asarray(Image.fromarray(crop).resize(size, Image.Resampling.BOX))

    return damage


def hidden(top: float, bottom: float, left: float = 0.0) -> Damage:
    """A grey thing in front, from `top` to `bottom` of the height, from `left` of the width to the right."""

    def damage(crop: Crop, rng: np.random.Generator) -> Crop:
        height, width = crop.shape[:2]
        found = crop.copy()
        found[round(top * height) : round(bottom * height), round(left * width) :] = 128
        return found

    return damage


def dark(share: float) -> Damage:
    """So much of the light, with the noise that a sensor adds then."""

    def damage(crop: Crop, rng: np.random.Generator) -> Crop:
        noisy = crop * share + rng.normal(0, 6, crop.shape)
        return np.clip(noisy, 0, 255).astype(np.uint8)

    return damage


def grey(crop: Crop, rng: np.random.Generator) -> Crop:
    """Without colour, as by an infrared camera."""
    return np.asarray(Image.fromarray(crop).convert("L").convert("RGB"))


def corrupted(name: str, severity: int) -> Damage:
    """One of the twenty corruptions."""
    return lambda crop, rng: corrupt(crop, name, severity, rng)


def loose(share: float) -> Damage:
    """A box that is too large: so much background around, repeated from the edge."""

    def damage(crop: Crop, rng: np.random.Generator) -> Crop:
        y, x = (round(share * size) for size in crop.shape[:2])
        return np.pad(crop, ((y, y), (x, x), (0, 0)), mode="edge")

    return damage


DAMAGES: dict[str, Damage | None] = {
    "as enrolled": None,
    "64 pixels tall": shrunk(64),
    "32 pixels tall": shrunk(32),
    "24 pixels tall": shrunk(24),
    "16 pixels tall": shrunk(16),
    "motion blur, severity 3": corrupted("motion_blur", 3),
    "rain, severity 3": corrupted("rain", 3),
    "legs hidden (lower 40 %)": hidden(0.6, 1),
    "upper body hidden (15 to 50 %)": hidden(0.15, 0.5),
    "right half hidden": hidden(0, 1, 0.5),
    "a fifth of the light, noise": dark(0.2),
    "no colour": grey,
    "box 25 % too large on each side": loose(0.25),
}


def measure(embedder: Embedder, root: Path) -> dict[str, dict[str, float]]:
    """Rank-1, misses and false alarms of each damage."""
    dataset = read_dataset("market-layout", root)
    gallery = embedder.embed_samples(dataset.gallery.samples)
    samples = dataset.query.samples
    crops = [decode(sample.path) for sample in samples]
    pids, camids = (np.array([getattr(one, name) for one in samples])[:, None] for name in ("pid", "camid"))
    is_other_camera = (camids != gallery.camids) & (gallery.pids > 0)
    is_same = (pids == gallery.pids) & is_other_camera
    is_different = (pids != gallery.pids) & is_other_camera
    found: dict[str, dict[str, float]] = {}
    threshold = np.inf
    for name, damage in DAMAGES.items():
        rng = np.random.default_rng(0)
        damaged = crops if damage is None else [damage(crop, rng) for crop in crops]
        scores = embedder.embed(damaged) @ gallery.vectors.T
        if damage is None:
            threshold = float(np.quantile(scores[is_different], 1 - FALSE_ALARM_RATE))
        best = np.where(is_other_camera, scores, -np.inf).argmax(1)
        found[name] = {
            "rank1": float((gallery.pids[best] == pids[:, 0]).mean()),
            "misses": float((scores[is_same] < threshold).mean()),
            "false_alarms": float((scores[is_different] >= threshold).mean()),
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", type=finished_run, default="runs/quickstart")
    arguments = parser.parse_args()
    embedder = Embedder.open(arguments.run / "model.safetensors")
    rows = measure(embedder, arguments.run / "data")
    results: dict[str, Any] = {
        "environment": EnvironmentRecord.capture().model_dump(),
        "model": embedder.ref.short,
        "false_alarm_rate_undamaged": FALSE_ALARM_RATE,
        "queries": rows,
    }
    RESULTS.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n")
    table = Table("query", "rank-1", "misses", "false alarms")
    for name, row in rows.items():
        table.add_row(name, *(f"{row[key]:.1%}" for key in ("rank1", "misses", "false_alarms")))
    Console().print(table)


if __name__ == "__main__":
    run(main)

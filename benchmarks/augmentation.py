"""Cost of augmentation: ours, kornia's, and one picture after another through Pillow, in one run.

    OMP_WAIT_POLICY=passive python benchmarks/augmentation.py [--threads 2] [--rounds 15]

Prints a table and writes benchmarks/results/augmentation.json. The forms take turns within each
round, so that whatever else the machine does falls on all of them. The environment variable keeps
torch's threads from spinning while they wait: on a busy machine spinning costs more than the work.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import kornia.augmentation as ka
import numpy as np
import torch
from PIL import Image, ImageEnhance
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from omnireid.core import InputSpec
from omnireid.core.images import normalise
from omnireid.core.record import EnvironmentRecord
from omnireid.data.augmentation import AUGMENTATIONS, Augmentation

BATCH = 64
SIZES = ((256, 128), (128, 64))
CASES: dict[str, tuple[str, ...]] = {
    "normalise only": (),
    **{name: (name,) for name in AUGMENTATIONS},
    "all but random_patch": tuple(name for name in AUGMENTATIONS if name != "random_patch"),
    "all five": AUGMENTATIONS,
}
RESULTS = Path(__file__).parent / "results" / "augmentation.json"


def ours(names: tuple[str, ...], spec: InputSpec) -> Callable[[Tensor], object]:
    augmentation = Augmentation(names, spec)
    generator = torch.Generator().manual_seed(0)
    return lambda crops: augmentation(crops, generator)


def with_kornia(names: tuple[str, ...], spec: InputSpec) -> Callable[[Tensor], object] | None:
    """The same steps by kornia's batched augmentations; it has no random patch."""
    if "random_patch" in names:
        return None
    steps: list[nn.Module] = []
    if "flip" in names:
        steps.append(ka.RandomHorizontalFlip(p=0.5))
    if "random_crop" in names:
        # A scaled random crop: cuts 1/1.125 of each side and resizes it back, bilinear.
        share = 1 / 1.125**2
        aspect = spec.width / spec.height
        size = (spec.height, spec.width)
        steps.append(ka.RandomResizedCrop(size, scale=(share, share), ratio=(aspect, aspect), p=0.5))
    if "color_jitter" in names:
        steps.append(ka.ColorJitter(brightness=0.2, contrast=0.15, p=1.0))
    steps.append(ka.Normalize(mean=torch.tensor(spec.mean), std=torch.tensor(spec.std)))
    if "random_erase" in names:
        steps.append(ka.RandomErasing(p=0.5, scale=(0.02, 0.4), ratio=(0.3, 1 / 0.3), value=0.45))
    pipeline = nn.Sequential(*steps)
    return lambda crops: pipeline(crops.permute(0, 3, 1, 2).float() / 255)


def with_pillow(names: tuple[str, ...], spec: InputSpec) -> Callable[[Tensor], object] | None:
    """One picture after another in one thread, as a data loader's worker does it."""
    if "random_patch" in names or "random_erase" in names:
        return None
    enlarged = (round(spec.width * 1.125), round(spec.height * 1.125))

    def one(pixels: np.ndarray) -> np.ndarray:
        image = Image.fromarray(pixels)
        if "flip" in names and random.random() < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        if "random_crop" in names and random.random() < 0.5:
            left, top = (
                random.randint(0, enlarged[0] - spec.width),
                random.randint(0, enlarged[1] - spec.height),
            )
            image = image.resize(enlarged, Image.Resampling.BILINEAR)
            image = image.crop((left, top, left + spec.width, top + spec.height))
        if "color_jitter" in names:
            image = ImageEnhance.Brightness(image).enhance(random.uniform(0.8, 1.2))
            image = ImageEnhance.Contrast(image).enhance(random.uniform(0.85, 1.15))
        return np.asarray(image)

    return lambda crops: normalise(np.stack([one(pixels) for pixels in crops.numpy()]), spec)


def measure(
    forms: dict[str, Callable[[Tensor], object]], crops: Tensor, rounds: int
) -> dict[str, list[float]]:
    for call in forms.values():
        for _ in range(3):  # also fills the patch pool beyond its hundred
            call(crops)
    seconds: dict[str, list[float]] = {name: [] for name in forms}
    for _ in range(rounds):
        for name, call in forms.items():
            began = time.perf_counter()
            call(crops)
            seconds[name].append(time.perf_counter() - began)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    table = Table(
        title=f"batch {BATCH}, {options.threads} threads: images/s, median of {options.rounds} (best)"
    )
    for column in ("size", "augmentation", "ours", "kornia", "ours ÷ kornia", "Pillow, 1 thread"):
        table.add_column(column, justify="left" if column in ("size", "augmentation") else "right")
    rows = []
    for height, width in SIZES:
        spec = InputSpec(height=height, width=width)
        small = np.random.default_rng(0).integers(0, 256, (BATCH, 16, 8, 3), dtype=np.uint8)
        crops = torch.from_numpy(
            np.stack([np.asarray(Image.fromarray(picture).resize((width, height))) for picture in small])
        )
        for case, names in CASES.items():
            built = {
                "ours": ours(names, spec),
                "kornia": with_kornia(names, spec),
                "pillow": with_pillow(names, spec),
            }
            forms = {name: call for name, call in built.items() if call is not None}
            seconds = measure(forms, crops, options.rounds)
            rate = {name: BATCH / statistics.median(times) for name, times in seconds.items()}
            best = {name: BATCH / min(times) for name, times in seconds.items()}
            shown = {name: f"{rate[name]:,.0f} ({best[name]:,.0f})" for name in forms}
            ratio = rate["ours"] / rate["kornia"] if "kornia" in rate else None
            table.add_row(
                f"{height}×{width}",
                case,
                shown["ours"],
                shown.get("kornia", "–"),
                f"{ratio:.1f}" if ratio else "–",
                shown.get("pillow", "–"),
            )
            rows.append(
                {
                    "height": height,
                    "width": width,
                    "augmentation": case,
                    "images_per_second": rate,
                    "best_images_per_second": best,
                    "ours_over_kornia": ratio,
                }
            )
    Console().print(table)
    RESULTS.parent.mkdir(exist_ok=True)
    record = {
        "batch": BATCH,
        "threads": options.threads,
        "rounds": options.rounds,
        "omp_wait_policy": os.environ.get("OMP_WAIT_POLICY"),
        "environment": EnvironmentRecord.capture().model_dump(),
        "rows": rows,
    }
    RESULTS.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()

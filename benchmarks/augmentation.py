"""Cost of augmentation: ours, kornia's, and one picture after another through Pillow, in one run.

    OMP_WAIT_POLICY=passive python benchmarks/augmentation.py [--threads 2] [--rounds 15]
    OMP_WAIT_POLICY=passive python benchmarks/augmentation.py --robust

Prints a table and writes benchmarks/results/augmentation.json; with --robust, the augmentations against
corruption beside the plain ones, and augmentation_robust.json. The forms take turns within each
round, so that whatever else the machine does falls on all of them; CPU time, of all threads together,
says more than rates where others use the same cores. The environment variable keeps
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
from typing import NamedTuple

import kornia.augmentation as ka
import numpy as np
import torch
from PIL import Image, ImageEnhance, ImageOps
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from omnireid.core.card import InputSpec
from omnireid.core.images import normalise
from omnireid.core.record import EnvironmentRecord
from omnireid.data.augmentation import Augmentation

BATCH = 64
SIZES = ((256, 128), (128, 64))
PUBLISHED = ("flip", "random_crop", "random_patch", "color_jitter", "random_erase")
AGAINST_CORRUPTION = ("soft_erase", "patch_mix", "augmix")


class Case(NamedTuple):
    names: tuple[str, ...]
    num_views: int = 1


CASES = {
    "normalise only": Case(()),
    **{name: Case((name,)) for name in PUBLISHED},
    "all but random_patch": Case(tuple(name for name in PUBLISHED if name != "random_patch")),
    "all five": Case(PUBLISHED),
}
ROBUST_CASES = {
    "normalise only": Case(()),
    "flip, crop, erase": Case(("flip", "random_crop", "random_erase")),
    **{name: Case((name,)) for name in AGAINST_CORRUPTION},
    "flip, crop, all three": Case(("flip", "random_crop", *AGAINST_CORRUPTION)),
    "the same, three views": Case(("flip", "random_crop", *AGAINST_CORRUPTION), num_views=3),
}
RESULTS = Path(__file__).parent / "results"


def ours(case: Case, spec: InputSpec) -> Callable[[Tensor], object]:
    augmentation = Augmentation(case.names, spec, num_views=case.num_views)
    generator = torch.Generator().manual_seed(0)
    return lambda crops: augmentation(crops, generator)


def with_kornia(names: tuple[str, ...], spec: InputSpec) -> Callable[[Tensor], object] | None:
    """The same steps by kornia's batched augmentations, which have no random patch and no AugMix."""
    if {"random_patch", *AGAINST_CORRUPTION} & set(names):
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
    if {"random_patch", "random_erase", "soft_erase", "patch_mix"} & set(names):
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
        if "augmix" in names:
            image = pillow_augmix(image)
        return np.asarray(image)

    return lambda crops: normalise(np.stack([one(pixels) for pixels in crops.numpy()]), spec)


def pillow_augmix(image: Image.Image) -> Image.Image:
    exponentials = [random.expovariate(1) for _ in range(3)]
    share = random.random()
    mixed = (1 - share) * np.asarray(image, np.float32)
    for exponential in exponentials:
        weight = exponential / sum(exponentials)
        chain = image
        for _ in range(random.randint(1, 3)):
            chain = random.choice(PILLOW_OPERATIONS)(chain, random.uniform(0.1, 3) * random.choice((1, -1)))
        mixed += share * weight * np.asarray(chain, np.float32)
    return Image.fromarray(mixed.round().astype(np.uint8))


def pillow_affine(image: Image.Image, *coefficients: float) -> Image.Image:
    return image.transform(
        image.size, Image.Transform.AFFINE, coefficients, resample=Image.Resampling.BILINEAR
    )


PILLOW_OPERATIONS: tuple[Callable[[Image.Image, float], Image.Image], ...] = (
    lambda image, level: ImageOps.autocontrast(image),
    lambda image, level: ImageOps.equalize(image),
    lambda image, level: ImageOps.posterize(image, 4 - int(abs(level) * 0.4)),
    lambda image, level: ImageOps.solarize(image, 256 - int(abs(level) * 25.6)),
    lambda image, level: image.rotate(int(level * 3), resample=Image.Resampling.BILINEAR),
    lambda image, level: pillow_affine(image, 1, level * 0.03, 0, 0, 1, 0),
    lambda image, level: pillow_affine(image, 1, 0, 0, level * 0.03, 1, 0),
    lambda image, level: pillow_affine(image, 1, 0, int(level * image.width / 30), 0, 1, 0),
    lambda image, level: pillow_affine(image, 1, 0, 0, 0, 1, int(level * image.height / 30)),
)


def measure(
    forms: dict[str, Callable[[Tensor], object]], crops: Tensor, rounds: int
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Seconds of every round, by the clock and of CPU time."""
    for call in forms.values():
        for _ in range(3):  # also fills the patch pool beyond its hundred
            call(crops)
    seconds: dict[str, list[float]] = {name: [] for name in forms}
    cpu_seconds: dict[str, list[float]] = {name: [] for name in forms}
    for _ in range(rounds):
        for name, call in forms.items():
            began, cpu_began = time.perf_counter(), time.process_time()
            call(crops)
            seconds[name].append(time.perf_counter() - began)
            cpu_seconds[name].append(time.process_time() - cpu_began)
    return seconds, cpu_seconds


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--robust", action="store_true", help="measure the augmentations against corruption")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    table = Table(
        title=f"batch {BATCH}, {options.threads} threads: images/s, median of {options.rounds} (best)"
    )
    table.add_column("size")
    table.add_column("augmentation")
    for column in ("ours", "kornia", "ours ÷ kornia", "Pillow, 1 thread", "CPU ms a picture: each"):
        table.add_column(column, justify="right")
    rows = []
    for height, width in SIZES:
        spec = InputSpec(height=height, width=width)
        small = np.random.default_rng(0).integers(0, 256, (BATCH, 16, 8, 3), dtype=np.uint8)
        crops = torch.from_numpy(
            np.stack([np.asarray(Image.fromarray(picture).resize((width, height))) for picture in small])
        )
        for name, case in (ROBUST_CASES if options.robust else CASES).items():
            built = {
                "ours": ours(case, spec),
                "kornia": with_kornia(case.names, spec),
                "pillow": with_pillow(case.names, spec),
            }
            forms = {form: call for form, call in built.items() if call is not None}
            seconds, cpu_seconds = measure(forms, crops, options.rounds)
            rate = {form: BATCH / statistics.median(times) for form, times in seconds.items()}
            best = {form: BATCH / min(times) for form, times in seconds.items()}
            cpu_ms = {form: 1000 * statistics.median(cpu_seconds[form]) / BATCH for form in forms}
            shown = {form: f"{rate[form]:,.0f} ({best[form]:,.0f})" for form in forms}
            ratio = rate["ours"] / rate["kornia"] if "kornia" in rate else None
            table.add_row(
                f"{height}×{width}",
                name,
                shown["ours"],
                shown.get("kornia", "–"),
                f"{ratio:.1f}" if ratio else "–",
                shown.get("pillow", "–"),
                " / ".join(f"{cpu_ms[form]:.2f}" if form in forms else "–" for form in built),
            )
            rows.append(
                {
                    "height": height,
                    "width": width,
                    "augmentation": name,
                    "names": case.names,
                    "num_views": case.num_views,
                    "cpu_ms_per_image": cpu_ms,
                    "images_per_second": rate,
                    "best_images_per_second": best,
                    "ours_over_kornia": ratio,
                }
            )
    Console(width=125).print(table)
    RESULTS.mkdir(exist_ok=True)
    record = {
        "batch": BATCH,
        "threads": options.threads,
        "rounds": options.rounds,
        "omp_wait_policy": os.environ.get("OMP_WAIT_POLICY"),
        "environment": EnvironmentRecord.capture().model_dump(),
        "rows": rows,
    }
    file = "augmentation_robust.json" if options.robust else "augmentation.json"
    (RESULTS / file).write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()

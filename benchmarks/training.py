"""Training speed: images per second through the real loop, and the share of time it waits for data.

Pictures are random JPEG crops of 64×128 pixels on disk, as the benchmarks of the field have them. Each row is
timed over whole epochs of the loop that users run: loader, augmentation (flip), forward, backward, AMSGrad.
Rounds go around all rows, so that a busy moment of the machine touches every row alike.

    python benchmarks/training.py            # prints the table, writes benchmarks/results/training.json
    python benchmarks/training.py --reference DIR/torchreid/models/osnet.py

With --reference, the reference implementation's network is measured in the same rounds, as its users run it
(eager, channels first, random input already in memory: its loader is not part of the time).
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from omnireid.cli.process import keep_freed_memory
from omnireid.core.record import EnvironmentRecord
from omnireid.core.types import Sample, Split
from omnireid.training.loop import train
from omnireid.training.options import LoopOptions
from omnireid.training.recipe import load_recipe
from options import existing, run

RESULTS = Path(__file__).parent / "results" / "training.json"
NUM_PIDS = 751


def write_pictures(folder: Path, count: int) -> Split:
    """Random crops that compress like photographs: smooth shapes with some noise."""
    rng = np.random.default_rng(0)
    samples = []
    for index in range(count):
        coarse = rng.integers(0, 256, (16, 8, 3), dtype=np.uint8)
        picture = np.asarray(Image.fromarray(coarse).resize((64, 128), Image.Resampling.BICUBIC), np.int16)
        noisy = np.clip(picture + rng.normal(0, 6, picture.shape), 0, 255).astype(np.uint8)
        path = folder / f"{index:05d}.jpg"
        Image.fromarray(noisy).save(path, quality=90)
        samples.append(Sample(str(path), pid=index % NUM_PIDS, camid=0))
    return Split("train", tuple(samples))


def measure(
    model: str, samples: Split, folder: Path, *, height: int, width: int, cached: bool
) -> tuple[float, float]:
    """(images per second, share of the time waiting for data) of the last of two epochs."""
    recipe = load_recipe(
        "quickstart",
        {
            "model": model,
            "epochs": 2,
            "sampler.batch_size": 32,
            "input": {"height": height, "width": width},
            "schedule": {"name": "step"},
        },
    )
    record = train(
        recipe, samples, folder, options=LoopOptions(cache_bytes=(2 << 30) if cached else 0)
    ).record
    last = record.history[-1]
    return last["images_per_second"], last["data_wait_share"]


def measure_reference(source: Path, model: str, steps: int = 8) -> float:
    """Images per second of the reference's bare training step: forward, backward, AMSGrad, batch 32."""
    spec = importlib.util.spec_from_file_location("reference_osnet", source)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    network = getattr(module, model)(num_classes=NUM_PIDS, pretrained=False)
    optimiser = torch.optim.Adam(network.parameters(), lr=0.003, weight_decay=5e-4, amsgrad=True)
    images, labels = torch.randn(32, 3, 256, 128), torch.randint(0, NUM_PIDS, (32,))
    seconds = []
    for _ in range(steps + 1):
        began = time.perf_counter()
        loss = torch.nn.functional.cross_entropy(network(images), labels, label_smoothing=0.1)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        seconds.append(time.perf_counter() - began)
    return 32 / statistics.mean(seconds[1:])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--images", type=int, default=NUM_PIDS)
    parser.add_argument("--reference", type=existing, help="the reference implementation's osnet.py")
    arguments = parser.parse_args()
    keep_freed_memory()
    rows = [
        ("osnet_x0_25", 256, 128, True),
        ("osnet_x0_25", 256, 128, False),
        ("osnet_x0_25", 128, 64, True),
        ("osnet_x1_0", 256, 128, True),
    ]
    measured: dict[tuple[str, int, int, bool], list[tuple[float, float]]] = {row: [] for row in rows}
    reference: dict[str, list[float]] = {"osnet_x0_25": [], "osnet_x1_0": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        samples = write_pictures(folder, arguments.images)
        fewer = Split("train", samples.samples[:256])
        for turn in range(arguments.rounds):
            for number, (model, height, width, cached) in enumerate(rows):
                chosen = fewer if model == "osnet_x1_0" else samples
                out = folder / f"run-{turn}-{number}"
                measured[model, height, width, cached].append(
                    measure(model, chosen, out, height=height, width=width, cached=cached)
                )
            if arguments.reference is not None:
                for model, speeds in reference.items():
                    speeds.append(measure_reference(arguments.reference, model))
    table = []
    for (model, height, width, cached), values in measured.items():
        table.append(
            {
                "model": model,
                "input": [height, width],
                "batch": 32,
                "crops": "kept in memory" if cached else "decoded every epoch",
                "images_per_second_median": statistics.median(speed for speed, _ in values),
                "images_per_second_best": max(speed for speed, _ in values),
                "data_wait_share_median": statistics.median(share for _, share in values),
            }
        )
    print("| model | input | crops | images/s (median / best) | waiting for data |\n|---|---|---|---:|---:|")
    for row in table:
        print(
            f"| {row['model']} | {height_by_width(row['input'])} | {row['crops']} | "
            f"{row['images_per_second_median']:.1f} / {row['images_per_second_best']:.1f} | "
            f"{row['data_wait_share_median']:.2%} |"
        )
    for model, speeds in reference.items():
        if speeds:
            median, best = statistics.median(speeds), max(speeds)
            print(f"| {model}, reference | 256×128 | none, bare step | {median:.1f} / {best:.1f} | – |")
            table.append(
                {
                    "model": f"{model}, reference",
                    "input": [256, 128],
                    "batch": 32,
                    "crops": "none, bare step",
                    "images_per_second_median": median,
                    "images_per_second_best": best,
                }
            )
    result = {
        "rounds": arguments.rounds,
        "environment": EnvironmentRecord.capture().model_dump(),
        "rows": table,
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=2) + "\n")


def height_by_width(size: list[int]) -> str:
    return f"{size[0]}×{size[1]}"


if __name__ == "__main__":
    run(main)

"""Training speed: images per second through the real loop, and the share of time it waits for data.

Pictures are random JPEG crops of 64×128 pixels on disk, as the benchmarks of the field have them. Each row is
timed over whole epochs of the loop that users run: loader, augmentation (flip), forward, backward, AMSGrad.
Rounds go around all rows, so that a busy moment of the machine touches every row alike.

    python benchmarks/training.py            # prints the tables, writes benchmarks/results/training*.json
    python benchmarks/training.py --reference DIR/torchreid/models/osnet.py
    OMP_NUM_THREADS=1 taskset -c 0 python benchmarks/training.py --only steps --reference …

Bare steps (forward, backward, AMSGrad of a batch in memory, no loader) are made in turn: ours, ours fused
and, with --reference, those of the reference implementation's network as its users run it (eager, channels
first). With one thread they are measured by processor time, which other work on the machine changes little.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from omnireid.cli.process import keep_freed_memory
from omnireid.core.record import EnvironmentRecord
from omnireid.core.types import Sample, Split
from omnireid.models.classifier import IdentityClassifier
from omnireid.models.registry import build_model
from omnireid.training.fused.network import fuse_training
from omnireid.training.loop import train
from omnireid.training.optimisers import build_optimiser
from omnireid.training.options import LoopOptions
from omnireid.training.recipe import OptimiserRecipe, load_recipe
from options import existing, run

RESULTS = Path(__file__).parent / "results" / "training.json"
NUM_PIDS = 751
STEPS = [
    ("osnet_x0_25", (32, 256, 128)),
    ("osnet_ain_x0_25", (32, 128, 64)),
    ("osnet_x1_0", (8, 256, 128)),
]


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
    model: str, samples: Split, folder: Path, *, height: int, width: int, cached: bool, fused: bool
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
            "fused": fused,
        },
    )
    record = train(
        recipe, samples, folder, options=LoopOptions(cache_bytes=(2 << 30) if cached else 0)
    ).record
    last = record.history[-1]
    return last["images_per_second"], last["data_wait_share"]


def reference_network(source: Path, model: str) -> torch.nn.Module:
    spec = importlib.util.spec_from_file_location("reference_osnet", source)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    network: torch.nn.Module = getattr(module, model)(num_classes=NUM_PIDS, pretrained=False)
    return network


def our_network(model: str, *, fused: bool) -> torch.nn.Module:
    network = IdentityClassifier(build_model(model), NUM_PIDS).to(memory_format=torch.channels_last)
    if fused:
        fuse_training(network.backbone, torch.get_num_threads())
    return network


class BareStep:
    """Forward, backward, AMSGrad of one batch in memory.

    The reference's network is measured as its users run it: eager, channels first, torch's plain optimiser.
    """

    def __init__(self, network: torch.nn.Module, size: tuple[int, int, int], *, ours: bool) -> None:
        pictures, height, width = size
        self._network = network.train()
        self._optimiser = (
            build_optimiser(network, OptimiserRecipe(lr=0.003))
            if ours
            else torch.optim.Adam(network.parameters(), lr=0.003, weight_decay=5e-4, amsgrad=True)
        )
        self._images, self._labels = (
            torch.randn(pictures, 3, height, width),
            torch.randint(0, NUM_PIDS, (pictures,)),
        )
        if ours:
            self._images = self._images.contiguous(memory_format=torch.channels_last)

    def __call__(self, clock: Callable[[], float]) -> float:
        """Seconds by a clock."""
        began = clock()
        output = self._network(self._images)
        logits = getattr(output, "logits", output)
        loss = torch.nn.functional.cross_entropy(logits, self._labels, label_smoothing=0.1)
        self._optimiser.zero_grad()
        loss.backward()
        self._optimiser.step()
        return clock() - began


def measure_steps(
    source: Path | None, model: str, size: tuple[int, int, int], rounds: int
) -> dict[str, float]:
    """Median seconds of bare steps of the three ways in turn; by processor time where there is one thread."""
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    steps = {
        "ours": BareStep(our_network(model, fused=False), size, ours=True),
        "ours, fused": BareStep(our_network(model, fused=True), size, ours=True),
    }
    if source is not None:
        steps["reference"] = BareStep(reference_network(source, model), size, ours=False)
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds + 1):
        for name, step in steps.items():
            seconds[name].append(step(clock))
    return {name: statistics.median(values[1:]) for name, values in seconds.items()}


def measure_loops(rounds: int, images: int) -> list[dict[str, Any]]:
    rows = [
        ("osnet_x0_25", 256, 128, True, False),
        ("osnet_x0_25", 256, 128, True, True),
        ("osnet_x0_25", 256, 128, False, True),
        ("osnet_x0_25", 128, 64, True, False),
        ("osnet_x0_25", 128, 64, True, True),
        ("osnet_x1_0", 256, 128, True, False),
        ("osnet_x1_0", 256, 128, True, True),
    ]
    measured: dict[tuple[str, int, int, bool, bool], list[tuple[float, float]]] = {row: [] for row in rows}
    with tempfile.TemporaryDirectory() as name:
        samples = write_pictures(Path(name), images)
        fewer = Split("train", samples.samples[:256])
        for turn in range(rounds):
            for number, (model, height, width, cached, fused) in enumerate(rows):
                chosen = fewer if model == "osnet_x1_0" else samples
                out = Path(name) / f"run-{turn}-{number}"
                values = measure(model, chosen, out, height=height, width=width, cached=cached, fused=fused)
                measured[model, height, width, cached, fused].append(values)
    return [
        {
            "model": model,
            "input": [height, width],
            "batch": 32,
            "crops": "kept in memory" if cached else "decoded every epoch",
            "fused": fused,
            "images_per_second_median": statistics.median(speed for speed, _ in values),
            "images_per_second_best": max(speed for speed, _ in values),
            "data_wait_share_median": statistics.median(share for _, share in values),
        }
        for (model, height, width, cached, fused), values in measured.items()
    ]


def print_loops(table: list[dict[str, Any]]) -> None:
    print(
        "| model | input | crops | fused | images/s (median / best) | waiting for data |\n"
        "|---|---|---|---|---:|---:|"
    )
    for row in table:
        print(
            f"| {row['model']} | {height_by_width(row['input'])} | {row['crops']} | "
            f"{'yes' if row['fused'] else 'no'} | {row['images_per_second_median']:.1f} / "
            f"{row['images_per_second_best']:.1f} | {row['data_wait_share_median']:.2%} |"
        )


def measure_and_print_steps(source: Path | None, rounds: int) -> list[dict[str, Any]]:
    print(
        "| model | input | batch | reference, ms | ours, ms | fused, ms | ratio to the reference, to ours |"
    )
    print("|---|---|---:|---:|---:|---:|---|")
    table = []
    for model, size in STEPS:
        # The reference has OSNet-AIN in a file of its own.
        seconds = measure_steps(None if "_ain_" in model else source, model, size, rounds)
        table.append({"model": model, "batch": size[0], "input": list(size[1:]), "seconds": seconds})
        reference, ours, fused = (seconds.get(way) for way in ("reference", "ours", "ours, fused"))
        cells = (f"{1e3 * reference:.0f}", f"{reference / fused:.2f}") if reference else ("–", "–")
        print(
            f"| {model} | {height_by_width(size[1:])} | {size[0]} | {cells[0]} | {1e3 * ours:.0f} | "
            f"{1e3 * fused:.0f} | {cells[1]}, {ours / fused:.2f} |",
            flush=True,
        )
    return table


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--images", type=int, default=NUM_PIDS)
    parser.add_argument("--only", choices=("loops", "steps"))
    parser.add_argument("--reference", type=existing, help="the reference implementation's osnet.py")
    arguments = parser.parse_args()
    keep_freed_memory()
    if arguments.only != "steps":
        table = measure_loops(arguments.rounds, arguments.images)
        print_loops(table)
        save(RESULTS, arguments.rounds, table)
    if arguments.only != "loops":
        table = measure_and_print_steps(arguments.reference, arguments.rounds)
        save(RESULTS.with_name("training_steps.json"), arguments.rounds, table)


def save(path: Path, rounds: int, table: list[dict[str, Any]]) -> None:
    environment = EnvironmentRecord.capture().model_dump()
    result = {"rounds": rounds, "threads": torch.get_num_threads(), "environment": environment, "rows": table}
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n")


def height_by_width(size: Sequence[int]) -> str:
    return f"{size[0]}×{size[1]}"


if __name__ == "__main__":
    run(main)

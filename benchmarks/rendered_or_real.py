"""What tells rendered crops from photographs: statistics of both, and how well they separate the two.

    python benchmarks/rendered_or_real.py --rendered FOLDER [--recipe NAME] [--real FOLDER] [--out FILE]

Light, colours, sharpness and figure are measured in each picture: photographs are CUHK03's training half
(the test half is not looked at), rendered ones the training people of a folder that `omnireid synth` made.
For each statistic the table says its mean on both, and how often a photograph has more of it than a rendered
crop (50 %: it tells nothing). Then a logistic regression guesses which picture is a photograph, from all
statistics and from each kind alone, on people that it did not learn from. Where it guesses best, the renderer
is farthest from cameras: mend that first.

With `--recipe`, rendered pictures are those that a network is trained on: with the recipe's augmentations,
but for its random crop. Prints Markdown tables and writes benchmarks/results/rendered_or_real.json.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from omnireid.core.card import InputSpec
from omnireid.core.errors import InputError
from omnireid.core.record import EnvironmentRecord
from omnireid.core.types import Sample
from omnireid.data.augmentation import Augmentation
from omnireid.data.datasets import read_dataset
from omnireid.data.loading import load_sample
from omnireid.training.recipe import load_recipe
from options import existing, new_file, run

FOLDS = 5
RESULTS = Path(__file__).parent / "results"
REAL = Path(__file__).resolve().parents[2] / "shared" / "real"
SIZE = InputSpec(height=128, width=64)

# (N, H, W) luma and (N, H, W, 3) RGB of 0 to 1 → (N,).
Floats = npt.NDArray[np.float32]
Statistic = Callable[[Floats, Floats], npt.NDArray[Any]]


def laplacians(luma: Floats) -> Floats:
    return np.stack([cv2.Laplacian(picture, cv2.CV_32F) for picture in luma])


def saturation(colours: Floats) -> Floats:
    return np.stack([cv2.cvtColor(picture, cv2.COLOR_RGB2HSV)[..., 1] for picture in colours])


def band(low: float, high: float) -> Statistic:
    """log₁₀ of the share of a picture's variance between two frequencies, in cycles a pixel."""

    def share(luma: Floats, _: Floats) -> npt.NDArray[Any]:
        power = np.abs(np.fft.fft2(luma - luma.mean((1, 2), keepdims=True))) ** 2
        down, across = (np.fft.fftfreq(length) for length in luma.shape[1:])
        frequency = np.hypot(down[:, None], across)
        inside = power[:, (frequency >= low) & (frequency < high)].sum(1)
        return np.asarray(np.log10((inside + 1e-9) / (power.sum((1, 2)) + 1e-9)))

    return share


def gravity(axis: int) -> Statistic:
    """Where the edges of a picture lie on average, from 0 (top, left) to 1."""

    def place(luma: Floats, _: Floats) -> npt.NDArray[Any]:
        edges = np.abs(np.gradient(luma, axis=2)).sum(2 - axis)
        places = np.linspace(0, 1, edges.shape[1])
        return np.asarray((edges @ places) / (edges.sum(1) + 1e-9))

    return place


KINDS: dict[str, dict[str, Statistic]] = {
    "light": {
        "brightness": lambda luma, _: luma.mean((1, 2)),
        "contrast (standard deviation)": lambda luma, _: luma.std((1, 2)),
        "black (5th percentile)": lambda luma, _: np.percentile(luma, 5, axis=(1, 2)),
        "white (95th percentile)": lambda luma, _: np.percentile(luma, 95, axis=(1, 2)),
    },
    "colour": {
        "saturation": lambda _, colours: saturation(colours).mean((1, 2)),
        "red over blue": lambda _, colours: (colours[..., 0] - colours[..., 2]).mean((1, 2)),
        "green over luma": lambda luma, colours: (colours[..., 1] - luma).mean((1, 2)),
    },
    "sharpness": {
        "edges (deviation of the Laplacian)": lambda luma, _: laplacians(luma).std((1, 2)),
        "grain (its median size)": lambda luma, _: np.median(np.abs(laplacians(luma)), (1, 2)),
        "detail of 4 to 7 pixels": band(0.15, 0.25),
        "detail of 3 to 4 pixels": band(0.25, 0.35),
        "detail below 3 pixels": band(0.35, 1.0),
    },
    "figure": {
        "person against what is beside": lambda luma, _: np.abs(
            luma[:, :, 24:40].mean(2) - np.concatenate([luma[:, :, :8], luma[:, :, -8:]], 2).mean(2)
        ).mean(1),
        "unrest beside the person": lambda luma, _: np.concatenate(
            [luma[:, :, :8], luma[:, :, -8:]], 2
        ).std((1, 2)),
        "height of the edges": gravity(0),
        "edges from left to right": gravity(1),
        "trunk's brightness": lambda luma, _: luma[:, 36:60, 24:40].mean((1, 2)),
        "legs' brightness": lambda luma, _: luma[:, 72:104, 24:40].mean((1, 2)),
    },
}  # fmt: skip


def measure(crops: npt.NDArray[np.uint8]) -> dict[str, dict[str, npt.NDArray[Any]]]:
    """Kind → statistic → (N,) of crops (N, 128, 64, 3)."""
    colours = (crops / 255).astype(np.float32)
    luma = (colours @ np.array([0.299, 0.587, 0.114], np.float32)).astype(np.float32)
    return {
        kind: {name: statistic(luma, colours) for name, statistic in statistics.items()}
        for kind, statistics in KINDS.items()
    }


def draw(samples: Iterable[Sample], number: int, seed: int) -> tuple[list[Sample], npt.NDArray[np.uint8]]:
    """So many samples at random, fewer where there are fewer, and their crops."""
    there = list(samples)
    if number < 1 or len({sample.pid for sample in there}) < FOLDS:
        raise InputError(f"expected at least one picture, and {FOLDS} people to train on, of each of the two")
    chosen = random.Random(seed).sample(there, min(number, len(there)))
    return chosen, np.stack([load_sample(sample, SIZE) for sample in chosen])


def augmented(crops: npt.NDArray[np.uint8], recipe_name: str, seed: int) -> npt.NDArray[np.uint8]:
    """The crops as a recipe trains on them, but for its random crop."""
    recipe = load_recipe(recipe_name)
    names = [name for name in recipe.augmentation if name != "random_crop"]
    augmentation = Augmentation(names, SIZE, appearance=recipe.appearance)
    images = augmentation(torch.from_numpy(crops), torch.Generator().manual_seed(seed)).permute(0, 2, 3, 1)
    levels = (images * torch.tensor(SIZE.std) + torch.tensor(SIZE.mean)) * 255
    return np.asarray(levels.round().clamp(0, 255).to(torch.uint8))


def separation(
    real: dict[str, dict[str, npt.NDArray[Any]]],
    rendered: dict[str, dict[str, npt.NDArray[Any]]],
    people: npt.NDArray[np.int64],
) -> dict[str, float]:
    """Share of pictures told rightly, from each kind of statistics alone and from all; five folds."""
    columns = {
        kind: np.stack([np.concatenate([real[kind][name], rendered[kind][name]]) for name in real[kind]], 1)
        for kind in real
    }
    columns["all"] = np.concatenate(list(columns.values()), 1)
    first = next(iter(real["light"].values()))
    is_real = np.arange(len(people)) < len(first)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000, class_weight="balanced"))
    return {
        kind: float(
            cross_val_score(
                model, values, is_real, groups=people, cv=GroupKFold(FOLDS), scoring="balanced_accuracy"
            ).mean()
        )
        for kind, values in columns.items()
    }


def table(record: dict[str, Any]) -> str:
    """The statistics and what the regression made of them, as Markdown."""
    lines = ["| statistic | photographs | rendered | a photograph has more |", "|---|---:|---:|---:|"]
    for row in record["statistics"]:
        lines.append(
            f"| {row['kind']}: {row['name']} | {row['real'][0]:.3f} ± {row['real'][1]:.3f} "
            f"| {row['rendered'][0]:.3f} ± {row['rendered'][1]:.3f} | {row['more']:.0%} |"
        )
    lines += ["", "| told apart by | rightly |", "|---|---:|"]
    lines += [f"| {kind} | {share:.1%} |" for kind, share in record["separation"].items()]
    return "\n".join(lines)


def rendered_options(folder: Path) -> dict[str, Any] | None:
    """What a rendered folder says of itself; None of another one."""
    card = folder / "card.json"
    return json.loads(card.read_text())["options"] if card.is_file() else None


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rendered", type=existing, required=True, help="folder that `omnireid synth` made")
    parser.add_argument("--recipe", default=None, help="augment rendered crops as this recipe does")
    parser.add_argument("--real", type=existing, default=None, help="folder of --data; ../shared/real")
    parser.add_argument("--data", default="cuhk03-detected")
    parser.add_argument("--pictures", type=int, default=2000, help="of each of the two")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=new_file, default=RESULTS / "rendered_or_real.json")
    arguments = parser.parse_args()
    photographs = read_dataset(arguments.data, arguments.real or REAL).train
    made = read_dataset("market-layout", arguments.rendered).train
    real_samples, real_crops = draw(photographs, arguments.pictures, arguments.seed)
    rendered_samples, rendered_crops = draw(made, arguments.pictures, arguments.seed)
    if arguments.recipe:
        rendered_crops = augmented(rendered_crops, arguments.recipe, arguments.seed)
    real, rendered = measure(real_crops), measure(rendered_crops)
    # Nobody is in both sets: people of the second are counted from below.
    people = np.array(
        [sample.pid for sample in real_samples] + [-1 - sample.pid for sample in rendered_samples]
    )
    statistics = [
        {
            "kind": kind,
            "name": name,
            "real": [float(values.mean()), float(values.std())],
            "rendered": [float(rendered[kind][name].mean()), float(rendered[kind][name].std())],
            "more": float(
                roc_auc_score(
                    np.arange(len(people)) < len(values), np.concatenate([values, rendered[kind][name]])
                )
            ),
        }
        for kind, values_of in real.items()
        for name, values in values_of.items()
    ]
    record = {
        "environment": EnvironmentRecord.capture().model_dump(),
        "data": arguments.data,
        "rendered": rendered_options(arguments.rendered),
        "recipe": arguments.recipe,
        "pictures": [len(real_crops), len(rendered_crops)],
        "seed": arguments.seed,
        "statistics": statistics,
        "separation": separation(real, rendered, people),
    }
    arguments.out.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n")
    print(table(record))


if __name__ == "__main__":
    run(main)

"""What each part of a recipe brings, at equal budget: trainings that differ in one thing, compared in pairs.

    python benchmarks/recipes.py --root ../shared/real [--seeds 1-3] [--epochs 60] [--only strong …]

A YAML file (recipes.yaml) lists variants: a recipe, and the keys that are changed. All get the same network,
input and epochs (an epoch of P×K batches leaves out pictures that fill no group: it is a little shorter).
Each is trained with each seed, one training at a time, and ranked by the dataset's protocol. The table gives
rank-1 and mAP (mean over seeds, deviation between them) and the difference in mAP to the variant named in
`against`: the mean over seeds of each query's AP, paired, with a 95 % interval over identities (10,000
resamplings). An interval that excludes 0 speaks of these people; the deviation, of chance in training.

ablations.yaml and width_resolution.yaml list the networks of the OSNet paper's Tables 5 and 6 with their
published figures, which the table then shows beside.

What was trained and ranked stays in --scratch: an interrupted run goes on where it was, in the middle of a
training too, and nothing is made twice. benchmarks/results/recipes.json is written after each training.

What a full run costs: a variant sees 60 × 7,365 pictures of CUHK03-detected. At 370 pictures a second (x0.25
at 128×64, measured on two free cores of an AMD EPYC) that is 20 minutes, so the 15 variants with three seeds
take 15 hours; "last stage" takes longer than the others. --epochs 1 --seeds 1 --only plain --only strong
shows in a few minutes that everything works; its figures mean nothing.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from pydantic import Field
from rich.console import Console

from omnireid import Ranking, evaluate
from omnireid.core.closed import ClosedModel
from omnireid.core.errors import ConfigError, UnknownNameError
from omnireid.core.files import write_text
from omnireid.core.record import EnvironmentRecord
from omnireid.core.types import Dataset
from omnireid.data.datasets import read_dataset
from omnireid.evaluation.bootstrap import compare_paired
from omnireid.experiment.comparison import load_result
from omnireid.experiment.options import EvaluationOptions
from omnireid.experiment.training import train_on
from omnireid.training.folder import only_writer
from omnireid.training.options import RunOptions
from omnireid.training.recipe import Recipe, load_recipe
from options import existing, new_file, new_folder, run

HERE = Path(__file__).parent
CONSOLE = Console(stderr=True)


class Variant(ClosedModel):
    """A recipe with some keys changed, and the variant that it is compared with.

    Attributes:
        published: rank-1 and mAP in per cent, where somebody has printed them.
    """

    recipe: str
    set: dict[str, Any] = Field(default_factory=dict)
    against: str | None = None
    published: tuple[float, float] | None = None


class Ablation(ClosedModel):
    """Variants by name, and what all of them have in common."""

    common: dict[str, Any]
    variants: dict[str, Variant]

    def recipe(self, name: str, seed: int, epochs: int | None) -> Recipe:
        variant = self.variants[name]
        budget = {} if epochs is None else {"epochs": epochs}
        changes = {**self.common, **budget, **variant.set}
        recipe = load_recipe(variant.recipe, {**changes, "seed": seed})
        warmup = min(recipe.schedule.warmup_epochs, recipe.epochs / 6)
        return load_recipe(variant.recipe, {**changes, "seed": seed, "schedule.warmup_epochs": warmup})


def read_ablation(path: Path) -> Ablation:
    """The variants of a YAML file.

    Raises:
        ConfigError: not such a file; names the key that is wrong.
    """
    try:
        ablation = Ablation.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{path}: no list of variants: {error}") from error
    for name, variant in ablation.variants.items():
        if variant.against is not None and variant.against not in ablation.variants:
            raise UnknownNameError(
                f"variant that {name!r} is compared with", variant.against, ablation.variants
            )
    return ablation


def measure(recipe: Recipe, dataset: Dataset, scratch: Path, threads: int | None) -> dict[str, Any]:
    """Train and rank one variant with one seed; what is there already stays."""
    decided = json.dumps([recipe.model_dump(mode="json"), dataset.name, len(dataset.train)], sort_keys=True)
    folder = scratch / hashlib.sha256(decided.encode()).hexdigest()[:16]
    if not (folder / "evaluation" / "result.json").is_file():
        resume = (folder / "checkpoint.pt").is_file()
        trained = train_on(
            recipe, dataset, folder, RunOptions(resume=resume, threads=threads), console=CONSOLE
        )
        evaluate(
            trained.weights,
            [dataset],
            out=folder / "evaluation",
            ranking=Ranking(recipe.evaluation.distance),
            options=EvaluationOptions(normalise=recipe.evaluation.normalise, analysis=False),
            console=CONSOLE,
        )
    record = load_result(folder / "evaluation").record
    history = (folder / "history.jsonl").read_text().splitlines()
    return {
        "folder": folder.name,
        "rank1": record.metrics.rank1,
        "mAP": record.metrics.mAP,
        "seconds": sum(json.loads(line)["seconds"] for line in history),
        "accuracy": json.loads(history[-1])["accuracy"],
    }


def versus(rows: dict[str, Any], base: dict[str, Any], scratch: Path) -> dict[str, Any] | None:
    """The difference in mAP over the seeds that both have."""
    seeds = sorted(rows.keys() & base.keys())
    if not seeds:
        return None
    queries = [
        [load_result(scratch / side[seed]["folder"] / "evaluation").queries for seed in seeds]
        for side in (base, rows)
    ]
    first = queries[0][0]
    if first is None or any(
        scores is None or scores.paths != first.paths for side in queries for scores in side
    ):
        raise ConfigError("the results do not rank the same queries: give another --scratch")
    mean_ap = [np.mean([scores.ap for scores in side if scores is not None], axis=0) for side in queries]
    return {"seeds": seeds, **compare_paired(*mean_ap, first.pids).model_dump(mode="json")}


def table(record: dict[str, Any]) -> str:
    """Markdown, in per cent; what was not measured is left out."""
    has_published = any("published" in row for row in record["variants"].values())
    header = "| variant | seeds | rank-1 | mAP | against | ΔmAP (95 %) |"
    lines = [
        header + " published |" * has_published,
        "|---|---:|---:|---:|---|---:|" + "---:|" * has_published,
    ]
    for name, row in record["variants"].items():
        cells = [name, str(len(row["seeds"]))]
        for metric in ("rank1", "mAP"):
            values = [100 * seed[metric] for seed in row["seeds"].values()]
            spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
            cells.append(f"{statistics.mean(values):.1f}{spread}")
        paired = row.get("versus")
        if paired is None:
            cells += ["", ""]
        else:
            value, low, high = (100 * paired["difference"][key] for key in ("value", "low", "high"))
            cells += [row["against"], f"{value:+.1f} ({low:+.1f} to {high:+.1f})"]
        if has_published:
            cells.append(" / ".join(f"{value:.1f}" for value in row.get("published", ())))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def seeds_of(text: str) -> list[int]:
    first, _, last = text.partition("-")
    try:
        return list(range(int(first), int(last or first) + 1))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text}: a seed, or a range of them: 1-3") from None


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--variants", type=existing, default=HERE / "recipes.yaml")
    parser.add_argument("--only", action="append", default=[], metavar="VARIANT")
    parser.add_argument("--seeds", type=seeds_of, default=[1, 2, 3], help="a seed, or a range: 1-3")
    parser.add_argument(
        "--epochs", type=int, default=None, help="of every variant; default: as the file says"
    )
    parser.add_argument("--data", default="cuhk03-detected")
    parser.add_argument("--root", type=existing, required=True, help="folder of --data")
    parser.add_argument("--scratch", type=new_folder, default=Path("runs/recipes"))
    parser.add_argument("--threads", type=int, default=None, help="threads that decode")
    parser.add_argument("--out", type=new_file, default=HERE / "results" / "recipes.json")
    arguments = parser.parse_args()
    ablation = read_ablation(arguments.variants)
    names = arguments.only or list(ablation.variants)
    for name in names:
        if name not in ablation.variants:
            raise UnknownNameError("variant", name, ablation.variants)
    dataset = read_dataset(arguments.data, arguments.root)
    record: dict[str, Any] = {"data": dataset.name, "variants": {}}
    with only_writer(arguments.scratch):
        for seed in arguments.seeds:
            for name in names:
                recipe = ablation.recipe(name, seed, arguments.epochs)
                CONSOLE.print(f"{name}, seed {seed}:", markup=False)
                row = record["variants"].setdefault(name, {"seeds": {}, "recipe": {}})
                row["seeds"][str(seed)] = measure(recipe, dataset, arguments.scratch, arguments.threads)
                row["recipe"] = recipe.model_dump(mode="json")
                if (published := ablation.variants[name].published) is not None:
                    row["published"] = published
                against = record["variants"].get(ablation.variants[name].against)
                if against is not None:
                    row["against"] = ablation.variants[name].against
                    row["versus"] = versus(row["seeds"], against["seeds"], arguments.scratch)
                record["environment"] = EnvironmentRecord.capture().model_dump()
                write_text(arguments.out, json.dumps(record, indent=2, ensure_ascii=False) + "\n")
    print(table(record))


if __name__ == "__main__":
    run(main)

"""What carries over from rendered to real people: accuracy against people, cameras, pictures, ingredients.

    python benchmarks/transfer_curves.py [--runs transfer_curves.yaml] [--only people/750 …] [--scratch DIR]

A YAML file lists short runs: each renders its people, trains by a recipe on a fixed number of pictures, and
is ranked on the target's *training* people (see transfer.py). Runs that are equal in everything are made
once. What was rendered and trained stays in `--scratch`, so that an interrupted run goes on where it was;
what was measured is in benchmarks/results/transfer_curves.json, and is not measured again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field
from rich.console import Console

from omnireid import Embedder
from omnireid.core.closed import ClosedModel
from omnireid.core.errors import ConfigError, UnknownNameError
from omnireid.core.files import write_text
from omnireid.core.record import EnvironmentRecord
from omnireid.core.types import Dataset
from omnireid.experiment.training import train_on
from omnireid.synthetic.dataset import render_dataset
from omnireid.synthetic.options import RenderOptions
from omnireid.training.options import RunOptions
from omnireid.training.recipe import load_recipe
from options import existing, new_file, new_folder, run
from transfer import REAL, score, target

HERE = Path(__file__).parent
CONSOLE = Console(stderr=True)


class ShortRun(ClosedModel):
    """One run, complete."""

    recipe: str
    pictures: int
    render: dict[str, Any] = Field(default_factory=dict)
    set: dict[str, Any] = Field(default_factory=dict)

    def digest(self) -> str:
        """Of everything that decides the result."""
        recipe = load_recipe(self.recipe, self.set).model_dump(mode="json")
        decided = {"recipe": recipe, "pictures": self.pictures, "render": asdict(self.options())}
        return hashlib.sha256(json.dumps(decided, sort_keys=True).encode()).hexdigest()[:16]

    def options(self) -> RenderOptions:
        try:
            return RenderOptions(**self.render)
        except TypeError as error:
            raise ConfigError(f"render: {error}") from error


def read_runs(path: Path) -> dict[str, ShortRun]:
    """Runs by "curve/point".

    Raises:
        ConfigError: not such a file; names the key that is wrong.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        common = content["common"]
        runs = {}
        for curve, points in content["curves"].items():
            for point, change in points.items():
                values = {**common, **change}
                for section in ("render", "set"):
                    values[section] = {**common.get(section, {}), **change.get(section, {})}
                runs[f"{curve}/{point}"] = ShortRun.model_validate(values)
    except (yaml.YAMLError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise ConfigError(f"{path}: no list of runs: {error}") from error
    return runs


def people(options: RenderOptions, scratch: Path, workers: int | None) -> Dataset:
    """The rendered dataset; what is there of it already stays."""
    digest = hashlib.sha256(json.dumps(asdict(options), sort_keys=True).encode()).hexdigest()[:16]
    return render_dataset(scratch / "people" / digest, options, workers=workers, console=CONSOLE)


def measure(
    short: ShortRun, real: Dataset, scratch: Path, workers: int | None, threads: int | None
) -> dict[str, Any]:
    """Render, train and rank one run."""
    dataset = people(short.options(), scratch, workers)
    num_epochs = max(1, round(short.pictures / len(dataset.train)))
    # A tenth of every run, so that few epochs are not all warm-up.
    length = {"epochs": num_epochs, "schedule.warmup_epochs": num_epochs / 10}
    recipe = load_recipe(short.recipe, {**length, **short.set})
    folder = scratch / "runs" / short.digest()
    resume = (folder / "checkpoint.pt").is_file()
    trained = train_on(recipe, dataset, folder, RunOptions(resume=resume, threads=threads), console=CONSOLE)
    embedder = Embedder.open(trained.weights, normalise=False, threads=threads)
    last = trained.record.history[-1]
    return {
        "run": short.model_dump(mode="json"),
        "training_pictures": len(dataset.train),
        "epochs": num_epochs,
        "seconds": trained.record.seconds,
        "accuracy": last["accuracy"],
        "sha256": embedder.sha256,
        "target": real.name,
        **score(embedder, real, threads),
    }


def table(measured: dict[str, dict[str, Any]], runs: dict[str, ShortRun]) -> str:
    """One Markdown table a curve, rank-1 / mAP in per cent; what was not measured is left out."""
    lines: list[str] = []
    for curve in dict.fromkeys(name.split("/")[0] for name in runs):
        lines += ["", f"| {curve} | cosine rank-1 / mAP | pictures × epochs |", "|---|---:|---:|"]
        for name, short in runs.items():
            row = measured.get(short.digest())
            if name.split("/")[0] == curve and row is not None:
                cosine = row["cosine"]
                lines.append(
                    f"| {name.split('/')[1]} | {100 * cosine['rank1']:.1f} / {100 * cosine['mAP']:.1f} "
                    f"| {row['training_pictures']:,} × {row['epochs']} |"
                )
    return "\n".join(lines).strip()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=existing, default=HERE / "transfer_curves.yaml")
    parser.add_argument("--only", action="append", default=[], metavar="CURVE/POINT")
    parser.add_argument("--scratch", type=new_folder, default=Path("runs/transfer_curves"))
    parser.add_argument("--data", default="cuhk03-detected")
    parser.add_argument("--root", type=existing, default=None, help="folder of --data")
    parser.add_argument("--workers", type=int, default=None, help="processes that render")
    parser.add_argument("--threads", type=int, default=None, help="threads that decode and embed")
    parser.add_argument("--out", type=new_file, default=HERE / "results" / "transfer_curves.json")
    arguments = parser.parse_args()
    runs = read_runs(arguments.runs)
    for name in arguments.only:
        if name not in runs:
            raise UnknownNameError("run", name, runs)
    real = target(arguments.data, arguments.root or REAL, "train")
    record: dict[str, Any] = {"measured": {}}
    if arguments.out.is_file():
        record = json.loads(arguments.out.read_text())
    for name, short in runs.items():
        if (arguments.only and name not in arguments.only) or short.digest() in record["measured"]:
            continue
        CONSOLE.print(f"{name}:", markup=False)
        row = measure(short, real, arguments.scratch, arguments.workers, arguments.threads)
        record["environment"] = EnvironmentRecord.capture().model_dump()
        record["measured"][short.digest()] = {"name": name, **row}
        write_text(arguments.out, json.dumps(record, indent=2, ensure_ascii=False) + "\n")
    print(table(record["measured"], runs))


if __name__ == "__main__":
    run(main)

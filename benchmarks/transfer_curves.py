"""What carries over from rendered to real people: accuracy against people, cameras, pictures, ingredients.

    python benchmarks/transfer_curves.py [--runs transfer_curves.yaml] [--only people/750 …] [--scratch DIR]

A YAML file lists short runs: each takes a part of its rendered people, trains by a recipe on a fixed number
of pictures, and is ranked on the target's *training* people (see transfer.py). Runs that are equal in
everything are made once. What was rendered and trained stays in `--scratch`, so that an interrupted run goes
on where it was; what was measured is in benchmarks/results/transfer_curves.json, and is not measured again.
Once the people are there, several processes can share the runs out by `--only`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, PositiveInt
from rich.console import Console

from omnireid import Embedder
from omnireid.core.closed import ClosedModel
from omnireid.core.errors import ConfigError, UnknownNameError
from omnireid.core.files import write_text
from omnireid.core.record import EnvironmentRecord
from omnireid.core.types import Dataset, Split
from omnireid.experiment.training import train_on
from omnireid.synthetic.dataset import render_dataset
from omnireid.synthetic.options import RenderOptions
from omnireid.training.options import RunOptions
from omnireid.training.recipe import load_recipe
from options import existing, new_file, new_folder, run
from transfer import REAL, score, target

HERE = Path(__file__).parent
CONSOLE = Console(stderr=True)


class Part(ClosedModel):
    """Of what was rendered: the first people and cameras, and the first pictures of each by each."""

    people: PositiveInt | None = None
    cameras: PositiveInt | None = None
    pictures: PositiveInt | None = None

    def of(self, split: Split) -> Split:
        """The samples of this part.

        Raises:
            ConfigError: There are fewer people, cameras or pictures than are asked for.
        """
        pids, camids = ({sample.pid for sample in split}, {sample.camid for sample in split})
        pids = set(sorted(pids)[: self.people])
        camids = set(sorted(camids)[: self.cameras])
        seen: Counter[tuple[int, int]] = Counter()
        samples = []
        for sample in split:
            group = (sample.pid, sample.camid)
            if sample.pid in pids and sample.camid in camids and seen[group] < (self.pictures or len(split)):
                seen[group] += 1
                samples.append(sample)
        for name, wanted, there in (
            ("people", self.people, len(pids)),
            ("cameras", self.cameras, len(camids)),
            ("pictures", self.pictures, max(seen.values(), default=0)),
        ):
            if wanted is not None and there < wanted:
                raise ConfigError(f"take: {name}: {wanted} are asked for, {there} were rendered")
        return replace(split, samples=tuple(samples))


class ShortRun(ClosedModel):
    """One run, complete."""

    recipe: str
    pictures: PositiveInt
    render: dict[str, Any] = Field(default_factory=dict)
    take: Part = Field(default_factory=Part)
    set: dict[str, Any] = Field(default_factory=dict)

    def digest(self) -> str:
        """Of everything that decides the result."""
        recipe = load_recipe(self.recipe, self.set).model_dump(mode="json")
        render, take = asdict(self.options()), self.take.model_dump()
        decided = {"recipe": recipe, "pictures": self.pictures, "render": render, "take": take}
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
                for section in ("render", "take", "set"):
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
    dataset = replace(dataset, train=short.take.of(dataset.train))
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


def read_record(path: Path) -> dict[str, Any]:
    """What was measured so far, by digest."""
    record: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {"measured": {}}
    return record


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
    record = read_record(arguments.out)
    for name, short in runs.items():
        if (arguments.only and name not in arguments.only) or short.digest() in record["measured"]:
            continue
        CONSOLE.print(f"{name}:", markup=False)
        row = measure(short, real, arguments.scratch, arguments.workers, arguments.threads)
        record = read_record(arguments.out)  # Another process may have added to it.
        record["environment"] = EnvironmentRecord.capture().model_dump()
        record["measured"][short.digest()] = {"name": name, **row}
        write_text(arguments.out, json.dumps(record, indent=2, ensure_ascii=False) + "\n")
    print(table(record["measured"], runs))


if __name__ == "__main__":
    run(main)

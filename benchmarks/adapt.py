"""How much of the gap adapting without labels closes: beside the same weights trained with them.

    python benchmarks/adapt.py [--root ../shared/real] [--scratch runs/adapt] [--seed 1] [--threads 1]

Three networks are ranked on the test people of CUHK03-detected, who take no part in any training: the weights
that ship, trained on rendered people only; the same adapted to the training half, whose labels are not looked
at; the same trained with these labels by the same recipe, on as many pictures, repeats counted, as all rounds
of adapting together (in whole epochs). A share of the gap is (adapted − before) / (with labels − before). How
pure clusters were is judged by the labels afterwards: of all pairs of pictures in one cluster, how many show
one person, and how many of all such pairs are found; the same of pairs from two cameras.

What was trained stays in --scratch, and an interrupted run goes on there. Prints a Markdown table and writes
benchmarks/results/adapt.json.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from omnireid import Ranking, evaluate
from omnireid.core.arrays import Int64
from omnireid.core.files import write_text
from omnireid.core.record import EnvironmentRecord
from omnireid.core.types import Dataset, Split
from omnireid.data.datasets import read_dataset
from omnireid.data.options import Sources
from omnireid.experiment.adaptation import Adaptation, adapt
from omnireid.experiment.options import EvaluationOptions
from omnireid.experiment.training import train_on
from omnireid.training.options import RunOptions
from omnireid.training.recipe import load_recipe
from options import existing, new_file, new_folder, run
from recipes import CONSOLE
from transfer import REAL, RESULTS


def purity(train: Split, labels: Int64) -> dict[str, float]:
    """What share of pairs in a cluster show one person, and what share of such pairs are found."""
    same = train.pids[:, None] == train.pids[None]
    together = (labels[:, None] == labels[None]) & (labels >= 0)[:, None]
    np.fill_diagonal(same, False)
    np.fill_diagonal(together, False)
    across = train.camids[:, None] != train.camids[None]
    shares = {}
    for name, asked in (("pairs", ~np.eye(len(labels), dtype=bool)), ("pairs_across_cameras", across)):
        hits = np.count_nonzero(same & together & asked)
        shares[f"{name}_precision"] = hits / max(1, np.count_nonzero(together & asked))
        shares[f"{name}_recall"] = hits / max(1, np.count_nonzero(same & asked))
    return shares


def train_with_labels(
    dataset: Dataset, scratch: Path, changes: dict[str, Any], epochs: int, threads: int | None
) -> Path:
    """Train the same weights on the same pictures with labels."""
    first = json.loads((scratch / "adapted" / "round-01" / "recipe.json").read_text())
    same = {key: first[key] for key in ("model", "model_options", "input", "initial_weights")}
    recipe = load_recipe("adapt", {**changes, **same, "epochs": epochs})
    folder = scratch / "labelled"
    options = RunOptions(threads=threads, resume=(folder / "checkpoint.pt").is_file())
    return train_on(recipe, dataset, folder, options, console=CONSOLE).weights


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default="cuhk03-detected")
    parser.add_argument("--root", type=existing, default=REAL, help="folder of --data")
    parser.add_argument("--init", default="osnet_x0_25_rendered")
    parser.add_argument("--rounds", type=int, default=Adaptation.rounds)
    parser.add_argument("--epochs", type=int, default=None, help="of a round; default: as the recipe says")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--fused", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--threads", type=int, default=None, help="threads that decode")
    parser.add_argument("--scratch", type=new_folder, default=Path("runs/adapt"))
    parser.add_argument("--out", type=new_file, default=RESULTS / "adapt.json")
    arguments = parser.parse_args()
    dataset = read_dataset(arguments.data, arguments.root)
    how = Adaptation(rounds=arguments.rounds)
    changes: dict[str, Any] = {"seed": arguments.seed, "fused": arguments.fused}
    if arguments.epochs is not None:
        changes["epochs"] = arguments.epochs
    record: dict[str, Any] = {
        "environment": EnvironmentRecord.capture().model_dump(),
        "dataset": dataset.name,
        "init": arguments.init,
        "adaptation": asdict(how),
        "recipe": load_recipe("adapt", changes).model_dump(mode="json"),
        "networks": {},
    }

    def measure(name: str, weights: str | Path) -> None:
        measured = evaluate(
            weights,
            [dataset],
            ranking=Ranking("cosine"),
            options=EvaluationOptions(normalise=True, analysis=False),
            console=CONSOLE,
        )
        record["networks"][name] = measured.records[0].metrics.model_dump()
        write_text(arguments.out, json.dumps(record, indent=2, ensure_ascii=False) + "\n")

    measure("before", arguments.init)
    folder = arguments.scratch / "adapted"
    options = RunOptions(threads=arguments.threads, resume=any(folder.glob("round-*.csv")))
    sources = Sources(arguments.data, [arguments.root])
    rounds = adapt(
        folder, sources, arguments.init, options=options, how=how, changes=changes, console=CONSOLE
    )
    record["rounds"] = []
    for done in rounds:
        rows = np.loadtxt(done.weights.parent.with_suffix(".csv"), str, delimiter=",", skiprows=1)
        labels = rows[:, 1].astype(np.int64)
        counts = {"clusters": done.num_clusters, "pictures": done.num_clustered}
        record["rounds"].append({**counts, **purity(dataset.train, labels)})
    measure("adapted", folder / "model.safetensors")

    seen = record["recipe"]["epochs"] * sum(done.num_clustered for done in rounds)
    epochs = record["epochs_with_labels"] = round(seen / len(dataset.train))
    threads = arguments.threads
    measure("labelled", train_with_labels(dataset, arguments.scratch, changes, epochs, threads))
    print(table(record))


def table(record: dict[str, Any]) -> str:
    """Markdown, in per cent."""
    networks = record["networks"]
    lines = ["| network | rank-1 | mAP |", "|---|---:|---:|"]
    lines += [
        f"| {name} | {100 * row['rank1']:.1f} | {100 * row['mAP']:.1f} |" for name, row in networks.items()
    ]
    before, adapted, labelled = (networks[name] for name in ("before", "adapted", "labelled"))
    shares = [
        (adapted[metric] - before[metric]) / (labelled[metric] - before[metric])
        for metric in ("rank1", "mAP")
    ]
    lines += ["| share of the gap | {:.0f} | {:.0f} |".format(*(100 * share for share in shares)), ""]
    lines += [
        "| round | clusters | pictures | one person | found | across cameras | found |",
        "|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for number, row in enumerate(record["rounds"], 1):
        cells = [
            f"{100 * row[f'{pairs}_{kind}']:.0f}"
            for pairs in ("pairs", "pairs_across_cameras")
            for kind in ("precision", "recall")
        ]
        lines.append(f"| {number} | {row['clusters']} | {row['pictures']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    run(main)

"""Ours beside the reference implementation on real people: the same recipe, pictures, crops and budget.

    python benchmarks/reference.py --reference DIR --root ../shared/real [--seeds 1-3] [--epochs 30]

DIR is a checkout of torchreid (github.com/KaiyangZhou/deep-person-reid). Network and cross entropy come of
it, in a bare loop with torch's AMSGrad; batches, their augmentation and the learning rate are those of our
recipe (zoo_osnet_x0_25 with a cosine, from scratch). Its weights are converted as any published file,
and both are ranked by one protocol. Printed are mean and deviation over seeds, and the paired difference in
mAP with its 95 % interval over identities: equal, where that holds 0.

What was trained stays in --scratch and is not trained again; ours goes on where it was, the reference's loop
begins again. 30 epochs of CUHK03-detected with x0.25 at 128×64 take 10 minutes a seed and side on two free
cores of an AMD EPYC.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from omnireid import Ranking, evaluate
from omnireid.core.files import write_text
from omnireid.core.record import EnvironmentRecord
from omnireid.core.seeds import derive_seed
from omnireid.core.types import Dataset, label_map
from omnireid.data.augmentation import Augmentation
from omnireid.data.datasets import read_dataset
from omnireid.data.loading import CropLoader
from omnireid.data.samplers import SAMPLERS
from omnireid.experiment.comparison import load_result
from omnireid.experiment.options import EvaluationOptions
from omnireid.models.convert import read_foreign
from omnireid.models.weights import save_weights
from omnireid.training.folder import only_writer
from omnireid.training.recipe import Recipe, load_recipe
from omnireid.training.schedule import learning_rate
from options import existing, new_file, new_folder, run
from recipes import CONSOLE, HERE, measure, seeds_of, table, versus


def recipe_of(seed: int, epochs: int, changes: dict[str, Any]) -> Recipe:
    common = {"initial_weights": None, "frozen_epochs": 0, "sampler.batch_size": 64, "epochs": epochs}
    size = {"input": {"height": 128, "width": 64}, "schedule": {"name": "cosine", "milestones": []}}
    return load_recipe("zoo_osnet_x0_25", {**common, **size, "seed": seed, **changes})


def module(folder: Path, name: str) -> ModuleType:
    """A file of the reference by itself: its package imports much more."""
    path = existing(str(folder / "torchreid" / name))
    spec = importlib.util.spec_from_file_location(f"reference_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def train_reference(reference: Path, recipe: Recipe, dataset: Dataset, out: Path) -> None:
    """The reference's network and loss on our batches, for as many epochs; its state dict in `out`."""
    samples = [sample for sample in dataset.train if sample.pid >= 0]
    labels_of = label_map([sample.pid for sample in samples])
    labels = torch.tensor([labels_of[sample.pid] for sample in samples])
    torch.manual_seed(derive_seed(recipe.seed, "reference"))
    network = getattr(module(reference, "models/osnet.py"), recipe.model)(len(labels_of), pretrained=False)
    loss_of = module(reference, "losses/cross_entropy_loss.py").CrossEntropyLoss(
        len(labels_of), use_gpu=False, label_smooth=recipe.loss.label_smoothing > 0
    )
    optimiser = torch.optim.Adam(
        network.parameters(), lr=recipe.optimiser.lr, weight_decay=recipe.optimiser.weight_decay, amsgrad=True
    )
    sampler = SAMPLERS.get(recipe.sampler.name).make(
        samples, recipe.sampler.batch_size, recipe.seed, **recipe.sampler.options()
    )
    loader = CropLoader(samples, recipe.input, threads=1, cache_bytes=1 << 30)
    augmentation = Augmentation(recipe.augmentation, recipe.input)
    network.train()
    for epoch in range(recipe.epochs):
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(recipe, epoch)
        for step, batch in enumerate(loader.load(sampler.batches(epoch))):
            chance = torch.Generator().manual_seed(derive_seed(recipe.seed, "augmentation", epoch, step))
            loss = loss_of(
                network(augmentation(torch.from_numpy(batch.crops), chance)), labels[batch.indices]
            )
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        CONSOLE.print(f"reference, epoch {epoch + 1}/{recipe.epochs}: loss {loss.item():.3f}", markup=False)
    torch.save(network.state_dict(), out)


def measure_reference(reference: Path, recipe: Recipe, dataset: Dataset, scratch: Path) -> dict[str, Any]:
    """Train, convert and rank; what is there already stays."""
    folder = scratch / f"reference-{recipe.epochs}-{recipe.seed}"
    folder.mkdir(exist_ok=True)
    if not (folder / "evaluation" / "result.json").is_file():
        train_reference(reference, recipe, dataset, folder / "reference.pth")
        network, card = read_foreign(folder / "reference.pth")
        weights = folder / "model.safetensors"
        save_weights(weights, network, card.model_copy(update={"input": recipe.input, "sha256": None}))
        evaluate(
            weights,
            [dataset],
            out=folder / "evaluation",
            ranking=Ranking(recipe.evaluation.distance),
            options=EvaluationOptions(normalise=recipe.evaluation.normalise, analysis=False),
            console=CONSOLE,
        )
    metrics = load_result(folder / "evaluation").record.metrics
    return {"folder": folder.name, "rank1": metrics.rank1, "mAP": metrics.mAP}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--reference", type=existing, required=True, help="a checkout of torchreid")
    parser.add_argument("--seeds", type=seeds_of, default=[1, 2, 3], help="a seed, or a range: 1-3")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="of the recipe, as JSON"
    )
    parser.add_argument("--data", default="cuhk03-detected")
    parser.add_argument("--root", type=existing, required=True, help="folder of --data")
    parser.add_argument("--scratch", type=new_folder, default=Path("runs/reference"))
    parser.add_argument("--out", type=new_file, default=HERE / "results" / "reference.json")
    arguments = parser.parse_args()
    changes = {key: json.loads(value) for key, _, value in (text.partition("=") for text in arguments.set)}
    dataset = read_dataset(arguments.data, arguments.root)
    sides: dict[str, dict[str, Any]] = {"reference": {"seeds": {}}, "ours": {"seeds": {}}}
    record: dict[str, Any] = {"data": dataset.name, "variants": sides}
    with only_writer(arguments.scratch):
        for seed in arguments.seeds:
            recipe = recipe_of(seed, arguments.epochs, changes)
            theirs = measure_reference(arguments.reference, recipe, dataset, arguments.scratch)
            sides["reference"]["seeds"][str(seed)] = theirs
            sides["ours"]["seeds"][str(seed)] = measure(recipe, dataset, arguments.scratch, None)
            paired = versus(sides["ours"]["seeds"], sides["reference"]["seeds"], arguments.scratch)
            sides["ours"] |= {"against": "reference", "versus": paired}
            record |= {
                "recipe": recipe.model_dump(mode="json"),
                "environment": EnvironmentRecord.capture().model_dump(),
            }
            write_text(arguments.out, json.dumps(record, indent=2, ensure_ascii=False) + "\n")
    print(table(record))


if __name__ == "__main__":
    run(main)

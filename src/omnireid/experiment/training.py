"""Train a recipe on a dataset, with the evaluations it asks for in between."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from omnireid.core.arrays import Float32
from omnireid.core.card import ModelCard
from omnireid.core.errors import ConfigError, DatasetError, InputError, WeightsError
from omnireid.core.options import Protocol
from omnireid.core.progress import message_console
from omnireid.core.record import MeansRecord
from omnireid.core.types import Dataset, Split
from omnireid.data.combine import read_sources
from omnireid.data.datasets import require_splits
from omnireid.data.frames import flatten
from omnireid.data.options import Sources
from omnireid.evaluation.options import Ranking
from omnireid.experiment.attributes import evaluate_attributes
from omnireid.experiment.evaluation import check_scorable, embed_splits, evaluate_model
from omnireid.experiment.several import result_names, seed_runs, write_summaries
from omnireid.experiment.sharing import SharingEmbedder
from omnireid.experiment.teaching import teacher_embeddings
from omnireid.inference.backends.torch_eager import TorchBackend
from omnireid.inference.embedder import Embedder
from omnireid.inference.lookup import find_weights
from omnireid.models.cards import model_card
from omnireid.models.classifier import ClassScores, IdentityClassifier
from omnireid.models.convert import read_network
from omnireid.models.neck import BNNeck
from omnireid.models.network import Network
from omnireid.models.network_config import NetworkConfig
from omnireid.models.registry import architecture_config, blank_network, nearest_architecture
from omnireid.training.checkpoint import CHECKPOINT, load_checkpoint
from omnireid.training.folder import check_run_folder, holds_results, only_writer
from omnireid.training.loop import TrainedModel
from omnireid.training.loop import train as run_training
from omnireid.training.options import LoopOptions, RunOptions
from omnireid.training.processes import Rank, check_devices, launch
from omnireid.training.recipe import Recipe, load_recipe

FROM_SCRATCH = "none"


@dataclass(frozen=True)
class Trained:
    """What `train` leaves.

    Attributes:
        models: One for each seed.
        summary: Mean and deviation over several seeds; None for one.
        summary_file: Where the summary lies.
    """

    models: tuple[TrainedModel, ...]
    summary: MeansRecord | None = None
    summary_file: Path | None = None


def train(
    out: str | os.PathLike[str],
    sources: Sources,
    recipe: str | Path | Recipe,
    options: RunOptions = RunOptions(),
    *,
    changes: Mapping[str, Any] | None = None,
    seeds: Sequence[int] | None = None,
    frames_per_tracklet: int | None = None,
    console: Console | None = None,
) -> Trained:
    """Train a network by a recipe, on one dataset or several, as `omnireid train` does.

    Args:
        out: Folder for weights, checkpoint and history; of several seeds for a folder of each.
        sources: What is trained on. Its targets matter only to recipes that evaluate in between.
        recipe: Its name, its YAML file, or itself.
        options: How the run goes about it.
        changes: Values that replace the recipe's, by dotted key: `{"optimiser.lr": 0.01}`.
        seeds: Train once with each.
        frames_per_tracklet: Train on so many frames of each tracklet; on every frame when None.
        console: Where progress is shown, and how to go on after an interruption.

    Raises:
        ConfigError: An option without effect, or one that contradicts another.
        DatasetError, InputError: As `read_sources`, and `train_on`.
        WeightsError, TrainingError, ImageError, StorageError: As `train_on`.
    """
    out = Path(out)
    runs = [(seeded, folder) for seeded, folder, _ in plan_runs(out, recipe, changes, seeds, options)]
    if sources.split_id == "all":
        raise ConfigError("--split-id all: trains one network for each split, which 'omnireid run' does")
    dataset, targets = read_sources(sources, console=console)
    require_splits(dataset, "train")
    if sources.targets is not None and not runs[0][0].evaluation.every:
        raise ConfigError(
            "--target: no effect with a recipe that evaluates nothing in between (evaluation.every is 0); "
            "leave it out"
        )
    if frames_per_tracklet is not None and not dataset.train.is_video:
        raise ConfigError("--frames: no effect on pictures; leave it out")
    # Of several seeds, those that have not begun begin.
    begun = [folder for _, folder in runs if holds_results(folder)]
    models = []
    with told_how_to_resume([folder for _, folder in runs], console):
        for seeded, folder in runs:
            resume = options.resume and (folder in begun or not begun)
            model = train_on(
                seeded,
                dataset,
                folder,
                replace(options, resume=resume),
                targets=targets,
                frames_per_tracklet=frames_per_tracklet,
                console=console,
            )
            models.append(model)
    if seeds is None or not Rank.of_torchrun().leads:
        return Trained(tuple(models))
    records = [model.record for model in models]
    summary = MeansRecord.of_training(dataset.name, models[0].card.name, records)
    return Trained(tuple(models), summary, write_summaries([summary], out)[0])


def plan_runs(
    out: Path,
    recipe: str | Path | Recipe,
    changes: Mapping[str, Any] | None,
    seeds: Sequence[int] | None,
    options: RunOptions,
    splits: Sequence[tuple[str, int | None]] = (("", None),),
) -> list[tuple[Recipe, Path, int | None]]:
    """Recipe, folder and random split of each network that is to be trained.

    Args:
        splits: The folder below that of the seed, and the number, of each random split.

    Raises:
        ConfigError, UnknownNameError: A recipe that cannot be used, or --init beside a run that began else.
        InputError: A folder where it would replace or mix with something.
        TrainingError: A checkpoint is damaged.
    """
    changes = dict(changes or {})
    if seeds is not None and (out / "recipe.json").is_file():
        raise InputError(
            f"{out}: holds a single run; --seeds needs a folder of its own, choose another --out"
        )
    chosen = recipe if isinstance(recipe, Recipe) else load_recipe(recipe, changes)
    runs = [
        (seeded, folder / below if below else folder, split)
        for seeded, folder in seed_runs(chosen, out, seeds)
        for below, split in splits
    ]
    for _, folder, _ in runs:
        check_run_folder(folder, resume=options.resume, overwrite=options.overwrite)
        if options.resume and "initial_weights" in changes:
            check_initial(folder, changes["initial_weights"])
    return runs


def check_initial(folder: Path, given: str | None) -> None:
    """Refuse other weights to start from than a run began with: --resume has no use for them.

    The same file by another path is the same, and --init need not be repeated.

    Raises:
        ConfigError: names both.
        TrainingError: the checkpoint is damaged.
    """
    if not (folder / CHECKPOINT).is_file():
        return
    began = load_checkpoint(folder / CHECKPOINT).recipe["initial_weights"]
    same_file = began is not None and given is not None and Path(began).resolve() == Path(given).resolve()
    if given != began and not same_file:
        raise ConfigError(
            f"--init {given or FROM_SCRATCH}: the run in {folder} began with {began or FROM_SCRATCH}, and "
            "--resume goes on with the weights of its checkpoint; leave --init out"
        )


@contextmanager
def told_how_to_resume(folders: Sequence[Path], console: Console | None) -> Iterator[None]:
    """Say how to go on where the work in these folders is interrupted."""
    try:
        yield
    except KeyboardInterrupt:
        begun = [folder for folder in folders if (folder / CHECKPOINT).is_file()]
        if console is not None:
            console.print(
                f"interrupted; the last finished epoch is in {begun[-1]}: the same command with --resume "
                "goes on (in place of --overwrite)"
                if begun
                else "interrupted before the first epoch was finished",
                markup=False,
            )
        raise


def train_on(
    recipe: Recipe,
    dataset: Dataset,
    run_dir: Path,
    options: RunOptions = RunOptions(),
    *,
    targets: Sequence[Dataset] = (),
    frames_per_tracklet: int | None = None,
    console: Console | None = None,
) -> TrainedModel:
    """Train on a dataset's train split. Tracklets are taken apart: each frame is a picture of its own.

    Args:
        recipe: its `initial_weights` are a file or a name whose weights have been pulled; not needed by a run
            that is resumed.
        targets: what the evaluations in between are made on, each apart; the dataset itself when empty.
        frames_per_tracklet: train on so many frames of each tracklet, taken evenly; on every frame when None.
        run_dir, console: as for `omnireid.training.loop.train`.

    Raises:
        DatasetError, InputError: the recipe evaluates in between, and a target cannot be scored.
        WeightsError: the weights to start from are missing or do not fit.
        TrainingError, ImageError: as for `train`.
    """
    evaluated = targets or [dataset]
    if recipe.evaluation.every:
        try:
            for target in evaluated:
                check_scorable(target, dataset)
        except (DatasetError, InputError) as error:
            raise type(error)(
                f"{error}. Known before the first batch, because the recipe evaluates every "
                f"{recipe.evaluation.every} epochs; --set evaluation.every=0 trains without"
            ) from error

    rank = Rank.of_torchrun()
    check_devices(options.devices, options.device, rank)
    check_run_folder(run_dir, resume=options.resume, overwrite=options.overwrite)
    console = console if rank.leads else None
    with only_writer(run_dir) if rank.leads else nullcontext():
        pictures = flatten(dataset.train, frames_per_tracklet)
        teacher = None
        if recipe.teacher is not None:
            teacher = teacher_embeddings(
                recipe.teacher, pictures, run_dir, options, writes=rank.leads, console=console
            )
        training_data = f"{dataset.name} (train: {len(pictures):,} images)"
        job = _Job(recipe, pictures, training_data, run_dir, options, tuple(evaluated), teacher)
        if options.devices == 1 or rank.by_torchrun:
            return job.do(rank, console)
        return launch(partial(_do_beside_others, job, console is not None), options.devices)


@dataclass(frozen=True)
class _Job:
    """What `train_on` was asked for, for every process that has a part in it."""

    recipe: Recipe
    pictures: Split
    training_data: str
    run_dir: Path
    options: RunOptions
    evaluated: tuple[Dataset, ...]
    teacher: Float32 | None

    def do(self, rank: Rank, console: Console | None) -> TrainedModel:
        recipe, options = self.recipe, self.options
        names = result_names(self.evaluated)
        return run_training(
            recipe,
            self.pictures,
            self.run_dir,
            initial=None if options.resume else _initial_network(recipe),
            training_data=self.training_data,
            teacher=self.teacher,
            evaluate=partial(self._evaluate, rank),
            options=LoopOptions(
                **{item.name: getattr(options, item.name) for item in fields(RunOptions)},
                console=console,
                rank=rank,
                evaluated_on=f"{', '.join(names)} (query and gallery, {recipe.evaluation.distance} distance)",
            ),
        )

    def _evaluate(self, rank: Rank, network: IdentityClassifier, epochs_done: int) -> dict[str, float]:
        recipe = self.recipe
        card = model_card(recipe.model).model_copy(update={"input": recipe.input})
        where = str(next(network.parameters()).device)
        kind = Embedder if rank.size == 1 else SharingEmbedder
        network.eval()
        ranking = Ranking(recipe.evaluation.distance, seed=recipe.seed)
        on_bad = self.options.on_bad
        values: dict[str, float] = {}
        for target, name in zip(self.evaluated, result_names(self.evaluated), strict=True):
            backend = scored_backend(network, card, target.protocol, device=where)
            embedder = kind(backend, normalise=recipe.evaluation.normalise)
            if not rank.leads:
                embed_splits(embedder, target, seed=ranking.seed, on_bad=on_bad)
                continue
            if target.protocol is Protocol.ATTRIBUTES:
                record = evaluate_attributes(embedder, target, seed=recipe.seed, on_bad=on_bad).record
            else:
                record = evaluate_model(embedder, target, ranking=ranking, on_bad=on_bad).record
            prefix = f"{name}/" if len(self.evaluated) > 1 else ""
            metrics = record.metrics.model_dump()
            values |= {prefix + metric: value for metric, value in metrics.items() if value is not None}
        return values


def scored_backend(
    network: IdentityClassifier, card: ModelCard, protocol: Protocol, *, device: str
) -> TorchBackend:
    """What a protocol scores of a trained network: its embeddings, or its classifier's logits.

    Args:
        card: of the network without its classifier.
    """
    if not protocol.is_of_classifier:
        return TorchBackend(network.backbone, card, device=device)
    of_logits = card.model_copy(update={"embedding_size": network.classifier.out_features})
    return TorchBackend(ClassScores(network), of_logits, device=device)


def _do_beside_others(job: _Job, shows_progress: bool, rank: Rank) -> TrainedModel:
    """A process's part of the job: its share of the cores, and one voice."""
    import torch  # Not before: without it, experiment.sharing says what to install.

    torch.set_num_threads(rank.share(None))
    return job.do(rank, message_console() if shows_progress and rank.leads else None)


def _initial_network(recipe: Recipe) -> Network | None:
    """The weights that the recipe starts from, in any form that can be read.

    Raises:
        WeightsError: missing, damaged, or of another network than the recipe trains.
    """
    if recipe.initial_weights is None:
        return None
    path = find_weights(recipe.initial_weights)
    network, _ = read_network(path)
    wanted = architecture_config(recipe.model).with_overrides(recipe.model_options)
    if not wanted.takes_weights_of(network.config):
        name, model_options = nearest_architecture(network.config)
        remedy = f"--set model={name}"
        if model_options or recipe.model_options:
            remedy += f" --set 'model_options={json.dumps(model_options)}'"
        raise WeightsError(
            f"{path}: these weights are {_described(network.config)}, the recipe trains "
            f"{_described(wanted)}; {remedy}, or other weights"
        )
    if network.config == wanted:
        return network
    trained = blank_network(wanted)
    # Fresh is what these weights do not have: the neck of a ResNet.
    trained.load_state_dict({**trained.state_dict(), **network.state_dict()})
    if wanted.neck and not network.config.neck:
        _, neck = trained.head_and_neck()
        assert isinstance(neck, BNNeck)
        # The shift of a batch norm that had a ReLU behind it.
        neck.bias.zero_()
    return trained


def _described(config: NetworkConfig) -> str:
    name, changes = nearest_architecture(config)
    return " ".join([name, *(f"with {field} {value!r}" for field, value in changes.items())])

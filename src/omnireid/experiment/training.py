"""Train a recipe on a dataset, with the evaluations it asks for in between."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from omnireid.core.errors import DatasetError, InputError, WeightsError
from omnireid.core.options import OnBad
from omnireid.core.types import Dataset
from omnireid.data.frames import flatten
from omnireid.experiment.evaluation import check_scorable, evaluate_model
from omnireid.experiment.several import result_names
from omnireid.inference.backends import TorchBackend
from omnireid.inference.embedder import Embedder
from omnireid.inference.lookup import find_weights
from omnireid.models.cards import model_card
from omnireid.models.convert import read_network
from omnireid.models.family import NetworkConfig
from omnireid.models.network import Network
from omnireid.models.registry import architecture_config, blank_network, nearest_architecture
from omnireid.training.loop import TrainedModel, train
from omnireid.training.recipe import Recipe


def train_on(
    recipe: Recipe,
    dataset: Dataset,
    run_dir: Path,
    *,
    targets: Sequence[Dataset] = (),
    frames_per_tracklet: int | None = None,
    device: str = "auto",
    threads: int | None = None,
    resume: bool = False,
    overwrite: bool = False,
    on_bad: OnBad = "error",
    console: Console | None = None,
) -> TrainedModel:
    """Train on a dataset's train split. Tracklets are taken apart: each frame is a picture of its own.

    Args:
        recipe: its `initial_weights` are a file or a name whose weights have been pulled; not needed by a run
            that is resumed.
        targets: what the evaluations in between are made on, each apart; the dataset itself when empty.
        frames_per_tracklet: train on so many frames of each tracklet, taken evenly; on every frame when None.
        run_dir, device, threads, resume, overwrite, on_bad, console: as for `omnireid.training.loop.train`.

    Raises:
        DatasetError, InputError: the recipe evaluates in between, and a target cannot be scored.
        WeightsError: the weights to start from are missing or do not fit.
        TrainingError, ImageError: as for `train`.
    """
    evaluated = targets or [dataset]
    names = result_names(evaluated)
    if recipe.evaluation.every:
        try:
            for target in evaluated:
                check_scorable(target)
        except (DatasetError, InputError) as error:
            raise type(error)(
                f"{error}. Known before the first batch, because the recipe evaluates every "
                f"{recipe.evaluation.every} epochs; --set evaluation.every=0 trains without"
            ) from error

    def evaluate(network: Network, epochs_done: int) -> dict[str, float]:
        card = model_card(recipe.model).model_copy(update={"input": recipe.input})
        backend = TorchBackend(network.eval(), card, device=device)
        embedder = Embedder(backend, normalise=recipe.evaluation.normalise)
        values: dict[str, float] = {}
        for target, name in zip(evaluated, names, strict=True):
            evaluation = evaluate_model(
                embedder, target, distance=recipe.evaluation.distance, seed=recipe.seed, on_bad=on_bad
            )
            prefix = f"{name}/" if len(evaluated) > 1 else ""
            metrics = evaluation.record.metrics.model_dump()
            values |= {prefix + metric: value for metric, value in metrics.items() if value is not None}
        return values

    pictures = flatten(dataset.train, frames_per_tracklet)
    return train(
        recipe,
        pictures,
        run_dir,
        initial=None if resume else _initial_network(recipe),
        training_data=f"{dataset.name} (train: {len(pictures):,} images)",
        device=device,
        threads=threads,
        resume=resume,
        overwrite=overwrite,
        on_bad=on_bad,
        evaluate=evaluate,
        evaluated_on=", ".join(names) + f" (query and gallery, {recipe.evaluation.distance} distance)",
        console=console,
    )


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
    trained.load_state_dict(network.state_dict())
    return trained


def _described(config: NetworkConfig) -> str:
    name, changes = nearest_architecture(config)
    return " ".join([name, *(f"with {field} {value!r}" for field, value in changes.items())])

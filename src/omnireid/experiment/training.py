"""Train a recipe on a dataset, with the evaluations it asks for in between."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from rich.console import Console

from omnireid.core.types import Dataset
from omnireid.experiment.evaluation import evaluate_model
from omnireid.inference import Embedder
from omnireid.inference.backends import TorchBackend
from omnireid.inference.embedder import find_weights
from omnireid.models.cards import model_card
from omnireid.models.osnet import OSNet
from omnireid.models.registry import build_model
from omnireid.models.weights import load_weights
from omnireid.training.loop import TrainedModel, train
from omnireid.training.recipe import Recipe


def train_on(
    recipe: Recipe,
    dataset: Dataset,
    run_dir: Path,
    *,
    device: str = "auto",
    threads: int | None = None,
    resume: bool = False,
    on_bad: Literal["error", "skip"] = "error",
    console: Console | None = None,
) -> TrainedModel:
    """Train on a dataset's train split.

    Args:
        recipe: its `initial_weights` are a file or a name whose weights have been pulled.
        run_dir, device, threads, resume, on_bad, console: as for `omnireid.training.loop.train`.

    Raises:
        WeightsError: the weights to start from are missing or do not fit.
        TrainingError, ImageError: as for `train`.
    """

    def evaluate(network: OSNet, epochs_done: int) -> dict[str, float]:
        card = model_card(recipe.model).model_copy(update={"input": recipe.input})
        backend = TorchBackend(network.eval(), card, device=device)
        embedder = Embedder(backend, normalise=recipe.evaluation.normalise)
        metrics = evaluate_model(
            embedder, dataset, distance=recipe.evaluation.distance, seed=recipe.seed, on_bad=on_bad
        ).record.metrics
        return {name: value for name, value in metrics.model_dump().items() if value is not None}

    return train(
        recipe,
        dataset.train,
        run_dir,
        initial=None if resume else _initial_network(recipe),
        training_data=f"{dataset.name} (train: {len(dataset.train):,} images)",
        device=device,
        threads=threads,
        resume=resume,
        on_bad=on_bad,
        evaluate=evaluate,
        console=console,
    )


def _initial_network(recipe: Recipe) -> OSNet | None:
    if recipe.initial_weights is None:
        return None
    weights, _ = load_weights(find_weights(recipe.initial_weights))
    network = build_model(recipe.model, **recipe.model_options)
    network.load_state_dict(weights.state_dict())
    return network

"""From a description to a network that can ship: render, train, store, measure, calibrate.

Everything is kept in one folder and each step goes on where it was, so an interrupted making is run again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from omnireid.core.card import CardMetric, ModelCard
from omnireid.core.errors import InputError
from omnireid.core.files import sha256_file, write_text
from omnireid.core.types import Dataset
from omnireid.data.loading import Reading
from omnireid.evaluation.calibration import calibration_path
from omnireid.evaluation.options import Ranking
from omnireid.experiment.calibration import calibrate_labelled
from omnireid.experiment.evaluation import evaluate_model
from omnireid.inference.embedder import Embedder
from omnireid.models.shipped import Making, Rendering, Stage, read_making
from omnireid.synthetic.dataset import render_dataset
from omnireid.synthetic.options import RenderOptions
from omnireid.training.options import RunOptions
from omnireid.training.recipe import Recipe, load_recipe

RUN, TRAINING, CALIBRATION = "run", "training", "calibration"
LEAST_PEOPLE = 12
"""Of a rendering that is scaled: fewer can neither be learned from nor calibrated on."""


@dataclass(frozen=True)
class Reproduced:
    """What a making left.

    Attributes:
        weights, calibration: the files that ship.
        description: the description with the hash of the weights; None of a making that was scaled down.
        card: of the weights, with what was measured.
    """

    weights: Path
    calibration: Path
    description: Path | None
    card: ModelCard


def reproduce(
    name: str,
    out: Path,
    options: RunOptions = RunOptions(),
    *,
    scale: float = 1.0,
    trained: Path | None = None,
    targets: Sequence[Dataset] = (),
    workers: int | None = None,
    console: Console | None = None,
) -> Reproduced:
    """Make a network that ships from its description, as it was made.

    Args:
        name: a description of `omnireid/weights`.
        out: gets the rendered people, the run, `NAME.safetensors` with matrices in float16,
            `NAME.safetensors.calibration.json`, and `NAME.yaml`: what goes into `omnireid/weights`.
        options: how the training goes about it; it goes on from what is there.
        scale: share of the people, and its root of the epochs: a small one tries the way, not the result.
        trained: weights that its trainings made already; they are taken instead of training.
        targets: datasets to measure on besides the people who are calibrated on; none was trained on.
        workers: processes that render.

    Raises:
        UnknownNameError, WeightsError: no such description, or not one.
        InputError: a scale out of range, or options that no renderer has.
        DatasetError, TrainingError, StorageError: as the steps do.
    """
    if not 0 < scale <= 1:
        raise InputError(f"scale: more than 0, at most 1, got {scale}")
    making = read_making(name)
    source = trained
    if source is None:
        for number, stage in enumerate(making.training, start=1):
            people = render_dataset(
                out / f"{TRAINING}{number}",
                scaled_people(stage.people, scale),
                workers=workers,
                console=console,
            )
            recipe = scaled_recipe(stage_recipe(making, stage, source), scale)
            source = _train(recipe, people, out / f"{RUN}{number}", options, console)
    assert source is not None  # A making has at least one training.
    recipe = stage_recipe(making, making.training[-1])
    weights = out / f"{name}.safetensors"
    card = _card(name, making, recipe, source, scale)
    _store(source, weights, card)
    others = render_dataset(
        out / CALIBRATION, scaled_people(making.calibration, scale), workers=workers, console=console
    )
    # What ships names no folder of the machine that made it.
    others = replace(others, name="rendered people of another world", root=CALIBRATION)
    metrics = [_measured(weights, target, recipe, options, console) for target in (others, *targets)]
    _store(source, weights, card.model_copy(update={"metrics": tuple(metrics)}))
    embedder = Embedder.open(weights, device=options.device)
    run = calibrate_labelled(embedder, others, reading=Reading(console=console))
    calibration = run.calibration.save(calibration_path(weights))
    description = None
    if scale == 1:
        description = out / f"{name}.yaml"
        stated = making.model_copy(update={"sha256": sha256_file(weights)})
        text = yaml.safe_dump(stated.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=110)
        write_text(description, text)
    card = card.model_copy(update={"metrics": tuple(metrics), "sha256": sha256_file(weights)})
    return Reproduced(weights, calibration, description, card)


def stage_recipe(making: Making, stage: Stage, weights: Path | None = None) -> Recipe:
    """The recipe of one training of a making, from weights or from scratch."""
    start = {} if weights is None else {"initial_weights": str(weights)}
    return load_recipe(making.recipe, {**making.changes, **stage.changes, **start})


def scaled_people(rendering: Rendering, scale: float) -> RenderOptions:
    """The renderer's options of a description, with so many of the people.

    Raises:
        InputError: an option that the renderer does not have, or a bad value.
    """
    values: dict[str, Any] = dict(rendering.options)
    for name in ("num_train_pids", "num_test_pids", "num_distractors", "num_junk"):
        number = values.get(name, getattr(RenderOptions, name))
        least = LEAST_PEOPLE if name.endswith("pids") else 0
        values[name] = min(number, max(math.ceil(number * scale), least))
    try:
        return RenderOptions(**values)
    except TypeError as error:
        raise InputError(f"people to render: {error}") from error


def scaled_recipe(recipe: Recipe, scale: float) -> Recipe:
    """The recipe with the root of the scale of its epochs, at least one."""
    epochs = max(1, round(recipe.epochs * math.sqrt(scale)))
    warmup = recipe.schedule.warmup_epochs * epochs / recipe.epochs
    schedule = recipe.schedule.model_copy(update={"warmup_epochs": warmup})
    return recipe.model_copy(update={"epochs": epochs, "schedule": schedule})


def _train(
    recipe: Recipe, people: Dataset, folder: Path, options: RunOptions, console: Console | None
) -> Path:
    from omnireid.experiment.training import train_on
    from omnireid.training.folder import holds_results

    how = replace(options, resume=holds_results(folder), overwrite=False)
    return train_on(recipe, people, folder, how, console=console).weights


def _card(name: str, making: Making, recipe: Recipe, source: Path, scale: float) -> ModelCard:
    from omnireid.models.weight_file import read_card

    notes = making.intended_use
    if scale < 1:
        notes = f"Made at a scale of {scale:g}, to try the way it is made; of no use. {notes}"
    return read_card(source).model_copy(
        update={
            "name": name,
            "licence": making.licence,
            "origin": f"omnireid models reproduce {name}",
            "training_data": making.training_data,
            # Of all trainings; the last one's file counts its own only.
            "training_pids": sum(
                scaled_people(stage.people, scale).num_train_pids for stage in making.training
            ),
            "recipe": f"{making.recipe}, seed {recipe.seed}",
            "notes": notes,
            "metrics": (),
        }
    )


def _store(source: Path, weights: Path, card: ModelCard) -> None:
    from omnireid.models.weights import load_weights, save_weights

    network, _ = load_weights(source)
    save_weights(weights, network, card, half=True)


def _measured(
    weights: Path, target: Dataset, recipe: Recipe, options: RunOptions, console: Console | None
) -> CardMetric:
    embedder = Embedder.open(weights, device=options.device, normalise=recipe.evaluation.normalise)
    distance = recipe.evaluation.distance
    evaluation = evaluate_model(
        embedder, target, ranking=Ranking(distance), on_bad=options.on_bad, console=console
    )
    metrics, num_queries = evaluation.record.metrics, evaluation.record.protocol.num_valid_queries
    return CardMetric(
        dataset=target.name,
        **{
            name: value and round(value, 4)
            for name in ("rank1", "mAP", "mINP")
            for value in [metrics.get(name)]
        },
        protocol=f"single query, {distance} distance, no re-ranking, {num_queries:,} valid queries",
        source="omnireid models reproduce",
    )

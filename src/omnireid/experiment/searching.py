"""Where instance normalisation helps: search an OSNet's blocks, and leave a recipe of what was found."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from omnireid.core.errors import ConfigError
from omnireid.core.files import write_text
from omnireid.data.options import Sources
from omnireid.experiment.training import train
from omnireid.models.choice import choices
from omnireid.models.osnet import OSNet
from omnireid.models.osnet_config import OSNetConfig
from omnireid.models.registry import architecture_config
from omnireid.training.folder import FOUND
from omnireid.training.loop import TrainedModel
from omnireid.training.options import RunOptions
from omnireid.training.processes import Rank
from omnireid.training.recipe import Recipe, load_recipe


@dataclass(frozen=True)
class FoundArchitecture:
    """What a search leaves.

    Attributes:
        instance_norm: The option of the network of this name: for each stage and block, where it stands.
        shares: For each searched block ("conv2.0"), how probable each candidate was at the end.
        recipe: A recipe that trains the network that was found.
        trained: The run that searched. Its network has all candidates and shows the chosen ones.
    """

    instance_norm: tuple[tuple[str, ...], ...]
    shares: dict[str, dict[str, float]]
    recipe: Path
    trained: TrainedModel


def search_architecture(
    out: str | os.PathLike[str],
    sources: Sources,
    recipe: str | Path | Recipe = "search_ain",
    options: RunOptions = RunOptions(),
    *,
    retrain: str = "paper_scratch",
    changes: Mapping[str, Any] | None = None,
    console: Console | None = None,
) -> FoundArchitecture:
    """Find where instance normalisation stands best, as `omnireid search-architecture` does.

    Blocks that are "searched" hold four candidates, whose probabilities are learned together with all weights
    (`omnireid.models.choice`). `found.yaml` in `out` then trains the most probable one from scratch; the
    weights of the search are of no further use.

    Args:
        out: Folder of the search, a training run as any other.
        sources: What is trained on.
        recipe: Its network has at least one block that is "searched".
        options: How the run goes about it.
        retrain: Name or YAML file of the recipe that `found.yaml` extends.
        changes: Values that replace the recipe's, by dotted key.
        console: Where progress is shown, and how to go on after an interruption.

    Raises:
        ConfigError: Nothing is searched, or the recipe to extend does not train such a network.
        UnknownNameError: No such recipe.
        DatasetError, InputError, TrainingError, ImageError, StorageError: As `train`.

    Source: Zhou et al., "Learning Generalisable Omni-Scale Representations for Person Re-Identification",
        TPAMI 2021.
    """
    out = Path(out)
    chosen = recipe if isinstance(recipe, Recipe) else load_recipe(recipe, dict(changes or {}))
    config = architecture_config(chosen.model).with_overrides(chosen.model_options)
    if not isinstance(config, OSNetConfig) or not config.is_searched:
        raise ConfigError(
            f"recipe {chosen.name}: nothing is searched; take search_ain, or set model_options.instance_norm "
            "of an OSNet to 'searched' for some blocks"
        )
    if Path(retrain).suffix in (".yaml", ".yml"):
        retrain = str(Path(retrain).resolve())
    _check_base(retrain, chosen)
    trained = train(out, sources, chosen, options, console=console).models[0]
    network = trained.model
    assert isinstance(network, OSNet)
    found = FoundArchitecture(
        network.found_instance_norm(),
        {name: choice.shares() for name, choice in choices(network).items()},
        out / FOUND,
        trained,
    )
    if Rank.of_torchrun().leads:
        write_text(found.recipe, _recipe(found, chosen, retrain))
    return found


def _of_search(recipe: Recipe) -> dict[str, Any]:
    """What the found network's recipe has of the search, and that it starts from nothing."""
    return {
        "model": recipe.model,
        "input": recipe.input.model_dump(mode="json"),
        "initial_weights": None,
        "frozen_epochs": 0,
    }


def _check_base(retrain: str, recipe: Recipe) -> None:
    """Refuse, before the search, a recipe that could not train what is found."""
    base = load_recipe(retrain, _of_search(recipe))
    architecture_config(recipe.model).with_overrides({**base.model_options, **recipe.model_options})


def _recipe(found: FoundArchitecture, recipe: Recipe, retrain: str) -> str:
    shares = "; ".join(
        f"{name} " + ", ".join(f"{candidate} {share:.3f}" for candidate, share in by_candidate.items())
        for name, by_candidate in found.shares.items()
    )
    values = {
        "source": f"found by {recipe.name} (seed {recipe.seed}, {recipe.epochs} epochs) on "
        f"{found.trained.card.training_data}; probabilities: {shares}",
        "extends": retrain,
        **_of_search(recipe),
        "model_options": {**recipe.model_options, "instance_norm": [*map(list, found.instance_norm)]},
    }
    return yaml.safe_dump(values, sort_keys=False, default_flow_style=None, allow_unicode=True, width=110)

"""Networks that come with the package, and how each was made. Imports no torch.

`omnireid/weights/` holds data and no code: for each network NAME.yaml, which says how it is made, and once it
was made NAME.safetensors with its card, and NAME.safetensors.calibration.json. A description states the hash
of the file that it made, so that a file of another making, or none, is noticed.
"""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, ValidationError

from omnireid.core.card import ModelCard
from omnireid.core.closed import ClosedModel
from omnireid.core.errors import UnknownNameError, WeightsError
from omnireid.models.weight_header import METADATA_KEY

FOLDER = Path(str(resources.files("omnireid"))) / "weights"


class Rendering(ClosedModel):
    """People to render: options of `omnireid synth` by their names in the library.

    Attributes:
        options: fields of the renderer's options, e.g. `num_train_pids`; its defaults hold for the others.
    """

    options: dict[str, Any] = Field(default_factory=dict)


class Stage(ClosedModel):
    """One training of a network that ships; each but the first goes on from the weights of the one before.

    Attributes:
        people: whom to render and learn from.
        changes: made to the recipe, by dotted key, after those that the making makes to all its trainings.
    """

    people: Rendering
    changes: dict[str, Any] = Field(default_factory=dict)


class Making(ClosedModel):
    """How a network that ships was made; `omnireid models reproduce` makes it again.

    Attributes:
        title: what it is, in one sentence, for its card.
        recipe: recipe by which it was trained; `changes` are made to it, by dotted key.
        training: its trainings, in turn.
        calibration: whom it was measured and calibrated on; others than it learned from.
        licence: of the weights.
        training_data: what they were trained on, and under which terms that is.
        intended_use: what the weights are for, and what not.
        sha256: hash of the weight file that was made; None until there is one.
    """

    title: str
    recipe: str
    changes: dict[str, Any] = Field(default_factory=dict)
    training: tuple[Stage, ...] = Field(min_length=1)
    calibration: Rendering
    licence: str = "Apache-2.0"
    training_data: str
    intended_use: str
    sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$")


def list_makings(folder: Path | None = None) -> tuple[str, ...]:
    """Names of the networks that are described, made or not."""
    return tuple(sorted(path.stem for path in (folder or FOLDER).glob("*.yaml")))


def read_making(name: str, folder: Path | None = None) -> Making:
    """How a network is made.

    Raises:
        UnknownNameError: none of that name is described.
        WeightsError: the description cannot be used; names the key that is wrong.
    """
    path = (folder or FOLDER) / f"{name}.yaml"
    if not path.is_file():
        raise UnknownNameError("description of a network", name, list_makings(folder))
    try:
        return Making.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (ValidationError, yaml.YAMLError) as error:
        raise WeightsError(f"{path}: does not say how a network is made: {error}") from error


def list_shipped(folder: Path | None = None) -> tuple[str, ...]:
    """Names of the networks whose weights come with the package."""
    return tuple(name for name in list_makings(folder) if read_making(name, folder).sha256 is not None)


def shipped_file(name: str, folder: Path | None = None) -> Path | None:
    """The weight file of a network that ships; None where `name` is none.

    Raises:
        WeightsError: it is described as made, and its file is missing.
    """
    if name not in list_shipped(folder):
        return None
    path = (folder or FOLDER) / f"{name}.safetensors"
    if not path.is_file():
        raise WeightsError(
            f"{name}: comes with OmniReID, but {path} is missing: install the package again "
            "(pip install --force-reinstall omnireid)"
        )
    return path


def shipped_cards() -> tuple[ModelCard, ...]:
    """Cards of the networks that ship, as their files state them, with the hash of the file."""
    return _cards(FOLDER)


@cache
def _cards(folder: Path) -> tuple[ModelCard, ...]:
    from safetensors import safe_open

    cards = []
    for name in list_shipped(folder):
        path = shipped_file(name, folder)
        with safe_open(path, framework="numpy") as file:
            header = json.loads(file.metadata()[METADATA_KEY])
        card = ModelCard.from_json(json.dumps(header["card"]), source=str(path))
        cards.append(card.model_copy(update={"sha256": read_making(name, folder).sha256}))
    return tuple(cards)

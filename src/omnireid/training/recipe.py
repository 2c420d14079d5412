"""Recipes: a training run as a typed, closed YAML file.

A recipe states everything that decides the weights. `extends: NAME` takes another recipe and changes
what is written below it, key by key. Unknown keys fail and name the nearest known one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from omnireid.core.card import InputSpec
from omnireid.core.closed import ClosedModel
from omnireid.core.display import short_repr
from omnireid.core.errors import ConfigError, UnknownNameError
from omnireid.data.samplers import SAMPLERS
from omnireid.data.strengths import Appearance
from omnireid.losses.table import LOSSES, LossSpec
from omnireid.training.recipe_keys import explain

AugmentationName = Literal[
    "flip",
    "translate",
    "random_crop",
    "random_patch",
    "soft_erase",
    "patch_mix",
    "color_shift",
    "grey",
    "coarsen",
    "levels",
    "sharpen",
    "trivial_augment",
    "augmix",
    "color_jitter",
    "random_erase",
]

AVERAGE = "average"
"""The peer that is the running average of a network's own weights."""


class SamplerRecipe(ClosedModel):
    """`random`: each image once per epoch. `pk`: identities × instances in a batch (P×K); `pk_camera` takes
    the instances from different cameras, `pk_dataset` as many identities from each dataset.

    `camera` and `dataset` share a batch out evenly among `num_groups` cameras, or among the sources of a
    training on several datasets. Samplers of other packages (`SAMPLERS`) have their options beside these.
    """

    model_config = ConfigDict(extra="allow")

    name: str = "random"
    batch_size: int = Field(64, gt=1)
    num_instances: int = Field(4, gt=1)
    num_groups: int = Field(2, gt=0)

    @model_validator(mode="after")
    def _of_the_table(self) -> SamplerRecipe:
        spec = SAMPLERS.get(self.name)
        _refuse_unknown(self.model_extra or {}, spec.options)
        if spec.share is not None and self.batch_size % (share := self.options()[spec.share]):
            raise ValueError(f"batch_size {self.batch_size} is no multiple of {spec.share} {share}")
        return self

    def options(self) -> dict[str, Any]:
        """The options of the sampler of this name."""
        return {
            name: getattr(self, name, default) for name, default in SAMPLERS.get(self.name).options.items()
        }


@dataclass(frozen=True)
class LossTerm:
    """One loss of a weighted sum, with its options."""

    spec: LossSpec
    weight: float
    options: dict[str, Any]


class LossRecipe(ClosedModel):
    """Weighted sum of losses (`LOSSES`); weight 0 leaves one out.

    Label-smoothed cross entropy, batch-hard triplet loss and consistency stand here with their options.
    `consistency` holds the class predictions on each crop and on two AugMix views of it together; the others
    look at the crops alone. Any other loss of the table is written by its name: `circle: 0.5`, or with its
    options `circle: {weight: 0.5, scale: 64}`.
    """

    model_config = ConfigDict(extra="allow")

    cross_entropy: float = Field(1.0, ge=0)
    label_smoothing: float = Field(0.1, ge=0, lt=1)
    triplet: float = Field(0.0, ge=0)
    margin: float = Field(0.3, ge=0)
    consistency: float = Field(0.0, ge=0)

    @model_validator(mode="after")
    def _of_the_table(self) -> LossRecipe:
        if self.model_extra:
            _refuse_unknown(self.model_extra, LOSSES.names())
        terms = self.terms()
        if not any(term.spec.teaches for term in terms):
            raise ValueError("cross_entropy and triplet are both 0: nothing would be learned")
        if not any(term.spec.trains_classifier for term in terms):
            for term in (term for term in terms if term.spec.needs_classifier):
                raise ValueError(
                    f"{term.spec.name} compares class predictions, which a cross_entropy weight of 0 leaves "
                    "untrained"
                )
        return self

    def terms(self) -> tuple[LossTerm, ...]:
        """What is summed, in the order of the table."""
        ours = (spec for spec in LOSSES.ours.values() if spec.name in type(self).model_fields)
        terms = [
            LossTerm(spec, getattr(self, spec.name), {name: getattr(self, name) for name in spec.options})
            for spec in ours
        ]
        terms += [_other_loss(name, value) for name, value in (self.model_extra or {}).items()]
        return tuple(term for term in terms if term.weight)

    def trains_classifier(self) -> bool:
        return any(term.spec.trains_classifier for term in self.terms())


def _other_loss(name: str, value: Any) -> LossTerm:
    spec = LOSSES.get(name)
    given = dict(value) if isinstance(value, Mapping) else {"weight": value}
    weight = given.pop("weight", 1.0)
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight < math.inf:
        raise ValueError(f"{name}: a weight of at least 0, or {{weight: …, option: …}}, got {value!r}")
    for option in given:
        if option not in spec.options:
            raise UnknownNameError(f"option of the loss {name!r}", option, ("weight", *spec.options))
    return LossTerm(spec, float(weight), {**spec.options, **given})


def _refuse_unknown(given: Iterable[str], known: Iterable[str]) -> None:
    """Refuse keys that the fields do not have and the table does not know, as pydantic does the others."""
    for name in given:
        if name not in known:
            raise PydanticCustomError("extra_forbidden", "unknown key", {"key": name})


class OptimiserRecipe(ClosedModel):
    name: Literal["sgd", "amsgrad"] = "amsgrad"
    lr: float = Field(0.0015, gt=0)
    weight_decay: float = Field(5e-4, ge=0)
    momentum: float = Field(0.9, ge=0, lt=1)
    betas: tuple[float, float] = (0.9, 0.999)
    clip_norm: float = Field(0.0, ge=0, description="longest gradient of all weights together; 0: any")


class ScheduleRecipe(ClosedModel):
    """Learning rate over the run.

    `step` multiplies by `gamma` at each milestone (epochs); `cosine` falls to zero at the last epoch.
    `warmup_epochs` raise it linearly from `warmup_factor` × lr. `interval` says how often it changes:
    once an epoch, as the published recipes do, or at every step.
    """

    name: Literal["step", "cosine"] = "step"
    milestones: tuple[int, ...] = ()
    gamma: float = Field(0.1, gt=0, le=1)
    warmup_epochs: float = Field(0.0, ge=0)
    warmup_factor: float = Field(0.1, gt=0, le=1)
    interval: Literal["epoch", "step"] = "epoch"


class TemperatureRecipe(ClosedModel):
    """Of a search (`model_options.instance_norm`): how even the candidates' parts in a step are. It is
    `first`, times `factor` after every `every` epochs, and never below `last`.
    """

    first: float = Field(10.0, gt=0)
    factor: float = Field(0.5, gt=0, le=1)
    every: int = Field(20, gt=0)
    last: float = Field(1.0, gt=0)


class EvaluationRecipe(ClosedModel):
    distance: Literal["euclidean", "sq_euclidean", "cosine"] = "euclidean"
    normalise: bool = False
    every: int = Field(0, ge=0, description="evaluate after this many epochs; 0: only at the end")


class Recipe(ClosedModel):
    """Everything that decides the weights of one training run."""

    name: str
    source: str = ""
    model: str
    model_options: dict[str, Any] = Field(default_factory=dict)
    initial_weights: str | None = None
    teacher: str | None = Field(None, description="model file that the losses teacher_… learn from")
    peer: str | None = Field(
        None, description="network beside which it learns, by loss.mutual: an architecture, or 'average'"
    )
    peer_options: dict[str, Any] = Field(default_factory=dict)
    input: InputSpec = InputSpec()
    sampler: SamplerRecipe = SamplerRecipe()
    augmentation: tuple[AugmentationName, ...] = ("flip",)
    appearance: Appearance = Appearance()
    loss: LossRecipe = LossRecipe()
    optimiser: OptimiserRecipe = OptimiserRecipe()
    schedule: ScheduleRecipe = ScheduleRecipe()
    temperature: TemperatureRecipe = TemperatureRecipe()
    epochs: int = Field(gt=0)
    frozen_epochs: int = Field(0, ge=0, description="first epochs in which only the classifier learns")
    frozen_stages: dict[str, int] = Field(
        default_factory=dict, description="first epochs in which a stage of the network does not learn"
    )
    average_decay: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="the result is a running average of the weights; 0: those of the last step",
    )
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    fused: bool = Field(
        False, description="OSNet on a CPU learns by fused kernels: faster, equal to rounding"
    )
    sync_batch_norm: bool = Field(False, description="on several devices: normalise over the whole batch")
    evaluation: EvaluationRecipe = EvaluationRecipe()
    seed: int = Field(1, ge=0)

    __repr__ = __str__ = short_repr

    @model_validator(mode="after")
    def _consistent(self) -> Recipe:
        for spec in (term.spec for term in self.loss.terms()):
            if spec.needs_several and not SAMPLERS.get(self.sampler.name).gives_several:
                raise ValueError(
                    f"{spec.name} loss needs several images of a person in a batch: set sampler.name to pk"
                )
            if spec.needs_views and "augmix" not in self.augmentation:
                raise ValueError(
                    f"loss.{spec.name} compares a crop with views of it that augmix makes: add augmix to "
                    f"augmentation, or set loss.{spec.name} to 0"
                )
        self._check_peer()
        learning = [term.spec.name for term in self.loss.terms() if term.spec.needs_teacher]
        if learning and self.teacher is None:
            raise ValueError(
                f"loss.{learning[0]} learns from a teacher: give --teacher MODEL, or set teacher"
            )
        if self.teacher is not None and not learning:
            names = [f"loss.{name}" for name in LOSSES.names() if LOSSES.get(name).needs_teacher]
            raise ValueError(f"teacher: no loss learns from it; give a weight to {' or '.join(names)}")
        if {"random_erase", "soft_erase"} <= set(self.augmentation):
            raise ValueError("random_erase and soft_erase are two forms of the same augmentation: choose one")
        if self.frozen_epochs and not self.loss.trains_classifier():
            raise ValueError(
                "frozen_epochs train the classifier, which a cross_entropy weight of 0 switches off"
            )
        if self.fused and self.sync_batch_norm:
            raise ValueError(
                "fused steps have batch norms of their own: set sync_batch_norm or fused, not both"
            )
        if self.fused and self.precision != "32-true":
            raise ValueError(
                f"fused steps compute in float32: set precision to 32-true, not {self.precision}"
            )
        if self.frozen_epochs >= self.epochs:
            raise ValueError(
                f"frozen_epochs {self.frozen_epochs} leave none of {self.epochs} epochs for the base"
            )
        late = [name for name, epochs in self.frozen_stages.items() if not 0 <= epochs < self.epochs]
        if late:
            raise ValueError(f"frozen_stages {', '.join(late)}: from 0 to {self.epochs - 1} epochs")
        return self

    def _check_peer(self) -> None:
        learning = [term.spec.name for term in self.loss.terms() if term.spec.needs_peer]
        if learning and self.peer is None:
            raise ValueError(
                f"loss.{learning[0]} learns from a network beside: set peer to an architecture, or to "
                f"{AVERAGE!r} for the running average of its own weights"
            )
        if self.peer is not None and not learning:
            raise ValueError("peer: no loss learns from it; give a weight to loss.mutual")
        if self.peer == AVERAGE and not self.average_decay:
            raise ValueError(f"peer {AVERAGE!r} is the running average of the weights: set average_decay")
        if self.peer_options and self.peer in (None, AVERAGE):
            raise ValueError("peer_options: no effect without a peer that is a network of its own")


def with_defaults(values: dict[str, Any]) -> dict[str, Any]:
    """A recipe as plain values, with the defaults of keys that were not there yet when it was written."""
    return _merge(Recipe(name="", model="", epochs=1).model_dump(mode="json"), values)


def recipe_folder() -> Path:
    """Where the recipes lie: inside an installed wheel, or beside `src` in a source tree."""
    installed = Path(str(resources.files("omnireid"))) / "recipes"
    return installed if installed.is_dir() else Path(__file__).resolve().parents[3] / "recipes"


def list_recipes() -> tuple[str, ...]:
    """Names of the recipes that come with the package."""
    return tuple(sorted(path.stem for path in recipe_folder().glob("*.yaml")))


def load_recipe(name_or_path: str | Path, overrides: dict[str, Any] | None = None) -> Recipe:
    """Read a recipe by name or from a YAML file.

    Args:
        overrides: values that replace the file's, by dotted key: `{"optimiser.lr": 0.01}`.

    Raises:
        UnknownNameError: no such recipe.
        ConfigError: not valid YAML, an unknown key (the nearest known one is named) or a bad value.
    """
    values = _read_chain(name_or_path, seen=())
    for dotted, value in (overrides or {}).items():
        _assign(values, dotted, value)
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        lines = [explain(problem, Recipe) for problem in error.errors()]
        raise ConfigError(f"recipe {name_or_path}: " + "; ".join(lines)) from error


def _read_chain(name_or_path: str | Path, *, seen: tuple[Path, ...]) -> dict[str, Any]:
    path = _find(name_or_path, beside=seen[-1].parent if seen else None)
    if path in seen:
        raise ConfigError(f"recipe {path}: extends itself through {', '.join(map(str, seen))}")
    values = _read_yaml(path)
    parent = values.pop("extends", None)
    values.setdefault("name", path.stem)
    return values if parent is None else _merge(_read_chain(parent, seen=(*seen, path)), values)


def _find(name_or_path: str | Path, *, beside: Path | None) -> Path:
    text = str(name_or_path)
    if Path(text).suffix in (".yaml", ".yml"):
        path = Path(text) if beside is None else beside / text
        if not path.is_file():
            raise ConfigError(f"recipe {text}: no such file")
        return path.resolve()
    path = recipe_folder() / f"{text}.yaml"
    if not path.is_file():
        raise UnknownNameError("recipe", text, list_recipes())
    return path


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"recipe {path}: not valid YAML: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"recipe {path}: expected keys and values, found {type(values).__name__}")
    return values


def _merge(base: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in change.items():
        both_sections = isinstance(value, dict) and isinstance(base.get(key), dict)
        merged[key] = _merge(base[key], value) if both_sections else value
    return merged


def _assign(values: dict[str, Any], dotted: str, value: Any) -> None:
    *parents, key = dotted.split(".")
    for name in parents:
        values = values.setdefault(name, {})
        if not isinstance(values, dict):
            raise ConfigError(f"option {dotted}: {name!r} has no keys below it")
    values[key] = value

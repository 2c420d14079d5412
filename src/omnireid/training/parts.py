"""What a recipe says of a network in training: its labels, losses and teacher, and which stages learn."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from omnireid.core.arrays import Float32
from omnireid.core.errors import (
    ConfigError,
    DatasetError,
    InputError,
    OmniReIDWarning,
    ShapeError,
    UnknownNameError,
)
from omnireid.core.types import Sample, label_map
from omnireid.losses.table import Loss, Taught
from omnireid.models.classifier import IdentityClassifier
from omnireid.models.network import Network
from omnireid.training.recipe import LossRecipe, Recipe


def training_labels(split: str, kept: Sequence[Sample]) -> torch.Tensor:
    """(N,) int64, the class of each sample; of samples with attributes (N, A) float32.

    Raises:
        DatasetError: one person alone, or samples with different numbers of attributes.
    """
    counts = sorted({len(sample.attributes) for sample in kept})
    if len(counts) > 1:
        raise DatasetError(
            f"training split {split!r} has samples with {counts[0]} and {counts[-1]} attributes"
        )
    classes = label_map([sample.pid for sample in kept])
    if len(classes) < 2:
        raise DatasetError(
            f"training split {split!r} has {len(classes)} person(s); training needs at least 2"
        )
    if counts[0]:
        return torch.tensor([sample.attributes for sample in kept], dtype=torch.float32)
    return torch.tensor([classes[sample.pid] for sample in kept])


def build_losses(
    recipe: LossRecipe, network: IdentityClassifier, teacher_size: int = 0, shares: Tensor | None = None
) -> list[tuple[str, float, Loss]]:
    """Each loss of a recipe with its name and weight; those that are modules join the network.

    Args:
        teacher_size: E, how long a teacher's embeddings are; 0 without one.
        shares: (A,) of the training pictures that have each attribute; None where they show identities.

    Raises:
        InputError: a loss needs a teacher, and there is none; or it learns identities where the samples have
            attributes, or the other way round.
    """
    losses = []
    for term in recipe.terms():
        if term.spec.of_attributes != (shares is not None):
            raise InputError(
                f"loss.{term.spec.name} learns attributes, and the samples have none"
                if shares is None
                else f"loss.{term.spec.name} learns identities, and the samples have attributes: "
                f"--set loss.{term.spec.name}=0 --set loss.attributes=1"
            )
        if term.spec.needs_teacher and not teacher_size:
            raise InputError(
                f"loss.{term.spec.name} learns from a teacher: give its embeddings of the samples as teacher "
                "(omnireid.experiment.teaching.teacher_embeddings makes them)"
            )
        size = network.backbone.config.embedding_size
        options: dict[str, Any] = {"embedding_size": size} if term.spec.takes_embedding_size else {}
        if term.spec.of_attributes:
            options["shares"] = shares
        if term.spec.needs_teacher and term.spec.takes_embedding_size:
            options["teacher_size"] = teacher_size
        loss = term.spec.make(network.classifier.out_features, **options, **term.options)
        if isinstance(loss, nn.Module):
            network.losses[term.spec.name] = loss
        losses.append((term.spec.name, term.weight, loss))
    return losses


def taught_by(embeddings: Float32, labels: Tensor, device: torch.device) -> Taught:
    """What a teacher says of all training pictures, whose embeddings stay on the CPU.

    The pictures as they are: what augmentation does to them, the teacher does not see.

    Args:
        embeddings: (N, E) of unit norm, of every picture.
        labels: (N,) int64.
        device: where the mean embedding of each identity lies.

    Raises:
        ShapeError: another number of embeddings than of pictures.
    """
    if embeddings.ndim != 2 or len(embeddings) != len(labels):
        raise ShapeError("teacher", expected=(len(labels), "E"), actual=embeddings.shape)
    rows = torch.from_numpy(embeddings)
    sums = torch.zeros(int(labels.max()) + 1, rows.shape[1]).index_add_(0, labels, rows)
    return Taught(rows, F.normalize(sums, dim=1).to(device))


def warn_of_collapse(recipe: LossRecipe, network: Network) -> None:
    """Warn before training from scratch with losses that embeddings of no length would make small."""
    falling = [term.spec.name for term in recipe.terms() if term.spec.falls_with_length]
    if falling and not network.config.neck:
        warnings.warn(
            f"loss.{falling[0]} from scratch without a neck: embeddings shrink to one point before they tell "
            "people apart. Add --set model_options.neck=true, start from weights (--init), or set "
            f"loss.{falling[0]} to 0",
            OmniReIDWarning,
            stacklevel=3,
        )


def check_stages(network: Network, names: Iterable[str]) -> None:
    """Refuse names of stages that the network does not have.

    Raises:
        UnknownNameError: names the nearest.
    """
    for name in names:
        if name not in network.stages():
            raise UnknownNameError("stage of frozen_stages", name, network.stages())


def fuse(network: Network, name: str) -> None:
    """Have a network learn by fused kernels.

    Raises:
        ConfigError: it is no OSNet, or one that is searched.
    """
    # It takes half a second to import.
    from omnireid.training.fused.network import fuse_training

    if not fuse_training(network, torch.get_num_threads()):
        raise ConfigError(
            f"fused: {name} has no fused steps, an OSNet that is not searched has: set fused to false"
        )


def set_mode(network: IdentityClassifier, recipe: Recipe, epoch: int) -> None:
    """Train everything but what still rests: the base in `frozen_epochs`, single stages in `frozen_stages`.

    What rests is in evaluation mode, so that the statistics of its norms stay, too.

    Args:
        epoch: epochs done.
    """
    network.train()
    _set(network.backbone, learns=epoch >= recipe.frozen_epochs)
    for name, epochs in recipe.frozen_stages.items():
        if epoch < epochs:
            _set(network.backbone.stages()[name], learns=False)


def _set(module: nn.Module, *, learns: bool) -> None:
    module.train(learns)
    module.requires_grad_(learns)

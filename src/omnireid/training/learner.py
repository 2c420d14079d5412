"""A network that learns: one step of training, and what a checkpoint keeps of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from omnireid.core.arrays import Float32
from omnireid.core.seeds import derive_seed
from omnireid.data.augmentation import Augmentation
from omnireid.data.loading import Batch
from omnireid.losses.table import LossBatch
from omnireid.models.batch_norms import folded_norms, restore_statistics
from omnireid.models.choice import choices
from omnireid.models.classifier import ClassifierOutput, IdentityClassifier
from omnireid.models.network import Network
from omnireid.models.registry import build_model
from omnireid.training.averaging import weight_average
from omnireid.training.checkpoint import Checkpoint
from omnireid.training.optimisers import build_optimiser
from omnireid.training.parts import build_losses, check_stages, fuse, taught_by
from omnireid.training.recipe import AVERAGE, Recipe
from omnireid.training.schedule import temperature
from omnireid.training.together import Team


class Learner:
    """A recipe's network with its losses and its optimiser, on one device of a team.

    Args:
        labels: (N,) int64, the class of every training picture; or (N, A) float32, its attributes.
        device: where it computes; the team decides which of several.
        initial: network to start from; None initialises one from the recipe's seed.
        teacher: (N, E) float32, another network's embeddings of the pictures; None without one.

    Attributes:
        augmentation: what training does to crops; it may have a state.
        members: the network and the one that learns beside it, as far as there is one.
        fabric: Lightning's, on this process's device.
        optimiser: its parameter groups take the learning rate.
    """

    def __init__(
        self,
        recipe: Recipe,
        labels: Tensor,
        team: Team,
        *,
        device: torch.device,
        initial: Network | None,
        teacher: Float32 | None,
    ) -> None:
        self.recipe = recipe
        self.team = team
        self.labels = labels
        self.augmentation = _augmentation(recipe)
        self.plain = Augmentation((), recipe.input)
        self.fabric = team.fabric(device)
        of_attributes = labels.ndim == 2
        num_outputs = labels.shape[1] if of_attributes else int(labels.max()) + 1
        network = _build_network(recipe, num_outputs, initial)
        check_stages(network.backbone, recipe.frozen_stages)
        self.members = [network] if network.peer is None else [network, network.peer]
        self.choices = choices(network)
        teacher_size = 0 if teacher is None else teacher.shape[1]
        shares = labels.mean(dim=0) if of_attributes else None
        self.losses = [build_losses(recipe.loss, member, teacher_size, shares) for member in self.members]
        # A third faster than channels-first on CPUs (docs/benchmarks/training.md); crops arrive so.
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it
        if recipe.fused:
            for member, name in zip(self.members, (recipe.model, str(recipe.peer)), strict=False):
                fuse(member.backbone, name)
        team.prepare(network)
        optimiser = build_optimiser(network, recipe.optimiser)
        self.network, self.optimiser = self.fabric.setup(network, optimiser)
        self.average = weight_average(self.classifier, recipe.average_decay) if recipe.average_decay else None
        self.teacher = None if teacher is None else taught_by(teacher, labels, self.fabric.device)

    @property
    def classifier(self) -> IdentityClassifier:
        module = self.network.module
        assert isinstance(module, IdentityClassifier)
        return module

    @property
    def result(self) -> IdentityClassifier:
        """What is evaluated and saved: the network, or the average of its weights."""
        if self.average is None:
            return self.classifier
        module = self.average.module
        assert isinstance(module, IdentityClassifier)
        return module

    def state(self) -> dict[str, Any]:
        """What a `Checkpoint` keeps of it, by field."""
        return {
            "model": self.classifier.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "augmentation": self.augmentation.state_dict(),
            "average": {} if self.average is None else self.average.state_dict(),
            "precision": self.fabric.strategy.precision.state_dict(),
        }

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on from what `state` gave; what torch raises where it does not fit passes through."""
        self.classifier.load_state_dict(checkpoint.model)
        self.optimiser.load_state_dict(checkpoint.optimiser)
        self.augmentation.load_state_dict(checkpoint.augmentation)
        if self.average is not None:
            self.average.load_state_dict(checkpoint.average)
        if checkpoint.precision:
            self.fabric.strategy.precision.load_state_dict(checkpoint.precision)

    def needs_statistics(self) -> bool:
        """Whether the initial weights have batch norms that were folded into their convolutions."""
        return bool(folded_norms(self.classifier.backbone))

    def restore_statistics(self, batches: Iterable[Batch]) -> int:
        """Measure on training pictures what folded batch norms have lost; gives how many norms there are."""
        # Pictures as training sees them, by an augmentation of its own: the run's has a state.
        augmentation = _augmentation(self.recipe)

        def pictures() -> Iterator[Tensor]:
            for step, batch in enumerate(batches):
                generator = torch.Generator().manual_seed(derive_seed(self.recipe.seed, "statistics", step))
                yield augmentation(torch.from_numpy(batch.crops).to(self.fabric.device), generator)

        return restore_statistics(self.classifier.backbone, pictures())

    def set_rate(self, lr: float) -> None:
        """Learn at this rate from the next step on."""
        for group in self.optimiser.param_groups:
            group["lr"] = lr

    def step(self, epoch: int, step: int, batch: Batch) -> dict[str, Tensor]:
        """Learn from one batch; gives loss, parts of it and accuracy, each () on the device."""
        which = (epoch, step, *self.team.rank.chance)
        generator = torch.Generator().manual_seed(derive_seed(self.recipe.seed, "augmentation", *which))
        crops = torch.from_numpy(batch.crops).to(self.fabric.device, non_blocking=True)
        rows = torch.from_numpy(batch.indices)
        labels = self.labels[rows].to(self.fabric.device, non_blocking=True)
        images = self.augmentation(crops, generator)
        # The same in every process: they train one network.
        chance = torch.Generator().manual_seed(derive_seed(self.recipe.seed, "choices", epoch, step))
        for choice in self.choices.values():
            choice.draw(temperature(self.recipe, epoch), chance)
        average = self._of_average(images[: len(labels)])
        loss, parts = self._losses(self.network(images), average, labels, rows)
        self.optimiser.zero_grad(set_to_none=True)
        self.fabric.backward(loss)
        self.team.average_gradients(self.optimiser)
        if self.recipe.optimiser.clip_norm:
            self.fabric.clip_gradients(
                self.network,
                self.optimiser,
                max_norm=self.recipe.optimiser.clip_norm,
                error_if_nonfinite=False,
            )
        self.optimiser.step()
        if self.average is not None:
            self.average.update_parameters(self.classifier)
        return {"loss": loss.detach(), **{name: part.detach() for name, part in parts.items()}}

    def _losses(
        self, outputs: ClassifierOutput, average: Tensor | None, labels: Tensor, rows: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """What is minimised, and its parts with the accuracy: of the whole batch, whatever device it is on.

        Args:
            outputs: of this process's crops, all views.
            average: as `_of_average`.
            labels: (n,) int64, classes of this process's crops, or (n, A) float32, their attributes.
            rows: (n,) int64, their places.
        """
        members = [self._gathered(output, len(labels)) for output in (outputs, outputs.peer) if output]
        labels = self.team.gather(labels)
        beside = [average]
        if len(members) > 1:
            beside = [member.logits[: len(labels)].detach() for member in reversed(members)]
        taught = None
        if self.teacher is not None:
            own = self.teacher.embeddings[rows].to(self.fabric.device, non_blocking=True)
            taught = replace(self.teacher, embeddings=self.team.gather(own))
        loss = labels.new_zeros((), dtype=torch.float32)
        parts: dict[str, Tensor] = {}
        for number, (all_views, peer_logits) in enumerate(zip(members, beside, strict=True)):
            # The first view is the crops themselves: what identities are learned from.
            embeddings, logits, necked = (values[: len(labels)] for values in all_views[:3])
            given = LossBatch(
                embeddings,
                logits,
                labels,
                all_views.logits.view(-1, *logits.shape),
                necked,
                self.members[number].classifier.weight,
                taught,
                peer_logits,
            )
            whose = "peer " if number else ""
            for name, weight, part in self.losses[number]:
                parts[whose + name] = part(given)
                loss = loss + weight * parts[whose + name]
            said = logits > 0 if labels.ndim == 2 else logits.argmax(dim=1)
            parts[f"{whose}accuracy"] = (said == labels).float().mean()
        return loss, parts

    def _gathered(self, output: ClassifierOutput, num_crops: int) -> ClassifierOutput:
        embeddings, logits, necked = (self.team.gather_views(values, num_crops) for values in output[:3])
        return ClassifierOutput(embeddings, logits, necked)

    def _of_average(self, images: Tensor) -> Tensor | None:
        """(N, C) what the average of the weights predicts, where the network learns from that."""
        if self.average is None or self.recipe.peer != AVERAGE:
            return None
        with torch.no_grad(), self.fabric.autocast():
            return self.team.gather(self.average(images).logits.float())

    def search(self, epoch: int) -> dict[str, float]:
        """What the history keeps of a search: its temperature, and how probable each candidate is."""
        if not self.choices:
            return {}
        shares = {
            f"{name.removeprefix('backbone.')}/{candidate}": share
            for name, choice in self.choices.items()
            for candidate, share in choice.shares().items()
        }
        return {"temperature": temperature(self.recipe, epoch), **shares}

    def end_epoch(self) -> None:
        """Let all processes have what a checkpoint keeps of the first."""
        self.team.end_epoch(self.augmentation, self.classifier, self.average)


def _augmentation(recipe: Recipe) -> Augmentation:
    # For consistency, two AugMix views beside each crop (Hendrycks et al., ICLR 2020).
    num_views = 3 if any(term.spec.needs_views for term in recipe.loss.terms()) else 1
    return Augmentation(recipe.augmentation, recipe.input, num_views=num_views, appearance=recipe.appearance)


def _build_network(recipe: Recipe, num_pids: int, initial: Network | None) -> IdentityClassifier:
    # Initialisation draws from torch's global generator: seed a copy of it and put the old one back.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(recipe.seed, "initialisation"))
        backbone = initial if initial is not None else build_model(recipe.model, **recipe.model_options)
        network = IdentityClassifier(backbone, num_pids)
        if recipe.peer not in (None, AVERAGE):
            network.peer = IdentityClassifier(build_model(recipe.peer, **recipe.peer_options), num_pids)
        return network

"""The training loop: from a recipe and samples to weights with a card."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from filelock import FileLock, Timeout
from lightning_fabric import Fabric
from rich.console import Console
from torch.utils.tensorboard import SummaryWriter

from omnireid.core.card import ModelCard
from omnireid.core.errors import DatasetError, TrainingError
from omnireid.core.files import sha256_file, write_text
from omnireid.core.machine import available_cores
from omnireid.core.progress import progress_bar
from omnireid.core.record import TrainingRecord
from omnireid.core.seeds import derive_seed
from omnireid.core.types import Sample, Split, label_map
from omnireid.data.augmentation import Augmentation
from omnireid.data.loading import Batch, CropLoader
from omnireid.data.samplers import GroupSampler, PKSampler, RandomSampler
from omnireid.inference.backends.torch_eager import choose_device
from omnireid.losses import CrossEntropyLabelSmooth, HardTripletLoss, jensen_shannon
from omnireid.models.cards import model_card
from omnireid.models.classifier import IdentityClassifier
from omnireid.models.osnet import OSNet
from omnireid.models.registry import build_model
from omnireid.models.weights import save_weights
from omnireid.training.checkpoint import Checkpoint, check_resumable, load_checkpoint, save_checkpoint
from omnireid.training.optimisers import build_optimiser
from omnireid.training.recipe import Recipe
from omnireid.training.schedule import learning_rate

DEFAULT_CACHE_BYTES = 2 << 30

EpochEvaluation = Callable[[OSNet, int], dict[str, float]]


@dataclass(frozen=True)
class TrainedModel:
    """What a run leaves behind. `skipped` names pictures that could not be decoded, with the reason."""

    model: OSNet
    card: ModelCard
    weights: Path
    record: TrainingRecord
    skipped: tuple[str, ...]


@dataclass
class _Meter:
    """Running sums of one epoch."""

    images: int = 0
    sums: dict[str, float] = field(default_factory=dict)

    def add(self, values: dict[str, float], images: int) -> None:
        self.images += images
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + value * images

    def means(self) -> dict[str, float]:
        return {name: total / self.images for name, total in self.sums.items()}


def train(
    recipe: Recipe,
    samples: Split,
    run_dir: Path,
    *,
    initial: OSNet | None = None,
    training_data: str = "",
    device: str = "auto",
    threads: int | None = None,
    resume: bool = False,
    on_bad: Literal["error", "skip"] = "error",
    cache_bytes: int = DEFAULT_CACHE_BYTES,
    evaluate: EpochEvaluation | None = None,
    console: Console | None = None,
) -> TrainedModel:
    """Train a network and leave its weights, history and checkpoint in `run_dir`.

    On the CPU the weights are a function of (recipe, samples) alone, bit for bit, also when the run was
    interrupted and resumed any number of times.

    Args:
        samples: training split; pids below 0 (junk) are left out.
        run_dir: gets `model.safetensors`, `checkpoint.pt`, `history.jsonl`, `recipe.json`, `tensorboard/`.
        initial: network to start from; None initialises one from the recipe's seed.
        training_data: what the card says the weights were trained on.
        device: "auto" (CUDA, then MPS, then the CPU), "cpu", "cuda", "cuda:1" or "mps".
        threads: decoding threads; None for one per core.
        resume: go on from `run_dir/checkpoint.pt`.
        on_bad: what to do with a picture that cannot be decoded.
        evaluate: called with the network and the epochs done, every `recipe.evaluation.every` epochs; its
            values join the history.

    Raises:
        InputError: a device that is not there.
        StorageError: the disk is full; the last epoch's checkpoint is kept.
        TrainingError: the loss is not finite (the batch is named), the checkpoint belongs to another run,
            or another process trains in `run_dir`.
        ImageError: a picture cannot be decoded and `on_bad` is "error".
    """
    run_dir.mkdir(parents=True, exist_ok=True)
    with _only_writer(run_dir):
        run = _Run(
            recipe,
            samples,
            run_dir,
            initial=initial,
            device=device,
            threads=threads,
            on_bad=on_bad,
            cache_bytes=cache_bytes,
        )
        if resume:
            run.restore(load_checkpoint(run_dir / "checkpoint.pt"))
        run.fit(evaluate, console)
        return run.finish(training_data)


class _Run:
    """One run in progress: network, optimiser, loader and history."""

    def __init__(
        self,
        recipe: Recipe,
        samples: Split,
        run_dir: Path,
        *,
        initial: OSNet | None,
        device: str,
        threads: int | None,
        on_bad: Literal["error", "skip"],
        cache_bytes: int,
    ) -> None:
        kept = tuple(sample for sample in samples if sample.pid >= 0)
        self.recipe = recipe
        self.run_dir = run_dir
        self.paths = [sample.path for sample in kept]
        pids = np.array([sample.pid for sample in kept], dtype=np.int64)
        labels = label_map(pids)
        if len(labels) < 2:
            raise DatasetError(
                f"training split {samples.name!r} has {len(labels)} person(s); training needs at least 2"
            )
        self.labels = torch.tensor([labels[int(pid)] for pid in pids])
        self.num_pids = len(labels)
        self.data_digest = _digest(kept)
        self.history: list[dict[str, float]] = []

        self.sampler = _build_sampler(recipe, kept)
        if not self.sampler.batches(0):
            raise DatasetError(
                f"{len(kept)} training images do not fill one batch of {recipe.sampler.batch_size}"
            )
        self.loader = CropLoader(
            kept,
            recipe.input,
            threads=threads or available_cores(),
            on_bad=on_bad,
            refill=True,
            cache_bytes=cache_bytes,
        )
        # For consistency, two AugMix views beside each crop (Hendrycks et al., ICLR 2020).
        num_views = 3 if recipe.loss.consistency else 1
        self.augmentation = Augmentation(recipe.augmentation, recipe.input, num_views=num_views)

        where = torch.device(choose_device(device))
        devices = 1 if where.index is None else [where.index]
        self.fabric = Fabric(accelerator=where.type, devices=devices, precision=recipe.precision)
        network = _build_network(recipe, self.num_pids, initial)
        # A third faster than channels-first on CPUs (benchmarks/README.md); crops arrive in this layout.
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it
        optimiser = build_optimiser(network, recipe.optimiser)
        self.network, self.optimiser = self.fabric.setup(network, optimiser)
        self.cross_entropy = CrossEntropyLabelSmooth(self.num_pids, smoothing=recipe.loss.label_smoothing)
        self.triplet = HardTripletLoss(margin=recipe.loss.margin)

    @property
    def classifier(self) -> IdentityClassifier:
        module = self.network.module
        assert isinstance(module, IdentityClassifier)
        return module

    def restore(self, checkpoint: Checkpoint) -> None:
        check_resumable(checkpoint, self.recipe.model_dump(mode="json"), self.data_digest)
        self.classifier.load_state_dict(checkpoint.model)
        self.optimiser.load_state_dict(checkpoint.optimiser)
        self.augmentation.load_state_dict(checkpoint.augmentation)
        self.history = list(checkpoint.history)

    def fit(self, evaluate: EpochEvaluation | None, console: Console | None) -> None:
        write_text(self.run_dir / "recipe.json", self.recipe.model_dump_json(indent=2) + "\n")
        first = len(self.history)
        writer = SummaryWriter(str(self.run_dir / "tensorboard"), purge_step=first)
        try:
            with progress_bar(console) as bar:
                task = bar.add_task(
                    "training",
                    total=self.recipe.epochs * self._images_per_epoch(),
                    completed=first * self._images_per_epoch(),
                )
                for epoch in range(first, self.recipe.epochs):
                    row = self._epoch(epoch, lambda images: bar.advance(task, images))
                    every = self.recipe.evaluation.every
                    if evaluate is not None and every and (epoch + 1) % every == 0:
                        row |= evaluate(self.classifier.backbone, epoch + 1)
                    self._close_epoch(row, writer)
                    bar.console.print(_line(row, self.recipe.epochs)) if console else None
        finally:
            writer.close()

    def _images_per_epoch(self) -> int:
        return sum(len(batch) for batch in self.sampler.batches(0))

    def _epoch(self, epoch: int, advance: Callable[[int], object]) -> dict[str, float]:
        _set_mode(self.classifier, frozen=epoch < self.recipe.frozen_epochs)
        batches = self.sampler.batches(epoch)
        meter = _Meter()
        lr = math.nan
        pending: list[tuple[int, Batch, dict[str, torch.Tensor]]] = []
        # On an accelerator every look at a loss waits for the device, so look less often there.
        look_every = 1 if self.fabric.device.type == "cpu" else 20
        waited, began = self.loader.wait_s, time.perf_counter()
        for step, batch in enumerate(self.loader.load(batches)):
            lr = learning_rate(self.recipe, epoch + step / len(batches))
            for group in self.optimiser.param_groups:
                group["lr"] = lr
            pending.append((step, batch, self._step(epoch, step, batch)))
            if len(pending) == look_every:
                self._account(epoch, pending, meter)
            advance(len(batch.indices))
        self._account(epoch, pending, meter)
        seconds = time.perf_counter() - began
        return {
            "epoch": float(epoch + 1),
            **meter.means(),
            "lr": lr,
            "seconds": seconds,
            "images": float(meter.images),
            "images_per_second": meter.images / seconds,
            "data_wait_share": (self.loader.wait_s - waited) / seconds,
        }

    def _step(self, epoch: int, step: int, batch: Batch) -> dict[str, torch.Tensor]:
        generator = torch.Generator().manual_seed(derive_seed(self.recipe.seed, "augmentation", epoch, step))
        crops = torch.from_numpy(batch.crops).to(self.fabric.device, non_blocking=True)
        labels = self.labels[torch.from_numpy(batch.indices)].to(self.fabric.device, non_blocking=True)
        all_views = self.network(self.augmentation(crops, generator))
        # The first view is the crops themselves: what identities are learned from.
        embeddings, logits = (values[: len(labels)] for values in all_views)
        parts: dict[str, torch.Tensor] = {}
        weights = self.recipe.loss
        loss = logits.new_zeros(())
        if weights.cross_entropy:
            parts["cross_entropy"] = self.cross_entropy(logits, labels)
            loss = loss + weights.cross_entropy * parts["cross_entropy"]
        if weights.triplet:
            parts["triplet"] = self.triplet(embeddings, labels)
            loss = loss + weights.triplet * parts["triplet"]
        if weights.consistency:
            parts["consistency"] = jensen_shannon(all_views.logits.unflatten(0, (-1, len(labels))))
            loss = loss + weights.consistency * parts["consistency"]
        self.optimiser.zero_grad(set_to_none=True)
        self.fabric.backward(loss)
        self.optimiser.step()
        parts["accuracy"] = (logits.argmax(dim=1) == labels).float().mean()
        return {"loss": loss.detach(), **{name: part.detach() for name, part in parts.items()}}

    def _account(
        self, epoch: int, pending: list[tuple[int, Batch, dict[str, torch.Tensor]]], meter: _Meter
    ) -> None:
        for step, batch, values in pending:
            numbers = {name: float(value) for name, value in values.items()}
            if not math.isfinite(numbers["loss"]):
                self._stop_on_bad_loss(epoch, step, batch, numbers)
            meter.add(numbers, len(batch.indices))
        pending.clear()

    def _stop_on_bad_loss(self, epoch: int, step: int, batch: Batch, numbers: dict[str, float]) -> None:
        report = self.run_dir / "bad_batch.json"
        files = [self.paths[index] for index in batch.indices]
        named = {
            "epoch": epoch + 1,
            "step": step + 1,
            "values": {k: str(v) for k, v in numbers.items()},
            "files": files,
        }
        write_text(report, json.dumps(named, indent=2) + "\n")
        raise TrainingError(
            f"the loss became {numbers['loss']} in epoch {epoch + 1}, step {step + 1}, on a batch that "
            f"begins with {files[0]} (all {len(files)} files: {report}); "
            f"the checkpoint of epoch {epoch} is kept. Lower the learning rate, or use precision 32-true"
        )

    def _close_epoch(self, row: dict[str, float], writer: SummaryWriter) -> None:
        self.history.append(row)
        for name, value in row.items():
            if name != "epoch":
                writer.add_scalar(name, value, int(row["epoch"]))
        save_checkpoint(
            self.run_dir / "checkpoint.pt",
            Checkpoint(
                epochs_done=len(self.history),
                model=self.classifier.state_dict(),
                optimiser=self.optimiser.state_dict(),
                augmentation=self.augmentation.state_dict(),
                history=self.history,
                recipe=self.recipe.model_dump(mode="json"),
                data_digest=self.data_digest,
            ),
        )
        write_text(self.run_dir / "history.jsonl", "".join(json.dumps(line) + "\n" for line in self.history))

    def finish(self, training_data: str) -> TrainedModel:
        backbone = self.classifier.backbone.cpu().eval()
        card = model_card(self.recipe.model).model_copy(
            update={
                "name": f"{self.recipe.model}_{self.recipe.name}",
                "input": self.recipe.input,
                "licence": "as the training data allows",
                "origin": f"trained with recipe {self.recipe.name}, seed {self.recipe.seed}",
                "training_data": training_data,
                "training_pids": self.num_pids,
                "recipe": self.recipe.name,
                "metrics": (),
                "notes": "",
            }
        )
        weights = self.run_dir / "model.safetensors"
        save_weights(weights, backbone, card)
        seconds = sum(row["seconds"] for row in self.history)
        images = sum(row["images"] for row in self.history)
        waited = sum(row["data_wait_share"] * row["seconds"] for row in self.history)
        record = TrainingRecord(
            recipe=self.recipe.model_dump(mode="json"),
            history=tuple(self.history),
            images_per_second=images / seconds,
            data_wait_share=waited / seconds,
            seconds=seconds,
        )
        card = card.model_copy(update={"sha256": sha256_file(weights)})
        skipped = tuple(str(error) for _, error in sorted(self.loader.skipped.items()))
        return TrainedModel(backbone, card, weights, record, skipped)


def _build_sampler(recipe: Recipe, samples: Sequence[Sample]) -> RandomSampler | PKSampler | GroupSampler:
    sampler = recipe.sampler
    if sampler.name == "random":
        return RandomSampler(len(samples), sampler.batch_size, seed=recipe.seed, drop_last=True)
    if sampler.name == "pk":
        num_pids = sampler.batch_size // sampler.num_instances
        pids = [sample.pid for sample in samples]
        return PKSampler(pids, num_pids=num_pids, num_instances=sampler.num_instances, seed=recipe.seed)
    return GroupSampler(
        [sample.camid if sampler.name == "camera" else sample.dsetid for sample in samples],
        num_groups=sampler.num_groups,
        batch_size=sampler.batch_size,
        seed=recipe.seed,
        kind=sampler.name,
    )


def _build_network(recipe: Recipe, num_pids: int, initial: OSNet | None) -> IdentityClassifier:
    # Initialisation draws from torch's global generator: seed a copy of it and put the old one back.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(recipe.seed, "initialisation"))
        backbone = initial if initial is not None else build_model(recipe.model, **recipe.model_options)
        return IdentityClassifier(backbone, num_pids)


def _set_mode(network: IdentityClassifier, *, frozen: bool) -> None:
    """Train everything, or only the classifier with the base in evaluation mode (its statistics stay)."""
    network.train()
    network.backbone.train(not frozen)
    for parameter in network.backbone.parameters():
        parameter.requires_grad_(not frozen)


def _digest(samples: tuple[Any, ...]) -> str:
    """Which samples, in which order: file name, pid and camera, not the folder they lie in."""
    digest = hashlib.sha256()
    for sample in samples:
        digest.update(f"{Path(sample.path).name}\x1f{sample.pid}\x1f{sample.camid}\n".encode())
    return digest.hexdigest()


def _line(row: dict[str, float], epochs: int) -> str:
    extra = "".join(f"  {name} {row[name]:.3f}" for name in ("rank1", "mAP") if name in row)
    return (
        f"epoch {row['epoch']:>3.0f}/{epochs}  loss {row['loss']:.3f}  accuracy {row['accuracy']:.3f}  "
        f"lr {row['lr']:.2g}  {row['images_per_second']:.0f} images/s  "
        f"waiting for data {row['data_wait_share']:.1%}{extra}"
    )


@contextmanager
def _only_writer(run_dir: Path) -> Iterator[None]:
    lock = FileLock(run_dir / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise TrainingError(
            f"{run_dir}: another process trains in this folder; choose another --out"
        ) from error
    try:
        yield
    finally:
        lock.release()

"""The training loop: from a recipe and samples to weights with a card."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from torch.utils.tensorboard import SummaryWriter

from omnireid.core.arrays import Float32
from omnireid.core.card import ModelCard
from omnireid.core.errors import DatasetError, OmniReIDError, TrainingError
from omnireid.core.files import sha256_file, write_text
from omnireid.core.progress import progress_bar
from omnireid.core.record import BestEpochRecord, TrainingRecord
from omnireid.core.seeds import derive_seed
from omnireid.core.types import Split, label_map
from omnireid.data.augmentation import Augmentation
from omnireid.data.loading import Batch, CropLoader
from omnireid.data.samplers import SAMPLERS
from omnireid.inference.backends.torch_eager import choose_device
from omnireid.losses.table import LossBatch
from omnireid.models.batch_norms import folded_norms, restore_statistics
from omnireid.models.classifier import ClassifierOutput, IdentityClassifier
from omnireid.models.network import Network
from omnireid.models.registry import build_model
from omnireid.models.run_checkpoint import trained_card
from omnireid.models.weights import save_weights
from omnireid.training.averaging import weight_average
from omnireid.training.checkpoint import (
    CHECKPOINT,
    Checkpoint,
    check_resumable,
    load_checkpoint,
    save_checkpoint,
)
from omnireid.training.folder import (
    BEST_WEIGHTS,
    WEIGHTS,
    check_run_folder,
    clear_run_folder,
    only_writer,
)
from omnireid.training.optimisers import build_optimiser
from omnireid.training.options import LoopOptions
from omnireid.training.parts import build_losses, check_stages, fuse, set_mode, warn_of_collapse
from omnireid.training.recipe import Recipe, with_defaults
from omnireid.training.schedule import learning_rate
from omnireid.training.teacher import Teacher
from omnireid.training.together import Team

_PICTURES_TO_MEASURE = 2048
"""What statistics of folded batch norms are taken from."""

_ONE_POINT = 1e-6
"""How far apart embeddings of a batch are, against their length, where they are one and the same."""

EpochEvaluation = Callable[[Network, int], dict[str, float]]


@dataclass(frozen=True)
class TrainedModel:
    """What a run leaves behind.

    Attributes:
        model, card, weights: the network after the last epoch, and its file.
        best_weights: the file of the best evaluated epoch (`record.best`); None without evaluations.
        skipped: pictures that could not be decoded, with the reason.
    """

    model: Network
    card: ModelCard
    weights: Path
    best_weights: Path | None
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
    initial: Network | None = None,
    training_data: str = "",
    teacher: Float32 | None = None,
    evaluate: EpochEvaluation | None = None,
    options: LoopOptions = LoopOptions(),
) -> TrainedModel:
    """Train a network and leave its weights, history and checkpoint in `run_dir`.

    On the CPU the weights are a function of (recipe, samples) alone, bit for bit, also when the run was
    interrupted and resumed any number of times. A run that was extended with a cosine schedule has other
    weights than one that was as long from the start: the record names the extension.

    Args:
        samples: training split; pids below 0 (junk) are left out.
        run_dir: gets `model.safetensors`, `checkpoint.pt`, `history.jsonl`, `recipe.json`, `tensorboard/`,
            and `best.safetensors` where epochs are evaluated.
        initial: network to start from; None initialises one from the recipe's seed.
        training_data: what the card says the weights were trained on.
        teacher: (N, E) another network's embeddings of the samples, each of unit norm; what the losses with
            `needs_teacher` learn from.
        evaluate: called with the network and the epochs done, every `recipe.evaluation.every` epochs; its
            values join the history. The epoch is safe before it is called. The epoch with the highest mAP
            (rank-1 where the protocol has no mAP; the mean over several datasets) is the best.
        options: what does not decide the weights.

    Raises:
        InputError: a device that is not there; `run_dir` holds a run, or something else.
        StorageError: the disk is full; the last epoch's checkpoint is kept.
        TrainingError: training diverged (the loss or the weights are of no use; the last good checkpoint is
            kept), the checkpoint belongs to another run, or another process trains in `run_dir`.
        ImageError: a picture cannot be decoded and `on_bad` is "error".
    """
    # Before the folder of somebody else gets a lock in it, and again: another run may have ended in between.
    check_run_folder(run_dir, resume=options.resume, overwrite=options.overwrite)
    rank = options.rank
    # Whoever started several processes holds the folder for them; torchrun does not.
    holds = rank.size == 1 or (rank.by_torchrun and rank.leads)
    with only_writer(run_dir) if holds else nullcontext():
        check_run_folder(run_dir, resume=options.resume, overwrite=options.overwrite)
        run = _Run(
            recipe,
            samples,
            run_dir,
            initial=initial,
            training_data=training_data,
            teacher=teacher,
            options=options,
        )
        if options.resume:
            run.restore(load_checkpoint(run_dir / CHECKPOINT), options.console)
        else:
            if initial is None and rank.leads:
                warn_of_collapse(recipe.loss, run.classifier.backbone)
            run.restore_statistics(options.console)
            if rank.leads:
                clear_run_folder(run_dir)
        run.fit(evaluate, options.console)
        return run.finish()


class _Run:
    """One run in progress: network, optimiser, loader and history."""

    def __init__(
        self,
        recipe: Recipe,
        samples: Split,
        run_dir: Path,
        *,
        initial: Network | None,
        training_data: str,
        teacher: Float32 | None,
        options: LoopOptions,
    ) -> None:
        kept = tuple(sample for sample in samples if sample.pid >= 0)
        self.recipe = recipe
        self.team = Team(options.rank, recipe)
        self.run_dir = run_dir
        self.training_data = training_data
        self.evaluated_on = options.evaluated_on
        self.paths = [sample.path for sample in kept]
        pids = np.array([sample.pid for sample in kept], dtype=np.int64)
        labels = label_map(pids)
        if len(labels) < 2:
            raise DatasetError(
                f"training split {samples.name!r} has {len(labels)} person(s); training needs at least 2"
            )
        self.labels = torch.tensor([labels[int(pid)] for pid in pids])
        self.num_pids = len(labels)
        self.data_digest = digest_of(kept)
        self.history: list[dict[str, float]] = []
        self.evaluation_due = False
        self.extensions: tuple[tuple[int, int], ...] = ()

        self.sampler = SAMPLERS.get(recipe.sampler.name).make(
            kept, recipe.sampler.batch_size, recipe.seed, **recipe.sampler.options()
        )
        self.loader = CropLoader(
            kept,
            recipe.input,
            threads=options.rank.share(options.threads),
            on_bad=options.on_bad,
            refill=True,
            cache_bytes=options.cache_bytes // options.rank.local_size,
        )
        self.augmentation = _augmentation(recipe)
        self.plain = Augmentation((), recipe.input)

        self.fabric = self.team.fabric(torch.device(choose_device(options.device)))
        network = _build_network(recipe, self.num_pids, initial)
        check_stages(network.backbone, recipe.frozen_stages)
        self.losses = build_losses(recipe.loss, network, 0 if teacher is None else teacher.shape[1])
        # A third faster than channels-first on CPUs (docs/benchmarks/training.md); crops arrive so.
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it
        if recipe.fused:
            fuse(network.backbone, recipe.model)
        self.team.prepare(network)
        optimiser = build_optimiser(network, recipe.optimiser)
        self.network, self.optimiser = self.fabric.setup(network, optimiser)
        self.average = weight_average(self.classifier, recipe.average_decay) if recipe.average_decay else None
        self.teacher = None
        if teacher is not None:
            rows = [row for row, sample in enumerate(samples) if sample.pid >= 0]
            self.teacher = Teacher(teacher[rows], self.labels, self.fabric.device)

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

    def restore(self, checkpoint: Checkpoint, console: Console | None) -> None:
        path = self.run_dir / CHECKPOINT
        recipe = self.recipe.model_dump(mode="json")
        began_with = with_defaults(checkpoint.recipe)
        check_resumable(path, replace(checkpoint, recipe=began_with), recipe, self.data_digest)
        try:
            self.classifier.load_state_dict(checkpoint.model)
            self.optimiser.load_state_dict(checkpoint.optimiser)
            self.augmentation.load_state_dict(checkpoint.augmentation)
            if self.average is not None:
                self.average.load_state_dict(checkpoint.average)
            if checkpoint.precision:
                self.fabric.strategy.precision.load_state_dict(checkpoint.precision)
        except (RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
            # Only in a checkpoint without a hash: recipe and data are the ones it was written with.
            raise TrainingError(f"{path}: damaged ({error})") from error
        self.history = list(checkpoint.history)
        self.evaluation_due = checkpoint.evaluation_due and self.recipe.evaluation.every > 0
        self.extensions = tuple(checkpoint.extensions)
        began_with = checkpoint.recipe
        self.recipe = self.recipe.model_copy(update={"initial_weights": began_with["initial_weights"]})
        if self.recipe.epochs > began_with["epochs"]:
            self.extensions = (*self.extensions, (checkpoint.epochs_done, began_with["epochs"]))
            if console is not None:
                rate = learning_rate(self.recipe, checkpoint.epochs_done)
                console.print(
                    f"extended from {began_with['epochs']} to {self.recipe.epochs} epochs; after epoch "
                    f"{checkpoint.epochs_done}, the {self.recipe.schedule.name} schedule over "
                    f"{self.recipe.epochs} epochs goes on with a learning rate of {rate:.2g}"
                )

    def restore_statistics(self, console: Console | None) -> None:
        """Measure on the training pictures what initial weights with folded batch norms have lost."""
        if not folded_norms(self.classifier.backbone):
            return
        batches = self.sampler.batches(0)
        batches = batches[: -(-_PICTURES_TO_MEASURE // len(batches[0]))]
        # Pictures as training sees them, by an augmentation of its own: the run's has a state.
        augmentation = _augmentation(self.recipe)

        def pictures() -> Iterator[torch.Tensor]:
            for step, batch in enumerate(self.loader.load(batches)):
                generator = torch.Generator().manual_seed(derive_seed(self.recipe.seed, "statistics", step))
                yield augmentation(torch.from_numpy(batch.crops).to(self.fabric.device), generator)

        num_norms = restore_statistics(self.classifier.backbone, pictures())
        if console is not None:
            console.print(
                f"the initial weights have {num_norms} batch norms folded into their convolutions: their "
                f"statistics come of {sum(map(len, batches)):,} training pictures, embeddings stay",
                markup=False,
            )

    def fit(self, evaluate: EpochEvaluation | None, console: Console | None) -> None:
        first = len(self.history)
        writer = None
        if self.team.rank.leads:
            write_text(self.run_dir / "recipe.json", self.recipe.model_dump_json(indent=2) + "\n")
            writer = SummaryWriter(str(self.run_dir / "tensorboard"), purge_step=first + 1)
        try:
            with progress_bar(console) as bar:
                task = bar.add_task(
                    "training",
                    total=self.recipe.epochs * self._images_per_epoch(),
                    completed=first * self._images_per_epoch(),
                )
                # A run that was killed in the evaluation of an epoch makes it now.
                self._evaluate(evaluate, writer)
                for epoch in range(first, self.recipe.epochs):
                    row = self._epoch(epoch, lambda images: bar.advance(task, images))
                    self.history.append(row)
                    every = self.recipe.evaluation.every
                    self.evaluation_due = every > 0 and (epoch + 1) % every == 0
                    # Before the evaluation: if that fails, the epoch is not lost with it.
                    self._save()
                    _write_scalars(writer, row, epoch + 1)
                    self._evaluate(evaluate, writer)
                    bar.console.print(_line(row, self.recipe.epochs)) if console else None
        finally:
            if writer is not None:
                writer.close()

    def _evaluate(self, evaluate: EpochEvaluation | None, writer: SummaryWriter | None) -> None:
        """Evaluate the last epoch where that is due; one that failed is not tried again."""
        if evaluate is None or not self.evaluation_due:
            return
        self.evaluation_due = False
        row, epoch = self.history[-1], len(self.history)
        try:
            values = self.team.of_leader(evaluate(self.result.backbone, epoch))
        except OmniReIDError as error:
            self._save()
            raise TrainingError(
                f"{error}. Epoch {epoch} is trained and kept, only its evaluation failed: --resume goes on "
                "without it"
            ) from error
        row |= values
        best = self._best()
        if best is not None and best.epoch == epoch:
            row["best"] = 1.0
            if self.team.rank.leads:
                save_weights(self.run_dir / BEST_WEIGHTS, self.result.backbone, self._card(_why_best(best)))
        self._save()
        _write_scalars(writer, values, epoch)

    def _best(self) -> BestEpochRecord | None:
        """The first of the evaluated epochs with the highest score."""
        best: BestEpochRecord | None = None
        for row in self.history:
            score = _score(row)
            if score is not None and (best is None or score[1] > best.value):
                best = BestEpochRecord(
                    epoch=int(row["epoch"]), metric=score[0], value=score[1], evaluated_on=self.evaluated_on
                )
        return best

    def _images_per_epoch(self) -> int:
        return sum(len(batch) for batch in self.sampler.batches(0))

    def _epoch(self, epoch: int, advance: Callable[[int], object]) -> dict[str, float]:
        set_mode(self.classifier, self.recipe, epoch)
        batches = self.sampler.batches(epoch)
        meter = _Meter()
        lr = math.nan
        pending: list[tuple[int, Batch, dict[str, torch.Tensor]]] = []
        # On an accelerator every look at a loss waits for the device, so look less often there.
        look_every = 1 if self.fabric.device.type == "cpu" else 20
        waited, began = self.loader.wait_s, time.perf_counter()
        for step, batch in enumerate(self.loader.load(map(self.team.share, batches))):
            lr = learning_rate(self.recipe, epoch + step / len(batches))
            for group in self.optimiser.param_groups:
                group["lr"] = lr
            pending.append((step, batch, self._step(epoch, step, batch)))
            if len(pending) == look_every:
                self._account(epoch, pending, meter)
            advance(len(batch.indices) * self.team.size)
        self._account(epoch, pending, meter)
        self.team.end_epoch(self.augmentation, self.classifier, self.average)
        self._check_sane(epoch, batch)
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
        which = (epoch, step, *self.team.rank.chance)
        generator = torch.Generator().manual_seed(derive_seed(self.recipe.seed, "augmentation", *which))
        crops = torch.from_numpy(batch.crops).to(self.fabric.device, non_blocking=True)
        rows = torch.from_numpy(batch.indices)
        labels = self.labels[rows].to(self.fabric.device, non_blocking=True)
        outputs = self.network(self.augmentation(crops, generator))
        # Losses compare pictures of the whole batch, whatever device they are on.
        all_views = ClassifierOutput(*(self.team.gather_views(values, len(labels)) for values in outputs))
        labels = self.team.gather(labels)
        # The first view is the crops themselves: what identities are learned from.
        embeddings, logits, necked = (values[: len(labels)] for values in all_views)
        views = all_views.logits.view(-1, *logits.shape)
        taught = None
        if self.teacher is not None:
            taught = self.teacher.taught(self.team.gather(self.teacher.rows(rows)))
        class_weights = self.classifier.classifier.weight
        given = LossBatch(embeddings, logits, labels, views, necked, class_weights, taught)
        parts: dict[str, torch.Tensor] = {}
        loss = logits.new_zeros(())
        for name, weight, part in self.losses:
            parts[name] = part(given)
            loss = loss + weight * parts[name]
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
        parts["accuracy"] = (logits.argmax(dim=1) == labels).float().mean()
        return {"loss": loss.detach(), **{name: part.detach() for name, part in parts.items()}}

    def _account(
        self, epoch: int, pending: list[tuple[int, Batch, dict[str, torch.Tensor]]], meter: _Meter
    ) -> None:
        for step, batch, values in pending:
            numbers = {name: float(value) for name, value in values.items()}
            if not math.isfinite(numbers["loss"]):
                self._stop_on_bad_loss(epoch, step, batch, numbers)
            meter.add(numbers, len(batch.indices) * self.team.size)
        pending.clear()

    def _stop_on_bad_loss(self, epoch: int, step: int, batch: Batch, numbers: dict[str, float]) -> None:
        report = self.run_dir / "bad_batch.json"
        alone = self.team.size == 1
        indices = batch.indices if alone else self.sampler.batches(epoch)[step]
        files = [self.paths[index] for index in indices]
        named = {
            "epoch": epoch + 1,
            "step": step + 1,
            "values": {k: str(v) for k, v in numbers.items()},
            "files": files,
        }
        if self.team.rank.leads:
            write_text(report, json.dumps(named, indent=2) + "\n")
        raise TrainingError(
            f"the loss became {numbers['loss']} in epoch {epoch + 1}, step {step + 1}, on a batch that "
            f"begins with {files[0]} (all {len(files)} files: {report}). {self._way_out(epoch)}"
        )

    def _check_sane(self, epoch: int, batch: Batch) -> None:
        """Refuse to close an epoch whose state would spoil what the last one left.

        The loss was computed before the last step, and weights of 1e30 are finite: so the last batch goes
        through the network once more, in evaluation mode, as whoever uses it will. A length that overflows
        float32 makes no distance.

        Raises:
            TrainingError: weights or optimiser state hold NaN or infinity, or embeddings cannot be compared.
        """
        states = {
            "weights": self.classifier.state_dict().values(),
            "optimiser": _tensors(self.optimiser.state_dict()["state"].values()),
        }
        ruined = [name for name, tensors in states.items() if not _all_finite(tensors)]
        if not ruined:
            self.classifier.eval()
            with torch.inference_mode():
                crops = torch.from_numpy(batch.crops).to(self.fabric.device)
                outputs = self.classifier(self.plain(crops, torch.Generator()))
                lengths = torch.cat([torch.linalg.vector_norm(values, dim=1) for values in outputs])
            ruined = [] if lengths.isfinite().all() else ["embeddings"]
            apart = torch.linalg.vector_norm(outputs.necked - outputs.necked.mean(dim=0), dim=1)
            collapsed = not ruined and bool(apart.max() <= _ONE_POINT * lengths.max())
            if self.team.any(collapsed, self.fabric.device):
                raise TrainingError(
                    f"training collapsed in epoch {epoch + 1}: all pictures have the same embedding, which "
                    f"nothing comes back from. A neck helps (--set model_options.neck=true), or weights to "
                    f"start from. {self._way_out(epoch)}"
                )
        if self.team.any(bool(ruined), self.fabric.device):
            where = " and ".join(ruined or ["embeddings"])
            raise TrainingError(
                f"training diverged in the last steps of epoch {epoch + 1}: the {where} hold NaN, infinity "
                f"or what becomes it. {self._way_out(epoch)}"
            )

    def _way_out(self, epoch: int) -> str:
        """What to do about divergence in an epoch: the last good one, and the options that go on from it."""
        rate = self.recipe.optimiser.lr
        # A tenth of what diverged; nobody trains an OSNet with more than 0.01 after that.
        options = f"--set optimiser.lr={min(rate / 10, 0.01):g}"
        if self.recipe.precision != "32-true":
            options += " --set precision=32-true"
        if epoch == 0:
            return f"No epoch was finished, so there is no checkpoint: start again with {options}"
        return (
            f"The checkpoint of epoch {epoch} is kept. --resume would meet the same again; what goes on from "
            f"it is the same command with another --out and --init {self.run_dir / CHECKPOINT} {options}"
        )

    def _save(self) -> None:
        if not self.team.rank.leads:
            return
        save_checkpoint(
            self.run_dir / CHECKPOINT,
            Checkpoint(
                epochs_done=len(self.history),
                model=self.classifier.state_dict(),
                optimiser=self.optimiser.state_dict(),
                augmentation=self.augmentation.state_dict(),
                history=self.history,
                recipe=self.recipe.model_dump(mode="json"),
                data_digest=self.data_digest,
                training_data=self.training_data,
                evaluation_due=self.evaluation_due,
                extensions=self.extensions,
                average={} if self.average is None else self.average.state_dict(),
                precision=self.fabric.strategy.precision.state_dict(),
            ),
        )
        write_text(self.run_dir / "history.jsonl", "".join(json.dumps(line) + "\n" for line in self.history))

    def _card(self, notes: str = "") -> ModelCard:
        return trained_card(
            self.recipe.model_dump(mode="json"),
            training_data=self.training_data,
            training_pids=self.num_pids,
            notes=notes,
        )

    def finish(self) -> TrainedModel:
        backbone = self.result.backbone.cpu().eval()
        self.team.release(backbone)
        extended = ", ".join(f"after epoch {done} from {planned} epochs" for done, planned in self.extensions)
        card = self._card(f"Extended {extended} to {self.recipe.epochs}." if extended else "")
        weights = self.run_dir / WEIGHTS
        if self.team.rank.leads:
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
            best=self._best(),
            extensions=self.extensions,
        )
        sha256 = self.team.of_leader(sha256_file(weights) if self.team.rank.leads else None)
        card = card.model_copy(update={"sha256": sha256})
        skipped = tuple(str(error) for _, error in sorted(self.loader.skipped.items()))
        best_weights = self.run_dir / BEST_WEIGHTS if record.best else None
        return TrainedModel(backbone, card, weights, best_weights, record, skipped)


def _augmentation(recipe: Recipe) -> Augmentation:
    # For consistency, two AugMix views beside each crop (Hendrycks et al., ICLR 2020).
    num_views = 3 if any(term.spec.needs_views for term in recipe.loss.terms()) else 1
    return Augmentation(recipe.augmentation, recipe.input, num_views=num_views, appearance=recipe.appearance)


def _build_network(recipe: Recipe, num_pids: int, initial: Network | None) -> IdentityClassifier:
    # Initialisation draws from torch's global generator: seed a copy of it and put the old one back.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(recipe.seed, "initialisation"))
        backbone = initial if initial is not None else build_model(recipe.model, **recipe.model_options)
        return IdentityClassifier(backbone, num_pids)


def digest_of(samples: tuple[Any, ...]) -> str:
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


def _score(row: dict[str, float]) -> tuple[str, float] | None:
    """What epochs are compared by: mAP, or rank-1 where the protocol has none; over several data the mean."""
    for metric in ("mAP", "rank1"):
        values = [value for name, value in row.items() if name.rpartition("/")[2] == metric]
        if values:
            return metric, sum(values) / len(values)
    return None


def _why_best(best: BestEpochRecord) -> str:
    where = f" on {best.evaluated_on}" if best.evaluated_on else ""
    return (
        f"The best of the epochs evaluated: epoch {best.epoch}, {best.metric} {best.value:.3f}{where}. It "
        "was chosen by that figure, which is therefore optimistic."
    )


def _write_scalars(writer: SummaryWriter | None, values: dict[str, float], epoch: int) -> None:
    if writer is None:
        return
    for name, value in values.items():
        if name != "epoch":
            writer.add_scalar(name, value, epoch)


def _tensors(values: Iterable[Any]) -> Iterator[torch.Tensor]:
    """Every tensor in nested dictionaries."""
    for value in values:
        if isinstance(value, dict):
            yield from _tensors(value.values())
        elif isinstance(value, torch.Tensor):
            yield value


def _all_finite(tensors: Iterable[torch.Tensor]) -> bool:
    return all(bool(torch.isfinite(tensor).all()) for tensor in tensors)

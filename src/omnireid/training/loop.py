"""The training loop: from a recipe and samples to weights with a card."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from rich.console import Console
from torch.utils.tensorboard import SummaryWriter

from omnireid.core.arrays import Float32
from omnireid.core.card import ModelCard
from omnireid.core.errors import OmniReIDError, TrainingError
from omnireid.core.files import sha256_file, write_text
from omnireid.core.progress import progress_bar
from omnireid.core.record import TrainingRecord
from omnireid.core.types import Split
from omnireid.data.loading import Batch, CropLoader
from omnireid.data.samplers import SAMPLERS
from omnireid.inference.backends.torch_eager import choose_device
from omnireid.models.classifier import IdentityClassifier
from omnireid.models.network import Network
from omnireid.models.run_checkpoint import trained_card
from omnireid.models.weights import save_weights
from omnireid.training.checkpoint import (
    CHECKPOINT,
    Checkpoint,
    check_resumable,
    digest_of,
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
from omnireid.training.history import Meter, best_epoch, line_of, why_best, write_scalars
from omnireid.training.learner import Learner
from omnireid.training.options import LoopOptions
from omnireid.training.parts import set_mode, training_labels, warn_of_collapse
from omnireid.training.recipe import Recipe, with_defaults
from omnireid.training.sanity import check_sane, refuse_batch
from omnireid.training.schedule import learning_rate
from omnireid.training.together import Team

_PICTURES_TO_MEASURE = 2048
"""What statistics of folded batch norms are taken from."""

EpochEvaluation = Callable[[IdentityClassifier, int], dict[str, float]]


@dataclass(frozen=True)
class TrainedModel:
    """What a run leaves behind.

    Attributes:
        model, card, weights: the network after the last epoch, and its file.
        classifier: the network with the classifier that only training needs.
        best_weights: the file of the best evaluated epoch (`record.best`); None without evaluations.
        skipped: pictures that could not be decoded, with the reason.
    """

    classifier: IdentityClassifier
    card: ModelCard
    weights: Path
    best_weights: Path | None
    record: TrainingRecord
    skipped: tuple[str, ...]

    @property
    def model(self) -> Network:
        return self.classifier.backbone


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
        evaluate: called with network and classifier, and the epochs done, every `recipe.evaluation.every`
            epochs; its values join the history. The epoch is safe before it is called. The epoch with the
            highest mAP (rank-1 where the protocol has no mAP; the mean over several datasets) is the best.
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
                warn_of_collapse(recipe.loss, run.learner.classifier.backbone)
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
        labels = training_labels(samples.name, kept)
        self.num_pids = len({sample.pid for sample in kept})
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
        rows = [row for row, sample in enumerate(samples) if sample.pid >= 0]
        self.learner = Learner(
            recipe,
            labels,
            self.team,
            device=torch.device(choose_device(options.device)),
            initial=initial,
            teacher=None if teacher is None else teacher[rows],
        )

    def restore(self, checkpoint: Checkpoint, console: Console | None) -> None:
        path = self.run_dir / CHECKPOINT
        recipe = self.recipe.model_dump(mode="json")
        began_with = with_defaults(checkpoint.recipe)
        check_resumable(path, replace(checkpoint, recipe=began_with), recipe, self.data_digest)
        try:
            self.learner.restore(checkpoint)
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
        if not self.learner.needs_statistics():
            return
        batches = self.sampler.batches(0)
        batches = batches[: -(-_PICTURES_TO_MEASURE // len(batches[0]))]
        num_norms = self.learner.restore_statistics(self.loader.load(batches))
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
                    write_scalars(writer, row, epoch + 1)
                    self._evaluate(evaluate, writer)
                    bar.console.print(line_of(row, self.recipe.epochs)) if console else None
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
            values = self.team.of_leader(evaluate(self.learner.result, epoch))
        except OmniReIDError as error:
            self._save()
            raise TrainingError(
                f"{error}. Epoch {epoch} is trained and kept, only its evaluation failed: --resume goes on "
                "without it"
            ) from error
        row |= values
        best = best_epoch(self.history, self.evaluated_on)
        if best is not None and best.epoch == epoch:
            row["best"] = 1.0
            if self.team.rank.leads:
                save_weights(
                    self.run_dir / BEST_WEIGHTS, self.learner.result.backbone, self._card(why_best(best))
                )
        self._save()
        write_scalars(writer, values, epoch)

    def _images_per_epoch(self) -> int:
        return sum(len(batch) for batch in self.sampler.batches(0))

    def _epoch(self, epoch: int, advance: Callable[[int], object]) -> dict[str, float]:
        set_mode(self.learner.classifier, self.recipe, epoch)
        batches = self.sampler.batches(epoch)
        meter = Meter()
        lr = math.nan
        pending: list[tuple[int, Batch, dict[str, torch.Tensor]]] = []
        # On an accelerator every look at a loss waits for the device, so look less often there.
        look_every = 1 if self.learner.fabric.device.type == "cpu" else 20
        waited, began = self.loader.wait_s, time.perf_counter()
        for step, batch in enumerate(self.loader.load(map(self.team.share, batches))):
            lr = learning_rate(self.recipe, epoch + step / len(batches))
            self.learner.set_rate(lr)
            pending.append((step, batch, self.learner.step(epoch, step, batch)))
            if len(pending) == look_every:
                self._account(epoch, pending, meter)
            advance(len(batch.indices) * self.team.size)
        self._account(epoch, pending, meter)
        self.learner.end_epoch()
        check_sane(self.learner, batch, epoch, self.run_dir)
        seconds = time.perf_counter() - began
        return {
            "epoch": float(epoch + 1),
            **meter.means(),
            "lr": lr,
            **self.learner.search(epoch),
            "seconds": seconds,
            "images": float(meter.images),
            "images_per_second": meter.images / seconds,
            "data_wait_share": (self.loader.wait_s - waited) / seconds,
        }

    def _account(
        self, epoch: int, pending: list[tuple[int, Batch, dict[str, torch.Tensor]]], meter: Meter
    ) -> None:
        for step, batch, values in pending:
            numbers = {name: float(value) for name, value in values.items()}
            if not math.isfinite(numbers["loss"]):
                indices = batch.indices if self.team.size == 1 else self.sampler.batches(epoch)[step]
                files = [self.paths[index] for index in indices]
                refuse_batch(self.learner, epoch, step, numbers, files, self.run_dir)
            meter.add(numbers, len(batch.indices) * self.team.size)
        pending.clear()

    def _save(self) -> None:
        if not self.team.rank.leads:
            return
        save_checkpoint(
            self.run_dir / CHECKPOINT,
            Checkpoint(
                epochs_done=len(self.history),
                history=self.history,
                recipe=self.recipe.model_dump(mode="json"),
                data_digest=self.data_digest,
                training_data=self.training_data,
                evaluation_due=self.evaluation_due,
                extensions=self.extensions,
                **self.learner.state(),
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
        trained = self.learner.result.cpu().eval()
        self.team.release(trained)
        extended = ", ".join(f"after epoch {done} from {planned} epochs" for done, planned in self.extensions)
        card = self._card(f"Extended {extended} to {self.recipe.epochs}." if extended else "")
        weights = self.run_dir / WEIGHTS
        if self.team.rank.leads:
            save_weights(weights, trained.backbone, card)
        seconds = sum(row["seconds"] for row in self.history)
        images = sum(row["images"] for row in self.history)
        waited = sum(row["data_wait_share"] * row["seconds"] for row in self.history)
        record = TrainingRecord(
            recipe=self.recipe.model_dump(mode="json"),
            history=tuple(self.history),
            images_per_second=images / seconds,
            data_wait_share=waited / seconds,
            seconds=seconds,
            best=best_epoch(self.history, self.evaluated_on),
            extensions=self.extensions,
        )
        sha256 = self.team.of_leader(sha256_file(weights) if self.team.rank.leads else None)
        card = card.model_copy(update={"sha256": sha256})
        skipped = tuple(str(error) for _, error in sorted(self.loader.skipped.items()))
        best_weights = self.run_dir / BEST_WEIGHTS if record.best else None
        return TrainedModel(trained, card, weights, best_weights, record, skipped)

"""The main job: data → training → evaluation → report → embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from omnireid.core.display import short_repr
from omnireid.core.record import ResultRecord
from omnireid.core.types import Dataset
from omnireid.data.datasets import require_splits
from omnireid.evaluation.options import Ranking
from omnireid.experiment.analysis import analyse
from omnireid.experiment.evaluation import ResultFiles, check_scorable, evaluate_model, write_results
from omnireid.experiment.several import result_folders
from omnireid.experiment.training import train_on
from omnireid.inference.embedder import Embedder
from omnireid.inference.storage import write_embeddings
from omnireid.training.folder import holds_results
from omnireid.training.options import RunOptions
from omnireid.training.recipe import Recipe


@dataclass(frozen=True)
class TargetResult:
    """What the trained model, whose file is `weights`, reached on one dataset."""

    weights: Path
    dataset: Dataset
    record: ResultRecord
    files: ResultFiles
    embeddings: Path

    __repr__ = short_repr


def main_job(
    recipe: Recipe,
    dataset: Dataset,
    run_dir: Path,
    options: RunOptions = RunOptions(),
    *,
    targets: Sequence[Dataset] = (),
    console: Console | None = None,
) -> list[TargetResult]:
    """Train by the recipe, evaluate by each target's protocol, write everything into `run_dir`.

    `run_dir` gets `model.safetensors` and what training leaves there; and for one target `result.json`,
    `report.html` and `embeddings.parquet` (its gallery), for several a folder with these for each.

    Args:
        dataset: the dataset to train on.
        targets: those to evaluate on, each apart; the dataset itself when empty.
        options: how the run goes about it; where nothing was trained yet, `resume` begins.

    Raises:
        DatasetError, InputError: a split is empty or no query has a match; known before the first batch.
        TrainingError, ImageError, StorageError: as the steps do.
    """
    targets = targets or (dataset,)
    require_splits(dataset, "train")
    for target in targets:
        check_scorable(target)
    trained = train_on(
        recipe,
        dataset,
        run_dir,
        # A run that was interrupted while it rendered has nothing to resume yet.
        replace(options, resume=options.resume and holds_results(run_dir)),
        targets=targets,
        console=console,
    )
    if console is not None:
        for skipped in trained.skipped:
            console.print(f"skipped in training: {skipped}", markup=False)
    embedder = Embedder.open(trained.weights, device=options.device, normalise=recipe.evaluation.normalise)
    results = []
    for target, folder in zip(targets, result_folders(targets, run_dir), strict=True):
        evaluation = evaluate_model(
            embedder,
            target,
            ranking=Ranking(recipe.evaluation.distance, seed=recipe.seed),
            on_bad=options.on_bad,
            training=trained.record,
            console=console,
        )
        evaluation = evaluation.with_analysis(analyse(evaluation, seed=recipe.seed, console=console))
        files = write_results(evaluation, embedder, folder)
        embeddings = folder / "embeddings.parquet"
        write_embeddings(embeddings, evaluation.gallery, card=embedder.card)
        results.append(TargetResult(trained.weights, target, evaluation.record, files, embeddings))
    return results

"""The main job: data → training → evaluation → report → embeddings."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.console import Console

from omnireid.core.errors import InputError
from omnireid.core.record import ResultRecord
from omnireid.core.types import Dataset
from omnireid.data.datasets import require_splits
from omnireid.experiment.analysis import analyse
from omnireid.experiment.evaluation import ResultFiles, evaluate_model, write_results
from omnireid.experiment.several import result_folders
from omnireid.experiment.training import train_on
from omnireid.inference import Embedder, write_embeddings
from omnireid.training.recipe import Recipe


@dataclass(frozen=True)
class TargetResult:
    """What the trained model reached on one dataset."""

    dataset: Dataset
    record: ResultRecord
    files: ResultFiles
    embeddings: Path


@dataclass(frozen=True)
class MainJobResult:
    weights: Path
    results: tuple[TargetResult, ...]


def main_job(
    recipe: Recipe,
    dataset: Dataset,
    run_dir: Path,
    *,
    targets: Sequence[Dataset] = (),
    device: str = "auto",
    threads: int | None = None,
    resume: bool = False,
    on_bad: Literal["error", "skip"] = "error",
    console: Console | None = None,
) -> MainJobResult:
    """Train by the recipe, evaluate by each target's protocol, write everything into `run_dir`.

    `run_dir` gets `model.safetensors` and what training leaves there; and for one target `result.json`,
    `report.html` and `embeddings.parquet` (its gallery), for several a folder with these for each.

    Args:
        dataset: to train on.
        targets: to evaluate on, each apart; the dataset itself when empty.

    Raises:
        DatasetError: a split is empty.
        TrainingError, ImageError, StorageError: as the steps do.
    """
    targets = targets or (dataset,)
    require_splits(dataset, "train")
    for target in targets:
        require_splits(target, "query", "gallery")
    trained = train_on(
        recipe,
        dataset,
        run_dir,
        targets=targets,
        device=device,
        threads=threads,
        # A run that was interrupted while it rendered has nothing to resume yet.
        resume=resume and (run_dir / "checkpoint.pt").is_file(),
        on_bad=on_bad,
        console=console,
    )
    if console is not None:
        for skipped in trained.skipped:
            console.print(f"skipped in training: {skipped}", markup=False)
    embedder = Embedder.open(trained.weights, device=device, normalise=recipe.evaluation.normalise)
    results = []
    for target, folder in zip(targets, result_folders(targets, run_dir), strict=True):
        evaluation = evaluate_model(
            embedder,
            target,
            distance=recipe.evaluation.distance,
            seed=recipe.seed,
            on_bad=on_bad,
            training=trained.record,
            console=console,
        )
        evaluation = evaluation.with_analysis(analyse(evaluation, seed=recipe.seed, console=console))
        files = write_results(evaluation, embedder, folder)
        embeddings = folder / "embeddings.parquet"
        write_embeddings(embeddings, evaluation.gallery, card=embedder.card)
        results.append(TargetResult(target, evaluation.record, files, embeddings))
    return MainJobResult(trained.weights, tuple(results))


def prepare_run_folder(run_dir: Path, *, overwrite: bool, resume: bool) -> None:
    """Make sure that a run does not mix with an older one.

    Raises:
        InputError: the folder holds a run and neither flag says what to do with it, or it holds something
            that is no run.
    """
    if not run_dir.exists() or not any(run_dir.iterdir()) or resume:
        return
    is_run = (run_dir / "recipe.json").is_file() or (run_dir / "data" / "card.json").is_file()
    if not is_run:
        raise InputError(f"{run_dir}: not empty, and not a run of ours; choose another --out")
    if not overwrite:
        raise InputError(
            f"{run_dir}: holds a run already; --resume goes on with it, --overwrite replaces it, "
            "another --out keeps it"
        )
    # Rendered data is a function of its settings and is checked before it is used again.
    for entry in run_dir.iterdir():
        if entry.name != "data":
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()

"""The main job, as `omnireid run` does it: from data, or rendered people, to reports and galleries."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from omnireid.core.display import short_repr
from omnireid.core.errors import ConfigError, InputError
from omnireid.core.options import Protocol
from omnireid.core.record import ResultRecord
from omnireid.core.types import Dataset
from omnireid.data.combine import SEPARATOR, read_sources
from omnireid.data.datasets import dataset_card, require_splits
from omnireid.data.loading import Reading
from omnireid.data.options import Sources
from omnireid.evaluation.calibration import Calibration
from omnireid.evaluation.options import Ranking
from omnireid.experiment.analysis import analyse
from omnireid.experiment.attributes import evaluate_attributes, write_attributes
from omnireid.experiment.evaluation import ResultFiles, check_scorable, evaluate_model, write_results
from omnireid.experiment.rendered import QUICKSTART, calibrate_on_others, timed
from omnireid.experiment.several import Overall, result_folders, write_overall
from omnireid.experiment.training import plan_runs, scored_backend, told_how_to_resume, train_on
from omnireid.gallery.datasets import FirstQuery, ask_first_query, fill_from_dataset
from omnireid.gallery.gallery import Gallery
from omnireid.inference.embedder import Embedder
from omnireid.inference.storage import write_embeddings
from omnireid.models.shipped import list_shipped
from omnireid.report.page import Beside
from omnireid.synthetic.dataset import render_dataset
from omnireid.training.folder import holds_results, only_writer
from omnireid.training.options import RunOptions
from omnireid.training.processes import refuse_torchrun
from omnireid.training.recipe import Recipe

_ACTOR = "omnireid run"
_READS = ("search", "retention", "backup", "export-audit")
_DAY_S = 86_400


@dataclass(frozen=True)
class TargetResult:
    """What the trained model, whose file is `weights`, reached on one dataset.

    Attributes:
        embeddings: Those of its gallery split; None of classes and attributes.
        beside: What networks that ship reached on the same queries.
    """

    weights: Path
    dataset: Dataset
    record: ResultRecord
    files: ResultFiles
    embeddings: Path | None
    beside: tuple[Beside, ...] = ()

    __repr__ = short_repr


@dataclass(frozen=True)
class RunTarget:
    """What a run reached on one target.

    Attributes:
        weights: The network.
        result: Its evaluation.
        gallery: Folder of the gallery that holds the target's gallery split; None of classes and attributes.
        first_query: What that gallery answers to the target's first query.
    """

    weights: Path
    result: TargetResult
    gallery: Path | None
    first_query: FirstQuery | None

    __repr__ = short_repr


@dataclass(frozen=True)
class RunResult:
    """What `run` leaves.

    Attributes:
        targets: One for each network and target.
        overall: What they say together.
        visitors: Folder with pictures of rendered people to search for; None with data of one's own.
    """

    targets: tuple[RunTarget, ...]
    overall: Overall
    visitors: Path | None

    __repr__ = short_repr

    @property
    def records(self) -> list[ResultRecord]:
        """The record of each target."""
        return [target.result.record for target in self.targets]


def run(
    out: str | os.PathLike[str],
    sources: Sources | None = None,
    recipe: str | Path | Recipe = "quickstart",
    options: RunOptions = RunOptions(),
    *,
    changes: Mapping[str, Any] | None = None,
    seeds: Sequence[int] | None = None,
    console: Console | None = None,
) -> RunResult:
    """Train, evaluate, write the reports, fill galleries, and ask each its first query.

    Args:
        out: Folder for everything the run leaves.
        sources: What is trained and evaluated on; None renders people, and calibrates on further ones.
        recipe, options, changes, seeds, console: As for `omnireid.experiment.training.train`.

    Raises:
        ConfigError: An option without effect, or one that contradicts another.
        InputError: A folder holds something that would be lost; a gallery of the run is in others' use.
        DatasetError, WeightsError, TrainingError, ImageError, StorageError: As the steps do.
    """
    refuse_torchrun("run")
    out = Path(out)
    runs = plan_runs(out, recipe, changes, seeds, options, _splits(sources))
    targets: list[RunTarget] = []
    with told_how_to_resume([folder for _, folder, _ in runs], console):
        if sources is None:
            render_dataset(out / "data", QUICKSTART, console=console)
        for seeded, folder, split in runs:
            with only_writer(folder):
                targets += _run(
                    seeded, folder, _of_split(sources, out, split), options, sources is None, console
                )
    overall = write_overall([(target.result.record, target.result.files.report) for target in targets], out)
    return RunResult(tuple(targets), overall, runs[0][1] / "try" if sources is None else None)


def _run(
    recipe: Recipe,
    folder: Path,
    sources: Sources,
    options: RunOptions,
    is_rendered: bool,
    console: Console | None,
) -> list[RunTarget]:
    dataset, targets = read_sources(sources, console=console)
    if is_rendered:
        targets = [timed(target) for target in targets]
    # What training on one's own data adds to, or lacks of, what comes with the package.
    beside = list_shipped() if is_rendered else ()
    results = main_job(recipe, dataset, folder, options, targets=targets, beside=beside, console=console)
    weights = results[0].weights
    calibration = _calibrate(weights, folder, options, console) if is_rendered else None
    # Rendered people walked past the cameras yesterday, from eight o'clock on.
    first_s = time.time() // _DAY_S * _DAY_S - _DAY_S + 8 * 3600 if is_rendered else None
    embedder = Embedder.open(weights, device=options.device)
    filled = []
    for result in results:
        if result.dataset.protocol.is_of_classifier:
            filled.append(RunTarget(weights, result, None, None))
            continue
        gallery = result.files.record.with_name("gallery")
        _clear_gallery(gallery)
        with Gallery.open(str(gallery), actor=_ACTOR, calibration=calibration) as opened:
            fill_from_dataset(
                opened,
                embedder,
                result.dataset,
                first_s=first_s,
                reading=Reading(on_bad=options.on_bad, threads=options.threads, console=console),
            )
            first_query = ask_first_query(opened, embedder, result.dataset)
        filled.append(RunTarget(weights, result, gallery, first_query))
    return filled


def main_job(
    recipe: Recipe,
    dataset: Dataset,
    run_dir: Path,
    options: RunOptions = RunOptions(),
    *,
    targets: Sequence[Dataset] = (),
    beside: Sequence[str] = (),
    console: Console | None = None,
) -> list[TargetResult]:
    """Train by the recipe, evaluate by each target's protocol, write everything into `run_dir`.

    `run_dir` gets `model.safetensors` and what training leaves there; and for one target `result.json`,
    `report.html` and `embeddings.parquet` (its gallery), for several a folder with these for each.

    Args:
        dataset: the dataset to train on.
        targets: those to evaluate on, each apart; the dataset itself when empty.
        options: how the run goes about it; where nothing was trained yet, `resume` begins.
        beside: further models that answer the same queries; each gets a folder of its name, and a
            row in the report.

    Raises:
        DatasetError, InputError: a split is empty or no query has a match; known before the first batch.
        TrainingError, ImageError, StorageError: as the steps do.
    """
    targets = targets or (dataset,)
    require_splits(dataset, "train")
    for target in targets:
        check_scorable(target, dataset)
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
    ranking = Ranking(recipe.evaluation.distance, seed=recipe.seed)
    results = []
    for target, folder in zip(targets, result_folders(targets, run_dir), strict=True):
        others = []
        for name in beside:
            other = Embedder.open(name, device=options.device)
            answers = evaluate_model(other, target, ranking=ranking, on_bad=options.on_bad, console=console)
            others.append(
                Beside(answers.record, write_results(answers, other, folder / other.card.name).report)
            )
        of_classifier = target.protocol.is_of_classifier
        scored = embedder
        if of_classifier:
            backend = scored_backend(trained.classifier, trained.card, target.protocol, device=options.device)
            scored = Embedder(backend, normalise=recipe.evaluation.normalise)
        if target.protocol is Protocol.ATTRIBUTES:
            said = evaluate_attributes(
                scored,
                target,
                seed=recipe.seed,
                on_bad=options.on_bad,
                training=trained.record,
                console=console,
            )
            files = write_attributes(said, folder)
            results.append(TargetResult(trained.weights, target, said.record, files, None))
            continue
        evaluation = evaluate_model(
            scored,
            target,
            ranking=ranking,
            on_bad=options.on_bad,
            training=trained.record,
            console=console,
        )
        embeddings = None
        if not of_classifier:
            evaluation = evaluation.with_analysis(analyse(evaluation, seed=recipe.seed, console=console))
            embeddings = folder / "embeddings.parquet"
            write_embeddings(embeddings, evaluation.gallery, card=embedder.card)
        files = write_results(evaluation, scored, folder, beside=others)
        results.append(
            TargetResult(trained.weights, target, evaluation.record, files, embeddings, tuple(others))
        )
    return results


def _splits(sources: Sources | None) -> list[tuple[str, int | None]]:
    """Folder and number of each random split that a network is trained on."""
    if sources is None or sources.split_id != "all":
        return [("", None if sources is None or sources.split_id is None else int(sources.split_id))]
    data = sources.data
    if SEPARATOR in data or dataset_card(data).num_splits == 1:
        raise ConfigError(f"--split-id all: {data} is not one benchmark with random splits")
    return [(f"{data}/split-{split:02d}", split) for split in range(dataset_card(data).num_splits)]


def _of_split(sources: Sources | None, out: Path, split: int | None) -> Sources:
    if sources is None:
        return Sources("market-layout", (out / "data",))
    return replace(sources, split_id=split)


def _calibrate(
    weights: Path, folder: Path, options: RunOptions, console: Console | None
) -> Calibration | None:
    """A calibration on further people; None, and a word why, for a network that was hardly trained."""
    try:
        return calibrate_on_others(
            weights, folder, QUICKSTART, device=options.device, threads=options.threads, console=console
        )
    except InputError as error:
        if console is not None:
            console.print(f"no calibration: {error}", markup=False)
        return None


def _clear_gallery(folder: Path) -> None:
    """Remove the gallery of an older run: what an earlier network embedded is of no use.

    Raises:
        InputError: Somebody else has worked in it; it is kept.
    """
    if folder.is_dir():
        with Gallery.open(str(folder), actor=_ACTOR) as older:
            if _is_in_use(older):
                raise InputError(
                    f"{folder}: holds what others enrolled or named, and is kept; everything else of the run "
                    "is done. Move that gallery away, then --resume fills a new one"
                )
    shutil.rmtree(folder, ignore_errors=True)


def _is_in_use(gallery: Gallery) -> bool:
    """Whether anybody but the main job has changed what a gallery holds."""
    after = None
    while page := gallery.audit(after=after, limit=1000):
        if any(entry.actor != _ACTOR and entry.action not in _READS for entry in page):
            return True
        after = page[-1].seq
    return False

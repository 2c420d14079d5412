"""Adapt a network to a site without labels: cluster its pictures, train as if clusters were people, again."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from omnireid.core.arrays import Int64
from omnireid.core.errors import ConfigError, DatasetError, InputError
from omnireid.core.files import csv_text, write_bytes, write_text
from omnireid.core.types import Dataset, Split
from omnireid.data.combine import read_sources
from omnireid.data.datasets import require_splits
from omnireid.data.loading import Reading
from omnireid.data.options import Sources
from omnireid.evaluation.clusters import Clustering, cluster
from omnireid.experiment.training import check_initial, told_how_to_resume, train_on
from omnireid.inference.embedder import Embedder
from omnireid.inference.lookup import find_weights
from omnireid.inference.tracklets import embed_tracklets
from omnireid.models.convert import read_network
from omnireid.models.registry import nearest_architecture
from omnireid.training.folder import LOCK, WEIGHTS, clear_run_folder, holds_results, only_writer
from omnireid.training.options import RunOptions
from omnireid.training.processes import refuse_torchrun
from omnireid.training.recipe import Recipe, load_recipe

_LABELS = "round-[0-9][0-9].csv"


@dataclass(frozen=True)
class Adaptation:
    """How a network is adapted.

    Attributes:
        rounds: How often pictures are clustered anew, and trained on.
        clustering: How pictures become clusters.
    """

    rounds: int = 5
    clustering: Clustering = Clustering()

    def __post_init__(self) -> None:
        if not 1 <= self.rounds <= 99:
            raise InputError(f"rounds: must be between 1 and 99, got {self.rounds}")


@dataclass(frozen=True)
class Round:
    """What a round was trained on, and left.

    Attributes:
        weights: The network after it.
        num_clusters: How many clusters it was trained on.
        num_clustered, num_samples: Pictures or tracklets in clusters, and all there are.
    """

    weights: Path
    num_clusters: int
    num_clustered: int
    num_samples: int


def adapt(
    out: str | os.PathLike[str],
    sources: Sources,
    model: str | os.PathLike[str],
    recipe: str | Path | Recipe = "adapt",
    options: RunOptions = RunOptions(),
    *,
    how: Adaptation = Adaptation(),
    changes: Mapping[str, Any] | None = None,
    console: Console | None = None,
) -> tuple[Round, ...]:
    """Adapt a network to the people and cameras of a dataset, as `omnireid adapt` does.

    The train split's persons are never looked at. Each round embeds all its pictures, clusters them, and
    trains on the clusters as if they were people, from the weights of the round before; what is in no
    cluster waits for the next. A tracklet is in one cluster with all its frames.

    Args:
        out: Folder: `round-01.csv` says what was in which cluster, `round-01/` is the training run, and so
            on; `model.safetensors` is the last round's network.
        sources: What is adapted to.
        model: Weights to start from; they decide architecture and size of the input.
        recipe: How each round trains.
        options: How training goes about it. `resume` goes on in the round that was interrupted.
        changes: Values that replace the recipe's, by dotted key.
        console: Where progress is shown.

    Raises:
        ConfigError: An option without effect, or that contradicts another or the interrupted adaptation.
        InputError: `out` holds something and no option says what becomes of it; too few pictures.
        DatasetError: Too few clusters to learn from.
        WeightsError, TrainingError, ImageError, StorageError: As the steps do.
    """
    out = Path(out)
    refuse_torchrun("adapt")
    chosen, weights = _recipe(recipe, changes, model)
    if sources.targets is not None:
        raise ConfigError("--target: no effect; 'omnireid evaluate' measures what adapting has left")
    _check_folder(out, options)
    folders = [out / f"round-{number:02d}" for number in range(1, how.rounds + 1)]
    if options.resume:
        check_initial(folders[0], str(weights))
    dataset, _ = read_sources(sources, console=console)
    require_splits(dataset, "train")
    rounds: list[Round] = []
    with only_writer(out), told_how_to_resume(folders, console):
        if options.overwrite:
            for older in out.glob(_LABELS):
                older.unlink()
                clear_run_folder(older.with_suffix(""))
        for number, folder in enumerate(folders, 1):
            labels_file = folder.with_suffix(".csv")
            if options.resume and labels_file.is_file():
                labels = _read_labels(labels_file, dataset.train)
            else:
                labels = _clusters(weights, dataset.train, how.clustering, options, console)
                _write_labels(labels_file, dataset.train, labels)
            weights = folder / WEIGHTS
            rounds.append(
                Round(weights, int(labels.max()) + 1, int(np.count_nonzero(labels >= 0)), len(labels))
            )
            if console is not None:
                console.print(_line(number, rounds[-1]))
            if not (options.resume and weights.is_file()):
                _train(chosen, dataset, labels, folder, options, console)
            chosen = chosen.model_copy(update={"initial_weights": str(weights)})
        write_bytes(out / WEIGHTS, weights.read_bytes())
    return tuple(rounds)


def _recipe(
    recipe: str | Path | Recipe, changes: Mapping[str, Any] | None, model: str | os.PathLike[str]
) -> tuple[Recipe, Path]:
    """The recipe for the network that these weights are of, and their file."""
    changes = dict(changes or {})
    decided = [key for key in changes if key.partition(".")[0] in ("model", "model_options", "input")]
    if decided:
        raise ConfigError(f"--set {decided[0]}: the weights of --init decide it; leave it out")
    weights = find_weights(model)
    network, card = read_network(weights)
    name, model_options = nearest_architecture(network.config)
    chosen = recipe if isinstance(recipe, Recipe) else load_recipe(recipe, changes)
    if chosen.evaluation.every:
        raise ConfigError(
            "evaluation.every: no effect, as there are no labels; leave it at 0, and run 'omnireid evaluate' "
            "afterwards"
        )
    update = {"initial_weights": str(weights), "model": name, "model_options": model_options}
    return chosen.model_copy(update={**update, "input": card.input}), weights


def _check_folder(out: Path, options: RunOptions) -> None:
    if options.resume and options.overwrite:
        raise InputError("--resume goes on with a run and --overwrite replaces it: give one of them")
    begun = list(out.glob(_LABELS))
    if begun and not (options.resume or options.overwrite):
        raise InputError(
            f"{out}: holds an adaptation already; --resume goes on with it, --overwrite replaces it, another "
            "--out keeps it"
        )
    if out.is_dir() and not begun and any(entry.name != LOCK for entry in out.iterdir()):
        raise InputError(f"{out}: not empty, and not an adaptation of ours; choose another --out")


def _clusters(
    weights: Path, train: Split, how: Clustering, options: RunOptions, console: Console | None
) -> Int64:
    """(N,) the cluster of each sample, −1 in none: of those that cannot be decoded, too."""
    reading = Reading(on_bad=options.on_bad, console=console, threads=options.threads)
    embedder = Embedder.open(weights, device=options.device, threads=options.threads)
    # By their place: what a sample is called by others must not matter.
    places = {id(sample): place for place, sample in enumerate(train)}
    embeddings = embed_tracklets(embedder, train.samples, reading=reading)
    found = cluster(embeddings, how, threads=options.threads)
    count = int(found.max()) + 1
    if count < 2:
        raise DatasetError(
            f"{count} clusters among {len(found):,} pictures or tracklets: training needs at least 2. "
            + (
                "All are in one: allow less far neighbours (--max-distance)"
                if count
                else "None has neighbours enough: give more pictures, or allow farther neighbours "
                "(--max-distance) or smaller clusters (--min-pictures)"
            )
        )
    labels = np.full(len(train), -1, np.int64)
    labels[[places[id(sample)] for sample in embeddings.of]] = found
    return labels


def _line(number: int, done: Round) -> str:
    return (
        f"round {number}: {done.num_clusters:,} clusters hold {done.num_clustered:,} of {done.num_samples:,}"
    )


def _train(
    recipe: Recipe,
    dataset: Dataset,
    labels: Int64,
    folder: Path,
    options: RunOptions,
    console: Console | None,
) -> None:
    samples = zip(dataset.train, labels.tolist(), strict=True)
    guessed = Split("train", tuple(replace(sample, pid=label) for sample, label in samples if label >= 0))
    train_on(
        recipe,
        replace(dataset, name=f"{dataset.name}, clustered", train=guessed),
        folder,
        replace(options, resume=options.resume and holds_results(folder)),
        console=console,
    )


def _write_labels(file: Path, train: Split, labels: Int64) -> None:
    rows = zip(train.paths, labels.tolist(), strict=True)
    write_text(file, csv_text(("path", "cluster"), rows))


def _read_labels(file: Path, train: Split) -> Int64:
    _, *rows = csv.reader(io.StringIO(file.read_text(encoding="utf-8")))
    names = [Path(path).name for path, _ in rows]
    if names != [Path(path).name for path in train.paths]:
        raise InputError(
            f"{file}: was made of other pictures; begin again with --overwrite, or another --out"
        )
    return np.array([int(label) for _, label in rows], np.int64)

"""Several datasets, all random splits of one, or several seeds: a folder for each, and means."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from omnireid.core.record import MeansRecord, ResultRecord
from omnireid.core.types import Dataset
from omnireid.report.overview import write_overview

if TYPE_CHECKING:
    from omnireid.training.recipe import Recipe

SPLITS = "splits.json"
SEEDS = "seeds.json"


def result_names(datasets: Sequence[Dataset]) -> list[str]:
    """A name for each that no other has: "market1501", "viper/split-03", "manifest-1" and "manifest-2"."""
    names = [
        dataset.name if dataset.partition is None else f"{dataset.name}/split-{dataset.partition.index:02d}"
        for dataset in datasets
    ]
    return _told_apart(names)


def _told_apart(names: Sequence[str]) -> list[str]:
    return [
        name if names.count(name) == 1 else f"{name}-{1 + names[:index].count(name)}"
        for index, name in enumerate(names)
    ]


def result_folders(datasets: Sequence[Dataset], out: Path) -> list[Path]:
    """Where the results of each go: `out` for a single one, else a folder of its own in it."""
    return [out] if len(datasets) == 1 else [out / name for name in result_names(datasets)]


def seed_runs(recipe: Recipe, out: Path, seeds: Sequence[int] | None) -> list[tuple[Recipe, Path]]:
    """What is trained, and where: the recipe in `out`, or for each seed the same in a folder of its own."""
    if seeds is None:
        return [(recipe, out)]
    return [(recipe.model_copy(update={"seed": seed}), out / f"seed-{seed}") for seed in seeds]


def summarise(records: Iterable[ResultRecord]) -> list[MeansRecord]:
    """Mean and deviation for each dataset with several splits, or with networks of several seeds."""
    groups: dict[tuple[str, str], list[ResultRecord]] = {}
    for record in records:
        if record.dataset.partition is not None or record.training is not None:
            groups.setdefault((record.dataset.name, record.dataset.root), []).append(record)
    return [MeansRecord.of(group) for group in groups.values() if len(group) == len(_repetitions(group)) > 1]


def _repetitions(records: Sequence[ResultRecord]) -> set[tuple[int, int | None]]:
    return {
        (record.seed, None if record.dataset.partition is None else record.dataset.partition.index)
        for record in records
    }


def write_summaries(summaries: Sequence[MeansRecord], out: Path) -> list[Path]:
    """Write splits.json into `out`/<dataset>, or seeds.json into `out` (for several datasets as for splits).

    Raises:
        StorageError: the folder cannot be written.
    """
    names = _told_apart([summary.dataset for summary in summaries])
    paths = []
    for summary, name in zip(summaries, names, strict=True):
        folder = out if summary.seeds and len(summaries) == 1 else out / name
        paths.append(folder / (SEEDS if summary.seeds else SPLITS))
        summary.save(paths[-1])
    return paths


@dataclass(frozen=True)
class Overall:
    """What several results say together.

    Attributes:
        summaries: Mean and deviation of each dataset with several splits, or with networks of several seeds.
        files: The file of each.
        overview: The page that sets all results side by side; None for a single one.
    """

    summaries: tuple[MeansRecord, ...] = ()
    files: tuple[Path, ...] = ()
    overview: Path | None = None


def write_overall(results: Sequence[tuple[ResultRecord, Path]], out: Path) -> Overall:
    """Summarise results, and write the summaries and the overview into `out`.

    Args:
        results: Each record, and its report.

    Raises:
        StorageError: The folder cannot be written.
    """
    summaries = summarise(record for record, _ in results)
    files = write_summaries(summaries, out)
    overview = out / "overview.html" if len(results) > 1 else None
    if overview is not None:
        write_overview(overview, list(results), summaries)
    return Overall(tuple(summaries), tuple(files), overview)

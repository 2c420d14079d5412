"""Several datasets, or all random splits of one: a folder for each, and means where they are defined."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from omnireid.core.record import ResultRecord, SplitsRecord
from omnireid.core.types import Dataset

SUMMARY = "splits.json"


def result_names(datasets: Sequence[Dataset]) -> list[str]:
    """A name for each that no other has: "market1501", "viper/split-03", "manifest-1" and "manifest-2"."""
    names = [
        one.name if one.partition is None else f"{one.name}/split-{one.partition.index:02d}"
        for one in datasets
    ]
    return [
        name if names.count(name) == 1 else f"{name}-{1 + names[:place].count(name)}"
        for place, name in enumerate(names)
    ]


def result_folders(datasets: Sequence[Dataset], out: Path) -> list[Path]:
    """Where the results of each go: `out` for a single one, else a folder of its own in it."""
    return [out] if len(datasets) == 1 else [out / name for name in result_names(datasets)]


def summarise_splits(records: Iterable[ResultRecord]) -> list[SplitsRecord]:
    """Mean and deviation for each dataset of which two or more splits were evaluated."""
    groups: dict[str, list[ResultRecord]] = {}
    for record in records:
        if record.dataset.partition is not None:
            groups.setdefault(record.dataset.name, []).append(record)
    return [SplitsRecord.of(group) for group in groups.values() if len(group) > 1]


def write_summaries(summaries: Sequence[SplitsRecord], out: Path) -> list[Path]:
    """Write `out`/<dataset>/splits.json for each, atomically.

    Raises:
        StorageError: the folder cannot be written.
    """
    paths = [out / summary.dataset / SUMMARY for summary in summaries]
    for summary, path in zip(summaries, paths, strict=True):
        summary.save(path)
    return paths

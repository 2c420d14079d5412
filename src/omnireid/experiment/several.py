"""Several datasets, or all random splits of one: a folder for each, and means where they are defined."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from omnireid.core.record import ResultRecord, SplitsRecord
from omnireid.core.types import Dataset

SUMMARY = "splits.json"


def result_folder(dataset: Dataset, out: Path, *, is_one_of_several: bool) -> Path:
    """Where the results of one dataset go: `out`, `out`/viper/split-03, or `out`/market1501."""
    if not is_one_of_several:
        return out
    folder = out / dataset.name
    return folder if dataset.partition is None else folder / f"split-{dataset.partition.index:02d}"


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

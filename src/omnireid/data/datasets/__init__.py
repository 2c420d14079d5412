"""Dataset readers: one file per benchmark or layout, found by name.

A new dataset is a new module with its card, a `read` function and `READERS`, named in `_MODULES`; or a
package with an entry point, see docs/guides/extending/package.md.
"""

from __future__ import annotations

import os

from rich.console import Console

from omnireid.core.errors import DatasetError, InputError
from omnireid.core.files import absolute
from omnireid.core.options import Protocol
from omnireid.core.sockets import Socket
from omnireid.core.types import DISTRACTOR_PID, JUNK_PID, Dataset
from omnireid.data.datasets import (
    class_folders,
    cuhk01,
    cuhk02,
    cuhk03,
    cuhksysu,
    dukemtmcreid,
    dukemtmcvidreid,
    folder_per_person,
    grid,
    ilids,
    ilidsvid,
    manifest,
    market1501,
    market_layout,
    mars,
    msmt17,
    pa100k,
    prid,
    prid2011,
    sensereid,
    university1652,
    viper,
)
from omnireid.data.datasets.card import DatasetCard, Reader, ReadOptions, SplitCounts, verify_counts
from omnireid.data.datasets.folders import not_taken

__all__ = [
    "DatasetCard",
    "SplitCounts",
    "dataset_card",
    "list_datasets",
    "nobody",
    "read_dataset",
    "remarks_on",
    "require_splits",
]

_MODULES = (
    market1501,
    cuhk03,
    dukemtmcreid,
    msmt17,
    viper,
    grid,
    cuhk01,
    cuhk02,
    cuhksysu,
    ilids,
    prid,
    sensereid,
    university1652,
    mars,
    ilidsvid,
    prid2011,
    dukemtmcvidreid,
    class_folders,
    pa100k,
    market_layout,
    folder_per_person,
    manifest,
)
DATASETS: Socket[Reader] = Socket(
    "dataset",
    "omnireid.datasets",
    Reader,
    [reader for module in _MODULES for reader in module.READERS],
)


def list_datasets() -> tuple[str, ...]:
    """Names that `read_dataset` takes: benchmarks first, then layouts of one's own data."""
    return DATASETS.names()


def dataset_card(name: str) -> DatasetCard:
    """The card of a dataset.

    Raises:
        UnknownNameError: no dataset of that name; says the nearest one.
    """
    return DATASETS.get(name).card


def read_dataset(
    name: str,
    root: str | os.PathLike[str],
    *,
    check_counts: bool = True,
    protocol: Protocol | str | None = None,
    split_id: int | None = None,
    extract: bool = False,
    console: Console | None = None,
) -> Dataset:
    """Read the file names of a dataset. No picture is opened and nothing is downloaded.

    Args:
        name: one of `list_datasets()`.
        root: the dataset's folder or the folder above it; the file of a manifest.
        check_counts: compare with the sizes on the card, where it states them.
        protocol: how to score queries; None takes the card's. `Protocol.NO_CAMERA` has to be asked
            for, except where a folder-per-person dataset has no cameras at all.
        split_id: which of the card's `num_splits` random splits; None takes the first.
        extract: unpack archives found where the folders should be, and files that hold the pictures
            (CUHK03), next to them. Nothing is written without it.
        console: where to show the progress of unpacking, and `remarks_on` what was read.

    Returns:
        Splits in sorted order of the file names (manifest: in its own order), with what was skipped.

    Raises:
        UnknownNameError: unknown dataset or protocol.
        InputError: a split_id that the dataset does not have.
        DatasetError: nothing there, or not in the expected layout.
        CountMismatchError: sizes differ from the card.
    """
    reader = DATASETS.get(name)
    _check_split_id(reader.card, split_id)
    path = absolute(root)
    if not path.exists():
        where = f" {reader.card.title} can be asked for at {reader.card.source}" if reader.card.source else ""
        raise DatasetError(f"{path}: no such file or folder.{where}")
    if not path.is_dir() and name != manifest.CARD.name:
        raise DatasetError(
            f"{path}: a file, but {name} is read from a folder. Expected:\n{reader.card.layout}"
        )
    wanted = None if protocol is None else Protocol.named(protocol)
    dataset = reader.read(path, ReadOptions(wanted, split_id or 0, extract, console))
    if check_counts:
        verify_counts(dataset, reader.card)
    if console is not None:
        for line in remarks_on(dataset):
            console.print(f"{dataset.name}: {line}", style="yellow", markup=False)
    return dataset


def remarks_on(dataset: Dataset) -> list[str]:
    """What its owner should know of how a dataset was read: a meaning that was assumed, files not taken."""
    return [*dataset.remarks, *not_taken(dataset.skipped)]


def nobody(dataset: Dataset) -> frozenset[int]:
    """Pids that are nobody in particular: junk, distractors of the card, a pid 0 that no query has."""
    card = DATASETS.get(dataset.name).card if dataset.name in DATASETS.names() else None
    known = frozenset() if card is None else card.distractor_pids
    queries = {sample.pid for sample in dataset.query}
    unsought = {DISTRACTOR_PID} if queries and DISTRACTOR_PID not in queries else set()
    return known | unsought | {JUNK_PID}


def require_splits(dataset: Dataset, *names: str) -> None:
    """Check that splits hold samples, before work that needs them starts.

    Args:
        names: some of "train", "query", "gallery".

    Raises:
        DatasetError: one is empty; says where its pictures should be.
    """
    empty = [name for name in names if not len(getattr(dataset, name))]
    if empty:
        layout = dataset_card(dataset.name).layout if dataset.name in DATASETS.names() else "all splits"
        raise DatasetError(f"{dataset.root}: no pictures for {' and '.join(empty)}. Expected:\n{layout}")


def _check_split_id(card: DatasetCard, split_id: int | None) -> None:
    if split_id is None or 0 <= split_id < card.num_splits:
        return
    if card.num_splits == 1:
        raise InputError(f"split_id {split_id}: {card.name} has one fixed partition; leave split_id out")
    raise InputError(f"split_id {split_id}: {card.name} has the splits 0 to {card.num_splits - 1}")

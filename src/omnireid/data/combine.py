"""Several datasets in one experiment: trained on together, evaluated apart."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from rich.console import Console

from omnireid.core.errors import InputError
from omnireid.core.options import Protocol
from omnireid.core.types import Dataset, Sample, Split
from omnireid.data.datasets import dataset_card, nobody, read_dataset
from omnireid.data.options import Sources

SEPARATOR = "+"


def read_datasets(
    names: str,
    roots: Sequence[str | os.PathLike[str]],
    *,
    check_counts: bool = True,
    protocol: Protocol | str | None = None,
    split_id: int | Literal["all"] | None = None,
    extract: bool = False,
    console: Console | None = None,
) -> list[Dataset]:
    """Read "market1501+dukemtmcreid", each on its own.

    Args:
        names: names of datasets with "+" between them.
        roots: one folder that holds all of them, or one for each name, in their order.
        split_id: applies to those with random splits; "all" reads each of their splits.
        check_counts, protocol, extract, console: as `read_dataset`.

    Returns:
        One dataset for each name, or for each of its splits, in the order of `names`.

    Raises:
        InputError: a number of roots that fits neither way, a name given twice, or a split that no dataset
            has.
        UnknownNameError, DatasetError, CountMismatchError: as `read_dataset`.
    """
    wanted = [name.strip() for name in names.split(SEPARATOR)]
    twice = sorted({name for name in wanted if wanted.count(name) > 1})
    if twice and len(roots) == 1:
        raise InputError(f"{names}: {', '.join(twice)} is given twice with the same root")
    if len(roots) not in (1, len(wanted)):
        raise InputError(
            f"{names}: {len(wanted)} datasets and {len(roots)} roots; give one root that holds all of them, "
            "or one for each, in the same order"
        )
    cards = [dataset_card(name) for name in wanted]
    if split_id is not None and all(card.num_splits == 1 for card in cards):
        raise InputError(f"--split-id {split_id}: {names} has no random splits, leave it out")
    datasets = []
    for index, card in enumerate(cards):
        root = roots[index if len(roots) > 1 else 0]
        ids: list[int | None] = [None]
        if card.num_splits > 1 and split_id == "all":
            ids = list(range(card.num_splits))
        elif card.num_splits > 1 and isinstance(split_id, int):
            ids = [split_id]
        datasets += [
            read_dataset(
                card.name,
                root,
                check_counts=check_counts,
                protocol=protocol,
                split_id=split_id,
                extract=extract,
                console=console,
            )
            for split_id in ids
        ]
    return datasets


def combine_all(dataset: Dataset) -> Dataset:
    """Train on everybody: query and gallery join the training split (torchreid's `combineall`).

    Test pids continue after those of training, because some benchmarks number both from zero; people who
    have names (a folder each, say) are the same where the name is. `nobody` in particular stays out. Query
    and gallery stay as they are, and mean nothing any more for a model trained like this.
    """
    left_out = nobody(dataset)
    after = 0 if dataset.pid_names else 1 + max((sample.pid for sample in dataset.train), default=-1)
    pictures = {(sample.path, sample.pid): sample for sample in dataset.train}
    for sample in (*dataset.query, *dataset.gallery):  # a picture may be query and gallery
        if sample.pid not in left_out:
            pid = after + sample.pid
            pictures.setdefault((sample.path, pid), replace(sample, pid=pid))
    return replace(dataset, train=Split("train", tuple(pictures.values())))


def combine_sources(datasets: Sequence[Dataset]) -> Dataset:
    """One training split of several datasets.

    Pids and camids of each continue after those before it, and `dsetid` says where a sample is from.
    Query and gallery are empty: results on several targets are never mixed.

    Returns:
        The one dataset itself, if there is one only.

    Raises:
        InputError: no dataset, or pictures and tracklets together.
    """
    if not datasets:
        raise InputError("datasets: expected at least one to train on")
    if len(datasets) == 1:
        return datasets[0]
    if len({dataset.train.is_video for dataset in datasets}) > 1:
        names = ", ".join(
            f"{source.name} ({'tracklets' if source.train.is_video else 'pictures'})" for source in datasets
        )
        raise InputError(f"pictures and tracklets cannot be mixed: {names}")
    samples: list[Sample] = []
    first_pid = first_camid = 0
    for dsetid, dataset in enumerate(datasets):
        known = [sample for sample in dataset.train if sample.pid >= 0]
        samples += [
            replace(sample, pid=sample.pid + first_pid, camid=sample.camid + first_camid, dsetid=dsetid)
            for sample in known
        ]
        first_pid += 1 + max((sample.pid for sample in known), default=-1)
        first_camid += 1 + max((sample.camid for sample in known), default=-1)
    return Dataset(
        name=SEPARATOR.join(dataset.name for dataset in datasets),
        root=os.pathsep.join(dict.fromkeys(dataset.root for dataset in datasets)),
        train=Split("train", tuple(samples)),
        query=Split("query", ()),
        gallery=Split("gallery", ()),
        skipped=tuple(file for dataset in datasets for file in dataset.skipped),
    )


def read_sources(sources: Sources, *, console: Console | None = None) -> tuple[Dataset, list[Dataset]]:
    """What is trained on, and what is evaluated on: the targets, or else the sources themselves.

    Raises:
        InputError, UnknownNameError, DatasetError: As `read_datasets`.
    """

    def read(names: str, roots: Sequence[str | os.PathLike[str]]) -> list[Dataset]:
        return read_datasets(
            names,
            roots,
            check_counts=sources.check_counts,
            protocol=sources.protocol,
            split_id=sources.split_id,
            extract=sources.extract,
            console=console,
        )

    datasets = read(sources.data, sources.roots)
    targets = (
        datasets if sources.targets is None else read(sources.targets, sources.target_roots or sources.roots)
    )
    combined = map(combine_all, datasets) if sources.combine_all else datasets
    return combine_sources(list(combined)), targets

"""Benchmarks with several train/test partitions ("random splits"): drawn by a rule, hashed, named.

The historic draws of VIPeR, CUHK01, i-LIDS and PRID were never published in one place; every tool draws
its own. Ours follow from a rule that needs no random generator, so that anybody can repeat them in any
language: items are ordered by the SHA-256 of "<dataset>/<seed>/<partition>/<item>".
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from omnireid.core.types import Dataset, Partition, Sample, Split

SEED = 0
DRAWN = f"drawn with seed {SEED}: order of SHA-256"

_Item = TypeVar("_Item", int, str)


def drawn_order(items: Iterable[_Item], *, dataset: str, partition: int, seed: int = SEED) -> list[_Item]:
    """The items in the order that one partition draws them: the same on every machine, for ever."""

    def key(item: _Item) -> bytes:
        return hashlib.sha256(f"{dataset}/{seed}/{partition}/{item}".encode()).digest()

    return sorted(items, key=key)


def draw_two_views(samples: Sequence[Sample], *, dataset: str, split_id: int) -> tuple[Split, Split, Split]:
    """Train on a drawn half of the people, search the others across two views, in both directions.

    Split 2k searches camera 0 in camera 1, split 2k + 1 the reverse; both have draw k's training people
    (the smaller half of an odd number).

    Returns:
        train, query, gallery.
    """
    draw, query_camid = divmod(split_id, 2)
    pids = drawn_order({sample.pid for sample in samples}, dataset=dataset, partition=draw)
    in_training = set(pids[: len(pids) // 2])
    tested = [sample for sample in samples if sample.pid not in in_training]
    return (
        Split("train", tuple(sample for sample in samples if sample.pid in in_training)),
        Split("query", tuple(sample for sample in tested if sample.camid == query_camid)),
        Split("gallery", tuple(sample for sample in tested if sample.camid != query_camid)),
    )


def with_partition(dataset: Dataset, *, index: int, count: int, origin: str) -> Dataset:
    """The dataset with its partition named and hashed.

    The hash covers each split's name and, per sample, its path relative to the dataset's root, pid and
    camid; frames of a tracklet by their number. It does not depend on where the data lies.
    """
    digest = hashlib.sha256()
    root = Path(dataset.root)
    for split in dataset.splits:
        digest.update(f"{split.name}\n".encode())
        for sample in split:
            path = Path(sample.path)
            relative = path.relative_to(root) if path.is_relative_to(root) else path
            line = f"{relative.as_posix()} {sample.pid} {sample.camid} {len(sample.frames)}\n"
            digest.update(line.encode("utf-8", "surrogateescape"))
    return replace(dataset, partition=Partition(index, count, origin, digest.hexdigest()))

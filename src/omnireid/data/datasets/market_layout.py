"""Anybody's data in the folders of Market-1501, the form that most tools of the field write."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from omnireid.core.errors import DatasetError
from omnireid.core.types import Dataset, Split
from omnireid.data.datasets.card import DatasetCard, Reader, ReadOptions
from omnireid.data.datasets.folders import parse_market_name, read_folder

FOLDERS = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}

CARD = DatasetCard(
    name="market-layout",
    title="any data in the folder layout of Market-1501",
    layout=(
        "{bounding_box_train,query,bounding_box_test}/<pid>_c<camera>….jpg\n"
        "Any number of people and cameras; a folder may be missing (its split is then empty).\n"
        "Pid −1 is junk, skipped and counted. Cameras count from 1, or from 0 where a c0 occurs."
    ),
    licence="that of the data",
)


def read(root: Path, options: ReadOptions) -> Dataset:
    """Read the three folders of `root`, as far as they are there.

    Raises:
        DatasetError: none of the folders exists, or none holds a picture that could be taken.
    """
    present = [name for name in FOLDERS.values() if (root / name).is_dir()]
    if not present:
        raise DatasetError(
            f"{root}: none of the folders {', '.join(FOLDERS.values())}. Expected:\n{CARD.layout}"
        )
    parts = {split: read_folder(root / name, _parse) for split, name in FOLDERS.items()}
    cameras = {sample.camid for samples, _ in parts.values() for sample in samples}
    skipped = tuple(file for _, files in parts.values() for file in files)
    if not cameras:
        example = f", e.g. {skipped[0].path}: {skipped[0].reason}" if skipped else ""
        raise DatasetError(
            f"{root}: no picture taken, {len(skipped):,} files skipped{example}. Expected:\n{CARD.layout}"
        )
    if min(cameras) < 0:  # a c0: these cameras count from 0
        parts = {
            name: ([replace(sample, camid=sample.camid + 1) for sample in samples], files)
            for name, (samples, files) in parts.items()
        }
    splits = {name: Split(name, tuple(samples)) for name, (samples, _) in parts.items()}
    return Dataset(
        name=CARD.name,
        root=str(root),
        train=splits["train"],
        query=splits["query"],
        gallery=splits["gallery"],
        protocol=options.protocol or CARD.protocol,
        skipped=skipped,
    )


def _parse(name: str) -> tuple[int, int] | str:
    parsed = parse_market_name(name)
    return parsed if isinstance(parsed, str) else (parsed[0], parsed[1] - 1)


READERS = (Reader(CARD, read),)

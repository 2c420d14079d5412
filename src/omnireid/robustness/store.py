"""Corrupted copies on disk, for those who want to look at them or to use them elsewhere."""

from __future__ import annotations

import json
import os
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path, PurePosixPath

from PIL import Image
from rich.console import Console

from omnireid.core.errors import DatasetError, InputError
from omnireid.core.files import absolute, atomic_write, csv_text, write_text
from omnireid.core.images import Crop, decode
from omnireid.core.types import Dataset, Split
from omnireid.data.datasets.manifest import write_manifest
from omnireid.data.parallel import map_files
from omnireid.robustness.draw import Draw, corrupt_sample
from omnireid.robustness.draw import draw as draw_for
from omnireid.robustness.pictures import key

SETTINGS = "corruption.json"
TABLE = "corruptions.csv"
MANIFEST = "manifest.csv"


def write_corrupted(
    dataset: Dataset,
    out: str | os.PathLike[str],
    *,
    seed: int = 0,
    round: int = 0,
    draw: Draw | None = None,
    sides: Collection[str] = ("query", "gallery"),
    threads: int | None = None,
    console: Console | None = None,
) -> Path:
    """Write one round of a corruption benchmark as PNG files: the same pixels that an evaluation sees.

    `out` gets a PNG of native size for each picture, by its path relative to the dataset's root;
    `manifest.csv`, which `--data manifest` reads (splits that were not corrupted point at the originals);
    `corruptions.csv` with what was done to each; `corruption.json` with the settings. The same call goes on
    where an earlier one was interrupted.

    Args:
        seed, round, draw: as `corrupt_sample`.
        sides: splits to corrupt, of "train", "query" and "gallery".
        threads: None takes the cores of this machine.

    Returns:
        The manifest.

    Raises:
        InputError: tracklets, an unknown side, or a folder that holds something else.
        DatasetError: two pictures that would get the same file.
        ImageError, StorageError, MissingExtraError: a picture cannot be read, written or corrupted.
    """
    out = absolute(out)
    chosen = [split for split in dataset.splits if split.name in sides]
    if unknown := set(sides) - {split.name for split in dataset.splits}:
        raise InputError(f"sides: expected train, query or gallery, got {', '.join(sorted(unknown))}")
    if any(split.is_video for split in dataset.splits):
        raise InputError(f"{dataset.name}: the corruption benchmarks are defined for pictures, not tracklets")
    target_of = _targets(dataset, chosen, out)
    _claim(out, dataset, seed=seed, round=round, draw=draw, sides=sides)

    def write(path: str) -> Draw:
        name = key(path, dataset.root)
        if not target_of[path].is_file():
            _write_png(target_of[path], corrupt_sample(decode(path), name, seed=seed, round=round, draw=draw))
        return draw or draw_for(seed, round, name)

    done = map_files(write, list(target_of), title="corrupting", threads=threads, console=console)
    _write_table(out / TABLE, {target_of[path].relative_to(out): what for path, what in done.items()})
    train, query, gallery = (_moved(split, target_of) for split in dataset.splits)
    write_manifest(replace(dataset, train=train, query=query, gallery=gallery), out / MANIFEST)
    return out / MANIFEST


def _targets(dataset: Dataset, splits: list[Split], out: Path) -> dict[str, Path]:
    target_of: dict[str, Path] = {}
    source_of: dict[Path, str] = {}
    for split in splits:
        for sample in split:
            name = PurePosixPath(key(sample.path, dataset.root))
            target = out.joinpath(*name.relative_to(name.anchor).parts).with_suffix(".png")
            if source_of.setdefault(target, sample.path) != sample.path:
                raise DatasetError(
                    f"{sample.path} and {source_of[target]} would both be written as {target}; rename one"
                )
            target_of[sample.path] = target
    return target_of


def _moved(split: Split, target_of: dict[str, Path]) -> Split:
    return Split(
        split.name,
        tuple(replace(sample, path=str(target_of.get(sample.path, sample.path))) for sample in split),
    )


def _claim(
    out: Path, dataset: Dataset, *, seed: int, round: int, draw: Draw | None, sides: Collection[str]
) -> None:
    """Make sure that the folder is empty, or was begun with the same settings."""
    settings = {
        "dataset": dataset.name,
        "root": dataset.root,
        "seed": seed,
        "round": round,
        "draw": None if draw is None else [draw.name, draw.severity],
        "sides": sorted(sides),
    }
    path = out / SETTINGS
    if path.is_file():
        try:
            same = json.loads(path.read_text()) == settings
        except ValueError:
            same = False
        if not same:
            raise InputError(f"{out}: holds pictures of other settings ({SETTINGS}); choose another folder")
        return
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out}: not an empty folder, and none of ours; choose another one")
    write_text(path, json.dumps(settings, indent=2) + "\n")


def _write_png(path: Path, crop: Crop) -> None:
    with atomic_write(path, durable=False) as stream:
        Image.fromarray(crop).save(stream, format="PNG", compress_level=1)


def _write_table(path: Path, done: dict[Path, Draw]) -> None:
    rows = ((picture.as_posix(), what.name, what.severity) for picture, what in done.items())
    write_text(path, csv_text(("path", "corruption", "severity"), rows))

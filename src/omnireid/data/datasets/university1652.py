"""University-1652 (Zheng et al., ACM MM 2020): 1,652 buildings, no people.

Drone pictures of 701 buildings are searched among the satellite pictures of 951. There are no cameras:
every picture has a number of its own instead, counted through train, query and gallery, so that nothing is
junk.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from omnireid.core.types import Dataset, Sample, SkippedFile
from omnireid.data.datasets.card import DatasetCard, Reader, ReadOptions, SplitCounts
from omnireid.data.datasets.folders import locate, read_folder, scan

TRAIN_VIEWS = ("drone", "satellite", "street")
QUERY = "test/query_drone"
GALLERY = "test/gallery_satellite"

CARD = DatasetCard(
    name="university1652",
    title="University-1652: 1,652 buildings (not people), drone to satellite",
    layout=(
        "[university1652/][University-Release/]train/{drone,satellite,street}/<building>/*\n"
        "[university1652/][University-Release/]test/{query_drone,gallery_satellite}/<building>/*\n"
        "The number of the building is the pid. There are no cameras: pictures are numbered instead.\n"
        "train/google (noisy pictures of an image search) and the other folders of test/ are not read."
    ),
    places=("university1652/University-Release", "University-Release", "university1652", ""),
    markers=("train", QUERY, GALLERY),
    archives=("University-Release.zip",),
    counts={
        "train": SplitCounts(images=50_218, pids=701),
        "query": SplitCounts(images=37_855, pids=701),
        "gallery": SplitCounts(images=951, pids=951),
    },
    notes=(
        "Buildings, not people: models for people mean nothing here, and the other way round.\n"
        "The published 50,218 training pictures are the drone, satellite and street views; torchreid reads\n"
        "every folder of train/, so with train/google among them it trains on more than that.\n"
        "The benchmark has further tasks (satellite to drone, street); this is drone to satellite."
    ),
    licence="Research only, not to be passed on, not to be sold or profited from; on request to the authors.",
    ethics=(
        "No people are the subject. The pictures come from commercial map and street-view services, whose\n"
        "terms go on to apply; people may be seen in street views by accident: do not publish them."
    ),
    citation=(
        "Zheng, Wei and Yang, University-1652: A Multi-view Multi-source Benchmark for Drone-based "
        "Geo-localization, ACM International Conference on Multimedia, 2020."
    ),
    source="https://github.com/layumi/University1652-Baseline",
)


_BUILDING = re.compile(r"[0-9]{1,9}")


def read(root: Path, options: ReadOptions) -> Dataset:
    """Read the training views, and drone to satellite.

    Raises:
        DatasetError: one of the folders is missing; names it and the layout.
    """
    folder = locate(root, CARD, options)
    skipped: list[SkippedFile] = []
    camids = itertools.count()
    train = [_read_view(folder / "train" / view, camids, skipped) for view in TRAIN_VIEWS]
    query = _read_view(folder / QUERY, camids, skipped)
    gallery = _read_view(folder / GALLERY, camids, skipped)
    return CARD.dataset(
        folder, options, ((sample for view in train for sample in view), query, gallery), skipped=skipped
    )


def _read_view(view: Path, camids: Iterator[int], skipped: list[SkippedFile]) -> list[Sample]:
    """The pictures of every building in `view`, each with the next of `camids`."""
    samples: list[Sample] = []
    for building in scan(view) if view.is_dir() else ():
        if not (_BUILDING.fullmatch(building.name) and building.is_dir()):
            skipped.append(SkippedFile(building.path, "not a folder with the number of a building"))
            continue
        parse = partial(_parse, int(building.name), camids)
        pictures, not_taken = read_folder(Path(building.path), parse)
        samples += pictures
        skipped += not_taken
    return samples


def _parse(pid: int, camids: Iterator[int], _: str) -> tuple[int, int]:
    return pid, next(camids)


READERS = (Reader(CARD, read),)

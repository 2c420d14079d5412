"""CUHK03 (Li et al., CVPR 2014): 1,467 people in five pairs of cameras, boxes by a detector and by hand.

Two protocols, each for both kinds of boxes. The new one (Zhong et al., CVPR 2017) trains on 767 people and
is scored like Market-1501; the classic one averages twenty test sets of 100 people, single-gallery-shot.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from omnireid.core.arrays import Int64
from omnireid.core.errors import DatasetError
from omnireid.core.options import Protocol
from omnireid.core.types import Dataset, Sample, SkippedFile, Split
from omnireid.data.archives import archive_hint, extract_archives
from omnireid.data.datasets.card import TOTAL, DatasetCard, Reader, ReadOptions, SplitCounts
from omnireid.data.datasets.cuhk03_mat import (
    Person,
    extract_pictures,
    is_extracted,
    picture_names,
    tested_people,
)
from omnireid.data.datasets.folders import NO_PICTURE, is_picture_name, locate, scan
from omnireid.data.datasets.matlab import read_mat

RELEASE = "cuhk03_release"
MAT = "cuhk-03.mat"
NUM_CLASSIC_SPLITS = 20
NUM_PIDS = 1_467

SPLITS = ("train", "query", "gallery")

_NAME = re.compile(r"([1-5])_([0-9]{3,})_([12])_([0-9]{2})\.png")
_EXAMPLES_SHOWN = 3


def _new_card(kind: str, train: int, gallery: int) -> DatasetCard:
    config = f"cuhk03_new_protocol_config_{kind}.mat"
    return DatasetCard(
        name=f"cuhk03-{kind}",
        title=f"CUHK03, {kind} boxes, new protocol: 767 people to train on, 700 to test on, 2 cameras",
        layout=(
            f"[cuhk03/]{config}, with\n"
            f"[cuhk03/]{RELEASE}/{MAT}, or its pictures in [cuhk03/]images_{kind}/*.png\n"
            "1_002_1_03.png: pair of cameras 1–5, person of that pair, view 1–2 (the camera), picture 1–10."
        ),
        places=("cuhk03", "", f"cuhk03/{RELEASE}", RELEASE),
        markers=(config,),
        archives=("cuhk03_release.zip",),
        counts={
            "train": SplitCounts(images=train, pids=767, cameras=2),
            "query": SplitCounts(images=1_400, pids=700, cameras=2),
            "gallery": SplitCounts(images=gallery, pids=700, cameras=2),
        },
        notes=(
            "The authors' page speaks of 1,360 people and 13,164 pictures: the first three pairs of\n"
            f"cameras. The file holds five pairs with {NUM_PIDS:,} people, and the new protocol uses them\n"
            "all. It does not tell the pairs apart: camid is the view. Pids are the protocol's labels.\n"
            "Where the same pictures lie in folders of Market-1501's form (CUHK03-NP, which the corruption\n"
            "benchmark CUHK03-C takes in its detected form), read them with market-layout."
        ),
        licence="Academic research only; the authors' terms come with the data.",
        ethics=(
            "Real people filmed on a campus, without being asked one by one. Use it for research on the\n"
            "method, do not publish faces, do not train products on it."
        ),
        citation=(
            "Li et al., DeepReID: Deep Filter Pairing Neural Network for Person Re-identification, CVPR\n"
            "2014. New protocol: Zhong et al., Re-ranking Person Re-identification with k-reciprocal\n"
            "Encoding, CVPR 2017."
        ),
        source=(
            "http://www.ee.cuhk.edu.hk/~xgwang/CUHK_identification.html; the new protocol's file is at\n"
            "https://github.com/zhunzhong07/person-re-ranking/tree/master/evaluation/data/CUHK03"
        ),
    )


def _classic_card(kind: str, total: int) -> DatasetCard:
    return replace(
        _new_card(kind, 0, 0),
        name=f"cuhk03-classic-{kind}",
        title=f"CUHK03, {kind} boxes, classic protocol: 20 test sets of 100 people, single gallery shot",
        layout=(
            f"[cuhk03/][{RELEASE}/]{MAT}, its pictures in [cuhk03/]images_{kind}/*.png\n"
            "1_002_1_03.png: pair of cameras 1–5, person of that pair, view 1–2 (the camera), picture 1–10."
        ),
        places=(f"cuhk03/{RELEASE}", RELEASE, "cuhk03", ""),
        markers=(MAT,),
        protocol=Protocol.SINGLE_GALLERY_SHOT,
        counts={
            "train": SplitCounts(pids=1_367),
            "query": SplitCounts(pids=100, cameras=2),
            "gallery": SplitCounts(pids=100, cameras=2),
            TOTAL: SplitCounts(images=total, pids=NUM_PIDS, cameras=2),
        },
        num_splits=NUM_CLASSIC_SPLITS,
        notes=(
            "Query and gallery are all pictures of the 100 test people. Report the mean of the 20 splits,\n"
            "CMC only: with one gallery picture per person there is no mAP.\n"
            "Training takes everybody else, 1,367 people, as torchreid does. The authors used 1,160, and\n"
            "100 to validate with, because they left out the fourth and fifth pair of cameras (107 people).\n"
            "Pids count the people of all pairs from 1 to 1,467, as the labels of the new protocol do;\n"
            "camid is the view."
        ),
        citation=(
            "Li et al., DeepReID: Deep Filter Pairing Neural Network for Person Re-identification,\n"
            "CVPR 2014."
        ),
        source="http://www.ee.cuhk.edu.hk/~xgwang/CUHK_identification.html",
    )


NEW_CARDS = {
    "detected": _new_card("detected", train=7_365, gallery=5_332),
    "labeled": _new_card("labeled", train=7_368, gallery=5_328),
}
CLASSIC_CARDS = {
    "detected": _classic_card("detected", total=14_097),
    "labeled": _classic_card("labeled", total=14_096),
}


def read_new(root: Path, options: ReadOptions, *, kind: str) -> Dataset:
    """Read the new protocol, whose file lists every picture with its person and its split.

    Args:
        kind: "detected" or "labeled" boxes.

    Raises:
        DatasetError: the protocol's file or the pictures are missing or damaged. Where the pictures are
            still inside cuhk-03.mat, says so; with `options.extract` they are written out.
        MissingExtraError: SciPy, or for extracting h5py, is not installed.
    """
    card = NEW_CARDS[kind]
    path = locate(root, card, options)
    config = path / card.markers[0]
    names = _listed_names(config)
    labels = _integers(config, "labels", least=0)
    if len(labels) != len(names):
        raise DatasetError(f"{config}: {len(names):,} names, but {len(labels):,} labels; copy it again")
    places = {split: _integers(config, f"{split}_idx", least=1, most=len(names)) - 1 for split in SPLITS}
    folder, mat = _picture_folder(root, path, card, kind, options)
    skipped = _compare(folder, names, listed_in=config, mat=mat)
    samples = [_sample(folder, name, int(label)) for name, label in zip(names, labels, strict=True)]
    splits = {split: _split(split, [samples[i] for i in places[split]]) for split in SPLITS}
    return card.dataset(
        folder.parent, options, (splits["train"], splits["query"], splits["gallery"]), skipped=skipped
    )


def read_classic(root: Path, options: ReadOptions, *, kind: str) -> Dataset:
    """Read one of the twenty splits of the classic protocol: its test people are query and gallery.

    Args:
        kind: "detected" or "labeled" boxes.

    Raises:
        DatasetError: cuhk-03.mat is missing or damaged, or its pictures are not written out and
            `options.extract` is not set.
        MissingExtraError: h5py is not installed.
    """
    card = CLASSIC_CARDS[kind]
    path = locate(root, card, options)
    mat = path / MAT
    tested = tested_people(mat, options.split_id, NUM_CLASSIC_SPLITS)
    folder, _ = _picture_folder(root, path, card, kind, options)
    # Looking through the .mat takes a second; a folder with the marker is known to agree with it.
    names = _present(folder) if is_extracted(folder) else picture_names(mat, kind)
    skipped = _compare(folder, names, listed_in=mat, mat=mat)
    person_of = {name: _person(name) for name in names}
    pids = {person: pid for pid, person in enumerate(sorted(set(person_of.values())), start=1)}
    if unknown := sorted(tested - pids.keys()):
        raise DatasetError(
            f"{mat}: test set {options.split_id} names people without {kind} pictures ({len(unknown)}, first "
            f"pair {unknown[0].pair}, person {unknown[0].number}); copy or unpack it again"
        )
    samples = {name: _sample(folder, name, pids[person]) for name, person in person_of.items()}
    test = _split("query", [samples[name] for name, person in person_of.items() if person in tested])
    return card.dataset(
        folder.parent,
        options,
        (
            _split("train", [samples[name] for name, person in person_of.items() if person not in tested]),
            test,
            replace(test, name="gallery"),
        ),
        skipped=skipped,
        origin=f"testsets of {MAT}",
    )


def _picture_folder(
    root: Path, path: Path, card: DatasetCard, kind: str, options: ReadOptions
) -> tuple[Path, Path | None]:
    """The folder of the pictures, made first where that is asked for, and cuhk-03.mat if it is there."""
    # torchreid keeps the pictures beside the release's folder.
    base = path.parent if path.name == RELEASE else path
    folder = base / f"images_{kind}"
    mat = _find_mat(base)
    if options.extract and mat is None and not folder.is_dir():
        extract_archives(root, card, console=options.console)
        mat = _find_mat(base)
    if options.extract and mat is not None:
        extract_pictures(mat, kind, folder, console=options.console)
    if folder.is_dir():
        return folder, mat
    if mat is not None:
        raise DatasetError(
            f"{mat}: found, but its pictures are not written out yet (there is no folder {folder}). "
            "Pass extract=True (--extract) to do that once"
        )
    raise DatasetError(
        f"{folder}: no such folder, and no {MAT} to take its pictures from.{archive_hint(root, card)} "
        f"Expected:\n{card.layout}\nThe data can be asked for at {card.source}"
    )


def _find_mat(base: Path) -> Path | None:
    return next((mat for mat in (base / RELEASE / MAT, base / MAT) if mat.is_file()), None)


def _present(folder: Path) -> list[str]:
    return [entry.name for entry in scan(folder) if _NAME.fullmatch(entry.name)]


def _compare(folder: Path, names: list[str], *, listed_in: Path, mat: Path | None) -> list[SkippedFile]:
    """Hold a list of names against the folder; returns what lies there beside them.

    Raises:
        DatasetError: pictures are missing.
    """
    entries = {entry.name: entry.path for entry in scan(folder)}
    missing = [name for name in names if name not in entries]
    if missing:
        examples = ", ".join(missing[:_EXAMPLES_SHOWN]) + (", …" if len(missing) > _EXAMPLES_SHOWN else "")
        source = f"from {mat}" if mat else f"once {MAT} is there"
        raise DatasetError(
            f"{folder}: {len(missing):,} of the {len(names):,} pictures in {listed_in.name} are not there: "
            f"{examples}. Pass extract=True (--extract) to write them {source}"
        )
    known = set(names)
    return [
        SkippedFile(path, f"not in {listed_in.name}" if is_picture_name(name) else NO_PICTURE)
        for name, path in entries.items()
        if name not in known
    ]


def _sample(folder: Path, name: str, pid: int) -> Sample:
    return Sample(f"{folder}/{name}", pid, camid=int(name.split("_")[2]) - 1)


def _split(name: str, samples: list[Sample]) -> Split:
    return Split(name, tuple(sorted(samples, key=lambda sample: sample.path)))


def _person(name: str) -> Person:
    pair, number, *_ = name.split("_")
    return Person(int(pair), int(number))


def _listed_names(config: Path) -> list[str]:
    names = []
    for cell in read_mat(config, "filelist").ravel():
        name = str(cell.item()) if isinstance(cell, np.ndarray) and cell.size == 1 else str(cell)
        if not _NAME.fullmatch(name):
            raise DatasetError(
                f"{config}: 'filelist' names {name[:100]!r}, expected names such as '1_002_1_03.png'; "
                "copy it again"
            )
        names.append(name)
    return names


def _integers(config: Path, variable: str, *, least: int, most: int | None = None) -> Int64:
    values = read_mat(config, variable).ravel()
    try:
        numbers = values.astype(np.int64)
    except (TypeError, ValueError) as error:
        raise DatasetError(f"{config}: {variable!r} does not hold numbers; copy it again") from error
    wrong = numbers[(numbers < least) | (numbers > (most or numbers.max(initial=0)))]
    if wrong.size:
        upper = f" to {most:,}" if most else ""
        raise DatasetError(
            f"{config}: {variable!r} holds {wrong[0]}, expected numbers from {least}{upper}; copy it again"
        )
    return numbers


READERS = (
    *(Reader(card, partial(read_new, kind=kind)) for kind, card in NEW_CARDS.items()),
    *(Reader(card, partial(read_classic, kind=kind)) for kind, card in CLASSIC_CARDS.items()),
)

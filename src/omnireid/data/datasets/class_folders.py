"""Pictures of classes, one folder for each: CIFAR-10 and -100, tiny-ImageNet-200, ImageNet, and one's own.

No people are searched for: a class is a pid, and the gallery has one item for each class, its first training
picture, which stands for it in reports. Protocol `Protocol.CLASSES`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from omnireid.core.errors import DatasetError
from omnireid.core.options import Protocol
from omnireid.core.types import Dataset, Sample, SkippedFile
from omnireid.data.archives import extract_archives
from omnireid.data.datasets.card import DatasetCard, Reader, ReadOptions, SplitCounts
from omnireid.data.datasets.cifar import PICTURES, find_binary, write_pictures
from omnireid.data.datasets.folders import NO_PICTURE, is_picture_name, locate, scan

TRAIN = "train"
TESTS = ("test", "val", "validation")
LABELS = "val_annotations.txt"
BOXES = "_boxes.txt"
"""How tiny-ImageNet's lists of boxes end, which lie among its pictures."""

_LAYOUT = (
    "train/<class>/**/*.png\n"
    "test/, val/ or validation/: the same classes; the first of these that has them is scored.\n"
    "Classes are numbered from 1 in alphabetical order of their folders."
)
_RESEARCH = "For research; the pictures belong to whoever took them."
_CONTENTS = (
    "Collected from the web without asking who is in them. Things and animals, and people by accident: do\n"
    "not publish pictures of people."
)

CARD = DatasetCard(
    name="class-folders",
    title="one folder per class, for classification (no people)",
    layout=_LAYOUT,
    protocol=Protocol.CLASSES,
    licence="that of the data",
)


def _cifar(num_classes: int, binary: str) -> DatasetCard:
    return DatasetCard(
        name=f"cifar{num_classes}",
        title=f"CIFAR-{num_classes}: 60,000 pictures of 32×32 in {num_classes} classes (not people)",
        layout=(
            f"[cifar{num_classes}/]{{train,test}}/<class>/*.png\n"
            f"{binary}/*.bin: the official binary version, which --extract writes out as such folders."
        ),
        places=(
            f"cifar{num_classes}",
            f"cifar{num_classes}/{PICTURES}",
            f"CIFAR-{num_classes}-dataset",
            "",
        ),
        markers=(TRAIN, "test"),
        archives=(f"cifar-{num_classes}-binary.tar.gz",),
        protocol=Protocol.CLASSES,
        counts={
            "train": SplitCounts(images=50_000, pids=num_classes),
            "query": SplitCounts(images=10_000, pids=num_classes),
        },
        notes=(
            "The 'python version' holds pickles, which may run anything when they are read: take the binary\n"
            "version. Published figures are errors, 100 % − rank-1."
        ),
        licence=_RESEARCH,
        ethics=_CONTENTS,
        citation="Krizhevsky, Learning Multiple Layers of Features from Tiny Images, technical report, 2009.",
        source="https://www.cs.toronto.edu/~kriz/cifar.html",
    )


CIFAR10 = _cifar(10, "cifar-10-batches-bin")
CIFAR100 = _cifar(100, "cifar-100-binary")

TINY_IMAGENET = DatasetCard(
    name="tiny-imagenet",
    title="tiny-ImageNet-200: 110,000 pictures of 64×64 in 200 classes (not people)",
    layout=(
        "[tiny-imagenet-200/]train/<class>/images/*.JPEG\n"
        f"[tiny-imagenet-200/]val/images/*.JPEG with val/{LABELS}; or val/<class>/**/*.JPEG"
    ),
    places=("tiny-imagenet-200", ""),
    markers=(TRAIN, "val"),
    archives=("tiny-imagenet-200.zip",),
    protocol=Protocol.CLASSES,
    counts={
        "train": SplitCounts(images=100_000, pids=200),
        "query": SplitCounts(images=10_000, pids=200),
    },
    notes="Scored on val/, as everybody does: the labels of test/ are not public.",
    licence=_RESEARCH,
    ethics=_CONTENTS,
    citation="Le and Yang, Tiny ImageNet Visual Recognition Challenge, Stanford CS 231N, 2015.",
    source="http://cs231n.stanford.edu/tiny-imagenet-200.zip",
)

IMAGENET = DatasetCard(
    name="imagenet",
    title="ImageNet-1K (ILSVRC 2012): 1.3 million pictures in 1,000 classes (not people)",
    layout=(
        "[imagenet/]train/<class>/*.JPEG\n"
        "[imagenet/]val/<class>/*.JPEG\n"
        "The challenge's archives hold val/ flat and train/ as an archive for each class: sort them into\n"
        "these folders first."
    ),
    places=("imagenet", ""),
    markers=(TRAIN, "val"),
    protocol=Protocol.CLASSES,
    counts={
        "train": SplitCounts(images=1_281_167, pids=1_000),
        "query": SplitCounts(images=50_000, pids=1_000),
    },
    notes="Scored on val/, as everybody does: the labels of test/ are not public.",
    licence="Research and teaching only; asked for by name from its authors.",
    ethics=_CONTENTS,
    citation="Russakovsky et al., ImageNet Large Scale Visual Recognition Challenge, IJCV 115, 2015.",
    source="https://www.image-net.org/download.php",
)


def read(card: DatasetCard, root: Path, options: ReadOptions) -> Dataset:
    """Read folders of classes.

    Raises:
        DatasetError: no folder of classes to train on, or none to score; says what was found.
    """
    folder = locate(root, card, options) if card.markers else root
    skipped: list[SkippedFile] = []
    train = _classes(folder / TRAIN, skipped)
    if not train:
        raise DatasetError(f"{folder / TRAIN}: no folder of a class with pictures. Expected:\n{card.layout}")
    pids = {name: pid for pid, name in enumerate(sorted(train), start=1)}
    tested = next(
        (found for name in TESTS if (found := _tested(folder / name, pids, skipped)) is not None), None
    )
    if tested is None:
        raise DatasetError(
            f"{folder}: none of {', '.join(TESTS)} has folders of the classes of {TRAIN}. Expected:\n"
            f"{card.layout}"
        )
    first = [Sample(paths[0], pids[name], 0) for name, paths in sorted(train.items())]
    return card.dataset(
        folder,
        options,
        (_samples(train, pids), _samples(tested, pids), first),
        skipped=skipped,
        pid_names={pid: name for name, pid in pids.items()},
    )


def _read_cifar(card: DatasetCard, root: Path, options: ReadOptions) -> Dataset:
    """As `read`; with `extract` the binary version is written out first, where there are no folders yet."""
    places = [root / place for place in card.places]
    if options.extract and not any((place / TRAIN).is_dir() for place in places):
        binary = find_binary(root, card)
        if binary is None:
            extract_archives(root, card, console=options.console)
            binary = find_binary(root, card)
        if binary is not None:
            folder = root / card.name
            # Where the archive lies in there, beside it.
            folder = folder / PICTURES if folder.exists() else folder
            write_pictures(binary, folder, console=options.console)
    return read(card, root, options)


def _samples(classes: dict[str, list[str]], pids: dict[str, int]) -> Iterator[Sample]:
    return (Sample(path, pids[name], 0) for name, paths in sorted(classes.items()) for path in paths)


def _classes(folder: Path, skipped: list[SkippedFile]) -> dict[str, list[str]]:
    """Picture files by class, of each folder below one that has any."""
    entries = [entry for entry in scan(folder) if entry.is_dir()] if folder.is_dir() else []
    classes = {entry.name: list(_pictures(Path(entry.path), skipped)) for entry in entries}
    return {name: paths for name, paths in classes.items() if paths}


def _tested(folder: Path, pids: dict[str, int], skipped: list[SkippedFile]) -> dict[str, list[str]] | None:
    """The same of a folder to score; None where it has none of the classes."""
    if (folder / LABELS).is_file():
        return _listed(folder, pids)
    left_out: list[SkippedFile] = []
    classes = _classes(folder, left_out)
    if not classes.keys() & pids.keys():
        return None
    if strangers := sorted(classes.keys() - pids.keys()):
        raise DatasetError(f"{folder / strangers[0]}: a class without pictures in {TRAIN}; remove it")
    skipped += left_out
    return classes


def _listed(folder: Path, pids: dict[str, int]) -> dict[str, list[str]]:
    """Of tiny-ImageNet's list: picture, class and a box in each line, with tabs between."""
    classes: dict[str, list[str]] = {}
    lines = (folder / LABELS).read_text(encoding="utf-8", errors="replace").splitlines()
    for number, line in enumerate(lines, start=1):
        name, _, rest = line.partition("\t")
        label = rest.partition("\t")[0]
        if label not in pids:
            raise DatasetError(
                f"{folder / LABELS}, line {number}: {label or line} is no class of {TRAIN}; unpack it again"
            )
        classes.setdefault(label, []).append(str(folder / "images" / name))
    return {label: sorted(paths) for label, paths in classes.items()}


def _pictures(folder: Path, skipped: list[SkippedFile]) -> Iterator[str]:
    for entry in scan(folder):
        # A class may be a link; below it a link to a folder above would have no end.
        if entry.is_dir(follow_symlinks=False):
            yield from _pictures(Path(entry.path), skipped)
        elif is_picture_name(entry.name):
            yield entry.path
        elif not entry.name.endswith(BOXES):
            skipped.append(SkippedFile(entry.path, NO_PICTURE))


READERS = (
    *(Reader(card, partial(_read_cifar, card)) for card in (CIFAR10, CIFAR100)),
    *(Reader(card, partial(read, card)) for card in (TINY_IMAGENET, IMAGENET, CARD)),
)

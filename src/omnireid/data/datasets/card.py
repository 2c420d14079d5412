"""What is known of a dataset before it is read, and how a reader is registered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from omnireid.core.display import short_repr
from omnireid.core.errors import CountMismatchError
from omnireid.core.options import Protocol
from omnireid.core.types import Dataset, Sample, SkippedFile, Split
from omnireid.data.datasets.partitions import with_partition

SPLITS = ("train", "query", "gallery")
TOTAL = "total"
MAX_NAMED_REASONS = 3


@dataclass(frozen=True, slots=True)
class SplitCounts:
    """Published size of one split; None where no source states it.

    `images` counts every frame of a tracklet, `tracklets` is for video alone.
    """

    images: int | None = None
    pids: int | None = None
    cameras: int | None = None
    tracklets: int | None = None

    @classmethod
    def of(cls, split: Split) -> SplitCounts:
        return cls(
            images=split.num_images,
            pids=split.num_pids,
            cameras=split.num_cameras,
            tracklets=len(split) if split.is_video else None,
        )

    def stated(self) -> dict[str, int]:
        """What is known, by name."""
        named = {
            "tracklets": self.tracklets,
            "images": self.images,
            "pids": self.pids,
            "cameras": self.cameras,
        }
        return {name: number for name, number in named.items() if number is not None}


@dataclass(frozen=True, slots=True)
class DatasetCard:
    """Facts of one dataset or layout.

    Attributes:
        name: what `--data` takes.
        title: one line for a list.
        layout: folders and file names, as text.
        places: where under the given root the dataset may lie, first the field's usual place; "" is the
            root itself.
        markers: files or folders that make a place this dataset; all must be there.
        archives: names of the archives it is handed out in.
        protocol: how its queries are scored unless another protocol is asked for.
        counts: published sizes by split name, and under "total" of the whole benchmark, each picture once;
            empty for a layout that holds anybody's data.
        num_splits: random train/test partitions that results are averaged over; 1 where it is fixed.
        is_video: whether samples are tracklets.
        distractor_pids: pids that are nobody in particular: in the gallery they count as wrong, in training
            they would be one false identity.
        notes: what sources disagree on, what a user must know before comparing numbers.
        licence: terms of use.
        ethics: what a user should weigh before working with these pictures.
        citation: paper that introduced it.
        source: where to ask for the data. Readers never download.
    """

    name: str
    title: str
    layout: str
    places: tuple[str, ...] = ("",)
    markers: tuple[str, ...] = ()
    archives: tuple[str, ...] = ()
    protocol: Protocol = Protocol.MARKET1501
    counts: Mapping[str, SplitCounts] = field(default_factory=dict)
    num_splits: int = 1
    is_video: bool = False
    distractor_pids: frozenset[int] = frozenset()
    notes: str = ""
    licence: str = ""
    ethics: str = ""
    citation: str = ""
    source: str = ""

    __repr__ = short_repr

    def dataset(
        self,
        root: Path,
        options: ReadOptions,
        splits: Sequence[Iterable[Sample]],
        *,
        skipped: Iterable[SkippedFile] = (),
        origin: str = "",
        **details: Any,
    ) -> Dataset:
        """What a reader of this card returns.

        Args:
            root: The folder that the dataset lies in.
            options: Their protocol is taken, or the card's.
            splits: Train, query, gallery.
            origin: Where the partition `options.split_id` comes from; "" for a dataset that has only one.
            details: Further fields of `Dataset`.
        """
        train, query, gallery = (Split(name, tuple(part)) for name, part in zip(SPLITS, splits, strict=True))
        protocol = options.protocol or self.protocol
        dataset = Dataset(self.name, str(root), train, query, gallery, protocol, tuple(skipped), **details)
        if not origin:
            return dataset
        return with_partition(dataset, index=options.split_id, count=self.num_splits, origin=origin)


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """What a caller asks of a reader.

    Attributes:
        protocol: None takes the card's.
        split_id: zero-based random split, of a card whose `num_splits` is above 1.
        extract: unpack archives, and files that hold the pictures, where the folders are missing.
        console: where to show progress of long work; None shows none.
    """

    protocol: Protocol | None = None
    split_id: int = 0
    extract: bool = False
    console: Console | None = None


@dataclass(frozen=True, slots=True)
class Reader:
    """A card and the function that reads what it describes.

    `read(root, options)` gets an existing path. It reads names only, never pictures, and lists in
    sorted order.
    """

    card: DatasetCard
    read: Callable[[Path, ReadOptions], Dataset]

    @property
    def name(self) -> str:
        """As `--data` takes it."""
        return self.card.name


def total(dataset: Dataset) -> Split:
    """Every sample of a dataset once, those that its partition leaves unused too."""
    samples = (sample for split in (*dataset.splits, dataset.unused) for sample in split)
    return Split(TOTAL, tuple({sample.path: sample for sample in samples}.values()))


def verify_counts(dataset: Dataset, card: DatasetCard) -> None:
    """Compare a dataset with the sizes on its card.

    Raises:
        CountMismatchError: shows every split, card and found side by side, and what was not taken.
    """
    parts = (*dataset.splits, total(dataset)) if TOTAL in card.counts else dataset.splits
    counted = {part.name: SplitCounts.of(part).stated() for part in parts}
    wanted = {name: counts.stated() for name, counts in card.counts.items()}
    if all(
        counted[name].get(what) == want for name, stated in wanted.items() for what, want in stated.items()
    ):
        return
    lines = [f"{dataset.root}: the counts differ from the card of {card.name} (card → found)"]
    for name, stated in wanted.items():
        columns = []
        for what, want in stated.items():
            got = counted[name].get(what, 0)
            columns.append(f"{what} {want:,} → {got:,}{'' if want == got else ' (!)'}")
        lines.append(f"  {name:<8}" + "   ".join(columns))
    example = {file.reason: file.path for file in reversed(dataset.skipped)}
    for reason, number in Counter(file.reason for file in dataset.skipped).most_common(MAX_NAMED_REASONS):
        lines.append(f"  not taken: {number:,} × {reason}, e.g. {example[reason]}")
    lines.append(
        "Unpack the archive again, or pass check_counts=False (--no-check-counts) "
        "to work with what is there; its results do not compare with published ones."
    )
    raise CountMismatchError("\n".join(lines))

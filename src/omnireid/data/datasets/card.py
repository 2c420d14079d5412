"""What is known of a dataset before it is read, and how a reader is registered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from omnireid.core.errors import CountMismatchError
from omnireid.core.types import Dataset, Protocol, Split


@dataclass(frozen=True, slots=True)
class SplitCounts:
    """Published size of one split."""

    images: int
    pids: int
    cameras: int

    @classmethod
    def of(cls, split: Split) -> SplitCounts:
        return cls(images=len(split), pids=split.num_pids, cameras=split.num_cameras)


@dataclass(frozen=True, slots=True)
class DatasetCard:
    """Facts of one dataset or layout.

    Attributes:
        name: what `--data` takes.
        title: one line for a list.
        layout: folders and file names, as text.
        protocol: how its queries are scored unless another protocol is asked for.
        counts: published sizes by split name; empty for a layout that holds anybody's data.
        licence: terms of use.
        ethics: what a user should weigh before working with these pictures.
        citation: paper that introduced it.
        source: where to ask for the data. Readers never download.
    """

    name: str
    title: str
    layout: str
    protocol: Protocol = Protocol.MARKET1501
    counts: Mapping[str, SplitCounts] = field(default_factory=dict)
    licence: str = ""
    ethics: str = ""
    citation: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class Reader:
    """A card and the function that reads what it describes.

    `read(root, protocol)` gets an existing path and the protocol that the caller asked for
    (None: the card's). It reads names only, never pictures, and lists in sorted order.
    """

    card: DatasetCard
    read: Callable[[Path, Protocol | None], Dataset]


def verify_counts(dataset: Dataset, card: DatasetCard) -> None:
    """Compare a dataset with the sizes on its card.

    Raises:
        CountMismatchError: shows every split, card and found side by side.
    """
    found = {split.name: SplitCounts.of(split) for split in dataset.splits}
    if all(found[name] == expected for name, expected in card.counts.items()):
        return
    lines = [f"{dataset.root}: the counts differ from the card of {card.name} (card → found)"]
    for name, expected in card.counts.items():
        actual = found[name]
        columns = [
            f"{what} {want:,} → {got:,}{'' if want == got else ' (!)'}"
            for what, want, got in (
                ("images", expected.images, actual.images),
                ("pids", expected.pids, actual.pids),
                ("cameras", expected.cameras, actual.cameras),
            )
        ]
        lines.append(f"  {name:<8}" + "   ".join(columns))
    lines.append(
        "Unpack the archive again, or pass check_counts=False (--no-check-counts) "
        "to work with what is there; its results do not compare with published ones."
    )
    raise CountMismatchError("\n".join(lines))

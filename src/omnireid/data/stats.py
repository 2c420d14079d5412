"""What is in a dataset: counts beside the card's, pictures per person and camera, sizes of the crops."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from omnireid.core.cameras import camera_name
from omnireid.core.closed import ClosedModel
from omnireid.core.display import short_repr
from omnireid.core.errors import ImageError
from omnireid.core.images import picture_size
from omnireid.core.record import StoredRecord
from omnireid.core.types import Dataset, Split
from omnireid.data.datasets.card import TOTAL, DatasetCard, SplitCounts, total
from omnireid.data.parallel import map_files

MAX_CAMERAS_SHOWN = 20
MAX_NAMED_FILES = 20
_BAR_WIDTH = 30
_ABOUT_BINS = 10

_EdgesOf = Callable[[float, float], list[float]]


class Distribution(ClosedModel):
    """Many numbers in few: extremes, median, and how many lie in each bin [edges[i], edges[i + 1])."""

    minimum: float
    median: float
    maximum: float
    edges: tuple[float, ...]
    counts: tuple[int, ...]

    @classmethod
    def of(
        cls, values: npt.ArrayLike, edges_of: Callable[[float, float], list[float]]
    ) -> Distribution | None:
        """None of no values. `edges_of` gets the extremes; its last edge must exceed the maximum."""
        numbers = np.asarray(values, dtype=np.float64)
        if not numbers.size:
            return None
        low, high = float(numbers.min()), float(numbers.max())
        edges = edges_of(low, high)
        counts = np.bincount(np.searchsorted(edges, numbers, side="right") - 1, minlength=len(edges) - 1)
        return cls(
            minimum=low,
            median=float(np.median(numbers)),
            maximum=high,
            edges=tuple(edges),
            counts=tuple(map(int, counts)),
        )


class CountComparison(ClosedModel):
    """A size on the card beside what was found; the card's is None where no source states it."""

    split: str
    what: str
    card: int | None
    found: int

    @property
    def differs(self) -> bool:
        return self.card is not None and self.card != self.found


class SplitStats(ClosedModel):
    """One split. People and cameras are those of its samples; distractors are nobody's pictures."""

    name: str
    images_per_camera: dict[int, int]
    images_per_pid: Distribution | None
    distractor_images: int
    tracklets_per_pid: Distribution | None = None
    frames_per_tracklet: Distribution | None = None


class SizeStats(ClosedModel):
    """Sizes in pixels of every picture, or of the first frame of every tracklet."""

    num_measured: int
    num_unreadable: int
    unreadable: tuple[str, ...]  # the first of them
    width: Distribution | None
    height: Distribution | None
    aspect_ratio: Distribution | None  # height ÷ width


class DatasetStats(StoredRecord):
    """Everything that `omnireid data stats` shows."""

    title: ClassVar[str] = "statistics of a dataset"

    dataset: str
    root: str
    split_id: int | None
    is_video: bool
    counts: tuple[CountComparison, ...]
    splits: tuple[SplitStats, ...]
    sizes: SizeStats | None
    skipped: dict[str, int]  # by reason
    camera_names: dict[int, str] = Field(default_factory=dict)  # of those that have one

    __repr__ = __str__ = short_repr

    def tables(self) -> Group:
        """For printing with rich, within 80 columns."""
        parts = [self._count_table()]
        for split in self.splits:
            parts += _split_tables(split, self.camera_names)
        if self.sizes:
            parts += _size_tables(self.sizes, "first frames" if self.is_video else "pictures")
        if self.skipped:
            rows = [(f"{number:,}", reason) for reason, number in self.skipped.items()]
            parts.append(_table("not taken", ("files", "reason"), rows))
        return Group(*parts)

    def _count_table(self) -> Group:
        which = "" if self.split_id is None else f", split {self.split_id}"
        rows = []
        names = [count.split for count in self.counts]
        for index, counts in enumerate(self.counts):
            rows.append(
                (
                    "" if index and names[index - 1] == counts.split else counts.split,
                    counts.what,
                    "–" if counts.card is None else f"{counts.card:,}",
                    f"{counts.found:,}",
                    "differs" if counts.differs else "",
                )
            )
        return _table(f"{self.dataset}{which}", ("split", "", "card", "found", ""), rows)


def dataset_stats(
    dataset: Dataset,
    card: DatasetCard,
    *,
    measure: bool = True,
    threads: int | None = None,
    console: Console | None = None,
) -> DatasetStats:
    """Count what a dataset holds and compare it with its card. Differences are shown, never raised.

    Args:
        measure: read the headers of the pictures for their sizes; of a tracklet those of its first frame.
        threads: number of threads for reading headers; None takes the cores of this machine.
        console: where to show progress; None shows none.
    """
    return DatasetStats(
        dataset=dataset.name,
        root=dataset.root,
        split_id=dataset.partition.index if dataset.partition else None,
        is_video=any(split.is_video for split in dataset.splits),
        counts=tuple(_compare(dataset, card)),
        splits=tuple(_split_stats(split, card.distractor_pids) for split in dataset.splits),
        sizes=_measure(dataset, threads, console) if measure else None,
        camera_names=dict(dataset.camera_names),
        skipped=dict(Counter(file.reason for file in dataset.skipped).most_common()),
    )


def _compare(dataset: Dataset, card: DatasetCard) -> Iterable[CountComparison]:
    parts = [split for split in dataset.splits if len(split) or split.name in card.counts]
    if TOTAL in card.counts:
        parts.append(total(dataset))
    for part in parts:
        wanted = card.counts.get(part.name, SplitCounts()).stated()
        counts = SplitCounts.of(part).stated()
        for what in ("tracklets", "images", "pids", "cameras"):
            if what in counts or what in wanted:
                yield CountComparison(
                    split=part.name, what=what, card=wanted.get(what), found=counts.get(what, 0)
                )


def _split_stats(split: Split, distractors: frozenset[int]) -> SplitStats:
    per_camera: Counter[int] = Counter()
    per_pid: Counter[int] = Counter()
    tracklets: Counter[int] = Counter()
    num_distractors = 0
    for sample in split:
        number = len(sample.frames) or 1
        per_camera[sample.camid] += number
        if sample.pid in distractors:
            num_distractors += number
        else:
            per_pid[sample.pid] += number
            tracklets[sample.pid] += 1
    frames = [len(sample.frames) for sample in split if sample.frames]
    return SplitStats(
        name=split.name,
        images_per_camera=dict(sorted(per_camera.items())),
        images_per_pid=Distribution.of(list(per_pid.values()), _growing_edges),
        distractor_images=num_distractors,
        tracklets_per_pid=Distribution.of(list(tracklets.values()) if frames else [], _growing_edges),
        frames_per_tracklet=Distribution.of(frames, _growing_edges),
    )


def _measure(dataset: Dataset, threads: int | None, console: Console | None) -> SizeStats:
    paths = list(dict.fromkeys(sample.path for split in dataset.splits for sample in split))
    measured = map_files(_size, paths, title="measuring", threads=threads, console=console)
    sizes = np.array([size for size in measured.values() if size], dtype=np.float64).reshape(-1, 2)
    unreadable = [path for path, size in measured.items() if size is None]
    return SizeStats(
        num_measured=len(sizes),
        num_unreadable=len(unreadable),
        unreadable=tuple(unreadable[:MAX_NAMED_FILES]),
        width=Distribution.of(sizes[:, 0], _even_edges),
        height=Distribution.of(sizes[:, 1], _even_edges),
        aspect_ratio=Distribution.of(sizes[:, 1] / sizes[:, 0], _fine_edges),
    )


def _size(path: str) -> tuple[int, int] | None:
    try:
        return picture_size(path)
    except ImageError:
        return None


def _growing_edges(low: float, high: float) -> list[float]:
    """1, 2, 3, 5, 10, 20, 50, 100 …: for numbers of pictures, which range from one to thousands."""
    edges = [1.0, 2.0, 3.0, 5.0]
    while edges[-1] <= high:
        edges += [2 * edges[-1], 4 * edges[-1], 10 * edges[-1]]
    first = max(index for index, edge in enumerate(edges) if edge <= low)
    last = min(index for index, edge in enumerate(edges) if edge > high)
    return edges[first : last + 1]


def _even_edges(low: float, high: float, per_unit: int = 1) -> list[float]:
    """About ten equal bins of a round width, at least 1 / `per_unit`."""
    # In whole multiples of the smallest width, because 0.1 + 0.2 is not 0.3.
    first, last = (math.floor(value * per_unit) for value in (low, high))
    step = 1
    for factor in itertools.cycle((2, 2.5, 2)):
        if last - first < step * _ABOUT_BINS:
            break
        step = int(step * factor)
    return [edge / per_unit for edge in range(first // step * step, (last // step + 1) * step + 1, step)]


def _fine_edges(low: float, high: float) -> list[float]:
    return _even_edges(low, high, per_unit=10)


def _split_tables(split: SplitStats, names: Mapping[int, str]) -> list[Group]:
    parts = []
    if cameras := split.images_per_camera:
        most = max(cameras.values())
        rows = [
            (camera_name(camid, names) or "unknown", f"{number:,}", _bar(number, most))
            for camid, number in cameras.items()
        ]
        if len(rows) > MAX_CAMERAS_SHOWN:
            rest = list(cameras.values())[MAX_CAMERAS_SHOWN:]
            rows[MAX_CAMERAS_SHOWN:] = [("…", f"{sum(rest):,}", f"{len(rest):,} more cameras")]
        parts.append(_table(f"{split.name}: pictures per camera", ("camera", "pictures", ""), rows))
    apart = f"; {split.distractor_images:,} of distractors apart" if split.distractor_images else ""
    for title, unit, distribution in (
        (f"pictures per person{apart}", "people", split.images_per_pid),
        ("tracklets per person", "people", split.tracklets_per_pid),
        ("frames per tracklet", "tracklets", split.frames_per_tracklet),
    ):
        if distribution:
            parts.append(_histogram(f"{split.name}: {title}", unit, distribution))
    return parts


def _size_tables(sizes: SizeStats, what: str) -> list[Group]:
    of_what = f"of {sizes.num_measured:,} {what}"
    parts = [
        _histogram(f"{title} {of_what}", what, distribution)
        for title, distribution in (
            ("width in pixels", sizes.width),
            ("height in pixels", sizes.height),
            ("aspect ratio (height ÷ width)", sizes.aspect_ratio),
        )
        if distribution
    ]
    if sizes.num_unreadable:
        title = f"{sizes.num_unreadable:,} {what} cannot be read ('omnireid data validate' says why)"
        parts.append(_table(title, ("for example",), [(path,) for path in sizes.unreadable[:3]]))
    return parts


def _histogram(title: str, unit: str, distribution: Distribution) -> Group:
    if distribution.minimum == distribution.maximum:
        spread = f"all {distribution.minimum:.4g}"
    else:
        spread = f"{distribution.minimum:.4g} to {distribution.maximum:.4g}, median {distribution.median:.4g}"
    most = max(distribution.counts)
    rows = [
        (label, f"{number:,}", _bar(number, most))
        for label, number in zip(bin_labels(distribution.edges), distribution.counts, strict=True)
    ]
    return _table(f"{title}: {spread}", ("", unit, ""), rows)


def _table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Group:
    table = Table(box=None, pad_edge=False)
    for index, column in enumerate(columns):
        is_number = column not in ("", "split", "reason", "for example") or (index == 0 and column == "")
        table.add_column(column, justify="right" if is_number else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row), style="red" if "differs" in row else None)
    # Not the table's own title, which wraps at the table's width.
    return Group(Text(f"\n{title}", style="bold"), table)


def bin_labels(edges: Sequence[float]) -> list[str]:
    """Names of bins: "3", "5–9", "100–119" for whole numbers, "1.5–2" (2 left out) for others."""
    is_whole = all(edge == int(edge) for edge in edges)
    labels = []
    for low, high in itertools.pairwise(edges):
        if not is_whole:
            labels.append(f"{low:g}–{high:g}")
        else:
            labels.append(f"{low:,.0f}" if high - low == 1 else f"{low:,.0f}–{high - 1:,.0f}")
    return labels


def _bar(number: int, most: int) -> str:
    # One picture among a hundred thousand is still there.
    return "█" * round(_BAR_WIDTH * number / most) or ("▏" if number else "")

"""The values that flow through OmniReID: sample → crop → embedding → ranking → record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from omnireid.core.arrays import Float32, Int64
from omnireid.core.display import html_table, short_repr
from omnireid.core.errors import InputError, ShapeError
from omnireid.core.options import Protocol

JUNK_PID = -1
DISTRACTOR_PID = 0

_ROWS_AT_ONCE = 8192


@dataclass(frozen=True, slots=True)
class Sample:
    """One person picture, or one tracklet: pictures of one person in one camera, in order.

    Attributes:
        path: image file; of a tracklet the first frame.
        pid: the dataset's person number; −1 is junk, 0 a distractor where the dataset says so.
        camid: zero-based camera.
        time: seconds or frame number, where the dataset has one.
        dsetid: zero-based place of the dataset among several that were combined.
        frames: image files of a tracklet; empty for a picture.
    """

    path: str
    pid: int
    camid: int
    time: float | None = None
    dsetid: int = 0
    frames: tuple[str, ...] = ()

    __repr__ = short_repr


@dataclass(frozen=True, slots=True)
class Split:
    """An ordered list of samples: train, query or gallery."""

    name: str
    samples: tuple[Sample, ...]

    def __repr__(self) -> str:
        what = "tracklets" if self.is_video else "pictures"
        sizes = f"{len(self):,} {what}, {self.num_pids:,} people, {self.num_cameras} cameras"
        return f"Split({self.name!r}, {sizes})"

    def __len__(self) -> int:
        return len(self.samples)

    def __iter__(self) -> Iterator[Sample]:
        return iter(self.samples)

    @property
    def paths(self) -> tuple[str, ...]:
        return tuple(sample.path for sample in self.samples)

    @property
    def pids(self) -> Int64:
        """(N,) int64."""
        return np.fromiter((sample.pid for sample in self.samples), np.int64, len(self.samples))

    @property
    def camids(self) -> Int64:
        """(N,) int64."""
        return np.fromiter((sample.camid for sample in self.samples), np.int64, len(self.samples))

    @property
    def num_pids(self) -> int:
        return len({sample.pid for sample in self.samples})

    @property
    def num_cameras(self) -> int:
        return len({sample.camid for sample in self.samples})

    @property
    def is_video(self) -> bool:
        """Whether the samples are tracklets."""
        return any(sample.frames for sample in self.samples)

    @property
    def num_images(self) -> int:
        """Picture files, those of every tracklet counted."""
        return sum(len(sample.frames) or 1 for sample in self.samples)


@dataclass(frozen=True, slots=True)
class Partition:
    """Which of a benchmark's several train/test partitions ("random splits") a dataset is.

    Attributes:
        index: zero-based, what `--split-id` takes.
        count: how many there are.
        origin: where they come from: a file of the benchmark, or drawn here with a seed.
        sha256: of the partition's query, gallery and training lists; equal hashes mean equal partitions.
    """

    index: int
    count: int
    origin: str
    sha256: str


@dataclass(frozen=True, slots=True)
class SkippedFile:
    """A file that a reader saw and did not take, and why."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Dataset:
    """What a reader returns: the three splits and the protocol they are scored by.

    A split that the source does not have is empty (a folder to embed has no train split).
    `skipped` names what lay among the pictures and was not taken (junk, wrong names). `partition` is
    None for a benchmark with one fixed train/test partition. `unused` are good samples that the protocol
    has no place for (i-LIDS scores two pictures of each test person, whatever else there is). `remarks` say
    how something was read that its owner may mean otherwise. `pid_names` and `camera_names` hold what people
    and cameras are called, where that is not their number; one name is one person in all splits.
    """

    name: str
    root: str
    train: Split
    query: Split
    gallery: Split
    protocol: Protocol = Protocol.MARKET1501
    skipped: tuple[SkippedFile, ...] = ()
    partition: Partition | None = None
    unused: tuple[Sample, ...] = ()
    remarks: tuple[str, ...] = ()
    pid_names: Mapping[int, str] = field(default_factory=dict, hash=False)
    camera_names: Mapping[int, str] = field(default_factory=dict, hash=False)

    __repr__ = short_repr

    def _repr_html_(self) -> str:
        rows = [
            (split.name, f"{len(split):,}", f"{split.num_images:,}", f"{split.num_pids:,}", split.num_cameras)
            for split in self.splits
        ]
        return html_table(
            ("split", "samples", "images", "people", "cameras"), rows, f"{self.name}: {self.root}"
        )

    @property
    def splits(self) -> tuple[Split, Split, Split]:
        return (self.train, self.query, self.gallery)


@dataclass(frozen=True, slots=True)
class EmbeddingSet:
    """Embeddings with what is known of the pictures they came from.

    Attributes:
        embeddings: (N, D) float32.
        pids, camids: (N,) int64; −1 where unknown.
        paths: N image files.
        normalised: whether each row has unit L2 norm.
        model: name and hash of what made them, so that two models are never mixed.
    """

    embeddings: Float32
    pids: Int64
    camids: Int64
    paths: tuple[str, ...]
    normalised: bool
    model: str = ""

    __repr__ = short_repr

    def __post_init__(self) -> None:
        if self.embeddings.ndim != 2:
            raise ShapeError("embeddings", expected="(N, D)", actual=self.embeddings.shape)
        n = len(self.embeddings)
        for name, values in (("pids", self.pids), ("camids", self.camids)):
            if values.shape != (n,):
                raise ShapeError(name, expected=(n,), actual=values.shape)
        if len(self.paths) != n:
            raise ShapeError("paths", expected=(n,), actual=(len(self.paths),))
        # A part at a time: the embeddings may be a mapped file that is larger than memory.
        for start in range(0, n, _ROWS_AT_ONCE):
            part = self.embeddings[start : start + _ROWS_AT_ONCE]
            bad = np.flatnonzero(~np.isfinite(part).all(axis=1))
            if bad.size:
                row = start + int(bad[0])
                raise InputError(f"embeddings: row {row} ({self.paths[row]}) holds NaN or infinity")

    def __len__(self) -> int:
        return len(self.embeddings)

    @property
    def dim(self) -> int:
        return int(self.embeddings.shape[1])


def label_map(pids: Sequence[int] | Int64) -> dict[int, int]:
    """Contiguous training classes 0…C−1 for the pids of a training split, in ascending pid order."""
    return {int(pid): label for label, pid in enumerate(sorted(set(map(int, pids))))}

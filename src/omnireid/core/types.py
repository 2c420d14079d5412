"""The values that flow through OmniReID: sample → crop → embeddings → ranking → record."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, overload

import numpy as np

from omnireid.core.arrays import AnyFloat, Bool, Float64, Int64
from omnireid.core.card import ModelRef
from omnireid.core.display import html_table, short_repr
from omnireid.core.errors import InputError, ShapeError
from omnireid.core.options import Protocol

JUNK_PID = -1
DISTRACTOR_PID = 0


_ROWS_AT_ONCE = 8192
# Of a squared norm: what rounding to bfloat16 may leave, far from what was never normalised.
_UNIT_TOLERANCE = 1e-2


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
        attributes: 1 or 0 for each attribute that the person may have; empty where none are known.
    """

    path: str
    pid: int
    camid: int
    time: float | None = None
    dsetid: int = 0
    frames: tuple[str, ...] = ()
    attributes: tuple[int, ...] = ()

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
    `attributes` names those of the samples, in their order.
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
    attributes: tuple[str, ...] = ()

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


@dataclass(frozen=True, eq=False)
class SampleColumns(Sequence[Sample]):
    """Samples by column, each made when it is asked for: of millions, none takes an object of its own.

    Attributes:
        paths: N image files.
        pids, camids, dsetids: (N,) int64, as `Sample`; pid and camid are −1 where unknown.
        times: (N,) float64; NaN where unknown.
        frames: Image files of each tracklet; empty where none is one.
    """

    paths: Sequence[str]
    pids: Int64
    camids: Int64
    times: Float64
    dsetids: Int64
    frames: Sequence[tuple[str, ...]] = ()

    __repr__ = short_repr

    def __post_init__(self) -> None:
        expected = (len(self.paths),)
        for name in ("pids", "camids", "times", "dsetids"):
            if (actual := getattr(self, name).shape) != expected:
                raise ShapeError(name, expected=expected, actual=actual)
        if self.frames and len(self.frames) != len(self.paths):
            raise ShapeError("frames", expected=expected, actual=(len(self.frames),))

    @classmethod
    def of(cls, sources: Sequence[object]) -> SampleColumns:
        """Columns of samples, or of anything else as far as it knows what they do."""
        if isinstance(sources, SampleColumns):
            return sources
        times = (getattr(source, "time", None) for source in sources)
        frames = tuple(getattr(source, "frames", ()) for source in sources)
        count = len(sources)
        return cls(
            tuple(getattr(source, "path", "") for source in sources),
            np.fromiter((getattr(source, "pid", -1) for source in sources), np.int64, count),
            np.fromiter((getattr(source, "camid", -1) for source in sources), np.int64, count),
            np.fromiter((np.nan if time is None else time for time in times), np.float64, count),
            np.fromiter((getattr(source, "dsetid", 0) for source in sources), np.int64, count),
            frames if any(frames) else (),
        )

    def __len__(self) -> int:
        return len(self.paths)

    @overload
    def __getitem__(self, row: int) -> Sample: ...

    @overload
    def __getitem__(self, row: slice) -> SampleColumns: ...

    def __getitem__(self, row: int | slice) -> Sample | SampleColumns:
        if isinstance(row, slice):
            return self.take(np.arange(len(self))[row])
        time = float(self.times[row])
        return Sample(
            self.paths[row],
            int(self.pids[row]),
            int(self.camids[row]),
            None if math.isnan(time) else time,
            int(self.dsetids[row]),
            self.frames[row] if self.frames else (),
        )

    def take(self, rows: Int64) -> SampleColumns:
        """The samples of some rows."""
        numbers = rows.tolist()
        return SampleColumns(
            tuple(self.paths[row] for row in numbers),
            self.pids[rows],
            self.camids[rows],
            self.times[rows],
            self.dsetids[rows],
            tuple(self.frames[row] for row in numbers) if self.frames else (),
        )


@dataclass(frozen=True, eq=False)
class Embeddings:
    """Embeddings with what each is of and which model made them; checked once, when they are made.

    Some rows (`embeddings[rows]`) and `concatenate` keep all that is known, and look at no value again.

    Attributes:
        vectors: (N, D) floating, finite; float32 from an `Embedder`. A mapped file may exceed memory.
        of: N samples, or what else was embedded, such as a gallery's items.
        model: The model that made them; two are never mixed.
        is_unit: Whether each row has unit L2 norm; one of only zeros, which has no direction, stays so.

    Raises:
        ShapeError: Vectors of another rank or size, or another number of samples.
        InputError: A row with NaN or infinity, or one of another norm where `is_unit`; names the row.
    """

    vectors: AnyFloat
    of: Sequence[Any]
    model: ModelRef
    is_unit: bool

    __repr__ = short_repr

    def __post_init__(self) -> None:
        if self.vectors.ndim != 2 or self.dim != self.model.dim:
            raise ShapeError("vectors", expected=("N", self.model.dim), actual=self.vectors.shape)
        if len(self.of) != len(self):
            raise ShapeError("of", expected=(len(self),), actual=(len(self.of),))
        # A part at a time: the vectors may be a mapped file that is larger than memory.
        for start in range(0, len(self), _ROWS_AT_ONCE):
            self._check(start, self.vectors[start : start + _ROWS_AT_ONCE])

    def _check(self, start: int, part: AnyFloat) -> None:
        with np.errstate(over="ignore", invalid="ignore"):
            sq_norms = np.einsum("nd,nd->n", part, part)
        for row in np.flatnonzero(~np.isfinite(sq_norms)).tolist():
            if not np.isfinite(part[row]).all():
                raise InputError(f"embeddings: {self._named(start + row)} holds NaN or infinity")
        if self.is_unit:
            off = np.flatnonzero((np.abs(sq_norms - 1) > _UNIT_TOLERANCE) & (sq_norms != 0))
            if off.size:
                raise InputError(
                    f"embeddings: {self._named(start + int(off[0]))} has norm {sq_norms[off[0]] ** 0.5:.4g} "
                    "and is said to have 1; normalise it first (omnireid.core.vectors.unit_rows)"
                )

    def _named(self, row: int) -> str:
        path = getattr(self.of[row], "path", "")
        return f"row {row} ({path})" if path else f"row {row}"

    @classmethod
    def from_arrays(
        cls,
        vectors: AnyFloat,
        pids: Int64,
        camids: Int64,
        paths: Sequence[str] | None = None,
        *,
        times: Float64 | None = None,
        model: ModelRef | None = None,
        is_unit: bool = False,
    ) -> Embeddings:
        """Embeddings of columns instead of samples, as other programs give them.

        Args:
            vectors: (N, D) floating.
            pids, camids: (N,) int64; −1 where unknown.
            paths: N image files, where known.
            times: (N,) float64; NaN where unknown.
            model: The model that made them; all that say none are taken to be of one.
            is_unit: Whether each row has unit L2 norm.

        Raises:
            ShapeError, InputError: As for `Embeddings`.
        """
        count = len(pids)
        columns = SampleColumns(
            ("",) * count if paths is None else paths,
            pids,
            camids,
            np.full(count, np.nan) if times is None else times,
            np.zeros(count, np.int64),
        )
        return cls(vectors, columns, model or ModelRef("unknown", None, vectors.shape[-1]), is_unit)

    def __len__(self) -> int:
        return len(self.vectors)

    def __getitem__(self, rows: int | slice | Int64 | Bool) -> Embeddings:
        """Some rows, by one number, a slice, numbers or a mask."""
        numbers = np.atleast_1d(np.arange(len(self))[rows])
        of = self.of
        # Sliced as they are: a part of a mapped file is mapped, too.
        vectors = self.vectors[rows if isinstance(rows, slice) else numbers]
        chosen: Sequence[Any] = (
            of.take(numbers) if isinstance(of, SampleColumns) else tuple(of[row] for row in numbers.tolist())
        )
        return _known_good(vectors, chosen, self.model, self.is_unit)

    @property
    def dim(self) -> int:
        """D, the size of an embedding."""
        return int(self.vectors.shape[1])

    @cached_property
    def columns(self) -> SampleColumns:
        """What they are of, by column."""
        return SampleColumns.of(self.of)

    @property
    def paths(self) -> Sequence[str]:
        """N image files; "" where an embedding is of none."""
        return self.columns.paths

    @property
    def pids(self) -> Int64:
        """(N,) int64; −1 where unknown."""
        return self.columns.pids

    @property
    def camids(self) -> Int64:
        """(N,) int64; −1 where unknown."""
        return self.columns.camids

    @property
    def times(self) -> Float64:
        """(N,) float64; NaN where unknown."""
        return self.columns.times

    @property
    def dsetids(self) -> Int64:
        """(N,) int64; 0 where there is one dataset."""
        return self.columns.dsetids


def _known_good(vectors: AnyFloat, of: Sequence[object], model: ModelRef, is_unit: bool) -> Embeddings:
    """Embeddings made of others, which were checked."""
    embeddings = object.__new__(Embeddings)
    vars(embeddings).update(vectors=vectors, of=of, model=model, is_unit=is_unit)
    return embeddings


def concatenate(parts: Iterable[Embeddings]) -> Embeddings:
    """All rows of several embeddings, at least one, in their order.

    Raises:
        InputError: They are of different models, or some are of unit norm and some are not.
    """
    listed = list(parts)
    first = listed[0]
    for part in listed:
        check_comparable(first, part)
    of: list[object] = []
    for part in listed:
        of += part.of
    vectors = np.concatenate([part.vectors for part in listed])
    return _known_good(vectors, tuple(of), first.model, first.is_unit)


def check_comparable(first: Embeddings, second: Embeddings) -> None:
    """Refuse embeddings that cannot be compared.

    Raises:
        InputError: They are of different models, or only one is L2-normalised.
    """
    if not first.model.is_same(second.model):
        raise InputError(
            f"embeddings of different models ({first.model.short}, {second.model.short}) cannot be compared: "
            "embed both with the same one"
        )
    if first.is_unit != second.is_unit:
        raise InputError("only one of two sets of embeddings is L2-normalised: embed both in the same way")


def label_map(pids: Sequence[int] | Int64) -> dict[int, int]:
    """Contiguous training classes 0…C−1 for the pids of a training split, in ascending pid order."""
    return {int(pid): label for label, pid in enumerate(sorted(set(map(int, pids))))}

"""Pictures to batches: decoding and resizing in threads, in a fixed order, with bounded memory."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from rich.console import Console

from omnireid.core.arrays import Bool, Int64, UInt8
from omnireid.core.card import InputSpec
from omnireid.core.errors import ImageError, InputError, ShapeError
from omnireid.core.forking import ThreadPool, check_process
from omnireid.core.images import Crop, check_crop, load_crop
from omnireid.core.options import OnBad
from omnireid.core.types import SkippedFile

# Rows that one task decodes: few enough to spread a batch over the threads, enough to make the
# hand-over of a task (some tens of microseconds) small beside decoding (half a millisecond a row).
_ROWS_PER_TASK = 8
# How far to decode ahead of the consumer: at least this many batches, and rows per thread.
_BATCHES_AHEAD = 2
_ROWS_AHEAD_PER_THREAD = 16
# Compiled loops save 0.1 to 0.3 ms a picture; importing them takes about as long as 5,000 such savings.
_MANY_SAMPLES = 5_000


class Source(Protocol):
    """A picture that can be read: a `Sample`, or whatever else knows its file."""

    @property
    def path(self) -> str: ...


class Loaded(NamedTuple):
    """A crop, and what it is of where that is known only now that it was read."""

    crop: Crop
    of: object


LoadCrop = Callable[[Any, InputSpec], Crop | Loaded]
OnSkip = Callable[[SkippedFile], None]


def load_sample(sample: Source, spec: InputSpec) -> Crop:
    """Decode and resize: (spec.height, spec.width, 3) uint8 RGB."""
    return load_crop(sample.path, spec)


def load_many(spec: InputSpec, *, scaled: bool = False) -> LoadCrop:
    """A `load_sample` for thousands of samples and one spec: the same crops, resized in compiled loops.

    Another interpolation than bilinear is left to Pillow.

    Args:
        scaled: decode large JPEG files at a fraction of their size, see `core.images.load_crop`. Not the
            same crops.
    """
    resizer = None
    if spec.interpolation == "bilinear":
        from omnireid.core.resampling import Resizer

        resizer = Resizer(spec.height, spec.width)
    return lambda sample, spec: load_crop(sample.path, spec, resizer=resizer, scaled=scaled)


@dataclass(frozen=True)
class Reading:
    """How pictures are read on their way into a network.

    Attributes:
        on_bad: A picture that cannot be decoded stops the work ("error"), or is left out ("skip").
        on_skip: Called at the end for each picture left out; without it one `OmniReIDWarning` counts and
            names them.
        console: Where progress is shown; nowhere when None.
        threads: How many decode; the cores available when None.
        load: From a source to its crop of the card's size, in any thread; by default decode and resize.
    """

    on_bad: Literal["error", "skip"] = "error"
    on_skip: OnSkip | None = None
    console: Console | None = None
    threads: int | None = None
    load: LoadCrop | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """Decoded pictures and what they are.

    Attributes:
        crops: (N, H, W, 3) uint8 RGB.
        indices: (N,) int64; positions in the loader's samples.
        of: N samples, or what their loading said they are.
    """

    crops: UInt8
    indices: Int64
    of: tuple[Any, ...]

    def __len__(self) -> int:
        return len(self.indices)


@dataclass(slots=True)
class _Pending:
    crops: UInt8
    indices: Int64
    of: list[Any]
    tasks: list[Future[list[tuple[int, ImageError]]]]


class CropLoader:
    """Decodes and resizes samples batch by batch, ahead of whoever consumes them.

    What comes out depends on the samples and the index batches only, never on the number of
    threads. Memory holds the batch in use, the batches ahead (two, or enough rows to keep the
    threads busy where batches are small) and the cache.

    A picture that cannot be decoded is, as `on_bad` says,

    - "error": an `ImageError` that names it, raised in place of its batch (the first bad row of
      the first bad batch, whatever thread met it first);
    - "skip": left out, so that its batch is smaller (a batch without any row left is not yielded),
      and listed in `skipped`;
    - "skip" with `refill=True`, for training: its row holds another picture of the same batch,
      of the same pid where there is one, so that batches keep their size and P×K batches their
      form. Rows are taken in turn, so the result is the same in every run.

    Attributes:
        skipped: index → error of every picture left out so far. Each is tried once only.
        wait_s: seconds that consumers have waited for batches so far, over all calls of `load`.
    """

    def __init__(
        self,
        samples: Sequence[Source],
        spec: InputSpec,
        *,
        threads: int = 1,
        on_bad: OnBad = "error",
        refill: bool = False,
        cache_bytes: int = 0,
        load: LoadCrop | None = None,
    ) -> None:
        """Prepare a loader; threads start with `load`.

        Args:
            samples: what index batches point into.
            spec: size and interpolation of the crops.
            threads: decoding threads, at least 1.
            on_bad, refill: what happens to a picture that cannot be decoded, see above.
            cache_bytes: memory for decoded crops. The first samples that fit are kept, so that
                later epochs do not decode them again; 0 keeps none.
            load: a function from a sample to its crop of the spec's size, in any thread; by default decode
                and resize, as `load_many` does it where samples are many.

        Raises:
            InputError: an argument out of range.
        """
        if threads < 1:
            raise InputError(f"threads: expected at least 1, got {threads}")
        if on_bad not in ("error", "skip"):
            raise InputError(f"on_bad: expected 'error' or 'skip', got {on_bad!r}")
        if cache_bytes < 0:
            raise InputError(f"cache_bytes: expected at least 0, got {cache_bytes}")
        self.samples = samples
        self.spec = spec
        self.threads = threads
        self.on_bad = on_bad
        self.refill = refill
        self.skipped: dict[int, ImageError] = {}
        self.wait_s = 0.0
        self._load = load or (load_many(spec) if len(samples) >= _MANY_SAMPLES else load_sample)
        self._crop_shape = (spec.height, spec.width, 3)
        capacity = min(len(samples), cache_bytes // (spec.height * spec.width * 3))
        # Pages of an empty array cost nothing until a crop is written to them.
        self._cache = np.empty((capacity, *self._crop_shape), np.uint8)
        self._is_cached = np.zeros(capacity, np.bool_)

    def load(self, index_batches: Iterable[Sequence[int] | Int64]) -> Iterator[Batch]:
        """Yield one batch for each batch of indices, in their order.

        Threads end when the iterator does, is closed, or raises. Two loads of one loader may not
        run at once.

        Raises:
            InputError: an index outside the samples.
            ImageError: a picture that cannot be decoded, with on_bad="error"; or, with refill, a
                batch without a single good picture.
            ForkError: a child of this process goes on where it was forked.
        """
        process = os.getpid()
        source = iter(index_batches)
        pending: deque[_Pending] = deque()
        pool = ThreadPool(self.threads, "omnireid-decode")
        try:
            exhausted = False
            while True:
                while not exhausted and self._may_submit(pending):
                    indices = next(source, None)
                    if indices is None:
                        exhausted = True
                    else:
                        pending.append(self._submit(pool, indices))
                if not pending:
                    return
                batch = self._collect(pending.popleft())
                if len(batch):
                    yield batch
                    check_process(process, "batches of pictures", "load them in the child")
        finally:
            # Reached by exhaustion, errors, Ctrl-C and a consumer that stops early.
            pool.shutdown(wait=True, cancel_futures=True)

    def _may_submit(self, pending: deque[_Pending]) -> bool:
        # One more than the batches ahead: the oldest is about to be handed out.
        if len(pending) <= _BATCHES_AHEAD:
            return True
        return sum(len(batch.indices) for batch in pending) < _ROWS_AHEAD_PER_THREAD * self.threads

    def _submit(self, pool: ThreadPool, index_batch: Sequence[int] | Int64) -> _Pending:
        indices = np.asarray(index_batch, dtype=np.int64)
        if indices.ndim != 1:
            raise InputError(f"index batch: expected shape (N,), got {indices.shape}")
        outside = indices[(indices < 0) | (indices >= len(self.samples))]
        if outside.size:
            raise InputError(f"index {outside[0]} is outside the {len(self.samples):,} samples")
        crops = np.empty((len(indices), *self._crop_shape), np.uint8)
        batch = _Pending(crops, indices, [None] * len(indices), [])
        batch.tasks = [
            pool.submit(self._fill, batch, start, min(start + _ROWS_PER_TASK, len(indices)))
            for start in range(0, len(indices), _ROWS_PER_TASK)
        ]
        return batch

    def _fill(self, batch: _Pending, start: int, stop: int) -> list[tuple[int, ImageError]]:
        """Decode rows start…stop−1 into the batch; returns the rows that failed."""
        failed: list[tuple[int, ImageError]] = []
        crops = batch.crops
        for row in range(start, stop):
            index = int(batch.indices[row])
            sample = batch.of[row] = self.samples[index]
            if index < len(self._cache) and self._is_cached[index]:
                crops[row] = self._cache[index]
                continue
            if index in self.skipped:
                failed.append((row, self.skipped[index]))
                continue
            try:
                crop = self._load(sample, self.spec)
            except ImageError as error:
                failed.append((row, error))
                continue
            if isinstance(crop, Loaded):
                crop, batch.of[row] = crop
            name = f"crop of {sample.path}"
            check_crop(crop, name)
            # NumPy would spread a smaller one over the row.
            if crop.shape != self._crop_shape:
                raise ShapeError(name, expected=self._crop_shape, actual=crop.shape)
            crops[row] = crop
            if index < len(self._cache):
                # The flag last: another thread that sees it must find the whole crop.
                self._cache[index] = crops[row]
                self._is_cached[index] = True
        return failed

    def _collect(self, batch: _Pending) -> Batch:
        started = time.perf_counter()
        try:
            failed = [failure for task in batch.tasks for failure in task.result()]
        finally:
            self.wait_s += time.perf_counter() - started
        if not failed:
            return Batch(batch.crops, batch.indices, tuple(batch.of))
        if self.on_bad == "error":
            raise failed[0][1]
        self.skipped.update((int(batch.indices[row]), error) for row, error in failed)
        is_good = np.ones(len(batch.indices), np.bool_)
        is_good[[row for row, _ in failed]] = False
        if not self.refill:
            of = tuple(batch.of[row] for row in np.flatnonzero(is_good).tolist())
            return Batch(batch.crops[is_good], batch.indices[is_good], of)
        if not is_good.any():
            raise failed[0][1]
        return self._refilled(batch, is_good)

    def _refilled(self, batch: _Pending, is_good: Bool) -> Batch:
        pids = np.array([sample.pid for sample in batch.of])
        good_rows = np.flatnonzero(is_good)
        indices = batch.indices.copy()
        for turn, row in enumerate(np.flatnonzero(~is_good)):
            same_pid = good_rows[pids[good_rows] == pids[row]]
            donors = same_pid if same_pid.size else good_rows
            donor = donors[turn % len(donors)]
            batch.crops[row] = batch.crops[donor]
            indices[row], batch.of[row] = indices[donor], batch.of[donor]
        return Batch(batch.crops, indices, tuple(batch.of))

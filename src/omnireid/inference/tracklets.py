"""One embedding for each tracklet: its frames are embedded, pooled, and normalised afterwards."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple, overload

import numpy as np

from omnireid.core.errors import OmniReIDWarning
from omnireid.core.seeds import numpy_generator
from omnireid.core.types import Embeddings, Sample, SkippedFile
from omnireid.core.vectors import unit_rows
from omnireid.data.frames import sample_frames
from omnireid.data.loading import OnSkip, Reading
from omnireid.data.options import FrameSampling
from omnireid.inference.embedder import Embedder

NO_FRAME = "no frame of this tracklet can be read"


def embed_tracklets(
    embedder: Embedder,
    samples: Sequence[Sample],
    sampling: FrameSampling = FrameSampling(),
    reading: Reading = Reading(),
    *,
    seed: int = 0,
) -> Embeddings:
    """Embed tracklets, a batch of frames at a time.

    The network's raw embeddings of the chosen frames are pooled, value by value; if `embedder.normalise`,
    the pooled one is L2-normalised, as torchreid does. A frame that is chosen several times, because the
    tracklet is short, is embedded once and counts as often as it was chosen. Memory holds a few batches of
    crops and one row for each tracklet, also with "all".

    Args:
        samples: tracklets; a picture is a tracklet of one frame.
        sampling: which frames, and how they are pooled.
        reading: as `Embedder.embed_stream`. Where bad frames are left out, the others are pooled; a tracklet
            without any good frame is left out. `on_skip` is called for each frame left out, then for each
            tracklet left out (by its first frame).
        seed: seed of "random"; each tracklet draws from its own stream, named by its place in `samples`.

    Returns:
        One row for each tracklet, in their order; `paths` are the first frames.

    Raises:
        ImageError: a frame that cannot be decoded, with on_bad="error".
    """
    frames = _Frames(samples, sampling, seed)
    takes_largest = sampling.pooling == "max"
    pooled = np.full((len(samples), embedder.dim), -np.inf if takes_largest else 0.0)
    weights = np.zeros(len(samples), np.int64)
    skipped: list[SkippedFile] = []
    for part in embedder.embed_stream(frames, replace(reading, on_skip=skipped.append), raw=True):
        owners = np.array([frame.tracklet for frame in part.of], np.int64)
        times = np.array([frame.times for frame in part.of], np.int64)
        if takes_largest:
            np.maximum.at(pooled, owners, part.vectors)
        else:
            # In float64 and one by one, so that the size of the batches makes no difference.
            np.add.at(pooled, owners, part.vectors * times[:, None].astype(np.float64))
        np.add.at(weights, owners, times)
    kept = np.flatnonzero(weights)
    if not takes_largest:
        pooled[kept] /= weights[kept, None]
    lost = [SkippedFile(samples[row].path, NO_FRAME) for row in np.flatnonzero(weights == 0).tolist()]
    _report(skipped, lost, len(samples), reading.on_skip)
    vectors = pooled[kept].astype(np.float32)
    if embedder.normalise:
        vectors = unit_rows(vectors, keep_zero=True)
    of = tuple(samples[row] for row in kept.tolist())
    return Embeddings(vectors, of, embedder.ref, embedder.normalise)


class _Frame(NamedTuple):
    """A chosen frame.

    Attributes:
        path: its image file.
        tracklet: the row of its tracklet.
        times: how often it was chosen.
    """

    path: str
    tracklet: int
    times: int


class _Frames(Sequence[_Frame]):
    """The chosen frames of all tracklets as one sequence of pictures, each frame once.

    They are made when they are asked for: MARS has more than a million frames.
    """

    def __init__(self, tracklets: Sequence[Sample], sampling: FrameSampling, seed: int) -> None:
        self._tracklets = tracklets
        drawn = []
        for row, tracklet in enumerate(tracklets):
            rng = numpy_generator(seed, "frames", row) if sampling.sampling == "random" else None
            frames = sample_frames(len(tracklet.frames) or 1, sampling.num_frames, sampling.sampling, rng)
            drawn.append(np.unique(frames, return_counts=True))
        nothing = np.zeros(0, np.int64)
        self._frames = np.concatenate([nothing, *(frames for frames, _ in drawn)])
        self._times = np.concatenate([nothing, *(times for _, times in drawn)])
        self._owners = np.repeat(np.arange(len(tracklets)), [len(frames) for frames, _ in drawn])

    def __len__(self) -> int:
        return len(self._owners)

    @overload
    def __getitem__(self, index: int) -> _Frame: ...

    @overload
    def __getitem__(self, index: slice) -> list[_Frame]: ...

    def __getitem__(self, index: int | slice) -> _Frame | list[_Frame]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        row = int(self._owners[index])
        tracklet = self._tracklets[row]
        path = tracklet.frames[self._frames[index]] if tracklet.frames else tracklet.path
        return _Frame(path, row, int(self._times[index]))


def _report(
    frames: list[SkippedFile], tracklets: list[SkippedFile], num_tracklets: int, on_skip: OnSkip | None
) -> None:
    if on_skip is not None:
        for file in (*frames, *tracklets):
            on_skip(file)
    elif frames:
        text = (
            f"{len(frames)} frames were skipped, the first {frames[0].path} ({frames[0].reason}); "
            f"{len(tracklets)} of {num_tracklets} tracklets had no good frame and are left out"
        )
        warnings.warn(text, OmniReIDWarning, stacklevel=3)

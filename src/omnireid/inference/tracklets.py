"""One embedding for each tracklet: its frames are embedded, pooled, and normalised afterwards."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import overload

import numpy as np
from rich.console import Console

from omnireid.core.errors import OmniReIDWarning
from omnireid.core.options import OnBad
from omnireid.core.seeds import numpy_generator
from omnireid.core.types import EmbeddingSet, Sample, SkippedFile
from omnireid.data.frames import sample_frames
from omnireid.data.options import FrameSampling, Pooling, Sampling
from omnireid.inference.embedder import Embedder, OnSkip, l2_normalised

NO_FRAME = "no frame of this tracklet can be read"


def embed_tracklets(
    embedder: Embedder,
    samples: Sequence[Sample],
    *,
    num_frames: int = 15,
    sampling: Sampling = "evenly",
    pooling: Pooling = "mean",
    seed: int = 0,
    on_bad: OnBad = "error",
    on_skip: OnSkip | None = None,
    console: Console | None = None,
    threads: int | None = None,
) -> EmbeddingSet:
    """Embed tracklets, a batch of frames at a time.

    The network's raw embeddings of the chosen frames are pooled, value by value; if `embedder.normalise`,
    the pooled one is L2-normalised, as torchreid does. A frame that is chosen several times, because the
    tracklet is short, is embedded once and counts as often as it was chosen. Memory holds a few batches of
    crops and one row for each tracklet, also with "all".

    Args:
        samples: tracklets; a picture is a tracklet of one frame.
        num_frames, sampling: which frames, see `sample_frames`.
        pooling: "mean" or "max" over the frames.
        seed: of "random"; each tracklet draws from its own stream, named by its place in `samples`.
        on_bad: a frame that cannot be decoded stops the work, or is left out: the others are pooled. A
            tracklet without any good frame is left out.
        on_skip: called at the end for each frame left out, then for each tracklet left out (by its first
            frame); without it one `OmniReIDWarning` counts them.
        console: where to show progress; nothing is shown when None.
        threads: that decode; the cores available when None.

    Returns:
        One row for each tracklet, in their order; `paths` are the first frames.

    Raises:
        ImageError: a frame that cannot be decoded, with on_bad="error".
        InputError, UnknownNameError: as `FrameSampling`.
    """
    how = FrameSampling(num_frames, sampling, pooling)
    frames = _Frames(samples, how, seed)
    pooled = np.full((len(samples), embedder.dim), -np.inf if pooling == "max" else 0.0)
    weights = np.zeros(len(samples), np.int64)
    skipped: list[SkippedFile] = []
    for places, rows in embedder.embed_raw(
        frames, on_bad=on_bad, on_skip=skipped.append, console=console, threads=threads
    ):
        owners, times = frames.owners[places], frames.times[places]
        if pooling == "max":
            np.maximum.at(pooled, owners, rows)
        else:
            # In float64 and one by one, so that the size of the batches makes no difference.
            np.add.at(pooled, owners, rows * times[:, None].astype(np.float64))
        np.add.at(weights, owners, times)
    kept = np.flatnonzero(weights)
    if pooling == "mean":
        pooled[kept] /= weights[kept, None]
    lost = [SkippedFile(samples[place].path, NO_FRAME) for place in np.flatnonzero(weights == 0).tolist()]
    _report(skipped, lost, len(samples), on_skip)
    embeddings = pooled[kept].astype(np.float32)
    tracklets = [samples[place] for place in kept.tolist()]
    return EmbeddingSet(
        embeddings=l2_normalised(embeddings) if embedder.normalise else embeddings,
        pids=np.array([tracklet.pid for tracklet in tracklets], np.int64),
        camids=np.array([tracklet.camid for tracklet in tracklets], np.int64),
        paths=tuple(tracklet.path for tracklet in tracklets),
        normalised=embedder.normalise,
        model=embedder.ref.short,
    )


class _Frames(Sequence[Sample]):
    """The chosen frames of all tracklets as one sequence of pictures, each frame once.

    Samples are made when they are asked for: MARS has more than a million frames.

    Attributes:
        owners: (F,) int64; the place of each frame's tracklet.
        times: (F,) int64; how often the frame was chosen.
    """

    def __init__(self, tracklets: Sequence[Sample], how: FrameSampling, seed: int) -> None:
        self._tracklets = tracklets
        drawn = []
        for place, tracklet in enumerate(tracklets):
            rng = numpy_generator(seed, "frames", place) if how.sampling == "random" else None
            frames = sample_frames(len(tracklet.frames) or 1, how.num_frames, how.sampling, rng)
            drawn.append(np.unique(frames, return_counts=True))
        nothing = np.zeros(0, np.int64)
        self._frames = np.concatenate([nothing, *(frames for frames, _ in drawn)])
        self.times = np.concatenate([nothing, *(times for _, times in drawn)])
        self.owners = np.repeat(np.arange(len(tracklets)), [len(frames) for frames, _ in drawn])

    def __len__(self) -> int:
        return len(self.owners)

    @overload
    def __getitem__(self, place: int) -> Sample: ...

    @overload
    def __getitem__(self, place: slice) -> list[Sample]: ...

    def __getitem__(self, place: int | slice) -> Sample | list[Sample]:
        if isinstance(place, slice):
            return [self[one] for one in range(*place.indices(len(self)))]
        tracklet = self._tracklets[int(self.owners[place])]
        path = tracklet.frames[self._frames[place]] if tracklet.frames else tracklet.path
        return Sample(path, tracklet.pid, tracklet.camid)


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

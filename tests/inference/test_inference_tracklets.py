"""Embeddings of tracklets: frames sampled, embedded once, pooled raw and normalised afterwards."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from omnireid import Embedder
from omnireid.core.errors import ImageError, InputError, OmniReIDWarning, UnknownNameError
from omnireid.core.types import Sample, SkippedFile
from omnireid.data.frames import sample_frames
from omnireid.data.loading import Reading
from omnireid.data.options import FrameSampling
from omnireid.inference.tracklets import NO_FRAME, _Frames, embed_tracklets

LENGTHS = (1, 3, 4, 30, 2, 40, 17)


@pytest.fixture
def embedder(colour_graph: Callable[..., Path]) -> Embedder:
    return Embedder.open(colour_graph(), threads=1, batch_size=16, normalise=False)


@pytest.fixture
def tracklets(pictures: list[Sample]) -> list[Sample]:
    """Seven tracklets of 1 to 40 frames."""
    paths = [sample.path for sample in pictures]
    found = []
    for number, length in enumerate(LENGTHS):
        frames, paths = tuple(paths[:length]), paths[length:]
        found.append(Sample(frames[0], pid=number // 2, camid=number % 3, frames=frames))
    return found


def raw(embedder: Embedder, paths: list[str]) -> np.ndarray:
    """(F, D) float64, one frame after the other."""
    frames = [Sample(path, 0, 0) for path in paths]
    plain = Embedder(embedder.backend, batch_size=1, normalise=False)
    return plain.embed_samples(frames).vectors.astype(np.float64)


@pytest.mark.parametrize("pooling", ["mean", "max"])
@pytest.mark.parametrize(
    ("num_frames", "sampling"), [(15, "evenly"), (1, "evenly"), (4, "evenly"), (15, "all")]
)
@pytest.mark.parametrize("normalise", [False, True])
def test_rows_are_the_pooled_frames(embedder, tracklets, num_frames, sampling, pooling, normalise):
    embedder.normalise = normalise
    found = embed_tracklets(
        embedder,
        tracklets,
        FrameSampling(num_frames=num_frames, sampling=sampling, pooling=pooling),
        Reading(threads=2),
    )
    for row, tracklet in zip(found.vectors, tracklets, strict=True):
        places = sample_frames(len(tracklet.frames), num_frames, sampling)
        every = raw(embedder, [tracklet.frames[place] for place in places])
        wanted = every.mean(axis=0) if pooling == "mean" else every.max(axis=0)
        if normalise:
            wanted /= np.linalg.norm(wanted)
        np.testing.assert_allclose(row, wanted, rtol=1e-5, atol=1e-6)
    assert found.paths == tuple(tracklet.frames[0] for tracklet in tracklets)
    assert found.pids.tolist() == [tracklet.pid for tracklet in tracklets]
    assert found.camids.tolist() == [tracklet.camid for tracklet in tracklets]
    assert (found.is_unit, found.model) == (normalise, embedder.ref)


def test_pooling_comes_before_normalising(embedder, tracklets):
    embedder.normalise = True
    found = embed_tracklets(embedder, tracklets[3:4], FrameSampling(sampling="all")).vectors[0]
    every = raw(embedder, list(tracklets[3].frames))
    other = (every / np.linalg.norm(every, axis=1, keepdims=True)).mean(axis=0)
    assert np.abs(found - other / np.linalg.norm(other)).max() > 1e-4


def test_a_padded_frame_is_embedded_once_and_weighs_as_often_as_it_was_chosen(embedder, tracklets):
    class Counting:
        def __init__(self, backend):
            self.backend, self.name, self.device, self.card = (
                backend,
                backend.name,
                backend.device,
                backend.card,
            )
            self.calls_side_by_side = None
            self.num_crops = 0

        def embed(self, crops):
            self.num_crops += len(crops)
            return self.backend.embed(crops)

    counting = Counting(embedder.backend)
    found = embed_tracklets(Embedder(counting, normalise=False), tracklets[1:2], FrameSampling(num_frames=15))
    assert counting.num_crops == 3
    first, second, last = raw(embedder, list(tracklets[1].frames))
    np.testing.assert_allclose(found.vectors[0], (first + second + 13 * last) / 15, rtol=1e-5)


def test_random_frames_depend_on_seed_and_place_alone(embedder, tracklets):
    def rows(samples, **options):
        return embed_tracklets(
            embedder, samples, FrameSampling(num_frames=5, sampling="random"), **options
        ).vectors

    whole = rows(tracklets, seed=3)
    np.testing.assert_array_equal(whole, rows(tracklets, seed=3, reading=Reading(threads=2)))
    np.testing.assert_array_equal(whole[:4], rows(tracklets[:4], seed=3))
    other = rows(tracklets, seed=4)
    assert (whole[[3, 5, 6]] != other[[3, 5, 6]]).any(axis=1).all()
    np.testing.assert_allclose(whole[0], raw(embedder, [tracklets[0].path])[0], rtol=1e-5)


def test_the_size_of_batches_makes_no_difference(embedder, tracklets):
    whole = embed_tracklets(embedder, tracklets, FrameSampling(sampling="all")).vectors
    for batch_size in (1, 7, 64):
        other = Embedder(embedder.backend, batch_size=batch_size, normalise=False)
        found = embed_tracklets(other, tracklets, FrameSampling(sampling="all")).vectors
        np.testing.assert_allclose(found, whole, rtol=1e-6)


def test_a_picture_is_a_tracklet_of_one_frame(embedder, pictures):
    found = embed_tracklets(embedder, pictures[:20])
    plain = embedder.embed_samples(pictures[:20])
    np.testing.assert_allclose(found.vectors, plain.vectors, rtol=1e-6)
    assert found.paths == plain.paths


def test_nothing_to_embed_is_an_empty_set(embedder):
    found = embed_tracklets(embedder, [])
    assert found.vectors.shape == (0, 3)
    assert found.model == embedder.ref


def test_bad_frames_stop_the_work_or_are_left_out(embedder, tracklets, tmp_path):
    empty = tmp_path / "empty.jpg"
    empty.touch()
    absent = str(tmp_path / "absent.jpg")
    one, two, three = tracklets[2], tracklets[3], tracklets[4]
    mixed = [
        Sample(absent, 1, 0, frames=(absent, *one.frames)),
        Sample(absent, 2, 1, frames=(absent, str(empty))),
        Sample(three.path, 3, 2, frames=(*three.frames, str(empty))),
        two,
    ]
    with pytest.raises(ImageError, match=r"absent\.jpg: no such file"):
        embed_tracklets(embedder, mixed)

    named: list[SkippedFile] = []
    found = embed_tracklets(embedder, mixed, reading=Reading(on_bad="skip", on_skip=named.append))
    assert found.paths == (absent, three.path, two.path)
    assert found.pids.tolist() == [1, 3, two.pid]
    # The first had 5 frames, padded by the last to 15; the third 2 good ones, the last of which is left out.
    weights = np.array([1, 1, 1, 11])
    np.testing.assert_allclose(
        found.vectors[0], np.average(raw(embedder, list(one.frames)), axis=0, weights=weights), rtol=1e-5
    )
    np.testing.assert_allclose(found.vectors[1], raw(embedder, list(three.frames)).mean(axis=0), rtol=1e-5)
    assert [(Path(file.path).name, file.reason) for file in named] == [
        ("absent.jpg", "no such file"),
        ("absent.jpg", "no such file"),
        ("empty.jpg", "the file is empty (0 bytes)"),
        ("empty.jpg", "the file is empty (0 bytes)"),
        ("absent.jpg", NO_FRAME),
    ]
    with pytest.warns(OmniReIDWarning, match=r"4 frames were skipped, .*absent\.jpg .* 1 of 4 tracklets"):
        embed_tracklets(embedder, mixed, reading=Reading(on_bad="skip"))
    with pytest.warns(OmniReIDWarning, match="1 of 1 tracklets"):
        assert (
            len(embed_tracklets(embedder, mixed[1:2], FrameSampling(pooling="max"), Reading(on_bad="skip")))
            == 0
        )


def test_wrong_arguments_are_named(embedder, tracklets):
    with pytest.raises(UnknownNameError, match="unknown pooling 'average'"):
        embed_tracklets(embedder, tracklets, FrameSampling(pooling="average"))
    with pytest.raises(UnknownNameError, match="did you mean 'evenly'"):
        embed_tracklets(embedder, tracklets, FrameSampling(sampling="even"))
    with pytest.raises(InputError, match="num_frames"):
        embed_tracklets(embedder, tracklets, FrameSampling(num_frames=0))


def test_memory_does_not_grow_with_the_number_of_frames(embedder, tracklets):
    def peak(repeat: int) -> int:
        long = [Sample(one.path, one.pid, one.camid, frames=one.frames * repeat) for one in tracklets]
        tracemalloc.start()
        embed_tracklets(embedder, long, FrameSampling(sampling="all"), Reading(threads=1))
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    # 3,492 more frames are 5.4 MB of crops, each time; the interpreter's own tables grow by some MB at times.
    assert min(peak(40) for _ in range(4)) - peak(4) < 3_000_000


def test_frames_are_made_when_they_are_asked_for(tracklets):
    frames = _Frames(tracklets, FrameSampling(3), seed=0)
    assert len(frames) == sum(min(3, length) for length in LENGTHS)
    assert [frame.path for frame in frames[:5]] == [
        tracklets[0].path,
        *tracklets[1].frames,
        tracklets[2].frames[0],
    ]
    assert frames[-1].path == tracklets[6].frames[10]
    assert [frame.times for frame in frames[:5]] == [3, 1, 1, 1, 1]

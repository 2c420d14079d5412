"""Which frames of a tracklet are taken, against the arithmetic of torchreid and against chance."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnireid.core.errors import InputError, UnknownNameError
from omnireid.core.types import Sample, Split
from omnireid.data.frames import flatten, sample_frames
from omnireid.data.options import FrameSampling


def evenly_by_hand(num_available: int, num_frames: int) -> list[int]:
    """FACTS E1: as many frames as divide evenly, every s-th of them; short clips repeat the last frame."""
    if num_available < num_frames:
        return [*range(num_available), *[num_available - 1] * (num_frames - num_available)]
    usable = num_available - num_available % num_frames
    return [frame for frame in range(usable) if frame % (usable // num_frames) == 0]


@given(st.integers(1, 1_000), st.integers(1, 40))
def test_evenly_is_every_sth_frame(num_available, num_frames):
    found = sample_frames(num_available, num_frames)
    assert found.dtype == np.int64
    assert found.tolist() == evenly_by_hand(num_available, num_frames)


def test_examples_of_the_docstring():
    assert sample_frames(35).tolist() == list(range(0, 29, 2))
    assert sample_frames(3, 5).tolist() == [0, 1, 2, 2, 2]
    assert sample_frames(920, 15)[-1] == 14 * 61


@given(st.integers(1, 60), st.integers(1, 20), st.integers(0, 5))
def test_random_draws_in_order_and_twice_only_where_it_must(num_available, num_frames, seed):
    found = sample_frames(num_available, num_frames, "random", np.random.default_rng(seed))
    assert len(found) == num_frames
    assert (np.diff(found) >= 0).all()
    assert found.min() >= 0
    assert found.max() < num_available
    if num_available >= num_frames:
        assert len(set(found.tolist())) == num_frames


def test_random_reaches_every_frame():
    rng = np.random.default_rng(1)
    drawn = np.concatenate([sample_frames(10, 3, "random", rng) for _ in range(2_000)])
    np.testing.assert_allclose(np.bincount(drawn, minlength=10) / 6_000, 0.1, atol=0.015)


def test_all_takes_every_frame():
    assert sample_frames(4, 15, "all").tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((0,), InputError, "num_available: expected at least 1, got 0"),
        ((5, 0), InputError, "num_frames: expected at least 1, got 0"),
        ((5, 2, "random"), InputError, "needs a generator"),
        ((5, 2, "even"), UnknownNameError, "did you mean 'evenly'"),
    ],
)
def test_wrong_arguments_are_named(arguments, error, message):
    with pytest.raises(error, match=message):
        sample_frames(*arguments)


def test_a_sampling_says_what_it_is_and_refuses_nonsense():
    assert str(FrameSampling()) == "15 evenly, mean"
    assert str(FrameSampling(8, "random", "max")) == "8 random, max"
    assert str(FrameSampling(sampling="all")) == "all, mean"
    with pytest.raises(UnknownNameError, match="unknown pooling 'avg'"):
        FrameSampling(pooling="avg")
    with pytest.raises(UnknownNameError, match="unknown frame sampling"):
        FrameSampling(sampling="first")
    with pytest.raises(InputError, match="num_frames"):
        FrameSampling(0)


def test_flatten_takes_tracklets_apart():
    tracklet = Sample("a0.jpg", 7, 2, dsetid=1, frames=("a0.jpg", "a1.jpg", "a2.jpg", "a3.jpg", "a4.jpg"))
    picture = Sample("b.jpg", 8, 0, time=2.5)
    split = Split("train", (tracklet, picture))
    every = flatten(split)
    assert every.name == "train"
    assert every.paths == ("a0.jpg", "a1.jpg", "a2.jpg", "a3.jpg", "a4.jpg", "b.jpg")
    assert every.samples[1] == Sample("a1.jpg", 7, 2, dsetid=1)
    assert every.samples[-1] == picture
    assert not every.is_video
    assert flatten(split, 2).paths == ("a0.jpg", "a2.jpg", "b.jpg")
    assert flatten(split, 9).paths == every.paths
    with pytest.raises(InputError, match="num_frames"):
        flatten(split, 0)

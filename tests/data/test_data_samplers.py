"""Samplers: what every epoch contains, and that (seed, epoch) alone decides."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omnireid.core.errors import ConfigError, InputError
from omnireid.core.types import Sample
from omnireid.data.samplers import SAMPLERS, BalancedPKSampler, GroupSampler, PKSampler, RandomSampler


@given(n=st.integers(1, 200), size=st.integers(1, 50), seed=st.integers(0, 2**40), epoch=st.integers(0, 9))
def test_random_sampler_visits_each_sample_once(n, size, seed, epoch):
    sampler = RandomSampler(n, size, seed=seed, drop_last=False)
    batches = sampler.batches(epoch)
    assert sorted(np.concatenate(batches).tolist()) == list(range(n))
    assert len(batches) == len(sampler)
    assert all(len(batch) == size for batch in batches[:-1])


@given(n=st.integers(1, 200), size=st.integers(1, 50))
def test_dropping_the_last_leaves_only_full_batches(n, size):
    if n < size:
        with pytest.raises(InputError, match=f"at most {n}"):
            RandomSampler(n, size, seed=0)
        return
    sampler = RandomSampler(n, size, seed=0)
    batches = sampler.batches(3)
    assert len(batches) == len(sampler) == n // size
    assert {len(batch) for batch in batches} == {size}
    assert len(set(np.concatenate(batches).tolist())) == n // size * size


def test_random_batches_are_a_function_of_seed_and_epoch():
    sampler = RandomSampler(100, 10, seed=4)
    later = np.stack(sampler.batches(7))
    fresh = np.stack(RandomSampler(100, 10, seed=4).batches(7))
    np.testing.assert_array_equal(later, fresh)
    assert (later != np.stack(sampler.batches(8))).any()
    assert (later != np.stack(RandomSampler(100, 10, seed=5).batches(7))).any()
    # Written down once, so that a change of NumPy or of ours that breaks resuming is seen.
    assert RandomSampler(6, 6, seed=1).batches(0)[0].tolist() == [1, 5, 4, 2, 0, 3]
    assert later.dtype == np.int64


pids_of_samples = st.lists(st.integers(-5, 12), min_size=1, max_size=120)


@settings(max_examples=60)
@given(pids=pids_of_samples, p=st.integers(1, 5), k=st.integers(1, 5), epoch=st.integers(0, 5))
def test_pk_batches_hold_p_people_with_k_pictures_each(pids, p, k, epoch):
    pids = np.array(pids)
    if len(set(pids)) < p:
        with pytest.raises(InputError, match="cannot be drawn"):
            PKSampler(pids, num_pids=p, num_instances=k, seed=0)
        return
    sampler = PKSampler(pids, num_pids=p, num_instances=k, seed=0)
    batches = sampler.batches(epoch)
    assert batches
    used: dict[int, list[int]] = {}
    for batch in batches:
        assert batch.shape == (p * k,) == (sampler.batch_size,)
        groups = pids[batch].reshape(p, k)
        assert (groups == groups[:, :1]).all()
        assert len(set(groups[:, 0])) == p
        for index in batch:
            used.setdefault(int(pids[index]), []).append(int(index))
    for pid, indices in used.items():
        count = int((pids == pid).sum())
        if count >= k:
            assert len(indices) == len(set(indices)) <= count // k * k
        else:
            assert len(indices) == k
    # An epoch ends only when fewer than P people have a group left.
    left = [pid for pid in set(pids) if len(used.get(pid, [])) < max(1, (pids == pid).sum() // k) * k]
    assert len(left) < p


def test_pk_epoch_length_agrees_with_a_plain_loop():
    """The reference's procedure, written plainly: the same number of batches on average."""
    import random

    rng = random.Random(0)
    pids = np.repeat(np.arange(30), np.random.default_rng(0).integers(2, 40, 30))

    def plain_length() -> int:
        groups = {pid: max(1, int((pids == pid).sum()) // 4) for pid in range(30)}
        length = 0
        while len(groups) >= 8:
            for pid in rng.sample(sorted(groups), 8):
                groups[pid] -= 1
                if not groups[pid]:
                    del groups[pid]
            length += 1
        return length

    sampler = PKSampler(pids, num_pids=8, num_instances=4, seed=0)
    ours = np.mean([len(sampler.batches(epoch)) for epoch in range(100)])
    expected = np.mean([plain_length() for _ in range(100)])
    assert abs(ours - expected) < 0.5


def test_pk_batches_are_a_function_of_seed_and_epoch():
    pids = np.repeat(np.arange(9), 5)
    one, two = (PKSampler(pids, num_pids=3, num_instances=4, seed=2) for _ in range(2))
    one.batches(0)
    assert [b.tolist() for b in one.batches(4)] == [b.tolist() for b in two.batches(4)]
    assert [b.tolist() for b in one.batches(4)] != [b.tolist() for b in one.batches(5)]
    frozen = PKSampler(np.array([5, 5, 7, 7]), num_pids=2, num_instances=2, seed=1).batches(0)[0]
    assert frozen.tolist() == [3, 2, 1, 0]


@pytest.mark.parametrize("wrong", [0, -3])
def test_sizes_must_be_positive(wrong):
    with pytest.raises(InputError, match="batch_size"):
        RandomSampler(5, wrong, seed=0)
    with pytest.raises(InputError, match="num_instances"):
        PKSampler([1, 2], num_pids=1, num_instances=wrong, seed=0)


@settings(max_examples=60)
@given(
    groups=st.lists(st.integers(0, 5), min_size=1, max_size=150),
    num_groups=st.integers(1, 4),
    share=st.integers(1, 6),
    epoch=st.integers(0, 3),
)
def test_group_batches_take_the_same_share_of_each_group(groups, num_groups, share, epoch):
    groups = np.array(groups)
    counts = np.bincount(groups)
    if (counts >= share).sum() < num_groups:
        with pytest.raises(InputError, match=f"only {(counts >= share).sum()} of"):
            GroupSampler(groups, num_groups=num_groups, batch_size=num_groups * share, seed=3)
        return
    sampler = GroupSampler(groups, num_groups=num_groups, batch_size=num_groups * share, seed=3)
    batches = sampler.batches(epoch)
    seen = np.concatenate(batches)
    assert len(set(seen.tolist())) == len(seen)
    for batch in batches:
        assert sorted(np.unique(groups[batch], return_counts=True)[1]) == [share] * num_groups
    left = counts - np.bincount(groups[seen], minlength=len(counts))
    assert (left >= share).sum() < num_groups  # no further batch could be made
    again = GroupSampler(groups, num_groups=num_groups, batch_size=num_groups * share, seed=3)
    np.testing.assert_array_equal(seen, np.concatenate(again.batches(epoch)))


def test_group_sampler_refuses_an_uneven_batch():
    with pytest.raises(InputError, match="batch_size 10 is no multiple of num_groups 4"):
        GroupSampler([0, 1, 2, 3], num_groups=4, batch_size=10, seed=0)


@settings(max_examples=40)
@given(data=st.data(), p=st.integers(1, 3), k=st.integers(1, 5))
def test_cameras_change_nothing_but_who_stands_with_whom(data, p, k):
    pids = np.array(data.draw(pids_of_samples.filter(lambda values: len(set(values)) >= p)))
    cameras = data.draw(st.lists(st.integers(0, 3), min_size=len(pids), max_size=len(pids)))
    spread = PKSampler(pids, num_pids=p, num_instances=k, seed=0, cameras=cameras).batches(2)
    plain = PKSampler(pids, num_pids=p, num_instances=k, seed=0).batches(2)
    assert [pids[batch].tolist() for batch in spread] == [pids[batch].tolist() for batch in plain]


@settings(max_examples=40)
@given(
    counts=st.lists(st.integers(0, 9), min_size=1, max_size=5), k=st.integers(1, 5), epoch=st.integers(0, 5)
)
def test_cameras_are_shared_out_evenly_among_the_groups_of_a_person(counts, k, epoch):
    cameras = np.repeat(np.arange(len(counts)), counts)
    if len(cameras) < k:
        return
    pids = np.zeros(len(cameras), np.int64)
    sampler = PKSampler(pids, num_pids=1, num_instances=k, seed=0, cameras=cameras)
    batches = sampler.batches(epoch)
    assert len(set(np.concatenate(batches).tolist())) == len(cameras) // k * k
    seen = np.stack([np.bincount(cameras[batch], minlength=len(counts)) for batch in batches])
    assert (seen.max(axis=0) - seen.min(axis=0) <= 1).all()


def test_groups_with_cameras_differ_from_epoch_to_epoch():
    pids, cameras = np.zeros(12, np.int64), np.arange(12) % 3
    sampler = PKSampler(pids, num_pids=1, num_instances=3, seed=0, cameras=cameras)
    assert len({tuple(sampler.batches(epoch)[0].tolist()) for epoch in range(9)}) > 5


def test_a_small_dataset_counts_as_much_as_a_large_one():
    datasets = np.array([0] * 60 + [1] * 12)
    pids = np.concatenate([np.repeat(np.arange(15), 4), np.repeat(np.arange(3), 4)])
    sampler = BalancedPKSampler(datasets, pids, num_pids=2, num_instances=2, seed=1)
    batches = sampler.batches(0)
    assert len(batches) >= 13
    for batch in batches:
        assert datasets[batch].tolist() == [0] * 4 + [1] * 4
        for half in batch.reshape(2, 2, 2):
            assert (pids[half] == pids[half[:, :1]]).all()
            assert len(set(pids[half[:, 0]].tolist())) == 2
    # Begun again, not repeated; and a function of the epoch.
    small = [tuple(sorted(batch[4:].tolist())) for batch in batches]
    assert len(set(small)) > len(small) / 2
    again = BalancedPKSampler(datasets, pids, num_pids=2, num_instances=2, seed=1).batches(0)
    np.testing.assert_array_equal(np.stack(batches), np.stack(again))
    assert (batches[0] != sampler.batches(1)[0]).any()


def test_batches_that_cannot_be_shared_out_among_datasets_name_one_that_can():
    samples = [Sample(path="a.jpg", pid=pid, camid=0, dsetid=pid % 3) for pid in range(12)]
    with pytest.raises(ConfigError, match=r"3 datasets × num_instances 2: --set sampler.batch_size=6"):
        SAMPLERS.get("pk_dataset").make(samples, 10, 1, num_instances=2)

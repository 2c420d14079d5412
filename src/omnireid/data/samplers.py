"""Which samples make which batch: a pure function of seed and epoch, so that a resumed run draws the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from omnireid.core.arrays import Int64
from omnireid.core.errors import ConfigError, InputError
from omnireid.core.seeds import numpy_generator
from omnireid.core.sockets import Socket
from omnireid.core.types import Sample

IndexBatch = Int64

_NO_EPOCH = 1_000_000
"""More epochs than anybody trains."""


class RandomSampler:
    """Every sample once, in an order drawn from (seed, epoch)."""

    def __init__(self, num_samples: int, batch_size: int, *, seed: int, drop_last: bool = True) -> None:
        """Prepare a sampler.

        Args:
            drop_last: leave out the samples that do not fill a batch (others in each epoch), as the
                reference implementation does in training.

        Raises:
            InputError: nothing would remain, because a batch is larger than the data.
        """
        _check_positive(num_samples=num_samples, batch_size=batch_size)
        if drop_last and num_samples < batch_size:
            raise InputError(
                f"batch_size {batch_size} exceeds the {num_samples} samples, and incomplete batches "
                f"are dropped; use a batch size of at most {num_samples}"
            )
        self.num_samples = num_samples
        self.batch_size = batch_size
        self.seed = seed
        self.drop_last = drop_last

    def __len__(self) -> int:
        """Batches in an epoch."""
        full, rest = divmod(self.num_samples, self.batch_size)
        return full + bool(rest and not self.drop_last)

    def batches(self, epoch: int) -> list[IndexBatch]:
        """Index batches of one epoch, each (batch_size,) int64."""
        order = numpy_generator(self.seed, "random-sampler", epoch).permutation(self.num_samples)
        return _cut(order, self.batch_size)[: len(self)]


class PKSampler:
    """P identities with K pictures each in every batch, for losses that compare within a batch.

    Each identity's pictures are shuffled and cut into groups of K; pictures that do not fill a
    group wait for another epoch. An identity with fewer than K pictures gives one group, drawn with
    replacement. Batches take one group from each of P different identities until fewer than P
    identities have a group left. So an epoch sees most pictures at most once, and identities with
    many pictures appear more often. With `cameras`, those of
    an identity's pictures are shared out evenly among its groups.

    Source: the P×K batches of Hermans et al. (arXiv 1703.07737), epochs as in torchreid.
    """

    def __init__(
        self,
        pids: Sequence[int] | Int64,
        *,
        num_pids: int,
        num_instances: int,
        seed: int,
        cameras: Sequence[int] | None = None,
    ) -> None:
        """Prepare a sampler.

        Args:
            pids: (N,) person of each sample.
            num_pids: P, identities in a batch.
            num_instances: K, pictures of each.
            cameras: (N,) camera of each sample; None draws whatever cameras come.

        Raises:
            InputError: fewer than P identities.
        """
        _check_positive(num_pids=num_pids, num_instances=num_instances)
        pids = np.asarray(pids, dtype=np.int64)
        known, labels = np.unique(pids, return_inverse=True)
        if len(known) < num_pids:
            raise InputError(f"a batch of {num_pids} identities cannot be drawn from {len(known)}")
        by_label = np.argsort(labels, kind="stable")
        self._indices_of = np.split(by_label, np.cumsum(np.bincount(labels))[:-1])
        self.num_pids = num_pids
        self.num_instances = num_instances
        self.seed = seed
        self._cameras = None if cameras is None else np.asarray(cameras, dtype=np.int64)

    @property
    def batch_size(self) -> int:
        return self.num_pids * self.num_instances

    def batches(self, epoch: int) -> list[IndexBatch]:
        """Index batches of one epoch, each (P·K,) int64 with an identity's pictures side by side.

        Their number can differ a little between epochs.
        """
        rng = numpy_generator(self.seed, "pk-sampler", epoch)
        groups = [self._draw_groups(indices, rng) for indices in self._indices_of]
        available = list(range(len(groups)))
        batches: list[IndexBatch] = []
        while len(available) >= self.num_pids:
            chosen = rng.choice(len(available), self.num_pids, replace=False)
            labels = [available[index] for index in chosen]
            batches.append(np.concatenate([groups[label].pop() for label in labels]))
            available = [label for label in available if groups[label]]
        return batches

    def _draw_groups(self, indices: IndexBatch, rng: np.random.Generator) -> list[IndexBatch]:
        k = self.num_instances
        if len(indices) < k:
            return [rng.choice(indices, k, replace=True)]
        num_groups = len(indices) // k
        drawn = rng.permutation(indices)[: num_groups * k]
        if self._cameras is None:
            return list(drawn.reshape(num_groups, k))
        # Each group takes every so manieth of the pictures in the order of their cameras.
        drawn = drawn[np.argsort(self._cameras[drawn], kind="stable")]
        return list(drawn.reshape(k, num_groups).T)


class BalancedPKSampler:
    """P×K batches with as many identities of each dataset.

    An epoch is as long as that of the dataset with the most batches; the others begin again, with other
    pictures together, so that a small dataset counts as much as a large one.
    """

    def __init__(self, datasets: Sequence[int] | Int64, pids: Sequence[int], **options: Any) -> None:
        """Prepare a sampler.

        Args:
            datasets: (N,) the dataset of each sample.
            pids: (N,) its person.
            options: as for `PKSampler`; `num_pids` counts those of one dataset.

        Raises:
            InputError: fewer identities in a dataset than a batch takes of it.
        """
        datasets, labels = np.asarray(datasets, np.int64), np.asarray(pids, np.int64)
        self._indices_of = [np.flatnonzero(datasets == dataset) for dataset in np.unique(datasets)]
        self._samplers = [PKSampler(labels[indices], **options) for indices in self._indices_of]

    def batches(self, epoch: int) -> list[IndexBatch]:
        """Index batches of one epoch, each (G·P·K,) int64 with a dataset's pictures side by side."""
        parts = [sampler.batches(epoch) for sampler in self._samplers]
        length = max(map(len, parts))
        for part, sampler in zip(parts, self._samplers, strict=True):
            again = 0
            while len(part) < length:
                again += 1
                # Of no epoch that is trained.
                part += sampler.batches(epoch + again * _NO_EPOCH)
        rounds = zip(*(part[:length] for part in parts), strict=True)
        return [
            np.concatenate([mine[batch] for mine, batch in zip(self._indices_of, batches, strict=True)])
            for batches in rounds
        ]


class GroupSampler:
    """The same number of samples from each of several groups (cameras, or datasets) in every batch.

    Each group's samples are shuffled; a batch takes `batch_size` ÷ `num_groups` from each of
    `num_groups` groups drawn at random among those that have enough left, until too few have. So no
    sample occurs twice in an epoch, and what a large group has beyond the others waits for another.

    Source: the camera ("domain") and dataset samplers of torchreid; those end an epoch as soon as any
    drawn group runs out, which leaves more of the data unseen.
    """

    def __init__(
        self,
        groups: Sequence[int] | Int64,
        *,
        num_groups: int,
        batch_size: int,
        seed: int,
        kind: str = "group",
    ) -> None:
        """Prepare a sampler.

        Args:
            groups: (N,) the group of each sample: its camid or dsetid.
            num_groups: groups in a batch.
            kind: what to call a group in errors.

        Raises:
            InputError: a batch that cannot be shared out evenly, or too few groups that can give a share.
        """
        _check_positive(num_groups=num_groups, batch_size=batch_size)
        if batch_size % num_groups:
            raise InputError(f"batch_size {batch_size} is no multiple of num_groups {num_groups}")
        self.share = batch_size // num_groups
        names, places = np.unique(np.asarray(groups, np.int64), return_inverse=True)
        self._indices_of = [np.flatnonzero(places == group) for group in range(len(names))]
        large = sum(len(indices) >= self.share for indices in self._indices_of)
        if large < num_groups:
            raise InputError(
                f"batches take {self.share} samples from each of {num_groups} {kind}s, but only {large} of "
                f"{len(names)} {kind}s have that many; use fewer groups, or a smaller batch"
            )
        self.num_groups = num_groups
        self.seed = seed

    def batches(self, epoch: int) -> list[IndexBatch]:
        """Index batches of one epoch, each (batch_size,) int64 with a group's samples side by side."""
        rng = numpy_generator(self.seed, "group-sampler", epoch)
        waiting = [rng.permutation(indices) for indices in self._indices_of]
        batches: list[IndexBatch] = []
        while True:
            available = [group for group, rest in enumerate(waiting) if len(rest) >= self.share]
            if len(available) < self.num_groups:
                return batches
            chosen = rng.choice(available, self.num_groups, replace=False)
            batches.append(np.concatenate([waiting[group][: self.share] for group in chosen]))
            for group in chosen:
                waiting[group] = waiting[group][self.share :]


class Sampler(Protocol):
    """Which samples make which batch."""

    def batches(self, epoch: int) -> list[IndexBatch]:
        """Index batches of one epoch, each (batch_size,) int64: a function of the epoch and its seed."""
        ...


@dataclass(frozen=True)
class SamplerSpec:
    """One way to draw batches.

    Attributes:
        name: its name as recipes take it, `sampler.name`.
        make: (samples, batch_size, seed, **options) → the sampler.
        options: its own options and their defaults, which recipes write beside its name.
        share: an option that has to divide the batch size.
        gives_several: whether a batch has several pictures of each of its people.
    """

    name: str
    make: Callable[..., Sampler]
    options: Mapping[str, Any] = field(default_factory=dict)
    share: str | None = None
    gives_several: bool = False


def _random(samples: Sequence[Sample], batch_size: int, seed: int) -> Sampler:
    with _advice(f"--set sampler.batch_size={len(samples)}"):
        return RandomSampler(len(samples), batch_size, seed=seed, drop_last=True)


def _pk(samples: Sequence[Sample], batch_size: int, seed: int, *, num_instances: int) -> Sampler:
    pids = [sample.pid for sample in samples]
    with _advice(f"--set sampler.batch_size={len(set(pids)) * num_instances}"):
        return PKSampler(pids, num_pids=batch_size // num_instances, num_instances=num_instances, seed=seed)


def _pk_camera(samples: Sequence[Sample], batch_size: int, seed: int, *, num_instances: int) -> Sampler:
    pids = [sample.pid for sample in samples]
    return PKSampler(
        pids,
        num_pids=batch_size // num_instances,
        num_instances=num_instances,
        seed=seed,
        cameras=[sample.camid for sample in samples],
    )


def _pk_dataset(samples: Sequence[Sample], batch_size: int, seed: int, *, num_instances: int) -> Sampler:
    datasets = [sample.dsetid for sample in samples]
    count = len(set(datasets))
    num_pids, rest = divmod(batch_size, count * num_instances)
    if rest:
        raise ConfigError(
            f"pk_dataset: batch_size {batch_size} is no multiple of {count} datasets × num_instances "
            f"{num_instances}: --set sampler.batch_size={count * num_instances * max(num_pids, 1)}"
        )
    return BalancedPKSampler(
        datasets,
        [sample.pid for sample in samples],
        num_pids=num_pids,
        num_instances=num_instances,
        seed=seed,
    )


def _camera(samples: Sequence[Sample], batch_size: int, seed: int, *, num_groups: int) -> Sampler:
    return _of_groups([sample.camid for sample in samples], batch_size, seed, num_groups, "camera")


def _dataset(samples: Sequence[Sample], batch_size: int, seed: int, *, num_groups: int) -> Sampler:
    return _of_groups([sample.dsetid for sample in samples], batch_size, seed, num_groups, "dataset")


def _of_groups(groups: list[int], batch_size: int, seed: int, num_groups: int, kind: str) -> Sampler:
    with _advice("--set sampler.num_groups=… --set sampler.batch_size=…"):
        return GroupSampler(groups, num_groups=num_groups, batch_size=batch_size, seed=seed, kind=kind)


@contextmanager
def _advice(fits: str) -> Iterator[None]:
    """Say with what is wrong what would be right."""
    try:
        yield
    except InputError as error:
        raise ConfigError(f"{error}: {fits}") from error


SAMPLERS = Socket(
    "sampler",
    "omnireid.samplers",
    SamplerSpec,
    (
        SamplerSpec("random", _random),
        SamplerSpec("pk", _pk, {"num_instances": 4}, share="num_instances", gives_several=True),
        SamplerSpec("pk_camera", _pk_camera, {"num_instances": 4}, share="num_instances", gives_several=True),
        SamplerSpec(
            "pk_dataset", _pk_dataset, {"num_instances": 4}, share="num_instances", gives_several=True
        ),
        SamplerSpec("camera", _camera, {"num_groups": 2}, share="num_groups"),
        SamplerSpec("dataset", _dataset, {"num_groups": 2}, share="num_groups"),
    ),
)
"""A new sampler is a class, the function that makes it, and a line here; or a package with an entry point."""


def _cut(order: Int64, size: int) -> list[IndexBatch]:
    return [order[start : start + size].astype(np.int64) for start in range(0, len(order), size)]


def _check_positive(**values: int) -> None:
    for name, value in values.items():
        if value < 1:
            raise InputError(f"{name}: expected at least 1, got {value}")

"""How much of a model's judgement is clothes: people who changed, and strangers in the same clothes.

Pictures come in groups of a complete design: two people, two sets of clothes, each person in each of them,
each seen by several cameras. Only pictures of two cameras are compared. Four kinds of pairs then differ in
one thing at a time: the *same* person in the same clothes, a person who *changed*, another person in the
*lent* clothes, and *different* people in different clothes, who are of two groups.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from omnireid.core.arrays import Bool, Float32, Float64, Int64
from omnireid.core.closed import ClosedModel
from omnireid.core.errors import InputError, ShapeError
from omnireid.core.record import Interval
from omnireid.core.seeds import numpy_generator
from omnireid.evaluation.bootstrap import bootstrap_mean

SearchKind = Literal["ordinary", "changed", "uniform"]
PairKind = Literal["same", "changed", "lent", "different"]


class ClothesSearch(ClosedModel):
    """How well a person is found among people of other groups; means over queries, intervals over groups.

    Attributes:
        auc: how often a picture of the person is more alike than one of somebody else.
    """

    rank1: Interval
    mAP: Interval  # noqa: N815 (the field's spelling)
    auc: Interval


class ClothesRecord(ClosedModel):
    """What clothes are worth to a model.

    Attributes:
        searches: "ordinary", the person in the same clothes; "changed", the person in other clothes;
            "uniform", the person in the same clothes while somebody else wears them, too.
        similarity: mean cosine similarity of the four kinds of pairs.
        clothes_share: of what makes a person's pictures more alike than strangers', the share that clothes
            make, from 0 to 1 for a model that goes by nothing else (see `clothes_share`).
        num_groups, num_pictures, num_cameras: what was compared.
    """

    searches: dict[SearchKind, ClothesSearch]
    similarity: dict[PairKind, Interval]
    clothes_share: Interval
    num_groups: int
    num_pictures: int
    num_cameras: int
    samples: int
    seed: int


@dataclass(frozen=True, eq=False)
class ClothesPictures:
    """Embedded pictures of the design.

    Attributes:
        vectors: (N, D) of unit length.
        groups: (N,) which group; people and clothes of two groups have nothing to do with each other.
        people, clothes: (N,) 0 or 1: which of the group's two.
        camids: (N,).

    Raises:
        ShapeError: not one value for each row.
        InputError: fewer than two groups, or one without all four of person and clothes by two cameras.
    """

    vectors: Float32
    groups: Int64
    people: Int64
    clothes: Int64
    camids: Int64

    def __post_init__(self) -> None:
        for name in ("groups", "people", "clothes", "camids"):
            values = getattr(self, name)
            if values.shape != (len(self.vectors),):
                raise ShapeError(name, expected=(len(self.vectors),), actual=values.shape)
        known = np.unique(self.groups)
        if len(known) < 2:
            raise InputError(f"groups: expected at least 2, got {len(known)}")
        for group in known:
            for person, worn in ((0, 0), (0, 1), (1, 0), (1, 1)):
                rows = (self.groups == group) & (self.people == person) & (self.clothes == worn)
                if len(np.unique(self.camids[rows])) < 2:
                    raise InputError(
                        f"groups: group {group} needs person {person} in clothes {worn} by two cameras"
                    )


def measure_clothes(
    pictures: ClothesPictures, *, level: float = 0.95, samples: int = 2000, seed: int = 0
) -> ClothesRecord:
    """Searches with and without changed clothes, the four kinds of pairs, and the share of clothes.

    Args:
        level: share of resampled means inside an interval.
        samples, seed: of the resampling, which draws groups.
    """
    groups = pictures.groups
    similarity = pictures.vectors @ pictures.vectors.T
    kinds = _kinds(pictures)

    def interval(values: Float64) -> Interval:
        return bootstrap_mean(values, groups, level=level, samples=samples, seed=seed)

    searches: dict[SearchKind, ClothesSearch] = {}
    asked: dict[SearchKind, tuple[Bool, Bool]] = {
        "ordinary": (kinds["same"], kinds["different"]),
        "changed": (kinds["changed"], kinds["different"]),
        "uniform": (kinds["same"], kinds["different"] | kinds["lent"]),
    }
    for name, (right, wrong) in asked.items():
        first, precision, alike = _scores(similarity, right, wrong)
        searches[name] = ClothesSearch(rank1=interval(first), mAP=interval(precision), auc=interval(alike))
    means = {kind: _row_means(similarity, pairs) for kind, pairs in kinds.items()}
    return ClothesRecord(
        searches=searches,
        similarity={kind: interval(values) for kind, values in means.items()},
        clothes_share=_share_interval(means, groups, level, samples, seed),
        num_groups=len(np.unique(groups)),
        num_pictures=len(groups),
        num_cameras=len(np.unique(pictures.camids)),
        samples=samples,
        seed=seed,
    )


def clothes_share(same: float, changed: float, lent: float, different: float) -> float:
    """Of the similarity by which a person's pictures exceed strangers', the share that clothes make.

    Clothes are taken away from the person (same − changed), and given to a stranger (lent − different); the
    share is the mean of both steps over (same − different). The same of the person instead of the clothes is
    its complement to 1: these are the Shapley values of two causes. Steps may be negative, so the share may
    lie a little outside 0…1.

    Example: similarities 0.9, 0.5, 0.6, 0.1 give ((0.9 − 0.5) + (0.6 − 0.1)) / 2 / (0.9 − 0.1) = 0.5625.

    Source: Shapley, "A Value for n-Person Games", 1953, for two players.
    """
    return ((same - changed) + (lent - different)) / 2 / (same - different)


def _kinds(pictures: ClothesPictures) -> dict[PairKind, Bool]:
    """(N, N) bool of each kind; pairs of one camera are of none."""
    one = {
        name: getattr(pictures, name)[:, None] == getattr(pictures, name)[None]
        for name in ("groups", "people", "clothes", "camids")
    }
    within = one["groups"] & ~one["camids"]
    return {
        "same": within & one["people"] & one["clothes"],
        "changed": within & one["people"] & ~one["clothes"],
        "lent": within & ~one["people"] & one["clothes"],
        "different": ~one["groups"] & ~one["camids"],
    }


def _scores(similarity: Float32, right: Bool, wrong: Bool) -> tuple[Float64, Float64, Float64]:
    """Of each row as a query: whether the first is right, average precision, how often right beats wrong."""
    count = len(similarity)
    first, precision, alike = np.empty(count), np.empty(count), np.empty(count)
    for row in range(count):
        candidates = np.flatnonzero(right[row] | wrong[row])
        # Stable: equal similarities rank by index, as everywhere.
        order = candidates[np.argsort(-similarity[row, candidates], kind="stable")]
        hits = np.flatnonzero(right[row, order])
        first[row] = float(hits[0] == 0)
        precision[row] = (np.arange(1, len(hits) + 1) / (hits + 1)).mean()
        others = np.sort(similarity[row, wrong[row]])
        ours = similarity[row, right[row]]
        below, not_above = (np.searchsorted(others, ours, side=side) for side in ("left", "right"))
        alike[row] = ((below + not_above) / 2 / len(others)).mean()
    return first, precision, alike


def _row_means(similarity: Float32, pairs: Bool) -> Float64:
    means: Float64 = np.where(pairs, similarity, 0).sum(1, dtype=np.float64) / pairs.sum(1)
    return means


def _share_interval(
    means: dict[PairKind, Float64], groups: Int64, level: float, samples: int, seed: int
) -> Interval:
    """The share of all groups, and its percentiles when groups are drawn with replacement."""
    order: tuple[PairKind, ...] = ("same", "changed", "lent", "different")
    _, index = np.unique(groups, return_inverse=True)
    count = np.bincount(index)
    of_groups = np.stack([np.bincount(index, means[kind]) / count for kind in order])
    generator = numpy_generator(seed, "clothes share")
    drawn = generator.integers(len(count), size=(samples, len(count)))
    shares = [clothes_share(*of_groups[:, groups_drawn].mean(1)) for groups_drawn in drawn]
    low, high = np.quantile(shares, [(1 - level) / 2, (1 + level) / 2])
    value = clothes_share(*of_groups.mean(1))
    return Interval(value=float(value), low=float(low), high=float(high), level=level)

"""Tracklets of all cameras to identities: who is who, and how sure each link is.

Groups of tracklets grow together, the likeliest pair first. What speaks for a pair is the calibrated
probability of "same person" for the similarity of both groups' mean embeddings, at a prior; what is
impossible never joins: one person is not twice in one camera's frame, nor in two cameras at once where these
do not see the same place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from omnireid.core.arrays import Bool, Float32, Float64
from omnireid.core.errors import InputError
from omnireid.core.vectors import unit_rows

Evidence = Callable[[Float64], Float64]


@dataclass(frozen=True, slots=True)
class Tracklet:
    """One walk of somebody past one camera.

    Attributes:
        camera: Its camera's name. number: its track's number there.
        begin, end: Seconds, on a clock that all cameras share.
        embedding: (D,) L2-normalised, of its best crops.
        length: Boxes in it.
    """

    camera: str
    number: int
    begin: float
    end: float
    embedding: Float32
    length: int


@dataclass(frozen=True, slots=True)
class Linking:
    """When tracklets are one person's.

    Attributes:
        prior: Share of pairs of tracklets that are of one person, before anything is seen.
        overlapping: Whether cameras see the same places, so that somebody may be in two at once.
        least: Probability that a link must have.
        shared_s: Seconds that two tracklets of one camera may overlap: a track's end is often somebody else's
            box.
        travel_s: Least time from one camera to another, where cameras do not overlap.
    """

    prior: float = 0.1
    overlapping: bool = False
    least: float = 0.5
    shared_s: float = 0.0
    travel_s: float = 0.0

    def __post_init__(self) -> None:
        for name in ("prior", "least"):
            if not 0.0 < getattr(self, name) < 1.0:
                raise InputError(f"{name}: expected a number between 0 and 1, got {getattr(self, name)}")


@dataclass(frozen=True, slots=True)
class Identity:
    """One person.

    Attributes:
        number: From 1, in the order of first sightings.
        members: Rows of the tracklets, in the order of time.
        sure: Probability of the weakest link that holds the group together; 1 of a single tracklet.
    """

    number: int
    members: tuple[int, ...]
    sure: float


def link(
    tracklets: Sequence[Tracklet], evidence: Evidence, linking: Linking = Linking()
) -> tuple[Identity, ...]:
    """Group tracklets by person.

    Args:
        evidence: Cosine similarities to log-likelihood ratios of "same" against "different", of one shape.

    Returns:
        Every tracklet in exactly one identity.
    """
    if not tracklets:
        return ()
    count = len(tracklets)
    weights = np.sqrt([tracklet.length for tracklet in tracklets])
    unit_ND = unit_rows(np.stack([tracklet.embedding for tracklet in tracklets])).astype(np.float64)
    sums_ND = unit_ND * weights[:, None]
    apart_NN = impossible(tracklets, linking)
    prior = np.log(linking.prior / (1.0 - linking.prior))
    members: list[list[int]] = [[row] for row in range(count)]
    sure = np.ones(count)
    alive = np.ones(count, dtype=bool)

    def odds(row: int) -> Float64:
        mean = sums_ND[row] / np.linalg.norm(sums_ND[row])
        lengths = np.maximum(np.linalg.norm(sums_ND, axis=1), 1e-12)
        ratio = evidence(sums_ND @ mean / lengths) + prior
        return np.where(alive & ~apart_NN[row], ratio, -np.inf)

    odds_NN = np.full((count, count), -np.inf)
    for row in range(count):
        odds_NN[row] = odds(row)
        odds_NN[row, row] = -np.inf
    least = np.log(linking.least / (1.0 - linking.least))
    while True:
        first, second = divmod(int(np.argmax(odds_NN)), count)
        best = float(odds_NN[first, second])
        if not best > least:
            break
        keep, gone = min(first, second), max(first, second)
        members[keep] += members[gone]
        sure[keep] = min(sure[keep], sure[gone], 1.0 / (1.0 + np.exp(-best)))
        sums_ND[keep] += sums_ND[gone]
        apart_NN[keep] |= apart_NN[gone]
        apart_NN[:, keep] = apart_NN[keep]
        alive[gone] = False
        odds_NN[gone] = odds_NN[:, gone] = -np.inf
        odds_NN[keep] = odds(keep)
        odds_NN[keep, keep] = -np.inf
        odds_NN[:, keep] = odds_NN[keep]
    groups = [
        (sorted(members[row], key=lambda m: (tracklets[m].begin, m)), float(sure[row]))
        for row in np.flatnonzero(alive)
    ]
    groups.sort(key=lambda group: (tracklets[group[0][0]].begin, group[0][0]))
    return tuple(Identity(number, tuple(rows), sure) for number, (rows, sure) in enumerate(groups, 1))


def impossible(tracklets: Sequence[Tracklet], linking: Linking) -> Bool:
    """(N, N) bool: pairs that cannot be one person, whatever they look like; a tracklet and itself among
    them.
    """
    begin, end = (np.array([getattr(tracklet, side) for tracklet in tracklets]) for side in ("begin", "end"))
    cameras = np.array([tracklet.camera for tracklet in tracklets])
    same_camera = cameras[:, None] == cameras[None]
    # Negative where they overlap in time.
    between = np.maximum(begin[:, None] - end[None], begin[None] - end[:, None])
    apart = same_camera & (between < -linking.shared_s)
    if not linking.overlapping:
        apart |= ~same_camera & (between < linking.travel_s)
    np.fill_diagonal(apart, True)
    return np.asarray(apart, dtype=np.bool_)

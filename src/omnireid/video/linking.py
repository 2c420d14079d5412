"""Tracklets of all cameras to identities: who is who, and how sure each link is.

Groups of tracklets grow together, the likeliest pair first. What speaks for a pair is the calibrated
probability of "same person" at a prior, and what floors (`meeting`) and journeys (`travel`) say. The
probability is that of the mean similarity of a crop of the one group to a crop of the other. Calibrations are
made on pairs of crops; means of many have less noise and are more alike, those of strangers, too. What is
impossible never joins: one person is not twice in one camera's frame, nor in two cameras at once where these
do not see the same place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from omnireid.core.arrays import Bool, Float32, Float64
from omnireid.video.options import Linking
from omnireid.video.plan import SitePlan

Evidence = Callable[[Float64], Float64]


@dataclass(frozen=True, slots=True)
class Tracklet:
    """One walk of somebody past one camera.

    Attributes:
        camera: Its camera's name. number: its track's number there.
        begin, end: Seconds, on a clock that all cameras share.
        embedding: (D,) mean of L2-normalised embeddings, so that the product of two is the mean similarity of
            their crops.
        length: Boxes in it.
    """

    camera: str
    number: int
    begin: float
    end: float
    embedding: Float32
    length: int


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


@dataclass(frozen=True, slots=True, eq=False)
class Circumstances:
    """What speaks for pairs of tracklets beside looks.

    Attributes:
        plan: Which cameras may see one person at once.
        meetings: (N, N) log-likelihood ratios of where two were at once, symmetric; None: nothing is known.
        journeys: (N, N) log-likelihood ratios of going from the row's walk to the column's next; likewise.
    """

    plan: SitePlan = SitePlan()
    meetings: Float64 | None = None
    journeys: Float64 | None = None


def link(
    tracklets: Sequence[Tracklet],
    evidence: Evidence,
    linking: Linking = Linking(),
    circumstances: Circumstances = Circumstances(),
) -> tuple[Identity, ...]:
    """Group tracklets by person.

    Args:
        evidence: Similarities to log-likelihood ratios of "same" against "different", of one shape.

    Returns:
        Every tracklet in exactly one identity.
    """
    if not tracklets:
        return ()
    groups = _Groups(tracklets, evidence, linking, circumstances)
    least = np.log(linking.least / (1.0 - linking.least))
    while True:
        first, second = divmod(int(np.argmax(groups.odds_NN)), len(tracklets))
        if not groups.odds_NN[first, second] > least:
            break
        groups.join(min(first, second), max(first, second))
    found = [(groups.members[row], float(groups.sure[row])) for row in np.flatnonzero(groups.alive)]
    found.sort(key=lambda group: (tracklets[group[0][0]].begin, group[0][0]))
    return tuple(Identity(number, tuple(rows), sure) for number, (rows, sure) in enumerate(found, 1))


class _Groups:
    """Tracklets that grow together, and the log odds of each pair of groups."""

    def __init__(
        self,
        tracklets: Sequence[Tracklet],
        evidence: Evidence,
        linking: Linking,
        circumstances: Circumstances,
    ) -> None:
        count = len(tracklets)
        self.tracklets, self.evidence = tracklets, evidence
        self.prior, self.held = np.log(linking.prior / (1.0 - linking.prior)), linking.held
        # Longer walks count for more, though not by as much: their crops are much alike.
        self.weights_N = np.sqrt([float(tracklet.length) for tracklet in tracklets])
        means_ND = np.stack([tracklet.embedding for tracklet in tracklets]).astype(np.float64)
        self.sums_ND = means_ND * self.weights_N[:, None]
        self.apart_NN = impossible(tracklets, linking, circumstances.plan)
        none = np.zeros((count, count))
        self.meetings_NN = none if circumstances.meetings is None else circumstances.meetings.copy()
        self.journeys_NN = circumstances.journeys
        self.members: list[list[int]] = [[row] for row in range(count)]
        self.sure = np.ones(count)
        self.alive = np.ones(count, dtype=bool)
        self.odds_NN = np.full((count, count), -np.inf)
        for row in range(count):
            self.odds_NN[row] = self._odds(row)

    def join(self, keep: int, gone: int) -> None:
        """Make one group of two."""
        odds = self.odds_NN[keep, gone]
        self.sure[keep] = min(self.sure[keep], self.sure[gone], 1.0 / (1.0 + np.exp(-odds)))
        self.members[keep] = self._in_order(keep, gone)
        self.alive[gone] = False
        self.sums_ND[keep] += self.sums_ND[gone]
        self.weights_N[keep] += self.weights_N[gone]
        for pairs_NN in (self.meetings_NN, self.apart_NN):
            pairs_NN[keep] += pairs_NN[gone]
            pairs_NN[:, keep] = pairs_NN[keep]
        self.odds_NN[gone] = self.odds_NN[:, gone] = -np.inf
        self.odds_NN[keep] = self.odds_NN[:, keep] = self._odds(keep)

    def _odds(self, row: int) -> Float64:
        similarities = self.sums_ND @ self.sums_ND[row] / (self.weights_N * self.weights_N[row])
        pairs = len(self.members[row]) * np.array([len(members) for members in self.members])
        worth = pairs / (1.0 + self.held * (pairs - 1))
        ratio = worth * self.evidence(similarities) + self.prior + self.meetings_NN[row]
        able = self.alive & ~self.apart_NN[row]
        able[row] = False
        if self.journeys_NN is not None:
            grown = np.array([len(members) > 1 for members in self.members])
            alone = able & ~grown & ~grown[row]
            ratio[alone] += self.journeys_NN[row, alone] + self.journeys_NN[alone, row]
            for other in np.flatnonzero(able & ~alone):
                ratio[other] += self._chain(self._in_order(row, int(other)))
                ratio[other] -= self._chain(self.members[row]) + self._chain(self.members[other])
        return np.where(able, ratio, -np.inf)

    def _in_order(self, row: int, other: int) -> list[int]:
        return sorted(self.members[row] + self.members[other], key=lambda m: (self.tracklets[m].begin, m))

    def _chain(self, members: list[int]) -> float:
        """What the journeys from each walk to the next say together."""
        assert self.journeys_NN is not None
        return float(self.journeys_NN[members[:-1], members[1:]].sum())


def impossible(tracklets: Sequence[Tracklet], linking: Linking, plan: SitePlan = SitePlan()) -> Bool:
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
        names = sorted(set(cameras))
        far = np.array([[not plan.overlap(a, b) for b in names] for a in names])
        index = np.searchsorted(names, cameras)
        apart |= ~same_camera & far[index[:, None], index[None]] & (between < linking.travel_s)
    np.fill_diagonal(apart, True)
    return np.asarray(apart, dtype=np.bool_)

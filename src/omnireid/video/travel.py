"""Who comes from which camera, after how long: learned from the links that are sure, said as evidence.

A link between two walks is likelier where people do go from the one camera to the other in such a time. What
different people do is the background: anybody else's walk begins in any camera, by how much is seen there, at
any time. That a later walk of somebody is their very next one is itself no certainty: how often it is counts
against every journey, or strangers are joined whose walks fill each other's gaps.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from omnireid.core.arrays import Float64, Int64
from omnireid.video.linking import Identity, Tracklet

_AT_ONCE = 1_000_000
"""Pairs of a gap and a journey: all of a long day do not fit into memory."""


@dataclass(frozen=True, slots=True)
class Travelling:
    """How travel times are learned.

    Attributes:
        sure: Probability from which on an identity's walks are learned from.
        belief: Journeys that "as everybody" is worth, for which camera comes next and for the time.
        least_s: Width of a journey's time, seconds; of longer ones, the share `width` of them.
        limit: The evidence never says more than this, either way.
    """

    sure: float = 0.9
    belief: float = 5.0
    least_s: float = 2.0
    width: float = 0.25
    limit: float = 4.0


class Journeys:
    """What links that are sure teach of who goes where, and how long that takes.

    Args:
        tracklets: What was seen; the background is anybody's walk among them.
        identities: As linked without journeys; those that are not sure teach nothing.
    """

    def __init__(
        self,
        tracklets: Sequence[Tracklet],
        identities: Sequence[Identity],
        travelling: Travelling = Travelling(),
    ) -> None:
        begin, end = (
            np.array([getattr(tracklet, side) for tracklet in tracklets]) for side in ("begin", "end")
        )
        self._travelling = travelling
        sure = [identity.members for identity in identities if identity.sure >= travelling.sure]
        self.rows = [
            (first, second)
            for members in sure
            for first, second in pairwise(members)
            if begin[second] >= end[first]
        ]
        self._cameras = [(tracklets[a].camera, tracklets[b].camera) for a, b in self.rows]
        self._took = np.array([begin[b] - end[a] for a, b in self.rows])
        self._seen = Counter(tracklet.camera for tracklet in tracklets)
        if not self.rows:
            return
        self._whole = max(float(end.max() - begin.min()), 1.0)
        later = sum(float((begin[None, list(m)] >= end[list(m), None]).sum()) for m in sure)
        self._next_of_later = np.log(len(self.rows) / later)

    def evidence(self, source: str, target: str, gaps: Float64, own: Int64 | None = None) -> Float64:
        """Log-likelihood ratios of "this is where somebody went next" against "somebody else".

        Args:
            source, target: Cameras. gaps: Seconds between the walks, of any shape; below 0 says nothing.
            own: Of each, the number of the journey that is asked about, which says nothing about itself; −1
                where it is none.

        Returns:
            float64 of the shape of `gaps`; 0 where nothing is known.
        """
        if not self.rows or not self._seen[target]:
            return np.zeros(np.shape(gaps))
        travelling, belief = self._travelling, self._travelling.belief
        left = sum(source == camera for camera, _ in self._cameras)
        took = np.flatnonzero([cameras == (source, target) for cameras in self._cameras])
        weights, mine = np.zeros(np.shape(gaps)), np.zeros(np.shape(gaps))
        for some in np.array_split(took, 1 + weights.size * len(took) // _AT_ONCE):
            middles = self._took[some]
            widths = travelling.least_s + travelling.width * middles
            kernels = np.exp(-0.5 * ((gaps[..., None] - middles) / widths) ** 2) / (
                widths * np.sqrt(2 * np.pi)
            )
            is_own = np.zeros(kernels.shape, bool) if own is None else own[..., None] == some
            weights += np.where(is_own, 0.0, kernels).sum(axis=-1)
            mine += is_own.sum(axis=-1)
        # Without the journey that is asked about, if it is one.
        all_left, all_took = left - mine, len(took) - mine
        rate = self._seen[target] / self._seen.total()
        share = (all_took + belief * rate) / (all_left + belief)
        density = (weights + belief / self._whole) / (all_took + belief)
        ratio = np.log(share * density * self._whole / rate) + self._next_of_later
        return np.where(gaps >= 0, np.clip(ratio, -travelling.limit, travelling.limit), 0.0)


def travel_evidence(
    tracklets: Sequence[Tracklet], identities: Sequence[Identity], travelling: Travelling = Travelling()
) -> Float64:
    """What the journeys of a site say of each pair of its tracklets.

    Args:
        identities: As linked without it; a journey says nothing about itself.

    Returns:
        (N, N) float64; 0 where the column begins before the row ends, and where nothing is known.
    """
    journeys = Journeys(tracklets, identities, travelling)
    ratio = np.zeros((len(tracklets), len(tracklets)))
    own = np.full(ratio.shape, -1)
    for number, rows in enumerate(journeys.rows):
        own[rows] = number
    camera = np.array([tracklet.camera for tracklet in tracklets])
    begin, end = (np.array([getattr(tracklet, side) for tracklet in tracklets]) for side in ("begin", "end"))
    gap = begin[None] - end[:, None]
    for source in set(camera.tolist()):
        for target in set(camera.tolist()):
            block = np.ix_(camera == source, camera == target)
            ratio[block] = journeys.evidence(source, target, gap[block], own[block])
    return ratio

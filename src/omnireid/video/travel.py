"""Who comes from which camera, after how long: learned from the links that are sure, said as evidence.

A link between two walks is likelier where people do go from the one camera to the other in such a time. What
different people do is the background: anybody else's walk begins in any camera, by how much is seen there, at
any time. That a later walk of somebody is their very next one is itself no certainty: how often it is counts
against every journey, or strangers are joined whose walks fill each other's gaps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from omnireid.core.arrays import Float64
from omnireid.video.linking import Identity, Tracklet


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


def travel_evidence(
    tracklets: Sequence[Tracklet], identities: Sequence[Identity], travelling: Travelling = Travelling()
) -> Float64:
    """Log-likelihood ratio of "the column is where the row's person went next" against "somebody else".

    Args:
        identities: As linked without it; a journey says nothing about itself.

    Returns:
        (N, N) float64; 0 where the column begins before the row ends, and where nothing is known.
    """
    count = len(tracklets)
    names = sorted({tracklet.camera for tracklet in tracklets})
    camera = np.array([names.index(tracklet.camera) for tracklet in tracklets])
    begin, end = (np.array([getattr(tracklet, side) for tracklet in tracklets]) for side in ("begin", "end"))
    ratio = np.zeros((count, count))
    gap = begin[None] - end[:, None]
    journeys = [
        (first, second)
        for identity in identities
        if identity.sure >= travelling.sure
        for first, second in zip(identity.members, identity.members[1:], strict=False)
        if gap[first, second] >= 0
    ]
    if not journeys:
        return ratio
    later = sum(
        float((gap[np.ix_(identity.members, identity.members)] >= 0).sum())
        for identity in identities
        if identity.sure >= travelling.sure
    )
    next_of_later = np.log(len(journeys) / later)
    starts, ends = np.array(journeys).T
    rate = np.bincount(camera, minlength=len(names)) / count
    whole = max(float(end.max() - begin.min()), 1.0)
    belief = travelling.belief
    for source in range(len(names)):
        left = camera[starts] == source
        rows = np.flatnonzero(camera == source)
        for target in range(len(names)):
            columns = np.flatnonzero(camera == target)
            took = left & (camera[ends] == target)
            asked = gap[np.ix_(rows, columns)]
            weights = np.zeros((len(rows), len(columns)))
            own = np.zeros((len(rows), len(columns)))
            for first, second in zip(starts[took], ends[took], strict=True):
                middle = gap[first, second]
                width = travelling.least_s + travelling.width * middle
                kernel = np.exp(-0.5 * ((asked - middle) / width) ** 2) / (width * np.sqrt(2 * np.pi))
                row, column = np.searchsorted(rows, first), np.searchsorted(columns, second)
                own[row, column] = 1.0
                kernel[row, column] = 0.0
                weights += kernel
            # Without the journey that is asked about, if it is one.
            all_left, all_took = left.sum() - own, took.sum() - own
            share = (all_took + belief * rate[target]) / (all_left + belief)
            density = (weights + belief / whole) / (all_took + belief)
            ratio[np.ix_(rows, columns)] = np.log(share * density * whole / rate[target]) + next_of_later
    return np.where(gap >= 0, np.clip(ratio, -travelling.limit, travelling.limit), 0.0)

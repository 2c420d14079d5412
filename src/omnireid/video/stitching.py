"""A second look over one camera's tracks: pieces of one walk, which somebody's passing or a pillar cut, are
joined.

A tracker must decide at once; afterwards a whole piece speaks for each side of a gap. Two pieces are joined
where their looks say "same" more than "different", the gap is short, and nobody would have had to run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

from omnireid.core.arrays import Float64, Int64
from omnireid.video.likeness import Likeness
from omnireid.video.motion import centred
from omnireid.video.quality import BestCrops
from omnireid.video.tracker import Track


@dataclass(frozen=True, slots=True)
class Stitching:
    """What may be one walk.

    Attributes:
        gap_s: Longest time between two pieces.
        speed: Of the fastest walk that is believed, in box heights a second.
        slack: Distance that is always believed, in box heights: boxes of people who are half hidden jump.
        evidence: Log-likelihood ratio that the looks must give.
    """

    gap_s: float = 2.0
    speed: float = 1.5
    slack: float = 0.5
    evidence: float = 0.0


def stitch(
    tracks: Sequence[Track], likeness: Likeness, stitching: Stitching = Stitching()
) -> list[list[Track]]:
    """Find pieces of one walk, the likeliest first.

    Args:
        tracks: Of one camera; only their first and last boxes and their looks are asked for.

    Returns:
        The pieces of each walk in order of time, the walks in order of their beginning.
    """
    pieces = sorted(tracks, key=lambda track: (track.begin, track.number))
    walks = [[piece] for piece in pieces]
    looks = [piece.look for piece in pieces]
    ahead, behind = _pairs(pieces, stitching)
    evidence = _evidence(looks, ahead, behind, likeness)
    while evidence.size:
        best = int(np.argmax(evidence))
        if evidence[best] <= stitching.evidence:
            break
        first, second = int(ahead[best]), int(behind[best])
        walks[first] += walks[second]
        walks[second] = []
        looks[first] = _sum(looks[first], looks[second])
        # What could follow the second piece may follow both; nothing else follows the first.
        kept = (behind != second) & (ahead != first)
        ahead, behind, evidence = ahead[kept], behind[kept], evidence[kept]
        ahead[ahead == second] = first
        changed = np.flatnonzero((ahead == first) | (behind == first))
        evidence[changed] = _evidence(looks, ahead[changed], behind[changed], likeness)
    return [walk for walk in walks if walk]


def _pairs(pieces: Sequence[Track], stitching: Stitching) -> tuple[Int64, Int64]:
    """Rows of pieces of which the second may be the continuation of the first, by time and place."""
    begins = np.array([piece.begin for piece in pieces])
    ahead, behind = list[int](), list[int]()
    for row, piece in enumerate(pieces):
        # Pieces are in order of their beginnings.
        after, last = np.searchsorted(begins, [piece.end, piece.end + stitching.gap_s], side="right")
        ahead += [row] * int(last - after)
        behind += range(int(after), int(last))
    first, second = np.array(ahead, dtype=np.int64), np.array(behind, dtype=np.int64)
    if not first.size:
        return first, second
    begin = centred(np.stack([piece.first for piece in pieces]))[second]
    end = centred(np.stack([piece.boxes[-1] for piece in pieces]))[first]
    gap = begins[second] - np.array([piece.end for piece in pieces])[first]
    height = np.maximum(begin[:, 3], end[:, 3])
    distance = np.linalg.norm(begin[:, :2] - end[:, :2], axis=1) / height
    grown = np.abs(np.log(begin[:, 3] / end[:, 3]))
    possible = (distance <= stitching.slack + stitching.speed * gap) & (grown <= 0.5)
    known = np.array([piece.look is not None for piece in pieces])
    possible &= known[first] & known[second]
    return first[possible], second[possible]


def _evidence(looks: Sequence[Float64 | None], ahead: Int64, behind: Int64, likeness: Likeness) -> Float64:
    """What speaks for each pair of pieces being one person's."""
    similarities = np.zeros(len(ahead))
    for index, (first, second) in enumerate(zip(ahead, behind, strict=True)):
        a, b = looks[first], looks[second]
        assert a is not None
        assert b is not None
        similarities[index] = a @ b / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-24)
    return likeness.evidence(similarities)


def _sum(a: Float64 | None, b: Float64 | None) -> Float64 | None:
    return b if a is None else a if b is None else a + b


def joined(walk: Sequence[Track]) -> Track:
    """The pieces of one walk as one track, which has the number of the first."""
    if len(walk) == 1:
        return walk[0]
    crops = BestCrops()
    for piece in walk:
        for shot in piece.crops.kept:
            crops.offer(shot)
    return Track(
        walk[0].number,
        [frame for piece in walk for frame in piece.frames],
        [time for piece in walk for time in piece.times],
        [box for piece in walk for box in piece.boxes],
        [score for piece in walk for score in piece.scores],
        look=reduce(_sum, [piece.look for piece in walk]),
        weight=sum(piece.weight for piece in walk),
        crops=crops,
    )

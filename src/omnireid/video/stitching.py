"""A second look over one camera's tracks: pieces of one walk, which somebody's passing or a pillar cut, are
joined.

A tracker must decide at once; afterwards a whole piece speaks for each side of a gap. Two pieces are joined
where their looks say "same" more than "different", the gap is short, and nobody would have had to run.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from omnireid.core.arrays import Float64
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


def stitch(tracks: list[Track], likeness: Likeness, stitching: Stitching = Stitching()) -> list[Track]:
    """Join pieces of one walk, the likeliest first.

    Args:
        tracks: Of one camera; left as they are.

    Returns:
        Tracks in order of their beginning; one that was joined has the number of its first piece.
    """
    pieces = sorted(tracks, key=lambda track: (track.times[0], track.number))
    while True:
        evidence = _evidence(pieces, likeness, stitching)
        if not evidence.size or evidence.max() <= stitching.evidence:
            return pieces
        first, second = np.unravel_index(int(np.argmax(evidence)), evidence.shape)
        pieces[first] = _joined(pieces[first], pieces[second])
        del pieces[second]


def _evidence(pieces: list[Track], likeness: Likeness, stitching: Stitching) -> Float64:
    """(N, N): what speaks for piece m being the continuation of piece n; −inf where it cannot be."""
    if len(pieces) < 2:
        return np.zeros((0, 0))
    begin, end = (np.array([piece.times[side] for piece in pieces]) for side in (0, -1))
    gap = begin[None] - end[:, None]
    first, last = (centred(np.stack([piece.boxes[side] for piece in pieces])) for side in (0, -1))
    height = np.maximum(first[None, :, 3], last[:, None, 3])
    distance = np.linalg.norm(first[None, :, :2] - last[:, None, :2], axis=2) / height
    grown = np.abs(np.log(first[None, :, 3] / last[:, None, 3]))
    possible = (gap > 0) & (gap <= stitching.gap_s)
    possible &= distance <= stitching.slack + stitching.speed * np.maximum(gap, 0)
    possible &= grown <= 0.5
    looks = [piece.embedding for piece in pieces]
    known = np.array([look is not None for look in looks])
    dim = next((look.size for look in looks if look is not None), 1)
    vectors = np.stack([np.zeros(dim) if look is None else look for look in looks])
    evidence = likeness.evidence(vectors @ vectors.T)
    return np.where(possible & known[:, None] & known[None], evidence, -np.inf)


def _joined(first: Track, second: Track) -> Track:
    looks = [track.look for track in (first, second) if track.look is not None]
    crops = BestCrops()
    for value, time, crop in first.crops.kept + second.crops.kept:
        crops.offer(value, time, crop)
    return Track(
        first.number,
        first.frames + second.frames,
        first.times + second.times,
        first.boxes + second.boxes,
        first.scores + second.scores,
        look=np.sum(looks, axis=0) if looks else None,
        crops=crops,
    )

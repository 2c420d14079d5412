"""Pairs of pictures that show one person, or two: what a calibration is fitted on.

Every person gives the same number of same-person pairs, and every couple of two people the same number of
different-person pairs, whatever number of pictures each has. So a rate over pairs is a mean over people, and
not over whoever was photographed most.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from omnireid.core.arrays import Bool, Float32, Float64, Int64
from omnireid.core.display import short_repr
from omnireid.core.errors import InputError, ShapeError
from omnireid.core.options import Protocol
from omnireid.core.seeds import numpy_generator
from omnireid.core.types import JUNK_PID
from omnireid.evaluation.options import CalibrationOptions

_PER_PERSON = 32
_PER_COUPLE = 16
# All pairs of a person's pictures are listed before some are drawn.
_MOST_PICTURES = 128
_CHUNK = 1 << 14


@dataclass(frozen=True, eq=False)
class CalibrationPairs:
    """Pairs of pictures, and whom they show.

    Attributes:
        rows: (P, 2) int64; places of the two pictures among the embeddings.
        people: (P, 2) int64; numbers of the two persons from 0, ascending; equal in a same-person pair.
    """

    rows: Int64
    people: Int64

    __repr__ = short_repr

    def __post_init__(self) -> None:
        for name, values in (("rows", self.rows), ("people", self.people)):
            if values.shape != (len(self.rows), 2):
                raise ShapeError(name, expected=(len(self.rows), 2), actual=values.shape)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def same(self) -> Bool:
        """(P,) bool."""
        same: Bool = self.people[:, 0] == self.people[:, 1]
        return same

    @property
    def num_people(self) -> int:
        """People with at least one same-person pair."""
        return len(np.unique(self.people[self.same, 0]))

    @property
    def num_couples(self) -> int:
        """Couples of two people with at least one pair."""
        return len(np.unique(self.people[~self.same], axis=0))

    def select(self, chosen: Bool | Int64) -> CalibrationPairs:
        """The pairs at these places."""
        return CalibrationPairs(self.rows[chosen], self.people[chosen])

    def among(self, people: Int64) -> Bool:
        """(P,) bool; whether both of a pair are among these people."""
        return np.asarray(np.isin(self.people, people).all(axis=1), np.bool_)


def labelled_pairs(
    pids: Int64,
    camids: Int64,
    *,
    protocol: Protocol = Protocol.MARKET1501,
    max_pairs: int = CalibrationOptions.max_pairs,
    seed: int = 0,
) -> CalibrationPairs:
    """Draw pairs of a labelled set of pictures.

    Same-person pairs are of two cameras (pairs of one camera are junk, as in the closed-set protocol), except
    under `Protocol.NO_CAMERA`. Different-person pairs are of any cameras. Pictures are drawn with
    replacement: 32 pairs a person, and up to 16 a couple. Where that exceeds `max_pairs`, a couple gives
    fewer, and in the end only some couples are drawn.

    Args:
        pids, camids: (N,) int64; pid −1 is left out.
        max_pairs: how many different-person pairs at most.
        seed: seed of the draws.

    Raises:
        InputError: nobody was seen twice (by two cameras), there is only one person, or a camera is missing.
        ShapeError: lengths that differ.
    """
    if pids.shape != camids.shape:
        raise ShapeError("camids", expected=pids.shape, actual=camids.shape)
    rng = numpy_generator(seed, "pairs")
    rows = np.flatnonzero(pids != JUNK_PID)
    uses_cameras = Protocol(protocol).uses_cameras
    if uses_cameras and (camids[rows] < 0).any():
        row = rows[np.flatnonzero(camids[rows] < 0)[0]]
        raise InputError(
            f"calibration: row {row} has no camera, which the {Protocol(protocol).value} protocol needs; use "
            "the no-camera protocol if the data has none"
        )
    members = _members(rows, pids[rows])

    def allowed(a: Int64, b: Int64) -> Bool:
        return np.asarray(camids[a] != camids[b]) if uses_cameras else np.ones(len(a), np.bool_)

    same = _same_pairs(members, allowed, rng)
    if not len(same):
        by_two = " by two cameras" if uses_cameras else ""
        hint = "; if the data has no real cameras, use the no-camera protocol" if uses_cameras else ""
        raise InputError(f"calibration: nobody was seen twice{by_two}{hint}")
    if len(members) < 2:
        raise InputError("calibration: pictures of one person only; pairs of different people are needed")
    return _joined(same, _different_pairs(members, _couples(len(members), max_pairs, rng), max_pairs, rng))


def tracklet_pairs(
    tracklets: Int64,
    times: Float64,
    couples: Int64,
    *,
    max_pairs: int = CalibrationOptions.max_pairs,
    seed: int = 0,
) -> CalibrationPairs:
    """Draw pairs of unlabelled tracklets, each of which counts as one person.

    Same-person pairs are of one tracklet, at least half of its duration apart: neighbouring frames are nearly
    the same picture and would promise scores that nobody reaches later. Different-person pairs are of couples
    that were visible at the same time in one camera: any frame of the one with any frame of the other.

    Args:
        tracklets: (N,) int64; the number of each picture's tracklet, −1 to leave it out.
        times: (N,) float64.
        couples: (C, 2) int64; numbers of tracklets that show different people.
        max_pairs, seed: as for `labelled_pairs`.

    Raises:
        InputError: no tracklet has two frames, or no two tracklets are known to be different people.
        ShapeError: lengths that differ.
    """
    if times.shape != tracklets.shape:
        raise ShapeError("times", expected=tracklets.shape, actual=times.shape)
    rng = numpy_generator(seed, "pairs")
    rows = np.flatnonzero(tracklets >= 0)
    members = _members(rows, tracklets[rows])
    places = {int(tracklets[own[0]]): index for index, own in enumerate(members)}
    half = [float(np.ptp(times[own])) / 2 for own in members]

    def allowed(a: Int64, b: Int64) -> Bool:
        gap = np.abs(times[a] - times[b])
        least = half[places[int(tracklets[a[0]])]] if len(a) else 0.0
        return np.asarray((gap >= least) & (gap > 0))

    same = _same_pairs(members, allowed, rng)
    if not len(same):
        raise InputError("calibration: no tracklet has two frames; some must")
    known = [(places[a], places[b]) for a, b in couples.tolist() if a in places and b in places]
    if not known:
        raise InputError(
            "calibration: no two tracklets were visible at the same time in one camera, so nothing tells "
            "different people apart; add frames in which several people are seen"
        )
    chosen = np.sort(np.array(known, np.int64), axis=1)
    if len(chosen) > max_pairs:
        chosen = chosen[rng.choice(len(chosen), max_pairs, replace=False)]
    return _joined(same, _different_pairs(members, chosen, max_pairs, rng))


def pair_scores(embeddings: Float32, pairs: CalibrationPairs) -> Float64:
    """Cosine similarity of each pair, (P,) float64, computed a block of pairs at a time.

    Raises:
        InputError: an embedding of zeros, named by row.
    """
    scores = np.empty(len(pairs))
    for start in range(0, len(pairs), _CHUNK):
        rows = pairs.rows[start : start + _CHUNK]
        a, b = (embeddings[column].astype(np.float64) for column in rows.T)
        norms = np.stack([np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1)], axis=1)
        if not norms.all():
            raise InputError(f"embeddings: row {rows[norms == 0][0]} is all zero, which has no cosine")
        scores[start : start + _CHUNK] = np.einsum("pd,pd->p", a, b) / norms.prod(axis=1)
    return scores


def _members(rows: Int64, numbers: Int64) -> list[Int64]:
    """For each person in ascending order, the rows of their pictures."""
    order = np.argsort(numbers, kind="stable")
    _, starts = np.unique(numbers[order], return_index=True)
    return np.split(rows[order], starts[1:]) if len(rows) else []


def _same_pairs(
    members: Sequence[Int64], allowed: Callable[[Int64, Int64], Bool], rng: np.random.Generator
) -> CalibrationPairs:
    rows, people = [np.zeros((0, 2), np.int64)], [np.zeros((0, 2), np.int64)]
    for person, own in enumerate(members):
        listed = own if len(own) <= _MOST_PICTURES else rng.choice(own, _MOST_PICTURES, replace=False)
        a, b = (listed[index] for index in np.triu_indices(len(listed), 1))
        fit = allowed(a, b)
        a, b = a[fit], b[fit]
        if len(a):
            drawn = rng.integers(len(a), size=_PER_PERSON)
            rows.append(np.stack([a[drawn], b[drawn]], axis=1))
            people.append(np.full((_PER_PERSON, 2), person))
    return CalibrationPairs(np.concatenate(rows), np.concatenate(people))


def _couples(num_people: int, max_pairs: int, rng: np.random.Generator) -> Int64:
    """All couples, or as many as there may be pairs, drawn with replacement."""
    if num_people * (num_people - 1) // 2 <= max_pairs:
        return np.stack(np.triu_indices(num_people, 1), axis=1)
    first = rng.integers(num_people, size=max_pairs)
    second = (first + rng.integers(1, num_people, size=max_pairs)) % num_people
    return np.sort(np.stack([first, second], axis=1), axis=1)


def _different_pairs(
    members: Sequence[Int64], couples: Int64, max_pairs: int, rng: np.random.Generator
) -> CalibrationPairs:
    people = np.repeat(couples, min(_PER_COUPLE, max(1, max_pairs // len(couples))), axis=0)
    counts = np.array([len(own) for own in members])
    starts, flat = np.cumsum(counts) - counts, np.concatenate(members)
    places = starts[people] + (rng.random(people.shape) * counts[people]).astype(np.int64)
    return CalibrationPairs(flat[places], people)


def _joined(first: CalibrationPairs, other: CalibrationPairs) -> CalibrationPairs:
    return CalibrationPairs(
        np.concatenate([first.rows, other.rows]), np.concatenate([first.people, other.people])
    )

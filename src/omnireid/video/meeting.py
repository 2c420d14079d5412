"""Tracklets that several cameras see at once: whether they walk at the same place of the floor.

The foot of each box is a place in metres with a deviation: a box's edge is uncertain by a share of its
height, which far from the camera is metres. For two tracklets of different cameras the distance at each
moment is weighed against how far apart different people are who are there at once, which the cameras
themselves show: two boxes of one frame are two people. How exact the floors fit is learned too, from all
pairs at once (expectation maximisation), since calibrations are never as good as they claim.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial import ConvexHull, QhullError

from omnireid.core.arrays import Float32, Float64, Int64
from omnireid.video.ground import Ground

_TRAILS, _PAIRS = 256, 500
_LEARN_AFTER = 20  # so many pairs for each walk that has come since, so that a walk costs the same always


@dataclass(frozen=True, slots=True)
class Meeting:
    """How places on the floor are compared.

    Attributes:
        step_s: Seconds of one moment; places within it are averaged.
        across, down: Deviation of a box's foot in the picture, shares of its height.
        stance_m: Deviation of a place on the floor besides, metres: feet and clocks are not where boxes end.
        widest_m: Places more uncertain than this are not used.
        companion_m: People who are there at once are either closer than this, or anywhere.
        outlier: Share of moments in which a place is anywhere: feet behind a bench.
        held: Correlation of the errors of two moments; many moments are worth 1 / held.
        belief: Pairs that the first guess of the deviations is worth.
    """

    step_s: float = 0.5
    across: float = 0.05
    down: float = 0.05
    stance_m: float = 0.25
    widest_m: float = 2.5
    companion_m: float = 1.5
    outlier: float = 0.02
    held: float = 0.3
    belief: float = 10.0


@dataclass(frozen=True, slots=True, eq=False)
class Trail:
    """Where a tracklet was on its floor.

    Attributes:
        floor: The floor's name.
        moments: (M,) int64, ascending, in steps.
        points: (M, 2) float64, metres.
        covariances: (M, 2, 2) float64, metres².
    """

    floor: str
    moments: Int64
    points: Float64
    covariances: Float64


def trail(
    ground: Ground,
    times: Sequence[float],
    boxes: Sequence[Float32],
    size: tuple[int, int],
    meeting: Meeting = Meeting(),
) -> Trail:
    """The way of a track on the floor.

    Args:
        times: Seconds of each box. boxes: (4,) each.
        size: Height and width of the picture, pixels; of boxes that its lower edge cuts off, nobody knows
            where the feet are.
    """
    table = np.stack(boxes).astype(np.float64)
    is_cut = table[:, 3] >= size[0] - 2
    if ground.size is not None:
        table *= np.tile(np.array(ground.size)[::-1] / np.array(size)[::-1], 2)
    tall = table[:, 3] - table[:, 1]
    feet = np.column_stack([(table[:, 0] + table[:, 2]) / 2, table[:, 3]])
    points = ground.at(feet)
    # By how much the place moves with the foot: towards the camera, where there is always floor.
    aside = ground.at(feet + np.column_stack([meeting.across * tall, np.zeros(len(feet))])) - points
    nearer = ground.at(feet + np.column_stack([np.zeros(len(feet)), meeting.down * tall])) - points
    covariances = aside[:, :, None] * aside[:, None] + nearer[:, :, None] * nearer[:, None]
    covariances += meeting.stance_m**2 * np.eye(2)
    wide = np.trace(covariances, axis1=1, axis2=2)
    usable = np.isfinite(points).all(axis=1) & (wide < meeting.widest_m**2) & ~is_cut
    steps = np.floor(np.asarray(times)[usable] / meeting.step_s).astype(np.int64)
    moments, which = np.unique(steps, return_inverse=True)
    counts = np.maximum(np.bincount(which, minlength=len(moments)), 1)

    def averaged(values: Float64) -> Float64:
        total = np.zeros((len(moments), *values.shape[1:]))
        np.add.at(total, which, values)
        return total / counts.reshape(-1, *[1] * (values.ndim - 1))

    return Trail(ground.floor, moments, averaged(points[usable]), averaged(covariances[usable]))


def meeting_evidence(
    trails: Sequence[Trail | None], cameras: Sequence[str], meeting: Meeting = Meeting()
) -> Float64:
    """Log-likelihood ratio of "same" against "different" that the floor gives for each pair.

    Args:
        trails: Of each tracklet; None without a ground. cameras: of each, its camera.

    Returns:
        (N, N) float64, symmetric; 0 where two were never seen at once, or on different floors.
    """
    evidence = np.zeros((len(trails), len(trails)))
    pairs = {
        (row, column): pair
        for row, a in enumerate(trails)
        for column, b in enumerate(trails[:row])
        if (pair := _pair(a, b, is_one_camera=cameras[row] == cameras[column])) is not None
    }
    for floor in {pair.floor for pair in pairs.values()}:
        mine = {key: pair for key, pair in pairs.items() if pair.floor == floor}
        points = [trail.points for trail in trails if trail is not None and trail.floor == floor]
        fit = _fitted(list(mine.values()), points, meeting)
        for (row, column), pair in mine.items():
            if not pair.is_one_camera:
                evidence[row, column] = evidence[column, row] = pair.evidence(fit, meeting)
    return evidence


class Meetings:
    """What floors say of walks that go on: of the last ones, in bounded memory and time.

    How far apart different people are, and how well floors fit, is learned as walks come.
    """

    def __init__(self, meeting: Meeting = Meeting()) -> None:
        self._meeting = meeting
        self._trails: OrderedDict[str, tuple[str, Trail]] = OrderedDict()
        self._pairs: OrderedDict[frozenset[str], _Pair] = OrderedDict()
        self._fits: dict[str, _Fit] = {}
        self._new = 0

    def see(self, walk: str, present: Mapping[str, tuple[str, Trail]]) -> None:
        """Compare where a walk was lately with all others that are remembered.

        Args:
            present: Camera and latest trail, by name, of this walk and of those that go on.
        """
        for name, latest in present.items():
            self._trails[name] = latest
            self._trails.move_to_end(name)
        if walk not in present:
            return
        camera, trail = present[walk]
        for other, (its_camera, its_trail) in self._trails.items():
            pair = None if other == walk else _pair(trail, its_trail, is_one_camera=camera == its_camera)
            if pair is not None:
                self._pairs[frozenset((walk, other))] = pair
        for kept, most in ((self._trails, _TRAILS), (self._pairs, _PAIRS)):
            while len(kept) > most:
                kept.popitem(last=False)
        self._new += 1
        floors = {pair.floor for pair in self._pairs.values()}
        if self._new * _LEARN_AFTER >= len(self._pairs) or not self._fits.keys() >= floors:
            self._learn()

    def evidence(self, walks: Collection[str]) -> dict[str, float]:
        """Log-likelihood ratio, by name of each other walk, that it is of the person of these."""
        found: dict[str, float] = {}
        for names, pair in self._pairs.items():
            others = names.difference(walks)
            if len(others) == 1 and not pair.is_one_camera:
                (other,) = others
                found[other] = found.get(other, 0.0) + pair.evidence(self._fits[pair.floor], self._meeting)
        return found

    def _learn(self) -> None:
        self._new = 0
        for floor in {pair.floor for pair in self._pairs.values()}:
            pairs = [pair for pair in self._pairs.values() if pair.floor == floor]
            points = [trail.points for _, trail in self._trails.values() if trail.floor == floor]
            self._fits[floor] = _fitted(pairs, points, self._meeting)


@dataclass(frozen=True, slots=True, eq=False)
class _Pair:
    """Two tracklets that are there at once: their distance at each common moment, squared in metres and in
    deviations, and the determinant of the covariance.
    """

    floor: str
    is_one_camera: bool
    metres: Float64
    sq_deviations: Float64
    determinants: Float64

    @property
    def looks(self) -> float:
        return float(len(self.metres))

    def evidence(self, fit: _Fit, meeting: Meeting) -> float:
        """Log-likelihood ratio of one person against two."""
        other = np.where(self.metres < meeting.companion_m, fit.near, fit.far)
        spread = fit.scale**2 * np.sqrt(self.determinants)
        same = np.exp(-0.5 * self.sq_deviations / fit.scale**2) / (2 * np.pi * spread)
        mixed = (1 - meeting.outlier) * same + meeting.outlier * other
        worth = self.looks / (1 + meeting.held * (self.looks - 1))
        return worth * float(np.log(mixed / other).mean())


@dataclass(frozen=True, slots=True)
class _Fit:
    """What a floor's pairs teach: densities (1/m²) of where somebody else is, near and farther away, and by
    how much all deviations are larger than they were taken for.
    """

    near: float
    far: float
    scale: float = 1.0


def _pair(a: Trail | None, b: Trail | None, *, is_one_camera: bool) -> _Pair | None:
    if a is None or b is None or a.floor != b.floor or not (len(a.moments) and len(b.moments)):
        return None
    if a.moments[0] > b.moments[-1] or b.moments[0] > a.moments[-1]:
        return None
    _, at_a, at_b = np.intersect1d(a.moments, b.moments, assume_unique=True, return_indices=True)
    if not len(at_a):
        return None
    gaps = a.points[at_a] - b.points[at_b]
    covariances = a.covariances[at_a] + b.covariances[at_b]
    solved = np.linalg.solve(covariances, gaps[:, :, None])[:, :, 0]
    metres, determinants = np.hypot(*gaps.T), np.linalg.det(covariances)
    return _Pair(a.floor, is_one_camera, metres, (gaps * solved).sum(axis=1), determinants)


def _fitted(pairs: Sequence[_Pair], points: Sequence[Float64], meeting: Meeting) -> _Fit:
    """What the pairs of one floor teach."""
    fit = _different([pair for pair in pairs if pair.is_one_camera], _area(points), meeting)
    return _scaled([pair for pair in pairs if not pair.is_one_camera], fit, meeting)


def _area(points: Sequence[Float64]) -> float:
    """Square metres on which people were seen, at least nine."""
    try:
        return max(float(ConvexHull(np.concatenate(points)).volume), 9.0)
    except (QhullError, ValueError):
        return 9.0


def _different(known: Sequence[_Pair], area: float, meeting: Meeting) -> _Fit:
    disc = np.pi * meeting.companion_m**2
    looks = meeting.belief + sum(pair.looks for pair in known)
    chance = min(disc / (area + disc), 0.5)
    near = chance * meeting.belief + sum(float((p.metres < meeting.companion_m).sum()) for p in known)
    share = near / looks
    return _Fit(share / disc, (1 - share) / max(area, disc))


def _scaled(asked: Sequence[_Pair], fit: _Fit, meeting: Meeting) -> _Fit:
    share = 0.3
    # The median of a squared distance in two dimensions is 2 log 2 squared deviations.
    medians = np.array([np.median(pair.sq_deviations) for pair in asked]) / (2 * np.log(2))
    for _ in range(10 if asked else 0):
        odds = np.array([pair.evidence(fit, meeting) for pair in asked])
        same = share / (share + (1 - share) * np.exp(-np.clip(odds, -30, 30)))
        share = float(np.clip(same.mean(), 0.02, 0.9))
        capped = np.minimum(medians, 9.0 * fit.scale**2)
        total = meeting.belief + float(same.sum())
        scale = float(np.sqrt((meeting.belief + float((same * capped).sum())) / total))
        fit = replace(fit, scale=float(np.clip(scale, 0.5, 4.0)))
    return fit

"""Tracklets that several cameras see at once: whether they walk at the same place of the floor.

The foot of each box is a place in metres with a deviation: a box's edge is uncertain by a share of its
height, which far from the camera is metres. For two tracklets of different cameras the distance at each
moment is weighed against how far apart different people are who are there at once, which the cameras
themselves show: two boxes of one frame are two people. How exact the floors fit is learned too, from all
pairs at once (expectation maximisation), since calibrations are never as good as they claim.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial import ConvexHull, QhullError

from omnireid.core.arrays import Float32, Float64, Int64
from omnireid.video.ground import Ground


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
    pairs = _pairs(trails, cameras)
    for floor in {trail.floor for trail in trails if trail is not None}:
        mine = [pair for pair in pairs if pair.floor == floor]
        known = [pair for pair in mine if pair.is_one_camera]
        asked = [pair for pair in mine if not pair.is_one_camera]
        if not asked:
            continue
        area = _area([trail.points for trail in trails if trail is not None and trail.floor == floor])
        different = _different(known, area, meeting)
        scale = _scale(asked, different, meeting)
        for pair in asked:
            said = pair.evidence(scale, different, meeting)
            evidence[pair.row, pair.column] = evidence[pair.column, pair.row] = said
    return evidence


@dataclass(frozen=True, slots=True, eq=False)
class _Pair:
    """Two tracklets that are there at once: their distance at each common moment, squared in metres and in
    deviations, and the determinant of the covariance.
    """

    row: int
    column: int
    floor: str
    is_one_camera: bool
    metres: Float64
    sq_deviations: Float64
    determinants: Float64

    @property
    def looks(self) -> float:
        return float(len(self.metres))

    def same(self, scale: float) -> Float64:
        """Density of the distances of one person, 1/m², where deviations are `scale` times as large."""
        spread = scale**2 * np.sqrt(self.determinants)
        return np.asarray(np.exp(-0.5 * self.sq_deviations / scale**2) / (2 * np.pi * spread))

    def evidence(self, scale: float, different: tuple[float, float], meeting: Meeting) -> float:
        other = np.where(self.metres < meeting.companion_m, *different)
        mixed = (1 - meeting.outlier) * self.same(scale) + meeting.outlier * other
        worth = self.looks / (1 + meeting.held * (self.looks - 1))
        return worth * float(np.log(mixed / other).mean())


def _pairs(trails: Sequence[Trail | None], cameras: Sequence[str]) -> list[_Pair]:
    pairs = []
    for row, a in enumerate(trails):
        for column in range(row + 1, len(trails)):
            b = trails[column]
            if a is None or b is None or a.floor != b.floor or not (len(a.moments) and len(b.moments)):
                continue
            if a.moments[0] > b.moments[-1] or b.moments[0] > a.moments[-1]:
                continue
            _, at_a, at_b = np.intersect1d(a.moments, b.moments, assume_unique=True, return_indices=True)
            if not len(at_a):
                continue
            gaps = a.points[at_a] - b.points[at_b]
            covariances = a.covariances[at_a] + b.covariances[at_b]
            solved = np.linalg.solve(covariances, gaps[:, :, None])[:, :, 0]
            pairs.append(
                _Pair(
                    row,
                    column,
                    a.floor,
                    cameras[row] == cameras[column],
                    np.hypot(*gaps.T),
                    (gaps * solved).sum(axis=1),
                    np.linalg.det(covariances),
                )
            )
    return pairs


def _area(points: Sequence[Float64]) -> float:
    """Square metres on which people were seen, at least nine."""
    try:
        return max(float(ConvexHull(np.concatenate(points)).volume), 9.0)
    except (QhullError, ValueError):
        return 9.0


def _different(known: Sequence[_Pair], area: float, meeting: Meeting) -> tuple[float, float]:
    """Densities (1/m²) of where somebody else is: near, and farther away."""
    disc = np.pi * meeting.companion_m**2
    looks = meeting.belief + sum(pair.looks for pair in known)
    chance = min(disc / (area + disc), 0.5)
    near = chance * meeting.belief + sum(float((p.metres < meeting.companion_m).sum()) for p in known)
    share = near / looks
    return share / disc, (1 - share) / max(area, disc)


def _scale(asked: Sequence[_Pair], different: tuple[float, float], meeting: Meeting) -> float:
    """By how much all deviations are larger than they were taken for; 1 without any pair."""
    scale, share = 1.0, 0.3
    for _ in range(10):
        odds = np.array([pair.evidence(scale, different, meeting) for pair in asked])
        same = share / (share + (1 - share) * np.exp(-np.clip(odds, -30, 30)))
        share = float(np.clip(same.mean(), 0.02, 0.9))
        # The median of a squared distance in two dimensions is 2 log 2 squared deviations.
        medians = np.array([np.median(pair.sq_deviations) for pair in asked]) / (2 * np.log(2))
        capped = np.minimum(medians, 9.0 * scale**2)
        total = meeting.belief + float(same.sum())
        scale = float(np.sqrt((meeting.belief + float((same * capped).sum())) / total))
        scale = float(np.clip(scale, 0.5, 4.0))
    return scale

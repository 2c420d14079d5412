"""Boxes of one camera to tracks: who in this frame is who of the frames before.

Every pairing of a track with a box is weighed by one log-likelihood ratio, "this person again" against
"somebody new or a false alarm": how well the box lies where motion expects it (`motion`), and how alike the
two look (`likeness`). The pairing of largest total is taken (Hungarian method). Sure boxes go first; those
with a low score may only continue tracks, by motion alone (the second association of ByteTrack, Zhang et al.,
ECCV 2022). A track that is not seen goes on for `lost_s`: as its place becomes uncertain, appearance decides.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

from omnireid.core.arrays import Float32, Float64, Int64
from omnireid.core.errors import InputError
from omnireid.core.vectors import unit_rows
from omnireid.video.boxes import Boxes, containment, overlaps, suppress, within
from omnireid.video.likeness import Likeness
from omnireid.video.motion import Motion, centred
from omnireid.video.quality import BestCrops

Embed = Callable[[Float32], Float32]


@dataclass(frozen=True, slots=True)
class Tracking:
    """How one camera's boxes become tracks. Scores are the detector's; these suit NanoDet's.

    Attributes:
        sure: Boxes from this score on are people; those from `possible` on may continue a track.
        begin: A track begins with a box of at least this score.
        apart: A track begins only with a box of which followed people's boxes cover less than this share
            each: a detector often boxes a part of somebody, or two people in one.
        overlap: Of two boxes that overlap by more than this share, the surer one is kept.
        confirm: Boxes after which a track is a track; false alarms are seldom seen so often.
        confirm_s: Seconds without a box after which a track that is not yet confirmed ends.
        lost_s: Seconds without a box after which a track ends.
        low_s: Seconds without a box until which boxes with a low score may continue a track.
        newcomer: Log of the density of new people and false alarms, in boxes of one height squared.
        gate: Mahalanobis distance beyond which a box is not weighed at all.
        refresh_s: Seconds after which a person's look is taken again where motion alone is clear.
        clear: The evidence by which the best pairing must lead every other of the same track or box for
            motion alone to be clear.
        memory: Share of a track's look that stays when a new one is taken.
    """

    sure: float = 0.5
    possible: float = 0.4
    begin: float = 0.6
    apart: float = 0.5
    overlap: float = 0.55
    confirm: int = 4
    confirm_s: float = 0.25
    lost_s: float = 3.0
    low_s: float = 0.45
    newcomer: float = 2.0
    gate: float = 5.6
    refresh_s: float = 0.5
    clear: float = 2.0
    memory: float = 0.9

    def __post_init__(self) -> None:
        if not 0.0 <= self.possible <= self.sure <= self.begin <= 1.0:
            raise InputError(
                f"possible, sure, begin: expected 0 ≤ possible ≤ sure ≤ begin ≤ 1, got {self.possible}, "
                f"{self.sure}, {self.begin}"
            )


class Seen(NamedTuple):
    """A box of a track: number and seconds of its frame, left, top, right, bottom, the detector's score."""

    frame: int
    time: float
    box: Float32
    score: float


class Earlier(NamedTuple):
    """What is known of boxes that a track no longer holds: how many, and time and box of the first."""

    boxes: int
    begin: float
    first: Float32


@dataclass(slots=True)
class Track:
    """One person seen by one camera for a while.

    Attributes:
        number: From 1, in the order in which tracks begin; those never confirmed leave gaps.
        frames: Frames in which it was seen. times: seconds of each.
        boxes: (4,) left, top, right, bottom of each. scores: the detector's, of each.
        earlier: Of boxes before these, which were taken away; None where all are here.
        look: Sum of the embeddings taken, each weighed by how well the person is seen; None without any.
        weight: Sum of those weights.
        crops: The best crops, where whoever reads the frames keeps them.
    """

    number: int
    frames: list[int] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    boxes: list[Float32] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    look: Float64 | None = None
    weight: float = 0.0
    crops: BestCrops = field(default_factory=BestCrops)
    earlier: Earlier | None = None
    recent: Float64 | None = None
    looked: float = -np.inf
    state: Float64 = field(default_factory=lambda: np.zeros(6))
    covariance: Float64 = field(default_factory=lambda: np.eye(6))

    def __len__(self) -> int:
        return len(self.frames) + (0 if self.earlier is None else self.earlier.boxes)

    @property
    def begin(self) -> float:
        """Seconds of the first box, also where it was taken away."""
        return self.times[0] if self.earlier is None else self.earlier.begin

    @property
    def end(self) -> float:
        """Seconds of the last box."""
        return self.times[-1]

    @property
    def first(self) -> Float32:
        """(4,): the first box, also where it was taken away."""
        return self.boxes[0] if self.earlier is None else self.earlier.first

    def take_away(self) -> list[Seen]:
        """Boxes since the last call, of which the track then holds only the last: memory does not grow."""
        seen = list(map(Seen, self.frames, self.times, self.boxes, self.scores))
        new = seen if self.earlier is None else seen[1:]
        self.earlier = Earlier(len(self) - 1, self.begin, self.first)
        for entries in (self.frames, self.times, self.boxes, self.scores):
            del entries[:-1]
        return new

    @property
    def embedding(self) -> Float64 | None:
        """(D,) L2-normalised, of the whole track; None where it was never looked at."""
        return None if self.look is None else self.look / max(float(np.linalg.norm(self.look)), 1e-12)

    @property
    def steadiness(self) -> float:
        """How alike its looks are: length of their mean, 1 where all are the same."""
        length = 0.0 if self.look is None else float(np.linalg.norm(self.look))
        return length / max(self.weight, 1e-12)


class _View(NamedTuple):
    """A frame: its boxes, embeddings by row of those that were looked at, and what share of each is seen."""

    frame: int
    time: float
    detections: Boxes
    looks: dict[int, Float64]
    shown: Float64


class Tracker:
    """Follows the people of one camera."""

    def __init__(
        self, tracking: Tracking = Tracking(), motion: Motion = Motion(), likeness: Likeness | None = None
    ) -> None:
        self.tracking, self.motion = tracking, motion
        self.likeness = likeness or Likeness()
        self.active: list[Track] = []
        self._finished: list[Track] = []
        self._begun = 0
        self._time = -np.inf

    @property
    def clock(self) -> tuple[int, float]:
        """Number of the newest track, and time of the last frame."""
        return self._begun, self._time

    def restore(self, active: list[Track], begun: int, time: float) -> None:
        """Go on from what another tracker knew."""
        self.active, self._begun, self._time = active, begun, time

    def is_confirmed(self, track: Track) -> bool:
        """Whether a track was seen often enough to be somebody."""
        return len(track) >= self.tracking.confirm

    def take_finished(self) -> list[Track]:
        """Confirmed tracks that ended since the last call, which they then leave: memory does not grow."""
        finished, self._finished = self._finished, []
        return finished

    def finish(self) -> list[Track]:
        """End all tracks: those of `take_finished`, and those that were still followed."""
        self._finished += [track for track in self.active if self.is_confirmed(track)]
        self.active = []
        return self.take_finished()

    def update(
        self,
        frame: int,
        time: float,
        detections: Boxes,
        embed: Embed | None = None,
        size: tuple[int, int] | None = None,
    ) -> tuple[Boxes, list[Track | None]]:
        """Take in a frame.

        Args:
            frame: Its number. time: its time in seconds, later than the last one's.
            embed: Gives (n, D) L2-normalised embeddings of (n, 4) boxes of this frame; asked only for boxes
                that motion alone does not decide, or whose track was not looked at for `refresh_s`.
            size: Height and width of the picture; with it, looks at people whom its edge cuts off count less.

        Returns:
            The boxes that were weighed, and the track of each: None for a false alarm.

        Raises:
            InputError: Time does not advance.
        """
        if time <= self._time:
            raise InputError(f"frame {frame}: its time {time} s is not after the last one's, {self._time} s")
        options = self.tracking
        kept = np.flatnonzero(detections.scores >= options.possible)
        detections = suppress(detections.take(kept), options.overlap)
        self._advance(time)
        owners: list[Track | None] = [None] * len(detections)
        seen = centred(detections.boxes)
        sure = np.flatnonzero(detections.scores >= options.sure)
        overlap_NN = overlaps(detections.boxes, detections.boxes) - np.eye(len(detections))
        covered = overlap_NN.max(axis=1, initial=0.0)
        shown = 1.0 - covered
        if size is not None:
            shown *= within(detections.boxes, size) ** 2

        evidence = self._evidence(self.active, seen[sure])
        looks = self._looks(evidence, detections, sure, covered, time, embed)
        view = _View(frame, time, detections, looks, shown)
        if looks:
            evidence = evidence + self._appearance(looks, sure, covered)
        for row, column in _pairs(evidence):
            owners[sure[column]] = self.active[row]
        taken = {id(track) for track in owners if track is not None}
        rest = [
            track
            for track in self.active
            if id(track) not in taken and self.is_confirmed(track) and time - track.end <= options.low_s
        ]
        unsure = np.flatnonzero(detections.scores < options.sure)
        for row, column in _pairs(self._evidence(rest, seen[unsure])):
            owners[unsure[column]] = rest[row]

        self._learn(owners, looks, sure)
        self._correct(view, owners)
        self._end(time)
        self._begin(view, owners)
        self._time = time
        return detections, owners

    def _advance(self, time: float) -> None:
        if self.active:
            states, covariances = self._stacked(self.active)
            seconds = np.full(len(self.active), time - self._time)
            for track, state, covariance in zip(
                self.active, *self.motion.advance(states, covariances, seconds), strict=True
            ):
                track.state, track.covariance = state, covariance

    @staticmethod
    def _stacked(tracks: list[Track]) -> tuple[Float64, Float64]:
        return np.stack([track.state for track in tracks]), np.stack([track.covariance for track in tracks])

    def _evidence(self, tracks: list[Track], seen: Float64) -> Float64:
        """Of motion, (tracks, boxes); −inf beyond the gate."""
        if not tracks or not len(seen):
            return np.zeros((len(tracks), len(seen)))
        density, sq_dist = self.motion.evidence(*self._stacked(tracks), seen)
        return np.where(sq_dist <= self.tracking.gate**2, density - self.tracking.newcomer, -np.inf)

    def _looks(
        self,
        evidence: Float64,
        detections: Boxes,
        sure: Int64,
        covered: Float64,
        time: float,
        embed: Embed | None,
    ) -> dict[int, Float64]:
        """Embeddings by row of `detections`, of the sure boxes that are to be looked at."""
        if embed is None or not len(sure):
            return {}
        needed = [
            int(row)
            for column, row in enumerate(sure)
            if not self._is_clear(evidence, column, covered[row], time)
        ]
        if not needed:
            return {}
        vectors = unit_rows(np.asarray(embed(detections.boxes[needed]), dtype=np.float32))
        return dict(zip(needed, vectors.astype(np.float64), strict=True))

    def _is_clear(self, evidence: Float64, column: int, covered: float, time: float) -> bool:
        """Whether motion alone says whose box this is, somebody's who was looked at not long ago."""
        if not len(evidence) or covered > 0:
            return False
        row = int(np.argmax(evidence[:, column]))
        best = evidence[row, column]
        rivals = max(
            np.delete(evidence[:, column], row).max(initial=-np.inf),
            np.delete(evidence[row], column).max(initial=-np.inf),
            0.0,
        )
        return (
            best - rivals > self.tracking.clear and time - self.active[row].looked < self.tracking.refresh_s
        )

    def _appearance(self, looks: dict[int, Float64], sure: Int64, covered: Float64) -> Float64:
        """Evidence of appearance, (tracks, sure boxes); 0 where nothing is known of one of them."""
        evidence = np.zeros((len(self.active), len(sure)))
        recents = {row: track.recent for row, track in enumerate(self.active) if track.recent is not None}
        known = list(recents)
        columns = [column for column, row in enumerate(sure) if int(row) in looks]
        if known and columns:
            recent = unit_rows(np.stack(list(recents.values())))
            vectors = np.stack([looks[int(sure[column])] for column in columns])
            # Of a box that another one covers, the picture shows both.
            alone = 1.0 - covered[sure[columns]]
            evidence[np.ix_(known, columns)] = self.likeness.evidence(recent @ vectors.T) * alone
        return evidence

    def _learn(self, owners: list[Track | None], looks: dict[int, Float64], sure: Int64) -> None:
        rows = [int(row) for row in sure if int(row) in looks]
        if len(rows) > 1:
            vectors = np.stack([looks[row] for row in rows])
            similarities = vectors @ vectors.T
            self.likeness.learn(similarities[np.triu_indices(len(rows), 1)], same=False)
        same = []
        for row in rows:
            track = owners[row]
            if track is not None and track.recent is not None:
                same.append(
                    float(track.recent @ looks[row]) / max(float(np.linalg.norm(track.recent)), 1e-12)
                )
        if same:
            self.likeness.learn(np.array(same), same=True)

    def _correct(self, view: _View, owners: list[Track | None]) -> None:
        rows = [row for row, track in enumerate(owners) if track is not None]
        tracks = [track for track in owners if track is not None]
        if not tracks:
            return
        doubtful = view.detections.scores[rows] < self.tracking.sure
        seen = centred(view.detections.boxes[rows])
        corrected = self.motion.correct(*self._stacked(tracks), seen, doubtful)
        for row, track, state, covariance in zip(rows, tracks, *corrected, strict=True):
            track.state, track.covariance = state, covariance
            self._note(track, view, row)

    def _note(self, track: Track, view: _View, row: int) -> None:
        score = float(view.detections.scores[row])
        track.frames.append(view.frame)
        track.times.append(view.time)
        track.boxes.append(view.detections.boxes[row])
        track.scores.append(score)
        look = view.looks.get(row)
        if look is None:
            return
        track.looked = view.time
        weight = (score * float(view.shown[row])) ** 2
        track.look = weight * look + (0.0 if track.look is None else track.look)
        track.weight += weight
        if track.recent is None:
            track.recent = look
        elif view.shown[row] > 0.5:
            track.recent = self.tracking.memory * track.recent + (1.0 - self.tracking.memory) * look

    def _end(self, time: float) -> None:
        going = []
        for track in self.active:
            patience = self.tracking.lost_s if self.is_confirmed(track) else self.tracking.confirm_s
            if time - track.end <= patience:
                going.append(track)
            elif self.is_confirmed(track):
                self._finished.append(track)
        self.active = going

    def _begin(self, view: _View, owners: list[Track | None]) -> None:
        detections = view.detections
        followed = [row for row, track in enumerate(owners) if track is not None]
        shared = containment(detections.boxes, detections.boxes[followed]).max(axis=1, initial=0.0)
        rows = [
            row
            for row, track in enumerate(owners)
            if track is None
            and detections.scores[row] >= self.tracking.begin
            and shared[row] < self.tracking.apart
        ]
        if not rows:
            return
        begun = self.motion.begin(centred(detections.boxes[rows]))
        for row, state, covariance in zip(rows, *begun, strict=True):
            self._begun += 1
            track = Track(self._begun, state=state, covariance=covariance)
            self._note(track, view, row)
            self.active.append(track)
            owners[row] = track


def _pairs(evidence: Float64) -> list[tuple[int, int]]:
    """The pairing of largest total evidence, of pairs whose evidence is above 0."""
    if not evidence.size:
        return []
    # Beside each row stands a column of nothing: to pair nobody is always possible.
    cost = np.concatenate([np.where(evidence > 0, -evidence, 1e6), np.zeros((len(evidence),) * 2)], axis=1)
    rows, columns = linear_sum_assignment(cost)
    return [
        (int(row), int(column))
        for row, column in zip(rows, columns, strict=True)
        if column < evidence.shape[1] and evidence[row, column] > 0
    ]

"""How good tracks are: HOTA, IDF1, MOTA and their parts, as the kept judge `trackeval` computes them.

Across cameras, the cameras are laid one after another into one sequence with identities that are the same in
all: whoever is mixed up between cameras is then a mix-up like any other.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from omnireid.core.errors import InputError, MissingExtraError
from omnireid.video.boxes import overlaps
from omnireid.video.mot import Lines

_SAME_BOX = 0.5


@dataclass(frozen=True, slots=True)
class TrackingScore:
    """Figures of one sequence, shares from 0 to 1 (MOTA may be negative), and counts.

    Attributes:
        hota, deta, assa: Higher Order Tracking Accuracy and its halves, means over the overlaps 0.05 to 0.95
            (Luiten et al., IJCV 2021).
        idf1: Share of boxes with the right identity (Ristani et al., 2016), at overlap 0.5.
        mota: CLEAR MOT accuracy (Bernardin and Stiefelhagen, 2008), at overlap 0.5.
        switches: Times a person's track changes. misses, false_alarms: boxes, at overlap 0.5.
        truth_ids, track_ids: People in the truth, and tracks.
    """

    hota: float
    deta: float
    assa: float
    idf1: float
    mota: float
    switches: int
    misses: int
    false_alarms: int
    truth_ids: int
    track_ids: int

    def as_dict(self) -> dict[str, float]:
        return {item.name: getattr(self, item.name) for item in fields(self)}


def judge(truth: Lines, tracks: Lines) -> TrackingScore:
    """Score the tracks of one camera.

    Args:
        truth: Boxes of flag 0 (`scores` 0) are left out.

    Raises:
        InputError: The truth has no box that counts, or an id is twice in one frame.
        MissingExtraError: trackeval is not installed.
    """
    return judge_cameras([(truth, tracks)])


def judge_cameras(cameras: Sequence[tuple[Lines, Lines]]) -> TrackingScore:
    """Score several cameras as one sequence, one after another; equal ids are one person in all of them.

    Args:
        cameras: Truth and tracks of each.

    Raises:
        InputError, MissingExtraError: As `judge`.
    """
    data = _joined(cameras)
    if not data["num_gt_dets"]:
        raise InputError("the truth has no box that counts (its seventh number is 1 for boxes that do)")
    hota, clear, identity = _judges()
    with contextlib.redirect_stdout(io.StringIO()):
        by_hota, by_clear = hota.eval_sequence(data), clear.eval_sequence(data)
        by_identity = identity.eval_sequence(data)
    return TrackingScore(
        hota=float(np.mean(by_hota["HOTA"])),
        deta=float(np.mean(by_hota["DetA"])),
        assa=float(np.mean(by_hota["AssA"])),
        idf1=float(by_identity["IDF1"]),
        mota=float(by_clear["MOTA"]),
        switches=int(by_clear["IDSW"]),
        misses=int(by_clear["CLR_FN"]),
        false_alarms=int(by_clear["CLR_FP"]),
        truth_ids=data["num_gt_ids"],
        track_ids=data["num_tracker_ids"],
    )


def without_hidden(truth: Lines, tracks: Lines, min_visible: float) -> tuple[Lines, Lines]:
    """Let people of whom hardly anything is seen count neither as missed nor, where found, as false alarms.

    In each frame tracks are paired with all boxes of the truth that count, at overlap 0.5; those paired with
    somebody hidden are left out, as trackeval does with MOT's distractors.

    Args:
        min_visible: Share of a person below which a box of the truth does not count.

    Returns:
        The truth, with flag 0 on such boxes, and the tracks that are judged.
    """
    if truth.visible is None or not (truth.visible < min_visible).any():
        return truth, tracks
    is_hidden = truth.visible < min_visible
    is_judged = np.ones(len(tracks.frames), dtype=bool)
    track_rows = tracks.by_frame()
    for frame, rows in truth.by_frame().items():
        rows, others = rows[truth.scores[rows] > 0], track_rows.get(frame, np.zeros(0, np.int64))
        overlap = overlaps(truth.boxes[rows], tracks.boxes[others])
        overlap[overlap < _SAME_BOX] = 0.0
        pairs = zip(*linear_sum_assignment(-overlap), strict=True)
        for row, column in pairs:
            if overlap[row, column] and is_hidden[rows[row]]:
                is_judged[others[column]] = False
    judged = Lines(*(getattr(tracks, name)[is_judged] for name in ("frames", "ids", "boxes", "scores")))
    return replace(truth, scores=np.where(is_hidden, np.float32(0.0), truth.scores)), judged


def _judges() -> tuple[Any, Any, Any]:
    try:
        # It prints which of its other data sets cannot be used.
        with contextlib.redirect_stdout(io.StringIO()):
            from trackeval.metrics import CLEAR, HOTA, Identity
        with contextlib.redirect_stdout(io.StringIO()):
            return HOTA(), CLEAR(), Identity()
    except ImportError as error:
        raise MissingExtraError("Judging tracks (trackeval)", "video") from error


def _joined(cameras: Sequence[tuple[Lines, Lines]]) -> dict[str, Any]:
    """What trackeval's metrics read: ids of each frame, counted from 0, and overlaps."""
    truth_ids: dict[int, int] = {}
    track_ids: dict[int, int] = {}
    data: dict[str, Any] = {"gt_ids": [], "tracker_ids": [], "similarity_scores": []}
    for truth, tracks in cameras:
        last = max((int(lines.frames.max()) for lines in (truth, tracks) if len(lines.frames)), default=0)
        true_rows, track_rows = truth.by_frame(), tracks.by_frame()
        none = np.zeros(0, dtype=np.int64)
        for frame in range(1, last + 1):
            rows = true_rows.get(frame, none)
            rows = rows[truth.scores[rows] > 0]
            others = track_rows.get(frame, none)
            data["gt_ids"].append(_numbered(truth.ids[rows], truth_ids, "truth", frame))
            data["tracker_ids"].append(_numbered(tracks.ids[others], track_ids, "tracks", frame))
            data["similarity_scores"].append(overlaps(truth.boxes[rows], tracks.boxes[others]))
    data["num_timesteps"] = len(data["gt_ids"])
    data["num_gt_ids"], data["num_tracker_ids"] = len(truth_ids), len(track_ids)
    data["num_gt_dets"] = sum(map(len, data["gt_ids"]))
    data["num_tracker_dets"] = sum(map(len, data["tracker_ids"]))
    return data


def _numbered(ids: Any, known: dict[int, int], whose: str, frame: int) -> Any:
    if len(np.unique(ids)) != len(ids):
        raise InputError(f"{whose}, frame {frame}: an id is there twice")
    return np.array([known.setdefault(int(number), len(known)) for number in ids], dtype=np.int64)


def merged(lines: Lines, people: Mapping[int, int]) -> Lines:
    """The same boxes with some ids replaced: of people who came back, or of tracks that are one person's."""
    ids = np.array([people.get(int(number), int(number)) for number in lines.ids], dtype=np.int64)
    return replace(lines, ids=ids)

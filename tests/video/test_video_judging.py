"""Figures of tracking: worked by hand, against IDF1 written out, and cameras laid one after another."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from omnireid.core.errors import InputError
from omnireid.video.boxes import overlaps
from omnireid.video.judging import judge, judge_cameras, merged, without_hidden
from omnireid.video.mot import Lines, read_mot, write_lines

pytest.importorskip("trackeval")


def lines(rows: list[tuple[int, int, float]], scores: list[float] | None = None) -> Lines:
    """Of (frame, id, x): boxes of 10 × 20 at x."""
    table = np.array(rows, dtype=np.float64).reshape(-1, 3)
    boxes = np.stack([table[:, 2], 0 * table[:, 2], table[:, 2] + 10, 0 * table[:, 2] + 20], axis=1)
    return Lines(
        table[:, 0].astype(np.int64),
        table[:, 1].astype(np.int64),
        boxes.astype(np.float32),
        np.ones(len(table), np.float32) if scores is None else np.array(scores, np.float32),
    )


TRUTH = lines([(f, p, 50.0 * p + f) for f in range(1, 11) for p in (1, 2)])


def test_perfect_tracks_score_one() -> None:
    score = judge(TRUTH, TRUTH)
    assert (score.hota, score.deta, score.assa, score.idf1, score.mota) == pytest.approx((1.0,) * 5)
    assert (score.switches, score.misses, score.false_alarms) == (0, 0, 0)
    assert (score.truth_ids, score.track_ids) == (2, 2)


def test_one_switch_in_the_middle_by_hand() -> None:
    # Person 1 is track 1 in frames 1 to 5 and track 3 afterwards; person 2 is right throughout.
    tracks = lines(
        [(f, 1 if f <= 5 else 3, 50.0 + f) for f in range(1, 11)] + [(f, 2, 100.0 + f) for f in range(1, 11)]
    )
    score = judge(TRUTH, tracks)
    assert score.deta == pytest.approx(1.0)
    # Of each box |truth ∩ track| / |truth ∪ track|: 5 / 10 for the ten boxes of person 1, 1 for the rest.
    assert score.assa == pytest.approx((10 * 0.5 + 10 * 1.0) / 20)
    assert score.hota == pytest.approx(np.sqrt(0.75))
    assert score.idf1 == pytest.approx(2 * 15 / 40)
    assert score.switches == 1
    assert score.mota == pytest.approx(1 - 1 / 20)


def naive_idf1(truth: Lines, tracks: Lines) -> float:
    """Ristani et al.: the one-to-one matching of identities with the most matched boxes."""
    people, numbers = np.unique(truth.ids), np.unique(tracks.ids)
    matched = np.zeros((len(people), len(numbers)))
    for frame in np.unique(truth.frames):
        a, b = truth.frames == frame, tracks.frames == frame
        close = overlaps(truth.boxes[a], tracks.boxes[b]) >= 0.5
        for i, person in enumerate(truth.ids[a]):
            for j, number in enumerate(tracks.ids[b]):
                if close[i, j]:
                    matched[np.searchsorted(people, person), np.searchsorted(numbers, number)] += 1
    rows, columns = linear_sum_assignment(-matched)
    return float(2 * matched[rows, columns].sum() / (len(truth.ids) + len(tracks.ids)))


def test_idf1_is_that_of_its_definition() -> None:
    rng = np.random.default_rng(0)
    for _ in range(5):
        rows = [
            (int(f), int(rng.integers(1, 4)) * 10 + int(p), 50.0 * p + f + rng.normal(0, 2))
            for f in range(1, 21)
            for p in range(3)
            if rng.random() < 0.8
        ]
        truth = lines([(f, p + 1, 50.0 * p + f) for f in range(1, 21) for p in range(3)])
        assert judge(truth, lines(rows)).idf1 == pytest.approx(naive_idf1(truth, lines(rows)), abs=1e-9)


def test_cameras_one_after_another_are_one_sequence_with_shared_identities() -> None:
    other = lines([(f, p, 50.0 * p - f) for f in range(1, 8) for p in (1, 2)])
    swapped = merged(other, {1: 2, 2: 1})
    apart = judge_cameras([(TRUTH, TRUTH), (other, swapped)])
    # Each camera is perfect by itself; over both, identities agree in the larger part only.
    assert judge(other, swapped).idf1 == 1.0
    assert apart.idf1 == pytest.approx(2 * 20 / 68)
    shifted = Lines(other.frames + 10, other.ids, other.boxes, other.scores)
    swapped = Lines(shifted.frames, swapped.ids, shifted.boxes, shifted.scores)

    def together(a: Lines, b: Lines) -> Lines:
        names = ("frames", "ids", "boxes", "scores")
        return Lines(*(np.concatenate([getattr(a, name), getattr(b, name)]) for name in names))

    assert judge(together(TRUTH, shifted), together(TRUTH, swapped)) == apart


def test_boxes_that_do_not_count_are_left_out() -> None:
    truth = lines([(1, 1, 0.0), (1, 2, 100.0)], scores=[1.0, 0.0])
    assert judge(truth, lines([(1, 1, 0.0)])).misses == 0


def test_a_truth_without_boxes_and_an_id_twice_are_refused() -> None:
    with pytest.raises(InputError, match="no box that counts"):
        judge(lines([(1, 1, 0.0)], scores=[0.0]), TRUTH)
    with pytest.raises(InputError, match="tracks, frame 1: an id is there twice"):
        judge(TRUTH, lines([(1, 1, 0.0), (1, 1, 50.0)]))


def test_idf1_is_motmetrics_on_the_same_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # It was written for NumPy 1.
    monkeypatch.setattr(np, "asfarray", lambda values, dtype=float: np.asarray(values, dtype), raising=False)
    motmetrics = pytest.importorskip("motmetrics")
    rng = np.random.default_rng(3)
    for draw in range(3):
        truth, tracks = tmp_path / f"truth{draw}.txt", tmp_path / f"tracks{draw}.txt"
        people = [(f, p, _box(50.0 * p + f, 0.0)) for f in range(1, 41) for p in range(1, 6)]
        seen = [
            (f, p + 10 * (f > 8 * p) * (rng.random() < 0.9), box + rng.normal(0, 2, 4).astype(np.float32))
            for f, p, box in people
            if rng.random() < 0.8
        ]
        seen += [(f, 99, _box(float(rng.uniform(0, 300)), 3.0)) for f in range(5, 35)]
        write_lines(truth, [(*row, 1.0) for row in people])
        write_lines(tracks, [(*row, 0.9) for row in seen])
        loaded = [motmetrics.io.loadtxt(str(file), fmt="mot16") for file in (truth, tracks)]
        pairs = motmetrics.utils.compare_to_groundtruth(*loaded, "iou", distth=0.5)
        theirs = motmetrics.metrics.create().compute(pairs, metrics=["idf1"])["idf1"].iloc[0]
        ours = judge(read_mot(truth), read_mot(tracks)).idf1
        assert 0.3 < ours < 0.9
        assert ours == pytest.approx(float(theirs), abs=1e-6)


def _box(left: float, top: float) -> np.ndarray:
    return np.array([left, top, left + 10, top + 20], np.float32)


def test_people_of_whom_hardly_anything_is_seen_count_neither_way() -> None:
    # Person 2 is behind a wall in frames 6 to 10; one tracker stops there, the other goes on and is right.
    shares = np.where((TRUTH.ids == 2) & (TRUTH.frames > 5), 0.05, 1.0).astype(np.float32)
    truth = replace(TRUTH, visible=shares)
    stops = lines([(f, p, 50.0 * p + f) for f in range(1, 11) for p in (1, 2) if p == 1 or f <= 5])
    assert judge(truth, stops).misses == 5
    for tracks in (stops, TRUTH):
        score = judge(*without_hidden(truth, tracks, 0.25))
        assert (score.misses, score.false_alarms, score.idf1) == (0, 0, 1.0)
    # Elsewhere a box is a false alarm as ever; a share of 0.05 is enough where 0.05 is asked for.
    elsewhere = lines([(7, 9, 300.0), (8, 1, 58.0)])
    assert judge(*without_hidden(truth, elsewhere, 0.25)).false_alarms == 1
    assert judge(*without_hidden(truth, stops, 0.05)).misses == 5


def test_a_truth_says_how_much_is_seen_in_its_own_way(tmp_path: Path) -> None:
    file = tmp_path / "gt.txt"
    file.write_text(
        "1,1,5,5,9,9,1,1,0.4\n"  # MOT16
        "1,2,5,5,9,9,1,1,0.3,7.5,8.5\n"  # ours, with the place on the ground
        "1,3,5,5,9,9,1,0.5,0.2,0\n"  # MOT15: metres
        "1,4,5,5,9,9,1,-1,-1\n"
        "1,5,5,5,9,9\n"
    )
    visible = read_mot(file).visible
    assert visible is not None
    assert visible.tolist() == pytest.approx([0.4, 0.3, 1.0, 1.0, 1.0])

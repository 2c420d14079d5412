"""One camera's tracker: who crosses, hides, leaves and comes back, and what is nobody."""

from __future__ import annotations

import numpy as np
import pytest

from omnireid.core.errors import InputError
from omnireid.video.boxes import Boxes
from omnireid.video.likeness import Belief, Likeness
from omnireid.video.tracker import Tracker, Tracking
from video.walks import box, follow, look, tracks_of


def test_somebody_who_walks_is_one_track_at_any_frame_rate() -> None:
    for fps in (5.0, 10.0, 30.0):
        tracker = Tracker()
        walk = [{1: box(50 + 120 * n / fps)} for n in range(round(4 * fps))]
        told = follow(tracker, walk, fps=fps)
        assert tracks_of(1, told) == {1}
        (track,) = tracker.finish()
        assert len(track) == len(walk)
        np.testing.assert_allclose(track.embedding, look(1), atol=1e-6)


def crossing() -> list[dict[int, np.ndarray]]:
    """Two people who meet, stop behind each other for a second, and turn back: motion alone cannot tell."""
    frames = []
    for n in range(60):
        if n < 20:
            a, b = 100 + 5 * n, 300 - 5 * n
        elif n < 35:
            a, b = 200, 203
        else:
            a, b = 200 - 5 * (n - 35), 203 + 5 * (n - 35)
        frames.append({1: box(a), 2: box(b)} if not 20 <= n < 35 else {1: box(a)})
    return frames


def test_looks_decide_who_turned_back() -> None:
    told = follow(Tracker(), crossing())
    first = dict(told[10])
    last = dict(told[-1])
    assert first == last == {1: 1, 2: 2}


def test_without_looks_motion_takes_them_for_each_other_or_for_new_people() -> None:
    # What the test before stands on: it is the looks that tell them apart.
    told = follow(Tracker(), crossing(), with_looks=False)
    assert dict(told[10]) != dict(told[-1])


def test_behind_a_pillar_for_two_seconds_and_still_the_same() -> None:
    walk = [{1: box(50 + 6 * n)} if not 20 <= n < 40 else {} for n in range(70)]
    assert tracks_of(1, follow(Tracker(), walk)) == {1}


def test_gone_for_longer_than_patience_is_a_new_track() -> None:
    walk = [{1: box(200)} if not 20 <= n < 60 else {} for n in range(80)]
    tracker = Tracker()
    assert len(tracks_of(1, follow(tracker, walk))) == 2
    assert [len(track) for track in tracker.finish()] == [20, 20]


def test_a_false_alarm_is_nobody_and_is_forgotten() -> None:
    flicker = [{1: box(200)} if n % 4 == 0 else {} for n in range(200)]
    tracker = Tracker()
    follow(tracker, flicker)
    assert tracker.finish() == []
    assert len(tracker.active) == 0


def test_low_scores_continue_a_track_but_begin_none() -> None:
    walk = [{1: box(50 + 5 * n), 2: box(400)} for n in range(40)]

    def scores(frame: int, person: int) -> float:
        return 0.45 if person == 2 or 10 < frame < 30 else 0.9

    tracker = Tracker()
    told = follow(tracker, walk, scores=scores)
    assert tracks_of(1, told) == {1}
    assert tracks_of(2, told) == set()
    assert len(tracker.finish()[0]) == 40


def test_finished_tracks_leave_so_that_memory_stays() -> None:
    tracker = Tracker()
    finished = []
    for person in range(30):
        start = 50 * person
        for n in range(50):
            people = {person: box(100 + 4 * n)} if n < 10 else {}
            boxes = np.stack(list(people.values())) if people else np.zeros((0, 4), np.float32)
            found = Boxes(boxes, np.full(len(people), 0.9, np.float32))
            tracker.update(
                start + n, (start + n) / 10, found, lambda b, p=person: np.stack([look(p)] * len(b))
            )
        finished += tracker.take_finished()
        assert len(tracker.active) <= 1
    assert len(finished) == 30


def test_two_hundred_people_keep_their_tracks() -> None:
    frames = [{p: box(60 * (p % 20) + 2 * n, 120 * (p // 20) + 60) for p in range(200)} for n in range(8)]
    told = follow(Tracker(), frames)
    assert all(tracks_of(p, told) == {p + 1} for p in range(200))


def test_looks_are_taken_only_where_they_are_needed() -> None:
    asked = 0

    def embed(boxes: np.ndarray) -> np.ndarray:
        nonlocal asked
        asked += len(boxes)
        return np.stack([look(1)] * len(boxes))

    tracker = Tracker(Tracking(refresh_s=1.0))
    for n in range(1, 101):
        tracker.update(n, n / 10, Boxes(box(50 + 3 * n)[None], np.array([0.9], np.float32)), embed)
    assert 10 <= asked <= 25


def test_looks_at_people_whom_the_edge_cuts_off_count_little() -> None:
    def walk(size: tuple[int, int] | None) -> np.ndarray:
        tracker = Tracker(Tracking(refresh_s=0.01))
        for n in range(1, 21):
            # Out of the picture to the right, where somebody else's look is all that is left.
            where = box(100 + 8 * n)
            seen = look(1) if where[2] <= 200 else look(2)
            tracker.update(
                n, n / 10, Boxes(where[None], np.array([0.9], np.float32)), lambda b, s=seen: s[None], size
            )
        (track,) = tracker.finish()
        return np.asarray(track.embedding)

    blind, sighted = walk(None), walk((1000, 200))
    assert float(sighted @ look(1)) > 0.95 > float(blind @ look(1))


def test_time_must_advance() -> None:
    tracker = Tracker()
    tracker.update(1, 1.0, Boxes.none())
    with pytest.raises(InputError, match=r"frame 2: its time 1.0 s is not after"):
        tracker.update(2, 1.0, Boxes.none())


def test_thresholds_out_of_order_are_refused() -> None:
    with pytest.raises(InputError, match="possible, sure, begin"):
        Tracking(possible=0.6, sure=0.5)


def test_likeness_learns_what_two_normals_say() -> None:
    rng = np.random.default_rng(0)
    same, different = rng.normal(0.8, 0.1, 4_000), rng.normal(0.3, 0.1, 4_000)
    likeness = Likeness(Belief(looks=1.0), limit=100.0, memory=1e9)
    likeness.learn(same, same=True)
    likeness.learn(different, same=False)
    # Of two normals with one deviation the ratio is linear: slope (a − b) / variance, 0 half way.
    assert likeness.line == pytest.approx((50.0, 0.55), rel=0.05)
    assert likeness.evidence(np.array([0.55, 0.65])) == pytest.approx([0.0, 5.0], abs=0.4)


def test_a_network_that_tells_nobody_apart_counts_for_nothing() -> None:
    likeness = Likeness()
    for _ in range(50):
        likeness.learn(np.full(200, 0.9), same=True)
        likeness.learn(np.full(200, 0.9), same=False)
    assert abs(likeness.evidence(np.array([0.95]))).max() < 0.6

"""Visits: who passes which camera when."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest

from omnireid.core.errors import InputError
from omnireid.synthetic.options import World
from omnireid.synthetic.visits import DAY_S, FRAME_S, camera_names, plan_visits

WORLD = World(seed=3, num_cameras=4, height=64, width=32)


def test_the_same_seed_gives_the_same_visits_whoever_else_comes() -> None:
    alone = plan_visits(WORLD, first_pid=7, num_people=1)
    among = plan_visits(WORLD, first_pid=1, num_people=20)
    assert [crop for crop in among if crop.pid == 7] == list(alone)
    other = World(seed=4, num_cameras=4, height=64, width=32)
    assert plan_visits(other, first_pid=7, num_people=1) != alone


def test_everybody_comes_and_every_walk_is_one_camera_half_seconds_apart() -> None:
    crops = plan_visits(WORLD, first_pid=1, num_people=60, num_days=3, frames=4)
    assert {crop.pid for crop in crops} == set(range(1, 61))
    assert {crop.camid for crop in crops} == {0, 1, 2, 3}
    times = [crop.time for crop in crops]
    assert times == sorted(times)
    assert times[0] >= 7 * 3600
    walks: dict[str, list] = {}
    for crop in crops:
        walks.setdefault(crop.tracklet, []).append(crop)
    for walk in walks.values():
        assert len({(crop.pid, crop.camid) for crop in walk}) == 1
        assert [round(b.time - a.time, 6) for a, b in pairwise(walk)] == [FRAME_S] * 3
    pictures = Counter((crop.pid, crop.camid, crop.index) for crop in crops)
    assert max(pictures.values()) == 1


def test_a_visitor_is_at_one_place_at_a_time_unless_two_visits_meet() -> None:
    crops = plan_visits(WORLD, first_pid=1, num_people=40, num_days=1, visits_a_day=0.0)
    assert max(crop.time for crop in crops) < 2 * DAY_S
    for pid in range(1, 41):
        own = [crop for crop in crops if crop.pid == pid]
        # One visit: it never takes less than 20 s from one camera to the next.
        for a, b in pairwise(own):
            assert a.tracklet == b.tracklet or b.time - a.time > 18


@pytest.mark.parametrize("wrong", [{"num_people": 0}, {"num_days": 0}, {"frames": 0}])
def test_counts_below_one_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))):
        plan_visits(WORLD, **{"first_pid": 1, "num_people": 1, **wrong})


def test_cameras_are_named_by_their_places() -> None:
    names = camera_names(WORLD)
    assert [name.split()[0] for name in names] == ["1", "2", "3", "4"]
    assert len(set(names)) == 4

"""Places, the ways through them, and who walks there."""

from __future__ import annotations

import numpy as np
import pytest

from omnireid.core.errors import InputError
from omnireid.synthetic.places.place import CELL, PLACE_KINDS, Place, make_place
from omnireid.synthetic.places.surfaces import SURFACES
from omnireid.synthetic.places.walks import STEP_S, plan_walks


@pytest.fixture(scope="module")
def hall() -> Place:
    return make_place(np.random.default_rng(5), "hall")


@pytest.mark.parametrize("name", sorted(SURFACES))
def test_a_surface_is_a_picture_and_follows_from_its_generator(name: str) -> None:
    first, again, other = (SURFACES[name](np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert first.dtype == np.uint8
    assert first.ndim == 3
    assert first.shape[2] in (3, 4)
    assert np.array_equal(first, again)
    assert name == "lamp" or first.shape != other.shape or not np.array_equal(first, other)


@pytest.mark.parametrize("kind", PLACE_KINDS)
def test_every_kind_of_place_can_be_walked_through(kind: str) -> None:
    place = make_place(np.random.default_rng(8), kind)
    assert place.mesh.textures.max() < len(place.bank)
    assert np.isfinite(place.mesh.vertices).all()
    assert len(place.ways) >= 10
    for way in place.ways[::7]:
        steps = np.hypot(*np.diff(way, axis=0).T)
        assert steps.max() <= CELL * np.sqrt(2) + 1e-9
        # Corners are cut, so the whole width of a person need not be free, but nobody walks through a wall.
        assert place.is_free(way, 0.0).mean() > 0.97


def test_the_ground_looks_up_and_walls_look_inwards(hall: Place) -> None:
    corners = hall.mesh.vertices[hall.mesh.faces].astype(np.float64)
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    floor = np.all(np.abs(corners[:, :, 2]) < 1e-6, axis=1)
    assert floor.any()
    assert (normals[floor, 2] > 0).all()
    length = hall.ground.size[0]
    walls = {0.0: 1.0, length: -1.0}
    for x, inwards in walls.items():
        wall = np.all(np.abs(corners[:, :, 0] - x) < 1e-4, axis=1)
        assert wall.any()
        assert (normals[wall, 0] * inwards > 0).all()


def test_nobody_stands_in_a_footprint(hall: Place) -> None:
    assert hall.footprints
    middles = np.array([footprint.middle for footprint in hall.footprints])
    assert not hall.is_free(middles).any()


def test_walks_follow_from_the_seed(hall: Place) -> None:
    first, again, other = (plan_walks(seed, [hall], 6, 8.0) for seed in (1, 1, 2))
    assert np.array_equal(first.points, again.points)
    assert np.array_equal(first.places, again.places)
    assert not np.array_equal(first.points, other.points)


def test_people_walk_at_their_pace_around_what_stands_there(hall: Place) -> None:
    walks = plan_walks(4, [hall], 12, 40.0)
    there = walks.places == 0
    assert there.any(axis=0).sum() >= 8, "nearly everybody comes within the time"
    assert hall.is_free(walks.points[there], 0.0).all()
    assert walks.speeds.max() <= 2.2 + 1e-6
    moving = walks.speeds[there & (walks.speeds > 0.3)]
    assert 0.9 < np.median(moving) < 1.7
    # The way covered is what the phases say, and speeds are what the points say.
    both = there[1:] & there[:-1]
    covered = np.hypot(*(walks.points[1:] - walks.points[:-1])[both].T)
    assert np.allclose(covered, walks.speeds[1:][both] * STEP_S)
    # A step more than once a while sideways is no walk: heading and motion agree where people walk.
    step = (walks.points[1:] - walks.points[:-1])[both]
    ahead = np.column_stack([np.cos(walks.headings[1:][both]), np.sin(walks.headings[1:][both])])
    fast = walks.speeds[1:][both] > 0.8
    agreement = (step * ahead).sum(axis=1)[fast] / np.hypot(*step[fast].T)
    assert np.median(agreement) > 0.95


def test_people_of_a_group_stay_together_and_strangers_apart(hall: Place) -> None:
    walks = plan_walks(4, [hall], 14, 40.0)
    there = walks.places == 0
    sizes = np.bincount(walks.groups)
    assert sizes.max() >= 2
    group = np.flatnonzero(walks.groups == int(np.argmax(sizes)))[:2]
    together = there[:, group].all(axis=1)
    gap = np.hypot(*(walks.points[together, group[0]] - walks.points[together, group[1]]).T)
    assert np.median(gap) < 1.5
    apart = []
    for step in range(0, len(there), 5):
        points = walks.points[step, there[step]]
        gaps = np.hypot(*(points[:, None] - points[None]).transpose(2, 0, 1)) + 9 * np.eye(len(points))
        apart += gaps.min(axis=1).tolist() if len(points) > 1 else []
    assert np.percentile(apart, 5) > 0.3


def test_a_moment_lies_between_two_steps(hall: Place) -> None:
    walks = plan_walks(4, [hall], 6, 20.0)
    step, person = np.argwhere((walks.places[:-1] == 0) & (walks.places[1:] == 0))[40]
    between = walks.at(int(person), (step + 0.25) * STEP_S)
    wanted = 0.75 * walks.points[step, person] + 0.25 * walks.points[step + 1, person]
    assert np.allclose(between.point, wanted)
    assert walks.at(int(person), 1e6).phase == walks.phases[-1, person]


def test_walks_need_people_and_ways(hall: Place) -> None:
    with pytest.raises(InputError, match="num_people"):
        plan_walks(1, [hall], 0, 1.0)

"""Floors under cameras, each against projections made the other way round, and the site's file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from omnireid.core.errors import ConfigError, InputError, UnknownNameError
from omnireid.synthetic.optics.camera import Pinhole
from omnireid.video.floors import floor_maps, ways
from omnireid.video.ground import Ground
from omnireid.video.linking import Identity, Tracklet
from omnireid.video.live import InView, View
from omnireid.video.live_map import on_floors
from omnireid.video.meeting import Meeting, meeting_evidence, trail
from omnireid.video.plan import SitePlan, read_plan
from omnireid.video.site import Site

CAMERA = Pinhole.look_at(
    np.array([2.0, -6.0, 3.5]), np.array([3.0, 4.0, 0.5]), field_of_view=1.2, width=640, height=360,
    roll=0.03, distortion=(-0.2, 0.02),
)  # fmt: skip
OTHER = Pinhole.look_at(
    np.array([9.0, 8.0, 4.5]), np.array([3.0, 3.0, 0.5]), field_of_view=1.0, width=640, height=360
)
FLOOR = np.random.default_rng(0).uniform((0, 0), (6, 8), (50, 2))


def record(camera: Pinhole) -> dict[str, object]:
    return {
        "place": 0,
        "position": camera.position.tolist(),
        "rotation": camera.rotation.tolist(),
        "focal": list(camera.focal),
        "centre": list(camera.centre),
        "distortion": list(camera.distortion),
        "width": camera.width,
        "height": camera.height,
    }


def feet(camera: Pinhole, floor: np.ndarray) -> np.ndarray:
    return camera.project(np.column_stack([floor, np.zeros(len(floor))]))[0]


def test_a_calibrated_camera_gives_back_the_floor_through_its_lens() -> None:
    ground = Ground.from_calibration(record(CAMERA))
    assert np.allclose(ground.at(feet(CAMERA, FLOOR)), FLOOR, atol=1e-4)
    assert np.isnan(ground.at([(320.0, 2.0)])).all()  # the sky


def test_four_points_give_the_floor_and_more_points_more_exactly() -> None:
    corners = np.array([[0.0, 0], [6, 0], [6, 8], [0, 8]])
    ground = Ground.from_points(np.column_stack([feet(OTHER, corners), corners]).tolist())
    assert np.allclose(ground.at(feet(OTHER, FLOOR)), FLOOR, atol=1e-6)
    noisy = feet(OTHER, FLOOR) + np.random.default_rng(1).normal(0, 1, FLOOR.shape)
    wrong = [
        np.abs(
            Ground.from_points(np.column_stack([noisy, FLOOR])[:n].tolist()).at(feet(OTHER, FLOOR)) - FLOOR
        )
        for n in (4, 50)
    ]
    assert wrong[1].mean() < wrong[0].mean()


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ([[0, 0, 0, 0]] * 3, "four or more points"),
        ([[0, 0, 0, 0], [1, 1, 1, 1], [2, 2, 2, 2], [3, 3, 3, 3]], "do not fix a floor"),
    ],
)
def test_points_that_fix_no_floor_are_refused(points: list[list[float]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Ground.from_points(points)


def boxes_along(camera: Pinhole, way: np.ndarray, *, error: float = 0.02, seed: int = 0) -> np.ndarray:
    """Boxes 1.7 m high along a way, each edge wrong by a share of the height."""
    rng = np.random.default_rng(seed)
    heads = camera.project(np.column_stack([way, np.full(len(way), 1.7)]))[0]
    low = feet(camera, way)
    tall = low[:, 1] - heads[:, 1]
    boxes = np.column_stack([low[:, 0] - 0.2 * tall, heads[:, 1], low[:, 0] + 0.2 * tall, low[:, 1]])
    return (boxes + rng.normal(0, error, boxes.shape) * tall[:, None]).astype(np.float32)


def walk(camera: Pinhole, way: np.ndarray, seconds: np.ndarray, *, error: float = 0.02, seed: int = 0):  # type: ignore[no-untyped-def]
    """A trail of such boxes."""
    ground = Ground.from_calibration(record(camera), "yard")
    boxes = list(boxes_along(camera, way, error=error, seed=seed))
    return trail(ground, seconds.tolist(), boxes, (camera.height, camera.width))


SECONDS = np.arange(0, 8, 0.2)
ACROSS = np.column_stack([np.linspace(1, 5, len(SECONDS)), np.linspace(2, 6, len(SECONDS))])
BACK = ACROSS[::-1].copy()


def test_who_is_at_one_place_in_two_cameras_is_one_person() -> None:
    beside = ACROSS + np.array([1.2, -1.2])
    trails = [
        walk(CAMERA, ACROSS, SECONDS),
        walk(OTHER, ACROSS, SECONDS, seed=1),
        walk(OTHER, BACK, SECONDS, seed=2),
        walk(OTHER, beside, SECONDS, seed=3),
        walk(CAMERA, beside, SECONDS + 100, seed=4),
    ]
    cameras = ["a", "b", "b", "b", "a"]
    evidence = meeting_evidence(trails, cameras)
    assert np.array_equal(evidence, evidence.T)
    assert evidence[0, 1] > 3
    assert evidence[0, 2] < -3  # they cross once
    assert evidence[0, 3] < evidence[0, 1] - 4  # a companion
    assert (evidence[4] == 0).all()  # never at once
    assert evidence[1, 2] == 0  # one camera says nothing of two of its own boxes


def test_floors_that_fit_badly_are_found_out_and_weigh_less() -> None:
    """The second camera's floor is turned out by a metre: the many who match say how badly it fits."""
    ways = [ACROSS + offset for offset in np.random.default_rng(5).uniform(-1.5, 1.5, (12, 1, 2))]
    seconds = [SECONDS + 20 * n for n in range(len(ways))]
    off = np.array([0.9, 0.0])
    trails = [walk(CAMERA, ways[n], seconds[n], seed=n) for n in range(12)]
    shifted = [walk(OTHER, ways[n] + off, seconds[n], seed=50 + n) for n in range(12)]
    cameras = ["a"] * 12 + ["b"] * 12
    learned = meeting_evidence(trails + shifted, cameras)
    believed = meeting_evidence(trails + shifted, cameras, Meeting(belief=1e9))
    pairs = (np.arange(12), np.arange(12, 24))
    assert learned[pairs].mean() > believed[pairs].mean() + 1


def site(folder: Path, text: str) -> Path:
    (folder / "site.yaml").write_text(text)
    return folder / "site.yaml"


def test_a_site_says_sources_clocks_floors_and_overlaps(tmp_path: Path) -> None:
    (tmp_path / "world.json").write_text(json.dumps({"cameras": {"a": record(CAMERA)}}))
    plan = read_plan(
        site(
            tmp_path,
            """
calibration: world.json
cameras:
  a: {source: a.mp4}
  b: {source: "rtsp://b", clock: 2.5, floor: "0", ground: [[0,0,0,0],[9,0,1,0],[9,9,1,1],[0,9,0,1]]}
  c: {}
  d: {source: "0"}
overlap: [[c, d]]
""",
        )
    )
    assert plan.sources == (("a", str(tmp_path / "a.mp4")), ("b", "rtsp://b"), ("d", "0"))
    assert plan.overlap("a", "b")  # one floor
    assert plan.overlap("d", "c")
    assert not plan.overlap("a", "d")
    assert plan.read_from([("c", "c.mp4"), ("a", "new.mp4")]) == [
        ("b", "rtsp://b", 2.5), ("d", "0", 0.0), ("c", "c.mp4", 0.0), ("a", "new.mp4", 0.0),
    ]  # fmt: skip
    with pytest.raises(InputError, match="camera 'c' of the site has no source"):
        plan.read_from([])
    assert SitePlan().read_from([("x", "y")]) == [("x", "y", 0.0)]


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("cameras: {a: {sauce: a.mp4}}", ConfigError, "cameras.a.sauce"),
        ("cameras: [", ConfigError, "neither YAML nor JSON"),
        ("cameras: {a: {}}\noverlap: [[a, hal]]", UnknownNameError, "unknown camera"),
        ("calibration: absent.json", InputError, "absent.json: cannot be read"),
        ("calibration: site.yaml", InputError, "expected cameras, by name"),
        ("cameras: {a: {ground: [[.nan, 1, 1, 1]]}}", ConfigError, "cameras.a.ground.0.0"),
        ("cameras: {a: {clock: .inf}}", ConfigError, "cameras.a.clock"),
        ("cameras: {a: {ground: [[1, 1, 1, 1]]}}", InputError, "camera a: ground: expected four"),
    ],
)
def test_a_site_that_cannot_be_used_is_named(
    tmp_path: Path, text: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        read_plan(site(tmp_path, text))


def test_a_map_shows_one_way_for_one_person_whom_two_cameras_see() -> None:
    trails = (walk(CAMERA, ACROSS, SECONDS), walk(OTHER, ACROSS, SECONDS + 0.1, seed=1), None)
    look = np.ones(2, np.float32)
    tracklets = tuple(Tracklet(name, 1, 0.0, 8.0, look, 40) for name in ("a", "b", "c"))
    site = Site((), tracklets, (Identity(7, (0, 1), 0.9), Identity(8, (2,), 1.0)), trails)
    (way,) = ways(site, site.identities[0], "yard")
    truth = np.column_stack(
        [np.interp(way.moments * 0.5 + 0.25, SECONDS, ACROSS[:, axis]) for axis in (0, 1)]
    )
    assert np.abs(way.points - truth).max() < 0.4
    (drawn,) = floor_maps(site, 10, 60)
    assert (drawn["name"], drawn["cameras"]) == ("yard", "a, b")
    assert [way["person"] for way in drawn["ways"]] == [7]
    xs, ys = np.array([point.split(",") for point in drawn["ways"][0]["line"].split()], float).T
    assert (np.diff(xs) > 0).all()
    assert (np.diff(ys) < 0).all()  # up the page is up the floor's second axis
    assert ways(site, site.identities[1], "yard") == []


def test_what_a_camera_sees_of_the_floor_lies_in_its_picture() -> None:
    ground = Ground.from_calibration(record(CAMERA))
    corners = ground.footprint((360, 640))
    pixels = CAMERA.project(np.column_stack([corners, np.zeros(len(corners))]))[0]
    assert (pixels > -1).all()
    assert (pixels < [641, 361]).all()
    # Its near corners are those of the picture, its far end where a pixel is a decimetre.
    assert np.allclose(pixels[[0, -1]], [[0, 360], [640, 360]], atol=0.5)
    step = np.hypot(*(ground.at(pixels - [0, 1]) - corners).T)
    assert (step <= 0.1 + 1e-6).all()
    assert step.max() > 0.05
    # A camera that looks up sees none.
    sky = Pinhole.look_at(
        np.array([0.0, 0, 3]), np.array([3.0, 0, 9]), field_of_view=0.8, width=64, height=36
    )
    assert len(Ground.from_calibration(record(sky)).footprint((36, 64))) == 0


def test_somebody_whom_two_cameras_see_is_one_point_on_the_live_map() -> None:
    cameras = {"a": CAMERA, "b": OTHER}
    plan = SitePlan(
        grounds={name: Ground.from_calibration(record(camera), "yard") for name, camera in cameras.items()}
    )
    views = {}
    for name, camera in cameras.items():
        boxes = boxes_along(camera, ACROSS)
        lately = tuple(zip((1e9 + SECONDS).tolist(), boxes, strict=True))
        somebody = InView(f"walk-{name}", boxes[-1], lately=lately)
        views[name] = View(1, 1e9 + 8, np.zeros((360, 640, 3), np.uint8), (somebody,))
    views["c"] = views["b"]  # without a ground
    (one,) = on_floors(views, plan, {"walk-a": "p1", "walk-b": "p1"})
    assert (one.floor, [name for name, _ in one.seen]) == ("yard", ["a", "b"])
    assert np.abs(one.way[-1] - ACROSS[-1]).max() < 0.4
    assert abs(one.time - (1e9 + SECONDS[-1])) <= 0.5
    # As long as nobody knows that they are one, there are two.
    assert len(on_floors(views, plan, {"walk-a": "p1"})) == 2

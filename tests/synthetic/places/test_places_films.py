"""Films and their truth, each against an oracle of its own."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from omnireid.core.errors import DatasetError, InputError
from omnireid.synthetic.mesh import Mesh
from omnireid.synthetic.optics.camera import Pinhole
from omnireid.synthetic.optics.light import Lighting, Shadows
from omnireid.synthetic.optics.render import render
from omnireid.synthetic.options import FilmOptions
from omnireid.synthetic.places.cast import cast
from omnireid.synthetic.places.films import Frame, film, film_camera, film_network, render_films
from omnireid.synthetic.places.solids import Builder
from omnireid.synthetic.places.stage import box_of, draw_people, seen_share

av = pytest.importorskip("av", reason="films need PyAV")

SHORT = FilmOptions(seed=1, num_cameras=2, num_people=14, minutes=2 / 60, fps=3.0, width=256, height=144)
LIGHT = Lighting((0.3, 0.2, 1.0), (0.8, 0.8, 0.8), (0.4, 0.4, 0.4), (0.2, 0.2, 0.2))


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("films") / "two"
    assert render_films(root, SHORT, workers=1) == ("c1/film.mp4", "c2/film.mp4")
    return root


@pytest.fixture(scope="module")
def frames() -> list[list[Frame]]:
    return [list(film(SHORT, camid)) for camid in range(2)]


def truth(root: Path, name: str) -> np.ndarray:
    return np.loadtxt(root / name / "gt" / "gt.txt", delimiter=",", ndmin=2)


def test_a_film_has_all_frames_and_shows_them(films: Path, frames: list[list[Frame]]) -> None:
    with av.open(str(films / "c1" / "film.mp4")) as container:
        assert container.streams.video[0].average_rate == 3
        decoded = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(decoded) == SHORT.num_frames == 6
    for shown, drawn in zip(decoded, frames[0], strict=True):
        assert shown.shape == (144, 256, 3)
        assert np.abs(shown.astype(int) - drawn.picture.astype(int)).mean() < 12


def test_the_truth_is_in_the_form_of_mot_and_is_what_was_drawn(
    films: Path, frames: list[list[Frame]]
) -> None:
    rows = truth(films, "c1")
    assert rows.shape[1] == 11
    wanted = [
        (number, a.pid, a.box.left + 1, a.box.top + 1, a.box.width, a.box.height, 1, 1, a.share, *a.point)
        for number, frame in enumerate(frames[0], start=1)
        for a in frame.appearances
    ]
    assert len(wanted) > 6
    assert np.allclose(rows, np.array(wanted), atol=0.006)


def test_a_point_on_the_ground_lies_below_the_middle_of_each_cameras_box(films: Path) -> None:
    """From the files alone: OpenCV's own projection of the place on the ground meets every camera's box."""
    import cv2

    calibration = json.loads((films / "world.json").read_text())["cameras"]
    for name in ("c1", "c2"):
        camera = calibration[name]
        rotation, position = np.array(camera["rotation"]), np.array(camera["position"])
        matrix = np.array(
            [
                [camera["focal"][0], 0, camera["centre"][0]],
                [0, camera["focal"][1], camera["centre"][1]],
                [0, 0, 1],
            ]
        )
        lens = np.array([*camera["distortion"], 0.0, 0.0])
        rows = truth(films, name)
        assert len(rows)
        ground = np.column_stack([rows[:, 9:11], np.zeros(len(rows))])
        pixels, _ = cv2.projectPoints(ground, cv2.Rodrigues(rotation)[0], -rotation @ position, matrix, lens)
        left, top, width, height = (rows[:, 2:6] - [1, 1, 0, 0]).T
        x, y = pixels[:, 0].T
        # The pelvis is above the point; a foot may be a step before it or behind.
        assert (np.abs(x - left - width / 2) < 0.35 * height).all()
        assert (np.abs(y - top - height) < 0.2 * height).all()


def test_the_site_file_is_what_tracking_reads(films: Path) -> None:
    """Its ground planes turn the pixels of OpenCV's projection above back into the truth's places."""
    from omnireid.video.plan import read_plan

    plan = read_plan(films / "site.yaml")
    assert [source for _, source in plan.sources] == [str(films / n / "film.mp4") for n in ("c1", "c2")]
    assert plan.overlap("c1", "c2")
    for camid, name in enumerate(("c1", "c2")):
        places = truth(films, name)[:, 9:11]
        pinhole = film_network(SHORT).cameras[camid].pinhole
        pixels, _ = pinhole.project(np.column_stack([places, np.zeros(len(places))]))
        assert np.allclose(plan.grounds[name].at(pixels), places, atol=1e-3)


def test_people_are_the_same_in_all_cameras_and_every_frame(frames: list[list[Frame]]) -> None:
    for number in range(SHORT.num_frames):
        places = {}
        for camera in frames:
            for appearance in camera[number].appearances:
                assert places.setdefault(appearance.pid, appearance.point) == appearance.point


def test_same_seed_same_films_with_any_number_of_processes(films: Path, tmp_path: Path) -> None:
    render_films(tmp_path, SHORT, workers=2)
    for name in ("c1/film.mp4", "c2/film.mp4", "c1/gt/gt.txt", "c2/gt/gt.txt", "world.json", "card.json"):
        assert (tmp_path / name).read_bytes() == (films / name).read_bytes(), name


def test_begun_films_are_completed_and_whole_ones_left_alone(films: Path, tmp_path: Path) -> None:
    render_films(tmp_path, SHORT, workers=1)
    (tmp_path / "card.json").rename(tmp_path / ".rendering.json")
    (tmp_path / "c2" / "seqinfo.ini").unlink()
    (tmp_path / "c2" / "film.mp4").write_bytes(b"half")
    stamp = (tmp_path / "c1" / "film.mp4").stat().st_mtime_ns
    render_films(tmp_path, SHORT, workers=1)
    assert (tmp_path / "c2" / "film.mp4").read_bytes() == (films / "c2" / "film.mp4").read_bytes()
    assert (tmp_path / "c1" / "film.mp4").stat().st_mtime_ns == stamp
    with pytest.raises(DatasetError, match="num_people 14, not 15"):
        render_films(tmp_path, FilmOptions(**{**SHORT.__dict__, "num_people": 15}), workers=1)


def test_a_person_behind_a_pillar_has_the_share_that_ray_casting_says() -> None:
    """Every ray to the person's triangles is cast by hand against the pillar: an axis-parallel box."""
    camera = Pinhole.look_at(
        np.array([0.0, -6.0, 1.6]), np.array([0.0, 0.0, 0.9]), field_of_view=0.7, width=160, height=120
    )
    builder = Builder(np.random.default_rng(0))
    builder.ground(-5, -5, 5, 5, builder.texture("concrete"), 2.0)
    builder.box((0.12, -2.0), (0.3, 0.3, 2.6), builder.texture("bricks"))
    mesh, bank = builder.finish()
    behind = render(mesh, bank, camera, LIGHT, shadows=Shadows(), samples=1)
    actor = cast(1, "person", 1, 0)
    from omnireid.synthetic.people import standing

    body = actor.stand(standing(), (0.0, 0.0), -np.pi / 2, 1)
    picture = draw_people(behind, camera, LIGHT, Shadows(), [(actor, body)], samples=1)
    box = box_of(camera, actor, body)
    assert box is not None
    share = seen_share(picture, camera, actor, body, box)

    alone = render(body, actor.bank, camera, LIGHT, shadows=Shadows(), samples=1)
    rows, columns = np.nonzero(alone.owners == 1)
    seen = 0
    for row, column in zip(rows, columns, strict=True):
        point = camera.points(np.array([[column + 0.5, row + 0.5]]), np.array([alone.depth[row, column]]))[0]
        seen += not _hits_box(
            camera.position, point, np.array([-0.03, -2.15, 0.0]), np.array([0.27, -1.85, 2.6])
        )
    expected = seen / len(rows)
    assert 0.15 < expected < 0.85
    assert abs(share - expected) < 0.01


def _hits_box(start: np.ndarray, end: np.ndarray, low: np.ndarray, high: np.ndarray) -> bool:
    """Whether the line from start to end meets the box: the slabs' method."""
    way = end - start
    entries, exits = [], []
    for axis in range(3):
        if abs(way[axis]) < 1e-12:
            if not low[axis] <= start[axis] <= high[axis]:
                return False
            continue
        near, far = sorted(((low[axis] - start[axis]) / way[axis], (high[axis] - start[axis]) / way[axis]))
        entries.append(near)
        exits.append(far)
    return max(*entries, 0.0) <= min(*exits, 1.0)


def test_a_person_half_beyond_the_picture_is_half_seen() -> None:
    camera = Pinhole.look_at(
        np.array([0.0, -6.0, 1.2]), np.array([0.0, 0.0, 1.0]), field_of_view=0.7, width=160, height=120
    )
    actor = cast(1, "person", 1, 0)
    from omnireid.synthetic.people import standing

    empty = render(_ground(), actor.bank, camera, LIGHT, shadows=Shadows(), samples=1)
    shares = []
    for x in (0.0, 2.19):  # the right edge of the picture is at 6 tan(0.35) = 2.19 m
        body = actor.stand(standing(), (x, 0.0), -np.pi / 2, 1)
        box = box_of(camera, actor, body)
        assert box is not None
        shares.append(
            seen_share(
                draw_people(empty, camera, LIGHT, Shadows(), [(actor, body)]), camera, actor, body, box
            )
        )
    assert shares[0] == 1.0
    assert 0.35 < shares[1] < 0.65


def _ground() -> Mesh:
    builder = Builder(np.random.default_rng(0))
    builder.ground(-9, -9, 9, 9, 0, 2.0)
    return Mesh.join(builder.meshes)


def test_cameras_of_one_place_or_of_several() -> None:
    one = film_network(SHORT)
    assert len(one.places) == 1
    several = film_network(FilmOptions(seed=6, num_cameras=2, num_places=2))
    assert sorted(camera.place for camera in several.cameras) == [0, 1]


def test_bad_options_and_cameras_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="camid: 0 to 1, got 2"):
        next(film(SHORT, 2))
    for changed, message in (
        ({"num_places": 3}, "num_places: 1 to 2"),
        ({"width": 255}, "even"),
        ({"minutes": 0.0}, "minutes"),
        ({"fps": 0.001}, "not one frame"),
        ({"num_people": 0}, "num_people"),
        ({"num_cameras": 10}, "num_cameras"),
        ({"overlap": True, "num_places": 2}, "overlap: at least two cameras in each place"),
    ):
        with pytest.raises(InputError, match=message):
            FilmOptions(**{**SHORT.__dict__, **changed})
    with pytest.raises(InputError, match="workers"):
        render_films(tmp_path / "new", SHORT, workers=0)


def test_an_interrupted_process_ends_at_its_next_frame_and_leaves_no_whole_camera(tmp_path: Path) -> None:
    frames = film_camera(str(tmp_path), SHORT, 0, "c1")
    assert next(frames) == 1
    frames.close()  # type: ignore[attr-defined]
    assert not (tmp_path / "c1" / "seqinfo.ini").exists()


@pytest.mark.parametrize(("seed", "places"), [(6, 1), (7, 2)])
def test_overlapping_cameras_of_a_place_see_common_ground(seed: int, places: int) -> None:
    """By each camera's own projection: a third of the spots that one sees lie in the other's picture too."""
    network = film_network(FilmOptions(seed=seed, num_cameras=4, num_places=places, overlap=True))
    for place in range(places):
        first, *others = (camera for camera in network.cameras if camera.place == place)
        assert others
        for other in others:
            fewer, more = sorted((first, other), key=lambda camera: len(camera.spots.points))
            feet = np.column_stack([fewer.spots.points, np.zeros(len(fewer.spots.points))])
            pixels, _ = more.pinhole.project(feet)
            size = (more.pinhole.width, more.pinhole.height)
            with np.errstate(invalid="ignore"):
                inside = ((pixels > 0) & (pixels < size)).all(axis=1)
            assert inside.mean() >= 0.3

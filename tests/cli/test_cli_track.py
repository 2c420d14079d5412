"""`omnireid track` and `track-eval`: from videos to identities, and every way in which that goes wrong."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from command_line import Run
from omnireid.cli.track import _named
from omnireid.core.errors import InputError
from omnireid.data.datasets import read_dataset
from omnireid.experiment.calibration import calibrate
from omnireid.gallery.gallery import Gallery
from omnireid.gallery.items import Filter
from omnireid.video.mot import read_mot
from omnireid.video.site import Following
from toy_people import stripes_onnx, write_toy_people
from video.walks import street, write_video

pytest.importorskip("av")
pytest.importorskip("trackeval")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that sees four stripes of colour, with its calibration beside it."""
    folder = tmp_path_factory.mktemp("model")
    people = write_toy_people(folder / "people", num_train=1, num_test=60)
    file = stripes_onnx(folder / "stripes.onnx", 1.0)
    calibrate(file, read_dataset("market1501", people, check_counts=False))
    return file


class Cameras:
    """Two cameras that two people walk past, one after the other, and the boxes of a perfect detector."""

    def __init__(self, folder: Path) -> None:
        self.videos, self.boxes, self.truth = [], [], folder / "truth"
        self.truth.mkdir()
        for name, order in (("yard", (1, 2)), ("hall", (2, 1))):
            pictures, lines = [], []
            for n in range(60):
                # The second comes three seconds after the first.
                people = [
                    (20 + 10 * (n - 30 * k), who) for k, who in enumerate(order) if 0 <= n - 30 * k < 30
                ]
                pictures.append(street(people))
                for x, who in people:
                    left, right = max(0, x - 16), min(320, x + 16)
                    if right - left > 20:
                        lines.append(f"{n + 1},{who},{left},80,{right - left},80,1\n")
            self.videos.append(write_video(folder / f"{name}.mp4", pictures))
            (self.truth / f"{name}.txt").write_text("".join(lines))
            boxes = folder / f"{name}.boxes.txt"
            boxes.write_text("".join(lines))
            self.boxes.append(boxes)


@pytest.fixture(scope="module")
def cameras(tmp_path_factory: pytest.TempPathFactory) -> Cameras:
    return Cameras(tmp_path_factory.mktemp("cameras"))


def words(cameras: Cameras) -> list[object]:
    return [*cameras.videos, *(word for boxes in cameras.boxes for word in ("--detections", boxes))]


def test_from_videos_to_identities_and_a_gallery(
    omnireid: Run, cameras: Cameras, model: Path, tmp_path: Path
) -> None:
    out, gallery = tmp_path / "site", tmp_path / "gallery"
    done = omnireid(
        "track", *words(cameras), "-m", model, "-o", out, "--overlapping", "--gallery", gallery,
        "--started", "2026-05-01T09:00:00+00:00", "--annotate",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert "yard: 60 frames, 2 tracks" in done.out
    assert "2 people in 4 tracklets" in done.out
    record = json.loads((out / "identities.json").read_text())
    cameras_of = [[t["camera"] for t in person["tracklets"]] for person in record["identities"]]
    assert [sorted(names) for names in cameras_of] == [["hall", "yard"]] * 2
    for person in record["identities"]:
        for tracklet in person["tracklets"]:
            assert tracklet["crops"]
            assert all((out / crop["file"]).is_file() for crop in tracklet["crops"])
    page = (out / "report.html").read_text()
    assert "2 people before 2 cameras" in page
    assert page.count("data:image/jpeg;base64,") == 4
    assert 'src="side_by_side.mp4"' in page
    assert "http" not in page.replace("http-equiv", "")
    table = pq.read_table(out / "tracks.parquet")
    assert set(table.column("camera").to_pylist()) == {"yard", "hall"}
    assert table.num_rows == sum(len(read_mot(file).frames) for file in cameras.boxes)

    judged = omnireid("track-eval", cameras.truth, out / "identities", "--json")
    assert judged.code == 0, judged.err
    assert json.loads(judged.out)["all cameras"]["idf1"] == pytest.approx(1.0)

    with Gallery.open(str(gallery)) as opened:
        items = opened.items(Filter())
        assert len(items) == 4
        assert {item.camera for item in items} == {"yard", "hall"}
        assert all(item.end_time - item.time > 2 and 0 < item.quality <= 1 for item in items)
        assert min(item.time for item in items) == pytest.approx(1777626000.0, abs=1)
    again = omnireid(
        "track", *words(cameras), "-m", model, "-o", out, "--overlapping", "--gallery", gallery,
        "--started", "2026-05-01T09:00:00+00:00",
    )  # fmt: skip
    assert "0 tracklets enrolled" in again.out  # nothing is counted twice
    assert list(out.rglob("*.mp4")) == []  # films of another run would show others' numbers
    nobody = omnireid(
        "track", *words(cameras), "-m", model, "-o", out, "--overlapping", "--resume", "--annotate",
        "--blur", "9", "--started", "2026-05-01T09:00:00+00:00",
    )  # fmt: skip
    assert nobody.code == 2
    assert "there is no person 9, only 1 to 2" in nobody.err
    assert "--annotate" in omnireid("track", cameras.videos[0], "-o", out, "--blur", "2").err


def test_one_person_is_not_in_two_cameras_at_once(
    omnireid: Run, cameras: Cameras, model: Path, tmp_path: Path
) -> None:
    # While one walks through the first camera, the other is in the second, and then they change places.
    done = omnireid("track", *words(cameras), "-m", model, "-o", tmp_path / "site")
    assert done.code == 0, done.err
    for person in json.loads((tmp_path / "site" / "identities.json").read_text())["identities"]:
        spans = sorted((t["begin"], t["end"]) for t in person["tracklets"])
        assert all(a[1] <= b[0] for a, b in pairwise(spans))


def test_the_detector_that_ships_runs_where_no_boxes_are_given(
    omnireid: Run, cameras: Cameras, model: Path, tmp_path: Path
) -> None:
    done = omnireid("track", f"door={cameras.videos[0]}", "-m", model, "-o", tmp_path, "--fps", 2)
    assert done.code == 0, done.err
    assert "door: 12 frames" in done.out


@pytest.mark.parametrize(
    ("sources", "more", "message"),
    [
        (["absent.mp4"], [], "absent.mp4: not found"),
        (["yard={0}", "yard={0}"], [], "two cameras are named 'yard'"),
        (
            ["{0}"],
            ["--detections", "{1}", "--detections", "{1}"],
            "expected one file for each of 1 sources, got 2",
        ),
        (["{0}"], ["--detections", "absent.txt"], "absent.txt"),
        (["a b={0}", "a_b={0}"], [], "would both write a_b.txt"),
        (["{0}"], ["--gallery", "{1}"], "boxes.txt"),
        (["{0}"], ["--started", "noon"], "--started 'noon': expected a date or a time"),
        (["{1}"], [], "cannot be read as a video"),
        (["{0}"], ["--head", "yolox"], "--detector and --head belong together"),
    ],
)
def test_what_cannot_be_tracked_is_named(
    omnireid: Run,
    cameras: Cameras,
    model: Path,
    tmp_path: Path,
    sources: list[str],
    more: list[str],
    message: str,
) -> None:
    given = [text.format(cameras.videos[0], cameras.boxes[0]) for text in (*sources, *more)]
    done = omnireid("track", *given, "-m", model, "-o", tmp_path / "out")
    assert done.code == 2
    assert message in done.err
    assert "Traceback" not in done.err


def test_a_camera_that_cannot_be_read_does_not_stop_the_others(
    omnireid: Run, cameras: Cameras, model: Path, tmp_path: Path
) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    boxes = ["--detections", cameras.boxes[0], "--detections", cameras.boxes[0]]
    done = omnireid(
        "track", cameras.videos[0], tmp_path / "broken.mp4", *boxes, "-m", model, "-o", tmp_path / "out"
    )
    assert done.code == 0, done.err
    assert "broken: 0 frames, 0 tracks, stopped:" in done.out
    assert "yard: 60 frames, 2 tracks" in done.out


def test_no_camera_is_said_before_a_model_is_looked_for(omnireid: Run, tmp_path: Path) -> None:
    done = omnireid("track", "-m", tmp_path / "absent", "-o", tmp_path / "out")
    assert (done.code, done.err) == (2, "error: no camera: expected at least one video\n")


def test_without_options_the_command_follows_as_python_does(
    omnireid: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Following] = []

    def track(*_: object, following: Following, **__: object) -> None:
        asked.append(following)
        raise InputError("seen enough")

    monkeypatch.setattr("omnireid.video.track.track", track)
    assert omnireid("track", "yard.mp4", "-o", tmp_path / "out").err == "error: seen enough\n"
    assert asked == [Following()]


def test_a_stream_that_names_itself_does_so_without_its_password() -> None:
    for address, name in (
        ("rtsp://u:secret@yard.local", "yard"),
        ("rtsp://u:secret@yard.local/door/", "door"),
        ("rtsp://yard.local/door?password=secret", "door"),
    ):
        assert _named(address) == (name, address)
    assert _named("yard=rtsp://u:secret@host/a") == ("yard", "rtsp://u:secret@host/a")


def test_without_a_calibration_the_way_to_one_is_said(
    omnireid: Run, cameras: Cameras, tmp_path: Path
) -> None:
    bare = stripes_onnx(tmp_path / "bare.onnx", 1.0)
    done = omnireid("track", cameras.videos[0], "-m", bare, "-o", tmp_path / "out")
    assert done.code == 2
    assert "has no calibration" in done.err
    assert "omnireid calibrate" in done.err


def test_nobody_is_no_error(omnireid: Run, cameras: Cameras, model: Path, tmp_path: Path) -> None:
    (tmp_path / "none.txt").write_text("")
    done = omnireid(
        "track", cameras.videos[0], "--detections", tmp_path / "none.txt", "-m", model, "-o", tmp_path
    )
    assert done.code == 0, done.err
    assert "0 people in 0 tracklets" in done.out


def test_a_folder_that_cannot_be_made_is_known_first_and_old_crops_go(
    omnireid: Run, cameras: Cameras, model: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    done = omnireid("track", cameras.videos[0], "-m", model, "-o", tmp_path / "file" / "site")
    assert done.code == 2
    assert "Not a directory" in done.err
    assert "Following" not in done.err
    old = tmp_path / "site" / "crops" / "yard"
    old.mkdir(parents=True)
    (old / "00099_1.jpg").touch()
    (old / "mine.jpg").touch()
    boxes = ["--detections", cameras.boxes[0]]
    assert omnireid("track", cameras.videos[0], *boxes, "-m", model, "-o", tmp_path / "site").code == 0
    kept = {path.name for path in old.iterdir()}
    assert "00099_1.jpg" not in kept  # pictures of people of another run
    assert {"mine.jpg", "00001_1.jpg"} <= kept


def test_a_camera_without_truth_counts_among_all(omnireid: Run, cameras: Cameras, tmp_path: Path) -> None:
    truth, result = tmp_path / "films", tmp_path / "result"
    result.mkdir()
    for name, text in (("yard", (cameras.truth / "yard.txt").read_text()), ("shed", "")):
        (truth / name / "gt").mkdir(parents=True)
        (truth / name / "gt" / "gt.txt").write_text(text)
        (result / f"{name}.txt").write_text((cameras.truth / "yard.txt").read_text())
    done = omnireid("track-eval", truth, result, "--json")
    assert done.code == 0, done.err
    assert "shed.txt: nobody is in its truth" in done.err
    scores = json.loads(done.out)
    assert set(scores) == {"yard.txt", "all cameras"}
    assert scores["all cameras"]["false_alarms"] > scores["yard.txt"]["false_alarms"] == 0


def test_files_and_folders_are_not_judged_together(omnireid: Run, cameras: Cameras) -> None:
    done = omnireid("track-eval", cameras.truth, cameras.boxes[0])
    assert done.code == 2
    assert "expected two files, or two folders" in done.err


@pytest.mark.parametrize(
    ("clock", "overlap", "people"),
    # Three seconds later, somebody is in both at once.
    [(100.0, [], 2), (3.0, [["yard", "hall"]], 2), (3.0, [], 3)],
)
def test_a_site_says_when_cameras_began_and_which_see_the_same(
    omnireid: Run,
    cameras: Cameras,
    model: Path,
    tmp_path: Path,
    clock: float,
    overlap: list[list[str]],
    people: int,
) -> None:
    site = {"cameras": {"yard": {"source": str(cameras.videos[0])}, "hall": {"clock": clock}}}
    (tmp_path / "site.json").write_text(json.dumps({**site, "overlap": overlap}))
    boxes = [word for file in cameras.boxes for word in ("--detections", file)]
    done = omnireid(
        "track", f"hall={cameras.videos[1]}", "--site", tmp_path / "site.json", *boxes, "-m", model,
        "-o", tmp_path / "out",
    )  # fmt: skip
    assert done.code == 0, done.err
    record = json.loads((tmp_path / "out" / "identities.json").read_text())
    assert len(record["identities"]) == people
    begins = [t["begin"] for p in record["identities"] for t in p["tracklets"] if t["camera"] == "hall"]
    assert min(begins) == pytest.approx(clock, abs=0.5)

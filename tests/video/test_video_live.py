"""Cameras that never end: recordings at their pace, an RTSP stream that stops and comes back, the gallery."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from omnireid import Embedder, Gallery
from omnireid.core.arrays import UInt8
from omnireid.core.detection import Detections
from omnireid.core.errors import InputError, StorageError
from omnireid.gallery.retention import Retention
from omnireid.video.detecting import detect_all
from omnireid.video.ground import Ground
from omnireid.video.live import Live, LiveCameras
from omnireid.video.live_camera import LiveCamera
from omnireid.video.plan import SitePlan
from omnireid.video.reading import Frame, shown_source
from server.toy_service import ToyBackend, toy_calibration
from video.walks import street, write_video

SYSTEM_PYTHON = "/usr/bin/python3"
RTSP = Path(__file__).with_name("rtsp_server.py")
SOON_S = 60.0


class Stripes:
    """Finds the people of `walks.street`."""

    name = "stripes"

    def detect(self, picture: UInt8) -> Detections:
        top, bottom = len(picture) // 3, 2 * len(picture) // 3
        there = np.abs(picture[top:bottom].astype(int) - 120).mean(axis=(0, 2)) > 25
        edges = np.flatnonzero(np.diff(np.concatenate([[0], there.astype(int), [0]])))
        boxes = [[left, top, right - left, bottom - top] for left, right in edges.reshape(-1, 2)]
        wide = [box for box in boxes if box[2] >= 20]
        return Detections(np.array(wide, float).reshape(-1, 4), np.full(len(wide), 0.9))


def walk(person: int, count: int = 30) -> list[UInt8]:
    """Somebody who comes and goes."""
    return [street([(30 + 240 * n / count, person)] if n < count - 5 else []) for n in range(count)]


def until(condition: Callable[[], bool], what: object = "it did not happen") -> None:
    deadline = time.monotonic() + SOON_S
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    with Gallery.open(str(tmp_path / "gallery"), calibration=toy_calibration()) as opened:
        yield opened


def cameras(gallery: Gallery, *sources: tuple[str, str], **options: float) -> LiveCameras:
    live = Live(**{"fps": 10.0, "early_s": 1.0, "part_s": 1.0, **options})  # type: ignore[arg-type]
    return LiveCameras(sources, Stripes(), Embedder(ToyBackend()), gallery, live)


@pytest.mark.slow
def test_people_are_enrolled_while_they_walk_and_known_when_they_come_again(
    gallery: Gallery, tmp_path: Path
) -> None:
    yard = write_video(tmp_path / "yard.mp4", walk(1, 55) + walk(2, 55))
    with cameras(gallery, ("yard", str(yard))) as live:
        until(lambda: live.states()[0].state == "ended" and not live.waiting)
        view = live.view("yard")
        assert view is not None
        assert (view.picture.shape, view.people) == ((240, 320, 3), ())
    items = list(gallery.items(limit=100))
    assert {item.tracklet for item in items} == {item.tracklet for item in items if item.identity}
    assert len({item.tracklet for item in items}) == 2
    assert len({item.identity for item in items}) == 2
    assert len(items) > 2  # walks of 5 s come in parts
    assert all(item.end_time and item.time and item.has_thumbnail and item.quality > 0 for item in items)
    # In another camera, later.
    hall = write_video(tmp_path / "hall.mp4", walk(1))
    with cameras(gallery, ("hall", str(hall))) as live:
        until(lambda: live.states()[0].state == "ended" and not live.waiting)
    (one,) = {item.identity for item in gallery.items(limit=100) if item.camera == "hall"}
    assert one in {item.identity for item in items}
    # Retention holds for what cameras saw, by camera.
    gallery.set_retention(None, {"yard": 1e-3})
    assert gallery.retention() == Retention(None, {"yard": 1e-3})
    assert gallery.run_retention() == len(items)
    assert {item.camera for item in gallery.items(limit=100)} == {"hall"}


@contextmanager
def rtsp(folder: Path, port: int) -> Iterator[None]:
    process = subprocess.Popen(
        [SYSTEM_PYTHON, str(RTSP), str(port), str(folder)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "listening\n"
        yield
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


@pytest.mark.slow
def test_a_stream_that_dies_is_read_again_when_it_comes_back(gallery: Gallery, tmp_path: Path) -> None:
    pytest.importorskip("av")
    needed = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"
    try:
        subprocess.run([SYSTEM_PYTHON, "-c", needed], check=True, capture_output=True, timeout=60)
    except (OSError, subprocess.SubprocessError):
        pytest.skip("python3-gst-1.0 and gir1.2-gst-rtsp-server-1.0 are not installed: no RTSP server")
    for n, picture in enumerate(walk(1)):
        Image.fromarray(picture).save(tmp_path / f"{n:05d}.jpg", quality=95)
    port = 20_000 + time.monotonic_ns() % 20_000
    address = f"rtsp://guard:secret@127.0.0.1:{port}/yard?key=1"
    with cameras(gallery, ("yard", address)) as live:
        until(lambda: live.states()[0].failure != "", live.states())
        assert (live.states()[0].state, live.view("yard")) == ("connecting", None)
        assert live.states()[0].source == f"rtsp://127.0.0.1:{port}/yard"
        with rtsp(tmp_path, port):
            until(lambda: live.enrolled > 0, live.states())
            assert live.states()[0].state == "live"
        until(lambda: live.states()[0].state == "lost", live.states())
        assert "secret" not in live.states()[0].failure
        # Walks that it saw are not held back until it returns.
        until(lambda: not live._followers[0].tracker.active and not live.waiting)
        frames = live.states()[0].frames
        # Another camera at the same address, with other pictures.
        for path in tmp_path.glob("*.jpg"):
            Image.open(path).resize((480, 360)).save(path, quality=95)
        with rtsp(tmp_path, port):
            until(lambda: (view := live.view("yard")) is not None and view.picture.shape == (360, 480, 3))
            state = live.states()[0]
            assert (state.state, state.failure) == ("live", "")
            assert state.frames > frames
            assert state.reconnections > 0
            enrolled = live.enrolled
            until(lambda: live.enrolled > enrolled, live.states())
    assert all("secret" not in item.source for item in gallery.items(limit=100))


def test_walks_wait_for_a_gallery_that_is_away(
    gallery: Gallery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    yard = write_video(tmp_path / "yard.mp4", walk(1))
    live = cameras(gallery, ("yard", str(yard)))
    add, away = live._linker.add, [True]

    def failing(*given: object) -> object:
        if away[0]:
            raise StorageError("the disk is full")
        return add(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(live._linker, "add", failing)
    with live:
        until(lambda: live.waiting > 0 and live.failure != "", live.states())
        assert "the disk is full" in live.failure
        away[0] = False
        until(lambda: live.states()[0].state == "ended" and not live.waiting)
        assert (live.failure, live.lost) == ("", 0)
    assert len(gallery.items(limit=100)) == live.enrolled > 0


def test_a_gallery_that_is_away_at_the_end_is_asked_again(
    gallery: Gallery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = cameras(gallery, ("yard", str(write_video(tmp_path / "a.mp4", walk(1, 3)))))
    asked: list[object] = []

    def add(*given: object) -> None:
        asked.append(given)
        if len(asked) == 1:
            raise StorageError("another process writes")

    monkeypatch.setattr(live._linker, "add", add)
    live._waiting.extend([object(), object()])  # type: ignore[list-item]
    live._until = time.monotonic() + 5.0
    live._stop.set()
    live._link()
    assert (live.enrolled, live.lost, live.waiting) == (2, 0, 0)


def test_nobody_stays_in_view_of_a_camera_that_ended_and_a_clock_may_be_set_back(
    gallery: Gallery, tmp_path: Path
) -> None:
    live = cameras(gallery, ("yard", str(write_video(tmp_path / "a.mp4", walk(1, 3)))))
    follower = live._followers[0]

    def see(times: Iterable[float]) -> None:
        for number, seconds in enumerate(times, 1):
            picture = street([(30 + 4 * number, 1)])
            live._put(follower.see(Frame(number, seconds, picture), detect_all(Stripes(), [picture])[0]))

    see(1_000 + np.arange(20) / 10)
    assert list(live._going_on()) == ["yard-1000.0-1"]
    waiting = live.waiting
    # An hour back: who was there is somebody else's walk from now on, and nothing is lost.
    see(-2_600 + np.arange(20) / 10)
    assert list(live._going_on()) == ["yard--2600.0-1"]
    assert live.waiting > waiting
    follower.camera._state = replace(follower.camera._state, state="ended")
    live._look()
    # Else this person could be in no other camera, for as long as this one is away.
    assert live._going_on() == {}


def test_where_two_cameras_of_one_floor_see_somebody_reaches_who_decides(
    gallery: Gallery, tmp_path: Path
) -> None:
    """The second camera looks from the other side, and sees other colours."""
    corners = [(0, 0, 0, 0), (320, 0, 8, 0), (320, 240, 8, 6), (0, 240, 0, 6)]
    mirrored = [(320 - x, y, *metres) for x, y, *metres in corners]
    plan = SitePlan(
        grounds={"yard": Ground.from_points(corners, "0"), "hall": Ground.from_points(mirrored, "0")}
    )
    film = str(write_video(tmp_path / "a.mp4", walk(1, 3)))
    sources, live = [("yard", film), ("hall", film)], Live(fps=10.0, early_s=1.0, part_s=1.0)
    followed = LiveCameras(sources, Stripes(), Embedder(ToyBackend()), gallery, live, plan=plan)
    yard, hall = followed._followers
    for number in range(1, 41):
        x = 40.0 + 6 * number
        for follower, place, person in ((yard, x, 1), (hall, 320 - x, 4)):
            frame = Frame(number, 1_000 + number / 10, street([(place, person)]))
            followed._put(follower.see(frame, detect_all(Stripes(), [frame.picture])[0]))
    followed._stop.set()
    followed._link()
    assert (followed.enrolled, followed.lost, followed.failure) == (6, 0, "")
    (one,), (other,) = ([one.walk for one in follower.view.people] for follower in (yard, hall))  # type: ignore[union-attr]
    said = followed._linker._meetings.evidence({one})
    assert said[other] > 5


def test_what_is_no_camera_is_refused_before_anything_starts(gallery: Gallery, tmp_path: Path) -> None:
    there = str(write_video(tmp_path / "a.mp4", walk(1, 3)))
    for sources, words in (
        ([("a", str(tmp_path / "none.mp4"))], "not there"),
        ([("a", there), ("a", there)], "two cameras"),
        ([("a/b", there)], "address"),
        ([], "expected 1 to"),
    ):
        with pytest.raises(InputError, match=words):
            cameras(gallery, *sources)
    with pytest.raises(InputError, match="early_s"):
        Live(early_s=0)


def test_a_camera_that_sends_nothing_is_lost_and_addresses_keep_their_secrets(tmp_path: Path) -> None:
    now = [1_000.0]
    camera = LiveCamera("a", str(write_video(tmp_path / "a.mp4", walk(1, 3))), fps=10, clock=lambda: now[0])
    camera._state = replace(camera._state, state="live", last_frame=999.0)
    assert camera.state.state == "live"
    now[0] = 1_010.0
    assert (camera.state.state, camera.state.since) == ("lost", 999.0)
    assert shown_source("rtsp://u:p@[::1]:554/a?token=1") == "rtsp://[::1]:554/a"
    assert shown_source("http://cam.local/x") == "http://cam.local/x"
    assert shown_source("rtsp://u:p@host:nonsense/a") == "rtsp://host:nonsense/a"
    assert shown_source("rtsp://u:12#p@host/a") == shown_source("rtsp://u:12/p@host/a") == "rtsp://…"
    assert shown_source("yard/1=rtsp://u:p@host/a") == "yard/1=rtsp://host/a"
    assert shown_source("yard.mp4") == "yard.mp4"

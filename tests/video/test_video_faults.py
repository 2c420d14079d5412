"""Runs that are killed, stopped, or meet a full disk: what was seen stays, and nothing is counted twice."""

from __future__ import annotations

import http.server
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from command_line import Run
from omnireid import TrackOptions, track
from omnireid.core.errors import DiskFullError, InputError, StorageError
from omnireid.data.datasets import read_dataset
from omnireid.experiment.calibration import calibrate
from omnireid.gallery.gallery import Gallery
from omnireid.gallery.items import Filter
from omnireid.video.ledger import FILE, Ledger, only_writer, open_ledger
from omnireid.video.mot import write_lines
from omnireid.video.reading import FrameReading, Mark, Video
from omnireid.video.site import Following
from toy_people import stripes_onnx, write_toy_people
from video.walks import street, write_video, write_walk

pytest.importorskip("av")

STARTED = 1_777_626_000.0


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    people = write_toy_people(folder / "people", num_train=1, num_test=60)
    file = stripes_onnx(folder / "stripes.onnx", 1.0)
    calibrate(file, read_dataset("market1501", people, check_counts=False))
    return file


class Walkers:
    """A film of people who pass one after another, and the boxes of a perfect detector."""

    def __init__(self, folder: Path, people: int = 4) -> None:
        self.video = folder / "walk.mkv"
        self.boxes = write_walk(self.video, range(1, people + 1))
        self.people = people


@pytest.fixture(scope="module")
def walkers(tmp_path_factory: pytest.TempPathFactory) -> Walkers:
    return Walkers(tmp_path_factory.mktemp("film"))


def results(out: Path) -> dict[str, object]:
    """Everything that a run found, to be compared."""
    return {
        "record": json.loads((out / "identities.json").read_text()),
        "tracks": (out / "cameras" / "yard.txt").read_text(),
        "people": (out / "identities" / "yard.txt").read_text(),
        "boxes": pq.read_table(out / "tracks.parquet").to_pydict(),
        "crops": {path.name: path.read_bytes() for path in (out / "crops").rglob("*.jpg")},
    }


SLOW = """
import time
from omnireid.video.follower import Follower
from omnireid.video.site import Following
from omnireid.cli.app import main
see, defaults = Follower.see, Following.__init__.__defaults__
def slowly(self, *words):
    time.sleep(0.08)
    see(self, *words)
Follower.see = slowly
Following.__init__.__defaults__ = (*defaults[:-1], 0.1)  # seconds between savings
main()
"""


def slowly(words: list[object]) -> subprocess.Popen[str]:
    """`omnireid` in a process of its own that takes its time with each frame."""
    return subprocess.Popen(
        [sys.executable, "-c", SLOW, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"},
    )


def wait_for(process: subprocess.Popen[str], out: Path, what: str, least: int) -> None:
    """Until the run's file holds so many of something."""
    until = time.monotonic() + 120
    while time.monotonic() < until and process.poll() is None:
        try:
            with sqlite3.connect(f"file:{out / FILE}?mode=ro", uri=True) as ledger:
                if ledger.execute(f"SELECT COUNT(*) FROM {what}").fetchone()[0] >= least:
                    return
        except sqlite3.Error:
            pass
        time.sleep(0.02)
    process.kill()
    pytest.fail(f"no {least} {what}: {process.communicate()}")


@pytest.mark.slow
def test_killed_then_stopped_then_finished_is_as_if_nothing_had_happened(
    omnireid: Run, walkers: Walkers, model: Path, tmp_path: Path
) -> None:
    whole, out, gallery = tmp_path / "whole", tmp_path / "out", tmp_path / "gallery"
    source, boxes = [("yard", str(walkers.video))], [walkers.boxes]
    track(source, model, whole, TrackOptions(detections=boxes, started=STARTED))
    words = [
        "track", f"yard={walkers.video}", "--detections", walkers.boxes, "-m", model, "-o", out,
        "--gallery", gallery,
    ]  # fmt: skip

    killed = slowly(words)
    wait_for(killed, out, "tracks WHERE going IS NULL", 1)
    killed.kill()
    killed.communicate()
    assert not (out / "identities.json").exists()

    refused = omnireid(*words)
    assert refused.code == 2
    assert "holds a run that was stopped; --resume goes on with it" in refused.err

    before = count(out / FILE, "boxes")
    stopped = slowly([*words, "--resume"])
    wait_for(stopped, out, "boxes", before + 10)
    stopped.send_signal(signal.SIGINT)
    said = stopped.communicate(timeout=120)
    assert stopped.returncode == 0, said
    assert "--resume goes on" in said[1]
    record = json.loads((out / "identities.json").read_text())
    assert record["was_interrupted"]
    assert 0 < record["cameras"][0]["frames"] < 30 * walkers.people

    done = omnireid(*words, "--resume")
    assert done.code == 0, done.err
    assert results(out) == results(whole)
    with Gallery.open(str(gallery)) as opened:
        names = [item.tracklet for item in opened.items(Filter())]
    assert len(names) == len(set(names)) == walkers.people

    # What is finished is only written again.
    again = omnireid(*words, "--resume")
    assert again.code == 0, again.err
    assert "0 tracklets enrolled" in again.out
    assert results(out) == results(whole)


def count(path: Path, what: str) -> int:
    with sqlite3.connect(path) as ledger:
        return int(ledger.execute(f"SELECT COUNT(*) FROM {what}").fetchone()[0])


def test_a_full_disk_keeps_what_was_saved(walkers: Walkers, model: Path, tmp_path: Path) -> None:
    source, boxes, whole, out = (
        [("yard", str(walkers.video))],
        [walkers.boxes],
        tmp_path / "a",
        tmp_path / "b",
    )
    track(source, model, whole, TrackOptions(detections=boxes, started=STARTED))
    saves = Following(save_s=0.0)

    class Small(Ledger):
        def __init__(self, path: Path) -> None:
            super().__init__(path)
            (pages,) = self._db.execute("PRAGMA page_count").fetchone()
            self._db.execute(f"PRAGMA max_page_count = {pages}")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("omnireid.video.ledger.Ledger", Small)
        with pytest.raises(DiskFullError, match=r"progress\.sqlite: the disk is full; .* with --resume"):
            track(source, model, out, TrackOptions(detections=boxes, started=STARTED), following=saves)
    assert 0 < count(out / FILE, "boxes") < 80
    track(source, model, out, TrackOptions(detections=boxes, resume=True), following=saves)
    assert results(out) == results(whole)


def test_only_the_same_run_goes_on(walkers: Walkers, model: Path, tmp_path: Path) -> None:
    source, boxes = [("yard", str(walkers.video))], [walkers.boxes]
    with pytest.raises(InputError, match="holds no run to go on with"):
        track(source, model, tmp_path, TrackOptions(detections=boxes, resume=True))
    track(source, model, tmp_path, TrackOptions(detections=boxes))
    with pytest.raises(InputError, match=r"--resume goes on with the same sources: .*yard.*; got .*door"):
        track([("door", str(walkers.video))], model, tmp_path, TrackOptions(detections=boxes, resume=True))
    with only_writer(tmp_path), pytest.raises(StorageError, match="another process writes its run there"):
        track(source, model, tmp_path, TrackOptions(detections=boxes, resume=True))
    with sqlite3.connect(tmp_path / FILE) as older:
        older.execute("ALTER TABLE tracks DROP COLUMN weight")
    older.close()
    with pytest.raises(InputError, match=r"progress\.sqlite: an older version began this run"):
        track(source, model, tmp_path, TrackOptions(detections=boxes, resume=True))
    (tmp_path / FILE).write_bytes(b"no ledger at all" * 100)
    with pytest.raises(StorageError, match=r"progress\.sqlite: file is not a database"):
        open_ledger(tmp_path, {}, resume=True)


def test_clocks_that_differ_are_brought_together(walkers: Walkers, model: Path, tmp_path: Path) -> None:
    sources, boxes = [("yard", str(walkers.video)), ("hall", str(walkers.video))], [walkers.boxes] * 2
    with pytest.raises(InputError, match="expected a time for each of hall, yard; got hall"):
        track(sources, model, tmp_path, TrackOptions(detections=boxes, started={"hall": 5.0}))
    done = track(
        sources, model, tmp_path, TrackOptions(detections=boxes, started={"hall": 1_012.5, "yard": 1_000.0})
    )
    begins = {
        name: [tracklet.begin for tracklet in done.site.tracklets if tracklet.camera == name]
        for name in ("yard", "hall")
    }
    assert begins["hall"] == pytest.approx([begin + 12.5 for begin in begins["yard"]])
    # The same walk at two places a second apart is two people's, twelve seconds apart it may be one's.
    assert len(done.site.identities) == walkers.people


@pytest.fixture
def sender() -> Iterator[Callable[[list[Path]], str]]:
    """An address on this machine that sends each film once, and then nothing."""
    servers = []

    def serve(films: list[Path]) -> str:
        left = list(films)

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200 if left else 404)
                self.end_headers()
                if left:
                    self.wfile.write(left.pop(0).read_bytes())

            def log_message(self, *_: object) -> None:
                pass

        servers.append(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}/live"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_stream_that_dies_and_comes_back_with_another_size(
    sender: Callable[[list[Path]], str], tmp_path: Path
) -> None:
    large = write_video(tmp_path / "a.mkv", [street([(100, 1)])] * 8)
    small = write_video(tmp_path / "b.mkv", [street([(100, 1)])[::2, ::2]] * 8)
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(large.read_bytes()[:-200])
    video = Video(sender([cut, small]), FrameReading(patience_s=1.2, timeout_s=2))
    frames = list(video.frames())
    assert {frame.picture.shape for frame in frames} == {(240, 320, 3)}
    assert [frame.number for frame in frames] == list(range(1, len(frames) + 1))
    assert all(a.time < b.time for a, b in pairwise(frames))
    # What a decoder of several threads still held is lost with the connection.
    assert 4 <= video.health.resized <= 8
    assert video.health.reconnections == 2
    assert "no picture within 1.2 s" in video.health.broke_off


def test_reading_goes_on_after_a_mark(walkers: Walkers, tmp_path: Path) -> None:
    every = list(Video(str(walkers.video), FrameReading(fps=4)).frames())
    rest = list(Video(str(walkers.video), FrameReading(fps=4), mark=Mark(every[9].number)).frames())
    assert [(frame.number, frame.time) for frame in rest] == [
        (frame.number, frame.time) for frame in every[10:]
    ]
    np.testing.assert_array_equal(rest[0].picture, every[10].picture)
    for name, size in (("1.png", (40, 30)), ("2.png", (20, 15))):
        Image.new("RGB", size).save(tmp_path / name)
    folder = Video(str(tmp_path))
    assert [frame.picture.shape[:2] for frame in folder.frames()] == [(30, 40), (30, 40)]
    assert folder.health.resized == 1


def test_two_hundred_people_and_nobody(model: Path, tmp_path: Path) -> None:
    film = write_video(tmp_path / "crowd.mkv", [np.full((600, 800, 3), 90, np.uint8)] * 8)
    places = [
        np.array([40 * (p % 20), 60 * (p // 20), 40 * (p % 20) + 30, 60 * (p // 20) + 55]) for p in range(200)
    ]
    write_lines(tmp_path / "crowd.txt", [(n, -1, box, 0.9) for n in range(1, 9) for box in places])
    done = track(
        [("crowd", str(film))], model, tmp_path / "crowd", TrackOptions(detections=[tmp_path / "crowd.txt"])
    )
    assert len(done.site.tracklets) == len(done.site.identities) == 200
    write_lines(tmp_path / "none.txt", [])
    done = track(
        [("crowd", str(film))], model, tmp_path / "none", TrackOptions(detections=[tmp_path / "none.txt"])
    )
    assert done.site.identities == ()
    assert "Nobody was seen" in (tmp_path / "none" / "report.html").read_text()
    assert pq.read_table(tmp_path / "none" / "tracks.parquet").num_rows == 0

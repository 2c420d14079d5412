"""A server for the page's tests: rendered people in a gallery, and a model that compares colours.

Runs as a process of its own, with everything that `omnireid serve` has but a network: what a browser shows
does not depend on how good the embeddings are, and this one starts at once. Each is a fork of a process that
has imported everything, which takes four seconds of a core.
"""

from __future__ import annotations

import argparse
import functools
import gc
import io
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
import traceback
from datetime import datetime, timezone
from pathlib import Path
from typing import IO

import httpx2
import numpy as np
from PIL import Image

from omnireid import Embedder, Gallery, Item
from omnireid.core.arrays import Float32, UInt8
from omnireid.core.card import InputSpec, ModelCard
from omnireid.core.detection import Detections
from omnireid.core.images import decode
from omnireid.evaluation.calibration import Calibration, CalibrationSource, fit_calibration
from omnireid.evaluation.calibration_pairs import labelled_pairs, pair_scores
from omnireid.evaluation.search_fitting import fit_searches, labelled_sightings
from omnireid.server.app import create_app
from omnireid.server.limits import Limits
from omnireid.server.running import listen, run_server
from omnireid.server.tokens import TokenFile
from omnireid.synthetic.crop import render_jpeg
from omnireid.synthetic.options import World
from omnireid.video.ground import Ground
from omnireid.video.live import Live, LiveCameras
from omnireid.video.plan import SitePlan

HOSTILE = "<img src=x onerror=document.title='attacked'>"
CAMERAS = ("Entrance", "Hall", "Car park")
WORLD = World(seed=5, num_cameras=len(CAMERAS), height=128, width=64)
NUM_PEOPLE = 9
UNKNOWN = 9
"""Who is enrolled without an identity; of the others p1 is called Ada and p2 as `HOSTILE` says."""
STRANGER = 34
MORNING = datetime(2026, 3, 2, 8, tzinfo=timezone.utc).timestamp()

FRAME = (1920, 1080)
PLACES = {3: (310, 420, 29, 58), 4: (1200, 500, 64, 128), 5: (1500, 380, 40, 80)}
"""Where in a frame who stands: x, y, width, height in pixels."""

STANDING = {1: (60, 120), 2: (280, 140), STRANGER: (500, 100)}
"""Where in the yard who stands, from the top left."""

GROUND = ((0, 360, 0, 0), (640, 360, 8, 0), (480, 200, 8, 10), (160, 200, 0, 10))
"""Pixels of the yard, and the metres that they are of its floor."""

_ROWS, _COLUMNS = 12, 2
_START_S = 180.0


class Colours:
    """An engine whose embedding is where in the picture which colour is."""

    name = "colours"
    device = "cpu"
    calls_side_by_side = None
    card = ModelCard(
        name="colours",
        architecture="colours",
        input=InputSpec(height=64, width=32),
        embedding_size=_ROWS * _COLUMNS * 3,
        sha256="c0" * 32,
    )

    def embed(self, crops: UInt8) -> Float32:
        cells = self.feature_maps(crops).reshape(len(crops), -1)
        centred: Float32 = cells - cells.mean(axis=1, keepdims=True)
        return centred

    def feature_maps(self, crops: UInt8) -> Float32:
        # The middle: people, and little of the place.
        middle = [Image.fromarray(crop).resize((_COLUMNS, _ROWS), box=(11, 8, 21, 60)) for crop in crops]
        small = [np.asarray(one, np.float32) for one in middle]
        return np.array(small, np.float32).reshape(-1, _ROWS, _COLUMNS, 3).transpose(0, 3, 1, 2)


class MadeUpBoxes:
    """A detector that finds people where `PLACES` says, in frames of this size alone."""

    name = "made-up"

    def detect(self, picture: UInt8) -> Detections:
        places = PLACES if picture.shape == (FRAME[1], FRAME[0], 3) else {}
        return Detections(np.array([*places.values()], float).reshape(-1, 4), np.full(len(places), 0.9))


def frame() -> bytes:
    """A large frame with small people in `PLACES`, as JPEG."""
    grey = Image.new("RGB", FRAME, (96, 104, 96))
    for pid, (x, y, width, height) in PLACES.items():
        grey.paste(Image.open(io.BytesIO(picture(pid, 0, 0))).resize((width, height)), (x, y))
    content = io.BytesIO()
    grey.save(content, "JPEG", quality=95)
    return content.getvalue()


def cameras(kept: Path, embedder: Embedder, gallery: Gallery) -> LiveCameras:
    """A yard in which people stand for five minutes, and a camera that is not there."""
    import av

    video = kept / "yard.mkv"
    if not video.exists():
        with av.open(str(kept / "filming.mkv"), "w") as container:
            stream = container.add_stream("mpeg4", rate=2)
            stream.width, stream.height, stream.bit_rate = 640, 360, 4_000_000
            shown = av.VideoFrame.from_image(yard())
            for _ in range(600):
                container.mux(stream.encode(shown))
            container.mux(stream.encode())
        (kept / "filming.mkv").rename(video)
    sources = [("Yard", str(video)), ("Roof", "rtsp://guard:secret@127.0.0.1:1/roof")]
    # Two pictures a second: who stands there is somebody after two seconds.
    plan = SitePlan(grounds={"Yard": Ground.from_points(GROUND, "yard")})
    return LiveCameras(sources, Standing(), embedder, gallery, Live(fps=2, early_s=1), plan=plan)


def yard() -> Image.Image:
    """Three people in `STANDING`."""
    grey = Image.new("RGB", (640, 360), (96, 104, 96))
    for pid, (x, y) in STANDING.items():
        grey.paste(Image.open(io.BytesIO(picture(pid, 0, 0))), (x, y))
    return grey


class Standing:
    """A detector that finds people in the yard where `STANDING` says."""

    name = "standing"

    def detect(self, picture: UInt8) -> Detections:
        boxes = [(x, y, WORLD.width, WORLD.height) for x, y in STANDING.values()]
        return Detections(np.array(boxes, float), np.full(len(boxes), 0.9))


def picture(pid: int, camid: int, index: int) -> bytes:
    """JPEG of one person of the tests; indices 0 and 1 are in the gallery."""
    return render_jpeg(WORLD, pid, camid, index)


def fill(gallery: Gallery, embedder: Embedder) -> None:
    """Two pictures of each person by each camera, an hour apart from camera to camera."""
    seen = [(pid, camid, n) for pid in range(1, NUM_PEOPLE + 1) for camid in range(3) for n in range(2)]
    pictures = [picture(*one) for one in seen]
    items = [
        Item(
            camera=CAMERAS[camid],
            time=MORNING + 3600 * camid + 300 * pid + n,
            identity=None if pid == UNKNOWN else f"p{pid}",
            tracklet=f"t{pid}-{camid}",
            source=f"{CAMERAS[camid]}.mp4",
            thumbnail=content,
        )
        for (pid, camid, n), content in zip(seen, pictures, strict=True)
    ]
    gallery.enrol(items, embedder.embed([decode(one) for one in pictures]), model=embedder.ref)
    gallery.name_identity("p1", "Ada")
    gallery.name_identity("p2", HOSTILE)


def calibrate(embedder: Embedder) -> Calibration:
    """Of other people, in one camera: colours are no use across cameras."""
    pids = np.repeat(np.arange(101, 125), 3)
    index = np.tile(np.arange(3), 24)
    crops = [decode(picture(int(pid), 0, int(n))) for pid, n in zip(pids, index, strict=True)]
    pairs = labelled_pairs(pids, index, max_pairs=5_000)
    card, embeddings = embedder.card, embedder.embed(crops)
    sightings = labelled_sightings(embeddings, pids, index)
    return fit_calibration(
        pair_scores(embeddings, pairs),
        pairs,
        search=fit_searches(sightings, false_alarm_rates=(0.1, 0.05), miss_rate=0.05),
        model=card.ref,
        source=CalibrationSource(
            kind="labelled", name="rendered", root="", split="test", protocol="market1501", pictures=72,
            people=24, cameras=3, same_pairs=0, different_pairs=0, couples=0, seed=0,
        ),
    )  # fmt: skip


class PageServer:
    """The process, and how to talk to it without a browser."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.folder = folder
        self._arguments = arguments
        self._port = 0
        self._process: Forked | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/"

    def start(self) -> None:
        """Start, and wait until it answers. Started again, it has the same address."""
        (self.folder / "port").unlink(missing_ok=True)
        # Rendering, embedding and calibrating are done once, by the first server of a session.
        kept = ["--kept", str(self.folder.parent / "kept")]
        self._process = Forked([str(self.folder), "--port", str(self._port), *kept, *self._arguments])
        deadline = time.monotonic() + _START_S
        while not self._is_ready():
            assert not self._process.has_ended(), "the server ended"
            assert time.monotonic() < deadline, "the server did not start"
            time.sleep(0.05)

    def _is_ready(self) -> bool:
        file = self.folder / "port"
        if not file.is_file() or not file.read_text():
            return False
        self._port = int(file.read_text())
        try:
            return httpx2.get(self.url + "readyz").status_code == 200
        except httpx2.TransportError:
            return False

    def kill(self) -> None:
        """As kill -9 does."""
        assert self._process is not None
        self._process.end(signal.SIGKILL)

    def stop(self) -> None:
        """As an operator does."""
        assert self._process is not None
        self._process.end(signal.SIGTERM)


class Forked:
    """A process that `fork_servers` began with these arguments."""

    def __init__(self, arguments: list[str]) -> None:
        asked, told = forking()
        asked.write(json.dumps(arguments) + "\n")
        asked.flush()
        self._handle = os.pidfd_open(int(told.readline()))

    def has_ended(self, within_s: float = 0) -> bool:
        return bool(select.select([self._handle], [], [], within_s)[0])

    def end(self, number: int) -> None:
        """Send the signal, and wait for the end."""
        signal.pidfd_send_signal(self._handle, number)
        assert self.has_ended(30), "the server did not end"
        os.close(self._handle)


@functools.cache
def forking() -> tuple[IO[str], IO[str]]:
    """Ends of the pipes to the process that forks servers. It ends with this one."""
    source = Path(__file__).parents[2] / "src"
    process = subprocess.Popen(
        # LanceDB warns of forks, which begin here before anything is open.
        [sys.executable, "-W", "ignore", __file__],
        env={**os.environ, "PYTHONPATH": str(source), "OMP_NUM_THREADS": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    return process.stdin, process.stdout


def fork_servers() -> None:
    """For each line of arguments, as JSON, begin a server and say its process id."""
    import lancedb  # noqa: F401

    # Nobody waits here for those that have ended.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    gc.freeze()
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            # Neither this pipe nor that stays open with a server.
            for number in (0, 1):
                os.dup2(os.open(os.devnull, os.O_RDWR), number)
            try:
                serve(json.loads(line))
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(0)
        sys.stdout.write(f"{child}\n")
        sys.stdout.flush()


def prepare(folder: Path, kept: Path, embedder: Embedder) -> Calibration:
    """Fill the gallery in `folder`, where there is none; what was made before lies in `kept`."""
    file, card = kept / "calibration.json", embedder.card
    if not file.exists():
        calibrate(embedder).save(file)
    calibration = Calibration.load(file, card.sha256)
    if not (kept / "main").exists():
        with Gallery.open(str(kept / "filling"), calibration=calibration) as gallery:
            fill(gallery, embedder)
        (kept / "filling").rename(kept / "main")
    if not (folder / "main").exists():
        shutil.copytree(kept / "main", folder / "main")
    return calibration


def serve(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kept", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--tokens", type=Path)
    parser.add_argument("--without-calibration", action="store_true")
    parser.add_argument("--detector", action="store_true")
    parser.add_argument("--camera", action="store_true")
    asked = parser.parse_args(arguments)
    embedder = Embedder(Colours())
    prepared = prepare(asked.folder, asked.kept, embedder)
    calibration = None if asked.without_calibration else prepared
    tokens = TokenFile(asked.tokens) if asked.tokens else None
    limits = Limits(max_bytes=2_000_000, max_pixels=4_000_000)
    with (
        Gallery.open(str(asked.folder / "main"), calibration=calibration) as gallery,
        Gallery.open(str(asked.folder / "empty"), calibration=calibration) as empty,
    ):
        galleries = {"main": gallery, "empty": empty}
        app = create_app(
            embedder,
            galleries,
            calibration=calibration,
            tokens=tokens,
            limits=limits,
            detector=MadeUpBoxes() if asked.detector else None,
        )
        if asked.camera:
            app.state.service.follow(cameras(asked.kept, embedder, gallery))
        listener = listen("127.0.0.1", asked.port)
        (asked.folder / "port").write_text(str(listener.getsockname()[1]))
        run_server(app, listener, limits=limits)


if __name__ == "__main__":
    fork_servers()

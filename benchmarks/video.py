"""What following people costs beside reading and detecting alone, and whether cost and memory stay flat.

    python benchmarks/video.py --model MODEL [--video vtest.avi] [--frames 400] [--long 4000]

Reading and detecting alone, and the same with tracking, embedding, crops and saving, take turns of 50 frames
over the same film in one process; what is compared is the processor time of each turn (all threads), so that
others on the machine change little. With `pip install trackers` its ByteTrack and BoT-SORT take turns, too:
its reading (OpenCV), the same detector, its `update`; they do not look at who people are. Then four streams
of the film at once, and one camera that sees it again and again.
Prints the figures and writes benchmarks/results/video.json.
"""

from __future__ import annotations

import argparse
import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from omnireid import Embedder
from omnireid.core.record import EnvironmentRecord
from omnireid.inference.lookup import find_weights
from omnireid.video.boxes import Boxes
from omnireid.video.detecting import detect_all
from omnireid.video.detector import NanoDet
from omnireid.video.follower import Camera, Follower
from omnireid.video.ledger import Ledger
from omnireid.video.reading import Frame, FrameReading, Health, Video
from omnireid.video.site import Following
from omnireid.video.streams import Streams
from omnireid.video.tracker import Tracker
from options import existing, run

RESULTS = Path(__file__).parent / "results" / "video.json"
VIDEO = Path("/usr/share/doc/opencv-doc/examples/data/vtest.avi")
TURN = 50


def looped(path: str) -> Iterator[Frame]:
    """A film again and again; its times and numbers go on."""
    number, begin = 0, 0.0
    while True:
        last = 0.0
        for frame in Video(path, FrameReading()).frames():
            number, last = number + 1, frame.time
            yield Frame(number, begin + frame.time, frame.picture)
        begin += last + 0.1


class Followed:
    """One camera that is followed and saved as `omnireid track` does it."""

    def __init__(self, row: int, name: str, path: str, embedder: Embedder, ledger: Ledger) -> None:
        self.follower = Follower(row, Camera(name, path), Tracker(), embedder, ledger)
        self.ledger, self.saved = ledger, 0.0

    def see(self, frame: Frame, found: Any) -> None:
        self.follower.see(frame, Health(), found)
        if frame.time - self.saved >= Following().save_s:
            self.follower.save()
            self.ledger.commit()
            self.saved = frame.time


def costs(
    frames: Iterator[Frame], detector: NanoDet, see: Callable[[Frame, Any], object], turns: int
) -> float:
    """Processor seconds of so many turns, a frame."""
    began = time.process_time()
    for frame in itertools.islice(frames, turns * TURN):
        see(frame, detect_all(detector, [frame.picture])[0])
    return (time.process_time() - began) / (turns * TURN)


def resident() -> float:
    """MiB of this process in memory now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


Way = tuple[Iterator[Frame], Callable[[Frame, Any], object]]


def peers(path: str) -> dict[str, Way]:
    """Loops of `trackers` with its defaults, where it is installed."""
    try:
        import supervision
        import trackers
    except ImportError:
        return {}

    def frames() -> Iterator[Frame]:
        while True:
            for number, picture in trackers.frames_from_source(path):
                yield Frame(number, 0.0, np.ascontiguousarray(picture[..., ::-1]))

    def way(tracker: Any) -> Way:
        def see(frame: Frame, found: Boxes) -> object:
            return tracker.update(supervision.Detections(found.boxes, confidence=found.scores), frame.picture)

        return frames(), see

    return {
        "trackers, ByteTrack": way(trackers.ByteTrackTracker()),
        "trackers, BoT-SORT": way(trackers.BoTSORTTracker()),
    }


def in_turn(path: str, detector: NanoDet, embedder: Embedder, frames: int) -> dict[str, dict[str, float]]:
    """Milliseconds a frame of each way, and the share that detecting alone is of them: medians of turns."""
    ways: dict[str, Way] = {
        "alone": (looped(path), lambda frame, found: None),
        "followed": (looped(path), Followed(0, "a", path, embedder, Ledger()).see),
        **peers(path),
    }
    seconds = np.array(
        [[costs(source, detector, see, 1) for source, see in ways.values()] for _ in range(frames // TURN)]
    )
    return {
        name: {
            "ms": 1000 * float(np.median(seconds[:, column])),
            "ratio": float(np.median(seconds[:, 0] / seconds[:, column])),
        }
        for column, name in enumerate(ways)
    }


def four_at_once(path: str, detector: NanoDet, embedder: Embedder, frames: int) -> dict[str, float]:
    ledger, seen, most = Ledger(), 0, resident()
    names = [f"camera{n}" for n in range(4)]
    cameras = {name: Followed(row, name, path, embedder, ledger) for row, name in enumerate(names)}
    streams = Streams({name: Video(path) for name in names}, threading.Event())
    for batch in streams.batches():
        found = detect_all(detector, [read.frame.picture for read in batch])
        for read, boxes in zip(batch, found, strict=True):
            cameras[read.camera].see(read.frame, boxes)
        seen, most = seen + len(batch), max(most, resident())
        if seen >= frames:
            break
    return {"frames": seen, "most_mib": most}


def over_time(path: str, detector: NanoDet, embedder: Embedder, frames: int) -> list[dict[str, float]]:
    source, camera = looped(path), Followed(0, "long", path, embedder, Ledger())
    parts, turns = [], max(1, frames // 5 // TURN)
    for part in range(1, 6):
        milliseconds = 1000 * costs(source, detector, camera.see, turns)
        parts.append({"frames": part * turns * TURN, "ms": milliseconds, "mib": resident()})
    return parts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--video", type=existing, default=str(VIDEO))
    parser.add_argument("--frames", type=int, default=400)
    parser.add_argument("--long", type=int, default=4000)
    options = parser.parse_args()
    path, detector = str(options.video), NanoDet(threads=1)
    embedder = Embedder.open(find_weights(options.model))
    figures = in_turn(path, detector, embedder, options.frames)
    for name, way in figures.items():
        print(f"{name}: {way['ms']:.1f} ms of processor time a frame, ratio {way['ratio']:.3f} (goal 0.85)")
    together = four_at_once(path, detector, embedder, options.frames)
    print(f"four streams at once: {together['most_mib']:,.0f} MiB at most (goal 1,024)")
    parts = over_time(path, detector, embedder, options.long)
    for part in parts:
        print(f"until frame {part['frames']:,}: {part['ms']:.1f} ms a frame, {part['mib']:,.0f} MiB")
    record = {
        "environment": EnvironmentRecord.capture().model_dump(),
        "model": embedder.ref.short,
        "frames": options.frames,
        "in_turn": figures,
        "four_at_once": together,
        "over_time": parts,
    }
    RESULTS.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    run(main)

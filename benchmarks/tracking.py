"""Tracks of one real camera beside those of other trackers on the same boxes.

    python benchmarks/tracking.py --model MODEL [--real ../shared/real] [--video vtest.avi]

PETS09-S2L1 (795 frames, 19 ids in its truth), NanoDet-g's boxes. Looks come from MODEL, which needs a
calibration beside it. Ours runs as `omnireid track` does, with its defaults, and on four more sets of
boxes, jittered (1.5 % of the height) and thinned (3 %), since one switch more or less moves every figure.
Trackers of the package `trackers` run with their defaults where it is installed; they see no looks. Prints
a table and writes benchmarks/results/tracking.json.
"""

from __future__ import annotations

import argparse
import importlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from omnireid import Embedder
from omnireid.core.arrays import Float32
from omnireid.core.record import EnvironmentRecord
from omnireid.evaluation.calibration import Calibration
from omnireid.inference.lookup import find_weights
from omnireid.video.boxes import Boxes
from omnireid.video.judging import TrackingScore, judge, merged
from omnireid.video.mot import Lines, read_mot
from omnireid.video.results import filled
from omnireid.video.site import Following, Site, follow
from options import existing, run

RESULTS = Path(__file__).parent / "results" / "tracking.json"
VIDEO = Path("/usr/share/doc/opencv-doc/examples/data/vtest.avi")
JITTER, DROPPED, DRAWS = 0.015, 0.03, 5
PEERS = ("SORTTracker", "ByteTrackTracker", "OCSORTTracker")


class Remembered:
    """An embedder of the boxes of a video, each looked at once; crops are told apart by their content."""

    def __init__(self, embedder: Embedder) -> None:
        self.embedder, self.known = embedder, dict[bytes, Float32]()

    def embed(self, crops: list[Any]) -> Float32:
        keys = [crop.tobytes() + bytes(str(crop.shape), "ascii") for crop in crops]
        new = {key: crop for key, crop in zip(keys, crops, strict=True) if key not in self.known}
        if new:
            self.known.update(zip(new, self.embedder.embed(list(new.values())), strict=True))
        return np.stack([self.known[key] for key in keys])


def jittered(boxes: dict[int, Boxes], seed: int) -> dict[int, Boxes]:
    """The boxes of another run of a detector: seed 0 gives them as they are."""
    if not seed:
        return boxes
    rng = np.random.default_rng(seed)
    moved = {}
    for frame, found in boxes.items():
        height = (found.boxes[:, 3] - found.boxes[:, 1])[:, None]
        kept = np.flatnonzero(rng.random(len(found)) >= DROPPED)
        noise = rng.normal(0, JITTER, found.boxes.shape) * height
        moved[frame] = Boxes((found.boxes + noise).astype(np.float32), found.scores).take(kept)
    return moved


def lines_of(rows: list[tuple[int, int, Float32]]) -> Lines:
    """Frame, id and box of each line."""
    frames, ids = (np.array([row[k] for row in rows], np.int64) for k in (0, 1))
    boxes = np.stack([row[2] for row in rows]) if rows else np.zeros((0, 4), np.float32)
    return Lines(frames, ids, boxes, np.ones(len(rows), np.float32))


def tracks_of(site: Site, gap_s: float) -> Lines:
    return lines_of(
        [(frame, t.number, box) for t in site.cameras[0].tracks for frame, box, _ in filled(t, gap_s)]
    )


def people_of(site: Site) -> dict[int, int]:
    """Track → person; those beyond the tracks' own numbers, so that no two meet."""
    return {site.tracklets[row].number: 10_000 + p.number for p in site.identities for row in p.members}


def peers(boxes: dict[int, Boxes], frames: int) -> Iterator[tuple[str, Lines]]:
    """Tracks of the package `trackers`, with its defaults, on boxes of any score."""
    try:
        package, supervision = importlib.import_module("trackers"), importlib.import_module("supervision")
    except ImportError:
        return
    for name in PEERS:
        if not hasattr(package, name):
            continue
        tracker, rows = getattr(package, name)(), []
        for frame in range(1, frames + 1):
            found = boxes.get(frame, Boxes.none())
            tracked = tracker.update(supervision.Detections(xyxy=found.boxes, confidence=found.scores))
            rows += [
                (frame, int(number), box)
                for number, box in zip(tracked.tracker_id, tracked.xyxy, strict=True)
                if number >= 0
            ]
        yield name.removesuffix("Tracker"), lines_of(rows)


def returning(path: Path) -> dict[int, int]:
    """Ids of the truth that are one person who came back: each to the first of them."""
    groups = [line.split() for line in path.read_text().splitlines() if line and not line.startswith("#")]
    return {int(number): int(group[0]) for group in groups for number in group}


def summary(scores: list[TrackingScore]) -> dict[str, Any]:
    """Means, deviations and the worst of several runs."""
    columns = {name: np.array([score.as_dict()[name] for score in scores]) for name in scores[0].as_dict()}
    return {
        name: {"mean": float(values.mean()), "deviation": float(values.std()), "least": float(values.min())}
        for name, values in columns.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--real", type=existing, default="../shared/real")
    parser.add_argument("--video", type=existing, default=str(VIDEO))
    options = parser.parse_args()

    weights = find_weights(options.model)
    embedder = Embedder.open(weights)
    calibration = Calibration.load_beside(weights, embedder.sha256)
    if calibration is None:
        parser.error(f"argument --model: {weights}: has no calibration; make one: omnireid calibrate")
    pets = Path(options.real) / "pets"
    truth, boxes = read_mot(pets / "gt.txt"), read_mot(pets / "det_nanodet.txt").detections()
    returned = merged(truth, returning(pets / "persons.txt"))
    frames = int(truth.frames.max())

    remembered: Any = Remembered(embedder)
    following = Following()
    by_track, by_person = [], []
    for seed in range(DRAWS):
        given = {"yard": jittered(boxes, seed)}
        source = [("yard", str(options.video))]
        site = follow(source, None, remembered, calibration, following, given=given)
        tracks = tracks_of(site, following.stitching.gap_s)
        by_track.append(judge(truth, tracks))
        by_person.append(judge(returned, merged(tracks, people_of(site))))

    rows = {name: judge(truth, lines) for name, lines in peers(boxes, frames)}
    record = {
        "environment": EnvironmentRecord.capture().model_dump(),
        "model": embedder.ref.short,
        "runs": DRAWS,
        "ours": {"tracks": summary(by_track), "people": summary(by_person)},
        "as_detected": {"tracks": by_track[0].as_dict(), "people": by_person[0].as_dict()},
        "others": {name: score.as_dict() for name, score in rows.items()},
    }
    show(record)
    RESULTS.write_text(json.dumps(record, indent=1) + "\n")


def show(record: dict[str, Any]) -> None:
    table = Table("tracker", "truth", "HOTA", "DetA", "AssA", "IDF1", "MOTA", "switches", "ids")
    for name, score in record["others"].items():
        table.add_row(name, "official", *_cells(score))
    for kind, truth in (("tracks", "official"), ("people", "people who return")):
        table.add_row("ours", truth, *_cells(record["as_detected"][kind]))
        figures = record["ours"][kind]
        cells = [
            f"{100 * figures[key]['mean']:.1f} ± {100 * figures[key]['deviation']:.1f}"
            for key in ("hota", "deta", "assa", "idf1", "mota")
        ]
        counts = [f"{figures[key]['mean']:.1f}" for key in ("switches", "track_ids")]
        table.add_row(f"… {record['runs']} sets of boxes", truth, *cells, *counts)
    Console(width=120).print(table)


def _cells(score: dict[str, Any]) -> list[str]:
    shares = [f"{100 * score[key]:.1f}" for key in ("hota", "deta", "assa", "idf1", "mota")]
    return [*shares, str(score["switches"]), str(score["track_ids"])]


if __name__ == "__main__":
    run(main)

"""Identities across the cameras of rendered networks, beside a nearest neighbour with one threshold.

    omnireid synth --video --out FILMS --seed 1601 --cameras 4 --places 4 --fps 5
    omnireid synth --video --out FILMS2 --seed 1602 --cameras 4 --places 2 --overlap --fps 5
    python benchmarks/networks.py --model MODEL FILMS FILMS2 ...

MODEL needs a calibration beside it. Films need seeds that nothing was tried on. Boxes are the truth's of
people of whom three tenths are seen, jittered (2 % of the height) and thinned (3 %); with --detector those
that the detector in the package finds. Every row of a network links the same tracklets:

- "true links": by the truth, which bounds what linking can reach with these tracks;
- "omnireid track": with the site's file; "without floors", "without journeys": the same without one of them;
- "nearest neighbour": each tracklet takes the person of the most similar earlier one if that is above a
  threshold; of all thresholds the one with the best result, by the truth.

IDF1, HOTA: trackeval on the cameras laid one after another. Prints a table and writes
benchmarks/results/networks.json. The curve over crowding is networks_crowding.json (--out), of films of 15,
30, 60 and 120 people (synth --video --seed 1701 --cameras 4 --places 4 --fps 5 --minutes 2 --people …).
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from omnireid import Embedder
from omnireid.core.arrays import Float64
from omnireid.core.record import EnvironmentRecord
from omnireid.core.vectors import unit_rows
from omnireid.evaluation.calibration import Calibration
from omnireid.inference.lookup import find_weights
from omnireid.video.boxes import Boxes, overlaps
from omnireid.video.detector import NanoDet
from omnireid.video.identifying import identify
from omnireid.video.judging import judge_cameras
from omnireid.video.linking import Circumstances, Evidence, Identity, link
from omnireid.video.meeting import meeting_evidence
from omnireid.video.mot import Lines
from omnireid.video.plan import read_plan
from omnireid.video.results import filled
from omnireid.video.site import Following, Site, follow, log_odds
from options import existing, new_file, run

RESULTS = Path(__file__).parent / "results" / "networks.json"
LEAST_SEEN, JITTER, DROPPED = 0.3, 0.02, 0.03
Truth = dict[str, Lines]
Groups = Iterable[tuple[int, ...]]


def truth_of(films: Path, cameras: Iterable[str]) -> Truth:
    """The boxes of people of whom enough is seen; ids are pids."""
    truth = {}
    for name in cameras:
        rows = np.loadtxt(films / name / "gt" / "gt.txt", delimiter=",", ndmin=2)
        rows = rows[rows[:, 8] >= LEAST_SEEN]
        corner = rows[:, 2:4] - 1
        boxes = np.hstack([corner, corner + rows[:, 4:6]]).astype(np.float32)
        frames, ids = rows[:, 0].astype(np.int64), rows[:, 1].astype(np.int64)
        truth[name] = Lines(frames, ids, boxes, np.ones(len(rows), np.float32))
    return truth


def jittered(lines: Lines, seed: int) -> dict[int, Boxes]:
    """What a good detector would find."""
    rng = np.random.default_rng(seed)
    found = {}
    for frame, rows in lines.by_frame().items():
        kept = rows[rng.random(len(rows)) >= DROPPED]
        height = (lines.boxes[kept, 3] - lines.boxes[kept, 1])[:, None]
        boxes = lines.boxes[kept] + rng.normal(0, JITTER, (len(kept), 4)) * height
        found[frame] = Boxes(boxes.astype(np.float32), np.full(len(kept), 0.9, np.float32))
    return found


def scores(site: Site, truth: Truth, groups: Groups) -> dict[str, float]:
    """How good people are: rows of tracklets that are one person's."""
    person = {
        (site.tracklets[row].camera, site.tracklets[row].number): number
        for number, rows in enumerate(groups, 1)
        for row in rows
    }
    pairs = []
    for camera in site.cameras:
        lines = [
            (frame, person[camera.name, track.number], box)
            for track in camera.tracks
            if (camera.name, track.number) in person
            for frame, box, _ in filled(track, Following().stitching.gap_s)
        ]
        # Two tracks of one person may meet in a frame: one box of somebody in a frame is enough.
        once = {(frame, number): box for frame, number, box in lines}
        frames, ids = (np.array([key[k] for key in once], np.int64) for k in (0, 1))
        boxes = np.array(list(once.values()), np.float32).reshape(-1, 4)
        pairs.append((truth[camera.name], Lines(frames, ids, boxes, np.ones(len(once), np.float32))))
    score = judge_cameras(pairs)
    return {"idf1": score.idf1, "hota": score.hota, "people": len(set(person.values()))}


def true_links(site: Site, truth: Truth) -> list[tuple[int, ...]]:
    """Tracklets by the person that most of their boxes are of; nobody's stay alone."""
    people: dict[Any, list[int]] = {}
    for row, tracklet in enumerate(site.tracklets):
        lines, votes = truth[tracklet.camera], Counter[int]()
        by_frame = lines.by_frame()
        track = site.track(tracklet)
        for frame, box in zip(track.frames, track.boxes, strict=True):
            rows = by_frame.get(frame, np.zeros(0, np.int64))
            overlap = overlaps(box[None], lines.boxes[rows])[0]
            if len(rows) and overlap.max() >= 0.5:
                votes[int(lines.ids[rows[int(overlap.argmax())]])] += 1
        who = votes.most_common(1)[0][0] if votes else f"nobody {row}"
        people.setdefault(who, []).append(row)
    return [tuple(rows) for rows in people.values()]


def nearest(site: Site, threshold: float) -> list[tuple[int, ...]]:
    """The baseline at one threshold."""
    order = sorted(range(len(site.tracklets)), key=lambda row: site.tracklets[row].begin)
    looks = unit_rows(np.stack([tracklet.embedding for tracklet in site.tracklets]))
    people: list[list[int]] = []
    whose: dict[int, int] = {}
    for count, row in enumerate(order):
        similarities = looks[order[:count]] @ looks[row]
        best = int(np.argmax(similarities)) if count else -1
        if count and similarities[best] >= threshold:
            whose[row] = whose[order[best]]
            people[whose[row]].append(row)
        else:
            whose[row] = len(people)
            people.append([row])
    return [tuple(rows) for rows in people]


def network(films: Path, embedder: Embedder, calibration: Calibration, detector: bool) -> dict[str, Any]:
    """The rows of one network."""
    plan = read_plan(films / "site.yaml")
    truth = truth_of(films, (name for name, _ in plan.sources))
    following = Following(plan=plan)
    given = None if detector else {name: jittered(lines, n) for n, (name, lines) in enumerate(truth.items())}
    finds = NanoDet() if detector else None
    site = follow(plan.sources, finds, embedder, calibration, following, given=given)

    def evidence(values: Float64) -> Float64:
        return log_odds(calibration, values)

    def linked(people: Iterable[Identity]) -> dict[str, float]:
        return scores(site, truth, (person.members for person in people))

    blind = [None] * len(site.tracklets)
    meetings = meeting_evidence(site.trails, [tracklet.camera for tracklet in site.tracklets])
    tried = [(threshold, nearest(site, threshold)) for threshold in np.linspace(0.2, 0.95, 31)]
    baseline = max(
        (scores(site, truth, groups) | {"threshold": round(float(t), 3)} for t, groups in tried),
        key=lambda score: score["idf1"],
    )
    rendered = json.loads((films / "card.json").read_text())["options"]
    num_frames = rendered["num_cameras"] * 60 * rendered["minutes"] * rendered["fps"]
    return {
        "films": rendered,
        "boxes": "detector" if detector else "truth, jittered",
        "tracklets": len(site.tracklets),
        "people": len({int(number) for lines in truth.values() for number in lines.ids}),
        "people_in_a_frame": round(sum(len(lines.ids) for lines in truth.values()) / num_frames, 1),
        "rows": {
            "true links": scores(site, truth, true_links(site, truth)),
            "omnireid track": linked(site.identities),
            "without journeys": linked(
                link(site.tracklets, evidence, following.linking, Circumstances(plan, meetings))
            ),
            "without floors": linked(identify(site.tracklets, blind, evidence, following.linking, plan)),
            "nearest neighbour": baseline,
        },
        "errors": mistakes(site, true_links(site, truth), site.identities, evidence, meetings),
    }


def mistakes(
    site: Site, groups: Groups, identities: Iterable[Identity], evidence: Evidence, meetings: Float64
) -> dict[str, Any]:
    """Pairs of tracklets that were wrongly joined, or wrongly kept apart, and what spoke for it."""
    true = {row: number for number, rows in enumerate(groups) for row in rows}
    said = {row: person.number for person in identities for row in person.members}
    looks = np.stack([tracklet.embedding for tracklet in site.tracklets])
    odds = evidence(np.asarray(looks @ looks.T, np.float64))
    kinds: Mapping[str, list[tuple[float, float]]] = {"joined": [], "kept apart": []}
    for a in range(len(looks)):
        for b in range(a):
            if (true[a] == true[b]) != (said[a] == said[b]):
                kind = "joined" if said[a] == said[b] else "kept apart"
                kinds[kind].append((float(odds[a, b]), float(meetings[a, b])))
    return {
        kind: {
            "pairs": len(pairs),
            "mean_looks": round(float(np.mean([p[0] for p in pairs])), 2) if pairs else None,
            "met": sum(p[1] != 0 for p in pairs),
        }
        for kind, pairs in kinds.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--detector", action="store_true", help="find boxes instead of taking the truth's")
    parser.add_argument("--out", type=new_file, default=RESULTS)
    parser.add_argument("films", nargs="+", type=existing)
    options = parser.parse_args()

    weights = find_weights(options.model)
    embedder = Embedder.open(weights)
    calibration = Calibration.load_beside(weights, embedder.sha256)
    if calibration is None:
        parser.error(f"argument --model: {weights}: has no calibration; make one: omnireid calibrate")
    record = {
        "environment": EnvironmentRecord.capture().model_dump(),
        "model": embedder.ref.short,
        "networks": [network(films, embedder, calibration, options.detector) for films in options.films],
    }
    table = Table("network", "way", "IDF1", "HOTA", "people")
    for entry in record["networks"]:
        films = entry["films"]
        name = (
            f"seed {films['seed']}, {films['num_people']} people, "
            f"{films['num_cameras']} cameras, {films['num_places']} places"
        )
        for way, row in entry["rows"].items():
            shares = [f"{100 * row[key]:.1f}" for key in ("idf1", "hota")]
            table.add_row(name, way, *shares, f"{row['people']} of {entry['people']}")
    Console(width=120).print(table)
    options.out.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    run(main)

"""A local gallery of a million items: enrolling, searching, memory, and what kills leave.

    python benchmarks/gallery.py [--rows 1000000] [--noise 0.6] [--scratch FOLDER] [--faults]
    python benchmarks/gallery.py --single [100000] [--thumbnails] [--without-codes] [--scratch FOLDER]

Prints a table and writes benchmarks/results/gallery.json. Embeddings are made, 512 numbers each: a person, a
camera and noise, with a falling spectrum (`embeddings.Makes`), fifty pictures of a person. With the default
noise two pictures of a person have a cosine of 0.62 across cameras; 1.9 is as hard as Market-1501. Batches of
20,000 go through `Gallery.enrol`; making them is not counted, nor is the comparison with all embeddings that
recall is measured against. Searches run in processes of their own, one after another: with codes in memory,
as a server has them, and without. `--faults` also kills writers twenty times in each way (gallery_faults.py).
`--single` enrols item by item instead (gallery_single.py). Needs 6 GB of disk.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

import gallery_faults
import gallery_single
from embeddings import DIM, STATUS, Makes, Size, in_new_process, labels
from omnireid import ModelRef
from omnireid.core.machine import available_cores
from omnireid.core.record import EnvironmentRecord
from omnireid.gallery.gallery import Gallery
from omnireid.gallery.items import Filter, Item
from options import new_file, new_folder, run

RESULTS = Path(__file__).parent / "results" / "gallery.json"
MODEL = ModelRef("made", "0" * 64, DIM)
BATCH = 20_000
PICTURES = 50
CAMERAS = 20
THUMBNAIL_BYTES = 4096
THUMBNAIL_ROWS = 100_000
K = 10
QUERIES = 300
EXACT_QUERIES = 15
DURING_BUILD = 200


class Crowd(Makes):
    """Rows of the evaluation's benchmarks with noise of one's choice."""

    def __init__(self, pids: int, noise: float) -> None:
        super().__init__(pids, CAMERAS)
        self.noise = noise

    def made(self, pids: np.ndarray, camids: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """(N, 512) float32 of unit norm."""
        noise = rng.standard_normal((len(pids), DIM), np.float32) * np.float32(self.noise)
        rows = self.people[pids] + self.cameras[camids] + noise * self.spectrum
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def batches(rows: int, noise: float, thumbnails: bool) -> Iterator[tuple[list[Item], np.ndarray]]:
    """Items and embeddings, a batch at a time, the same in every run."""
    rng = np.random.default_rng(5)
    size = Size(QUERIES, rows, max(1, rows // PICTURES), CAMERAS)
    crowd = Crowd(size.pids, noise)
    pids, camids = labels(rows, size, rng, distractors=0.0)
    for start in range(0, rows, BATCH):
        part = slice(start, start + BATCH)
        items = [
            Item(
                camera=f"camera {camid}",
                time=1_700_000_000.0 + start + n,
                identity=f"{pid:08x}",
                key=f"{thumbnails} {start + n}",
                thumbnail=rng.bytes(THUMBNAIL_BYTES) if thumbnails else None,
            )
            for n, (pid, camid) in enumerate(zip(pids[part], camids[part], strict=True))
        ]
        yield items, crowd.made(pids[part], camids[part], rng)


def made_queries(rows: int, noise: float) -> np.ndarray:
    """(QUERIES, 512): further pictures of people who are there."""
    rng = np.random.default_rng(6)
    size = Size(QUERIES, rows, max(1, rows // PICTURES), CAMERAS)
    pids, camids = labels(QUERIES, size, rng, distractors=0.0)
    return Crowd(size.pids, noise).made(pids, camids, rng)


class Nearest:
    """Ids of the K nearest of each query, by comparing with all rows that go by."""

    def __init__(self, queries: np.ndarray) -> None:
        self.queries = queries
        self.scores = np.full((len(queries), K), -np.inf, np.float32)
        self.ids = np.full((len(queries), K), "", dtype=object)

    def see(self, rows: np.ndarray, ids: tuple[str, ...]) -> None:
        scores = self.queries @ rows.T
        top = np.argpartition(-scores, K, axis=1)[:, :K]
        scores = np.concatenate([self.scores, np.take_along_axis(scores, top, axis=1)], axis=1)
        names = np.concatenate([self.ids, np.array(ids, dtype=object)[top]], axis=1)
        best = np.argsort(-scores, axis=1, kind="stable")[:, :K]
        self.scores = np.take_along_axis(scores, best, axis=1)
        self.ids = np.take_along_axis(names, best, axis=1)


def fill(folder: Path, rows: int, noise: float, thumbnails: bool) -> dict[str, Any]:
    """Enrol through the gallery; how fast, and how fast once more what is there already."""
    nearest = Nearest(made_queries(rows, noise))
    seconds: list[float] = []
    with Gallery.open(str(folder)) as gallery:
        for items, embeddings in batches(rows, noise, thumbnails):
            began = time.perf_counter()
            enrolled = gallery.enrol(items, embeddings, model=MODEL)
            seconds.append(time.perf_counter() - began)
            assert enrolled.is_new.all()
            nearest.see(embeddings, enrolled.ids)
        began = time.perf_counter()
        assert not gallery.enrol(items, embeddings, model=MODEL).is_new.any()
        again_s = time.perf_counter() - began
    last = seconds[-10:]
    if not thumbnails:
        np.save(folder.with_suffix(".nearest.npy"), nearest.ids.astype(str))
    return {
        "rows": rows,
        "per_s": rows / sum(seconds),
        "last_batches_per_s": BATCH * len(last) / sum(last) if rows >= BATCH else rows / sum(last),
        "again_per_s": len(items) / again_s,
        "peak_gib": peak_gib(),
    }


def build(folder: Path) -> dict[str, Any]:
    """Build the index, and enrol single items meanwhile."""
    with Gallery.open(str(folder)) as gallery:
        waits: list[float] = []
        rng = np.random.default_rng(7)
        began = time.perf_counter()
        builder = threading.Thread(target=gallery.build_index)
        builder.start()
        while builder.is_alive() and len(waits) < DURING_BUILD:
            item = Item(camera="during", key=f"during {len(waits)}")
            start = time.perf_counter()
            gallery.enrol([item], rng.standard_normal((1, DIM), np.float32), model=MODEL)
            waits.append(time.perf_counter() - start)
            time.sleep(0.1)
        builder.join()
        seconds = time.perf_counter() - began
        # Those that came meanwhile are taken in.
        gallery.build_index()
    return {
        "seconds": seconds,
        "enrolled_meanwhile": len(waits),
        "enrol_meanwhile_p50_ms": 1000 * statistics.median(waits),
        "enrol_meanwhile_max_ms": 1000 * max(waits),
        "peak_gib": peak_gib(),
    }


def search(folder: Path, rows: int, noise: float, warm: bool) -> dict[str, Any]:
    """Open the gallery and search it, with codes in memory as a server does or without; times in ms."""
    began = time.perf_counter()
    gallery = Gallery.open(str(folder))
    queries = made_queries(rows, noise)
    found: dict[str, Any] = {"open_s": time.perf_counter() - began}
    if warm:
        began = time.perf_counter()
        gallery.warm()
        found["warm_s"] = time.perf_counter() - began
    expected = np.load(folder.with_suffix(".nearest.npy"))
    began = time.perf_counter()
    gallery.search(queries[0], model=MODEL, k=K)
    found["first_search_s"] = time.perf_counter() - began
    for query in queries[:20]:
        gallery.search(query, model=MODEL, k=K)
    kinds: dict[str, tuple[int, dict[str, Any]]] = {
        "approximate": (QUERIES, {}),
        "by person": (QUERIES, {"group": True}),
        "exact": (EXACT_QUERIES * (10 if warm else 1), {"exact": True}),
        "one camera": (50, {"where": Filter(cameras=frozenset({"camera 3"}))}),
        "one person": (50, {"where": Filter(identities=frozenset({"00000007"}))}),
    }
    for kind, (count, options) in kinds.items():
        times, hits = [], 0
        for query, ids in zip(queries[:count], expected, strict=False):
            began = time.perf_counter()
            result = gallery.search(query, model=MODEL, **{"k": K, "group": False, **options})
            times.append(1000 * (time.perf_counter() - began))
            hits += len({candidate.item.id for candidate in result.candidates} & set(ids))
        row = {
            "p50_ms": float(np.median(times)),
            "p99_ms": float(np.quantile(times, 0.99)),
            "searches": count,
        }
        if "where" not in options:
            row["recall_at_10"] = hits / (count * K)
        found[kind] = row
    (collection,) = (model.collection for model in gallery.models)
    # Of a LanceStore, which `GalleryStore` does not say.
    tuning = gallery.store._collection(collection).tuning  # type: ignore[attr-defined]
    found["tuning"] = None if tuning is None else tuning._asdict()
    found["disk_gib"] = (gallery.store.disk_bytes() or 0) / 2**30
    found["peak_gib"] = peak_gib()
    gallery.close()
    return found


def peak_gib() -> float | None:
    """Largest resident set of this process so far (Linux)."""
    if not STATUS.is_file():
        return None
    lines = dict(line.split(":", 1) for line in STATUS.read_text().splitlines())
    return int(lines["VmHWM"].split()[0]) / 2**20


def show(record: dict[str, Any]) -> None:
    table = Table("measure", "in memory", "without", "goal")
    fills, warm, cold = record["enrol"], record["search"], record["search_without_codes"]
    memory = max(record[part]["peak_gib"] or 0 for part in PARTS)
    lines = [
        ("enrol, embeddings/s", f"{fills['per_s']:,.0f}", "", "50,000"),
        ("enrol with 4 KB thumbnails, items/s", f"{record['enrol_thumbnails']['per_s']:,.0f}", "", "10,000"),
        *(
            (
                f"{kind} search, {quantile}",
                *(f"{one[kind][f'{quantile}_ms']:,.1f} ms" for one in (warm, cold)),
                goal,
            )
            for kind, quantile, goal in (
                ("exact", "p50", "1,500 ms"),
                ("approximate", "p50", "15 ms"),
                ("approximate", "p99", "60 ms"),
                ("one camera", "p50", ""),
                ("one person", "p50", ""),
            )
        ),
        ("recall@10", *(f"{one['approximate']['recall_at_10']:.4f}" for one in (warm, cold)), "0.98"),
        ("index build", f"{record['build']['seconds']:.0f} s", "", ""),
        ("open, and first search", "", f"{cold['open_s']:.1f} s, {cold['first_search_s']:.1f} s", "5 s"),
        ("codes are in memory after", f"{warm['warm_s']:.1f} s", "", ""),
        ("largest memory", f"{memory:.2f} GiB", f"{cold['peak_gib'] or 0:.2f} GiB", "3 GiB"),
        ("on disk", f"{warm['disk_gib']:.2f} GiB", "", ""),
    ]
    for line in lines:
        table.add_row(*line)
    Console().print(table)


PARTS = ("enrol", "enrol_thumbnails", "build", "search")


def measured(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Batches, the index, searches."""
    rows, noise = options.rows, options.noise
    record: dict[str, Any] = {"noise": noise, "batch": BATCH}
    pictured = min(rows, THUMBNAIL_ROWS)
    record["enrol_thumbnails"] = in_new_process(fill, folder / "thumbnails", pictured, noise, True)
    record["enrol"] = in_new_process(fill, folder / "gallery", rows, noise, False)
    record["build"] = in_new_process(build, folder / "gallery")
    record["search_without_codes"] = in_new_process(search, folder / "gallery", rows, noise, False)
    record["search"] = in_new_process(search, folder / "gallery", rows, noise, True)
    show(record)
    if options.faults:
        record["kills"] = {
            kind: {"kills": options.kills, "calls": gallery_faults.run(kind, options.kills, seed=0)}
            for kind in gallery_faults.WORK
        }
        print("killed", options.kills, "times in each way, nothing lost or half done:", record["kills"])
    return record


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--noise", type=float, default=0.6)
    parser.add_argument("--scratch", type=new_folder, default=None, help="folder for the galleries")
    parser.add_argument("--faults", action="store_true", help="kill writers, too")
    parser.add_argument("--kills", type=int, default=20, help="of each kind")
    parser.add_argument("--single", type=int, nargs="?", const=100_000, help="items, one at a time")
    parser.add_argument("--thumbnails", action="store_true", help="of 4 KB, with --single")
    parser.add_argument("--without-codes", action="store_true", help="in memory, with --single")
    parser.add_argument("--out", type=new_file, default=None)
    options = parser.parse_args()
    record: dict[str, Any] = {
        "environment": EnvironmentRecord.capture().model_dump(mode="json"),
        "cores": available_cores(),
        "load_before": os.getloadavg()[0],
    }
    with tempfile.TemporaryDirectory(dir=options.scratch) as name:
        if options.single is None:
            record |= measured(options, Path(name))
        else:
            ways = options.thumbnails, not options.without_codes
            record |= in_new_process(gallery_single.fill, Path(name) / "gallery", options.single, *ways)
            print(gallery_single.verdict(record["blocks"]))
    out = options.out or (RESULTS if options.single is None else gallery_single.RESULTS)
    out.write_text(json.dumps(record, indent=1) + "\n")
    print(f"written: {out}")


if __name__ == "__main__":
    run(main)

"""Items that come one at a time, with searches between them, as from a camera: rate, memory, disk.

`benchmarks/gallery.py --single` runs this and writes benchmarks/results/gallery_single.json. Each item is
enrolled by a call of its own; a search follows every twentieth, through codes in memory as a server has them.
Every tenth call is made a second time, on a gallery beside it that began with 5,000 items and stays small:
what other work takes of the machine slows both, so `over_small`, the mean of the one by that of the other,
tells whether a call costs more where there are more items.
Bytes on disk are what files take, audit and all, beside those of the embeddings and thumbnails.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from embeddings import DIM, STATUS
from omnireid import ModelRef
from omnireid.cli.process import share_memory_among_threads
from omnireid.gallery.gallery import Gallery
from omnireid.gallery.items import Item

RESULTS = Path(__file__).parent / "results" / "gallery_single.json"
MODEL = ModelRef("made", "0" * 64, DIM)
SEARCH_EACH = 20
BLOCK = 5000
BESIDE_EACH = 10
THUMBNAIL_BYTES = 4096
COLUMNS = {
    "items": "{:>9,}",
    "items_per_s": "{:>11.1f}",
    "cpu_ms": "{:>7.1f}",
    "enrol_ms": "{:>8.1f}",
    "small_ms": "{:>8.1f}",
    "over_small": "{:>10.2f}",
    "enrol_p50_ms": "{:>12.1f}",
    "enrol_p99_ms": "{:>12.1f}",
    "search_p50_ms": "{:>13.1f}",
    "memory_gib": "{:>10.2f}",
    "files": "{:>7,}",
    "disk_over_data": "{:>14.2f}",
    "load": "{:>5.1f}",
}


def fill(folder: Path, items: int, thumbnails: bool, codes: bool) -> dict[str, Any]:
    """Fill a new gallery, and say of each block of items how it went."""
    share_memory_among_threads()  # As the server does.
    rng = np.random.default_rng(8)
    item_bytes = 4 * DIM + (THUMBNAIL_BYTES if thumbnails else 0)
    print(" ".join(f"{name:>{len(form.format(0))}}" for name, form in COLUMNS.items()))
    blocks = []
    with (
        Gallery.open(str(folder / "gallery")) as gallery,
        Gallery.open(str(folder / "beside")) as small,
    ):
        for number in range(min(items, BLOCK)):
            timed_enrol(small, number, rng, thumbnails)
        for first in range(0, items, BLOCK):
            enrols, beside, searches = [], [], []
            began, cpu_began = time.perf_counter(), time.process_time()
            for number in range(first, min(items, first + BLOCK)):
                embedding, milliseconds = timed_enrol(gallery, number, rng, thumbnails)
                enrols.append(milliseconds)
                if codes and number == 0:
                    gallery.warm()
                if number % BESIDE_EACH == 0:
                    beside.append(timed_enrol(small, BLOCK + number, rng, thumbnails)[1])
                if number % SEARCH_EACH == 0:
                    start = time.perf_counter()
                    result = gallery.search(embedding, model=MODEL)
                    searches.append(1000 * (time.perf_counter() - start))
                    assert result.candidates[0].item.time == 1_700_000_000.0 + number
            count = number + 1 - first
            files, disk = on_disk(folder / "gallery")
            block = {
                "items": number + 1,
                "items_per_s": count / (time.perf_counter() - began),
                "cpu_ms": 1000 * (time.process_time() - cpu_began) / count,
                "enrol_ms": float(np.mean(enrols)),
                "small_ms": float(np.mean(beside)),
                "over_small": float(np.mean(enrols) / np.mean(beside)),
                "enrol_p50_ms": float(np.median(enrols)),
                "enrol_p99_ms": float(np.quantile(enrols, 0.99)),
                "search_p50_ms": float(np.median(searches)),
                "memory_gib": memory_gib(),
                "files": files,
                "disk_bytes": disk,
                "disk_over_data": disk / ((number + 1) * item_bytes),
                "load": os.getloadavg()[0],
            }
            blocks.append(block)
            print(" ".join(form.format(block[name]) for name, form in COLUMNS.items()), flush=True)
    return {"item_bytes": item_bytes, "search_each": SEARCH_EACH, "codes": codes, "blocks": blocks}


def timed_enrol(
    gallery: Gallery, number: int, rng: np.random.Generator, thumbnails: bool
) -> tuple[np.ndarray, float]:
    """Enrol one new item; its embedding, and the milliseconds that the call took."""
    embedding = rng.standard_normal(DIM, np.float32)
    item = Item(
        camera=f"camera {number % 20}",
        time=1_700_000_000.0 + number,
        key=str(number),
        thumbnail=rng.bytes(THUMBNAIL_BYTES) if thumbnails else None,
    )
    start = time.perf_counter()
    assert gallery.enrol([item], embedding[None], model=MODEL).is_new.all()
    return embedding, 1000 * (time.perf_counter() - start)


def on_disk(folder: Path) -> tuple[int, int]:
    """Files below a folder, and bytes that they take."""
    files = size = 0
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                status = Path(root, name).stat()
            except FileNotFoundError:  # Old files are removed meanwhile.
                continue
            files, size = files + 1, size + 512 * status.st_blocks
    return files, size


def memory_gib() -> float:
    """Resident set of this process (Linux); NaN elsewhere."""
    if not STATUS.is_file():
        return float("nan")
    lines = dict(line.split(":", 1) for line in STATUS.read_text().splitlines())
    return int(lines["VmRSS"].split()[0]) / 2**20


def verdict(blocks: list[dict[str, Any]]) -> str:
    """How the last blocks compare with the first, and with what is wanted."""
    third = max(1, len(blocks) // 3)
    parts = (blocks[:third], blocks[-third:])
    early, late = (float(np.median([block["over_small"] for block in part])) for part in parts)
    memory = max(block["memory_gib"] for block in blocks)
    disk = blocks[-1]["disk_over_data"]
    return (
        f"a call over one on the small gallery: first third {early:.2f}, last third {late:.2f} "
        f"({late / early:.2f} times, 1 wanted); "
        f"memory {memory:.2f} GiB (at most 1 wanted); disk over data {disk:.2f} (below 3 wanted)"
    )

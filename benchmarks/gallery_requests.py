"""How many requests a gallery on object storage makes: counted at an S3 server of the tests, over loopback.

    python benchmarks/gallery_requests.py            # prints a table, writes results/gallery_requests.json

Counts, not times: a server on loopback says nothing about a provider's latency.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from omnireid import Filter, Gallery, Item, ModelRef, __version__
from options import new_file, run

TESTS = Path(__file__).resolve().parents[1] / "tests" / "gallery"
MODEL = ModelRef("made-up", "ab" * 32, 512)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=1_000)
    parser.add_argument(
        "--out", type=new_file, default=Path(__file__).parent / "results" / "gallery_requests.json"
    )
    args = parser.parse_args()
    sys.path.insert(0, str(TESTS))
    from bucket import Bucket

    bucket = Bucket()
    uri, rows = bucket.new_place(), []

    def count(name: str, act: Callable[[], object]) -> None:
        bucket.requests.clear()
        act()
        reads = bucket.requests["GET"] + bucket.requests["HEAD"]
        rows.append({"operation": name, "reads": reads, "writes": bucket.requests.total() - reads})

    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((args.items + 10, 512)).astype(np.float32)

    def items(first: int, last: int) -> tuple[list[Item], np.ndarray]:
        made = [
            Item(
                camera=f"c{n % 5}", time=float(n), identity=f"p{n // 10}", key=f"k{n}", thumbnail=b"x" * 2048
            )
            for n in range(first, last)
        ]
        return made, vectors[first:last]

    def opened() -> Gallery:
        return Gallery.open(uri, storage_options=bucket.options)

    people = opened()
    count(f"enrol {args.items:,} in one call", lambda: people.enrol(*items(0, args.items), model=MODEL))
    count("enrol one more", lambda: people.enrol(*items(args.items, args.items + 1), model=MODEL))
    count("enrol another", lambda: people.enrol(*items(args.items + 1, args.items + 2), model=MODEL))
    people.close()
    others = []
    count("open", lambda: others.append(opened()))
    (people,) = others
    query = vectors[3]
    for name in ("a process's first search", "search without codes in memory"):
        count(name, lambda: people.search(query, model=MODEL, k=10))
    count("load codes into memory", people.warm)
    for name in ("first search with codes", "search with codes in memory"):
        count(name, lambda: people.search(query, model=MODEL, k=10))
    where = Filter(cameras=frozenset({"c1"}), since=10.0)
    count("the same within a camera and a time", lambda: people.search(query, model=MODEL, k=10, where=where))
    count("name a person", lambda: people.name_identity("p3", "Ada"))
    count("forget a person of ten items", lambda: people.forget("p3"))
    people.close()
    bucket.close()
    for row in rows:
        print(f"| {row['operation']} | {row['reads']} | {row['writes']} |")
    record = {"omnireid": __version__, "server": "moto over loopback", "items": args.items, "rows": rows}
    args.out.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    run(main)

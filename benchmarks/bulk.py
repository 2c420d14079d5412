"""What parts and Ray cost on one machine: the plain command, a folder of parts, `--engine ray`, side by side.

Pictures are links to a few JPEG files, so that 200,000 of them take no room; each is opened, decoded and
embedded like any other. Every way is the command of a user, in a process of its own, start included. In each
round the ways come in turn, the other way round every second time; ratios are taken within a round. Vectors
of all ways must be equal.

    python benchmarks/bulk.py                        # 200,000 pictures: about six minutes a way on two cores
    python benchmarks/bulk.py --pictures 20000 --rounds 3
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from omnireid import read_embeddings
from omnireid.core.errors import OmniReIDError
from omnireid.core.record import EnvironmentRecord
from omnireid.inference.options import DEFAULT_MODEL
from options import new_file, new_folder, run

RESULTS = Path(__file__).parent / "results" / "bulk.json"
WAYS = {"plain": ["one.parquet"], "parts": ["parts"], "ray": ["ray", "--engine", "ray"]}
NUM_FILES = 64


def write_pictures(folder: Path, count: int) -> None:
    """Crops of 64×128 that take as many bits as photographs, and names for all of them."""
    rng = np.random.default_rng(0)
    for index in range(count):
        path = folder / f"{index // 1000:04d}" / f"{index:07d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        if index >= NUM_FILES:
            path.symlink_to(folder / "0000" / f"{index % NUM_FILES:07d}.jpg")
            continue
        coarse = Image.fromarray(rng.integers(0, 256, (16, 8, 3), dtype=np.uint8))
        smooth = np.asarray(coarse.resize((64, 128), Image.Resampling.BICUBIC), np.float32)
        noisy = np.clip(smooth + rng.normal(0, 4, smooth.shape), 0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(path, quality=90)


def seconds(way: str, pictures: Path, out: Path, options: list[str]) -> float:
    """Of one command from its start to its end."""
    name, *more = WAYS[way]
    command = [sys.executable, "-m", "omnireid", "embed", str(pictures), "--out", str(out / name)]
    began = time.perf_counter()
    done = subprocess.run([*command, *options, *more], capture_output=True, text=True)
    if done.returncode:
        raise OmniReIDError(f"{way}: {done.stderr[-2000:]}")
    return time.perf_counter() - began


def measure(pictures: Path, scratch: Path, rounds: int, options: list[str]) -> dict[str, list[float]]:
    """Seconds of every way, round by round."""
    measured: dict[str, list[float]] = {way: [] for way in WAYS}
    for number in range(rounds):
        out = scratch / f"round{number}"
        for way in reversed(WAYS) if number % 2 else WAYS:
            measured[way].append(seconds(way, pictures, out, options))
            print(f"round {number + 1}, {way}: {measured[way][-1]:.1f} s", file=sys.stderr)
        plain = read_embeddings(out / WAYS["plain"][0])
        for way in ("parts", "ray"):
            other = read_embeddings(out / WAYS[way][0])
            if other.paths != plain.paths or not np.array_equal(other.vectors, plain.vectors):
                raise OmniReIDError(f"{way}: other rows than the plain command")
    return measured


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pictures", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--scratch", type=new_folder, help="Folder for pictures and results, thrown away.")
    parser.add_argument("--out", type=new_file, default=RESULTS)
    args = parser.parse_args()
    options = ["--model", args.model]
    # Kernels that are not compiled yet would count for the first way alone.
    with tempfile.TemporaryDirectory(dir=args.scratch) as folder:
        scratch = Path(folder)
        write_pictures(scratch / "pictures", args.pictures)
        seconds("plain", scratch / "pictures" / "0000" / "0000000.jpg", scratch / "warm", options)
        measured = measure(scratch / "pictures", scratch, args.rounds, options)
    ratios = {
        way: statistics.median(a / b for a, b in zip(measured[way], measured["plain"], strict=True))
        for way in WAYS
    }
    print(f"| {args.pictures:,} pictures, {args.model} | seconds | of the plain command |\n|---|---:|---:|")
    for way, times in measured.items():
        print(f"| {way} | {statistics.median(times):.1f} | {ratios[way]:.3f} |")
    record = {
        "environment": EnvironmentRecord.capture().model_dump(),
        "load_average": os.getloadavg()[0],
        "model": args.model,
        "pictures": args.pictures,
        "seconds": measured,
        "ratios": ratios,
    }
    args.out.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    run(main)

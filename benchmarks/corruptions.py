"""How fast pictures are corrupted, beside the published code.

    OMP_NUM_THREADS=1 python benchmarks/corruptions.py [--reference-python reference/bin/python] [--rounds 5]

Every corruption at every severity on eight rendered 64×128 crops (width × height), one thread. The published
code runs in a process of its own (benchmarks/corruption_reference.py says how to install it) and takes turns
with ours cell by cell. Medians over the rounds of CPU time, which other work on the machine disturbs less
than the clock. Also: what a first run on a new machine spends on compiling, and what a second thread adds.
Prints a table and writes benchmarks/results/corruptions.json.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack
from functools import lru_cache
from pathlib import Path
from typing import IO

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from omnireid.core.files import write_text
from omnireid.core.images import Crop, decode
from omnireid.core.record import EnvironmentRecord
from omnireid.robustness.corruptions import corrupt
from omnireid.robustness.suite import CORRUPTIONS, SEVERITIES
from options import existing, run

HERE = Path(__file__).parent
TIMED = 8
REPEATS = 4
FIRST_USE = """
import time
import numpy as np
from omnireid.robustness import CORRUPTIONS, corrupt
from omnireid.robustness import blur, digital, frost, noise, weather
start = time.process_time()
for name in CORRUPTIONS:
    corrupt(np.zeros((8, 8, 3), np.uint8), name, 1, np.random.default_rng(0))
print(time.process_time() - start)
"""


@lru_cache(maxsize=1)
def read_crops() -> list[Crop]:
    with np.load(HERE.parent / "tests" / "robustness" / "crops.npz") as files:
        crops = [decode(files[key].tobytes()) for key in sorted(files.files)]
    return [crop for crop in crops if crop.shape == (128, 64, 3)][:TIMED]


def ours(crops: list[Crop], name: str, severity: int) -> float:
    """CPU seconds per crop."""
    rng = np.random.default_rng(0)
    start = time.process_time()
    for _ in range(REPEATS):
        for crop in crops:
            corrupt(crop, name, severity, rng)
    return (time.process_time() - start) / (REPEATS * len(crops))


class Reference:
    """The published code in its own process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._requests: IO[str] = process.stdin
        self._answers: IO[str] = process.stdout

    def seconds(self, name: str, severity: int) -> float:
        """CPU seconds per crop."""
        self._requests.write(f"{name} {severity}\n")
        self._requests.flush()
        for line in self._answers:
            if line.startswith("seconds "):
                return float(line.split()[1]) / TIMED
        raise SystemExit("the reference's process has ended")


def first_use(cache: str) -> float:
    """CPU seconds of calling each corruption once in a new process, with compiled code kept in `cache`."""
    environment = os.environ | {"NUMBA_CACHE_DIR": cache}
    done = subprocess.run(
        [sys.executable, "-c", FIRST_USE], env=environment, capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def one_of_the_suite(number: int) -> None:
    cells = [(name, severity) for name in CORRUPTIONS for severity in SEVERITIES]
    corrupt(read_crops()[number % TIMED], *cells[number % len(cells)], np.random.default_rng(number))


def suite_seconds(pool: Executor) -> float:
    """Seconds by the clock for the whole suite twice, spread over the pool."""
    start = time.perf_counter()
    list(pool.map(one_of_the_suite, range(200), chunksize=10))
    return time.perf_counter() - start


def gains_of_two(rounds: int) -> tuple[float, float]:
    """Pictures a second with two threads, and with two processes, to those with one thread.

    The best of many short rounds: other work on the machine must leave both cores alone for one of them.
    The processes say whether it did, for they share nothing.
    """
    processes = ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn"))
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(2) as two, processes:
        pools: tuple[Executor, ...] = (one, two, processes)
        for pool in pools:
            suite_seconds(pool)  # started and loaded
        best = np.min([[suite_seconds(pool) for pool in pools] for _ in range(rounds)], axis=0)
    return float(best[0] / best[1]), float(best[0] / best[2])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--reference-python", type=existing, help="Python with the published code installed")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    crops = read_crops()

    with tempfile.TemporaryDirectory() as cache:
        compile_and_load, load = first_use(cache), first_use(cache)

    cells = [(name, severity) for name in CORRUPTIONS for severity in SEVERITIES]
    found: dict[tuple[str, int], list[float]] = {cell: [] for cell in cells}
    published: dict[tuple[str, int], list[float]] = {cell: [] for cell in cells}
    with ExitStack() as stack:
        reference = None
        if arguments.reference_python is not None:
            command = [arguments.reference_python, "-W", "ignore", HERE / "corruption_reference.py", "serve"]
            reference = Reference(
                stack.enter_context(
                    subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
                )
            )
        for name, severity in cells:  # compiled, overlays made, tables filled
            ours(crops[:1], name, severity)
        for _ in range(arguments.rounds):
            for cell in cells:
                found[cell].append(ours(crops, *cell))
                if reference is not None:
                    published[cell].append(reference.seconds(*cell))
    threads_gain, processes_gain = gains_of_two(10 * arguments.rounds)

    def total(times: dict[tuple[str, int], list[float]], *names: str) -> float:
        return 1000 * statistics.fmean(
            statistics.median(times[name, severity]) for name in names for severity in SEVERITIES
        )

    table = Table(title="CPU milliseconds per 64×128 crop, mean of five severities, one thread")
    for heading in ("corruption", "ours", "published", "times faster"):
        table.add_column(heading, justify="left" if heading == "corruption" else "right")
    rows = []
    others = tuple(name for name in CORRUPTIONS if name != "glass_blur")
    groups = [
        *((name, (name,)) for name in CORRUPTIONS),
        ("all", CORRUPTIONS),
        ("all but glass_blur", others),
    ]
    for label, names in groups:
        row: dict[str, object] = {"corruption": label, "ours_ms": round(total(found, *names), 4)}
        columns = [label, f"{total(found, *names):.3f}", "–", "–"]
        if reference is not None:
            ratio = total(published, *names) / total(found, *names)
            row |= {"published_ms": round(total(published, *names), 4), "ratio": round(ratio, 2)}
            columns[2:] = [f"{total(published, *names):.2f}", f"{ratio:.1f}"]
        rows.append(row)
        table.add_row(*columns)
    console = Console()
    console.print(table)
    console.print(f"First use of all twenty: {compile_and_load:.1f} s, {load:.1f} s when compiled before")
    console.print(f"To one thread: two threads {threads_gain:.2f}, two processes {processes_gain:.2f}")
    result = {
        "rounds": arguments.rounds,
        "crops": len(crops),
        "rows": rows,
        "first_use_cpu_s": {"compiling": round(compile_and_load, 2), "compiled_before": round(load, 2)},
        "gain_of_two": {"threads": round(threads_gain, 3), "processes": round(processes_gain, 3)},
        "environment": EnvironmentRecord.capture().model_dump(),
    }
    write_text(HERE / "results" / "corruptions.json", json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    run(main)

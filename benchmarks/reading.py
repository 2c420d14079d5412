"""How long a million file names take to be read and checked, and how much memory.

    python benchmarks/reading.py [--files 1000000] [--rounds 3] [--folder DIR]

Makes sparse files (no content on disk), reads them in a process of its own per round, prints a table and
writes benchmarks/results/reading.json. The first round of each case, which fills the system's cache, is
not counted. System calls are counted by strace where it is installed, in a round of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from omnireid.core.record import EnvironmentRecord
from options import new_folder, run

FILE_BYTES = 8192
CAMERAS = 6
PER_PERSON = 50
LIMIT_SECONDS, LIMIT_MIB = 15, 1024
RESULTS = Path(__file__).parent / "results" / "reading.json"

MEASURE = """
import json, resource, sys, time
from omnireid.data.datasets import read_dataset
from omnireid.data.validate import validate_dataset
name, root, what = sys.argv[1:]
if what == "nothing":
    sys.exit()
wall, cpu = time.perf_counter(), time.process_time()
dataset = read_dataset(name, root, check_counts=False)
files = len({path for split in dataset.splits for path in split.paths}) if what == "count" else 0
if what == "validate":
    validate_dataset(dataset, decode=False)
print(json.dumps({
    "wall_s": time.perf_counter() - wall,
    "cpu_s": time.process_time() - cpu,
    "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    "files": files,
    "skipped": len(dataset.skipped),
}))
"""


def make_files(folder: Path, names: Iterable[str]) -> None:
    """Sparse files: a size, no content."""
    folder.mkdir(parents=True)
    place = os.open(folder, os.O_RDONLY)
    for name in names:
        descriptor = os.open(name, os.O_CREAT | os.O_WRONLY, dir_fd=place)
        os.ftruncate(descriptor, FILE_BYTES)
        os.close(descriptor)
    os.close(place)


def make_market(root: Path, num_files: int) -> None:
    """The names of Market-1501, in its three folders."""
    train, query = int(num_files * 0.4), int(num_files * 0.1)
    parts = {
        "bounding_box_train": train,
        "query": query,
        "bounding_box_test": num_files - train - query,
    }
    for folder, number in parts.items():
        make_files(
            root / folder,
            (f"{n % 1502:04d}_c{n % CAMERAS + 1}s1_{n:06d}_{n % 90:02d}.jpg" for n in range(number)),
        )


def make_people(root: Path, num_files: int) -> None:
    """A folder per person, fifty pictures in each, the camera in the name."""
    for person in range(num_files // PER_PERSON):
        make_files(root / f"{person:05d}", (f"c{n % CAMERAS + 1}_{n:04d}.jpg" for n in range(PER_PERSON)))


def make_manifest(path: Path, num_files: int) -> None:
    """A table of as many pictures; none of them has to exist."""
    with path.open("w") as stream:
        stream.write("path,pid,camid,split\n")
        for n in range(num_files):
            pid, camid = n % 1502, n % CAMERAS
            stream.write(f"bounding_box_train/{pid:04d}_c{camid + 1}s1_{n:06d}_00.jpg,{pid},{camid},train\n")


def measure(name: str, root: Path, what: str) -> dict[str, float]:
    command = [sys.executable, "-c", MEASURE, name, str(root), what]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout))


def count_calls(name: str, root: Path, what: str) -> dict[str, int] | None:
    """System calls that name a file, by name, without those of starting Python; None without strace."""
    if shutil.which("strace") is None:
        return None
    counts: dict[str, int] = {}
    for sign, asked in ((-1, "nothing"), (1, what)):
        with tempfile.NamedTemporaryFile("r") as log:
            command = ["strace", "-f", "-c", "-e", "trace=%file,getdents64", "-o", log.name]
            command += [sys.executable, "-c", MEASURE, name, str(root), asked]
            subprocess.run(command, capture_output=True, check=True)
            # "% time  seconds  usecs/call  calls  [errors]  syscall"
            for line in log.read().splitlines():
                found = re.match(r"\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?([a-z]\w+)$", line)
                if found and found[2] != "total":
                    counts[found[2]] = counts.get(found[2], 0) + sign * int(found[1])
    return {call: number for call, number in sorted(counts.items()) if number > 0}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=new_folder, help="where to make the files; they are removed again")
    arguments = parser.parse_args()

    console = Console()
    table = Table(
        title=f"{arguments.files:,} files (limits of reading: {LIMIT_SECONDS} s, {LIMIT_MIB:,} MiB)"
    )
    for heading in ("layout", "work", "best s", "median s", "CPU s", "peak MiB", "stat calls"):
        table.add_column(heading, justify="left" if heading in ("layout", "work") else "right")
    rows = []
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        market, people, table_file = (Path(folder, name) for name in ("market", "people", "table.csv"))
        make_market(market, arguments.files)
        make_people(people, arguments.files)
        make_manifest(table_file, arguments.files)
        cases = [
            ("market1501", market, "read"),
            ("market-layout", market, "read"),
            ("folder-per-person", people, "read"),
            ("manifest", table_file, "read"),
            ("market1501", market, "validate"),
        ]
        for name, root, what in cases:
            taken = measure(name, root, "count")
            assert taken["files"] == arguments.files, f"{name}: {taken}"
            rounds = [measure(name, root, what) for _ in range(arguments.rounds)]
            calls = count_calls(name, root, what)
            row = {
                "layout": name,
                "work": what,
                "wall_s_best": round(min(one["wall_s"] for one in rounds), 2),
                "wall_s_median": round(statistics.median(one["wall_s"] for one in rounds), 2),
                "cpu_s_best": round(min(one["cpu_s"] for one in rounds), 2),
                "peak_mib": round(max(one["peak_mib"] for one in rounds)),
                "system_calls": calls,
            }
            rows.append(row)
            num_stats = sum(n for call, n in (calls or {}).items() if "stat" in call)
            table.add_row(
                name,
                what,
                f"{row['wall_s_best']:.1f}",
                f"{row['wall_s_median']:.1f}",
                f"{row['cpu_s_best']:.1f}",
                f"{row['peak_mib']:,}",
                "?" if calls is None else f"{num_stats:,}",
            )
    console.print(table)
    RESULTS.parent.mkdir(exist_ok=True)
    result = {
        "files": arguments.files,
        "rounds": arguments.rounds,
        "load_average": round(os.getloadavg()[0], 1),
        "rows": rows,
        "environment": EnvironmentRecord.capture().model_dump(),
    }
    RESULTS.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    run(main)

"""How fast people are rendered, JPEG files and all.

    python benchmarks/rendering.py [--pids 150] [--rounds 3]

Prints a table and writes benchmarks/results/rendering.json. The cases take turns within each round,
so that whatever else the machine does falls on all of them; the best round is the machine's ability,
the median what a busy machine gave.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from omnireid.core.machine import available_cores
from omnireid.core.record import EnvironmentRecord
from omnireid.synthetic.dataset import render_dataset
from omnireid.synthetic.options import RenderOptions

SIZES = ((256, 128), (128, 64))
CAMERAS, CROPS = 4, 4
RESULTS = Path(__file__).parent / "results" / "rendering.json"


def seconds(height: int, width: int, workers: int, num_pids: int, seed: int) -> tuple[int, float]:
    """Pictures and seconds of one dataset, starting the processes included."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        dataset = render_dataset(
            folder,
            RenderOptions(
                seed=seed,
                num_train_pids=num_pids,
                num_test_pids=0,
                num_cameras=CAMERAS,
                crops_per_camera=CROPS,
                height=height,
                width=width,
            ),
            workers=workers,
        )
        return len(dataset.train), time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pids", type=int, default=150, help="people per round, 16 pictures each")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()

    cases = [(size, workers) for size in SIZES for workers in sorted({1, available_cores()})]
    rates: dict[tuple[tuple[int, int], int], list[float]] = {case: [] for case in cases}
    for number in range(arguments.rounds):
        for (height, width), workers in cases:
            pictures, spent = seconds(height, width, workers, arguments.pids, seed=number)
            rates[(height, width), workers].append(pictures / spent)

    table = Table(title="Rendering, pictures per second (drawn, compressed and written)")
    for heading in ("size", "processes", "median", "best"):
        table.add_column(heading, justify="right")
    rows = []
    for ((height, width), workers), found in rates.items():
        row = {
            "height": height,
            "width": width,
            "workers": workers,
            "pictures_per_second_median": round(statistics.median(found), 1),
            "pictures_per_second_best": round(max(found), 1),
        }
        rows.append(row)
        table.add_row(
            f"{height}×{width}",
            str(workers),
            f"{row['pictures_per_second_median']:,.0f}",
            f"{row['pictures_per_second_best']:,.0f}",
        )
    Console().print(table)
    RESULTS.parent.mkdir(exist_ok=True)
    result = {
        "pictures_per_round": arguments.pids * CAMERAS * CROPS,
        "rounds": arguments.rounds,
        "rows": rows,
        "environment": EnvironmentRecord.capture().model_dump(),
    }
    RESULTS.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()

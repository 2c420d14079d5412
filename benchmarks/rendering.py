"""How fast people are rendered and filmed, JPEG files and videos and all.

    python benchmarks/rendering.py [--pids 150] [--rounds 3]

Prints a table and writes benchmarks/results/rendering.json. The cases take turns within each round,
so that whatever else the machine does falls on all of them; the best round is the machine's ability,
the median what a busy machine gave. Starting the processes counts, compiling in each included.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table

from omnireid.core.machine import available_cores
from omnireid.core.record import EnvironmentRecord
from omnireid.synthetic.dataset import render_dataset
from omnireid.synthetic.options import FilmOptions, RenderOptions, Style
from omnireid.synthetic.places.films import render_films

CAMERAS, CROPS = 4, 4
FILMS, MINUTES, FPS = 2, 0.5, 5
RESULTS = Path(__file__).parent / "results" / "rendering.json"


def crops(folder: str, workers: int, seed: int, *, style: Style, size: tuple[int, int], pids: int) -> int:
    """Render a dataset; its number of pictures."""
    options = RenderOptions(
        seed=seed,
        num_train_pids=pids,
        num_test_pids=0,
        num_cameras=CAMERAS,
        crops_per_camera=CROPS,
        height=size[0],
        width=size[1],
        style=style,
    )
    return len(render_dataset(folder, options, workers=workers).train)


def frames(folder: str, workers: int, seed: int, *, size: tuple[int, int], people: int) -> int:
    """Film two cameras for half a minute; the number of frames of both."""
    height, width = size
    options = FilmOptions(
        seed=seed,
        num_cameras=FILMS,
        num_people=people,
        minutes=MINUTES,
        fps=FPS,
        height=height,
        width=width,
    )
    return len(render_films(folder, options, workers=workers)) * options.num_frames


def seen_people(folder: str) -> float:
    """People in a frame of a film, on the mean."""
    lines = [len(path.read_text().splitlines()) for path in Path(folder).glob("*/gt/gt.txt")]
    return sum(lines) / (FILMS * MINUTES * 60 * FPS)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pids", type=int, default=150, help="people per round, 16 pictures each")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()

    products: dict[str, Callable[[str, int, int], int]] = {
        "flat crops 256×128": partial(crops, style="flat", size=(256, 128), pids=arguments.pids),
        "flat crops 128×64": partial(crops, style="flat", size=(128, 64), pids=arguments.pids),
        "mesh crops 128×64": partial(crops, style="mesh", size=(128, 64), pids=arguments.pids),
        "film frames 960×540": partial(frames, size=(540, 960), people=30),
    }
    cases = [(name, workers) for name in products for workers in sorted({1, available_cores()})]
    rates: dict[tuple[str, int], list[float]] = {case: [] for case in cases}
    people: list[float] = []
    for number in range(arguments.rounds):
        for name, workers in cases:
            with tempfile.TemporaryDirectory() as folder:
                start = time.perf_counter()
                made = products[name](folder, workers, number + 1)
                rates[name, workers].append(made / (time.perf_counter() - start))
                people += [seen_people(folder)] if name.startswith("film") else []

    table = Table(title="Rendering, a second (drawn, compressed and written)")
    for heading in ("product", "processes", "median", "best"):
        table.add_column(heading, justify="right")
    rows = []
    for (name, workers), found in rates.items():
        row = {
            "product": name,
            "workers": workers,
            "per_second_median": round(statistics.median(found), 1),
            "per_second_best": round(max(found), 1),
        }
        rows.append(row)
        table.add_row(*(str(value) for value in row.values()))
    Console().print(table)
    result = {
        "pictures_per_round": arguments.pids * CAMERAS * CROPS,
        "people_in_a_frame": round(statistics.mean(people), 1),
        "rounds": arguments.rounds,
        "rows": rows,
        "environment": EnvironmentRecord.capture().model_dump(),
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()

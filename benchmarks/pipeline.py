"""From picture files to embeddings, beside the bare network on crops that lie in memory.

JPEG files of several sizes are decoded, resized and embedded as `omnireid embed` does it. Each round times
in turn the network alone (same backend, same batches, uint8 crops in memory), the whole way from the files,
and decoding alone: with Pillow's resize, with the compiled one that 5,000 files and more get, and with JPEG
scaling on top. Decoding and network share the cores, so where the network keeps them busy no program can
reach more of its speed than

    bound = processor seconds of the network / (those + processor seconds of decoding)

    python benchmarks/pipeline.py            # prints the table, writes benchmarks/results/pipeline.json
    python benchmarks/pipeline.py --model FILE --backend onnx

Without --model, OSNet x0.25 and x1.0 with random weights are exported; speed does not depend on the weights.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from omnireid import Embedder
from omnireid.cli.process import keep_freed_memory
from omnireid.core.card import InputSpec
from omnireid.core.machine import available_cores
from omnireid.core.record import EnvironmentRecord
from omnireid.core.types import Sample
from omnireid.data.loading import CropLoader, LoadCrop, Reading, load_many, load_sample
from options import existing, run

RESULTS = Path(__file__).parent / "results" / "pipeline.json"
SIZES = ((64, 128), (128, 256), (400, 800), (512, 1024))
NUM_FILES = 128
ARCHITECTURES = {"osnet_x0_25": 512, "osnet_x1_0": 128}
GOAL = 0.9


def write_pictures(folder: Path, width: int, height: int) -> list[str]:
    """Crops that take as many bits as photographs (1.6 to 3.2 a pixel): smooth shapes with some noise."""
    rng = np.random.default_rng(0)
    paths = []
    for index in range(NUM_FILES):
        coarse = Image.fromarray(rng.integers(0, 256, (16, 8, 3), dtype=np.uint8))
        picture = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), np.float32)
        noisy = np.clip(picture + rng.normal(0, 4, picture.shape), 0, 255).astype(np.uint8)
        path = folder / f"{width}x{height}-{index:04d}.jpg"
        Image.fromarray(noisy).save(path, quality=90)
        paths.append(str(path))
    return paths


def file_bytes(paths: list[str]) -> int:
    return sum(Path(path).stat().st_size for path in paths)


def export_models(folder: Path) -> dict[str, int]:
    """File → pictures in one timing, of ONNX files with random weights."""
    from omnireid.inference.export.exporter import export_onnx
    from omnireid.models.cards import model_card
    from omnireid.models.osnet import OSNet
    from omnireid.models.registry import architecture_config

    files = {}
    for name, count in ARCHITECTURES.items():
        path = folder / f"{name}.onnx"
        export_onnx(OSNet(architecture_config(name)).eval(), model_card(name), path)
        files[str(path)] = count
    return files


def decode_all(samples: list[Sample], spec: InputSpec, load: LoadCrop, batch_size: int) -> None:
    starts = range(0, len(samples), batch_size)
    batches = (range(start, min(start + batch_size, len(samples))) for start in starts)
    for _ in CropLoader(samples, spec, load=load).load(batches):
        pass


def measure(
    embedder: Embedder, paths: list[str], count: int, rounds: int
) -> dict[str, list[tuple[float, float]]]:
    """(seconds, processor seconds) per crop of every way, round by round."""
    samples = [Sample(paths[index % len(paths)], pid=-1, camid=-1) for index in range(count)]
    spec, batch_size = embedder.card.input, embedder.batch_size
    many, scaled = load_many(spec), load_many(spec, scaled=True)
    crops = np.stack([many(sample, spec) for sample in samples])

    def bare() -> None:
        for start in range(0, count, batch_size):
            embedder.backend.embed(crops[start : start + batch_size])

    def from_files() -> None:
        for _ in embedder.embed_stream(samples, Reading(load=many)):
            pass

    ways: dict[str, Callable[[], None]] = {
        "bare": bare,
        "from_files": from_files,
        "decode_pillow": lambda: decode_all(samples, spec, load_sample, batch_size),
        "decode_compiled": lambda: decode_all(samples, spec, many, batch_size),
        "decode_scaled": lambda: decode_all(samples, spec, scaled, batch_size),
    }
    measured: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
    bare()
    for _ in range(rounds):
        for way, call in ways.items():
            began, began_cpu = time.perf_counter(), time.process_time()
            call()
            seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - began_cpu
            measured[way].append((seconds / count, cpu_seconds / count))
    return measured


def summarise(measured: dict[str, list[tuple[float, float]]]) -> dict[str, float]:
    """Medians; shares are medians of the rounds' own, whose parts stood side by side."""
    rounds = [
        {way: values[turn] for way, values in measured.items()} for turn in range(len(measured["bare"]))
    ]
    shares = [way["bare"][0] / way["from_files"][0] for way in rounds]
    cpu_shares = [way["bare"][1] / way["from_files"][1] for way in rounds]
    bounds = [way["bare"][1] / (way["bare"][1] + way["decode_compiled"][1]) for way in rounds]
    cpu_ms = {
        f"{way}_cpu_ms": 1e3 * statistics.median(cpu for _, cpu in values) for way, values in measured.items()
    }
    return {
        "bare_crops_per_second": 1 / statistics.median(seconds for seconds, _ in measured["bare"]),
        "from_files_crops_per_second": 1
        / statistics.median(seconds for seconds, _ in measured["from_files"]),
        "share_of_bare": statistics.median(shares),
        "share_of_bare_best": max(shares),
        "share_of_bare_by_processor_time": statistics.median(cpu_shares),
        "bound": statistics.median(bounds),
        **cpu_ms,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument(
        "--model", type=existing, action="append", help="model file (repeat for more); else two are exported"
    )
    parser.add_argument("--backend", default="auto", help="as Embedder.open takes it")
    parser.add_argument("--images", type=int, default=512, help="files in one timing of a model given")
    arguments = parser.parse_args()
    keep_freed_memory()
    cores = available_cores()
    rows = []
    print(
        "| model | backend | files | bare crops/s | from files | share (best; by CPU time) | bound "
        "| CPU ms: network | decode | … Pillow's resize | … scaled |\n|---|---|---|" + "---:|" * 8
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pictures = {size: write_pictures(folder, *size) for size in SIZES}
        models = (
            dict.fromkeys(arguments.model, arguments.images) if arguments.model else export_models(folder)
        )
        for model, count in models.items():
            embedder = Embedder.open(model, backend=arguments.backend)
            for (width, height), paths in pictures.items():
                figures = summarise(measure(embedder, paths, count, arguments.rounds))
                row = {
                    "model": Path(model).name,
                    "backend": embedder.backend.name,
                    "file_size": [width, height],
                    "bits_per_pixel": 8 * file_bytes(paths) / (width * height * len(paths)),
                    "input": [embedder.card.input.height, embedder.card.input.width],
                    "batch": embedder.batch_size,
                    "network_threads": cores,
                    "decoding_threads": cores,
                    "files": count,
                    **figures,
                }
                rows.append(row)
                print(
                    f"| {row['model']} | {row['backend']} | {width}×{height} "
                    f"| {figures['bare_crops_per_second']:.0f} "
                    f"| {figures['from_files_crops_per_second']:.0f} "
                    f"| {figures['share_of_bare']:.1%} ({figures['share_of_bare_best']:.1%}; "
                    f"{figures['share_of_bare_by_processor_time']:.1%}) | {figures['bound']:.1%} "
                    f"| {figures['bare_cpu_ms']:.2f} | {figures['decode_compiled_cpu_ms']:.2f} "
                    f"| {figures['decode_pillow_cpu_ms']:.2f} | {figures['decode_scaled_cpu_ms']:.2f} |",
                    flush=True,
                )
    result = {
        "rounds": arguments.rounds,
        "cores": cores,
        "goal_share_of_bare": GOAL,
        "environment": EnvironmentRecord.capture().model_dump(),
        "rows": rows,
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    run(main)

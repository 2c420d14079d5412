"""A dataset of rendered people on disk, in the layout of Market-1501.

Every picture is a pure function of the seed and its own pid, camera and index, so neither the number of
workers nor an interruption changes a byte. `card.json` is written last: where it is, the dataset is whole.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console

from omnireid.core.errors import DatasetError, InputError, OmniReIDError
from omnireid.core.files import write_bytes, write_text
from omnireid.core.machine import available_cores
from omnireid.core.progress import progress_bar
from omnireid.core.seeds import derive_seed
from omnireid.core.types import DISTRACTOR_PID, JUNK_PID, Dataset, Sample, Split
from omnireid.synthetic.crop import render_jpeg
from omnireid.synthetic.opencv import cv2
from omnireid.synthetic.options import RenderOptions, World

RENDERER_VERSION = 1
CARD_NAME = "card.json"
PLAN_NAME = ".rendering.json"
FOLDERS = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}

_END_OF_JPEG = b"\xff\xd9"
_CHUNK = 32


@dataclass(frozen=True, slots=True)
class PlannedCrop:
    """One picture to be: `subject` is who or what is drawn, `pid` what the file name says."""

    path: str
    pid: int
    camid: int
    subject: int
    index: int
    content: str


def plan_dataset(options: RenderOptions) -> dict[str, tuple[PlannedCrop, ...]]:
    """Which pictures a dataset consists of: split name to pictures, in the order of their file names."""
    splits: dict[str, list[PlannedCrop]] = {name: [] for name in FOLDERS}
    first_test = options.first_pid + options.num_train_pids
    for pid in range(options.first_pid, first_test + options.num_test_pids):
        for camid in range(options.num_cameras):
            for index in range(options.crops_per_camera):
                split = "train" if pid < first_test else ("query" if index == 0 else "gallery")
                splits[split].append(_planned(options, split, pid, camid, pid, index, "person"))
    if options.num_test_pids:
        strangers = first_test + options.num_test_pids
        for number in range(options.num_distractors):
            camid = number % options.num_cameras
            # Half are people nobody asks for, half are boxes without a person, as detectors give them.
            content = "background" if number % 2 else "person"
            splits["gallery"].append(
                _planned(options, "gallery", DISTRACTOR_PID, camid, strangers + number // 2, number, content)
            )
        for number in range(options.num_junk):
            camid = number % options.num_cameras
            subject = first_test + (number // options.num_cameras) % options.num_test_pids
            index = options.crops_per_camera + number
            splits["gallery"].append(_planned(options, "gallery", JUNK_PID, camid, subject, index, "part"))
    return {name: tuple(sorted(crops, key=lambda crop: crop.path)) for name, crops in splits.items()}


def _planned(
    options: RenderOptions, split: str, pid: int, camid: int, subject: int, index: int, content: str
) -> PlannedCrop:
    # A walk past a camera starts at some frame; its pictures are a dozen frames apart.
    frame = derive_seed(options.seed, "frame", subject, camid) % 90_000 + 12 * index
    name = f"-1_c{camid + 1}" if pid == JUNK_PID else f"{pid:04d}_c{camid + 1}"
    path = f"{FOLDERS[split]}/{name}s1_{frame:06d}_{index:02d}.jpg"
    return PlannedCrop(path, pid, camid, subject, index, content)


def render_dataset(
    root: str | os.PathLike[str],
    options: RenderOptions = RenderOptions(),
    *,
    workers: int | None = None,
    console: Console | None = None,
) -> Dataset:
    """Render a dataset into `root`, or complete one that was interrupted there.

    Args:
        root: a new or empty folder, or one that holds this very dataset, whole or begun.
        options: What is rendered.
        workers: processes; None takes the cores available. 1 renders in this process. With more, a script
            must call this under `if __name__ == "__main__":`, as new processes import it.
        console: where a progress bar is shown; None shows none.

    Returns:
        The dataset, its samples in file-name order. Junk is on disk, yet in no split, as readers skip it.

    Raises:
        InputError: workers out of range.
        DatasetError: `root` holds something else, or a dataset of other options.
        StorageError: the disk is full or cannot be written; run it again to complete the dataset.
    """
    cores = available_cores()
    workers = cores if workers is None else workers
    if workers < 1:
        raise InputError(f"workers: at least 1, got {workers}")
    folder = Path(root)
    plan = plan_dataset(options)
    if not _claim(folder, options):
        missing = [crop for crops in plan.values() for crop in crops if not _is_whole(folder / crop.path)]
        _render_all(folder, options, missing, min(workers, cores), console)
        if hasattr(os, "sync"):
            # One flush for all pictures, before the card says that they are there.
            os.sync()
        write_text(folder / CARD_NAME, json.dumps(_card(options, plan), indent=2) + "\n")
        (folder / PLAN_NAME).unlink(missing_ok=True)
    return _dataset(folder, plan)


def _claim(folder: Path, options: RenderOptions) -> bool:
    """True where this dataset is already whole; else mark the folder as this dataset's.

    Raises:
        DatasetError: the folder holds something else.
    """
    wanted = _identity(options)
    for name, whole in ((CARD_NAME, True), (PLAN_NAME, False)):
        marker = folder / name
        if not marker.is_file():
            continue
        try:
            stated = json.loads(marker.read_text())
            stated = {key: stated.get(key) for key in wanted}
        except (ValueError, AttributeError) as error:
            raise DatasetError(
                f"{marker}: not written by the renderer; choose another folder or empty it"
            ) from error
        if stated != wanted:
            raise DatasetError(
                f"{folder} holds another rendered dataset ({_difference(stated, wanted)}); "
                "choose another folder or delete it"
            )
        return whole
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DatasetError(f"{folder} is not empty and holds no rendered dataset; choose a new folder")
    write_text(folder / PLAN_NAME, json.dumps(wanted, indent=2) + "\n")
    return False


def _identity(options: RenderOptions) -> dict[str, object]:
    # Datasets of before there was a first pid stay what they are.
    known = {name: value for name, value in asdict(options).items() if (name, value) != ("first_pid", 1)}
    return {"renderer_version": RENDERER_VERSION, "options": known}


def _difference(stated: dict[str, object], wanted: dict[str, object]) -> str:
    if stated["renderer_version"] != wanted["renderer_version"] or not isinstance(stated["options"], dict):
        return f"of renderer version {stated['renderer_version']}, this is {wanted['renderer_version']}"
    options = wanted["options"]
    assert isinstance(options, dict)
    pairs = [f"{key} {stated['options'].get(key)}, not {value}" for key, value in options.items()]
    return "; ".join(
        pair for pair, key in zip(pairs, options, strict=True) if stated["options"].get(key) != options[key]
    )


def _is_whole(path: Path) -> bool:
    """Whether a picture is there with its end; pictures appear under their name only when written."""
    try:
        with path.open("rb") as stream:
            stream.seek(-2, os.SEEK_END)
            return stream.read() == _END_OF_JPEG
    except OSError:
        return False


def _render_all(
    folder: Path, options: RenderOptions, crops: list[PlannedCrop], workers: int, console: Console | None
) -> None:
    for name in FOLDERS.values():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for leftover in (folder / name).glob(".*.tmp"):
            leftover.unlink(missing_ok=True)
    # Chunks of one person after the other: clothes are woven once.
    ordered = sorted(crops, key=lambda crop: (crop.subject, crop.camid, crop.index))
    chunks = [ordered[start : start + _CHUNK] for start in range(0, len(ordered), _CHUNK)]
    with progress_bar(console) as progress:
        task = progress.add_task("Rendering people", total=len(crops))
        if workers == 1 or len(chunks) <= 1:
            for chunk in chunks:
                progress.advance(task, render_chunk(str(folder), options.world, chunk))
            return
        context = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(min(workers, len(chunks)), mp_context=context, initializer=_start_worker)
        try:
            for done in as_completed(
                [pool.submit(render_chunk, str(folder), options.world, chunk) for chunk in chunks]
            ):
                progress.advance(task, done.result())
        except BrokenProcessPool as error:
            raise OmniReIDError(
                "a rendering process ended unexpectedly: out of memory, killed, or a script without "
                "'if __name__ == \"__main__\":'. Run it again to complete the dataset, or use workers=1"
            ) from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _start_worker() -> None:
    # Ctrl-C reaches the whole group; the parent alone decides, so that chunks under way end whole.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(1)


def render_chunk(folder: str, world: World, crops: list[PlannedCrop]) -> int:
    """Render and write some pictures; returns how many."""
    for crop in crops:
        content = render_jpeg(world, crop.subject, crop.camid, crop.index, content=crop.content)
        write_bytes(Path(folder) / crop.path, content, durable=False)
    return len(crops)


def _card(options: RenderOptions, plan: dict[str, tuple[PlannedCrop, ...]]) -> dict[str, object]:
    return {
        "name": "rendered people",
        "description": "Procedurally drawn pedestrians seen by a procedurally drawn camera network.",
        "licence": "CC0-1.0",
        "people": "No real person is shown or was used. Results on this data say nothing about real people.",
        "layout": "Market-1501",
        **_identity(options),
        "opencv_version": cv2.__version__,
        "splits": {
            name: {
                "images": len(crops),
                "pids": len({crop.pid for crop in crops if crop.pid > 0}),
                "distractors": sum(crop.pid == DISTRACTOR_PID for crop in crops),
                "junk": sum(crop.pid == JUNK_PID for crop in crops),
            }
            for name, crops in plan.items()
        },
    }


def _dataset(folder: Path, plan: dict[str, tuple[PlannedCrop, ...]]) -> Dataset:
    def split(name: str) -> Split:
        return Split(
            name,
            tuple(
                Sample(str(folder / crop.path), crop.pid, crop.camid)
                for crop in plan[name]
                if crop.pid != JUNK_PID
            ),
        )

    return Dataset(
        name="rendered",
        root=str(folder),
        train=split("train"),
        query=split("query"),
        gallery=split("gallery"),
    )
